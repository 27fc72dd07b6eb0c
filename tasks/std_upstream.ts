/**
 * Runs the tests of the standard library's own repository against the
 * packages in links/std that stand in for parts of it.
 *
 * Copies of the test files go to a temporary directory, in which the modules
 * that they import lead to links/std, and whatever else they need leads to the
 * checkout.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import {
  commitOf,
  inTempDir,
  readJson,
  requireFiles,
  runDeno,
  runTask,
  UsageError,
} from "./std_checkout.ts";

const USAGE = `Usage: deno run -A tasks/std_upstream.ts PATH

Runs upstream's tests of the functions that links/std holds, against links/std.

  PATH  a checkout of the standard library's repository, denoland/std`;

const LINKS = resolve(import.meta.dirname!, "../links/std");

/** The test files of what links/std holds. */
const TEST_FILES = [
  "assert/assert_test.ts",
  "assert/assertion_error_test.ts",
  "assert/equal_test.ts",
  "assert/equals_test.ts",
  "assert/exists_test.ts",
  "assert/fail_test.ts",
  "assert/false_test.ts",
  "assert/greater_test.ts",
  "assert/instance_of_test.ts",
  "assert/less_test.ts",
  "assert/match_test.ts",
  "assert/not_equals_test.ts",
  "assert/rejects_test.ts",
  "assert/strict_equals_test.ts",
  "assert/string_includes_test.ts",
  "assert/throws_test.ts",
  "streams/text_line_stream_test.ts",
  "uuid/common_test.ts",
  "uuid/v4_test.ts",
  "uuid/v7_test.ts",
];

/**
 * Names that a test file imports and links/std does not hold. They come from
 * the checkout, so that the file's other tests can run.
 */
const NOT_HELD: Record<string, string[]> = {
  "assert/mod.ts": ["assertIsError"],
  "uuid/mod.ts": ["isNil", "NIL_UUID", "version"],
};

/** Tests of nothing but a function that links/std does not hold. */
const SKIPPED: Record<string, string[]> = {
  "uuid/common_test.ts": [
    "isNil() checks if a UUID is the nil UUID",
    "version() detects the RFC version of a UUID",
  ],
};

async function testLinks(checkout: string, rest: string[]): Promise<number> {
  if (rest.length > 0) throw new UsageError(`Only one path is needed\n\n${USAGE}`);
  requireFiles(checkout, TEST_FILES);
  return await inTempDir(async (workspace) => {
    for (const file of TEST_FILES) await bring(file, checkout, workspace);
    await writeConfig(checkout, workspace);

    const report = join(workspace, "report.xml");
    const options = ["-A", "--no-lock", `--junit-path=${report}`];
    const status = await runDeno(workspace, ["test", ...options, ...TEST_FILES]);

    const outcome = status === 0 ? "ok" : "FAILED";
    // There is none if a file has wrong types, and not all if one did not load.
    const counts = existsSync(report) ? count(await Deno.readTextFile(report)) : "none ran";
    console.log(`Upstream ${await commitOf(checkout)}: ${outcome}, tests: ${counts}`);
    return status;
  });
}

/** Copies a test file, and makes the modules that it imports by path. */
async function bring(file: string, checkout: string, workspace: string) {
  let source = await Deno.readTextFile(join(checkout, file));
  for (const name of SKIPPED[file] ?? []) {
    const call = `Deno.test(${JSON.stringify(name)}`;
    if (!source.includes(call)) {
      throw new Error(`Cannot skip a test: ${file} has none called "${name}"`);
    }
    source = source.replace(call, call.replace("test(", "test.ignore("));
  }
  // By name, they would get upstream's package.
  source = source.replaceAll(/ from "@std\/(assert|streams|uuid)";/g, ' from "../$1/mod.ts";');
  await write(join(workspace, file), source);

  for (const [, specifier] of source.matchAll(/ from "(\.[^"]+)";/g)) {
    const module = join(dirname(file), specifier!);
    await write(join(workspace, module), standIn(module, checkout));
  }
}

/** The text of a module that exports our package's, or else upstream's. */
function standIn(module: string, checkout: string): string {
  const upstream = urlOf(join(checkout, module));
  const ourPackage = join(LINKS, dirname(module));
  if (!existsSync(ourPackage)) return `export * from "${upstream}";\n`;

  // Our packages need not be divided into the same files.
  const sameFile = join(ourPackage, basename(module));
  const ours = existsSync(sameFile) ? sameFile : join(ourPackage, "mod.ts");
  const borrowed = NOT_HELD[module]?.join(", ");
  return `export * from "${urlOf(ours)}";\n` +
    (borrowed ? `export { ${borrowed} } from "${upstream}";\n` : "");
}

/** Makes upstream's packages known, to its test helpers above all. */
async function writeConfig(checkout: string, workspace: string) {
  const { compilerOptions, unstable } = await readJson(join(checkout, "deno.json"));
  const imports = { "@std/internal": "jsr:@std/internal@^1" };
  const config = { compilerOptions, unstable, imports, links: [checkout] };
  await write(join(workspace, "deno.json"), JSON.stringify(config));
}

/** Counts tests, not their steps. */
function count(junit: string): string {
  const bodies = [...junit.matchAll(/<testcase name="(.*?)".*?>(.*?)<\/testcase>/gs)]
    .filter(([, name]) => !name!.includes(" &gt; "))
    .map(([, , body]) => body!);
  const having = (tag: string) => bodies.filter((body) => body.includes(tag)).length;
  const failed = having("<failure");
  const skipped = having("<skipped");
  const passed = bodies.length - failed - skipped;
  return `${passed} passed, ${failed} failed, ` +
    `${skipped} skipped (of functions that links/std does not hold)`;
}

async function write(path: string, text: string) {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text);
}

function urlOf(path: string): string {
  return pathToFileURL(path).href;
}

if (import.meta.main) await runTask(USAGE, testLinks);
