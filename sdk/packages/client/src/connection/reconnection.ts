/**
 * After a connection was lost: whether to try again, and when. Without sockets, and told the time by the caller.
 *
 * Whether is the protocol's to say, by its table of close codes (X3). Where nobody answers, or no token can be had, that
 * may pass; a browser does not tell why a connection could not be made.
 *
 * When is exponential backoff with full jitter: before the n-th attempt a random time from nothing to `base * 2**n`, at
 * most `cap`. When a gateway restarts, all its clients are lost in one moment; spread over the whole interval they come
 * back in an even stream. A time that the gateway asks for is waited first, and the jitter comes on top.
 *
 * A connection that does not hold is no better than an attempt that fails, so it takes `HOLDS` of connection for the
 * delays to start small again.
 */

import { CloseCode, ConnectionClosed, ErrorCode, ProtocolError, reconnects } from '../wire/errors.js';

const HOLDS = 5000; // milliseconds after which a connection counts as a good one

/** How long to go on trying; times in milliseconds. */
export interface ReconnectPolicy {
  /** The longest delay before the first attempt; by default 250. */
  readonly base: number;
  /** The longest delay of all; by default 30,000. */
  readonly cap: number;
  /** How many attempts are made in a row; by default without end. */
  readonly maxAttempts: number;
  /** The time since the loss at which the last attempt begins; by default without end. */
  readonly giveUpAfter: number;
}

export const DEFAULT_POLICY: ReconnectPolicy = {
  base: 250,
  cap: 30_000,
  maxAttempts: Number.POSITIVE_INFINITY,
  giveUpAfter: Number.POSITIVE_INFINITY,
};

/** The delay before the attempt with this number, counted from 0; `random` is as `Math.random`. */
export function jitter(policy: ReconnectPolicy, attempt: number, random: () => number): number {
  return random() * Math.min(policy.cap, policy.base * 2 ** attempt);
}

/** One client's losses and attempts. `freshTokens`: a token that was refused can be replaced by another. */
export class Reconnection {
  readonly #policy: ReconnectPolicy;
  readonly #freshTokens: boolean;
  readonly #random: () => number;
  #attempts = 0;
  #lostAt = 0;
  #connectedAt: number | undefined;

  constructor(policy: ReconnectPolicy, freshTokens: boolean, random: () => number = Math.random) {
    this.#policy = policy;
    this.#freshTokens = freshTokens;
    this.#random = random;
  }

  connected(now: number): void {
    this.#connectedAt = now;
  }

  /** The connection was lost, or was not made: how long to wait before the next attempt; undefined: give up. */
  failed(failure: Error, now: number): number | undefined {
    if (this.#connectedAt !== undefined && now - this.#connectedAt >= HOLDS) this.#attempts = 0;
    this.#connectedAt = undefined;
    if (!this.#attempts) this.#lostAt = now;
    const policy = this.#policy;
    if (!mayPass(failure, this.#freshTokens) || this.#attempts >= policy.maxAttempts) return undefined;
    const delay = retryAfter(failure) + jitter(policy, this.#attempts, this.#random);
    if (now + delay - this.#lostAt > policy.giveUpAfter) return undefined;
    this.#attempts++;
    return delay;
  }
}

/** Whether another attempt may succeed where this one failed, or where the connection was lost. */
export function mayPass(failure: Error, freshTokens: boolean): boolean {
  if (failure instanceof ConnectionClosed) {
    return failure.code === CloseCode.INVALID_TOKEN ? freshTokens : reconnects(failure.code);
  }
  if (failure instanceof ProtocolError) {
    const { code } = failure;
    if (code === ErrorCode.INVALID_TOKEN) return freshTokens;
    return code === ErrorCode.RATE_LIMIT || code === ErrorCode.INTERNAL_ERROR || code === ErrorCode.SERVICE_UNAVAILABLE;
  }
  return true;
}

/** How long the gateway asks to be left alone, in milliseconds. */
export function retryAfter(failure: Error): number {
  if (failure instanceof ConnectionClosed) return failure.retryAfter;
  return failure instanceof ProtocolError ? (failure.details.retryAfterMs ?? 0) : 0;
}

/** What those are told who waited for a connection that is given up. */
export function asClosed(failure: Error): ConnectionClosed {
  if (failure instanceof ConnectionClosed) return failure;
  const isRefusal = failure instanceof ProtocolError && failure.code === ErrorCode.INVALID_TOKEN;
  return new ConnectionClosed(isRefusal ? CloseCode.INVALID_TOKEN : CloseCode.ABNORMAL, failure.message);
}
