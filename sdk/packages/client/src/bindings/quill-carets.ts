/** Where the others write, in Quill: a layer over the text with their selections, and a caret with the name at each head. */

import type Quill from 'quill';
import { textColorOn } from '../room/colors.js';
import type { Participant } from '../room/participants.js';
import type { Room } from '../room/room.js';

const LABEL_HEIGHT = 16; // pixels: above the first line there is no room for one

interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export class QuillCarets {
  readonly #quill: Quill;
  readonly #room: Room;
  readonly #layer: HTMLElement;
  readonly #observer: ResizeObserver;
  readonly #stopListening: (() => void)[];
  #frame: number | undefined;

  constructor(quill: Quill, room: Room) {
    this.#quill = quill;
    this.#room = room;
    this.#layer = quill.addContainer('ql-fastcollab-carets');
    this.#layer.setAttribute('aria-hidden', 'true');
    styled(this.#layer, { position: 'absolute', inset: '0', overflow: 'hidden', pointerEvents: 'none' });
    const redraw = this.#expectRedraw;
    this.#observer = new ResizeObserver(redraw);
    this.#observer.observe(quill.root);
    quill.on('text-change', redraw);
    quill.root.addEventListener('scroll', redraw);
    this.#stopListening = [
      room.on('participants', redraw),
      () => quill.off('text-change', redraw),
      () => quill.root.removeEventListener('scroll', redraw),
    ];
    redraw();
  }

  close(): void {
    for (const stop of this.#stopListening) stop();
    this.#observer.disconnect();
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    this.#layer.remove();
  }

  readonly #expectRedraw = (): void => {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      this.#draw();
    });
  };

  #draw(): void {
    const drawn: HTMLElement[] = [];
    for (const participant of this.#room.participants) {
      if (participant === this.#room.self || !participant.selection) continue;
      const { color, ranges } = participant.selection;
      for (const range of ranges) {
        const [anchor, head] = [Number(range.anchor), Number(range.head)];
        for (const box of this.#boxes(Math.min(anchor, head), Math.abs(head - anchor))) {
          const background = `color-mix(in srgb, ${color} 25%, transparent)`;
          drawn.push(element('ql-fastcollab-selection', { position: 'absolute', background, ...pixels(box) }));
        }
        const caret = this.#quill.getBounds(this.#within(head));
        if (caret) drawn.push(caretOf(participant, color, { ...caret, width: 2 }));
      }
    }
    this.#layer.replaceChildren(...drawn);
  }

  #boxes(index: number, length: number): Box[] {
    const end = this.#within(index + length);
    if (end <= index) return [];
    const [from, fromOffset, to, toOffset] = this.#quill.selection.rangeToNative({ index, length: end - index });
    if (!from || !to) return [];
    const range = document.createRange();
    range.setStart(from, fromOffset);
    range.setEnd(to, toOffset);
    const origin = this.#quill.container.getBoundingClientRect();
    // What has a format of its own is told of twice, as an element and as its text.
    const boxes = new Map<string, Box>();
    for (const { left, top, width, height } of range.getClientRects()) {
      const box = { left: left - origin.left, top: top - origin.top, width, height };
      boxes.set(JSON.stringify(box), box);
    }
    return [...boxes.values()];
  }

  /** What is shown may lag behind what is selected, until the next drawing. */
  #within(index: number): number {
    return Math.min(index, this.#quill.getLength() - 1);
  }
}

function caretOf({ name }: Participant, color: string, box: Box): HTMLElement {
  const background = 'var(--fastcollab-color)';
  const caret = element('ql-fastcollab-caret', { position: 'absolute', background, ...pixels(box) });
  caret.style.setProperty('--fastcollab-color', color);
  const label = element('ql-fastcollab-name', {
    position: 'absolute',
    ...(box.top < LABEL_HEIGHT ? { top: '100%' } : { bottom: '100%' }),
    padding: '1px 4px',
    borderRadius: '3px 3px 3px 0',
    font: '11px/1.3 system-ui, sans-serif',
    whiteSpace: 'nowrap',
    color: textColorOn(background),
    background,
  });
  label.textContent = name;
  caret.append(label);
  return caret;
}

function pixels({ left, top, width, height }: Box): Record<string, string> {
  return { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` };
}

function element(className: string, style: Partial<CSSStyleDeclaration>): HTMLElement {
  const made = document.createElement('div');
  made.className = className;
  return styled(made, style);
}

function styled(element: HTMLElement, style: Partial<CSSStyleDeclaration>): HTMLElement {
  Object.assign(element.style, style);
  return element;
}
