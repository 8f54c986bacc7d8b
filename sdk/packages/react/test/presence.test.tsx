/** What the others show, and what one shows them; and that nothing else is rendered again for it. */

import type { Participant } from '@fastcollab/client';
import { act, screen, waitFor } from '@testing-library/react';
import type { ReactNode } from 'react';
import { expect, test } from 'vitest';
import { connected, next, until } from '../../client/test/gateway/clients.js';
import {
  Cursors,
  shallowEqual,
  useBroadcastEvent,
  useCursors,
  useEventListener,
  useMyPresence,
  useOther,
  useOthers,
  usePresence,
  useSelf,
  useUpdateMyPresence,
} from '../src/index.js';
import { Renderings, scene } from './rendering.js';

test('a cursor that moves renders nothing again, and still gets to its place', async () => {
  const { Counted, ...renderings } = new Renderings();
  const drawn: number[] = [];
  function Names(): ReactNode {
    return useOthers(others => others.map(({ name }) => name).join());
  }
  function Canvas(): ReactNode {
    useCursors(cursors => drawn.push(...cursors.map(({ x }) => x)), 0);
    return null;
  }
  const { other, view } = await scene(
    <>
      <Counted name="names">
        <Names />
      </Counted>
      <Counted name="canvas">
        <Canvas />
      </Counted>
      <Counted name="cursors">
        <Cursors delay={0}>{({ name, color }) => <b style={{ color }}>{`cursor of ${name}`}</b>}</Cursors>
      </Counted>
    </>,
  );
  await screen.findByText('Ben');
  expect(view.container.querySelector('[aria-hidden]')).toBeNull();
  other.updateCursor({ x: 3, y: 4 });
  const label = await screen.findByText('cursor of Ben');
  const pointer = label.parentElement!;
  expect(pointer.style.transform).toBe('translate(3px, 4px)');
  const before = ['names', 'canvas', 'cursors'].map(renderings.of);
  for (let x = 10; x <= 200; x += 10) {
    other.updateCursor({ x, y: 7 });
    await new Promise(resolve => setTimeout(resolve, 17));
  }
  await until(() => pointer.style.transform === 'translate(200px, 7px)');
  await until(() => drawn.at(-1) === 200);
  expect(new Set(drawn).size).toBeGreaterThan(5);
  expect(['names', 'canvas', 'cursors'].map(renderings.of)).toEqual(before);
});

test('cursors are put where the application says, and vanish with their user', async () => {
  const { other } = await scene(
    <Cursors transform={({ x, y }) => `translate(${x * 100}%, ${y * 100}%)`}>{({ name }) => <i>{name}</i>}</Cursors>,
  );
  await until(() => other.participants.length === 2);
  other.updateCursor({ x: 0.5, y: 0.25 });
  const label = await screen.findByText('Ben');
  expect(label.parentElement!.style.transform).toBe('translate(50%, 25%)');
  const eve = await (await connected('eve')).joinRoom(other.id);
  eve.updateCursor({ x: 1, y: 1 });
  await screen.findByText('eve');
  eve.updatePresence({ status: 'still here' });
  await until(() => other.participant('eve')?.status === 'still here');
  expect(label.isConnected).toBe(true);
});

test('a selector renders its component again only if what it selects has changed', async () => {
  const { Counted, ...renderings } = new Renderings();
  function Typing(): ReactNode {
    const typing = useOthers(
      (others: readonly Participant<{ typing?: boolean }>[]) =>
        others.filter(({ data }) => data?.typing).map(({ name }) => name),
      shallowEqual,
    );
    return <p>typing: {typing.join()}</p>;
  }
  function Everybody(): ReactNode {
    return <p>{useOthers().length} others</p>;
  }
  function Status(): ReactNode {
    return <p>Ben is {useOther('ben', ({ status }) => status ?? 'idle')}</p>;
  }
  const { other } = await scene(
    <>
      <Counted name="typing">
        <Typing />
      </Counted>
      <Counted name="everybody">
        <Everybody />
      </Counted>
      <Counted name="status">
        <Status />
      </Counted>
    </>,
  );
  await screen.findByText('Ben is idle');
  const [typing, everybody, status] = ['typing', 'everybody', 'status'].map(renderings.of);
  act(() => other.updatePresence({ data: { typing: true } }));
  await screen.findByText('typing: Ben');
  act(() => other.updatePresence({ data: { typing: true, fast: true } }));
  act(() => other.updatePresence({ status: 'away' }));
  await screen.findByText('Ben is away');
  expect(renderings.of('typing')).toBe(typing! + 1);
  expect(renderings.of('everybody')).toBeGreaterThan(everybody!);
  expect(renderings.of('status')).toBe(status! + 1);
});

