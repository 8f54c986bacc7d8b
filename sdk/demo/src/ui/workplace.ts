/** What every room of the page does, the dashboard's and those of notes. */

import { useErrorListener, useRoom } from '@fastcollab/react';
import { useCallback, useEffect } from 'react';
import { useSession } from '../collab/session.js';
import { useAnnouncer } from './announcements.js';

/** Counts the room around in with those whose work is shown as saved, and can be undone. */
export function useWorkplace(): void {
  const { workspace } = useSession();
  const room = useRoom();
  useEffect(() => workspace.add(room), [workspace, room]);
}

/** Shows what goes wrong in the room around, and with the connection. */
export function useErrors(): void {
  const { toast } = useAnnouncer();
  useErrorListener(
    useCallback(
      (error, rejection) => toast(rejection ? `An edit was not accepted: ${error.message}` : error.message),
      [toast],
    ),
  );
}
