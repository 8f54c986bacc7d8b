/**
 * Quill 2 as an editor of a room's `rich-text` document.
 *
 * Both speak Delta, so that a change of the one is a change of the other, but for what Quill cannot show:
 *
 * - Quill always ends in a line break. Where the document does not, as long as it is empty above all, Quill has one more
 *   (*padding*), of which the document hears when the user changes something.
 * - Carriage returns, and embeds that this Quill has no format for, are shown as a character each.
 * - Where Quill shows something in another way nevertheless, say with a line break before a video, that is an edit of
 *   whoever may write.
 */

import type Quill from 'quill';
import { difference, type Op, type RichText, type RichTextOperation, richText } from '../ot/rich-text.js';
import type { Room } from '../room/room.js';
import { FastcollabError } from '../wire/errors.js';
import { Bridge, type Origin } from './bridge.js';
import { wellFormed } from './code-points.js';
import { QuillCarets } from './quill-carets.js';

const RETURN_SHOWN = '␍';
const EMBED_SHOWN = '\ufffc';

/**
 * Has a Quill show and edit the room's document, whatever it shows now; the function that is returned ends that. Where
 * the user may only read, Quill is disabled. Throws FastcollabError if the document is no rich text.
 */
export function bindQuill(quill: Quill, room: Room): () => void {
  const { name } = room.document.type;
  if (name !== richText.name)
    throw new FastcollabError(`Quill edits rich texts, and this document is of the type ${name}`);
  const binding = new Binding(quill, room);
  return () => binding.close();
}

class Binding {
  readonly #quill: Quill;
  readonly #room: Room<RichText, RichTextOperation>;
  readonly #bridge: Bridge<RichText, RichTextOperation>;
  readonly #carets: QuillCarets;
  readonly #wasEnabled: boolean;
  readonly #stopListening: (() => void)[];
  #isPadded = false;
  #isShowing = false;
  #isOff = false; // Quill shows something of another length than it should

