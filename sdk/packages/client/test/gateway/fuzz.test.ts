/**
 * Three clients do anything to one document of a running gateway: edits of random places, undo, redo, cuts of the
 * connection, absences. In the end all copies are equal. A failure prints the seed; `FUZZ_STEPS` and `FUZZ_SEED` say how
 * long and where to begin (`make sdkfuzz`).
 */

import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { CollaborativeClient, Room } from '../../src/index.js';
import { insertOp, json1, moveOp, removeOp } from '../../src/ot/json1.js';
import { richText } from '../../src/ot/rich-text.js';
import { codePoints, text } from '../../src/ot/text.js';
import type { DocumentType } from '../../src/ot/type.js';
import { connected, freshRoom, type User, until } from './clients.js';
import { PIECES, place, type Random, seeded } from './random.js';

const STEPS = Number(process.env.FUZZ_STEPS ?? 300);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

const edits: Record<string, (random: Random, content: any) => unknown> = {
  text: (random, content: string) => {
    const length = codePoints(content);
    const at = place(random, length);
    const count = Math.min(random(6), length - at);
    return random(3) && length < 200 ? [at, PIECES[random(PIECES.length)]!] : [at, { d: count }];
  },
  json1: (random, content: any) => {
    const list: unknown[] | undefined = content.list;
    if (!list) return insertOp(['list'], []);
    const index = random(list.length + 1);
    const kind = random(6);
    if (kind < 2 || !list.length) return insertOp(['list', index], { n: random(9), t: '' });
    const existing = random(list.length);
    if (kind === 2) return removeOp(['list', existing]);
    if (kind === 3) return moveOp(['list', existing], ['list', random(list.length)]);
    if (kind === 4) return ['list', existing, 'n', { ena: random(9) - 4 }];
    return ['list', existing, 't', { es: [PIECES[random(PIECES.length)]!] }];
  },
  'rich-text': (random, content: any[]) => {
    const length = content.reduce((sum, { insert }) => sum + (typeof insert === 'string' ? insert.length : 1), 0);
    const at = place(random, length);
    const count = Math.min(random(6), length - at);
    // Of single units, so that no character is cut in two.
    const skip = at ? [{ retain: at }] : [];
    if (!count || random(3) === 0) return [...skip, { insert: 'abcdé漢'[random(6)]! }];
    if (random(2)) return [...skip, { retain: count, attributes: { bold: random(2) ? true : null } }];
    return [...skip, { delete: count }];
  },
};

interface Person {
  readonly client: CollaborativeClient;
  readonly room: Room;
  cut(): void;
}

async function person(user: User, id: string, type: DocumentType): Promise<Person> {
  let newest: WebSocket | undefined;
  class Cuttable extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      newest = this;
    }
  }
  const client = await connected(user, {
    WebSocket: Cuttable,
    reconnect: { base: 5, cap: 20 },
    checksumEvery: 5,
    undo: { mergeInterval: 0 },
  });
  return { client, room: await client.joinRoom(id, { type }), cut: () => newest?.terminate() };
}

async function act(random: Random, { client, room, cut }: Person): Promise<void> {
  const { document } = room;
  const choice = random(40);
  if (choice === 0) cut();
  else if (choice === 1) client.disconnect();
  else if (choice === 2) await client.connect();
  else if (choice < 7) document.undo();
  else if (choice < 10) document.redo();
  else if (choice < 14) await new Promise(resolve => setTimeout(resolve, random(4)));
  else document.edit(edits[document.type.name]!(random, document.content));
}

test.each([text, json1, richText])('$name converges', { timeout: 60_000 + STEPS * 50 }, async (type: DocumentType) => {
  const random = seeded(SEED);
  const id = freshRoom();
  const people = await Promise.all((['ada', 'ben', 'eve'] as const).map(user => person(user, id, type)));
  const faults: unknown[] = [];
  for (const { room } of people) {
    room.document.on('rejected', rejection => faults.push(rejection));
    room.document.on('reset', content => faults.push(content)); // copies that part would be healed by their checksums
  }
  try {
    for (let step = 0; step < STEPS; step++) {
      await act(random, people[random(people.length)]!);
      if (random(2)) await new Promise(resolve => setImmediate(resolve)); // something may arrive
    }
    await Promise.all(people.map(({ client }) => client.connect()));
    await Promise.all(people.map(({ room }) => room.document.saved()));
    const versions = () => new Set(people.map(({ room }) => room.document.version));
    await until(() => versions().size === 1 && people.every(({ room }) => !room.document.pending.length), 30_000);
    for (const { room } of people) expect(room.document.content).toEqual(people[0]!.room.document.content);
    expect(faults).toEqual([]);
    const { room } = people[0]!;
    expect(await room.contentAt(room.document.version)).toEqual(room.document.content);
    expect(room.document.version).toBeGreaterThan(STEPS / 10);
  } catch (error) {
    throw new Error(`seed ${SEED}, ${STEPS} steps`, { cause: error });
  }
});
