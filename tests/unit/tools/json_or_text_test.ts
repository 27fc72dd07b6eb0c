import { assertEquals } from "@std/assert";
import { jsonOrText } from "../../../tools/json_or_text.ts";

Deno.test("a line that is JSON is its value", () => {
  const texts = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-12.5e-3",
    "1E5",
    "1e+5",
    '""',
    '"a text"',
    '"\\u00fc \\" \\n"',
    "[]",
    "{}",
    '[1,"two",null,{"a":[true]}]',
    '{"a":{"b":"}"}}',
    ' \t {"a": 1} \r',
    "12345678901234567890",
    '"\\ud800"',
  ];
  for (const text of texts) assertEquals(jsonOrText(text), JSON.parse(text), text);
});

Deno.test("a line that is not JSON is a text, as it stands", () => {
  const texts = [
    "",
    " ",
    "hello world",
    "{",
    "{}}",
    "[1,2",
    '{"a":\x9b1}',
    "'single'",
    '"unfinished',
    '"two" "texts"',
    "nul",
    "nulll",
    "True",
    "undefined",
    "NaN",
    "Infinity",
    "-",
    "+1",
    "01",
    ".5",
    "5.",
    "1e",
    "0x10",
    "1,000",
    "1_000",
    "2026-11-22",
    "10:45:00 [info] {started}",
    "[info] started",
    "\u00a01",
    "\ufeff1",
    "{a: 1}",
    "// comment",
  ];
  for (const text of texts) assertEquals(jsonOrText(text), text);
});

Deno.test("a number that no number here can hold stays a text", () => {
  for (const text of ["1e400", "-1e400", " 1E+999 ", "9".repeat(400)]) {
    assertEquals(jsonOrText(text), text);
  }
  assertEquals(jsonOrText("1e308"), 1e308);
  assertEquals(jsonOrText("1e-400"), 0);
});

Deno.test("whether a text is JSON is as JSON.parse sees it, for all that is made of its pieces", () => {
  const pieces = ["{", "}", "[", "]", '"', "a", "1", "-", "e", ".", ",", ":", " ", "null", "\n"];
  const texts = pieces.flatMap((a) => pieces.flatMap((b) => pieces.map((c) => a + b + c)));
  for (const text of [...texts, ...texts.map((text) => `{"a":${text}}`)]) {
    let value: unknown = text;
    try {
      value = JSON.parse(text);
    } catch {
      // It is a text.
    }
    assertEquals(jsonOrText(text), value, text);
  }
});

Deno.test("a long text that is not JSON is told at once", () => {
  const start = performance.now();
  for (const text of ["{" + " ".repeat(1e6), "1".repeat(1e6) + "x", '"' + "\\".repeat(1e6)]) {
    assertEquals(jsonOrText(text), text);
  }
  assertEquals(performance.now() - start < 5_000, true);
});