  constructor(quill: Quill, room: Room<RichText, RichTextOperation>) {
    this.#quill = quill;
    this.#room = room;
    this.#wasEnabled = quill.isEnabled();
    this.#bridge = new Bridge(room.document, {
      show: (operation, origin) => this.#show(operation, origin),
      replace: content => this.#replace(content),
    });
    this.#replace(room.document.content);
    this.#stopListening = [
      heard(quill, 'text-change', (change, before) => this.#edited(change.ops, before.length())),
      heard(quill, 'selection-change', range => this.#selected(range)),
      heard(quill, 'composition-before-start', () => this.#bridge.hold()),
      heard(quill, 'composition-end', () => this.#bridge.release()),
      room.on('permission', () => this.#restrict()),
    ];
    this.#shareUndo();
    this.#restrict();
    this.#carets = new QuillCarets(quill, room);
  }

  close(): void {
    this.#bridge.close();
    this.#carets.close();
    for (const stop of this.#stopListening) stop();
    Reflect.deleteProperty(this.#quill.history, 'change');
    Reflect.deleteProperty(this.#quill.history, 'record');
    this.#quill.enable(this.#wasEnabled);
    this.#room.updateSelection([]);
  }

  get #mayWrite(): boolean {
    return this.#room.permission === 'write' || this.#room.permission === 'admin';
  }

  #restrict(): void {
    this.#quill.enable(this.#mayWrite && this.#wasEnabled);
  }

  /** Quill's keys, menus and toolbars all ask its history. */
  #shareUndo(): void {
    const { history } = this.#quill;
    history.clear();
    history.record = () => {};
    history.change = step => {
      if (step === 'undo') this.#room.document.undo();
      else this.#room.document.redo();
    };
  }

  /** Quill was changed, by its user or a program, when it had `length`. */
  #edited(delta: RichTextOperation, length: number): void {
    if (this.#isShowing) return;
    const operation = delta.map(op => (typeof op.insert === 'string' ? { ...op, insert: wellFormed(op.insert) } : op));
    const isTorn = operation.some(({ insert }, index) => insert !== delta[index]!.insert);
    const padding = this.#isPadded ? opAt(length - 1, { insert: '\n' }) : [];
    this.#isPadded = false;
    this.#bridge.edited(richText.compose(padding, operation));
    if (isTorn) this.#bridge.replace();
  }

  #selected(range: { index: number; length: number } | null): void {
    const end = this.#quill.getLength() - Number(this.#isPadded);
    const place = (index: number): number => this.#bridge.placed(Math.min(index, end));
    const ranges = range ? [{ anchor: place(range.index), head: place(range.index + range.length) }] : [];
    this.#room.updateSelection(ranges);
  }

  #show(operation: RichTextOperation, origin: Origin): void {
    if (this.#isOff) {
      this.#replace(this.#room.document.content); // positions differ from those of the document
      return;
    }
    const before = this.#quill.getContents().ops;
    let change: RichTextOperation = this.#shown(operation);
    const after = richText.apply(before, change);
    const length = lengthOf(after) - Number(this.#isPadded);
    const needsPadding = !endsLine(after, length);
    if (this.#isPadded && !needsPadding) change = richText.compose(change, opAt(length, { delete: 1 }));
    if (!this.#isPadded && needsPadding) change = richText.compose(change, opAt(length, { insert: '\n' }));
    this.#isPadded = needsPadding;
    this.#change(before, change);
    if ((origin === 'undo' || origin === 'redo') && this.#quill.hasFocus()) {
      this.#quill.setSelection(Math.min(endOf(operation), this.#quill.getLength() - 1), 0, 'user');
    }
  }

  #replace(content: RichText): void {
    const shown = this.#shown(content);
    const length = lengthOf(shown);
    this.#isPadded = !endsLine(shown, length);
    const wanted = this.#isPadded ? richText.compose(shown, opAt(length, { insert: '\n' })) : shown;
    const before = this.#quill.getContents().ops;
    this.#change(before, difference(before, wanted));
  }

  #change(before: RichText, change: RichTextOperation): void {
    this.#isShowing = true;
    try {
      this.#quill.updateContents([...change], 'api');
    } finally {
      this.#isShowing = false;
    }
    const wanted = richText.apply(before, change);
    const shown = this.#quill.getContents().ops;
    this.#isOff = lengthOf(shown) !== lengthOf(wanted);
    if (!this.#isOff || !this.#mayWrite) return;
    this.#bridge.hold();
    queueMicrotask(() => {
      this.#edited(difference(wanted, shown), lengthOf(wanted));
      this.#isOff = false;
      this.#bridge.release();
    });
  }

  /** The operation, or the content, with other characters for what Quill cannot have, of the same length. */
  #shown(operation: RichTextOperation): RichTextOperation {
    const { scroll } = this.#quill;
    return operation.map(op => {
      const { insert } = op;
      if (typeof insert === 'string') return { ...op, insert: insert.replaceAll('\r', RETURN_SHOWN) };
      const isUnknown = insert && Object.keys(insert).some(name => !scroll.query(name));
      return isUnknown ? { ...op, insert: EMBED_SHOWN } : op;
    });
  }
}

function heard(quill: Quill, event: string, handler: (...values: any[]) => void): () => void {
  quill.on(event, handler);
  return () => quill.off(event, handler);
}

/** The operation that does one thing at a position. */
function opAt(position: number, op: Op): RichTextOperation {
  return position ? [{ retain: position }, op] : [op];
}

function lengthOf(content: RichText): number {
  return content.reduce((sum, { insert }) => sum + (typeof insert === 'string' ? insert.length : 1), 0);
}

/** Whether the character before the position is a line break. */
function endsLine(content: RichText, position: number): boolean {
  let at = 0;
  for (const { insert } of content) {
    const text = typeof insert === 'string' ? insert : ' ';
    if (at + text.length >= position) return text[position - 1 - at] === '\n';
    at += text.length;
  }
  return false;
}

/** Where the last change is that an operation makes, in what it leads to. */
function endOf(operation: RichTextOperation): number {
  let at = 0;
  let end = 0;
  for (const { insert, retain, delete: removed } of operation) {
    if (insert !== undefined) at += typeof insert === 'string' ? insert.length : 1;
    if (insert !== undefined || removed !== undefined) end = at;
    if (retain !== undefined) at += typeof retain === 'number' ? retain : 1;
  }
  return end;
}
