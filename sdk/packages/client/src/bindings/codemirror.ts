/**
 * CodeMirror 6 as an editor of a room's `text` document: an extension that a view is made with.
 *
 * What the user does becomes operations, what others do becomes transactions (with `Transaction.remote`), and undo is
 * the document's: it takes back what this user did, and nothing else. `codemirror-carets` shows where the others write.
 */

import {
  Annotation,
  type ChangeSet,
  Compartment,
  EditorState,
  type Extension,
  Prec,
  Transaction,
} from '@codemirror/state';
import {
  type DecorationSet,
  EditorView,
  keymap,
  type PluginValue,
  ViewPlugin,
  type ViewUpdate,
} from '@codemirror/view';
import type { TextOperation } from '../ot/text.js';
import type { Participant } from '../room/participants.js';
import type { Room } from '../room/room.js';
import { FastcollabError } from '../wire/errors.js';
import { Bridge, type Origin } from './bridge.js';
import { CodePoints, difference, operationFrom, type Splice, splicesOf, wellFormed } from './code-points.js';
import { caretsOf, caretTheme, redraw } from './codemirror-carets.js';

const MAX_RANGES = 100; // as many as a selection may have (V4)
const COMPOSED_AFTER = 50; // milliseconds behind the end of a composition, until CodeMirror has read it from the page

/**
 * Has a view show and edit the room's document, whatever the view begins with. Where the user may only read, the view is
 * read-only. Throws FastcollabError if the document is no text.
 */
export function collaboration(room: Room): Extension {
  const { document } = room;
  if (document.type.name !== 'text') {
    throw new FastcollabError(`CodeMirror edits texts, and this document is of the type ${document.type.name}`);
  }
  const access = new Compartment();
  const undo = (): boolean => document.undo() !== undefined;
  const redo = (): boolean => document.redo() !== undefined;
  return [
    ViewPlugin.define(view => new Collaboration(view, room, access), {
      decorations: plugin => plugin.carets,
      eventObservers: {
        compositionstart() {
          this.compositionStarted();
        },
        compositionend() {
          this.compositionEnded();
        },
      },
    }),
    access.of(accessTo(room)),
    // Lines end in one way only, or positions would differ from those of the document.
    EditorState.lineSeparator.of('\n'),
    EditorView.clipboardInputFilter.of(text => text.replace(/\r\n?/g, '\n')),
    Prec.high(
      keymap.of([
        { key: 'Mod-z', run: undo, preventDefault: true },
        { key: 'Mod-Shift-z', run: redo, preventDefault: true },
        { key: 'Mod-y', run: redo, preventDefault: true },
      ]),
    ),
    Prec.high(
      EditorView.domEventHandlers({
        beforeinput: event => steps(event, undo, redo),
      }),
    ),
    caretTheme,
  ];
}

/** What the document has done already. */
const shown = Annotation.define<boolean>();

class Collaboration implements PluginValue {
  carets: DecorationSet;
  readonly #view: EditorView;
  readonly #room: Room<string, TextOperation>;
  readonly #bridge: Bridge<string, TextOperation>;
  readonly #stopListening: (() => void)[];
  #drawn: readonly Participant[]; // as the carets show them
  #composed: { from: number; to: number } | undefined; // a word that is being composed
  #composedSoon: ReturnType<typeof setTimeout> | undefined;
  #frame: number | undefined;

