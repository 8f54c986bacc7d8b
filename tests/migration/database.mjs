// A database of ShareDB with documents of all types, written by clients at the same time, as export.mjs expects it.
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import ShareDB from 'sharedb';

const require = createRequire(import.meta.url);
for (const { type } of ['ot-text-unicode', 'ot-json1', 'rich-text'].map(require)) ShareDB.types.register(type);

export const db = new ShareDB.MemoryDB();
const backend = new ShareDB({ db });

async function written(id, type, content, ...operations) {
  const first = backend.connect().get('notes', id);
  await promisify(first.create.bind(first))(content, type);
  await Promise.all(
    operations.map(async operation => {
      const doc = backend.connect().get('notes', id);
      await promisify(doc.fetch.bind(doc))();
      await promisify(doc.submitOp.bind(doc))(operation);
    }),
  );
  return first;
}

await written('minutes', 'text-unicode', 'Agenda 👩\n', [9, 'Lunch\n'], [{ d: 6 }, 'Plan']);
await written('board', 'json1', { tasks: ['a', 'b'] }, ['tasks', [0, { p: 0 }], [1, { d: 0 }]], ['done', { i: true }]);
await written('letter', 'rich-text', [{ insert: 'Dear\n' }], [{ retain: 4, attributes: { bold: true } }]);
await written('old', 'json0', { list: [1, 2] }, [{ p: ['list', 0], ld: 1 }], [{ p: ['title'], oi: 'Old' }]);
const gone = await written('gone', 'text-unicode', 'nobody reads this');
await promisify(gone.del.bind(gone))();
if (process.env.UNKNOWN_TYPE) {
  ShareDB.types.register({ name: 'tally', uri: 'http://example.com/tally', create: value => value, apply: value => value });
  await written('count', 'tally', 3);
}
