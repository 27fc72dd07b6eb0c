/**
 * What the tasks that need a checkout of the standard library's repository
 * have in common.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

/** Something that the person who runs a task can put right. */
export class UsageError extends Error {}

/**
 * Runs a task as a program: an error of use is shown without a stack.
 *
 * @param usage What `--help` shows.
 * @param task Gets the checkout's path and the other arguments, and returns
 * the exit status.
 */
export async function runTask(
  usage: string,
  task: (checkout: string, rest: string[]) => Promise<number>,
): Promise<void> {
  const [path, ...rest] = Deno.args;
  if (path === "--help" || path === "-h") {
    console.log(usage);
    return;
  }
  try {
    if (path === undefined) throw new UsageError(`A path is needed\n\n${usage}`);
    const checkout = resolve(path);
    requireFiles(
      checkout,
      ["assert", "streams", "uuid", "internal"].map(
        (name) => `${name}/deno.json`,
      ),
    );
    Deno.exitCode = await task(checkout, rest);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    Deno.exitCode = 2;
  }
}

/**
 * Refuses a checkout in which something is missing.
 *
 * @param checkout Its path.
 * @param files What must be in it.
 */
export function requireFiles(checkout: string, files: string[]) {
  for (const file of files) {
    if (existsSync(join(checkout, file))) continue;
    throw new UsageError(
      `Not a checkout of the standard library's repository: "${checkout}" has no ${file}`,
    );
  }
}

/**
 * Does something in a temporary directory, which is removed afterwards.
 *
 * @param work What to do; gets the directory's real path, by which Deno knows
 * the modules in it.
 * @returns What the work returns.
 */
export async function inTempDir<T>(
  work: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await Deno.makeTempDir({ prefix: "std_checkout_" });
  try {
    return await work(await Deno.realPath(directory));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/**
 * Runs `deno` and shows what it writes. A signal to end goes on to it, so that
 * the task outlives it and can tidy up.
 *
 * @param cwd Where to run it.
 * @param args Its arguments.
 * @returns Its exit status.
 */
export async function runDeno(cwd: string, args: string[]): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), { args, cwd }).spawn();
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  const listeners = signals.map((signal) => {
    const listener = () => child.kill(signal);
    Deno.addSignalListener(signal, listener);
    return { signal, listener };
  });
  try {
    return (await child.status).code;
  } finally {
    for (const { signal, listener } of listeners) {
      Deno.removeSignalListener(signal, listener);
    }
  }
}

/**
 * Names the commit that is checked out.
 *
 * @param checkout The checkout's path.
 * @returns The commit, marked if files were changed, or that it is unknown.
 */
export async function commitOf(checkout: string): Promise<string> {
  try {
    const top = await git(checkout, "rev-parse", "--show-toplevel");
    // A plain copy inside another repository must not get that one's commit.
    if (await Deno.realPath(top) === await Deno.realPath(checkout)) {
      const only = ["--always", "--dirty", "--abbrev=40", "--exclude=*"];
      return await git(checkout, "describe", ...only);
    }
  } catch {
    // Without git, or outside a repository.
  }
  return "of unknown commit";
}

async function git(directory: string, ...args: string[]): Promise<string> {
  const { success, stdout } = await new Deno.Command("git", {
    args,
    cwd: directory,
    stderr: "null",
  }).output();
  if (!success) throw new Error(`git ${args[0]} failed`);
  return new TextDecoder().decode(stdout).trim();
}

/**
 * Reads a JSON file.
 *
 * @param path Its path.
 * @returns What is in it.
 */
// deno-lint-ignore no-explicit-any
export async function readJson(path: string): Promise<any> {
  return JSON.parse(await Deno.readTextFile(path));
}
