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

  /** Takes one. Returns how many milliseconds to wait first. */
  take(now: number): number {
    this.#refill(now);
    this.#tokens--;
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perMs;
  }

  /** Takes one if there is one. */
  tryTake(now: number): boolean {
    this.#refill(now);
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  #refill(now: number): void {
    const passed = Math.max(0, now - this.#at);
    this.#tokens = Math.min(this.#capacity, this.#tokens + passed * this.#perMs);
    this.#at = now;
  }
}