test('a selector that is another function in each rendering sees what it closes over', async () => {
  function Other({ field }: { field: 'name' | 'userId' }): ReactNode {
    return <p>{useOthers(others => others.map(other => `${field} ${other[field]}`).join())}</p>;
  }
  const { other } = await scene(<Other field="name" />);
  await screen.findByText('name Ben');
  expect(other.participants.length).toBe(2);
});

test('the own presence is shown at once, changed in part, and reaches the others', async () => {
  const { Counted, ...renderings } = new Renderings();
  interface Mine {
    color: string;
    widget: string;
  }
  function Own(): ReactNode {
    const [presence, update] = useMyPresence<Mine>();
    const own = useSelf((self: Participant<Mine>) => self.data?.color);
    return (
      <button type="button" onClick={() => update({ widget: 'chart' })}>
        {presence.color} {presence.widget ?? 'none'} {own}
      </button>
    );
  }
  function Setter(): ReactNode {
    const update = useUpdateMyPresence<Mine>();
    return (
      <button type="button" onClick={() => update({ color: 'red' })}>
        red
      </button>
    );
  }
  const { other } = await scene(
    <>
      <Own />
      <Counted name="setter">
        <Setter />
      </Counted>
    </>,
  );
  const button = await screen.findByText('none');
  const before = renderings.of('setter');
  act(() => screen.getByText('red').click());
  expect(button.textContent).toBe('red none red');
  act(() => button.click());
  expect(button.textContent).toBe('red chart red');
  await waitFor(() => expect(other.participant('ada')?.data).toEqual({ color: 'red', widget: 'chart' }));
  expect(renderings.of('setter')).toBe(before);
});

test('cursor, selection, status and data are shown by usePresence, which renders nothing again', async () => {
  const { Counted, ...renderings } = new Renderings();
  let shown: ReturnType<typeof usePresence> | undefined;
  function Shower(): ReactNode {
    shown = usePresence();
    return 'shower';
  }
  const { other } = await scene(
    <Counted name="shower">
      <Shower />
    </Counted>,
  );
  await screen.findByText('shower');
  await until(() => other.participants.length === 2);
  const before = renderings.of('shower');
  const moved = next(other, 'cursor');
  shown!.cursor.update({ x: 5, y: 6 });
  expect(await moved).toMatchObject({ userId: 'ada', x: 5, y: 6 });
  shown!.selection.update([{ anchor: ['title', 0], head: ['title', 3] }]);
  await until(() => other.participant('ada')?.selection?.ranges.length === 1);
  shown!.status.update('here');
  await until(() => other.participant('ada')?.status === 'here');
  shown!.data.update(7);
  await until(() => other.participant('ada')?.data === 7);
  expect(renderings.of('shower')).toBe(before);
});

test('events go to the others and come from them', async () => {
  const heard: unknown[] = [];
  let sent: Promise<void> | undefined;
  function Reactions(): ReactNode {
    const broadcast = useBroadcastEvent();
    useEventListener<{ emoji: string }>('reaction', ({ data, userId }) => heard.push([userId, data.emoji]));
    return (
      <button
        type="button"
        onClick={() => {
          sent = broadcast('reaction', { emoji: '🎉' });
        }}
      >
        react
      </button>
    );
  }
  const { other } = await scene(<Reactions />);
  const button = await screen.findByText('react');
  await other.broadcast('something else');
  await other.broadcast('reaction', { emoji: '👍' });
  await until(() => heard.length > 0);
  expect(heard).toEqual([['ben', '👍']]);
  const arrived = next(other, 'event');
  button.click();
  expect(await arrived).toMatchObject({ name: 'reaction', data: { emoji: '🎉' }, userId: 'ada' });
  await sent;
});
