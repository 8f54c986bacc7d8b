/**
 * A `PendingStore` in the browser's IndexedDB: what was edited offline outlives a closed tab.
 *
 * Each open document has a record of its own, and holds a Web Lock of the record's name as long as it is open. A record
 * that nobody holds was left by a tab that is gone; the browser lets go of the locks of a tab however it ends. Both need
 * a secure context: `https`, or `localhost`.
 */

import { FastcollabError } from '../wire/errors.js';
import type { PendingRecord, PendingSlot, PendingStore } from './store.js';

export type { PendingRecord, PendingSlot, PendingStore } from './store.js';

const OBJECT_STORE = 'pending';

/** The part of the Web Locks API that is used. */
export interface Locks {
  request(name: string, options: { ifAvailable: true }, held: (lock: unknown) => Promise<void>): Promise<unknown>;
}

export interface IndexedDbOptions {
  /** The database's name; by default `fastcollab`. */
  readonly name?: string;
  /** By default the browser's. */
  readonly indexedDB?: IDBFactory;
  /** By default the browser's. */
  readonly locks?: Locks;
}

/** Throws FastcollabError where the browser has no IndexedDB or no Web Locks. */
export function indexedDbStore(options: IndexedDbOptions = {}): PendingStore {
  const { name = 'fastcollab' } = options;
  const factory = options.indexedDB ?? globalThis.indexedDB;
  const locks = options.locks ?? (globalThis.navigator?.locks as Locks | undefined);
  if (!factory || !locks) {
    throw new FastcollabError('keeping what is pending needs IndexedDB and Web Locks, which need a secure context');
  }
  let database: Promise<IDBDatabase> | undefined;

  return {
    async open(documentName) {
      database ??= openDatabase(factory, name);
      const open = await database;
      for (const key of await keysOf(open, documentName)) {
        const release = await hold(locks, `${name} ${key}`);
        if (release) return slot(open, key, release, await read(open, key));
      }
      const key = `${documentName} ${crypto.randomUUID()}`;
      return slot(open, key, (await hold(locks, `${name} ${key}`))!, undefined);
    },
  };
}

function slot(database: IDBDatabase, key: string, release: () => void, found: PendingRecord | undefined): PendingSlot {
  return {
    found,
    put: record => write(database, store => store.put(record, key)),
    clear: () => write(database, store => store.delete(key)),
    close: release,
  };
}

/** Holds a lock until the function that is returned is called; undefined if somebody else does. */
function hold(locks: Locks, name: string): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const held = (lock: unknown): Promise<void> =>
      new Promise(release => {
        if (lock) resolve(release);
        else {
          resolve(undefined);
          release();
        }
      });
    locks.request(name, { ifAvailable: true }, held).catch(reject);
  });
}

function openDatabase(factory: IDBFactory, name: string): Promise<IDBDatabase> {
  const request = factory.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(OBJECT_STORE);
  return result(request);
}

async function keysOf(database: IDBDatabase, documentName: string): Promise<string[]> {
  const store = database.transaction(OBJECT_STORE).objectStore(OBJECT_STORE);
  const keys = await result(store.getAllKeys());
  return (keys as string[]).filter(key => key.startsWith(`${documentName} `));
}

function read(database: IDBDatabase, key: string): Promise<PendingRecord | undefined> {
  return result(database.transaction(OBJECT_STORE).objectStore(OBJECT_STORE).get(key));
}

function write(database: IDBDatabase, change: (store: IDBObjectStore) => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(OBJECT_STORE, 'readwrite');
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    change(transaction.objectStore(OBJECT_STORE));
  });
}

function result<Value>(request: IDBRequest<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
