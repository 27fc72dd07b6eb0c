/**
 * A rate, and the bursts that it allows.
 *
 * @module
 */

/** Lets so many through in a second, after a burst of as many. Pure: `now` is an argument. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #capacity: number;
  #tokens: number;
  #at: number;

  constructor(perSecond: number, now: number) {
    this.#perMs = perSecond / 1_000;
    this.#capacity = perSecond;
    this.#tokens = perSecond;
    this.#at = now;
  }

  /**
   * Takes one. Returns how many milliseconds to wait first; where that is more than `maxWaitMs`, it has taken
   * none.
   */
  take(now: number, maxWaitMs: number = Infinity): number {
    this.#refill(now);
    const left = this.#tokens - 1;
    const waitMs = left >= 0 ? 0 : -left / this.#perMs;
    if (waitMs <= maxWaitMs) this.#tokens = left;
    return waitMs;
  }

  #refill(now: number): void {
    const passed = Math.max(0, now - this.#at);
    this.#tokens = Math.min(this.#capacity, this.#tokens + passed * this.#perMs);
    this.#at = now;
  }
}
