/** Connecting, and being in rooms, as components come and go. */

import { json1 } from '@fastcollab/client/json1';
import { text } from '@fastcollab/client/text';
import { act, cleanup, render, screen, waitFor } from '@testing-library/react';
import { type ReactNode, StrictMode, useState } from 'react';
import { renderToString } from 'react-dom/server';
import { expect, inject, onTestFinished, test } from 'vitest';
import { clientOf, connected, freshRoom, next, until } from '../../client/test/gateway/clients.js';
import {
  FastcollabProvider,
  RoomProvider,
  useErrorListener,
  usePermission,
  useRoom,
  useStatus,
  useSyncStatus,
  useWebSocket,
} from '../src/index.js';
import { Boundary, show } from './rendering.js';

function Name(): ReactNode {
  return <p>in {useRoom().id}</p>;
}

test('under StrictMode a room is joined once, and nobody sees one leave and come', async () => {
  const id = freshRoom();
  const other = await (await connected('ben')).joinRoom(id, { type: json1 });
  const seen: string[] = [];
  other.on('userJoined', ({ userId }) => seen.push(`${userId} came`));
  other.on('userLeft', ({ userId }) => seen.push(`${userId} left`));
  const client = clientOf('ada');
  const asked: string[] = [];
  client.on('traffic', ({ direction, data }) => {
    if (direction === 'out' && typeof data === 'string') asked.push(JSON.parse(data).type);
  });
  const { unmount } = show(
    <FastcollabProvider client={client}>
      <RoomProvider id={id} type={json1} fallback="joining">
        <Name />
      </RoomProvider>
    </FastcollabProvider>,
  );
  expect(screen.getByText('joining')).toBeDefined();
  expect(await screen.findByText(`in ${id}`)).toBeDefined();
  await until(() => seen.length > 0);
  unmount();
  await until(() => seen.length > 1);
  expect(seen).toEqual(['ada came', 'ada left']);
  expect(asked.filter(type => type === 'join_room')).toHaveLength(1);
  expect(client.status).toBe('closed');
});

test('another id is another room, and the one before is left', async () => {
  const [first, second] = [freshRoom(), freshRoom()];
  const client = clientOf('ada');
  const page = (id: string): ReactNode => (
    <StrictMode>
      <FastcollabProvider client={client}>
        <RoomProvider id={id} type={json1} fallback="joining">
          <Name />
        </RoomProvider>
      </FastcollabProvider>
    </StrictMode>
  );
  const { rerender } = show(page(first));
  await screen.findByText(`in ${first}`);
  rerender(page(second));
  expect(screen.queryByText(`in ${first}`)).toBeNull();
  await screen.findByText(`in ${second}`);
  await until(() => !client.rooms.has(first));
  expect([...client.rooms.keys()]).toEqual([second]);
});

test('two providers of one room share it, and the last one leaves', async () => {
  const id = freshRoom();
  const client = clientOf('ada');
  const page = (count: number): ReactNode => (
    <FastcollabProvider client={client}>
      {Array.from({ length: count }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
        <RoomProvider key={index} id={id} type={json1}>
          <Name />
        </RoomProvider>
      ))}
    </FastcollabProvider>
  );
  const { rerender } = show(page(2));
  await waitFor(() => expect(screen.getAllByText(`in ${id}`)).toHaveLength(2));
  rerender(page(1));
  await new Promise(resolve => setTimeout(resolve, 300));
  expect(screen.getAllByText(`in ${id}`)).toHaveLength(1);
  expect(client.rooms.get(id)?.status).toBe('connected');
  rerender(page(0));
  await until(() => client.rooms.size === 0);
});

test('what the program has connected and joined itself stays when components go', async () => {
  const id = freshRoom();
  const client = await connected('ada');
  const room = await client.joinRoom(id, { type: json1 });
  const { unmount } = show(
    <FastcollabProvider client={client}>
      <RoomProvider id={id}>
        <Name />
      </RoomProvider>
    </FastcollabProvider>,
  );
  await screen.findByText(`in ${id}`);
  unmount();
  await new Promise(resolve => setTimeout(resolve, 300));
  expect(client.status).toBe('connected');
  expect(client.rooms.get(id)).toBe(room);
});

test('a refusal is thrown to the error boundary around, and asked again by the next provider', async () => {
  const id = freshRoom();
  const other = await connected('ben');
  await other.joinRoom(id, { type: text });
  const client = clientOf('ada');
  const page = (type: typeof json1 | typeof text, key: string): ReactNode => (
    <FastcollabProvider client={client}>
      <Boundary key={key}>
        <RoomProvider id={id} type={type as typeof json1} fallback="joining">
          <Name />
        </RoomProvider>
      </Boundary>
    </FastcollabProvider>
  );
  const stopLogging = silenceConsole();
  const { rerender } = show(page(json1, 'first'));
  await screen.findByText(/refused: .*type/);
  stopLogging();
  rerender(page(text, 'second'));
  await screen.findByText(`in ${id}`);
});

