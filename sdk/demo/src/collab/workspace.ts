/**
 * The page's rooms as one: the dashboard and its notes, each with a document of its own. Whether everything is saved is
 * a matter of all of them, and what is undone is what was done last, wherever that was.
 */

import type { Emitter, Room, SharedDocument, Status } from '@fastcollab/client';

type Document = Pick<SharedDocument, 'on' | 'canUndo' | 'canRedo' | 'undo' | 'redo' | 'pending'>;

/** The part of a room that counts here. */
export interface Workplace extends Pick<Room, 'id' | 'status'>, Pick<Emitter<{ status: Status }>, 'on'> {
  readonly document: Document;
}

export interface WorkspaceState {
  /** The least good status of a room; `connecting` before there is one. */
  readonly status: Status;
  /** How many operations wait for the gateway. */
  readonly pending: number;
  readonly canUndo: boolean;
  readonly canRedo: boolean;
}

/** From bad to good: what one of the rooms is, all of them together are. */
const BY_SEVERITY: readonly Status[] = ['closed', 'connecting', 'saving', 'saved', 'connected'];

export class Workspace {
  #rooms: Workplace[] = []; // that in which one's last edit was comes first
  #state: WorkspaceState = { status: 'connecting', pending: 0, canUndo: false, canRedo: false };
  readonly #listeners: Set<() => void> = new Set();

  get state(): WorkspaceState {
    return this.#state;
  }

  readonly subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  };

  /** Counts the room in, until the function that is returned is called. */
  add(room: Workplace): () => void {
    this.#rooms.push(room);
    const update = (): void => this.#update();
    const stops = [
      room.on('status', update),
      room.document.on('history', update),
      room.document.on('change', ({ origin }) => {
        if (origin !== 'remote') this.#rooms = [room, ...this.#rooms.filter(other => other !== room)];
        update();
      }),
    ];
    update();
    return () => {
      for (const stop of stops) stop();
      this.#rooms = this.#rooms.filter(other => other !== room);
      update();
    };
  }

  /** Takes back the last thing that was done here, in whichever room; nothing if there is none. */
  undo(): void {
    this.#rooms.find(room => room.document.canUndo)?.document.undo();
  }

  redo(): void {
    this.#rooms.find(room => room.document.canRedo)?.document.redo();
  }

  #update(): void {
    const rooms = this.#rooms;
    const next: WorkspaceState = {
      status: BY_SEVERITY.find(status => rooms.some(room => room.status === status)) ?? 'connecting',
      pending: rooms.reduce((total, room) => total + room.document.pending.length, 0),
      canUndo: rooms.some(room => room.document.canUndo),
      canRedo: rooms.some(room => room.document.canRedo),
    };
    const keys = Object.keys(next) as (keyof WorkspaceState)[];
    if (keys.every(key => next[key] === this.#state[key])) return;
    this.#state = next;
    for (const changed of this.#listeners) changed();
  }
}
