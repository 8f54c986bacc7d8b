/** A WebSocket as the client needs it: the only module that knows the browser's. */

import { CloseCode, ConnectionClosed } from '../wire/errors.js';

/** The part of a WebSocket that is used; browsers, Node from version 22 on, and the package `ws` have it. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly protocol: string;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null; // with `data`
  onclose: ((event: any) => void) | null; // with `code` and `reason`
  onerror: ((event: any) => void) | null;
  send(data: string | ArrayBuffer): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

/** Who is told about a socket: nothing after `closed`, which is called once. */
export interface SocketHandler {
  opened(protocol: string): void;
  textReceived(data: string): void;
  binaryReceived(data: ArrayBuffer): void;
  closed(reason: ConnectionClosed): void;
}

/** What a browser lets a page close with, apart from 1000: the application's own codes. */
const NOT_UNDERSTOOD = 3000;

export class Socket {
  readonly #socket: WebSocketLike;
  #handler: SocketHandler | undefined;

  constructor(make: WebSocketConstructor, url: string, protocols: string[], handler: SocketHandler) {
    this.#handler = handler;
    const socket = new make(url, protocols);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#handler?.opened(socket.protocol);
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code, reason }) => this.#end(new ConnectionClosed(code, reason));
    socket.onerror = () => {}; // `onclose` follows
  }

  /** Bytes that wait for the network: what is not urgent had better wait, too. */
  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  send(data: string | ArrayBuffer): void {
    this.#socket.send(data);
  }

  /** Says good-bye, and lets nothing more be heard. */
  close(): void {
    this.#handler = undefined;
    this.#socket.close(CloseCode.NORMAL);
  }

  /** Gives the connection up: `closed` is called now, and whatever still comes is ignored. */
  abandon(reason: ConnectionClosed): void {
    this.#end(reason);
    this.#socket.close(NOT_UNDERSTOOD, reason.reason.slice(0, 30));
  }

  #received(data: string | ArrayBuffer): void {
    try {
      if (typeof data === 'string') this.#handler?.textReceived(data);
      else this.#handler?.binaryReceived(data);
    } catch (error) {
      // Neither a fault of the gateway's nor one of ours gets better by going on.
      const reason = `a message that cannot be understood: ${(error as Error).message}`;
      this.abandon(new ConnectionClosed(CloseCode.PROTOCOL_ERROR, reason));
    }
  }

  #end(reason: ConnectionClosed): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.closed(reason);
  }
}
