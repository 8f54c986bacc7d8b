/**
 * The client: the rooms that are joined over a connection to a gateway, and what arrives for each.
 *
 * Calls that the gateway answers wait for that answer (`requests`). An error that names their message (X2) is thrown
 * from them; all others are told by `error`. Binary frames go to the active room and come from it (`active`), unless
 * they name their room.
 *
 * When the connection is lost and going to be made again (`link`), the rooms are told to wait, and are joined again in
 * the background before anything else can be sent. Only when it is given up have they ended; a later `connect` joins
 * them again all the same.
 */

import type { ClientConfig, ClientEvents, JoinOptions } from './config.js';
import { ActiveRoom } from './connection/active.js';
import { Link } from './connection/link.js';
import type { ConnectionMetrics } from './connection/metrics.js';
import { DEFAULT_POLICY, Reconnection } from './connection/reconnection.js';
import { Rejoining } from './connection/rejoining.js';
import type { Request } from './connection/requests.js';
import type { LinkHandler, Session, Traffic } from './connection/session.js';
import type { WebSocketConstructor } from './connection/socket.js';
import { Journal } from './document/journal.js';
import type { UndoOptions } from './document/undo.js';
import { Emitter } from './events.js';
import type { DocumentType } from './ot/type.js';
import type { PendingStore } from './persistence/store.js';
import { Room, type RoomHost } from './room/room.js';
import type { CursorPosition } from './room/showing.js';
import type { ClientStatus } from './status.js';
import { uuid } from './uuid.js';
import { ConnectionClosed, ErrorCode, FastcollabError, ProtocolError } from './wire/errors.js';
import { CURSOR, decodeFrames, encodeFrame } from './wire/frames.js';
import type { SelectionRange, ServerMessage, ServerMessages } from './wire/messages.js';

const BATCHED = 'fastcollab.v1.batch';
const PLAIN = 'fastcollab.v1';

/** Where there is none a client can be made, for a page that is rendered on the server, but not connected. */
const missingWebSocket = class {
  constructor() {
    throw new FastcollabError('there is no global WebSocket here: pass a class as `WebSocket`');
  }
} as unknown as WebSocketConstructor;

export class CollaborativeClient extends Emitter<ClientEvents> {
  /** The gateway's address. */
  readonly url: string;
  readonly #link: Link;
  readonly #types: Map<string, DocumentType> = new Map();
  readonly #rooms: Map<string, Room> = new Map();
  readonly #joining: Map<string, Promise<Room>> = new Map();
  readonly #journals: Map<string, Journal> = new Map(); // of rooms that are being joined for the first time
  readonly #byHandle: Map<number, Room> = new Map();
  readonly #active = new ActiveRoom();
  readonly #rejoining: Rejoining;
  readonly #roomHost: RoomHost;
  readonly #persistence: PendingStore | undefined;
  readonly #sendsBinary: boolean;
  #userId = '';
  #current: string | undefined; // the room that calls without one mean

