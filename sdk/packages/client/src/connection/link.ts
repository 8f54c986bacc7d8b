/**
 * A client's way to the gateway: one connection after the other, with the requests that wait on each.
 *
 *              connect                    connected
 *     closed ───────────▶ connecting ────────────────▶ connected
 *        ▲                  │    ▲                        │
 *        │  given up, or    │    │   lost, and may be     │
 *        ├──────────────────┘    └────────────────────────┤
 *        │  disconnect                                    │
 *        └────────────────────────────────────────────────┘   lost for good, or disconnect
 *
 * An attempt that fails is followed by another, as `reconnection` says. Whatever is under way, `disconnect` ends it.
 */

import type { ClientStatus } from '../status.js';
import { CloseCode, ConnectionClosed, ErrorCode, ProtocolError } from '../wire/errors.js';
import type { ClientMessages, ServerMessage, ServerMessages } from '../wire/messages.js';
import { Heartbeat } from './heartbeat.js';
import { Metrics } from './metrics.js';
import { Outbox } from './outbox.js';
import { asClosed } from './reconnection.js';
import type { LinkHandler, LinkOptions, Session } from './session.js';
import { Socket } from './socket.js';
import { onWakeup } from './wakeups.js';

export const CLIENT_VERSION = '0.1.0';

const MAX_BUFFERED = 65_536; // bytes
const PROBE_PATIENCE = 5000; // milliseconds for an answer, when the page is seen again

interface Ready {
  readonly promise: Promise<Session>;
  resolve(session: Session): void;
  reject(error: Error): void;
}

