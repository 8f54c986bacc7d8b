/**
 * Who waits for which answer of the gateway.
 *
 * `ack`, `error`, `document` and `history` repeat the id of the message that they answer. `connected`, `room_joined`,
 * `room_left` and `pong` do not, but come in the order of the questions (E5): each answers the oldest request for one of
 * its kind.
 */

import { uuid } from '../uuid.js';
import type { ConnectionClosed } from '../wire/errors.js';
import type { ServerMessages } from '../wire/messages.js';

export type Answer = keyof ServerMessages;

export interface Request<Type extends Answer = Answer> {
  /** The id to send the message with. */
  readonly messageId: string;
  readonly payload: Promise<ServerMessages[Type]>;
}

interface Waiting {
  readonly answer: Answer;
  readonly roomId: string | undefined;
  resolve(payload: any): void;
  reject(error: Error): void;
}

export class Requests {
  #waiting: Map<string, Waiting> = new Map(); // the oldest first

  /** A new request for a message of type `answer`, about `roomId` if that is given. */
  expect<Type extends Answer>(answer: Type, roomId?: string): Request<Type> {
    const messageId = uuid();
    const payload = new Promise<ServerMessages[Type]>((resolve, reject) => {
      this.#waiting.set(messageId, { answer, roomId, resolve, reject });
    });
    payload.catch(() => {}); // whoever asked is told; where nobody did, a failure is no news
    return { messageId, payload };
  }

  /** Whether anything waits for an answer of this type. */
  has(answer: Answer): boolean {
    return [...this.#waiting.values()].some(waiting => waiting.answer === answer);
  }

  /** Answers the oldest request that waits for this; false if none does: the gateway speaks of its own accord. */
  answer<Type extends Answer>(answer: Type, roomId: string | undefined, payload: ServerMessages[Type]): boolean {
    for (const [messageId, waiting] of this.#waiting) {
      if (waiting.answer === answer && waiting.roomId === roomId) return this.acknowledge(messageId, payload);
    }
    return false;
  }

  /** Answers the request with this id; false if there is none. */
  acknowledge(messageId: string, payload: unknown): boolean {
    const waiting = this.#take(messageId);
    waiting?.resolve(payload);
    return waiting !== undefined;
  }

  /** Fails the request with this id; false if there is none. */
  refuse(messageId: string, error: Error): boolean {
    const waiting = this.#take(messageId);
    waiting?.reject(error);
    return waiting !== undefined;
  }

  /** The connection has ended, and no answer will come. */
  fail(reason: ConnectionClosed): void {
    const waiting = this.#waiting;
    this.#waiting = new Map();
    for (const each of waiting.values()) each.reject(reason);
  }

  #take(messageId: string): Waiting | undefined {
    const waiting = this.#waiting.get(messageId);
    this.#waiting.delete(messageId);
    return waiting;
  }
}
