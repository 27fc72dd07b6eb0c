/**
 * What is outstanding between two sides. Pure: no socket, no timer, no clock; `now` is an argument.
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

/** The state of one peer that decides what may be sent and what an arriving packet means. */
export class Session<Reply> {
  /** Our requests that wait for a reply. */
  readonly requests: Outstanding<Reply>;
  /** Our pings that wait for a pong. */
  readonly pings: Outstanding<void>;
  readonly #answering = new Map<number, unknown>();

  /** @param maxPending How many requests, and how many pings, may wait at once. */
  constructor(maxPending: number) {
    this.requests = new Outstanding(maxPending);
    this.pings = new Outstanding(maxPending);
  }

  /** How many of the peer's requests have no reply yet. */
  get answering(): number {
    return this.#answering.size;
  }

  /**
   * Notes that the peer wants a reply.
   *
   * @param request What asks for it, to be known again: numbers alone are those of other peers too.
   * @returns `false` if that number is still being answered.
   */
  beginAnswer(id: number, request?: unknown): boolean {
    if (this.#answering.has(id)) return false;
    this.#answering.set(id, request);
    return true;
  }

  /** Notes that the reply goes out. `false` if none is owed to this request. */
  endAnswer(id: number, request?: unknown): boolean {
    if (this.#answering.get(id) !== request) return false;
    return this.#answering.delete(id);
  }

  /** The earliest deadline, `Infinity` when nothing is outstanding. */
  nextDeadline(): number {
    return Math.min(this.requests.nextDeadline(), this.pings.nextDeadline());
  }

  /** Ends whatever is outstanding. */
  end(error: unknown): void {
    for (const { reject } of [...this.requests.takeAll(), ...this.pings.takeAll()]) reject(error);
    this.#answering.clear();
  }
}
