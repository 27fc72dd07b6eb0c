/**
 * Bytes that were read and not used yet.
 *
 * @module
 */

import type { Bytes } from "./noise.ts";

const MIN_BYTES = 1_024;
/** What it keeps of its memory while it is empty. */
const KEPT_BYTES = 16_384;

/** Bytes in, in whatever pieces; bytes out, in whatever others. */
export class ByteQueue {
  #bytes: Bytes = new Uint8Array(0);
  #start = 0;
  #end = 0;

  /** How many it holds. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** The byte at this place. */
  at(index: number): number {
    return this.#bytes[this.#start + index];
  }

  /** Where this byte stands first; -1 if nowhere. */
  indexOf(byte: number): number {
    return this.#bytes.subarray(this.#start, this.#end).indexOf(byte);
  }

  /** Adds some. They are copied. */
  push(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#bytes.length) this.#makeRoomFor(chunk.length);
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** Takes so many out. They are valid until the next {@linkcode ByteQueue.push}. */
  take(length: number): Bytes {
    const taken = this.#bytes.subarray(this.#start, this.#start += length);
    if (this.length === 0) {
      this.#start = this.#end = 0;
      if (this.#bytes.length > KEPT_BYTES) this.#bytes = new Uint8Array(0);
    }
    return taken;
  }

  /** Doubles when it must, so that tiny pieces cost no more than large ones. */
  #makeRoomFor(more: number): void {
    const { length } = this;
    const needed = length + more;
    const isRoomy = needed <= this.#bytes.length / 2;
    const target = isRoomy
      ? this.#bytes
      : new Uint8Array(Math.max(needed, MIN_BYTES, this.#bytes.length * 2));
    target.set(this.#bytes.subarray(this.#start, this.#end));
    this.#bytes = target;
    this.#start = 0;
    this.#end = length;
  }
}
