/**
 * How deep a text nests, before it is parsed.
 *
 * @module
 */

const QUOTE = 0x22, BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b, OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d;

const encoder = new TextEncoder();
/** A piece of the text at a time. Bytes are looked at several times as fast as a string's units. */
const piece = new Uint8Array(16_384);

/** Whether the brackets of a JSON text nest deeper than `max`. Of any other text it says nothing. */
export function isDeeperThan(text: string, max: number): boolean {
  return hasMoreThan(max, text, "[", "{") && new Depth(max).isExceededBy(text);
}

/** Whether so many of these occur. Most texts hold too few to nest so deep. */
function hasMoreThan(max: number, text: string, ...openers: string[]): boolean {
  let count = 0;
  for (const opener of openers) {
    for (let at = text.indexOf(opener); at !== -1; at = text.indexOf(opener, at + 1)) {
      if (!(++count <= max)) return true;
    }
  }
  return false;
}

class Depth {
  readonly #max: number;
  #depth = 0;
  #isInString = false;

  constructor(max: number) {
    this.#max = max;
  }

  isExceededBy(text: string): boolean {
    let at = 0;
    for (let rest = text; rest !== "";) {
      const { read, written } = encoder.encodeInto(rest, piece);
      // What a backslash at the end escapes is the next one's first byte.
      at = this.#scan(piece, at, written) - written;
      if (this.#depth > this.#max) return true;
      rest = rest.slice(read);
    }
    return false;
  }

  /** Looks at these bytes. Returns where to go on: at their end, or one behind it. */
  #scan(bytes: Uint8Array, start: number, end: number): number {
    const max = this.#max;
    let depth = this.#depth, isInString = this.#isInString, at = start;
    for (;;) {
      // A loop of its own, left by its breaks alone: with conditions in its head it takes twice as long.
      if (isInString) {
        for (;;) {
          if (at >= end) break;
          const byte = bytes[at++];
          if (byte === QUOTE) {
            isInString = false;
            break;
          }
          if (byte === BACKSLASH) at++;
        }
      }
      if (at >= end) break;
      const byte = bytes[at++];
      if (byte === QUOTE) {
        isInString = true;
      } else if (byte >= OPEN_BRACKET) {
        // Brackets and braces differ in one bit.
        const brace = byte | 0x20;
        if (brace === OPEN_BRACE) {
          if (++depth > max) break;
        } else if (brace === CLOSE_BRACE) {
          depth--;
        }
      }
    }
    this.#depth = depth;
    this.#isInString = isInString;
    return at;
  }
}
