/**
 * Text on its way out, as bytes.
 *
 * @module
 */

import { type BufferPool, POOLED_BYTES } from "./buffer_pool.ts";
import { maxUtf8Length, utf8Length } from "./packet.ts";

/**
 * So much text becomes bytes without being asked for: several lines, of which the first is still in the
 * processor's cache where the same is written to many.
 */
const MAX_TEXT_LENGTH = 2_048;
/** Text of that length is measured before room is made for it. */
const LONG_TEXT_LENGTH = 32_768;
/** So many times in a row that much less was needed give memory back. */
const SMALL_USES = 4;
const EMPTY = new Uint8Array(0);

const encoder = new TextEncoder();

/**
 * Collects lines, and turns them into UTF-8 all at once, in a buffer that is used again: most of what
 * encoding a line costs is the call. What waits for a slow reader waits as bytes: strings would survive one
 * garbage collection after the other, and the heap would grow with them.
 */
export class TextBuffer {
  readonly #maxKeptBytes: number;
  readonly #pool: BufferPool | undefined;
  #bytes: Uint8Array = EMPTY;
  #length = 0;
  #smallUses = 0;
  /** What comes after these bytes. */
  #text = "";

  /**
   * @param maxKeptBytes How much memory it keeps while it is empty, if so much was needed lately.
   * @param pool What lends it memory while it needs little. What it has from there it never keeps.
   */
  constructor(maxKeptBytes: number, pool?: BufferPool) {
    this.#maxKeptBytes = maxKeptBytes;
    this.#pool = pool;
  }

  /** Whether it holds nothing. */
  get isEmpty(): boolean {
    return this.#length === 0 && this.#text === "";
  }

  /** No more bytes than it holds, for less than it costs to count them. */
  get minLength(): number {
    return this.#length;
  }

  /** No fewer bytes than it holds, for as little. */
  get maxLength(): number {
    return this.#length + maxUtf8Length(this.#text);
  }

  /** How many bytes it holds. */
  get length(): number {
    this.#encode();
    return this.#length;
  }

  /** What it holds, until the next change. */
  get bytes(): Uint8Array {
    this.#encode();
    return this.#bytes.subarray(0, this.#length);
  }

  /** Adds a line and its end. */
  pushLine(line: string): void {
    this.#text += line + "\n";
    if (this.#text.length >= MAX_TEXT_LENGTH) this.#encode();
  }

  /** Empties it. */
  clear(): void {
    this.#giveBack();
    const capacity = this.#bytes.length;
    this.#smallUses = this.#length < capacity / 8 ? this.#smallUses + 1 : 0;
    if (capacity > this.#maxKeptBytes || this.#smallUses >= SMALL_USES) {
      this.#bytes = EMPTY;
      this.#smallUses = 0;
    }
    this.#length = 0;
    this.#text = "";
  }

  #encode(): void {
    const text = this.#text;
    if (text === "") return;
    this.#text = "";
    const isLong = text.length > LONG_TEXT_LENGTH;
    this.#reserve(isLong ? utf8Length(text) : maxUtf8Length(text));
    const room = this.#length === 0 ? this.#bytes : this.#bytes.subarray(this.#length);
    this.#length += encoder.encodeInto(text, room).written;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = this.#pool && needed <= POOLED_BYTES
      ? this.#pool.take()
      : new Uint8Array(Math.max(needed, POOLED_BYTES, this.#bytes.length * 2));
    if (this.#length > 0) larger.set(this.#bytes.subarray(0, this.#length));
    this.#giveBack();
    this.#bytes = larger;
  }

  /** Only what is lent is of that size, where there is a pool. */
  #giveBack(): void {
    if (!this.#pool || this.#bytes.length !== POOLED_BYTES) return;
    this.#pool.give(this.#bytes);
    this.#bytes = EMPTY;
  }
}
