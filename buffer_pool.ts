/**
 * Buffers that are lent to whoever has something to write.
 *
 * @module
 */

/** How large each of them is. Most lines fit in, three bytes counted for each character. */
export const POOLED_BYTES = 2_048;
/** No more than 8 MiB are kept for the next rush. */
const MAX_KEPT_BUFFERS = 4_096;

/**
 * The buffers of many connections, most of which have nothing to write: those that are silent hold none,
 * unless they had more to write than one holds (see `TextBuffer`).
 * What was given back last is lent first, as it is still in the processor's cache.
 */
export class BufferPool {
  readonly #free: Uint8Array[] = [];

  /** How many lie here. */
  get size(): number {
    return this.#free.length;
  }

  /** Lends one. What is in it is left from before. */
  take(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(POOLED_BYTES);
  }

  /** Takes one back that nobody reads or writes any more. */
  give(buffer: Uint8Array): void {
    if (this.#free.length < MAX_KEPT_BUFFERS) this.#free.push(buffer);
  }
}
