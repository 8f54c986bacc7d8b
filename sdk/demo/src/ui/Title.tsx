/** A title that everybody edits at once, letter by letter. The caret stays where it is when others write before it. */

import { useRoom } from '@fastcollab/react';
import { type ChangeEvent, type KeyboardEvent, type ReactNode, useLayoutEffect, useRef } from 'react';
import { retitle } from '../model/edits.js';
import { caretAfter } from '../model/splice.js';
import type { Dashboard, Widget } from '../model/widgets.js';
import { TEST_IDS } from '../testids.js';

const LONGEST = 80;

export function Title({ widget: { id, title } }: { widget: Widget }): ReactNode {
  const { document } = useRoom<Dashboard>();
  const input = useRef<HTMLInputElement>(null);
  const shown = useRef({ title, caret: title.length });
  useLayoutEffect(() => {
    const element = input.current!;
    const { title: before, caret } = shown.current;
    if (before === title) return;
    const moved = caretAfter(before, title, caret);
    shown.current = { title, caret: moved };
    if (window.document.activeElement === element) element.setSelectionRange(moved, moved);
  }, [title]);
  const remember = (): void => {
    shown.current = { title: input.current!.value, caret: input.current!.selectionStart ?? 0 };
  };
  const changed = (event: ChangeEvent<HTMLInputElement>): void => {
    remember();
    document.edit(retitle(document.content, id, event.target.value));
  };
  const pressed = (event: KeyboardEvent<HTMLInputElement>): void => {
    if (event.key === 'Enter') event.currentTarget.blur();
  };
  return (
    <input
      ref={input}
      className="widget-title"
      value={title}
      maxLength={LONGEST}
      aria-label="Title"
      spellCheck={false}
      autoComplete="off"
      data-testid={TEST_IDS.widgetTitle}
      onChange={changed}
      onSelect={remember}
      onKeyDown={pressed}
    />
  );
}
