/**
 * What was seen lately.
 *
 * @module
 */

/** Remembers so many ids, and forgets the oldest for each more. */
export class RecentIds {
  readonly #max: number;
  readonly #ids = new Set<string>();

  /** @param max How many are remembered. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Whether this one is remembered. */
  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Remembers this one. `false` if it was remembered before. */
  add(id: string): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > this.#max) {
      const [oldest] = this.#ids;
      this.#ids.delete(oldest);
    }
    return true;
  }
}
