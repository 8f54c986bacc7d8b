/** A room, as one of its members sees it: who is there, where they point, and the document that they write together. */

import type { Host, Rejection } from '../document/changes.js';
import { Copy } from '../document/copy.js';
import type { Journal } from '../document/journal.js';
import { type PastOperation, pastFromWire } from '../document/past.js';
import { SharedDocument } from '../document/shared.js';
import { UndoHistory, type UndoOptions } from '../document/undo.js';
import { Emitter } from '../events.js';
import type { DocumentType } from '../ot/type.js';
import { Pacer } from '../pacing.js';
import type { Status } from '../status.js';
import { CloseCode, ConnectionClosed, type ProtocolError, UnknownType } from '../wire/errors.js';
import { checkCoordinate, type FrameRecord } from '../wire/frames.js';
import type { ClientMessages, Limits, Permission, Position, SelectionRange, ServerMessages } from '../wire/messages.js';
import type { Cursor, Participant } from './participants.js';
import { Roster, type RosterEvents } from './roster.js';
import { type CursorPosition, type OwnPresence, type OwnSelection, Showing } from './showing.js';

const HISTORY_LIMIT = 1000;
const ENVELOPE_BYTES = 1024; // at most, around an operation
const DEFAULT_COLOR = '#808080';

/** An event of the program's own, and who sent it. */
export interface CustomEvent<Data = unknown> {
  readonly name: string;
  readonly data: Data;
  readonly userId: string;
}

export interface RoomEvents<Data = unknown> extends RosterEvents<Data> {
  /** `status` is another one. */
  status: Status;
  /** Somebody has sent an event. */
  event: CustomEvent;
  /** What one may do here is something else; `none`: the room is lost. */
  permission: Permission | 'none';
  /** An error about this room that no call waits for. */
  error: Error;
}

/** What a room needs of the client that it belongs to. @internal */
export interface RoomHost {
  readonly userId: string;
  readonly undo: UndoOptions;
  readonly checksumEvery: number;
  readonly trace: (() => string | undefined) | undefined;
  send<Type extends keyof ClientMessages>(
    type: Type,
    payload: ClientMessages[Type],
    options: { roomId: string; messageId?: string },
  ): string;
  request<Type extends keyof ClientMessages, Answer extends keyof ServerMessages>(
    type: Type,
    payload: ClientMessages[Type],
    answer: Answer,
    options: { roomId: string; targetUserId?: string },
  ): Promise<ServerMessages[Answer]>;
  /** False if that is not possible now. */
  sendCursor(roomId: string, position: CursorPosition, timestamp: number): boolean;
  rejoin(roomId: string): void;
}

export class Room<Content = any, Operation = any, Data = unknown> extends Emitter<RoomEvents<Data>> {
  readonly id: string;
  readonly #host: RoomHost;
  readonly #limits: Limits;
  readonly #roster: Roster<Data>;
  readonly #journal: Journal | undefined;
  readonly #showing: Showing;
  #document: SharedDocument<Content, Operation> | undefined;
  #typeName = '';
  #permission: Permission | 'none' = 'read';
  #status: Status = 'connecting';
  #isJoined = false;
  #isClosed = false;