test('a client that cannot connect says why, and the room is joined when it can', async () => {
  const id = freshRoom();
  const supply = { token: 'no.valid.token' };
  const client = clientOf('ada', { token: () => supply.token, reconnect: false });
  const heard: Error[] = [];
  function State(): ReactNode {
    const { connected, error } = useWebSocket();
    const status = useStatus();
    useErrorListener(error => heard.push(error));
    return <p>{error ? `error: ${error.message}` : `${status} ${connected}`}</p>;
  }
  function Synced(): ReactNode {
    return (
      <p>
        {useSyncStatus()} {usePermission()}
      </p>
    );
  }
  show(
    <FastcollabProvider client={client}>
      <State />
      <RoomProvider id={id} type={json1} fallback="joining">
        <Synced />
      </RoomProvider>
    </FastcollabProvider>,
  );
  await screen.findByText(/^error: /);
  expect(heard).toMatchObject([{ code: 1001 }, { code: 4101 }]);
  supply.token = inject('gateway').tokens.ada;
  await act(() => client.connect());
  await screen.findByText('connected true');
  const synced = await screen.findByText('connected write');
  const { document } = client.rooms.get(id)!;
  await act(() => document.submit(['a', { i: 1 }]));
  expect(synced.textContent).toBe('saved write');
  act(() => client.disconnect());
  expect(screen.getByText('closed false')).toBeDefined();
  expect(synced.textContent).toBe('closed write');
  expect(heard).toHaveLength(2);
});

test('the server renders the fallback, and the page takes over from there', async () => {
  const id = freshRoom();
  const client = clientOf('ada');
  function State(): ReactNode {
    const { connected } = useWebSocket();
    return <p>{connected ? 'up' : 'down'}</p>;
  }
  const page = (
    <FastcollabProvider client={client}>
      <State />
      <RoomProvider id={id} type={json1} fallback={<p>joining</p>}>
        <Name />
      </RoomProvider>
    </FastcollabProvider>
  );
  await client.connect(); // the page may be quicker than what it takes over
  await client.joinRoom(id, { type: json1 });
  const container = document.createElement('div');
  container.innerHTML = renderToString(page);
  expect(container.innerHTML).toBe('<p>down</p><p>joining</p>');
  document.body.append(container);
  const recovered: unknown[] = [];
  onTestFinished(cleanup);
  render(page, { container, hydrate: true, onRecoverableError: error => recovered.push(error) });
  await waitFor(() => expect(container.textContent).toBe(`upin ${id}`));
  expect(recovered).toEqual([]);
});

test('hooks without a provider say what is missing', () => {
  const stopLogging = silenceConsole();
  show(
    <Boundary>
      <Name />
    </Boundary>,
  );
  expect(screen.getByText(/RoomProvider/)).toBeDefined();
  cleanup();
  show(
    <Boundary>
      <RoomProvider id="any">never</RoomProvider>
    </Boundary>,
  );
  expect(screen.getByText(/FastcollabProvider/)).toBeDefined();
  stopLogging();
});

test('operations that are given up are told to error listeners', async () => {
  const client = clientOf('ada');
  const room = freshRoom();
  const heard: string[] = [];
  function Listening(): ReactNode {
    const [count, setCount] = useState(0);
    useErrorListener((error, rejection) => {
      heard.push(`${error.message} ${JSON.stringify(rejection?.operations)}`);
      setCount(count + 1);
    });
    return <p>{count} errors</p>;
  }
  show(
    <FastcollabProvider client={client}>
      <RoomProvider id={room} type={text}>
        <Listening />
      </RoomProvider>
    </FastcollabProvider>,
  );
  await screen.findByText('0 errors');
  const { document } = client.rooms.get(room)!;
  const tooLarge = 'x'.repeat(client.session!.limits.maxOperationBytes + 1);
  const rejected = next(document, 'rejected');
  act(() => document.edit([tooLarge]));
  await act(() => rejected);
  await screen.findByText('1 errors');
  expect(heard).toEqual([`the operation is larger than the gateway allows ${JSON.stringify([[tooLarge]])}`]);
});

/** React reports on the console what a boundary has caught. */
function silenceConsole(): () => void {
  const { error } = console;
  console.error = () => {};
  return () => {
    console.error = error;
  };
}