  constructor(config: ClientConfig) {
    super();
    const { url, token, types = [], cursors = 'batched', reconnect = true, checksumEvery = 50, undo = {} } = config;
    const policy = { ...DEFAULT_POLICY, ...(typeof reconnect === 'object' && reconnect) };
    for (const type of types) this.#types.set(type.name, type);
    this.url = url;
    this.#persistence = config.persistence;
    this.#sendsBinary = cursors !== 'json';
    const options = {
      url,
      token,
      tokenInHandshake: config.tokenInHandshake ?? true,
      protocols: cursors === 'batched' ? [BATCHED, PLAIN] : [PLAIN],
      deviceId: config.deviceId ?? uuid(),
      connectTimeout: config.connectTimeout ?? 10_000,
      heartbeat: config.heartbeat ?? 20_000,
      reconnection: reconnect ? new Reconnection(policy, typeof token === 'function') : undefined,
      WebSocket: config.WebSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined) ?? missingWebSocket,
    };
    this.#link = new Link(options, this.#linkHandler());
    this.#rejoining = new Rejoining(
      policy,
      roomId => this.#askToJoin(roomId),
      (roomId, error) => this.#notJoined(roomId, error),
    );
    this.#roomHost = this.#makeRoomHost(checksumEvery, undo, config.trace);
  }

  // The connection

  /** `connecting`, `connected` or `closed`; while a lost connection is made again, `connecting`. */
  get status(): ClientStatus {
    return this.#link.status;
  }

  /** What the gateway said on connecting; undefined while there is no connection. */
  get session(): Session | undefined {
    return this.#link.session;
  }

  /** The own user's id, once there was a connection. */
  get userId(): string {
    return this.#userId;
  }

  get metrics(): ConnectionMetrics {
    return this.#link.metrics.snapshot(performance.now());
  }

  /**
   * Connects, and joins the rooms again that were joined before. Resolves when the token is accepted, however many
   * attempts that takes; rejects with ConnectionClosed when no further attempt is made.
   */
  async connect(): Promise<void> {
    await this.#link.connect();
  }

  /**
   * Says good-bye: the others see this participant leave. Rooms stay open for editing, and are joined again by the next
   * `connect`; whoever waits for an answer gets ConnectionClosed.
   */
  disconnect(): void {
    this.#link.disconnect();
  }

  /** The time that a message needs to the gateway and back, in milliseconds. */
  ping(): Promise<number> {
    return this.#link.ping();
  }

  /** Has the connection go on with another token of the same user; resolves with its end, in Unix time (ms). */
  refreshToken(token: string): Promise<number> {
    return this.#link.refreshToken(token);
  }

  // Rooms

  /** The rooms that are joined, by id. */
  get rooms(): ReadonlyMap<string, Room> {
    return this.#rooms;
  }

  /** The room that was joined last: what calls mean that name none; undefined if no room is joined. */
  get activeRoom(): Room | undefined {
    return this.#rooms.get(this.#current ?? '');
  }

  /**
   * Joins a room, and resolves with it; the same one if it is joined already. Waits for a connection if one is being
   * made. Rejects with the gateway's refusal, or ConnectionClosed if there is no connection and none will be made.
   */
  joinRoom<Content = any, Operation = any, Data = unknown>(
    roomId: string,
    options: JoinOptions<Content, Operation> = {},
  ): Promise<Room<Content, Operation, Data>> {
    if (options.type) this.#types.set(options.type.name, options.type);
    let joining = this.#joining.get(roomId);
    if (!joining) {
      joining = this.#join(roomId, options.type?.name).finally(() => this.#joining.delete(roomId));
      this.#joining.set(roomId, joining);
    }
    return joining as Promise<Room<Content, Operation, Data>>;
  }

  /** Leaves a room; what is pending in its document stays there, or in the store of `persistence`. */
  leaveRoom(roomId: string): void {
    const room = this.#rooms.get(roomId);
    if (!room) return;
    if (this.session) {
      this.#link.outbox.ask('leave_room', { roomId }, 'room_left', { answerRoomId: roomId });
      this.#active.becomesUncertain();
    }
    this.#forget(room);
  }

  /** Edits the document of the active room; resolves when the gateway has the operation, see `SharedDocument.submit`. */
  async sendOperation(operation: unknown): Promise<void> {
    await this.#expectRoom().document.submit(operation);
  }

  /** Shows in the active room where the pointer is. */
  updateCursor(position: CursorPosition): void {
    this.#expectRoom().updateCursor(position);
  }

  /** Shows in the active room what is selected. */
  updateSelection(ranges: readonly SelectionRange[]): void {
    this.#expectRoom().updateSelection(ranges);
  }

  #expectRoom(): Room {
    const room = this.activeRoom;
    if (!room) throw new FastcollabError('no room is joined');
    return room;
  }

  async #join(roomId: string, documentType: string | undefined): Promise<Room> {
    for (;;) {
      await this.#link.ready();
      try {
        const known = this.#rooms.get(roomId);
        if (!known || known.status === 'closed') {
          await this.#openJournal(roomId);
          await this.#askToJoin(roomId, documentType).payload;
        }
        const room = this.#rooms.get(roomId)!;
        const rejection = await room.adopt();
        if (rejection) this.emit('rejected', { roomId, ...rejection });
        this.#activate(roomId);
        return room;
      } catch (error) {
        this.#closeJournal(roomId);
        if (!(error instanceof ConnectionClosed) || this.status !== 'connecting') throw error;
      }
    }
  }

  #askToJoin(roomId: string, documentType?: string): Request<'room_joined'> {
    const payload = this.#rooms.get(roomId)?.joinRequest() ?? { roomId };
    if (documentType !== undefined) payload.documentType = documentType;
    const request = this.#link.outbox.ask('join_room', payload, 'room_joined', { answerRoomId: roomId });
    this.#active.becomesUncertain();
    return request;
  }

  async #openJournal(roomId: string): Promise<void> {
    if (!this.#persistence || this.#rooms.has(roomId) || this.#journals.has(roomId)) return;
    const slot = await this.#persistence.open(JSON.stringify([this.url, this.#userId, roomId]));
    const room = (): Room | undefined => this.#rooms.get(roomId);
    const kept = (): void => room()?.pendingKept();
    this.#journals.set(roomId, new Journal(slot, kept, error => this.#tell(error, roomId)));
  }

  #closeJournal(roomId: string): void {
    this.#journals.get(roomId)?.close();
    this.#journals.delete(roomId);
  }

  #notJoined(roomId: string, error: ProtocolError): void {
    this.#tell(error, roomId);
    this.#rooms.get(roomId)?.suspend(error);
  }

  #forget(room: Room): void {
    this.#rooms.delete(room.id);
    this.#rejoining.forget(room.id);
    for (const [handle, other] of this.#byHandle) if (other === room) this.#byHandle.delete(handle);
    if (this.#current === room.id) this.#activate([...this.#rooms.keys()].at(-1));
    room.left();
  }

  #activate(roomId: string | undefined): void {
    this.#current = roomId;
    this.emit('activeRoom', this.activeRoom);
  }

  #makeRoomHost(checksumEvery: number, undo: UndoOptions, trace: ClientConfig['trace']): RoomHost {
    const client = this;
    return {
      get userId() {
        return client.#userId;
      },
      undo,
      checksumEvery,
      trace,
      send: (type, payload, options) => this.#link.outbox.send(type, payload, options),
      request: (type, payload, answer, options) => this.#link.outbox.request(type, payload, answer, options),
      sendCursor: (roomId, position, timestamp) => this.#sendCursor(roomId, position, timestamp),
      rejoin: roomId => {
        if (this.session) this.#rejoining.start(roomId);
      },
    };
  }

  #sendCursor(roomId: string, position: CursorPosition, timestamp: number): boolean {
    if (!this.session || !this.#link.isWritable || !this.#active.has(roomId)) return false;
    if (!this.#sendsBinary) {
      const { x, y, viewportX = 0, viewportY = 0 } = position;
      this.#link.outbox.send('cursor_move', { x, y, viewportX, viewportY, timestamp }, { roomId });
      return true;
    }
    if (this.#active.forSending !== roomId) {
      const messageId = this.#link.outbox.send('activate_room', { roomId }, { roomId, acknowledgment: true });
      this.#active.activationSent(roomId, messageId);
    }
    // The gateway knows the user, and writes the number itself (B2).
    this.#link.outbox.sendBinary(encodeFrame(CURSOR, { user: 0, timestamp: timestamp >>> 0, ...position }));
    return true;
  }

  // What the connection tells

  #linkHandler(): LinkHandler {
    const client = this;
    return {
      received: message => this.#received(message),
      binaryReceived: data => this.#binaryReceived(data),
      connected: session => this.#connected(session),
      disconnected: reason => this.#disconnected(reason),
      statusChanged: status => this.#statusChanged(status),
      retrying: retry => this.emit('reconnecting', retry),
      tokenExpiring: expiresAt => this.emit('tokenExpiring', expiresAt),
      get traffic() {
        return client.isObserved('traffic') ? (traffic: Traffic) => client.emit('traffic', traffic) : undefined;
      },
    };
  }

  #connected(session: Session): void {
    this.#userId = session.userId;
    const byActivity = [...this.#rooms.keys()].sort(
      (a, b) => Number(a === this.#current) - Number(b === this.#current),
    );
    for (const roomId of byActivity) this.#rejoining.start(roomId);
    this.emit('connected', session);
  }

  #disconnected(reason: ConnectionClosed | undefined): void {
    this.#active.forget();
    this.#byHandle.clear();
    this.#rejoining.cancel();
    if (!reason) return;
    for (const room of this.#rooms.values()) room.suspend(reason);
    this.emit('closed', reason);
  }

  #statusChanged(status: ClientStatus): void {
    if (status === 'connecting') for (const room of this.#rooms.values()) room.interrupt();
    this.emit('status', status);
  }

  #binaryReceived(data: ArrayBuffer): void {
    const active = this.#rooms.get(this.#active.forReceived ?? '');
    decodeFrames(data, (kind, handle, record) => {
      const room = handle === undefined ? active : this.#byHandle.get(handle);
      room?.recordReceived(kind, record); // otherwise it was left just now
    });
  }

  #received(message: ServerMessage): void {
    switch (message.type) {
      case 'ack':
        this.#ackReceived(message.payload, message.roomId);
        break;
      case 'error':
        this.#errorReceived(message.payload, message.roomId);
        break;
      case 'room_joined':
        this.#roomJoined(message.payload);
        break;
      case 'room_left':
        this.#roomLeft(message.payload.roomId);
        break;
      case 'document':
      case 'history':
        this.#link.outbox.requests.acknowledge(message.payload.messageId, message.payload);
        break;
      default: {
        const room = this.#rooms.get(message.roomId ?? '');
        if (room) dispatchToRoom(room, message);
      }
    }
  }

  #roomJoined(payload: ServerMessages['room_joined']): void {
    const { roomId } = payload;
    let room = this.#rooms.get(roomId);
    if (!room) {
      room = new Room(roomId, this.#roomHost, this.session!.limits, this.#journals.get(roomId));
      this.#journals.delete(roomId);
      this.#rooms.set(roomId, room);
    }
    this.#byHandle.set(payload.handle, room);
    this.#link.outbox.requests.answer('room_joined', roomId, payload);
    this.#active.joined(roomId, this.#link.outbox.requests.has('room_joined'));
    room.joined(payload, this.#types.get(payload.documentState.type));
  }

  #roomLeft(roomId: string): void {
    const wasAsked = this.#link.outbox.requests.answer('room_left', roomId, { roomId });
    this.#active.left(roomId);
    const room = this.#rooms.get(roomId);
    if (room && !wasAsked) this.#forget(room);
  }

  #ackReceived({ messageId, version }: ServerMessages['ack'], roomId: string | undefined): void {
    const isAnswer = this.#link.outbox.requests.acknowledge(messageId, { messageId, version });
    if (isAnswer || this.#active.activationAcknowledged(messageId)) return;
    if (version !== undefined) this.#rooms.get(roomId ?? '')?.operationAcknowledged(messageId, version);
  }

  #errorReceived({ code, message, details, recoverable }: ServerMessages['error'], roomId: string | undefined): void {
    const error = new ProtocolError(code, message, details, recoverable);
    const messageId = error.details.messageId ?? '';
    const room = this.#rooms.get(roomId ?? '');
    if (this.#link.outbox.requests.refuse(messageId, error)) return;
    if (code === ErrorCode.NO_PERMISSION && !messageId && room) room.expelled(error);
    else if (code === ErrorCode.VERSION_MISMATCH && !messageId && room) room.madeAnew(error);
    else if (![...this.#rooms.values()].some(each => each.operationRefused(messageId, error))) {
      this.#active.activationRefused(messageId);
      this.#tell(error, roomId);
    }
  }

  /** An error that no call waits for goes to the room that it is about. */
  #tell(error: Error, roomId: string | undefined): void {
    const room = this.#rooms.get(roomId ?? '');
    if (room) room.failed(error);
    else this.emit('error', error);
  }
}

function dispatchToRoom(room: Room, message: ServerMessage): void {
  switch (message.type) {
    case 'operation_broadcast':
      room.operationReceived(message.payload);
      break;
    case 'presence_update':
      room.presenceReceived(message.payload);
      break;
    case 'user_joined':
      room.participantJoined(message.payload);
      break;
    case 'user_left':
      room.participantLeft(message.payload);
      break;
    case 'event':
      room.eventReceived(message.payload);
      break;
    case 'permission_changed':
      room.permissionChanged(message.payload.permission);
      break;
    // Types that this version does not know are those of a newer gateway, and harmless.
  }
}
