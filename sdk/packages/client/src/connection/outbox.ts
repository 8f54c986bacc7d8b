/** Messages to the gateway, and the answers to them. */

import { Pacer } from '../pacing.js';
import { uuid } from '../uuid.js';
import { ErrorCode, ProtocolError } from '../wire/errors.js';
import {
  type ClientMessages,
  type Envelope,
  type Limits,
  PROTOCOL_VERSION,
  type ServerMessages,
} from '../wire/messages.js';
import { type Answer, type Request, Requests } from './requests.js';

const RATE_ATTEMPTS = 5; // of a request that is refused for its rate

export interface SendOptions {
  roomId?: string | undefined;
  targetUserId?: string | undefined;
  messageId?: string | undefined;
  acknowledgment?: boolean | undefined;
}

export class Outbox {
  readonly requests: Requests = new Requests();
  readonly #write: (data: string | ArrayBuffer) => void;
  #pacer: Pacer | undefined;

  /** `write` throws ConnectionClosed if there is no connection. */
  constructor(write: (data: string | ArrayBuffer) => void) {
    this.#write = write;
  }

  /** What the gateway allows from now on. */
  limit({ messages, burst }: Limits): void {
    this.#pacer = new Pacer(messages, burst);
  }

  /** Sends a message at once and returns its id. Throws ConnectionClosed if there is no connection. */
  send<Type extends keyof ClientMessages>(
    type: Type,
    payload: ClientMessages[Type],
    options: SendOptions = {},
  ): string {
    const { roomId, targetUserId, acknowledgment, messageId = uuid() } = options;
    const envelope: Envelope = { id: messageId, type, version: PROTOCOL_VERSION, timestamp: Date.now(), payload };
    if (roomId !== undefined) envelope.roomId = roomId;
    if (targetUserId !== undefined) envelope.targetUserId = targetUserId;
    if (acknowledgment) envelope.acknowledgment = true;
    this.#write(JSON.stringify(envelope));
    return messageId;
  }

  sendBinary(frame: ArrayBuffer): void {
    this.#write(frame);
  }

  /**
   * Sends a message at once, and returns the request that waits for its answer, which is about `answerRoomId` if it
   * does not repeat the message's id.
   */
  ask<Type extends keyof ClientMessages, Expected extends Answer>(
    type: Type,
    payload: ClientMessages[Type],
    answer: Expected,
    options: SendOptions & { answerRoomId?: string | undefined } = {},
  ): Request<Expected> {
    const request = this.requests.expect(answer, options.answerRoomId);
    const { messageId } = request;
    try {
      this.send(type, payload, { ...options, messageId, acknowledgment: answer === 'ack' || undefined });
    } catch (error) {
      this.requests.refuse(messageId, error as Error);
      throw error;
    }
    return request;
  }

  /**
   * Sends a message when the limits allow it, and resolves with the payload of its answer; rejects with the error that
   * answers it.
   */
  async request<Type extends keyof ClientMessages, Expected extends Answer>(
    type: Type,
    payload: ClientMessages[Type],
    answer: Expected,
    options: SendOptions = {},
  ): Promise<ServerMessages[Expected]> {
    for (let attempt = 1; ; attempt++) {
      const now = performance.now();
      const delay = this.#pacer?.delay(now) ?? 0;
      this.#pacer?.sent(now);
      if (delay > 0) await sleep(delay);
      try {
        return await this.ask(type, payload, answer, options).payload;
      } catch (error) {
        const isRate = error instanceof ProtocolError && error.code === ErrorCode.RATE_LIMIT;
        if (!isRate || error.details.retryAfterMs === undefined || attempt === RATE_ATTEMPTS) throw error;
        await sleep(error.details.retryAfterMs);
      }
    }
  }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds));
}
