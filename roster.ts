/**
 * A map for what comes and goes for as long as the process lives.
 *
 * @module
 */

const MIN_ADDITIONS = 64;

/**
 * A `Map` makes new tables as entries come and go. Each table points to the next, and keeps what was in it
 * when that was made: once one of them is in the old generation, all that come after it survive until
 * that is collected, and so do all who ever were in them. So this one begins a new `Map` time and again,
 * which nothing before it points to.
 */
export class Roster<Key, Value> implements Iterable<[Key, Value]> {
  readonly #of: { map: Map<Key, Value> } = { map: new Map() };
  #additionsLeft = MIN_ADDITIONS;

  /** How many entries there are. */
  get size(): number {
    return this.#of.map.size;
  }

  /** What is kept under this key. */
  get(key: Key): Value | undefined {
    return this.#of.map.get(key);
  }

  /** Whether anything is kept under this key. */
  has(key: Key): boolean {
    return this.#of.map.has(key);
  }

  /** Keeps something under a key. What is new comes last. */
  set(key: Key, value: Value): void {
    if (this.#additionsLeft-- === 0) {
      // As rarely as a map of this size makes a new table.
      this.#additionsLeft = Math.max(MIN_ADDITIONS, this.size);
      this.#of.map = new Map(this.#of.map);
    }
    this.#of.map.set(key, value);
  }

  /** Keeps nothing under this key any more. `false` if nothing was kept. */
  delete(key: Key): boolean {
    return this.#of.map.delete(key);
  }

  /** The keys, in the order in which they came. Like those of a `Map` they are walked over while it changes. */
  keys(): MapIterator<Key> {
    return new Walk(this.#of, ([key]) => key);
  }

  /** What is kept, likewise. */
  values(): MapIterator<Value> {
    return new Walk(this.#of, ([, value]) => value);
  }

  /** Both, likewise. */
  [Symbol.iterator](): MapIterator<[Key, Value]> {
    return new Walk(this.#of, (entry) => entry);
  }
}

/** A broadcast walks over everybody: a generator would take twice as long. */
class Walk<Key, Value, Item> extends Iterator<Item, undefined, unknown> {
  readonly #roster: { readonly map: Map<Key, Value> };
  readonly #pick: (entry: [Key, Value]) => Item;
  /** The map that is being walked over, and the one before. */
  #map: Map<Key, Value>;
  #walked: Map<Key, Value> | undefined;
  #steps: MapIterator<[Key, Value]>;

  constructor(roster: { readonly map: Map<Key, Value> }, pick: (entry: [Key, Value]) => Item) {
    super();
    this.#roster = roster;
    this.#pick = pick;
    this.#map = roster.map;
    this.#steps = roster.map.entries();
  }

  next(): IteratorResult<Item, undefined> {
    for (;;) {
      const { done, value: entry } = this.#steps.next();
      const isOutOfDate = this.#map !== this.#roster.map;
      if (!done) {
        const [key] = entry;
        // Of a map that is out of date, those count that are still there.
        const isThere = !isOutOfDate || this.#roster.map.has(key);
        if (isThere && !this.#walked?.has(key)) return { done: false, value: this.#pick(entry) };
      } else if (isOutOfDate) {
        // What has come since.
        this.#walked = this.#map;
        this.#map = this.#roster.map;
        this.#steps = this.#map.entries();
      } else {
        return { done: true, value: undefined };
      }
    }
  }
}
