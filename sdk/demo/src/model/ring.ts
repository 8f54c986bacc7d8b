/** The newest so many things, each with its number from the first one on. */
export class Ring<Item> {
  readonly #items: Item[] = [];
  readonly #capacity: number;
  #count = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** How many there ever were: the number of the next one. */
  get count(): number {
    return this.#count;
  }

  push(item: Item): void {
    this.#items[this.#count % this.#capacity] = item;
    this.#count++;
  }

  clear(): void {
    this.#items.length = 0;
    this.#count = 0;
  }

  /** Those that are kept, the oldest first. */
  toArray(): Item[] {
    const start = this.#count % this.#capacity;
    if (this.#count <= this.#capacity) return this.#items.slice();
    return [...this.#items.slice(start), ...this.#items.slice(0, start)];
  }
}
