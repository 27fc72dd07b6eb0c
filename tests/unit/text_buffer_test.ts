import { assertEquals, assertStrictEquals } from "@std/assert";
import { TextBuffer } from "../../text_buffer.ts";

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("lines come out as UTF-8, in order, each with its end, and take what they are told to", () => {
  const buffer = new TextBuffer(1_024);
  const lines = ["", "one", "zwölf €", "👍".repeat(2_000), "\ud800", "last"];
  for (const line of lines) {
    const before = buffer.length;
    const taken = buffer.pushLine(line);
    assertEquals(taken, new TextEncoder().encode(line + "\n").length);
    assertEquals(buffer.length, before + taken);
  }
  assertEquals(decode(buffer.bytes), lines.map((line) => line.toWellFormed() + "\n").join(""));
  assertEquals(buffer.length, buffer.bytes.length);
});

Deno.test("a cleared buffer holds nothing and can be filled again", () => {
  const buffer = new TextBuffer(1_024);
  buffer.pushLine("one");
  buffer.clear();
  assertEquals([buffer.length, buffer.bytes.length], [0, 0]);
  buffer.pushLine("two");
  assertEquals(decode(buffer.bytes), "two\n");
});

Deno.test("memory that is needed again and again is kept, up to the limit", () => {
  const buffer = new TextBuffer(10_000);
  buffer.pushLine("x".repeat(900));
  const before = buffer.bytes.buffer;
  buffer.clear();
  buffer.pushLine("y".repeat(900));
  assertStrictEquals(buffer.bytes.buffer, before);
  buffer.clear();
  buffer.pushLine("x".repeat(20_000));
  buffer.clear();
  assertEquals(buffer.bytes.buffer.byteLength, 0);
});

Deno.test("memory that is not needed any more is given back", () => {
  const buffer = new TextBuffer(1_000_000);
  buffer.pushLine("x".repeat(100_000));
  buffer.clear();
  buffer.pushLine("small");
  buffer.clear();
  assertEquals(buffer.bytes.buffer.byteLength, 0);
});