  constructor(view: EditorView, room: Room<string, TextOperation>, access: Compartment) {
    this.#view = view;
    this.#room = room;
    this.#bridge = new Bridge(room.document, {
      show: (operation, origin) => this.#show(splicesOf(operation, this.#text), origin),
      replace: content => this.#show([difference(this.#text, content)], 'remote'),
      wouldTear: operation => this.#wouldTear(operation),
    });
    const restrict = (): void => view.dispatch({ effects: access.reconfigure(accessTo(room)) });
    this.#stopListening = [room.on('participants', this.#expectRedraw), room.on('permission', restrict)];
    this.#drawn = room.participants;
    this.carets = caretsOf(room, this.#text);
    // A view cannot be changed while it is being made.
    this.#bridge.hold();
    if (this.#text !== room.document.content) this.#bridge.replace();
    this.#bridge.release();
  }

  update(update: ViewUpdate): void {
    this.#bridge.hold(); // nor while it is being updated
    for (const transaction of update.transactions) {
      if (!transaction.docChanged || transaction.annotation(shown)) continue;
      const after = transaction.newDoc.toString();
      this.#bridge.edited(operationFrom(splicesIn(transaction.changes), transaction.startState.doc.toString(), after));
      if (after !== wellFormed(after)) this.#bridge.replace();
    }
    this.#bridge.release();
    const isRedrawn = update.transactions.some(({ effects }) => effects.some(effect => effect.is(redraw)));
    if (this.#composed) {
      const { from, to } = this.#composed;
      this.#composed = { from: update.changes.mapPos(from, -1), to: update.changes.mapPos(to, 1) };
    }
    if (this.#bridge.isBehind) {
      this.carets = this.carets.map(update.changes); // where they are in the content is no place here
    } else if (update.docChanged || isRedrawn) {
      this.#drawn = this.#room.participants;
      this.carets = caretsOf(this.#room, this.#text);
    }
    if (update.selectionSet || update.focusChanged) this.#tellSelection();
  }

  destroy(): void {
    this.#bridge.close();
    for (const stop of this.#stopListening) stop();
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    clearTimeout(this.#composedSoon);
    this.#room.updateSelection([]);
  }

  compositionStarted(): void {
    clearTimeout(this.#composedSoon);
    this.#composed = this.#view.state.selection.main;
  }

  compositionEnded(): void {
    this.#composedSoon = setTimeout(() => {
      this.#composed = undefined;
      this.#bridge.showSoon();
    }, COMPOSED_AFTER);
  }

  /** A line is one text in the page, from which the browser tears what it composes when any of it is another. */
  #wouldTear(operation: TextOperation): boolean {
    if (!this.#composed) return false;
    const { doc } = this.#view.state;
    const start = doc.lineAt(this.#composed.from).from;
    const end = doc.lineAt(this.#composed.to).to;
    return splicesOf(operation, this.#text).some(({ from, remove }) => from <= end && from + remove >= start);
  }

  get #text(): string {
    return this.#view.state.doc.toString();
  }

  #show(splices: readonly Splice[], origin: Origin): void {
    const isOwn = origin === 'undo' || origin === 'redo';
    const changes = this.#view.state.changes(
      splices.map(({ from, remove, insert }) => ({ from, to: from + remove, insert })),
    );
    let end = 0;
    changes.iterChangedRanges((_fromA, _toA, _fromB, toB) => {
      end = toB;
    });
    this.#view.dispatch({
      changes,
      annotations: [shown.of(true), Transaction.addToHistory.of(false), Transaction.remote.of(!isOwn)],
      ...(isOwn && { selection: { anchor: end }, scrollIntoView: true, userEvent: origin }),
    });
  }

  #tellSelection(): void {
    const points = new CodePoints(this.#text);
    const place = (unit: number): number => this.#bridge.placed(points.at(unit));
    const ranges = this.#view.hasFocus ? this.#view.state.selection.ranges.slice(0, MAX_RANGES) : [];
    this.#room.updateSelection(ranges.map(({ anchor, head }) => ({ anchor: place(anchor), head: place(head) })));
  }

  /** Selections move along with each change, of which the view hears by itself; the rest has time until the next frame. */
  readonly #expectRedraw = (): void => {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      if (this.#drawn !== this.#room.participants) this.#view.dispatch({ effects: redraw.of(null) });
    });
  };
}

function accessTo({ permission }: Room): Extension {
  const mayWrite = permission === 'write' || permission === 'admin';
  return EditorState.readOnly.of(!mayWrite);
}

function splicesIn(changes: ChangeSet): Splice[] {
  const splices: Splice[] = [];
  changes.iterChanges((from, to, _fromB, _toB, inserted) => {
    splices.push({ from, remove: to - from, insert: inserted.toString() });
  });
  return splices;
}

/** The browser's own menu has these, too. */
function steps({ inputType }: InputEvent, undo: () => boolean, redo: () => boolean): boolean {
  if (inputType === 'historyUndo') undo();
  else if (inputType === 'historyRedo') redo();
  else return false;
  return true;
}
