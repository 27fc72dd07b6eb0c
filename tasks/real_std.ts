/**
 * Runs the project's tests with the real packages of the standard library in
 * the place of those in links/std.
 *
 * It does so in a copy of the project without links/std: there, nothing can
 * fall back to them, and programs that tests start get the real packages too.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { commitOf, inTempDir, readJson, runDeno, runTask } from "./std_checkout.ts";

const USAGE = `Usage: deno run -A tasks/real_std.ts PATH [ARGUMENT...]

Runs the project's tests with the real standard library instead of links/std.

  PATH      a checkout of the standard library's repository, denoland/std
  ARGUMENT  goes to \`deno test\`: a test file, an option`;

const PROJECT = resolve(import.meta.dirname!, "..");

const NOT_COPIED = [".git", "node_modules", join("links", "std")];

async function testProject(
  checkout: string,
  args: string[],
): Promise<number> {
  return await inTempDir(async (copy) => {
    await cp(PROJECT, copy, {
      recursive: true,
      filter: (path) => !NOT_COPIED.includes(relative(PROJECT, path)),
    });
    await linkTo(checkout, join(copy, "deno.json"));

    // The lock file stays, so that all other packages are the same ones, but
    // it must be free to change where it tells about links.
    const options = ["-A", "--frozen=false", "--config=deno.json"];
    const status = await runDeno(copy, ["test", ...options, ...args]);
    const outcome = status === 0 ? "passed" : "failed";
    console.log(`With std ${await commitOf(checkout)}: ${outcome}`);
    return status;
  });
}

/** Links to a workspace, and by that to all packages that are in it. */
async function linkTo(checkout: string, configPath: string) {
  const config = await readJson(configPath);
  config.links = [checkout];
  await Deno.writeTextFile(configPath, JSON.stringify(config, null, 2));
}

if (import.meta.main) await runTask(USAGE, testProject);
