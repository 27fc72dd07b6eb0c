/**
 * Questions that wait for their answers. Pure: no socket, no timer, no clock; `now` is an argument.
 *
 * @module
 */

import { RequestError } from "./errors.ts";

/** How one outstanding question ends. */
export interface Settler<Answer> {
  /** It was answered. */
  resolve(answer: Answer): void;
  /** It will not be. */
  reject(error: unknown): void;
}

interface Pending<Answer> {
  readonly id: number;
  readonly deadline: number;
  readonly settler: Settler<Answer>;
}

const MIN_SLOTS = 16;
/** What all of those have that nothing was ever asked of. */
const NONE: never[] = [];
/** A burst that needed more gives them back when it is over. */
const MAX_KEPT_SLOTS = 256;

/**
 * Numbered questions of which each is answered at most once. The numbers rise for as long as the
 * session lives: 1, 2, 3 …, without those whose place an old question still holds.
 *
 * A hash table whose keys are of its own choosing, so that none of them ever collide. A `Map` makes new
 * tables as entries come and go, and those keep each other from being collected.
 */
export class Outstanding<Answer> {
  readonly #max: number;
  /** A power of two of them, or none; at least twice as many as are open. */
  #slots: (Pending<Answer> | undefined)[] = NONE;
  #size = 0;
  #lastId = 0;

  /** @param max How many may be open at once. */
  constructor(max: number) {
    this.#max = max;
  }

  /** How many are open. */
  get size(): number {
    return this.#size;
  }

  /**
   * Opens one.
   *
   * @returns Its number.
   * @throws {RequestError} `OVERLOADED`, if too many are open.
   */
  open(deadline: number, settler: Settler<Answer>): number {
    if (this.#size >= this.#max) {
      throw new RequestError("OVERLOADED", `${this.#max} are waiting for an answer already`);
    }
    if (this.#size * 2 >= this.#slots.length) this.#grow();
    const mask = this.#slots.length - 1;
    let id = this.#lastId + 1;
    while (this.#slots[id & mask]) id++;
    this.#slots[id & mask] = { id, deadline, settler };
    this.#size++;
    return this.#lastId = id;
  }

  /** Takes one out, for the answer that came; `undefined` for an unknown, late or second answer. */
  take(id: number): Settler<Answer> | undefined {
    const slot = id & (this.#slots.length - 1);
    const pending = this.#slots[slot];
    if (pending?.id !== id) return undefined;
    this.#slots[slot] = undefined;
    if (--this.#size === 0 && this.#slots.length > MAX_KEPT_SLOTS) this.#slots = [];
    return pending.settler;
  }

  /** Takes out those whose time is over, in their order. */
  takeExpired(now: number): Settler<Answer>[] {
    if (this.#size === 0 || this.nextDeadline() > now) return [];
    const expired = this.#inOrder().filter(({ deadline }) => deadline <= now);
    return expired.map(({ id }) => this.take(id)!);
  }

  /** Takes all of them out, in their order. */
  takeAll(): Settler<Answer>[] {
    return this.takeExpired(Infinity);
  }

  /** The earliest deadline, `Infinity` when nothing is open. */
  nextDeadline(): number {
    let next = Infinity;
    if (this.#size === 0) return next;
    for (const pending of this.#slots) {
      if (pending && pending.deadline < next) next = pending.deadline;
    }
    return next;
  }

  #inOrder(): Pending<Answer>[] {
    return this.#slots.filter((pending) => pending !== undefined).sort((one, other) =>
      one.id - other.id
    );
  }

  #grow(): void {
    const slots = new Array<Pending<Answer> | undefined>(
      Math.max(MIN_SLOTS, this.#slots.length * 2),
    ).fill(undefined);
    for (const pending of this.#slots) {
      if (pending) slots[pending.id & (slots.length - 1)] = pending;
    }
    this.#slots = slots;
  }
}
