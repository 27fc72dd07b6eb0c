/**
 * Shows that chaos and the tests can fail: breaks the sources in a copy, one way after the other, and fails
 * if nothing notices.
 *
 * `deno task mutants`, `deno task mutants WORD` for those with that word in their names.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { CHAOS, type Mutant, MUTANTS } from "./mutant_list.ts";
import { SECURE_MUTANTS } from "./secure_mutants.ts";

const PROJECT = resolve(import.meta.dirname!, "../..");
const NOT_COPIED = [".git", "node_modules"];
const CHAOS_ARGS = ["--cuts", "80", "--packets", "8000", "--seed", "1"];
const PATIENCE_MS = 90_000;
const MAX_PROBLEMS = 4;

/** What became of running something: `broken` is what could not even begin. */
type Outcome = "passed" | "failed" | "broken";

/** A copy of the sources. */
class Copy {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Breaks it. Returns what mends it again. */
  async mutate({ name, file, from, to }: Mutant): Promise<() => Promise<void>> {
    const path = join(this.#directory, file);
    const source = await Deno.readTextFile(path);
    const times = source.split(from).length - 1;
    if (times !== 1) {
      throw new Error(`"${name}" does not apply: ${file} has its text ${times} times`);
    }
    // A function: the text may hold what means something in a replacement.
    await Deno.writeTextFile(path, source.replace(from, () => to));
    return () => Deno.writeTextFile(path, source);
  }

  /** Runs chaos, or a test file. */
  async run(catcher: string): Promise<[outcome: Outcome, why: string]> {
    const isChaos = catcher === CHAOS;
    // A type that no longer fits is not what is to be noticed.
    const args = isChaos
      ? ["run", "-A", "--quiet", "tasks/chaos/main.ts", ...CHAOS_ARGS]
      : ["test", "-A", "--quiet", "--no-check", "--fail-fast", catcher];
    const command = new Deno.Command(Deno.execPath(), {
      args,
      cwd: this.#directory,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const { success, signal, stdout, stderr } = await command.output();
    const output = new TextDecoder().decode(stdout);
    if (success) return ["passed", ""];
    if (isChaos) {
      const { problems } = output.startsWith("{") ? JSON.parse(output) : {};
      if (problems) return ["failed", problems.slice(0, MAX_PROBLEMS).join("; ")];
    } else {
      if (signal) return ["failed", `not done after ${PATIENCE_MS / 1_000} seconds`];
      const failed = /(\d+) failed/.exec(output);
      if (failed) return ["failed", ""];
    }
    return ["broken", new TextDecoder().decode(stderr).trim().split("\n").slice(0, 3).join(" ")];
  }
}

async function main(word: string): Promise<boolean> {
  const mutants = [...MUTANTS, ...SECURE_MUTANTS].filter(({ name }) => name.includes(word));
  if (mutants.length === 0) throw new Error(`no mutant has "${word}" in its name`);
  const directory = await Deno.realPath(await Deno.makeTempDir({ prefix: "mutants_" }));
  try {
    await cp(PROJECT, directory, {
      recursive: true,
      filter: (path) => !NOT_COPIED.includes(relative(PROJECT, path)),
    });
    const copy = new Copy(directory);
    // Before anything takes its time: each must still apply.
    for (const mutant of mutants) await (await copy.mutate(mutant))();
    for (const catcher of new Set(mutants.flatMap(({ caughtBy }) => caughtBy))) {
      const [outcome, why] = await copy.run(catcher);
      if (outcome !== "passed") throw new Error(`${catcher} fails without a mutant: ${why}`);
    }
    let survivors = 0;
    for (const mutant of mutants) survivors += await hunt(mutant, copy);
    console.log(`${mutants.length} mutants, ${survivors} times not noticed`);
    return survivors === 0;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Resolves to how many did not notice it. */
async function hunt(mutant: Mutant, copy: Copy): Promise<number> {
  let survived = 0;
  const mend = await copy.mutate(mutant);
  for (const catcher of mutant.caughtBy) {
    const [outcome, why] = await copy.run(catcher);
    if (outcome !== "failed") survived++;
    const verdict = outcome === "failed"
      ? "caught  "
      : outcome === "passed"
      ? "SURVIVED"
      : "BROKEN  ";
    console.log(`${verdict} ${mutant.name}, ${catcher}${why && `: ${why}`}`);
  }
  await mend();
  return survived;
}

const HELP = `Usage: deno task mutants [WORD]

Breaks the sources in a copy, one way after the other, and fails if nothing notices.

  WORD  only those with this in their names`;

if (Deno.args.includes("--help") || Deno.args.includes("-h")) {
  console.log(HELP);
} else {
  try {
    Deno.exitCode = await main(Deno.args.join(" ")) ? 0 : 1;
  } catch (error) {
    console.error(`mutants: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode = 1;
  }
}
