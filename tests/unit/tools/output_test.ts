import { assertEquals } from "@std/assert";
import { safeJson } from "../../../tools/output.ts";
import { formatTable } from "../../../tools/table.ts";

Deno.test("a table's columns stand under their heads, texts to the left and numbers to the right", () => {
  assertEquals(
    formatTable([
      { id: "a", "round trip (ms)": 0.25, state: "open" },
      { id: "long id", "round trip (ms)": 1200, state: "draining" },
    ]),
    [
      "id       round trip (ms)  state",
      "a                   0.25  open",
      "long id             1200  draining",
    ],
  );
});

Deno.test("a column that holds a text among its numbers stands to the left", () => {
  assertEquals(formatTable([{ ms: 1200 }, { ms: "no answer" }]), ["ms", "1200", "no answer"]);
  assertEquals(formatTable([{ of: 1, x: "-" }, { of: 12, x: "-" }])[1], " 1  -");
});

Deno.test("a table's columns stand under each other with characters of any width", () => {
  const lines = formatTable(["你好", "e\u0301", "😀", ""].map((name) => ({ name, value: "x" })));
  assertEquals(lines, [
    "name  value",
    "你好  x",
    "e\u0301     x",
    "😀    x",
    "      x",
  ]);
});

Deno.test("a table shows what is missing as a dash, and nothing after a row's last word", () => {
  assertEquals(formatTable([{ groups: null, yes: true }]), ["groups  yes", "-       true"]);
  assertEquals(formatTable([{ a: "x", b: "" }, { a: "x", b: "longer" }])[1], "x");
});

Deno.test("a row of a table stays one row, whatever it is to show", () => {
  const hostile = "\x1b]0;owned\x07\u202Ea\x9b31m\r\nb\u2028";
  const lines = formatTable([{ name: hostile, value: 1 }]);
  assertEquals(lines.length, 2);
  assertEquals(
    lines[1],
    "\\u{1b}]0;owned\\u{7}\\u{202e}a\\u{9b}31m\\u{d}\\u{a}b\\u{2028}      1",
  );
  assertEquals(formatTable([{ name: "x".repeat(1_000) }])[1], "x".repeat(120) + "…");
});

Deno.test("a table may have more rows than a function may have arguments", () => {
  const rows = Array.from({ length: 200_000 }, (_, at) => ({ at }));
  assertEquals(formatTable(rows).length, 200_001);
});

Deno.test("JSON for a terminal holds no character that moves the cursor, and is the same JSON", () => {
  const values = [
    null,
    "plain text, ü, 你好, 😀",
    ["\x1b]0;owned\x07", "\x9b31m", "\x7f", "\u202Eabc", "\u200b", "\r\n", "\u2028\u2029"],
    { "\u202Ekey": "\ud800 alone", "private": "\ue000 \u{f0000}", "tag": "\u{e0041}" },
  ];
  for (const value of values) {
    const json = safeJson(value);
    assertEquals(JSON.parse(json), value);
    assertEquals(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/u.test(json), false, json);
  }
  assertEquals(safeJson("plain text, ü, 你好, 😀"), '"plain text, ü, 你好, 😀"');
  assertEquals(safeJson("\x9b\u{e0041}"), '"\\u009b\\udb40\\udc41"');
  assertEquals(safeJson(undefined), "null");
});
