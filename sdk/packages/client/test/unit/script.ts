/** A gateway in the same program, which says what a test has it say. */

import { type ClientConfig, CollaborativeClient, type WebSocketLike } from '../../src/index.js';
import type { ClientMessage, DocumentState, ServerMessages, WireParticipant } from '../../src/wire/messages.js';

export const LIMITS: ServerMessages['connected']['limits'] = {
  cursorUpdates: 60,
  operations: 30,
  messages: 120,
  burst: 2,
  connections: 5,
  rooms: 10,
  participants: 500,
  maxMessageBytes: 1_048_576,
  maxOperationBytes: 1_048_576,
  maxMessagesPerBatch: 100,
};

export const ADA: WireParticipant = { userId: 'ada', numericId: 7, name: 'Ada', color: '#f00', presence: {} };
export const BEN: WireParticipant = { userId: 'ben', numericId: 8, name: 'Ben', color: '#00f', presence: {} };

/** The gateway's end of one connection. */
export class ScriptedSocket implements WebSocketLike {
  binaryType = '';
  bufferedAmount = 0;
  protocol = '';
  onopen: WebSocketLike['onopen'] = null;
  onmessage: WebSocketLike['onmessage'] = null;
  onclose: WebSocketLike['onclose'] = null;
  onerror: WebSocketLike['onerror'] = null;
  readonly url: string;
  readonly protocols: string[];
  readonly texts: string[] = [];
  readonly frames: ArrayBuffer[] = [];
  closedWith: number | undefined;

  constructor(url: string, protocols: string[]) {
    this.url = url;
    this.protocols = protocols;
  }

  send(data: string | ArrayBuffer): void {
    if (typeof data === 'string') this.texts.push(data);
    else this.frames.push(data);
  }

  close(code?: number): void {
    this.closedWith = code ?? 1005;
  }

  /** The messages that the client has sent, and of one type if that is given. */
  sent(): ClientMessage[];
  sent<Type extends ClientMessage['type']>(type: Type): Extract<ClientMessage, { type: Type }>[];
  sent(type?: string): ClientMessage[] {
    const messages = this.texts.map(text => JSON.parse(text) as ClientMessage);
    return type === undefined ? messages : messages.filter(message => message.type === type);
  }

  say<Type extends keyof ServerMessages>(type: Type, payload: ServerMessages[Type], roomId?: string): void {
    const envelope = { id: '00000000-0000-4000-8000-000000000000', type, version: 1, timestamp: 0, payload, roomId };
    this.onmessage?.({ data: JSON.stringify(envelope) });
  }

  sayBinary(data: ArrayBuffer): void {
    this.onmessage?.({ data });
  }

  accept(connected: Partial<ServerMessages['connected']> = {}, protocol = 'fastcollab.v1.batch'): void {
    this.protocol = protocol;
    this.onopen?.({});
    this.say('connected', {
      connectionId: 'c1',
      userId: 'ada',
      serverTime: 0,
      protocol: 1,
      numericId: 7,
      heartbeatInterval: 20_000,
      resumed: false,
      limits: LIMITS,
      ...connected,
    });
  }

  joined(
    roomId: string,
    documentState: Partial<DocumentState>,
    more: Partial<ServerMessages['room_joined']> = {},
  ): void {
    const state = { type: 'text', data: '', version: 0, epoch: 'e1', ...documentState };
    this.say(
      'room_joined',
      {
        roomId,
        handle: 1,
        participants: [ADA, BEN],
        documentState: state,
        version: state.version,
        permission: 'write',
        ...more,
      },
      roomId,
    );
  }

  /** The connection ends. */
  end(code: number, reason = ''): void {
    this.onclose?.({ code, reason });
  }
}

export class Script {
  readonly sockets: ScriptedSocket[] = [];

  /** The newest connection. */
  get socket(): ScriptedSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('the client has not connected');
    return socket;
  }

  client(config: Partial<ClientConfig> = {}): CollaborativeClient {
    const { sockets } = this;
    return new CollaborativeClient({
      url: 'ws://gateway/ws',
      token: 'a.b.c',
      WebSocket: class extends ScriptedSocket {
        constructor(url: string, protocols: string[]) {
          super(url, protocols);
          sockets.push(this);
        }
      },
      ...config,
    });
  }
}

/** Lets promises that are settled have their effect. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
