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
  // A piece has 16,384 bytes, or a few less if a character does not fit into it.
  for (let length = 16_360; length < 16_390; length++) {
    for (const filler of ["x", "é", "€", "👍"]) {
      const long = filler.repeat(Math.floor(length / new TextEncoder().encode(filler).length));
      for (const end of ['\\"', "\\\\", "]", '"]']) {
        const inside = JSON.stringify(long + end + "[".repeat(70));
        assertFalse(isDeeperThan(nested(3, inside), 3), `${length} ${filler} ${end}`);
        assert(
          isDeeperThan(nested(3, `${inside},${nested(64)}`), 64),
          `${length} ${filler} ${end}`,
        );
      }
    }
  }
});

Deno.test("any JSON is found to be as deep as it is", () => {
  fc.assert(fc.property(fc.json({ maxDepth: 6 }), fc.nat({ max: 8 }), (text, max) => {
    assertEquals(isDeeperThan(text, max), depthOf(JSON.parse(text)) > max);
  }));
});
