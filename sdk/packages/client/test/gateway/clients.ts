/** Clients of the gateway that the tests share, which are disconnected when a test is over. */

import { inject, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { type ClientConfig, CollaborativeClient, type Emitter, type WebSocketConstructor } from '../../src/index.js';

export const NodeWebSocket: WebSocketConstructor = WebSocket;

export type User = 'ada' | 'ben' | 'eve';

/** A client of this user that is not connected yet. */
export function clientOf(user: User, config: Partial<ClientConfig> = {}): CollaborativeClient {
  const { url, tokens } = inject('gateway');
  const client = new CollaborativeClient({ url, token: tokens[user], WebSocket: NodeWebSocket, ...config });
  onTestFinished(() => client.disconnect());
  return client;
}

/** A client of this user that is connected. */
export async function connected(user: User, config: Partial<ClientConfig> = {}): Promise<CollaborativeClient> {
  const client = clientOf(user, config);
  await client.connect();
  return client;
}

/** A name for a room that no other test has. */
export function freshRoom(): string {
  return `room-${crypto.randomUUID()}`;
}

/** Resolves with the next value of an event for which `matches` holds. */
export function next<Events, Name extends keyof Events>(
  emitter: Emitter<Events>,
  event: Name,
  matches: (value: Events[Name]) => boolean = () => true,
): Promise<Events[Name]> {
  return new Promise(resolve => {
    const stop = emitter.on(event, value => {
      if (!matches(value)) return;
      stop();
      resolve(value);
    });
  });
}

/** Resolves when the condition holds; looks again every few milliseconds. */
export async function until(holds: () => boolean, patience = 10_000): Promise<void> {
  const deadline = performance.now() + patience;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`this does not come to hold: ${holds}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}
