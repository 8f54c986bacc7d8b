/** A document's past, as the gateway tells it (PV1 to PV3). */

import type { WirePastOperation } from '../wire/messages.js';

/** An operation of the history: it made `version`, was written against `writtenAgainst`, and was committed `at`. */
export interface PastOperation<Operation = unknown> {
  readonly version: number;
  readonly operation: Operation;
  readonly userId: string;
  readonly messageId: string;
  readonly writtenAgainst: number;
  readonly at: Date;
}

export function pastFromWire<Operation>(entry: WirePastOperation): PastOperation<Operation> {
  return {
    version: entry.transformedVersion,
    operation: entry.operation as Operation,
    userId: entry.userId,
    messageId: entry.messageId,
    writtenAgainst: entry.version,
    at: new Date(entry.timestamp),
  };
}
