/** Connections cut, gateways killed, edits offline, and pages that end: nothing is lost, and nothing comes twice. */

import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IDBFactory } from 'fake-indexeddb';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { CollaborativeClient, type PendingStore, type WebSocketConstructor } from '../../src/index.js';
import { insert, text } from '../../src/ot/text.js';
import { indexedDbStore } from '../../src/persistence/indexeddb.js';
import { clientOf, connected, freshRoom, NodeWebSocket, next, until } from './clients.js';
import { PageLocks } from './locks.js';
import { GatewayProcess, signed } from './process.js';

const QUICK = { base: 20, cap: 50 };

/** A class whose newest connection can be cut off, as a network does. */
function cuttable(): { WebSocket: WebSocketConstructor; cut(): void } {
  let newest: WebSocket | undefined;
  class Cuttable extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      newest = this;
    }
  }
  return { WebSocket: Cuttable, cut: () => newest?.terminate() };
}

test('a connection that is cut off is made again, and the others do not notice (R7, S7)', async () => {
  const id = freshRoom();
  const network = cuttable();
  const ada = await connected('ada', { WebSocket: network.WebSocket, reconnect: QUICK });
  const ben = await connected('ben');
  const mine = await ada.joinRoom(id, { type: text });
  const theirs = await ben.joinRoom(id, { type: text });
  let left = 0;
  theirs.on('userLeft', () => left++);
  await mine.document.submit(['one ']);
  const resumed = next(ada, 'connected');
  network.cut();
  await until(() => ada.status === 'connecting');
  const offline = mine.document.submit(['two ']);
  await theirs.document.submit(['three ']);
  expect((await resumed).resumed).toBe(true);
  await offline;
  await until(() => theirs.document.version === 3 && mine.document.version === 3);
  expect(mine.document.content).toBe(theirs.document.content);
  expect([...mine.document.content.matchAll(/\w+/g)].map(String).sort()).toEqual(['one', 'three', 'two']);
  expect(left).toBe(0);
  expect(ada.metrics.reconnections).toBe(1);
});

test('both edit offline, undo among it, and it merges', async () => {
  const id = freshRoom();
  const clients = await Promise.all([connected('ada'), connected('ben')]);
  const [mine, theirs] = await Promise.all(clients.map(client => client.joinRoom(id, { type: text })));
  await mine!.document.submit(['shared ']);
  await until(() => theirs!.document.version === 1);
  for (const client of clients) client.disconnect();
  expect(mine!.status).toBe('closed');
  mine!.document.separateUndo();
  mine!.document.edit(insert(7, 'mine '));
  mine!.document.undo(); // "mine "
  mine!.document.redo();
  theirs!.document.edit(insert(0, 'theirs '));
  await Promise.all(clients.map(client => client.connect()));
  await Promise.all([mine!.document.saved(), theirs!.document.saved()]);
  await until(() => mine!.document.version === theirs!.document.version && mine!.status === 'saved');
  expect(mine!.document.content).toBe('theirs shared mine ');
  expect(theirs!.document.content).toBe('theirs shared mine ');
  mine!.document.undo();
  await until(() => theirs!.document.content === 'theirs shared ');
});

test('a gateway is killed and comes back, and what was acknowledged is there', async () => {
  const file = join(tmpdir(), `${freshRoom()}.db`);
  onTestFinished(() => {
    for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true });
  });
  let gateway = await GatewayProcess.start([], { engine: `sqlite:${file}` });
  onTestFinished(() => gateway.end('SIGKILL'));
  const { url, port } = gateway;
  const client = new CollaborativeClient({ url, token: signed('ada'), WebSocket: NodeWebSocket, reconnect: QUICK });
  onTestFinished(() => client.disconnect());
  const connecting = client.connect();
  const { document } = await client.joinRoom('minutes', { type: text });
  await connecting;
  await document.submit(['saved ']);
  const waiting = document.submit(['in flight ']);
  await gateway.end('SIGKILL');
  document.edit(['offline ']);
  expect(document.pending.length).toBeGreaterThan(0);
  gateway = await GatewayProcess.start([], { engine: `sqlite:${file}`, port });
  await waiting;
  await document.saved();
  expect(document.content).toBe('offline in flight saved ');
  const other = new CollaborativeClient({ url, token: signed('ben'), WebSocket: NodeWebSocket, types: [text] });
  onTestFinished(() => other.disconnect());
  await other.connect();
  expect((await other.joinRoom('minutes')).document.content).toBe('offline in flight saved ');
});

test('a token that runs out is replaced, and one that is refused is told', async () => {
  const gateway = await GatewayProcess.start(['auth.expiry_notice=2']);
  onTestFinished(() => gateway.end('SIGKILL'));
  let fetched = 0;
  const fetch = (): string => {
    fetched++;
    return signed('ada', 3);
  };
  const client = new CollaborativeClient({ url: gateway.url, token: fetch, WebSocket: NodeWebSocket });
  onTestFinished(() => client.disconnect());
  let lost = 0;
  client.on('reconnecting', () => lost++);
  await client.connect();
  await until(() => fetched === 3);
  expect([client.status, lost]).toEqual(['connected', 0]);
  const stranger = new CollaborativeClient({ url: gateway.url, token: 'a.b.c', WebSocket: NodeWebSocket });
  await expect(stranger.connect()).rejects.toMatchObject({ code: 4101 });
});

