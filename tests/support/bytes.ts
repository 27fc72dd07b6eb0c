/** Bytes to feed a decoder, and ways to cut them. */

const encoder = new TextEncoder();

/** The text as UTF-8; numbers stand for single bytes. */
export function bytes(...parts: (string | number)[]): Uint8Array<ArrayBuffer> {
  return concat(
    parts.map((part) => typeof part === "number" ? Uint8Array.of(part) : encoder.encode(part)),
  );
}

/** All of these bytes in one piece. */
export function concat(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The pieces between these places. Empty pieces are kept: a read may bring nothing. */
export function cut(whole: Uint8Array<ArrayBuffer>, places: number[]): Uint8Array<ArrayBuffer>[] {
  const ends = [...places].sort((a, b) => a - b);
  return [...ends, whole.length].map((end, index) => whole.slice(ends[index - 1] ?? 0, end));
}

/** Pieces of this size. */
export function pieces(whole: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer>[] {
  const places: number[] = [];
  for (let place = size; place < whole.length; place += size) places.push(place);
  return cut(whole, places);
}

/** The whole, every cut in two, and single bytes. */
export function* splits(whole: Uint8Array<ArrayBuffer>): Generator<Uint8Array<ArrayBuffer>[]> {
  yield [whole];
  for (let place = 0; place <= whole.length; place++) yield cut(whole, [place]);
  yield pieces(whole, 1);
}
