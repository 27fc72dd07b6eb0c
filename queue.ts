/**
 * First in, first out.
 *
 * @module
 */

interface Node<Item> {
  readonly item: Item;
  next?: Node<Item>;
}

/** A linked queue: taking the first one out of a long array would copy the rest. */
export class Queue<Item> implements Iterable<Item> {
  #first: Node<Item> | undefined;
  #last: Node<Item> | undefined;
  #length = 0;

  /** How many are in it. */
  get length(): number {
    return this.#length;
  }

  /** The one that comes out next. */
  get first(): Item | undefined {
    return this.#first?.item;
  }

  /** Puts one at the end. */
  push(item: Item): void {
    const node: Node<Item> = { item };
    if (this.#last) this.#last.next = node;
    else this.#first = node;
    this.#last = node;
    this.#length++;
  }

  /** Takes the first one out. */
  shift(): Item | undefined {
    const first = this.#first;
    if (!first) return undefined;
    this.#first = first.next;
    if (!first.next) this.#last = undefined;
    this.#length--;
    return first.item;
  }

  /** Empties it. */
  clear(): void {
    this.#first = this.#last = undefined;
    this.#length = 0;
  }

  /** All of them, in their order, without taking them out. */
  *[Symbol.iterator](): Iterator<Item> {
    for (let node = this.#first; node; node = node.next) yield node.item;
  }
}