export class Link {
  readonly metrics: Metrics = new Metrics();
  readonly outbox: Outbox = new Outbox(data => this.#write(data));
  readonly #options: LinkOptions;
  readonly #handler: LinkHandler;
  readonly #heartbeat: Heartbeat;
  #status: ClientStatus = 'closed';
  #socket: Socket | undefined;
  #session: Session | undefined;
  #connectionId: string | undefined; // of the connection before this one, if it was lost
  #isOpen = false; // the handshake is done
  #protocol = '';
  #ready: Ready | undefined;
  #attempt = 0; // counts attempts: what belongs to an earlier one is of no interest
  #timer: ReturnType<typeof setTimeout> | undefined;
  #earliest = 0; // when the gateway is to be asked again, at the earliest
  #lastError: ProtocolError | undefined; // that ends the connection
  #stopWatching: () => void = () => {};

  constructor(options: LinkOptions, handler: LinkHandler) {
    this.#options = options;
    this.#handler = handler;
    const silent = () => this.#socket?.abandon(new ConnectionClosed(CloseCode.ABNORMAL, 'the gateway is silent'));
    this.#heartbeat = new Heartbeat(options.heartbeat, () => void this.ping().catch(() => {}), silent);
  }

  // The connection

  get status(): ClientStatus {
    return this.#status;
  }

  get session(): Session | undefined {
    return this.#session;
  }

  /** The subprotocol that was agreed upon. */
  get protocol(): string {
    return this.#protocol;
  }

  /** Resolves when there is a connection; rejects with ConnectionClosed if none will be made. */
  async ready(): Promise<Session> {
    if (this.#session) return this.#session;
    if (!this.#ready) throw new ConnectionClosed(CloseCode.ABNORMAL, 'not connected');
    return this.#ready.promise;
  }

  connect(): Promise<Session> {
    if (this.#status !== 'closed') return this.ready();
    this.#stopWatching = onWakeup(() => this.#wake());
    const { promise } = this.#expectSession();
    this.#setStatus('connecting');
    void this.#establish();
    return promise;
  }

  /** Says good-bye: the others see this participant leave at once. */
  disconnect(): void {
    if (this.#status === 'closed') return;
    this.#socket?.close();
    this.#connectionId = undefined; // there is nothing to resume
    this.#end(new ConnectionClosed(CloseCode.NORMAL, 'disconnected'));
  }

  async #establish(): Promise<void> {
    const attempt = ++this.#attempt;
    const { token: source, tokenInHandshake, connectTimeout } = this.#options;
    let token: string;
    try {
      token = typeof source === 'string' ? source : await source();
    } catch (error) {
      if (attempt === this.#attempt) this.#failed(error as Error);
      return;
    }
    if (attempt !== this.#attempt) return; // disconnected meanwhile
    const protocols = [...this.#options.protocols];
    if (tokenInHandshake) protocols.push(`fastcollab.token.${token}`);
    if (this.#connectionId) protocols.push(`fastcollab.resume.${this.#connectionId}`);
    this.#lastError = undefined;
    const late = new ConnectionClosed(CloseCode.ABNORMAL, 'the gateway has not answered in time');
    this.#timer = setTimeout(() => this.#socket?.abandon(late), connectTimeout);
    try {
      this.#socket = new Socket(this.#options.WebSocket, this.#options.url, protocols, {
        opened: protocol => {
          this.#isOpen = true;
          this.#protocol = protocol;
          if (!tokenInHandshake) this.#introduce(token);
        },
        textReceived: data => this.#textReceived(data),
        binaryReceived: data => this.#binaryReceived(data),
        closed: reason => this.#closed(reason),
      });
    } catch (error) {
      // An address or a token that no WebSocket takes: another attempt would fare no better.
      clearTimeout(this.#timer);
      this.#end(new ConnectionClosed(CloseCode.PROTOCOL_ERROR, (error as Error).message));
    }
  }

  #introduce(token: string): void {
    const payload: ClientMessages['connect'] = {
      token,
      deviceId: this.#options.deviceId,
      clientVersion: CLIENT_VERSION,
    };
    if (this.#connectionId) payload.connectionId = this.#connectionId;
    this.outbox.send('connect', payload);
  }

  #connected(payload: ServerMessages['connected']): void {
    const isFirst = !this.#session;
    const { connectionId, userId, numericId, limits, resumed } = payload;
    const session = { connectionId, userId, numericId, limits, resumed };
    this.#session = session;
    if (!isFirst) return;
    clearTimeout(this.#timer);
    if (this.#connectionId) this.metrics.reconnections++;
    this.#connectionId = connectionId;
    this.outbox.limit(limits);
    this.#options.reconnection?.connected(performance.now());
    this.#setStatus('connected');
    this.#handler.connected(session);
    this.#heartbeat.start();
    this.#ready?.resolve(session);
  }

  #closed({ code, reason }: ConnectionClosed): void {
    const error = this.#lastError;
    const closed = new ConnectionClosed(code, error?.message ?? reason, error?.details.retryAfterMs);
    const wasConnected = this.#session !== undefined;
    this.#letGo(closed);
    if (wasConnected) this.#expectSession();
    this.#failed(closed, wasConnected);
  }

  /** There is no connection: tries again, or gives up. */
  #failed(failure: Error, wasConnected = false): void {
    const now = performance.now();
    const delay = this.#options.reconnection?.failed(failure, now);
    if (delay === undefined) {
      this.#end(asClosed(failure));
      return;
    }
    if (wasConnected) this.#handler.disconnected(undefined);
    this.#earliest = now + (failure instanceof ConnectionClosed ? failure.retryAfter : 0);
    this.#timer = setTimeout(() => void this.#establish(), delay);
    this.#setStatus('connecting');
    this.#handler.retrying({ failure, delay });
  }

  /** What belongs to the connection that has ended is void. */
  #letGo(reason: ConnectionClosed): void {
    clearTimeout(this.#timer);
    this.#attempt++;
    this.#heartbeat.stop();
    this.#socket = this.#session = undefined;
    this.#isOpen = false;
    this.outbox.requests.fail(reason);
  }

  #end(reason: ConnectionClosed): void {
    this.#letGo(reason);
    this.#stopWatching();
    this.#handler.disconnected(reason);
    this.#ready?.reject(reason);
    this.#ready = undefined;
    this.#setStatus('closed');
  }

  #wake(): void {
    if (this.#session) {
      this.#heartbeat.probe(PROBE_PATIENCE);
    } else if (!this.#socket && performance.now() >= this.#earliest) {
      clearTimeout(this.#timer);
      void this.#establish();
    }
  }

  #expectSession(): Ready {
    this.#ready = withResolvers();
    this.#ready.promise.catch(() => {}); // whoever waits is told; nobody has to
    return this.#ready;
  }

  #setStatus(status: ClientStatus): void {
    if (status === this.#status) return;
    this.#status = status;
    this.#handler.statusChanged(status);
  }

  // The messages

  /** Whether the network takes what is sent: what is not urgent had better wait otherwise. */
  get isWritable(): boolean {
    return this.#socket !== undefined && this.#socket.bufferedAmount < MAX_BUFFERED;
  }

  /** The time that a message needs to the gateway and back, in milliseconds. */
  async ping(): Promise<number> {
    const started = performance.now();
    await this.outbox.ask('ping', { timestamp: Date.now() }, 'pong').payload;
    this.metrics.latency = performance.now() - started;
    return this.metrics.latency;
  }

  /** Has the connection go on with another token of the same user; resolves with its end, in Unix time (ms). */
  async refreshToken(token: string): Promise<number> {
    return (await this.outbox.ask('refresh_token', { token }, 'token_refreshed').payload).expiresAt;
  }

  #write(data: string | ArrayBuffer): void {
    if (!this.#socket || !this.#isOpen) throw new ConnectionClosed(CloseCode.ABNORMAL, 'not connected');
    this.#socket.send(data);
    this.metrics.sent(sizeOf(data), performance.now());
    this.#handler.traffic?.({ direction: 'out', data });
  }

  #textReceived(data: string): void {
    this.#heard(data);
    this.#dispatch(JSON.parse(data));
  }

  #binaryReceived(data: ArrayBuffer): void {
    this.#heard(data);
    this.#handler.binaryReceived(data);
  }

  #heard(data: string | ArrayBuffer): void {
    this.#heartbeat.heard();
    this.metrics.received(sizeOf(data), performance.now());
    this.#handler.traffic?.({ direction: 'in', data });
  }

  #dispatch(message: ServerMessage): void {
    switch (message.type) {
      case 'batch':
        for (const member of message.payload.messages) this.#dispatch(member);
        break;
      case 'connected':
        this.#connected(message.payload);
        break;
      case 'pong':
      case 'token_refreshed':
        this.outbox.requests.answer(message.type, undefined, message.payload);
        break;
      case 'token_expiring':
        void this.#tokenExpiring(message.payload.expiresAt);
        break;
      case 'error':
        this.#errorReceived(message.payload);
        this.#handler.received(message);
        break;
      default:
        this.#handler.received(message);
    }
  }

