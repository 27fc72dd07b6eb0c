/**
 * One timer for all deadlines of a server or a client.
 *
 * @module
 */

import { abortable } from "./abortable.ts";

/** Something with deadlines. */
export interface Sweepable {
  /** The earliest of its deadlines on the sweep's clock, `Infinity` when there is none. */
  nextDeadline(): number;
  /** Called when that time has come. */
  sweep(now: number): void;
}

/** A timer more precise than this would only cost wake-ups. */
const MIN_TICK_MS = 10;
/** While anything is due, the clock is looked at this often, so that a stopped process is noticed. */
const MAX_TICK_MS = 1_000;

/**
 * Watches the deadlines of any number of connections with one timer, and none while there is no
 * deadline.
 *
 * Its clock stands still while the process does: when a tick comes late (the process was stopped,
 * the machine slept), the lateness is taken off the clock, so that nobody is found dead for it.
 */
export class Sweep {
  readonly #entries = new Set<Sweepable>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tickAt = Infinity;
  #lateness = 0;

  /** Milliseconds on the clock that all deadlines are measured on. */
  now(): number {
    // A tick that is overdue has yet to take its lateness off. Until then the clock waits for it.
    return Math.min(performance.now() - this.#lateness, this.#tickAt);
  }

  /** When it looks next, on its clock; `Infinity` when nothing is due. */
  get nextTick(): number {
    return this.#tickAt;
  }

  /** Watches this one's deadlines from now on. */
  add(entry: Sweepable): void {
    this.#entries.add(entry);
    this.by(entry.nextDeadline());
  }

  /** Watches them no more. */
  delete(entry: Sweepable): void {
    this.#entries.delete(entry);
    if (this.#entries.size === 0) this.#schedule(Infinity);
  }

  /** An entry that is being watched has this new deadline. */
  by(deadline: number): void {
    // Only to an earlier time: short deadlines that keep coming must not put the tick off.
    if (Math.max(deadline, this.now() + MIN_TICK_MS) < this.#tickAt) this.#schedule(deadline);
  }

  /**
   * Calls back once, after this many milliseconds on its clock.
   *
   * @returns Calls it off.
   */
  after(ms: number, callback: () => void): () => void {
    const deadline = this.now() + ms;
    const entry: Sweepable = {
      nextDeadline: () => deadline,
      sweep: () => {
        this.delete(entry);
        callback();
      },
    };
    this.add(entry);
    return () => this.delete(entry);
  }

  /** Resolves after this many milliseconds on its clock. Rejects with the signal's reason. */
  async pause(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const callOff = this.after(ms, resolve);
    try {
      await abortable(promise, signal);
    } finally {
      callOff();
    }
  }

  #schedule(deadline: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#tickAt = Infinity;
    if (deadline === Infinity) return;
    const wait = Math.min(Math.max(deadline - this.now(), MIN_TICK_MS), MAX_TICK_MS);
    this.#tickAt = this.now() + wait;
    this.#timer = setTimeout(() => this.#tick(), wait);
  }

  #tick(): void {
    this.#lateness += Math.max(0, performance.now() - this.#lateness - this.#tickAt);
    this.#tickAt = Infinity;
    const now = this.now();
    let next = Infinity;
    for (const entry of this.#entries) {
      if (entry.nextDeadline() <= now) entry.sweep(now);
      if (this.#entries.has(entry)) next = Math.min(next, entry.nextDeadline());
    }
    // What was swept may have set an earlier one meanwhile.
    if (next < this.#tickAt) this.#schedule(next);
  }
}
