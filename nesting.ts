/**
 * How deep a text nests, before it is parsed.
 *
 * @module
 */

import { BLOCK_BYTES, makeNestingScan, type NestingScan, TOO_DEEP } from "./nesting_scan.ts";

const BLANK = 0x20;
/** So deep no text nests that can be parsed. */
const MAX_DEPTH = 0x0fff_ffff;

/** To search for the next bracket costs about as much as to scan a fifth of this. */
const LENGTH_PER_SEARCH = 512;

const encoder = new TextEncoder();
/** Made when it is needed: many programs never send a text that has to be looked at. */
let nestingScan: NestingScan | undefined;

/** Whether the brackets of a JSON text nest deeper than `max`. Of any other text it says nothing. */
export function isDeeperThan(text: string, max: number): boolean {
  const few = Math.min(max, Math.ceil(text.length / LENGTH_PER_SEARCH));
  return hasMoreThan(few, text, "[", "{") && isExceededBy(text, Math.min(max, MAX_DEPTH));
}

/** Whether more than so many of these occur. Prose holds too few to nest deep, and is soon through. */
function hasMoreThan(max: number, text: string, ...openers: string[]): boolean {
  let count = 0;
  for (const opener of openers) {
    for (let at = text.indexOf(opener); at !== -1; at = text.indexOf(opener, at + 1)) {
      if (!(++count <= max)) return true;
    }
  }
  return false;
}

/** Looks at a piece of the text after the other, in blocks: what is left of one comes with the next. */
function isExceededBy(text: string, max: number): boolean {
  const { piece, scan } = nestingScan ??= makeNestingScan();
  let state = 0, left = 0;
  for (let rest = text; rest !== "";) {
    const { read, written } = encoder.encodeInto(rest, piece.subarray(left));
    rest = rest.slice(read);
    let end = left + written;
    if (rest === "") piece.fill(BLANK, end, end = Math.ceil(end / BLOCK_BYTES) * BLOCK_BYTES);
    left = end % BLOCK_BYTES;
    state = scan(end - left, max, state);
    if (state === TOO_DEEP) return true;
    piece.copyWithin(0, end - left, end);
  }
  return false;
}
