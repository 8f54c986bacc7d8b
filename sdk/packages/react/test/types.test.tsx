/** The types of the hooks, as those who use them meet them; the compiler holds the package to them (`npm run lint`). */

import type { CollaborativeClient, CursorPosition, Participant, SelectionRange } from '@fastcollab/client';
import type { TextOperation } from '@fastcollab/client/text';
import type { ReactNode } from 'react';
import { expectTypeOf, test } from 'vitest';
import {
  Cursors,
  useContent,
  useDocument,
  useEventListener,
  useMyPresence,
  useOther,
  useOthers,
  usePresence,
  useRoom,
  useSelf,
  useUpdateMyPresence,
  useWebSocket,
} from '../src/index.js';

interface Shown {
  avatar: string;
  typing: boolean;
}

/** The component of the protocol's specification, word for word but for its editor. */
function CollaborativeEditor(): ReactNode {
  const { client, connected, error } = useWebSocket();
  const { cursor, selection } = usePresence(client);
  const { document, version } = useDocument(client);
  expectTypeOf(client).toEqualTypeOf<CollaborativeClient>();
  expectTypeOf(connected).toEqualTypeOf<boolean>();
  expectTypeOf(error).toEqualTypeOf<Error | undefined>();
  expectTypeOf(version).toEqualTypeOf<number>();
  return <Editor onCursorMove={cursor.update} onSelectionChange={selection.update} onContentChange={document.update} />;
}

interface EditorProps {
  readonly onCursorMove: (position: CursorPosition) => void;
  readonly onSelectionChange: (ranges: readonly SelectionRange[]) => void;
  readonly onContentChange: (operation: unknown) => void;
}

function Editor(_props: EditorProps): ReactNode {
  return null;
}

/** What an application has that shows the others an avatar, and who types. */
function Avatars(): ReactNode {
  const [mine, show] = useMyPresence<Shown>();
  expectTypeOf(mine).toEqualTypeOf<Partial<Shown>>();
  expectTypeOf(show).toEqualTypeOf<(patch: Partial<Shown>) => void>();
  expectTypeOf(useUpdateMyPresence<Shown>()).toEqualTypeOf<(patch: Partial<Shown>) => void>();
  // @ts-expect-error: an avatar is a string
  show({ avatar: 7 });

  expectTypeOf(useOthers<Shown>()).toEqualTypeOf<readonly Participant<Shown>[]>();
  expectTypeOf(useOthers(others => others.length)).toEqualTypeOf<number>();
  expectTypeOf(useOthers(others => others[0]?.data)).toBeUnknown();
  const typing = useOthers((others: readonly Participant<Shown>[]) => others.map(({ data }) => data?.typing));
  expectTypeOf(typing).toEqualTypeOf<(boolean | undefined)[]>();
  expectTypeOf(useOther<Shown>('ben')?.data).toEqualTypeOf<Shown | undefined>();
  expectTypeOf(useSelf((self: Participant<Shown>) => self.data?.avatar)).toEqualTypeOf<string | undefined>();
  expectTypeOf(usePresence<Shown>().data.update).toBeCallableWith({ avatar: 'owl', typing: false });

  const room = useRoom<string, TextOperation, Shown>();
  expectTypeOf(room.self?.data).toEqualTypeOf<Shown | undefined>();
  expectTypeOf(useContent((text: string) => text.length)).toEqualTypeOf<number>();
  expectTypeOf(useContent(board => board.title)).toBeAny();
  useEventListener<{ emoji: string }>('reaction', ({ data }) => expectTypeOf(data.emoji).toEqualTypeOf<string>());
  return <Cursors>{({ data }: Participant<Shown>) => <img alt="" src={data?.avatar} />}</Cursors>;
}

test('components that use the hooks with types of their own are components', () => {
  expectTypeOf(CollaborativeEditor).toEqualTypeOf<() => ReactNode>();
  expectTypeOf(Avatars).toEqualTypeOf<() => ReactNode>();
});
