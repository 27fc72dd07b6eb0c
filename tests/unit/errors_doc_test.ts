import { assert, assertEquals } from "@std/assert";
import doc from "../../docs/errors.md" with { type: "text" };
import { ERROR_CODES } from "../../errors.ts";

Deno.test("docs/errors.md has the codes of each class, and no others", () => {
  const documented = Object.fromEntries(
    Object.keys(ERROR_CODES).map((name) => [name, rowsOf(name).map(([code]) => code)]),
  );
  assertEquals(documented, ERROR_CODES as Record<string, readonly string[]>);
});

Deno.test("docs/errors.md has a section for each class, and no other table of codes", () => {
  const classes = [...doc.matchAll(/^## (\w+Error)$/gm)].map(([, name]) => name);
  assertEquals(classes, Object.keys(ERROR_CODES));
  const rows = doc.match(/^\| `[A-Z][A-Z_0-9]+`/gm)!;
  assertEquals(rows.length, Object.values(ERROR_CODES).flat().length);
});

Deno.test("docs/errors.md says of each code what causes it, who sees it and what to do", () => {
  for (const name of Object.keys(ERROR_CODES)) {
    for (const [code, cause, seenBy, whatToDo] of rowsOf(name)) {
      assert(cause && seenBy && whatToDo, code);
    }
  }
});

/** The rows of the table in the section of this class. The code is given bare. */
function rowsOf(name: string): string[][] {
  const [, section = ""] = doc.match(new RegExp(`^## ${name}$([^]*?)(?=^## )`, "m")) ?? [];
  return [...section.matchAll(/^\| `(\w+)` +\|(.*)\|$/gm)].map((
    [, code, rest],
  ) => [code, ...rest.split("|").map((cell) => cell.trim())]);
}
