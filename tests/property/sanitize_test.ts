import { assert, assertEquals, assertFalse } from "@std/assert";
import fc from "fast-check";
import { sanitize } from "../../sanitize.ts";

const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/u;

/** Text of any code points, those that no text should have among them. */
const anyText = fc.string({
  unit: fc.oneof(
    fc.integer({ min: 0, max: 0x10ffff }),
    fc.integer({ min: 0, max: 0xff }),
    fc.integer({ min: 0x2000, max: 0x206f }),
    fc.integer({ min: 0xd800, max: 0xf8ff }),
    fc.constantFrom(0x1b, 0x9b, 0x202e, 0xfeff, 0xe0041, 0xad),
  ).map((code) => String.fromCodePoint(code)),
  maxLength: 80,
});

Deno.test("whatever goes in, nothing comes out that moves the cursor or reorders a line", () => {
  fc.assert(
    fc.property(anyText, fc.option(fc.nat({ max: 90 }), { nil: undefined }), (text, maxLength) => {
      const safe = sanitize(text, maxLength);
      assertFalse(UNSAFE.test(safe));
      assert(safe.isWellFormed());
      assertEquals(sanitize(safe), safe);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("every single character comes out as itself or escaped", () => {
  for (let code = 0; code <= 0x10ffff; code++) {
    const text = String.fromCodePoint(code);
    const expected = UNSAFE.test(text) ? `\\u{${code.toString(16)}}` : text;
    if (sanitize(text) !== expected) assertEquals(sanitize(text), expected);
  }
});

Deno.test("text is cut before it is escaped, at the same place whatever it holds", () => {
  fc.assert(
    fc.property(anyText, fc.nat({ max: 90 }), (text, maxLength) => {
      const mark = text.length > maxLength ? "…" : "";
      assertEquals(sanitize(text, maxLength), sanitize(text.slice(0, maxLength)) + mark);
      // Each unit that is kept becomes at most `\u{10ffff}`.
      assert(sanitize(text, maxLength).length <= 10 * maxLength + 1);
    }),
    { numRuns: 500 },
  );
});
