/**
 * How much all windows of a server may hold together.
 *
 * @module
 */

/** One that holds bytes. */
export interface Holder {
  /** How many it holds. Where they had not been counted before, the budget is told of the difference. */
  readonly bytes: number;
  /** Whether it holds anything. */
  readonly length: number;
  /** Lets go of at least half of them. */
  giveWay(): void;
}

/** Keeps the sum of what is held under a bound: beyond it the largest holder gives way. */
export class ReplayBudget {
  readonly #maxBytes: number;
  readonly #holders = new Set<Holder>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** How many bytes are held in all. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A holder has so many bytes more. */
  add(holder: Holder, bytes: number): void {
    if (holder.length === 1) this.#holders.add(holder);
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes) {
      const largest = this.#largest();
      // Finding it has counted them all.
      if (this.#bytes > this.#maxBytes) largest.giveWay();
    }
  }

  /** It has so many less. */
  remove(holder: Holder, bytes: number): void {
    this.#bytes -= bytes;
    if (holder.length === 0) this.#holders.delete(holder);
  }

  #largest(): Holder {
    let largest: Holder | undefined;
    for (const holder of this.#holders) {
      if (holder.bytes > (largest?.bytes ?? -1)) largest = holder;
    }
    // Whatever is held is held by someone.
    return largest!;
  }
}
