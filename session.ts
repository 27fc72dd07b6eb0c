/**
 * What is outstanding between two sides. Pure: no socket, no timer, no clock; `now` is an argument.
 *
 * @module
 */

import { Outstanding } from "./outstanding.ts";

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
