import { assert, assertEquals, assertFalse, assertStrictEquals } from "@std/assert";
import { BufferPool } from "../../buffer_pool.ts";
import { TextBuffer } from "../../text_buffer.ts";
import { bytes } from "../support/bytes.ts";

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const LINES = ["", "one", "zwölf €", "👍".repeat(2_000), "\ud800", "x".repeat(40_000), "last"];
const TEXT = LINES.map((line) => line.toWellFormed() + "\n").join("");

function makeBuffer(): TextBuffer {
  return new TextBuffer(new BufferPool());
}

/** How many bytes these lines are, each with its end. */
function bytesOf(...lines: string[]): number {
  return lines.reduce((sum, line) => sum + bytes(line).length + 1, 0);
}

Deno.test("lines come out as UTF-8, in order, each with its end", () => {
  const buffer = makeBuffer();
  for (const line of LINES) buffer.pushLine(line);
  assertEquals(decode(buffer.bytes), TEXT);
  assertEquals([buffer.length, buffer.bytes.length], [bytesOf(...LINES), bytesOf(...LINES)]);
});

Deno.test("it comes out the same wherever it was counted or looked at meanwhile", () => {
  for (let mask = 0; mask < 2 ** LINES.length; mask++) {
    const buffer = makeBuffer();
    for (const [n, line] of LINES.entries()) {
      buffer.pushLine(line);
      if ((mask >> n) % 2 === 0) continue;
      assertEquals(
        n % 2 === 0 ? buffer.length : buffer.bytes.length,
        bytesOf(...LINES.slice(0, n + 1)),
      );
    }
    assertEquals(decode(buffer.bytes), TEXT);
  }
});

Deno.test("what it may hold at most is never less than what it holds, and exact once that was asked", () => {
  const buffer = makeBuffer();
  assertEquals([buffer.maxLength, buffer.length], [0, 0]);
  for (const [n, line] of LINES.entries()) {
    buffer.pushLine(line);
    const { maxLength } = buffer;
    const length = bytesOf(...LINES.slice(0, n + 1));
    assert(maxLength >= length && maxLength <= length + 3 * (line.length + 1));
    assertEquals([buffer.length, buffer.maxLength], [length, length]);
  }
  // Three bytes a unit is as much as there can be.
  const most = makeBuffer();
  most.pushLine("€".repeat(1_000));
  assertEquals([most.maxLength, most.length], [3_003, 3_001]);
});

Deno.test("half a character at the end of a line does not join the other half in the next", () => {
  const buffer = makeBuffer();
  for (const line of ["\ud83d", "\ude00", "😀"]) buffer.pushLine(line);
  assertEquals(decode(buffer.bytes), "\ufffd\n\ufffd\n😀\n");
});

Deno.test("much text does not wait as text", () => {
  const buffer = makeBuffer();
  // While it is text its bound is three times as much.
  let texts = 0;
  for (let n = 1; n <= 1_000; n++) {
    buffer.pushLine("x".repeat(99));
    if (buffer.maxLength > 100 * n) texts++;
    assert(buffer.maxLength < 100 * n + 2 * 2_048);
  }
  assert(texts > 0);
  const long = makeBuffer();
  long.pushLine("x".repeat(1_000_000));
  assertEquals(long.maxLength, 1_000_001);
});

Deno.test("text becomes bytes at 2,048 code units, each line's end among them, whatever the text", () => {
  const texts = [[2_046], [1_000, 1_045], [0, 2_045]];
  for (const char of ["x", "é", "€"]) {
    for (const lengths of texts) {
      const lines = lengths.map((length) => char.repeat(length));
      const text = makeBuffer();
      for (const line of lines) text.pushLine(line);
      assertEquals(text.maxLength, 3 * 2_047);
      lines[lines.length - 1] += "x";
      const buffer = makeBuffer();
      for (const line of lines) buffer.pushLine(line);
      assertEquals(buffer.maxLength, bytesOf(...lines));
      // The next block begins as text, and leaves the one before it as it is.
      buffer.pushLine(char);
      assertEquals(buffer.maxLength, bytesOf(...lines) + 3 * 2);
      assertEquals(decode(buffer.bytes), [...lines, char, ""].join("\n"));
    }
  }
});

