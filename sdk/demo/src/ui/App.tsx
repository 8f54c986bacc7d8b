/** The page: who is allowed in, the header, the board, and the laboratory beside it. */

import { json1 } from '@fastcollab/client/json1';
import { FastcollabProvider, RoomProvider } from '@fastcollab/react';
import { type ReactNode, useState } from 'react';
import { type Session, SessionContext } from '../collab/session.js';
import { ROOM } from '../model/widgets.js';
import { Announcements } from './announcements.js';
import { Board } from './Board.js';
import { Boundary, Failure, Loading } from './Failure.js';
import { Header } from './Header.js';
import { Lab } from './Lab.js';
import { NARROW, useMediaQuery } from './measures.js';
import { useUndoKeys } from './undo.js';
import { useErrors, useWorkplace } from './workplace.js';

const WIDE = '(min-width: 1280px)';

export function App({ session }: { session: Session }): ReactNode {
  return (
    <SessionContext value={session}>
      <FastcollabProvider client={session.client}>
        <Boundary fallback={error => <Failure error={error} />}>
          <Announcements>
            <RoomProvider id={ROOM} type={json1} fallback={<Loading />}>
              <Page />
            </RoomProvider>
          </Announcements>
        </Boundary>
      </FastcollabProvider>
    </SessionContext>
  );
}

function Page(): ReactNode {
  useWorkplace();
  useUndoKeys();
  useErrors();
  const isWide = useMediaQuery(WIDE);
  const [isLabWanted, setLabWanted] = useState<boolean | undefined>(undefined);
  const isLabOpen = isLabWanted ?? isWide;
  const isNarrow = useMediaQuery(NARROW);
  const [isArrangingWanted, setArrangingWanted] = useState(false);
  const isArranging = isNarrow && isArrangingWanted;
  return (
    <div className="page" data-lab={isLabOpen || undefined}>
      <Header
        isLabOpen={isLabOpen}
        onLab={setLabWanted}
        isArranging={isArranging}
        onArranging={isNarrow ? setArrangingWanted : undefined}
      />
      <main className="stage">
        <Board isArranging={isArranging} />
      </main>
      {isLabOpen && <Lab onClose={() => setLabWanted(false)} />}
    </div>
  );
}
