/**
 * Fails if modules import each other in a circle, or the library imports from its tools.
 *
 * `deno run -A tasks/check_imports.ts`
 *
 * @module
 */

import { relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const ENTRIES = ["mod.ts", "tools/cli.ts", "tools/coretools.ts"];

interface Dependency {
  code?: { specifier?: string };
  type?: { specifier?: string };
}

interface Graph {
  modules: { specifier: string; dependencies?: Dependency[] }[];
}

/** Each module of the project, and what it imports, types included. */
async function importsOf(entries: string[]): Promise<Map<string, string[]>> {
  const imports = new Map<string, string[]>();
  for (const entry of entries) {
    const { stdout, success } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", entry],
      cwd: root,
      stderr: "inherit",
    }).output();
    if (!success) throw new Error(`deno info failed for ${entry}`);
    const graph: Graph = JSON.parse(new TextDecoder().decode(stdout));
    for (const { specifier, dependencies = [] } of graph.modules) {
      const from = nameOf(specifier);
      if (!from) continue;
      const targets = dependencies
        .flatMap(({ code, type }) => [code?.specifier, type?.specifier])
        .map((target) => target && nameOf(target))
        .filter((target) => target !== undefined && target !== "");
      imports.set(from, [...new Set(targets as string[])]);
    }
  }
  return imports;
}

/** The path of a module inside the project. */
function nameOf(specifier: string): string | undefined {
  if (!specifier.startsWith("file:")) return undefined;
  const name = relative(root, fileURLToPath(specifier));
  return name.startsWith("..") ? undefined : name;
}

/** A way from a module back to itself, if there is one. */
function findCircle(imports: Map<string, string[]>): string[] | undefined {
  const done = new Set<string>();
  const visit = (name: string, way: string[]): string[] | undefined => {
    const at = way.indexOf(name);
    if (at !== -1) return [...way.slice(at), name];
    if (done.has(name)) return undefined;
    for (const target of imports.get(name) ?? []) {
      const circle = visit(target, [...way, name]);
      if (circle) return circle;
    }
    done.add(name);
    return undefined;
  };
  for (const name of imports.keys()) {
    const circle = visit(name, []);
    if (circle) return circle;
  }
  return undefined;
}

const imports = await importsOf(ENTRIES);
const circle = findCircle(imports);
const upward = [...imports].flatMap(([from, targets]) =>
  from.includes("/")
    ? []
    : targets.filter((target) => /^(tools|tests|bench|examples|tasks)\//.test(target))
      .map((target) => `${from} imports ${target}`)
);
if (circle) console.error(`a circle of imports: ${circle.join(" -> ")}`);
for (const line of upward) console.error(`the library must not: ${line}`);
if (circle || upward.length > 0) Deno.exit(1);
console.log(`${imports.size} modules, no circle of imports`);
