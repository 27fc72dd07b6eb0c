/**
 * The search for brackets outside of strings, 16 bytes at a time: a WebAssembly program.
 *
 * A loop in JavaScript takes half as long as `JSON.parse` does, this one a tenth of that. It is written
 * down as calls of functions that make its code: so it can be read, and needs no compiler.
 *
 * @module
 */

/** Bytes are looked at by so many: a number has a bit for each. */
export const BLOCK_BYTES = 16;
/** How many bytes fit into the memory of a scan. */
export const PIECE_BYTES = 65_536;
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
const EVEN = 0x5555, ODD = 0xaaaa;
const I32 = 0x7f, V128 = 0x7b, NOTHING = 0x40, END = 0x0b;

// Its parameters, and its variables behind them.
const end = local(0), max = local(1), state = local(2), PARAMETERS = 3;
const at = local(3), depth = local(4), rest = local(5);
/** Whether the block begins within a string: all bits, or none. */
const within = local(6);
/** Whether a backslash before the block escapes its first byte. */
const escaped = local(7);
// A bit for each byte of the block.
const backslashes = local(8), behind = local(9), sums = local(10);
const quotes = local(11), opening = local(12), closing = local(13), VARIABLES = 11;
/** The block itself; and with brackets made braces. */
const block = local(14), braces = local(15), VECTORS = 2;

function program(): Code {
  return [
    ...depth.set(shiftRight(state.get, number(2))),
    ...within.set(minus(number(0), and(shiftRight(state.get, number(1)), number(1)))),
    ...escaped.set(and(state.get, number(1))),
    ...repeatWhile(
      isBelow(at.get, end.get),
      block.set(load(at.get)),
      backslashes.set(whereIs(block, BACKSLASH)),
      quotes.set(whereIs(block, QUOTE)),
      when(
        or(backslashes.get, escaped.get),
        // A run of backslashes escapes what is behind it if its length is odd: to add its first bit to a run
        // leaves one behind its end, and whether that is at an even place tells its length from its start's.
        backslashes.set(and(backslashes.get, not(escaped.get))),
        behind.set(or(shiftLeft(backslashes.get, number(1)), escaped.get)),
        sums.set(
          plus(and(backslashes.get, and(number(ODD), not(behind.get))), backslashes.get),
        ),
        escaped.set(shiftRight(sums.get, number(BLOCK_BYTES))),
        quotes.set(and(
          quotes.get,
          not(and(behind.get, xor(number(EVEN), shiftLeft(sums.get, number(1))))),
        )),
      ),
      // From each quote on all is within a string that was not before, and the other way round.
      ...[1, 2, 4, 8].map((n) => quotes.set(xor(quotes.get, shiftLeft(quotes.get, number(n))))),
      quotes.set(xor(quotes.get, within.get)),
      within.set(
        minus(number(0), and(shiftRight(quotes.get, number(BLOCK_BYTES - 1)), number(1))),
      ),
      braces.set(bothVectors(block.get, ofAll(number(BRACE_BIT)))),
      opening.set(and(whereIs(braces, OPEN_BRACE), not(quotes.get))),
      closing.set(and(whereIs(braces, CLOSE_BRACE), not(quotes.get))),
      // Where it might be too deep it matters in which order they come.
      when(
        isAbove(plus(depth.get, count(opening.get)), max.get),
        rest.set(or(opening.get, closing.get)),
        repeatWhile(
          rest.get,
          depth.set(
            plus(depth.get, either(number(1), number(-1), and(opening.get, lowest(rest.get)))),
          ),
          when(isAbove(depth.get, max.get), finish(number(TOO_DEEP))),
          rest.set(xor(rest.get, lowest(rest.get))),
        ),
        opening.set(number(0)),
        closing.set(number(0)),
      ),
      depth.set(minus(plus(depth.get, count(opening.get)), count(closing.get))),
      at.set(plus(at.get, number(BLOCK_BYTES))),
    ),
    ...or(
      shiftLeft(depth.get, number(2)),
      or(and(within.get, number(2)), escaped.get),
    ),
    END,
  ];
}

// What the program is made of, by the numbers of the WebAssembly specification (5.4, Instructions).

function local(index: number) {
  return { get: [0x20, index], set: (value: Code): Code => [...value, 0x21, index] };
}

function number(value: number): Code {
  return [0x41, ...leb128(value)];
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

function xor(one: Code, other: Code): Code {
  return [...one, ...other, 0x73];
}

function not(value: Code): Code {
  return xor(value, number(-1));
}

function shiftLeft(value: Code, bits: Code): Code {
  return [...value, ...bits, 0x74];
}

/** Keeps the sign. */
function shiftRight(value: Code, bits: Code): Code {
  return [...value, ...bits, 0x75];
}

/** Of two without a sign. */
function isBelow(one: Code, other: Code): Code {
  return [...one, ...other, 0x49];
}

function isAbove(one: Code, other: Code): Code {
  return [...one, ...other, 0x4a];
}

/** How many bits are set. */
function count(bits: Code): Code {
  return [...bits, 0x69];
}

/** The lowest bit that is set. */
function lowest(bits: Code): Code {
  return and(bits, minus(number(0), bits));
}

function either(one: Code, other: Code, condition: Code): Code {
  return [...one, ...other, ...condition, 0x1b];
}

function load(address: Code): Code {
  return [...address, 0xfd, 0x00, 0, 0];
}

function ofAll(byte: Code): Code {
  return [...byte, 0xfd, 0x0f];
}

function bothVectors(one: Code, other: Code): Code {
  return [...one, ...other, 0xfd, 0x50];
}

/** A bit for each byte of the vector that is this one. */
function whereIs(vector: { get: Code }, byte: number): Code {
  return [...vector.get, ...ofAll(number(byte)), 0xfd, 0x23, 0xfd, 0x64];
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
  const variables = [[VARIABLES, I32], [VECTORS, V128]];
  return Uint8Array.of(
    ...[0x00, ...textBytes("asm"), 1, 0, 0, 0],
    ...section(1, [[0x60, ...list(Array(PARAMETERS).fill([I32])), ...list([[I32]])]]),
    ...section(3, [[0]]),
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
  return [...leb128(code.length), ...code];
}

function textBytes(text: string): Code {
  return [...new TextEncoder().encode(text)];
}

/** Seven bits in each byte, the lowest first. A number with a sign has room for it. */
function leb128(value: number): Code {
  const isLast = value >= -0x40 && value < 0x40;
  return isLast ? [value & 0x7f] : [value & 0x7f | 0x80, ...leb128(value >> 7)];
}
