/**
 * Text on its way out, as bytes.
 *
 * @module
 */

import type { BufferPool } from "./buffer_pool.ts";
import { maxUtf8Length, utf8Length } from "./packet.ts";

/**
 * So much text becomes bytes without being asked for: several lines, of which the first is still in the
 * processor's cache where the same is written to many.
 */
const MAX_TEXT_LENGTH = 2_048;
/** Text of that length is measured before room is made for it. */
const LONG_TEXT_LENGTH = 32_768;
const EMPTY = new Uint8Array(0);

const encoder = new TextEncoder();

/**
 * Collects lines, and turns them into UTF-8 all at once: most of what encoding a line costs is the call.
 * What waits for a slow reader waits as bytes: strings would survive one garbage collection after the
 * other, and the heap would grow with them. While it holds nothing it keeps no memory either.
 */
export class TextBuffer {
  readonly #pool: BufferPool;
  #bytes: Uint8Array = EMPTY;
  #length = 0;
  /** What comes after these bytes. */
  #text = "";

  /** @param pool What lends it memory. */
  constructor(pool: BufferPool) {
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

  /** Empties it. Whoever was given its bytes must be through with them. */
  clear(): void {
    this.#change(EMPTY);
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
    const larger = this.#pool.take(Math.max(needed, this.#bytes.length * 2));
    if (this.#length > 0) larger.set(this.#bytes.subarray(0, this.#length));
    this.#change(larger);
  }

  #change(bytes: Uint8Array): void {
    if (this.#bytes !== EMPTY) this.#pool.give(this.#bytes);
    this.#bytes = bytes;
  }
}
