/** Where the others write, in CodeMirror: their selections in their colours, and a caret with the name at each head. */

import { type Extension, type Range, StateEffect, type StateEffectType } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, WidgetType } from '@codemirror/view';
import { textColorOn } from '../room/colors.js';
import type { Participant } from '../room/participants.js';
import type { Room } from '../room/room.js';
import { CodePoints } from './code-points.js';

/** Has the carets drawn anew: somebody's selection is another. */
export const redraw: StateEffectType<null> = StateEffect.define<null>();

/** What the others have selected in `text`. */
export function caretsOf(room: Room, text: string): DecorationSet {
  const points = new CodePoints(text);
  const place = (position: unknown): number => Math.min(points.unit(Number(position)), text.length);
  const decorations: Range<Decoration>[] = [];
  for (const participant of room.participants) {
    if (participant === room.self || !participant.selection) continue;
    const { color, ranges } = participant.selection;
    for (const range of ranges) {
      const [anchor, head] = [place(range.anchor), place(range.head)];
      const attributes = { style: `--fastcollab-color: ${color}` };
      if (anchor !== head) {
        const mark = Decoration.mark({ class: 'cm-fastcollab-selection', attributes });
        decorations.push(mark.range(Math.min(anchor, head), Math.max(anchor, head)));
      }
      decorations.push(Decoration.widget({ widget: new Caret(participant, color), side: -1 }).range(head));
    }
  }
  return Decoration.set(decorations, true);
}

class Caret extends WidgetType {
  readonly #name: string;
  readonly #userId: string;
  readonly #color: string;

  constructor({ name, userId }: Participant, color: string) {
    super();
    this.#name = name;
    this.#userId = userId;
    this.#color = color;
  }

  override eq(other: Caret): boolean {
    return other.#userId === this.#userId && other.#name === this.#name && other.#color === this.#color;
  }

  toDOM(): HTMLElement {
    const caret = document.createElement('span');
    caret.className = 'cm-fastcollab-caret';
    caret.setAttribute('aria-hidden', 'true');
    caret.style.setProperty('--fastcollab-color', this.#color);
    const label = document.createElement('span');
    label.className = 'cm-fastcollab-name';
    label.textContent = this.#name;
    caret.append('\u2060', label, '\u2060'); // so that lines do not break here
    return caret;
  }

  override ignoreEvent(): boolean {
    return true;
  }
}

export const caretTheme: Extension = EditorView.baseTheme({
  '.cm-fastcollab-selection': {
    backgroundColor: 'color-mix(in srgb, var(--fastcollab-color) 25%, transparent)',
  },
  '.cm-fastcollab-caret': {
    position: 'relative',
    borderLeft: '2px solid var(--fastcollab-color)',
    marginLeft: '-1px',
    marginRight: '-1px',
  },
  '.cm-fastcollab-name': {
    position: 'absolute',
    bottom: '100%',
    left: '-2px',
    padding: '1px 4px',
    borderRadius: '3px 3px 3px 0',
    font: '11px/1.3 system-ui, sans-serif',
    whiteSpace: 'nowrap',
    color: textColorOn('var(--fastcollab-color)'),
    backgroundColor: 'var(--fastcollab-color)',
    pointerEvents: 'none',
    userSelect: 'none',
    animation: 'cm-fastcollab-fade 3s forwards',
  },
  '.cm-line:first-child .cm-fastcollab-name': { bottom: 'auto', top: '100%' },
  '.cm-fastcollab-caret:hover > .cm-fastcollab-name': { animation: 'none' },
  '@keyframes cm-fastcollab-fade': { '0%, 80%': { opacity: 1 }, '100%': { opacity: 0 } },
});
