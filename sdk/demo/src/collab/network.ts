/**
 * A network that can be cut: a class of WebSockets that all fail while it is, as they do when a cable is pulled. The
 * client is given this class, and knows nothing of the switch.
 */

import type { WebSocketLike } from '@fastcollab/client';

const ABNORMAL = 1006; // what a browser says of a connection that ended without a close frame

export class Network {
  readonly WebSocket: new (
    url: string,
    protocols: string[],
  ) => WebSocketLike;
  readonly #open: Set<Cable> = new Set();
  readonly #listeners: Set<() => void> = new Set();
  #isCut = false;

  constructor() {
    const network = this;
    this.WebSocket = class extends Cable {
      constructor(url: string, protocols: string[]) {
        super(network.#isCut ? undefined : new WebSocket(url, protocols), cable => network.#open.delete(cable));
        network.#open.add(this);
      }
    };
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  cut(): void {
    this.#set(true);
    for (const cable of [...this.#open]) cable.pull();
  }

  /** Lets connections be made again; clients that wait for their next attempt are told, as by the browser. */
  mend(): void {
    this.#set(false);
    window.dispatchEvent(new Event('online'));
  }

  readonly subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  };

  #set(isCut: boolean): void {
    this.#isCut = isCut;
    for (const changed of this.#listeners) changed();
  }
}

/** A WebSocket that can be pulled out; without a socket it is from the beginning. */
class Cable implements WebSocketLike {
  binaryType = 'arraybuffer';
  onopen: ((event: any) => void) | null = null;
  onmessage: ((event: { data: any }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: any) => void) | null = null;
  readonly #socket: WebSocket | undefined;
  readonly #ended: (cable: Cable) => void;
  #isPulled = false;

  constructor(socket: WebSocket | undefined, ended: (cable: Cable) => void) {
    this.#socket = socket;
    this.#ended = ended;
    if (!socket) {
      setTimeout(() => this.pull());
      return;
    }
    socket.binaryType = 'arraybuffer';
    socket.onopen = event => this.onopen?.(event);
    socket.onmessage = event => this.onmessage?.(event);
    socket.onerror = event => this.onerror?.(event);
    socket.onclose = ({ code, reason }) => this.#end(code, reason);
  }

  get bufferedAmount(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  get protocol(): string {
    return this.#socket?.protocol ?? '';
  }

  send(data: string | ArrayBuffer): void {
    if (!this.#isPulled) this.#socket?.send(data);
  }

  close(code?: number, reason?: string): void {
    this.#socket?.close(code, reason);
  }

  /** Nothing goes through any more, in either direction, and who holds this end notices. */
  pull(): void {
    if (this.#isPulled) return;
    this.#isPulled = true;
    if (this.#socket) {
      this.#socket.onopen = this.#socket.onmessage = this.#socket.onerror = this.#socket.onclose = null;
      this.#socket.close(); // without a code: to the gateway a lost connection, and no good-bye
    }
    this.#end(ABNORMAL, '');
  }

  #end(code: number, reason: string): void {
    this.#ended(this);
    this.onclose?.({ code, reason });
  }
}
