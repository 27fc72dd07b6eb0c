/**
 * Text on its way out, as bytes.
 *
 * @module
 */

const MIN_BYTES = 1_024;
const EMPTY = new Uint8Array(0);

const encoder = new TextEncoder();

/**
 * Collects text as UTF-8 in a buffer that is used again. Strings that wait for a slow reader would
 * survive one garbage collection after the other, and the heap would grow with them.
 */
export class TextBuffer {
  readonly #maxKeptBytes: number;
  #bytes: Uint8Array = EMPTY;
  #length = 0;

  /** @param maxKeptBytes How much memory it keeps while it is empty, if so much was needed lately. */
  constructor(maxKeptBytes: number) {
    this.#maxKeptBytes = maxKeptBytes;
  }

  /** How many bytes it holds. */
  get length(): number {
    return this.#length;
  }

  /** What it holds, until the next change. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Adds a line and its end. Returns how many bytes they take. */
  pushLine(line: string): number {
    const text = line + "\n";
    // A UTF-16 code unit takes three bytes at most.
    const needed = this.#length + text.length * 3;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, MIN_BYTES, this.#bytes.length * 2));
      larger.set(this.bytes);
      this.#bytes = larger;
    }
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(this.#length));
    this.#length += written;
    return written;
  }

  /** Empties it. */
  clear(): void {
    const capacity = this.#bytes.length;
    if (capacity > this.#maxKeptBytes || this.#length < capacity / 8) this.#bytes = EMPTY;
    this.#length = 0;
  }
}
