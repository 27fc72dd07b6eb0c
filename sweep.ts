/**
 * One timer for all deadlines.
 *
 * @module
 */

import { abortable } from "./abortable.ts";
import { Roster } from "./roster.ts";

/** Something with deadlines. */
export interface Sweepable {
  /** For the sweep that watches it, and nobody else. */
  seat?: Seat | undefined;
  /** The earliest of its deadlines on the sweep's clock, `Infinity` when there is none. */
  nextDeadline(): number;
  /** Called when that time has come. */
  sweep(now: number): void;
}

/** Deadlines are met this precisely. A timer more precise would only cost wake-ups. */
const TICK_MS = 10;
/** While anything is due, it looks at the time this often, so that a stopped process is noticed. */
const MAX_WAIT_MS = 1_000;
/** A tick may come this late: a busy process is one whose clock goes on, unlike a stopped one. */
const BUSY_MS = 100;

/**
 * Watches the deadlines of any number of connections with one timer, and none while there is no
 * deadline. A tick costs what is due, not what is watched: entries wait in the slots of a timing wheel
 * (Varghese and Lauck, 1987).
 *
 * Its clock stands still while the process does: where a tick comes late by more than {@link BUSY_MS}
 * (the process was stopped, the machine slept), the rest is taken off the clock, so that nobody is
 * found dead for it.
 */
export class Sweep {
  /** Who is looked at first, by the tick. */
  readonly #slots = new Roster<number, Seat>();
  #lastTick = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Infinity;
  #stopped = 0;
  #wall = 0;
  #recent = 0;

  /** Milliseconds on the clock that all deadlines are measured on. */
  now(): number {
    // A tick that is long overdue has yet to take that off. Until then the clock waits for it.
    return Math.min(performance.now() - this.#stopped, this.#timerAt + BUSY_MS);
  }

  /** The same, to the millisecond, for those who ask with every packet: the other clock costs half as much. */
  get recent(): number {
    const wall = Date.now();
    if (wall !== this.#wall) {
      this.#wall = wall;
      this.#recent = this.now();
    }
    return this.#recent;
  }

  /** When it looks next, on its clock; `Infinity` when nothing is due. */
  get nextTick(): number {
    return this.#timerAt;
  }

  /** What it waits for, for people. */
  get waitsFor(): string {
    if (this.nextTick === Infinity) return "a deadline";
    return `${Math.max(0, Math.round(this.nextTick - this.now()))} ms to pass`;
  }

  /** Watches this one's deadlines from now on. */
  add(entry: Sweepable): void {
    entry.seat = NOWHERE;
    this.by(entry, entry.nextDeadline());
  }

  /** Watches them no more. */
  delete(entry: Sweepable): void {
    if (entry.seat) this.#leave(entry.seat);
    entry.seat = undefined;
    if (this.#slots.size === 0) this.#schedule(Infinity);
  }

  /** An entry that is being watched has this new deadline. */
  by(entry: Sweepable, deadline: number): void {
    // One that is put off is found when its slot is looked at: most are, again and again.
    const { seat } = entry;
    if (!seat || deadline >= seat.tick * TICK_MS) return;
    const lastTick = Math.floor(this.now() / TICK_MS);
    if (this.#slots.size === 0) this.#lastTick = lastTick;
    const tick = Math.max(Math.ceil(deadline / TICK_MS), lastTick + 1);
    if (tick >= seat.tick) return;
    this.#leave(seat);
    this.#take(entry.seat = seat === NOWHERE ? new Seat(entry) : seat, tick);
    this.#lookBy(tick * TICK_MS);
  }

  /**
   * Calls back once, after this many milliseconds on its clock.
   *
   * @returns Calls it off.
   */
  after(ms: number, callback: () => void): () => void {
    const alarm = new Alarm(this, this.now() + ms, callback);
    this.add(alarm);
    return () => this.delete(alarm);
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

  #take(seat: Seat, tick: number): void {
    seat.tick = tick;
    const first = this.#slots.get(tick);
    if (!first) {
      this.#slots.set(tick, seat);
      return;
    }
    seat.next = first;
    seat.previous = first.previous;
    seat.previous.next = first.previous = seat;
  }

  #leave(seat: Seat): void {
    const { tick, next, previous } = seat;
    if (tick === Infinity) return;
    if (next === seat) this.#slots.delete(tick);
    else if (this.#slots.get(tick) === seat) this.#slots.set(tick, next);
    previous.next = next;
    next.previous = previous;
    // It must not hold those that it sat beside.
    seat.next = seat.previous = seat;
    seat.tick = Infinity;
  }

  #lookBy(deadline: number): void {
    // Only at an earlier time: short deadlines that keep coming must not put the tick off.
    if (deadline < this.#timerAt) this.#schedule(deadline);
  }

  #schedule(deadline: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = Infinity;
    if (deadline === Infinity) return;
    const now = this.now();
    const wait = Math.min(Math.max(deadline - now, 0), MAX_WAIT_MS);
    this.#timerAt = now + wait;
    // A timer cuts fractions off: it would come too early, and have to be set once more.
    this.#timer = setTimeout(() => this.#look(), Math.ceil(wait));
  }

  #look(): void {
    this.#stopped += Math.max(0, performance.now() - this.#stopped - this.#timerAt - BUSY_MS);
    this.#timerAt = Infinity;
    const now = this.now();
    const first = this.#lastTick + 1;
    // What is swept gets its next slot after those that are being looked at.
    this.#lastTick = Math.floor(now / TICK_MS);
    for (let tick = first, last = this.#lastTick; tick <= last; tick++) this.#sweepSlot(tick, now);
    if (this.#slots.size > 0) this.#lookBy(this.#nextSlot() * TICK_MS);
  }

  #sweepSlot(tick: number, now: number): void {
    for (let seat = this.#slots.get(tick); seat; seat = this.#slots.get(tick)) {
      this.#leave(seat);
      const { entry } = seat;
      if (entry.nextDeadline() <= now) entry.sweep(now);
      this.by(entry, entry.nextDeadline());
    }
  }

  /** The next one that is not empty, if it is near enough for the timer's next wait to end there. */
  #nextSlot(): number {
    const farthest = this.#lastTick + MAX_WAIT_MS / TICK_MS;
    let tick = this.#lastTick + 1;
    while (tick < farthest && !this.#slots.has(tick)) tick++;
    return tick;
  }
}

/** Something that is called back once. */
class Alarm implements Sweepable {
  seat: Seat | undefined;
  readonly #sweep: Sweep;
  readonly #deadline: number;
  readonly #callback: () => void;

  constructor(sweep: Sweep, deadline: number, callback: () => void) {
    this.#sweep = sweep;
    this.#deadline = deadline;
    this.#callback = callback;
  }

  nextDeadline(): number {
    return this.#deadline;
  }

  sweep(): void {
    this.#sweep.delete(this);
    this.#callback();
  }
}

/** Where something with deadlines waits to be looked at. */
export class Seat {
  readonly entry: Sweepable;
  /** The tick at which it is: that of its deadline, or one before, if it has been put off since. */
  tick = Infinity;
  /** Those of a tick are a ring, in the order in which they came. */
  next: Seat = this;
  previous: Seat = this;

  constructor(entry: Sweepable) {
    this.entry = entry;
  }
}

/** The seat of all that have no deadline. */
const NOWHERE = new Seat({ nextDeadline: () => Infinity, sweep: () => {} });

/** What watches the deadlines of all servers and clients of the process. */
export const processSweep = new Sweep();