  #errorReceived({ code, message, details, recoverable }: ServerMessages['error']): void {
    this.metrics.failed(performance.now());
    if (!recoverable || !this.#session) this.#lastError = new ProtocolError(code, message, details, false);
    if (recoverable && !this.#session) {
      // The gateway would wait for another `connect`; here the next attempt asks for another token.
      const isToken = code === ErrorCode.INVALID_TOKEN;
      this.#socket?.abandon(new ConnectionClosed(isToken ? CloseCode.INVALID_TOKEN : CloseCode.ABNORMAL, message));
    }
  }

  async #tokenExpiring(expiresAt: number): Promise<void> {
    const { token } = this.#options;
    if (typeof token === 'string') {
      this.#handler.tokenExpiring(expiresAt);
      return;
    }
    try {
      await this.refreshToken(await token());
    } catch {
      // The gateway ends the connection when the time has come, and the next one asks for a token again.
      this.#handler.tokenExpiring(expiresAt);
    }
  }
}

function sizeOf(data: string | ArrayBuffer): number {
  return typeof data === 'string' ? data.length : data.byteLength;
}

function withResolvers(): Ready {
  let resolve!: (session: Session) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<Session>((fulfil, fail) => {
    resolve = fulfil;
    reject = fail;
  });
  return { promise, resolve, reject };
}
