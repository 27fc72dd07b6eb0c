/**
 * Buffers that are lent to whoever has something to write.
 *
 * @module
 */

/** Most lines fit into the smallest, three bytes counted for each character. */
export const MIN_BUFFER_BYTES = 2_048;
/** Larger ones are made when they are needed, and not kept. */
export const MAX_BUFFER_BYTES = 131_072;
/** So much is kept at most: a burst of some KiB to each of 10,000 clients. */
const MAX_KEPT_BYTES = 128 * 1_024 * 1_024;
/** What nobody needed for so long is let go of, as soon as anything is given back. */
const KEPT_MS = 10_000;

/** Buffers of one size. */
class Shelf {
  readonly buffers: Uint8Array[] = [];
  /** How many of them nobody has needed since they were looked through. */
  unused = 0;
}

/**
 * The buffers of many connections, most of which have nothing to write: those that are silent hold none.
 * What was given back last is lent first, as it is still in the processor's cache.
 */
export class BufferPool {
  /** By the size of what lies there, a power of two. */
  readonly #shelves = new Map<number, Shelf>();
  #bytes = 0;
  #lookAt = Date.now() + KEPT_MS;

  /** How much lies here. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Lends one of at least this size. What is in it is left from before. */
  take(bytes: number): Uint8Array {
    if (bytes > MAX_BUFFER_BYTES) return new Uint8Array(bytes);
    let size = MIN_BUFFER_BYTES;
    while (size < bytes) size *= 2;
    const shelf = this.#shelves.get(size);
    const buffer = shelf?.buffers.pop();
    if (!shelf || !buffer) return new Uint8Array(size);
    this.#bytes -= size;
    shelf.unused = Math.min(shelf.unused, shelf.buffers.length);
    return buffer;
  }

  /** Takes one back that nobody reads or writes any more. */
  give(buffer: Uint8Array): void {
    const size = buffer.length;
    if (size > MAX_BUFFER_BYTES || this.#bytes + size > MAX_KEPT_BYTES) return;
    let shelf = this.#shelves.get(size);
    if (!shelf) this.#shelves.set(size, shelf = new Shelf());
    shelf.buffers.push(buffer);
    this.#bytes += size;
    if (Date.now() >= this.#lookAt) this.#lookThrough();
  }

  #lookThrough(): void {
    this.#lookAt = Date.now() + KEPT_MS;
    for (const [size, shelf] of this.#shelves) {
      shelf.buffers.splice(0, shelf.unused);
      this.#bytes -= size * shelf.unused;
      shelf.unused = shelf.buffers.length;
    }
  }
}
