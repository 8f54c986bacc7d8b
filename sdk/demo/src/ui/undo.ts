/** Undo and redo for the whole page: the last thing that was done here, in whichever document. */

import { useEffect, useSyncExternalStore } from 'react';
import { useSession } from '../collab/session.js';
import type { WorkspaceState } from '../collab/workspace.js';

export function useWorkspace(): WorkspaceState {
  const { workspace } = useSession();
  return useSyncExternalStore(workspace.subscribe, () => workspace.state);
}

/** Ctrl+Z and its kin, unless an editor has taken them for its own text. */
export function useUndoKeys(): void {
  const { workspace } = useSession();
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.altKey || !(event.ctrlKey || event.metaKey)) return;
      const key = event.key.toLowerCase();
      const isUndo = key === 'z' && !event.shiftKey;
      const isRedo = (key === 'z' && event.shiftKey) || key === 'y';
      if (!isUndo && !isRedo) return;
      event.preventDefault();
      if (isUndo) workspace.undo();
      else workspace.redo();
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, [workspace]);
}
