/**
 * The search for brackets outside of strings, 64 bytes at a time: a WebAssembly program.
 *
 * A loop in JavaScript takes half as long as `JSON.parse` does, this one a tenth of that. It is written
 * down as calls of functions that make its code: so it can be read, and needs no compiler.
 *
 * @module
 */

/** Bytes are looked at by so many: a number has a bit for each. */
export const BLOCK_BYTES = 64;
/** What a scan returns that found brackets nested too deep. */
export const TOO_DEEP = 0x7fff_ffff;

/** A program, and the memory that it looks at. */
export interface NestingScan {
  /** What is to be looked at, from its start. */
  readonly piece: Uint8Array<ArrayBuffer>;
  /**
   * Looks at the first bytes of the piece.
   *
   * @param end How many: whole blocks of them.
   * @param max How deep they may nest.
   * @param state What the scan of the piece before returned; 0 for the first.
   * @returns What the scan of the next piece is to be given, or {@linkcode TOO_DEEP}.
   */
  scan(end: number, max: number, state: number): number;
}

/** Makes one. */
export function makeNestingScan(): NestingScan {
  const { memory, scan } = new WebAssembly.Instance(new WebAssembly.Module(moduleOf(program())))
    .exports as { memory: WebAssembly.Memory; scan: NestingScan["scan"] };
  return { piece: new Uint8Array(memory.buffer as ArrayBuffer), scan };
}

/** The code of an expression or of a statement. */
type Code = readonly number[];

const QUOTE = 0x22, BACKSLASH = 0x5c, OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d;
/** Brackets and braces differ in this bit. */
const BRACE_BIT = 0x20;
const EVEN = 0x5555_5555_5555_5555n, ODD = ~EVEN;
const VECTOR_BYTES = 16;
const I32 = 0x7f, I64 = 0x7e, V128 = 0x7b, NOTHING = 0x40, END = 0x0b;

const PARAMETERS = [I32, I32, I32];
const end = local(0), max = local(1), state = local(2);
const at = local(3), depth = local(4), SMALL_VARIABLES = 2;
/** Whether the block begins within a string: all bits, or none. */
const within = local(5);
/** Whether a backslash before the block escapes its first byte. */
const escaped = local(6);
// A bit for each byte of the block.
const backslashes = local(7), behind = local(8), sums = local(9), quotes = local(10);
const opening = local(11), closing = local(12), rest = local(13), VARIABLES = 9;
/** The block itself. */
const block = [local(14), local(15), local(16), local(17)];

function program(): Code {
  return [
    ...depth.set(shiftRight(state.get, 2)),
    ...within.set(negative(extended(and(shiftRight(state.get, 1), small(1))))),
    ...escaped.set(extended(and(state.get, small(1)))),
    ...repeatWhile(
      isBelow(at.get, end.get),
      ...block.map((part, n) => part.set(load(plus(at.get, small(n * VECTOR_BYTES))))),
      backslashes.set(whereIs(BACKSLASH)),
      quotes.set(whereIs(QUOTE)),
      when(
        isNotZero(bits.or(backslashes.get, escaped.get)),
        // A run of backslashes escapes what is behind it if its length is odd (Langdale and Lemire, 2019):
        // where it begins at an odd place, adding that bit moves the run's carry behind its end.
        // Outside of strings no JSON has any, and what is behind one there is never parsed.
        backslashes.set(bits.and(backslashes.get, bits.not(escaped.get))),
        behind.set(bits.or(bits.up(backslashes.get, 1), escaped.get)),
        sums.set(bits.plus(
          bits.and(backslashes.get, bits.and(bits.number(ODD), bits.not(behind.get))),
          backslashes.get,
        )),
        escaped.set(extended(bits.isBelow(sums.get, backslashes.get))),
        quotes.set(bits.and(
          quotes.get,
          bits.not(bits.and(behind.get, bits.xor(bits.number(EVEN), bits.up(sums.get, 1)))),
        )),
      ),
      // From each quote on all is within a string that was not before, and the other way round.
      ...[1, 2, 4, 8, 16, 32].map((n) => quotes.set(bits.xor(quotes.get, bits.up(quotes.get, n)))),
      quotes.set(bits.xor(quotes.get, within.get)),
      within.set(negative(bits.down(quotes.get, BLOCK_BYTES - 1))),
      ...block.map((part) => part.set(bothVectors(part.get, ofAll(BRACE_BIT)))),
      opening.set(bits.and(whereIs(OPEN_BRACE), bits.not(quotes.get))),
      closing.set(bits.and(whereIs(CLOSE_BRACE), bits.not(quotes.get))),
      // Where it might be too deep it matters in which order they come.
      when(
        isAbove(plus(depth.get, count(opening.get)), max.get),
        rest.set(bits.or(opening.get, closing.get)),
        repeatWhile(
          isNotZero(rest.get),
          depth.set(plus(
            depth.get,
            either(small(1), small(-1), isNotZero(bits.and(opening.get, lowest(rest.get)))),
          )),
          when(isAbove(depth.get, max.get), finish(small(TOO_DEEP))),
          rest.set(bits.xor(rest.get, lowest(rest.get))),
        ),
        opening.set(bits.number(0n)),
        closing.set(bits.number(0n)),
      ),
      depth.set(minus(plus(depth.get, count(opening.get)), count(closing.get))),
      at.set(plus(at.get, small(BLOCK_BYTES))),
    ),
    ...or(
      shiftLeft(depth.get, 2),
      or(and(wrapped(within.get), small(2)), wrapped(escaped.get)),
    ),
    END,
  ];
}

