/** A button that opens a list beneath it, which closes by Escape, by leaving it, or when something was chosen. */

import { type FocusEvent, type KeyboardEvent, type ReactNode, useId, useRef, useState } from 'react';

export interface MenuProps {
  readonly label: string;
  readonly button: ReactNode;
  readonly className?: string;
  readonly testId?: string;
  readonly children: (close: () => void) => ReactNode;
}

export function Menu({ label, button, className = 'button', testId, children }: MenuProps): ReactNode {
  const [isOpen, setOpen] = useState(false);
  const id = useId();
  const opener = useRef<HTMLButtonElement>(null);
  const close = (): void => {
    setOpen(false);
    opener.current?.focus();
  };
  const left = (event: FocusEvent): void => {
    if (!event.currentTarget.contains(event.relatedTarget)) setOpen(false);
  };
  const pressed = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape' || !isOpen) return;
    event.stopPropagation();
    close();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it looks at what its controls are told
    <div className="menu" onBlur={left} onKeyDown={pressed}>
      <button
        ref={opener}
        type="button"
        className={className}
        aria-label={label}
        title={label}
        aria-expanded={isOpen}
        aria-controls={id}
        data-testid={testId}
        onClick={() => setOpen(!isOpen)}
      >
        {button}
      </button>
      {isOpen && (
        <div id={id} className="menu-list" tabIndex={-1}>
          {children(close)}
        </div>
      )}
    </div>
  );
}
