/** The Web Locks of one browser, which Node 20 does not have: a page that ends lets go of all that it holds. */

import type { Locks } from '../../src/persistence/indexeddb.js';

export class PageLocks {
  readonly #held = new Map<string, object>();

  page(): Locks & { end(): void } {
    const held = this.#held;
    const page = {};
    return {
      async request(name, _options, callback) {
        if (held.has(name)) return callback(null);
        held.set(name, page);
        await callback({ name });
        if (held.get(name) === page) held.delete(name);
        return undefined;
      },
      end: () => {
        for (const [name, owner] of held) if (owner === page) held.delete(name);
      },
    };
  }
}
