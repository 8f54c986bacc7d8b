/** All that belongs to this visit: who one is, the client, the network that can be cut, and what is watched of them. */

import { CollaborativeClient } from '@fastcollab/client';
import { indexedDbStore } from '@fastcollab/client/indexeddb';
import { json1 } from '@fastcollab/client/json1';
import { richText } from '@fastcollab/client/rich-text';
import { text } from '@fastcollab/client/text';
import { createContext, useContext } from 'react';
import { enter } from './api.js';
import { type Guest, guestOf, remember, takeSeat } from './identity.js';
import { Network } from './network.js';
import { Recorder } from './recorder.js';
import { Workspace } from './workspace.js';

export interface Session {
  readonly guest: Guest;
  readonly client: CollaborativeClient;
  readonly network: Network;
  readonly recorder: Recorder;
  readonly workspace: Workspace;
  /** What rooms of notes that were made here begin with, until they have been joined. */
  readonly beginnings: Map<string, unknown>;
}

/** Edits of one's own that follow each other in fewer milliseconds are undone together: a hand that drags may pause. */
const MERGE_INTERVAL = 1000;

export async function openSession(): Promise<Session> {
  const seat = await takeSeat();
  const { url, user } = await enter(guestOf(seat));
  remember(seat, user);
  const network = new Network();
  const client = new CollaborativeClient({
    url,
    token: async () => (await enter(user)).token,
    types: [json1, text, richText],
    WebSocket: network.WebSocket,
    persistence: indexedDbStore(),
    undo: { mergeInterval: MERGE_INTERVAL },
  });
  const [recorder, workspace] = [new Recorder(client), new Workspace()];
  return { guest: user, client, network, recorder, workspace, beginnings: new Map() };
}

export const SessionContext = createContext<Session | undefined>(undefined);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error('there is no session around this component');
  return session;
}
