/**
 * Takes the place of `setTimeout`, `clearTimeout` and `performance.now` until it is disposed of, so
 * that a test passes the time in.
 */
export class FakeTime implements Disposable {
  /** What `performance.now()` says. */
  now = 1_000;
  readonly #timers = new Map<number, { at: number; callback: () => void }>();
  readonly #setTimeout = globalThis.setTimeout;
  readonly #clearTimeout = globalThis.clearTimeout;
  readonly #dateNow = Date.now;
  #lastId = 0;

  /** @param options Whether the time of day passes with it, and stands still with it. */
  constructor({ withDate = false } = {}) {
    const set = (callback: () => void, ms: number = 0) => {
      // Fractions are cut off, as the runtime does.
      this.#timers.set(++this.#lastId, { at: this.now + Math.trunc(ms), callback });
      return this.#lastId;
    };
    globalThis.setTimeout = set as unknown as typeof setTimeout;
    globalThis.clearTimeout = (id) => void this.#timers.delete(Number(id));
    performance.now = () => this.now;
    const ahead = Date.now() - this.now;
    if (withDate) Date.now = () => ahead + this.now;
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.size;
  }

  /** When the next timer fires. */
  get next(): number {
    return Math.min(...[...this.#timers.values()].map(({ at }) => at));
  }

  /** Lets time pass, each timer firing when it should. */
  advance(ms: number): void {
    const end = this.now + ms;
    while (this.next <= end) {
      this.now = Math.max(this.now, this.next);
      this.fire();
    }
    this.now = end;
  }

  /** Lets time pass with the process stopped: no timer fires. */
  stop(ms: number): void {
    this.now += ms;
  }

  /** Fires the timers that are due now, or will be so soon. */
  fire(early = 0): void {
    for (const [id, { at, callback }] of [...this.#timers]) {
      if (at > this.now + early || !this.#timers.delete(id)) continue;
      callback();
    }
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
    globalThis.clearTimeout = this.#clearTimeout;
    Date.now = this.#dateNow;
    // The real one is inherited.
    delete (performance as { now?: unknown }).now;
  }
}
