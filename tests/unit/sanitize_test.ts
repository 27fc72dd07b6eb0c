import { assert, assertEquals, assertFalse, assertLess } from "@std/assert";
import { sanitize } from "../../sanitize.ts";

Deno.test("text that can do no harm stays as it is", () => {
  for (
    const text of ["", "hello", "grüße 😀 日本語 עברית العربية", "a b\u00a0c", "\\u{1b}", "e\u0301"]
  ) {
    assertEquals(sanitize(text), text);
  }
});

Deno.test("whatever moves a cursor, reorders a line or ends it comes out escaped", () => {
  const cases: [string, string][] = [
    ["\x1b]0;owned\x07", "\\u{1b}]0;owned\\u{7}"],
    ["\x1b[2J", "\\u{1b}[2J"],
    ["\x9b2J", "\\u{9b}2J"], // the one-byte form of ESC [
    ["a\r\nb", "a\\u{d}\\u{a}b"],
    ["a\tb\bc\0\x7f", "a\\u{9}b\\u{8}c\\u{0}\\u{7f}"],
    ["\x85", "\\u{85}"], // next line
    ["\u2028\u2029", "\\u{2028}\\u{2029}"],
    ["user\u202etxt.exe", "user\\u{202e}txt.exe"],
    ["\u200e\u200f\u061c\u2066\u2069", "\\u{200e}\\u{200f}\\u{61c}\\u{2066}\\u{2069}"],
    ["a\u200b\u200d\ufeffb", "a\\u{200b}\\u{200d}\\u{feff}b"],
    ["\u00ad", "\\u{ad}"],
    ["\u{e0041}", "\\u{e0041}"], // a tag, which shows as nothing
    ["\ue000", "\\u{e000}"],
    ["\u{f0000}", "\\u{f0000}"],
    ["\ud800", "\\u{d800}"],
    ["a\udc00b", "a\\u{dc00}b"],
  ];
  for (const [text, safe] of cases) assertEquals(sanitize(text), safe);
});

Deno.test("every control of both sets is escaped", () => {
  for (let code = 0; code < 0xa0; code++) {
    const text = String.fromCharCode(code);
    const isControl = code < 0x20 || code >= 0x7f;
    assertEquals(sanitize(text) !== text, isControl, `U+${code.toString(16)}`);
  }
});

Deno.test("no more than maxLength of the text is kept, and a mark says so", () => {
  assertEquals(sanitize("abcd", 4), "abcd");
  assertEquals(sanitize("abcde", 4), "abcd…");
  assertEquals(sanitize("abc", 0), "…");
  assertEquals(sanitize("", 0), "");
  assertEquals(sanitize("\n\n\n", 2), "\\u{a}\\u{a}…");
});

Deno.test("a pair that the cut goes through is not shown as half a character", () => {
  assertEquals(sanitize("ab😀", 3), "ab\\u{d83d}…");
  assert(sanitize("ab😀", 3).isWellFormed());
});

Deno.test("text of a whole packet is cut before it is escaped", () => {
  const start = performance.now();
  const safe = sanitize("\x1b".repeat(50_000_000), 100);
  assertLess(safe.length, 1_000);
  // Escaping all of it would take seconds.
  assertLess(performance.now() - start, 500);
});

Deno.test("what was sanitized stays as it is", () => {
  const safe = sanitize("\x1b[1m\u202e\n");
  assertEquals(sanitize(safe), safe);
  assertFalse(/\p{C}/u.test(safe));
});
