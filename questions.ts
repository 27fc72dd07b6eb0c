/**
 * Asking a peer, and waiting for its answer.
 *
 * @module
 */

import type { RequestOptions } from "./contract.ts";
import { type PnetworkError, RequestError } from "./errors.ts";
import { checkOptions, checkSignal, checkTimeout } from "./options.ts";
import { harmlessly, rejected } from "./rejections.ts";
import type { Outstanding } from "./outstanding.ts";
import type { Session } from "./session.ts";
import type { Seat, Sweep, Sweepable } from "./sweep.ts";

/** Gives the session's questions their deadlines, their signals and their promises. */
export class Questions implements Sweepable {
  /** For the sweep. */
  seat: Seat | undefined;
  readonly #session: Session<unknown>;
  readonly #sweep: Sweep;
  readonly #timeoutMs: number | false;

  /**
   * @param session Which questions are open.
   * @param sweep What watches their deadlines.
   * @param timeoutMs How long one waits that names no time of its own.
   */
  constructor(session: Session<unknown>, sweep: Sweep, timeoutMs: number | false) {
    this.#session = session;
    this.#sweep = sweep;
    this.#timeoutMs = timeoutMs;
    sweep.add(this);
  }

  /**
   * Opens a numbered question, sends it, and waits for its answer.
   *
   * @param send Sends it under its number. Returns why it was not sent, if it was not.
   * @throws {TypeError} If an option has the wrong type.
   * @throws {RangeError} If `timeoutMs` is out of range.
   */
  ask<Answer>(
    outstanding: Outstanding<Answer>,
    options: RequestOptions,
    send: (id: number) => PnetworkError | undefined,
  ): Promise<Answer> {
    checkOptions(options);
    const { timeoutMs = this.#timeoutMs, signal } = options;
    const wait = checkTimeout("timeoutMs", timeoutMs);
    checkSignal(signal);
    if (signal?.aborted) return rejected(signal.reason);
    const answer = harmlessly<Answer>();
    const deadline = wait === false ? Infinity : this.#sweep.recent + wait;
    let id: number;
    try {
      id = outstanding.open(deadline, answer);
    } catch (error) {
      return rejected(error);
    }
    const error = send(id);
    if (error) {
      outstanding.take(id)?.reject(error);
    } else if (signal) {
      const abort = () => outstanding.take(id)?.reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      const forget = () => signal.removeEventListener("abort", abort);
      answer.promise.then(forget, forget);
    }
    this.#sweep.by(this, deadline);
    return answer.promise;
  }

  /**
   * Gives up whatever is open, and watches no more.
   *
   * @param error What those are told who wait, if anybody does.
   */
  end(error: PnetworkError | undefined): void {
    this.#sweep.delete(this);
    this.#session.end(error);
  }

  /** For the sweep. */
  nextDeadline(): number {
    return this.#session.nextDeadline();
  }

  /** For the sweep. */
  sweep(now: number): void {
    for (const { reject } of this.#session.requests.takeExpired(now)) {
      reject(new RequestError("REQUEST_TIMEOUT", "no reply came in time"));
    }
    for (const { reject } of this.#session.pings.takeExpired(now)) {
      reject(new RequestError("REQUEST_TIMEOUT", "no pong came in time"));
    }
  }
}