Deno.test("a line of some length takes no more memory than its text might need", () => {
  for (const length of [1_000, 2_048, 16_384, 32_767, 32_768]) {
    for (const char of ["x", "€"]) {
      const buffer = makeBuffer();
      buffer.pushLine(char.repeat(length));
      assertEquals(buffer.length, bytesOf(char.repeat(length)));
      // Rounded up to what the pool lends.
      assert(buffer.bytes.buffer.byteLength < 2 * 3 * (length + 1));
    }
  }
});

Deno.test("a long line takes the memory that it needs, not what it might have needed", () => {
  const buffer = makeBuffer();
  buffer.pushLine("x".repeat(1_000_000));
  assertEquals(buffer.bytes.buffer.byteLength, 1_000_001);
});

Deno.test("it is empty until something is put in, be it but an empty line, and when it was cleared", () => {
  const buffer = makeBuffer();
  assert(buffer.isEmpty);
  for (const look of [() => {}, () => buffer.length, () => buffer.bytes]) {
    buffer.pushLine("");
    assertFalse(buffer.isEmpty);
    look();
    assertFalse(buffer.isEmpty);
    buffer.clear();
    assert(buffer.isEmpty);
    assertEquals([buffer.maxLength, buffer.length, buffer.bytes.length], [0, 0, 0]);
  }
});

Deno.test("a cleared buffer holds nothing and can be filled again", () => {
  const buffer = makeBuffer();
  buffer.pushLine("one");
  buffer.clear();
  assertEquals([buffer.length, buffer.bytes.length], [0, 0]);
  buffer.pushLine("two");
  assertEquals(decode(buffer.bytes), "two\n");
});

Deno.test("while it holds nothing it has nothing of the pool's", () => {
  const pool = new BufferPool();
  const buffer = new TextBuffer(pool);
  for (const length of [3, 3_000, 100_000]) {
    buffer.pushLine("x".repeat(length));
    const { buffer: lent } = buffer.bytes;
    buffer.clear();
    // Another one that needs as much gets that, and what it writes is all that it gives out.
    const other = new TextBuffer(pool);
    other.pushLine("y".repeat(length));
    assertStrictEquals(other.bytes.buffer, lent);
    assertEquals(decode(other.bytes), "y".repeat(length) + "\n");
    other.clear();
    const after = pool.bytes;
    other.clear();
    buffer.clear();
    assertEquals([decode(buffer.bytes), decode(other.bytes), pool.bytes], ["", "", after]);
  }
});

Deno.test("what it holds is in one place, also where it grows out of what it was lent", () => {
  const pool = new BufferPool();
  const buffer = new TextBuffer(pool);
  buffer.pushLine("first");
  assertEquals([buffer.length, pool.bytes], [6, 0]);
  buffer.pushLine("x".repeat(3_000));
  // The smaller one is back.
  assertEquals([decode(buffer.bytes), pool.bytes], ["first\n" + "x".repeat(3_000) + "\n", 2_048]);
  buffer.clear();
  assertEquals(pool.bytes, 2_048 + 16_384);
});

Deno.test("it grows by doubling, however little comes at a time", () => {
  const buffer = makeBuffer();
  const places = new Set<ArrayBufferLike>();
  for (let n = 0; n < 10_000; n++) {
    buffer.pushLine("x".repeat(99));
    if (n % 10 === 0) places.add(buffer.bytes.buffer);
  }
  assertEquals(buffer.length, 1_000_000);
  assert(places.size <= 11, `${places.size} places`);
});