test('an address where nobody is, and one that is none', async () => {
  const nobody = clientOf('ada', { url: 'ws://127.0.0.1:1/ws', reconnect: { ...QUICK, maxAttempts: 2 } });
  await expect(nobody.connect()).rejects.toMatchObject({ code: 1006 });
  await expect(clientOf('ada', { url: 'nonsense' }).connect()).rejects.toMatchObject({ code: 1002 });
});

/** Pages in one browser, which share what is stored. */
class Browser {
  readonly #database = new IDBFactory();
  readonly #locks = new PageLocks();

  /** A page with a client; `end` is what a closed tab is to the rest of the world. */
  page(): { store: PendingStore; end(client: CollaborativeClient, network: { cut(): void }): void } {
    const locks = this.#locks.page();
    return {
      store: indexedDbStore({ indexedDB: this.#database, locks }),
      end: (client, network) => {
        network.cut();
        client.disconnect();
        locks.end();
      },
    };
  }
}

test('edits outlive a closed tab, under the id that they were sent with', async () => {
  const id = freshRoom();
  const browser = new Browser();
  const network = cuttable();
  const tab = browser.page();
  const first = await connected('ada', { persistence: tab.store, WebSocket: network.WebSocket });
  const { document } = await first.joinRoom(id, { type: text });
  await document.submit(['base ']);
  document.edit(insert(5, 'committed, but not acknowledged '));
  const sent = next(
    first,
    'traffic',
    ({ direction, data }) => direction === 'out' && String(data).includes('committed'),
  );
  await sent;
  network.cut(); // the operation is on its way, the answer is not
  document.edit(insert(0, 'offline '));
  await new Promise(resolve => setTimeout(resolve, 100));
  tab.end(first, network);

  const ben = await connected('ben');
  const theirs = await ben.joinRoom(id, { type: text });
  await theirs.document.submit(['>> ']);

  const second = await connected('ada', { persistence: browser.page().store });
  const room = await second.joinRoom(id, { type: text });
  await room.document.saved();
  await until(() => theirs.document.version === room.document.version);
  expect(room.document.content).toBe(theirs.document.content);
  expect(room.document.content.match(/offline|committed|base|>>/g)!.sort()).toEqual([
    '>>',
    'base',
    'committed',
    'offline',
  ]);
  second.leaveRoom(id);
  const third = await connected('ada', { persistence: browser.page().store });
  expect((await third.joinRoom(id, { type: text })).document.pending).toEqual([]);
});

test('two tabs have a place each, and do not take what is the other one’s', async () => {
  const id = freshRoom();
  const browser = new Browser();
  const [one, two] = [browser.page(), browser.page()];
  const a = await connected('ada', { persistence: one.store });
  const mine = (await a.joinRoom(id, { type: text })).document;
  await mine.submit(['x']);
  a.disconnect();
  mine.edit(['offline ']);
  await new Promise(resolve => setTimeout(resolve, 50));
  const b = await connected('ada', { persistence: two.store });
  const other = (await b.joinRoom(id, { type: text })).document;
  expect(other.pending).toEqual([]);
  expect(other.content).toBe('x');
  await a.connect();
  await mine.saved();
  await until(() => other.content === 'offline x');
});

test('what cannot be brought into another life of the document is handed back', async () => {
  const id = freshRoom();
  const browser = new Browser();
  const tab = browser.page();
  const slot = await tab.store.open(JSON.stringify([clientUrl(), 'ada', id]));
  const record = { type: 'text', epoch: 'another', version: 4, messageId: 'm', operations: [['lost']] };
  await slot.put(record);
  slot.close();
  const client = clientOf('ada', { persistence: tab.store });
  const rejected = next(client, 'rejected');
  await client.connect();
  const room = await client.joinRoom(id, { type: text });
  expect(await rejected).toMatchObject({ roomId: id, operations: [['lost']] });
  expect(room.document.content).toBe('');
  client.leaveRoom(id);
  await until(() => room.status === 'closed');
  expect((await tab.store.open(JSON.stringify([clientUrl(), 'ada', id]))).found).toBeUndefined();
});

test('where nothing can be stored, edits are sent all the same, and the failure is told', async () => {
  const failing: PendingStore = {
    open: async () => ({
      found: undefined,
      put: () => Promise.reject(new Error('the disk is full')),
      clear: () => Promise.resolve(),
      close: () => {},
    }),
  };
  const client = await connected('ada', { persistence: failing });
  const room = await client.joinRoom(freshRoom(), { type: text });
  const told = next(room, 'error');
  await room.document.submit(['x']);
  await room.document.submit(['y']);
  expect((await told).message).toBe('the disk is full');
});

test('without IndexedDB or Web Locks there is a clear error', () => {
  expect(() => indexedDbStore()).toThrow('secure context');
});

function clientUrl(): string {
  return clientOf('ada').url;
}