// What the program is made of, by the numbers of the WebAssembly specification (5.4, Instructions).

function local(index: number) {
  return { get: [0x20, index], set: (value: Code): Code => [...value, 0x21, index] };
}

/** A number of 32 bits. */
function small(value: number): Code {
  return [0x41, ...leb128(BigInt(value))];
}

function plus(one: Code, other: Code): Code {
  return [...one, ...other, 0x6a];
}

function minus(one: Code, other: Code): Code {
  return [...one, ...other, 0x6b];
}

function and(one: Code, other: Code): Code {
  return [...one, ...other, 0x71];
}

function or(one: Code, other: Code): Code {
  return [...one, ...other, 0x72];
}

function shiftLeft(value: Code, by: number): Code {
  return [...value, ...small(by), 0x74];
}

/** Keeps the sign. */
function shiftRight(value: Code, by: number): Code {
  return [...value, ...small(by), 0x75];
}

/** Of two without a sign. */
function isBelow(one: Code, other: Code): Code {
  return [...one, ...other, 0x49];
}

function isAbove(one: Code, other: Code): Code {
  return [...one, ...other, 0x4a];
}

function either(one: Code, other: Code, condition: Code): Code {
  return [...one, ...other, ...condition, 0x1b];
}

/** The same, and more, for 64 bits. */
const bits = {
  number: (value: bigint): Code => [0x42, ...leb128(value)],
  plus: (one: Code, other: Code): Code => [...one, ...other, 0x7c],
  and: (one: Code, other: Code): Code => [...one, ...other, 0x83],
  or: (one: Code, other: Code): Code => [...one, ...other, 0x84],
  xor: (one: Code, other: Code): Code => [...one, ...other, 0x85],
  not: (value: Code): Code => bits.xor(value, bits.number(-1n)),
  up: (value: Code, by: number): Code => [...value, ...bits.number(BigInt(by)), 0x86],
  down: (value: Code, by: number): Code => [...value, ...bits.number(BigInt(by)), 0x88],
  isBelow: (one: Code, other: Code): Code => [...one, ...other, 0x54],
};

/** Of one that is all bits. */
function negative(value: Code): Code {
  return [...bits.number(0n), ...value, 0x7d];
}

/** The lowest bit that is set. */
function lowest(value: Code): Code {
  return bits.and(value, negative(value));
}

function isNotZero(value: Code): Code {
  return [...value, ...bits.number(0n), 0x52];
}

/** How many bits are set. */
function count(value: Code): Code {
  return wrapped([...value, 0x7b]);
}

/** 64 bits to 32. */
function wrapped(value: Code): Code {
  return [...value, 0xa7];
}

/** 32 bits to 64. */
function extended(value: Code): Code {
  return [...value, 0xad];
}

function load(address: Code): Code {
  return [...address, 0xfd, 0x00, 0, 0];
}

function ofAll(byte: number): Code {
  return [...small(byte), 0xfd, 0x0f];
}

function bothVectors(one: Code, other: Code): Code {
  return [...one, ...other, 0xfd, 0x50];
}

/** A bit for each byte of the block that is this one. */
function whereIs(byte: number): Code {
  return block.map((part, n) => {
    const places = [...part.get, ...ofAll(byte), 0xfd, 0x23, 0xfd, 0x64];
    return bits.up(extended(places), n * VECTOR_BYTES);
  }).reduce(bits.or);
}

function when(condition: Code, ...statements: Code[]): Code {
  return [...condition, 0x04, NOTHING, ...statements.flat(), END];
}

function repeatWhile(condition: Code, ...statements: Code[]): Code {
  const again = [0x0c, 1];
  return [0x03, NOTHING, ...when(condition, ...statements, again), END];
}

function finish(value: Code): Code {
  return [...value, 0x0f];
}

// What is around it (5.5, Modules).

function moduleOf(code: Code): Uint8Array<ArrayBuffer> {
  const variables = [[SMALL_VARIABLES, I32], [VARIABLES, I64], [block.length, V128]];
  return Uint8Array.of(
    ...[0x00, ...textBytes("asm"), 1, 0, 0, 0],
    ...section(1, [[0x60, ...list(PARAMETERS.map((type) => [type])), ...list([[I32]])]]),
    ...section(3, [[0]]),
    // A single page of memory: 64 KiB.
    ...section(5, [[0, 1]]),
    ...section(7, [[...named("memory"), 2, 0], [...named("scan"), 0, 0]]),
    ...section(10, [sized([...list(variables), ...code])]),
  );
}

function section(id: number, items: Code[]): Code {
  return [id, ...sized(list(items))];
}

function list(items: Code[]): Code {
  return [items.length, ...items.flat()];
}

function named(name: string): Code {
  return sized(textBytes(name));
}

function sized(code: Code): Code {
  return [...leb128(BigInt(code.length)), ...code];
}

function textBytes(text: string): Code {
  return [...new TextEncoder().encode(text)];
}

/** Seven bits in each byte, the lowest first. A number with a sign has room for it. */
function leb128(value: bigint): Code {
  const lowest = Number(value & 0x7fn);
  const isLast = value >= -0x40n && value < 0x40n;
  return isLast ? [lowest] : [lowest | 0x80, ...leb128(value >> 7n)];
}
