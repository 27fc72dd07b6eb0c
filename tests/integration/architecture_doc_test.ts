import { assert, assertEquals } from "@std/assert";
import doc from "../../docs/architecture.md" with { type: "text" };

const root = new URL("../../", import.meta.url);
const rows = [...doc.matchAll(/^\| `(\w+\.ts)` +\| (.+?) +\|$/gm)].map(([, file]) => file);

Deno.test("docs/architecture.md has every module at the top level once, and no other", async () => {
  const modules: string[] = [];
  for await (const { name } of Deno.readDir(root)) {
    if (name.endsWith(".ts")) modules.push(name);
  }
  assertEquals(rows.toSorted(), modules.toSorted());
});

Deno.test("imports point up the table of docs/architecture.md", async () => {
  for (const [index, file] of rows.entries()) {
    const source = await Deno.readTextFile(new URL(file, root));
    for (const [, imported] of source.matchAll(/ from "\.\/(.+)";$/gm)) {
      const at = rows.indexOf(imported);
      assert(at !== -1 && at < index, `${file} imports ${imported}, which is not above it`);
    }
  }
});
