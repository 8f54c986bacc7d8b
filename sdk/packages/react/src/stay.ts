/**
 * Staying in rooms: one stay per client and room, however many components want it.
 *
 * A room that the program itself has joined is used, and not left. The client may be closed, or get closed, while a room
 * is joined: the next `connect` tries again. Any other failure is the gateway's refusal, and stays until all components
 * have let go.
 */

import { type CollaborativeClient, ConnectionClosed, type DocumentType, type Room } from '@fastcollab/client';
import { Lease } from './lease.js';

export interface StayState {
  /** The room, when it is joined. */
  readonly room?: Room;
  /** Why it cannot be. */
  readonly error?: Error;
}

export const JOINING: StayState = {};

const stays = new WeakMap<CollaborativeClient, Map<string, Stay>>();

/** How the stay in a room goes; the same object until it says something else. */
export function stayState(client: CollaborativeClient, roomId: string): StayState {
  return stays.get(client)?.get(roomId)?.state ?? JOINING;
}

/** Joins the room unless it is joined already, and calls `changed` when `stayState` says something else. */
export function stay(
  client: CollaborativeClient,
  roomId: string,
  type: DocumentType | undefined,
  changed: () => void,
): () => void {
  const rooms = stays.get(client) ?? new Map<string, Stay>();
  stays.set(client, rooms);
  let current = rooms.get(roomId);
  if (!current || current.state.error) {
    current = new Stay(client, roomId, type);
    rooms.set(roomId, current);
  }
  return current.join(changed);
}

class Stay {
  state: StayState = JOINING;
  readonly #client: CollaborativeClient;
  readonly #roomId: string;
  readonly #type: DocumentType | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #lease: Lease = new Lease(
    () => this.#begin(),
    () => this.#end(),
  );
  #isOurs = true;
  #isAsking = false;
  #stopWatching: () => void = () => {};

  constructor(client: CollaborativeClient, roomId: string, type: DocumentType | undefined) {
    this.#client = client;
    this.#roomId = roomId;
    this.#type = type;
  }

  join(changed: () => void): () => void {
    this.#listeners.add(changed);
    const letGo = this.#lease.hold();
    return () => {
      this.#listeners.delete(changed);
      if (this.state.error && this.#isCurrent) stays.get(this.#client)?.delete(this.#roomId);
      letGo();
    };
  }

  get #isCurrent(): boolean {
    return stays.get(this.#client)?.get(this.#roomId) === this;
  }

  #begin(): void {
    this.#isOurs = !this.#client.rooms.has(this.#roomId);
    this.#stopWatching = this.#client.on('status', status => {
      if (status === 'connecting') void this.#ask();
    });
    if (this.#client.status !== 'closed') void this.#ask();
  }

  async #ask(): Promise<void> {
    if (this.#isAsking || this.state !== JOINING) return;
    this.#isAsking = true;
    try {
      const room = await this.#client.joinRoom(this.#roomId, this.#type && { type: this.#type });
      if (this.#isCurrent) this.#set({ room });
      else this.#leave();
    } catch (error) {
      if (!(error instanceof ConnectionClosed)) this.#set({ error: error as Error });
    }
    this.#isAsking = false;
    if (this.#isCurrent && this.#client.status !== 'closed') void this.#ask();
  }

  #end(): void {
    this.#stopWatching();
    if (this.#isCurrent) stays.get(this.#client)?.delete(this.#roomId);
    if (this.state.room) this.#leave();
  }

  /** Unless another stay has begun meanwhile, or the program has joined the room before. */
  #leave(): void {
    if (this.#isOurs && !stays.get(this.#client)?.has(this.#roomId)) this.#client.leaveRoom(this.#roomId);
  }

  #set(state: StayState): void {
    this.state = state;
    for (const changed of this.#listeners) changed();
  }
}
