/** The room of a note, around its editor. */

import type { DocumentType, Room } from '@fastcollab/client';
import { RoomProvider, useRoom } from '@fastcollab/react';
import { type ReactNode, useEffect } from 'react';
import { useSession } from '../collab/session.js';
import type { NoteWidget } from '../model/widgets.js';
import { Boundary } from './Failure.js';
import { useErrors, useWorkplace } from './workplace.js';

export interface NoteRoomProps {
  readonly widget: NoteWidget;
  readonly type: DocumentType;
  /** The operation with which an empty document gets this content. */
  readonly begin: (content: any) => unknown;
  readonly children: ReactNode;
}

export function NoteRoom({ widget, type, begin, children }: NoteRoomProps): ReactNode {
  return (
    <Boundary fallback={error => <p role="alert">This note cannot be opened: {error.message}</p>}>
      <RoomProvider id={widget.room} type={type} fallback={<Opening />}>
        <Entered begin={begin}>{children}</Entered>
      </RoomProvider>
    </Boundary>
  );
}

export function Opening(): ReactNode {
  return <p className="muted">Opening…</p>;
}

function Entered({ begin, children }: Pick<NoteRoomProps, 'begin' | 'children'>): ReactNode {
  useWorkplace();
  useErrors();
  useBeginning(begin);
  return children;
}

/** Gives a note that was duplicated here what the first one had. */
function useBeginning(begin: (content: any) => unknown): void {
  const { beginnings } = useSession();
  const room: Room = useRoom();
  useEffect(() => {
    const content = beginnings.get(room.id);
    if (content === undefined) return;
    beginnings.delete(room.id);
    if (room.document.version === 0) room.document.edit(begin(content));
  }, [beginnings, room, begin]);
}
