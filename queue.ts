/**
 * First in, first out.
 *
 * @module
 */

const MIN_SLOTS = 16;
/** An empty queue keeps no more than this for the next rush. */
const MAX_KEPT_SLOTS = 1_024;

/** What all of those have that nothing was ever put into: nothing is, a larger one takes its place. */
const NONE: never[] = [];

/** A ring that grows: taking the first one out moves nothing, and putting one in allocates nothing. */
export class Queue<Item> implements Iterable<Item> {
  /** A power of two of them, or none. */
  #slots: (Item | undefined)[] = NONE;
  #start = 0;
  #length = 0;

  /** How many are in it. */
  get length(): number {
    return this.#length;
  }

  /** The one that comes out next. */
  get first(): Item | undefined {
    return this.#length === 0 ? undefined : this.#slots[this.#start];
  }

  /** The one in this place, counted from the first. */
  at(place: number): Item | undefined {
    return place < this.#length
      ? this.#slots[(this.#start + place) & (this.#slots.length - 1)]
      : undefined;
  }

  /** Puts one at the end. */
  push(item: Item): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#start + this.#length++) & (this.#slots.length - 1)] = item;
  }

  /** Takes the first one out. */
  shift(): Item | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#start];
    this.#slots[this.#start] = undefined;
    this.#start = (this.#start + 1) & (this.#slots.length - 1);
    if (--this.#length === 0 && this.#slots.length > MAX_KEPT_SLOTS) this.clear();
    return item;
  }

  /** Empties it. */
  clear(): void {
    this.#slots = NONE;
    this.#start = this.#length = 0;
  }

  /** All of them, in their order, without taking them out. */
  [Symbol.iterator](): Iterator<Item> {
    // Most are empty, of most connections.
    return this.#length === 0 ? ([] as Item[]).values() : this.#walk();
  }

  *#walk(): Iterator<Item> {
    for (let n = 0; n < this.#length; n++) {
      yield this.#slots[(this.#start + n) & (this.#slots.length - 1)]!;
    }
  }

  #grow(): void {
    const slots = new Array<Item | undefined>(Math.max(MIN_SLOTS, this.#slots.length * 2));
    for (let n = 0; n < this.#length; n++) {
      slots[n] = this.#slots[(this.#start + n) & (this.#slots.length - 1)];
    }
    this.#slots = slots.fill(undefined, this.#length);
    this.#start = 0;
  }
}
