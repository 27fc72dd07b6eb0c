/**
 * What two sides owe each other. Pure: no socket, no timer, no clock; `now` is an argument.
 *
 * @module
 */

import { Arrivals } from "./arrivals.ts";
import { ProtocolError } from "./errors.ts";
import { Outstanding } from "./outstanding.ts";
import type { ReplayBudget } from "./replay_budget.ts";
import { Window, type WindowLimits } from "./window.ts";

/** What makes packets arrive once and in order, whatever becomes of the wire. */
export interface Delivery {
  /** What was sent and not acknowledged. */
  readonly window: Window;
  /** What arrived and was not handed over. */
  readonly arrivals: Arrivals;
}

/** Begins to count, on a session that has just been agreed on. */
export function beginDelivery(
  own: WindowLimits,
  peer: WindowLimits,
  budget?: ReplayBudget,
): Delivery {
  return { window: new Window(own, budget), arrivals: new Arrivals(peer) };
}

/** The state of one peer that decides what may be sent and what an arriving packet means. */
export class Session<Reply> {
  /** Our requests that wait for a reply. */
  readonly requests: Outstanding<Reply>;
  /** Our pings that wait for a pong. */
  readonly pings: Outstanding<void>;
  /** The request that came last, while it is owed a reply; 0 for none. Most are before the next one comes. */
  #lastId = 0;
  #lastRequest: unknown;
  /** Those before it. */
  #answering: Map<number, unknown> | undefined;
  #lost: WeakSet<object> | undefined;
  #delivery: Delivery | undefined;

  /**
   * @param maxPending How many requests, and how many pings, may wait at once.
   * @param delivery What outlives a wire; without it nothing does.
   */
  constructor(maxPending: number, delivery?: Delivery) {
    this.requests = new Outstanding(maxPending);
    this.pings = new Outstanding(maxPending);
    this.#delivery = delivery;
  }

  /** What outlives a wire, if anything does. */
  get delivery(): Delivery | undefined {
    return this.#delivery;
  }

  /** How many of the peer's requests have no reply yet. */
  get answering(): number {
    return (this.#answering?.size ?? 0) + (this.#lastId === 0 ? 0 : 1);
  }

  /**
   * Takes in what a packet says of delivery. An `ack` counts even where its packet came before.
   *
   * @returns Whether the packet is to be dealt with.
   * @throws {ProtocolError} `PROTOCOL_ERROR`.
   */
  receive(seq: unknown, ack: unknown): boolean {
    if (seq === undefined && ack === undefined) return true;
    if (!this.#delivery) {
      throw new ProtocolError(
        "PROTOCOL_ERROR",
        "seq and ack belong to a session, and there is none",
      );
    }
    if (ack !== undefined) this.#delivery.window.acknowledge(ack);
    return seq === undefined || this.#delivery.arrivals.receive(seq);
  }

  /**
   * Notes that the peer wants a reply.
   *
   * @param request What asks for it, to be known again: numbers alone are those of other peers too.
   * @returns `false` if that number is still being answered.
   */
  beginAnswer(id: number, request?: unknown): boolean {
    if (id === this.#lastId || this.#answering?.has(id)) return false;
    if (this.#lastId !== 0) {
      this.#answering ??= new Map();
      this.#answering.set(this.#lastId, this.#lastRequest);
    }
    this.#lastId = id;
    this.#lastRequest = request;
    return true;
  }

  /** Notes that the reply goes out. `false` if none is owed to this request. */
  endAnswer(id: number, request?: unknown): boolean {
    if (id !== this.#lastId) {
      return this.#answering?.get(id) === request && this.#answering?.delete(id) === true;
    }
    if (request !== this.#lastRequest) return false;
    this.#lastId = 0;
    this.#lastRequest = undefined;
    return true;
  }

  /** Whether a request was not answered before its session ended. */
  wasLost(request: object): boolean {
    return this.#lost?.has(request) ?? false;
  }

  /** The earliest deadline, `Infinity` when nothing is outstanding. */
  nextDeadline(): number {
    return Math.min(this.requests.nextDeadline(), this.pings.nextDeadline());
  }

  /** Ends whatever is outstanding; a new delivery may begin. */
  end(error: unknown, next?: Delivery): void {
    for (const { reject } of this.requests.takeAll()) reject(error);
    for (const { reject } of this.pings.takeAll()) reject(error);
    for (const request of this.#answering?.values() ?? []) this.#lose(request);
    this.#lose(this.#lastRequest);
    this.#answering = undefined;
    this.#lastId = 0;
    this.#lastRequest = undefined;
    this.#delivery = next;
  }

  #lose(request: unknown): void {
    if (request === null || typeof request !== "object") return;
    this.#lost ??= new WeakSet();
    this.#lost.add(request);
  }
}
