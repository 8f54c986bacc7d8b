/** Keeps the newest messages of the client, for the inspector, from the beginning on. */

import type { CollaborativeClient } from '@fastcollab/client';
import { Ring } from '../model/ring.js';
import { Message } from '../model/traffic.js';

const KEPT = 2000;

export class Recorder {
  readonly #messages = new Ring<Message>(KEPT);
  isPaused = false;

  constructor(client: Pick<CollaborativeClient, 'on'>) {
    client.on('traffic', traffic => {
      if (!this.isPaused) this.#messages.push(new Message(this.#messages.count, Date.now(), traffic));
    });
  }

  /** How many messages were kept so far, those that are gone by now included. */
  get count(): number {
    return this.#messages.count;
  }

  messages(): Message[] {
    return this.#messages.toArray();
  }

  clear(): void {
    this.#messages.clear();
  }
}
