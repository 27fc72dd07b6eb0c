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
  deadline: number;
  settler: Settler<Answer>;
}

/**
 * Numbered questions of which each is answered at most once: 1, 2, 3 …, rising for as long as the
 * session lives.
 */
export class Outstanding<Answer> {
  readonly #pending = new Map<number, Pending<Answer>>();
  readonly #max: number;
  #lastId = 0;

  /** @param max How many may be open at once. */
  constructor(max: number) {
    this.#max = max;
  }

  /** How many are open. */
  get size(): number {
    return this.#pending.size;
  }

  /**
   * Opens one.
   *
   * @returns Its number.
   * @throws {RequestError} `OVERLOADED`, if too many are open.
   */
  open(deadline: number, settler: Settler<Answer>): number {
    if (this.#pending.size >= this.#max) {
      throw new RequestError("OVERLOADED", `${this.#max} are waiting for an answer already`);
    }
    const id = ++this.#lastId;
    this.#pending.set(id, { deadline, settler });
    return id;
  }

  /** Takes one out, for the answer that came; `undefined` for an unknown, late or second answer. */
  take(id: number): Settler<Answer> | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending?.settler;
  }

  /** Takes out those whose time is over. */
  takeExpired(now: number): Settler<Answer>[] {
    const expired: Settler<Answer>[] = [];
    for (const [id, { deadline, settler }] of this.#pending) {
      if (deadline > now) continue;
      this.#pending.delete(id);
      expired.push(settler);
    }
    return expired;
  }

  /** Takes all of them out. */
  takeAll(): Settler<Answer>[] {
    const all = [...this.#pending.values()].map(({ settler }) => settler);
    this.#pending.clear();
    return all;
  }

  /** The earliest deadline, `Infinity` when nothing is open. */
  nextDeadline(): number {
    let next = Infinity;
    for (const { deadline } of this.#pending.values()) next = Math.min(next, deadline);
    return next;
  }
}
