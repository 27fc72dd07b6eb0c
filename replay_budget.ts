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

/** So much of the bound is made free at once: to look for the largest costs a look at all. */
const FREED_SHARE = 1 / 16;

/** Keeps the sum of what is held under a bound: beyond it the largest holders give way. */
export class ReplayBudget {
  readonly #maxBytes: number;
  readonly #holders = new Set<Holder>();
  #bytes = 0;
  #isTight = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** How many bytes are held in all. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Whether what is added is to be counted, as a bound of it would not do: from when all had to be, until no
   * more than half of what may be held is.
   */
  get isTight(): boolean {
    return this.#isTight;
  }

  /** A holder has so many bytes more. */
  add(holder: Holder, bytes: number): void {
    if (holder.length === 1) this.#holders.add(holder);
    this.#bytes += bytes;
    if (this.#bytes > this.#maxBytes) this.#makeRoom();
  }

  /** It has so many less. */
  remove(holder: Holder, bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes <= this.#maxBytes / 2) this.#isTight = false;
    if (holder.length === 0) this.#holders.delete(holder);
  }

  #makeRoom(): void {
    // To be asked is to be counted.
    const sizes = [...this.#holders].map((holder) => ({ holder, bytes: holder.bytes }));
    this.#isTight = this.#bytes > this.#maxBytes / 2;
    if (this.#bytes <= this.#maxBytes) return;
    sizes.sort((one, other) => other.bytes - one.bytes);
    const goal = this.#maxBytes * (1 - FREED_SHARE);
    // Once more from the first, where half of everything is not enough.
    while (this.#bytes > goal) {
      for (const { holder } of sizes) {
        holder.giveWay();
        if (this.#bytes <= goal) break;
      }
    }
  }
}
