/** Who is in a room, kept up to date by what the gateway says of them. */

import type { SharedDocument } from '../document/shared.js';
import { CURSOR, type FrameRecord } from '../wire/frames.js';
import type { WireParticipant, WirePresence } from '../wire/messages.js';
import { type Cursor, cursorFromWire, type Participant, participantFromWire } from './participants.js';
import { movedAlong, Selections } from './selections.js';

/** What a roster tells of. */
export interface RosterEvents<Data = unknown> {
  /** Somebody came. */
  userJoined: Participant<Data>;
  /** Somebody left. */
  userLeft: Participant<Data>;
  /** Somebody's selection, status or data is another one. */
  presence: Participant<Data>;
  /** `participants` is another list: somebody came or left, or shows something else than a cursor. */
  participants: readonly Participant<Data>[];
  /** Somebody's cursor moved. */
  cursor: Cursor;
  /** A cursor is not shown any more; the value is the user's id. */
  cursorHidden: string;
}

type Emit<Data> = <Name extends keyof RosterEvents>(event: Name, value: RosterEvents<Data>[Name]) => void;

type Shown<Data> = Pick<Participant<Data>, 'selection' | 'status' | 'data'>;

export class Roster<Data = unknown> {
  readonly cursors: Map<string, Cursor> = new Map();
  readonly #members: Map<string, Participant<Data>> = new Map();
  readonly #userIds: Map<number, string> = new Map();
  readonly #selections: Selections;
  readonly #ownUserId: () => string;
  readonly #emit: Emit<Data>;
  #list: readonly Participant<Data>[] | undefined; // as it was last asked for

  constructor(ownUserId: () => string, emit: Emit<Data>) {
    this.#ownUserId = ownUserId;
    this.#emit = emit;
    this.#selections = new Selections(ownUserId);
  }

  /** Everybody, oneself included; the same array until it says something else. */
  get participants(): readonly Participant<Data>[] {
    this.#list ??= [...this.#members.values()];
    return this.#list;
  }

  get(userId: string): Participant<Data> | undefined {
    return this.#members.get(userId);
  }

  // What the gateway says

  /** Who is in the room at this moment. `again`: it was joined before, and who came or went is told. */
  replace(entries: readonly WireParticipant[], again: boolean): void {
    const present = new Set(entries.map(entry => entry.userId));
    for (const userId of [...this.#members.keys()]) if (!present.has(userId)) this.remove(userId);
    for (const userId of [...this.cursors.keys()]) this.#hideCursor(userId);
    for (const entry of entries) this.#add(entry, again && !this.#members.has(entry.userId));
    this.#listChanged();
  }

  add(entry: WireParticipant): void {
    this.#add(entry, true);
    this.#listChanged();
  }

  remove(userId: string): void {
    const participant = this.#members.get(userId);
    if (!participant) return;
    this.#members.delete(userId);
    this.#userIds.delete(participant.numericId);
    this.#selections.forget(userId);
    this.#hideCursor(userId);
    this.#listChanged();
    this.#emit('userLeft', participant);
  }

  /** What a participant shows, as far as it has changed. */
  update(userId: string, presence: WirePresence, timestamp: number, document: SharedDocument | undefined): void {
    if (presence.cursor) this.#showCursor(cursorFromWire(userId, presence.cursor, timestamp));
    else if (presence.cursor === null) this.#hideCursor(userId);
    const change: { -readonly [Name in keyof Shown<Data>]?: Shown<Data>[Name] } = {};
    if ('status' in presence) change.status = presence.status ?? null;
    if ('data' in presence) change.data = (presence.data ?? undefined) as Data | undefined;
    if (presence.selection !== undefined && document) {
      const { selection } = presence;
      const shown = selection && { ranges: selection.ranges, color: selection.color };
      const placed = this.#selections.place(userId, shown, selection?.version, document);
      if (placed !== undefined) change.selection = placed;
    }
    this.#change(userId, change);
  }

  /** A record of a binary frame. Cursors come 60 times a second and participant, so little is done for each. */
  record(kind: number, record: FrameRecord, document: SharedDocument | undefined): void {
    const userId = this.#userIds.get(record.user);
    if (userId === undefined || userId === this.#ownUserId()) return;
    if (kind === CURSOR) {
      const { x, y, timestamp, viewportX, viewportY } = record;
      const hasViewport = viewportX !== undefined && viewportY !== undefined;
      this.#showCursor({ userId, x, y, timestamp, ...(hasViewport && { viewportX, viewportY }) });
    } else if (document) {
      const ranges = [{ anchor: record.x, head: record.y }];
      const selection = { ranges, color: this.#members.get(userId)!.color };
      this.#change(userId, { selection: this.#selections.place(userId, selection, undefined, document) ?? null });
    }
  }

  /** What the user shows, as the user sees it. */
  showOwn(change: Partial<Shown<Data>>): void {
    this.#change(this.#ownUserId(), change);
  }

  // What happens to the document

  contentChanged(operation: unknown, userId: string | undefined, document: SharedDocument): void {
    for (const { userId: owner, selection } of this.#members.values()) {
      const moved = movedAlong(selection, operation, document.type, owner === userId);
      if (moved !== selection) this.#change(owner, { selection: moved });
    }
  }

  committed(operation: unknown, userId: string, document: SharedDocument): void {
    for (const [owner, selection] of this.#selections.committed(operation, userId, document)) {
      this.#change(owner, { selection });
    }
  }

  contentReplaced(): void {
    this.#selections.reset();
    for (const { userId, selection } of this.#members.values()) {
      if (selection) this.#change(userId, { selection: null });
    }
  }

  #add(entry: WireParticipant, isNews: boolean): void {
    const known = this.#members.get(entry.userId);
    const isOwn = entry.userId === this.#ownUserId();
    const participant = { ...participantFromWire(entry), ...(known && isOwn && shownBy(known)) };
    this.#members.set(entry.userId, participant);
    this.#userIds.set(entry.numericId, entry.userId);
    if (isNews) this.#emit('userJoined', participant);
  }

  #change(userId: string, change: Partial<Shown<Data>>): void {
    const known = this.#members.get(userId);
    if (!known || !Object.keys(change).length) return;
    const participant = { ...known, ...change };
    this.#members.set(userId, participant);
    this.#emit('presence', participant);
    this.#listChanged();
  }

  #showCursor(cursor: Cursor): void {
    if (!this.#members.has(cursor.userId)) return;
    this.cursors.set(cursor.userId, cursor);
    this.#emit('cursor', cursor);
  }

  #hideCursor(userId: string): void {
    if (this.cursors.delete(userId)) this.#emit('cursorHidden', userId);
  }

  #listChanged(): void {
    this.#list = undefined;
    this.#emit('participants', this.participants);
  }
}

/** What the gateway does not tell its own user. */
function shownBy<Data>({ selection, status, data }: Participant<Data>): Shown<Data> {
  return { selection, status, data };
}
