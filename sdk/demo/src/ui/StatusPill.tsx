/** Whether there is a connection, and whether what was written here is safe. */

import { useStatus } from '@fastcollab/react';
import { type ReactNode, useSyncExternalStore } from 'react';
import { useSession } from '../collab/session.js';
import { TEST_IDS } from '../testids.js';
import { useWorkspace } from './undo.js';

type Standing = 'closed' | 'offline' | 'connecting' | 'saving' | 'saved' | 'connected';

const WORDS: Record<Standing, string> = {
  closed: 'Disconnected',
  offline: 'Offline',
  connecting: 'Connecting…',
  saving: 'Saving…',
  saved: 'Saved',
  connected: 'Connected',
};

export function useNetworkCut(): boolean {
  const { network } = useSession();
  return useSyncExternalStore(network.subscribe, () => network.isCut);
}

export function StatusPill(): ReactNode {
  const isCut = useNetworkCut();
  const client = useStatus();
  const { status, pending } = useWorkspace();
  const standing: Standing = isCut ? 'offline' : client === 'connected' ? status : client;
  const kept = standing !== 'saving' && pending > 0;
  return (
    <div
      className="status"
      role="status"
      data-testid={TEST_IDS.status}
      data-status={standing}
      data-pending={pending}
      title={kept ? 'Your edits are kept in this browser, and sent when the connection is back.' : undefined}
    >
      <span className="status-dot" aria-hidden />
      {kept ? `${WORDS[standing]} · edits kept` : WORDS[standing]}
    </div>
  );
}
