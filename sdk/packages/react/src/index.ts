/** React hooks for a fastcollab gateway, over `@fastcollab/client`. */

export {
  type ConnectionState,
  useErrorListener,
  usePermission,
  useStatus,
  useSyncStatus,
  useWebSocket,
} from './connection.js';
export { useClient, useRoom } from './context.js';
export { Cursors, type CursorsProps, useCursors } from './cursors.js';
export {
  type DocumentHandle,
  type History,
  useCanRedo,
  useCanUndo,
  useContent,
  useDocument,
  useEdit,
  useHistory,
  useRedo,
  useUndo,
} from './document.js';
export { useBroadcastEvent, useEventListener } from './events.js';
export {
  type Presence,
  useMyPresence,
  useOther,
  useOthers,
  usePresence,
  useSelf,
  useUpdateMyPresence,
} from './presence.js';
export {
  FastcollabProvider,
  type FastcollabProviderProps,
  RoomProvider,
  type RoomProviderProps,
} from './providers.js';
export { type IsEqual, shallowEqual } from './selected.js';
