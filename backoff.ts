/**
 * How long to wait before another attempt.
 *
 * @module
 */

/**
 * Exponential backoff with full jitter: each wait is drawn from 0 to a bound that doubles, so that many
 * that were dropped together do not come back together. Source: Marc Brooker, "Exponential Backoff And
 * Jitter", {@link https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/}.
 */
export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  #boundMs: number;

  /**
   * @param minMs The first bound, in milliseconds.
   * @param maxMs The largest one.
   */
  constructor(minMs: number, maxMs: number) {
    this.#minMs = Math.min(minMs, maxMs);
    this.#maxMs = maxMs;
    this.#boundMs = this.#minMs;
  }

  /** The bound of the next wait, in milliseconds. */
  get boundMs(): number {
    return this.#boundMs;
  }

  /** The next wait, in milliseconds. */
  next(random: () => number = Math.random): number {
    const waitMs = random() * this.#boundMs;
    this.#boundMs = Math.min(this.#maxMs, this.#boundMs * 2);
    return waitMs;
  }

  /** Begins again at the first bound. */
  reset(): void {
    this.#boundMs = this.#minMs;
  }
}
