/**
 * Bringing operations of a page that is gone to a document that has moved on since (OT9 for a client without a copy).
 *
 * What was pending reads at a version; the history tells the operations since. Over each it is transformed, as a copy
 * would have done had it been there, and the one in flight may be among them: then it was committed.
 */

import type { PendingRecord } from '../persistence/store.js';
import { VersionGap } from '../wire/errors.js';
import type { WirePastOperation } from '../wire/messages.js';
import type { Copy } from './copy.js';

/**
 * Has `copy` take over what is in `record`. `history` tells the operations after a version. Throws if that is not
 * possible any more: the document began anew, its history does not reach back, or the operations do not fit.
 */
export async function adopt<Content, Operation>(
  copy: Copy<Content, Operation>,
  record: PendingRecord,
  newId: () => string,
  history: (after: number) => Promise<readonly WirePastOperation[]>,
): Promise<void> {
  const { type } = copy;
  if (record.type !== type.name || record.epoch !== copy.epoch) throw new VersionGap(record.version, copy.version);
  let { messageId, version } = record;
  let operations = record.operations as Operation[];
  while (version < copy.version) {
    const missed = await history(version);
    if (!missed.length) throw new VersionGap(version, copy.version);
    for (const entry of missed) {
      if (entry.transformedVersion > copy.version) break; // it is on its way here
      version = entry.transformedVersion;
      if (messageId && entry.messageId === messageId) {
        operations = operations.slice(1);
        messageId = '';
        continue;
      }
      let change = entry.operation as Operation;
      operations = operations.map(operation => {
        const before = change;
        change = type.transform(before, operation, 'right');
        return type.transform(operation, before, 'left');
      });
    }
  }
  const [first, buffer] = operations;
  if (first !== undefined) copy.adopt(messageId || newId(), first, buffer);
}
