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
  const shown = useRef(title);
  // Where it is before the new title is written into the element, which puts it to the end. Its events come too late.
  const caret = input.current?.selectionStart ?? 0;
  useLayoutEffect(() => {
    const element = input.current!;
    const before = shown.current;
    shown.current = title;
    if (before === title || window.document.activeElement !== element) return;
    const moved = caretAfter(before, title, caret);
    element.setSelectionRange(moved, moved);
  }, [title, caret]);
  const changed = (event: ChangeEvent<HTMLInputElement>): void => {
    shown.current = event.target.value;
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
      onKeyDown={pressed}
    />
  );
}
