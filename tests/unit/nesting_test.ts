import { assert, assertEquals, assertFalse } from "@std/assert";
import fc from "fast-check";
import { isDeeperThan } from "../../nesting.ts";

/** How deep a value nests. */
function depthOf(value: unknown): number {
  if (value === null || typeof value !== "object") return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

/** So many brackets around this text. */
function nested(depth: number, inside = ""): string {
  return "[".repeat(depth) + inside + "]".repeat(depth);
}

Deno.test("a text is as deep as its deepest place, and no deeper", () => {
  for (const max of [0, 1, 64, 500]) {
    assertFalse(isDeeperThan(nested(max), max));
    assert(isDeeperThan(nested(max + 1), max));
    assert(isDeeperThan(`{"a":[1,{"b":${nested(max)}}],"c":[]}`, max));
  }
});

Deno.test("many brackets beside each other are not deep", () => {
  const rows = JSON.stringify(Array.from({ length: 5_000 }, (_, n) => ({ n, list: [n] })));
  assertFalse(isDeeperThan(rows, 3));
  assert(isDeeperThan(rows, 2));
});

Deno.test("brackets within strings count for nothing, whichever way they face", () => {
  const open = JSON.stringify(["[".repeat(500), '\\"[{\\', "}]\\\\"]);
  assertFalse(isDeeperThan(open, 1));
  // Those that close nothing must not make room for others.
  assert(isDeeperThan(`["${"]".repeat(500)}",${nested(64)}]`, 64));
});

Deno.test("a string or an escape goes on where the text is looked at in pieces", () => {
  // A piece has 65,536 bytes, or a few less if a character does not fit into it.
  for (let length = 65_510; length < 65_540; length++) {
    for (const filler of ["x", "é", "€", "👍"]) {
      const long = filler.repeat(Math.floor(length / new TextEncoder().encode(filler).length));
      for (const end of ['\\"', "\\\\", "]", '"]']) {
        const inside = JSON.stringify(long + end + "[".repeat(200));
        assertFalse(isDeeperThan(nested(3, inside), 3), `${length} ${filler} ${end}`);
        assert(
          isDeeperThan(nested(3, `${inside},${nested(64)}`), 64),
          `${length} ${filler} ${end}`,
        );
      }
    }
  }
});

Deno.test("where brackets close matters, also when it is a few bytes from where others open", () => {
  for (let blanks = 0; blanks < 20; blanks++) {
    const text = `[${" ".repeat(blanks)}${"[],{},[{}],".repeat(200)}0]`;
    assertFalse(isDeeperThan(text, 3));
    assert(isDeeperThan(text, 2));
  }
});

Deno.test("a run of backslashes escapes what is behind it if its length is odd, wherever it begins", () => {
  for (let blanks = 0; blanks < 40; blanks++) {
    for (let backslashes = 0; backslashes < 40; backslashes++) {
      const quote = backslashes % 2 === 0 ? "" : '\\"';
      const string = `"${"\\".repeat(backslashes - backslashes % 2)}${quote}[[[["`;
      const text = `[${" ".repeat(blanks)}${string},[],[],[],[],[],[],[],[]]`;
      JSON.parse(text);
      assertFalse(isDeeperThan(text, 2), text);
      assert(isDeeperThan(text, 1), text);
    }
  }
});

Deno.test("any JSON is found to be as deep as it is", () => {
  fc.assert(fc.property(fc.json({ maxDepth: 6 }), fc.nat({ max: 8 }), (text, max) => {
    assertEquals(isDeeperThan(text, max), depthOf(JSON.parse(text)) > max);
  }));
});

Deno.test("so is any whose strings are full of what could be mistaken", () => {
  const string = fc.string({
    unit: fc.constantFrom('"', "\\", "[", "]", "{", "}", "x", "é", "[[[[[[[["),
    maxLength: 40,
  });
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof({ maxDepth: 6 }, string, tie("list"), tie("record")),
    list: fc.array(tie("json"), { maxLength: 6 }),
    record: fc.dictionary(string, tie("json"), { maxKeys: 4 }),
  }));
  fc.assert(fc.property(fc.array(json, { minLength: 4 }), fc.nat({ max: 8 }), (value, max) => {
    assertEquals(isDeeperThan(JSON.stringify(value), max), depthOf(value) > max);
  }));
});
