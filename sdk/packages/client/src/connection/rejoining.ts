/**
 * Joining rooms again in the background: after a reconnection, or because a copy of a document has parted.
 *
 * A refusal that passes, for the rate or because the gateway cannot serve the room now, is followed by another attempt,
 * as long as the connection lives. A loss of the connection is nobody's failure here: all rooms are joined again on the
 * next.
 */

import { ErrorCode, ProtocolError } from '../wire/errors.js';
import { jitter, type ReconnectPolicy, retryAfter } from './reconnection.js';
import type { Request } from './requests.js';

export class Rejoining {
  readonly #policy: ReconnectPolicy;
  readonly #ask: (roomId: string) => Request;
  readonly #failed: (roomId: string, error: ProtocolError) => void;
  readonly #underWay: Map<string, object> = new Map(); // the latest request of each room

  /** `ask` sends the request; `failed` is told of a refusal that does not pass. */
  constructor(
    policy: ReconnectPolicy,
    ask: (roomId: string) => Request,
    failed: (roomId: string, error: ProtocolError) => void,
  ) {
    this.#policy = policy;
    this.#ask = ask;
    this.#failed = failed;
  }

  /** Sends the request at once, so that nothing on the connection goes before it. */
  start(roomId: string): void {
    this.#follow(roomId, 0);
  }

  /** The connection has ended. */
  cancel(): void {
    this.#underWay.clear();
  }

  /** The room was left. */
  forget(roomId: string): void {
    this.#underWay.delete(roomId);
  }

  #follow(roomId: string, attempt: number): void {
    const request = this.#ask(roomId);
    const isLatest = (): boolean => this.#underWay.get(roomId) === request;
    this.#underWay.set(roomId, request);
    request.payload.then(
      () => isLatest() && this.#underWay.delete(roomId),
      (error: Error) => {
        if (!isLatest() || !(error instanceof ProtocolError)) return;
        if (passes(error)) {
          const delay = retryAfter(error) + jitter(this.#policy, attempt, Math.random);
          setTimeout(() => isLatest() && this.#follow(roomId, attempt + 1), delay);
        } else {
          this.#underWay.delete(roomId);
          this.#failed(roomId, error);
        }
      },
    );
  }
}

/** Whether the room may be joined a little later. A limit on the number of rooms is a RATE_LIMIT, and stays. */
function passes({ code, details }: ProtocolError): boolean {
  if (code === ErrorCode.RATE_LIMIT) return details.retryAfterMs !== undefined;
  return code === ErrorCode.INTERNAL_ERROR || code === ErrorCode.SERVICE_UNAVAILABLE;
}