  /** @internal */
  constructor(id: string, host: RoomHost, limits: Limits, journal: Journal | undefined) {
    super();
    this.id = id;
    this.#host = host;
    this.#limits = limits;
    this.#journal = journal;
    this.#roster = new Roster(
      () => host.userId,
      (event, value) => this.emit(event, value as never),
    );
    this.#showing = new Showing(limits.cursorUpdates, {
      cursor: position => host.sendCursor(id, position, Date.now()),
      selection: selection => this.#sendSelection(selection),
      presence: presence => this.#send('presence_update', { presence }),
    });
  }

  /** How far the room is in step with the gateway, and whether what was written here is safe there. */
  get status(): Status {
    return this.#status;
  }

  /** What one may do here. */
  get permission(): Permission | 'none' {
    return this.#permission;
  }

  // Who is there, and what they show

  /** Everybody in the room, oneself included; the same array until it says something else. */
  get participants(): readonly Participant<Data>[] {
    return this.#roster.participants;
  }

  /** Oneself, as the gateway shows one to the others, or will when it is told. */
  get self(): Participant<Data> | undefined {
    return this.#roster.get(this.#host.userId);
  }

  /** The newest cursor of each other participant who has shown one, by user id; a live view. */
  get cursors(): ReadonlyMap<string, Cursor> {
    return this.#roster.cursors;
  }

  participant(userId: string): Participant<Data> | undefined {
    return this.#roster.get(userId);
  }

  /** Shows where the pointer is. Throws RangeError for coordinates that are not finite, or beyond 2²⁴. */
  updateCursor(position: CursorPosition): void {
    for (const coordinate of [position.x, position.y, position.viewportX ?? 0, position.viewportY ?? 0]) {
      checkCoordinate(coordinate);
    }
    this.#showing.cursor(position);
  }

  /** Shows what is selected, in terms of the document's content, in one's own colour; no ranges: nothing is. */
  updateSelection(ranges: readonly SelectionRange[], color: string = this.self?.color ?? DEFAULT_COLOR): void {
    const selection = { ranges, color };
    this.#roster.showOwn({ selection });
    this.#showing.selection(selection);
  }

  /** Shows a status, or data of the program's own; null removes it, and what is not given stays as it is. */
  updatePresence(presence: OwnPresence<Data>): void {
    const { data, ...others } = presence;
    this.#roster.showOwn({ ...others, ...(data !== undefined && { data: data ?? undefined }) });
    this.#showing.presence(presence);
  }

  /** Sends an event of the program's own to every other connection in the room; resolves when the gateway has it. */
  async broadcast(name: string, data?: unknown): Promise<void> {
    await this.#host.request('event', { name, data }, 'ack', { roomId: this.id });
  }

  /** Sends an event to one participant's connections; rejects if nobody of that id is there. */
  async sendEvent(userId: string, name: string, data?: unknown): Promise<void> {
    await this.#host.request('event', { name, data }, 'ack', { roomId: this.id, targetUserId: userId });
  }

  // What they write

  /** Whether `document` can be had: the client has its type. */
  get hasDocument(): boolean {
    return this.#document !== undefined;
  }

  /** The document. Throws UnknownType if the client was made without its type. */
  get document(): SharedDocument<Content, Operation> {
    if (!this.#document) throw new UnknownType(this.#typeName);
    return this.#document;
  }

  /** The name of the document's type. */
  get documentType(): string {
    return this.#typeName;
  }

  /** The document as it was at `version`; rejects if the history does not reach back to it. */
  async contentAt(version: number): Promise<Content> {
    const answer = await this.#host.request('get_document', { version }, 'document', { roomId: this.id });
    return answer.documentState.data as Content;
  }

  /** At most `limit` (1 to 1000) operations after version `after`, in order. */
  async history(after: number, limit = 100): Promise<PastOperation<Operation>[]> {
    const answer = await this.#host.request('get_history', { after, limit }, 'history', { roomId: this.id });
    return answer.operations.map(entry => pastFromWire<Operation>(entry));
  }

  /**
   * Undoes what was done since `version`, by an operation in one's own name; what others write meanwhile stays. Resolves
   * with the version that this made.
   */
  async restore(version: number): Promise<number> {
    const answer = await this.#host.request('restore', { version }, 'ack', { roomId: this.id });
    return answer.version ?? version;
  }

  // What the connection tells the room

  /** @internal */
  joinRequest(): ClientMessages['join_room'] {
    return { roomId: this.id, ...this.#document?.joinRequest() };
  }

  /** `room_joined`, for the first time or again. @internal */
  joined(payload: ServerMessages['room_joined'], type: DocumentType<Content, Operation> | undefined): void {
    const { participants, documentState, recovery, permission } = payload;
    const isFirst = !this.#typeName;
    this.#typeName = documentState.type;
    this.#isJoined = true;
    this.#isClosed = false;
    if (permission !== this.#permission) this.permissionChanged(permission);
    this.#roster.replace(participants, !isFirst);
    if (this.#document) {
      this.#document.joined(documentState, recovery);
    } else if (type) {
      const { data, version, epoch } = documentState;
      const copy = new Copy(type, data as Content, version, epoch);
      this.#document = new SharedDocument(copy, this.#documentHost(), new UndoHistory(type, this.#host.undo));
    }
    for (const { userId, presence } of participants) this.#roster.update(userId, presence, 0, this.#document);
    this.#showing.release();
    if (!isFirst) this.#showAgain();
    this.#updateStatus();
  }

  /** Takes over what an earlier page has left; returns it if that cannot be done. @internal */
  async adopt(): Promise<Rejection | undefined> {
    const options = { roomId: this.id };
    return this.#document?.adopt(async after => {
      const payload = { after, limit: HISTORY_LIMIT };
      return (await this.#host.request('get_history', payload, 'history', options)).operations;
    });
  }

  /** What is pending has become safe: it may be sent. @internal */
  pendingKept(): void {
    this.#document?.advance();
  }

  /** There is no connection, and one is being made. @internal */
  interrupt(): void {
    this.#isJoined = this.#isClosed = false;
    this.#showing.hold();
    this.#document?.interrupt();
    this.#updateStatus();
  }

  /** The room is not joined any more, and will not be by itself; what is pending stays in the document. @internal */
  suspend(reason: Error): void {
    this.#isJoined = false;
    this.#isClosed = true;
    this.#showing.hold();
    this.#document?.suspend(reason);
    this.#updateStatus();
  }

  /** The client has left the room. @internal */
  left(): void {
    this.suspend(new ConnectionClosed(CloseCode.NORMAL, `the room ${JSON.stringify(this.id)} was left`));
    this.#journal?.close();
  }

  /** This client may not be here any more. @internal */
  expelled(error: ProtocolError): void {
    this.permissionChanged('none');
    this.emit('error', error);
    this.suspend(error);
  }

  /** @internal */
  failed(error: Error): void {
    this.emit('error', error);
  }

  /** @internal */
  permissionChanged(permission: Permission | 'none'): void {
    this.#permission = permission;
    this.emit('permission', permission);
  }

  /** @internal */
  operationReceived(payload: ServerMessages['operation_broadcast']): void {
    this.#document?.received(payload);
  }

  /** @internal */
  operationAcknowledged(messageId: string, version: number): void {
    this.#document?.acknowledged(messageId, version);
  }

  /** Whether `messageId` was an operation of this room. @internal */
  operationRefused(messageId: string, error: ProtocolError): boolean {
    return this.#document?.refused(messageId, error) ?? false;
  }

  /** The versions known here are those of an earlier life of the document (OT6). @internal */
  madeAnew(error: ProtocolError): void {
    if (this.#document) this.#document.parted(error);
    else this.#host.rejoin(this.id);
    this.#updateStatus();
  }

  /** @internal */
  participantJoined({ participant }: ServerMessages['user_joined']): void {
    this.#roster.add(participant);
    this.#roster.update(participant.userId, participant.presence, 0, this.#document);
  }

  /** @internal */
  participantLeft({ participant }: ServerMessages['user_left']): void {
    this.#roster.remove(participant.userId);
  }

  /** @internal */
  presenceReceived({ userId, presence, timestamp }: ServerMessages['presence_update']): void {
    this.#roster.update(userId, presence, timestamp, this.#document);
  }

  /** @internal */
  eventReceived({ name, data, userId }: ServerMessages['event']): void {
    this.emit('event', { name, data, userId });
  }

  /** @internal */
  recordReceived(kind: number, record: FrameRecord): void {
    this.#roster.record(kind, record, this.#document);
  }

  #documentHost(): Host<Operation> {
    const host = this.#host;
    return {
      get userId() {
        return host.userId;
      },
      pacer: new Pacer(this.#limits.operations, this.#limits.burst),
      checksumEvery: host.checksumEvery,
      trace: host.trace,
      maxBytes: Math.min(this.#limits.maxOperationBytes, this.#limits.maxMessageBytes - ENVELOPE_BYTES),
      journal: this.#journal,
      send: (messageId, payload) => this.#send('operation', payload, messageId),
      rejoin: () => host.rejoin(this.id),
      contentChanged: (operation, userId) => this.#roster.contentChanged(operation, userId, this.document),
      committed: (operation, userId) => this.#roster.committed(operation, userId, this.document),
      contentReplaced: () => this.#roster.contentReplaced(),
      updateStatus: () => this.#updateStatus(),
      advance: () => this.#document?.advance(),
    };
  }

  #updateStatus(): void {
    const status = this.#presentStatus();
    if (status === this.#status) return;
    this.#status = status;
    this.emit('status', status);
  }

  #presentStatus(): Status {
    if (this.#isClosed) return 'closed';
    if (!this.#isJoined || this.#document?.isInStep === false) return 'connecting';
    if (this.#document?.pending.length) return 'saving';
    return this.#document?.hasSaved ? 'saved' : 'connected';
  }

  #send<Type extends keyof ClientMessages>(type: Type, payload: ClientMessages[Type], messageId?: string): boolean {
    if (!this.#isJoined) return false;
    this.#host.send(type, payload, { roomId: this.id, ...(messageId && { messageId }) });
    return true;
  }

  /** The gateway may have forgotten what one shows, if the connection was away for long. */
  #showAgain(): void {
    const { selection, status, data } = this.self ?? {};
    if (selection) this.#showing.selection(selection);
    if (status) this.#showing.presence({ status });
    if (data !== undefined) this.#showing.presence({ data });
  }

  #sendSelection({ ranges, color }: OwnSelection): boolean {
    const document = this.#document;
    const place = (position: Position): Position | null => document?.confirmedPosition(position) ?? null;
    const placed: SelectionRange[] = [];
    for (const range of ranges) {
      const [anchor, head] = document ? [place(range.anchor), place(range.head)] : [range.anchor, range.head];
      // What is selected in something that the others do not have yet cannot be shown to them.
      if (anchor !== null && head !== null) placed.push({ anchor, head });
    }
    return this.#send('selection_change', { ranges: placed, color, ...(document && { version: document.version }) });
  }
}
