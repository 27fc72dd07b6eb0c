/**
 * Buffers that are lent to whoever has something to write.
 *
 * @module
 */

/** Most lines fit into the smallest, three bytes counted for each character. */
export const MIN_BUFFER_BYTES = 2_048;
/** Larger ones are made when they are needed, and not kept. */
export const MAX_BUFFER_BYTES = 131_072;
/** So much is kept for the next rush. */
const MAX_KEPT_BYTES = 8 * 1_024 * 1_024;

/**
 * The buffers of many connections, most of which have nothing to write: those that are silent hold none.
 * What was given back last is lent first, as it is still in the processor's cache.
 */
export class BufferPool {
  /** By their size, a power of two. */
  readonly #free = new Map<number, Uint8Array[]>();
  #bytes = 0;

  /** How much lies here. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Lends one of at least this size. What is in it is left from before. */
  take(bytes: number): Uint8Array {
    if (bytes > MAX_BUFFER_BYTES) return new Uint8Array(bytes);
    let size = MIN_BUFFER_BYTES;
    while (size < bytes) size *= 2;
    const buffer = this.#free.get(size)?.pop();
    if (!buffer) return new Uint8Array(size);
    this.#bytes -= size;
    return buffer;
  }

  /** Takes one back that nobody reads or writes any more. */
  give(buffer: Uint8Array): void {
    const size = buffer.length;
    if (size > MAX_BUFFER_BYTES || this.#bytes + size > MAX_KEPT_BYTES) return;
    const free = this.#free.get(size);
    if (free) free.push(buffer);
    else this.#free.set(size, [buffer]);
    this.#bytes += size;
  }
}
