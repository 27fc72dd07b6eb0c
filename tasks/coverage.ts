/**
 * Runs the tests and fails if they reach less than 95 % of the lines of the top-level modules.
 *
 * `deno run -A tasks/coverage.ts`
 *
 * @module
 */

import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const MIN_PERCENT = 95;

async function deno(args: string[], stdout: "inherit" | "piped"): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), { args, cwd: root, stdout, stderr: "inherit" });
  const output = await command.output();
  if (!output.success) Deno.exit(output.code);
  return stdout === "piped" ? new TextDecoder().decode(output.stdout) : "";
}

/** Lines found and hit, by top-level module. */
function readLcov(lcov: string): Map<string, { found: number; hit: number }> {
  const files = new Map<string, { found: number; hit: number }>();
  for (const record of lcov.split("end_of_record")) {
    const path = /^SF:(.*)$/m.exec(record)?.[1];
    if (!path || dirname(path) + "/" !== root) continue;
    const found = Number(/^LF:(\d+)$/m.exec(record)?.[1] ?? 0);
    const hit = Number(/^LH:(\d+)$/m.exec(record)?.[1] ?? 0);
    files.set(basename(path), { found, hit });
  }
  return files;
}

const profile = await Deno.makeTempDir({ prefix: "coverage-" });
try {
  await deno(
    ["test", "-A", "--quiet", `--coverage=${profile}`, "--coverage-raw-data-only"],
    "inherit",
  );
  const files = readLcov(await deno(["coverage", "--lcov", profile], "piped"));
  let found = 0, hit = 0;
  for (const [name, lines] of [...files].sort()) {
    found += lines.found;
    hit += lines.hit;
    console.log(`${(lines.hit / lines.found * 100).toFixed(1).padStart(6)} %  ${name}`);
  }
  const percent = hit / found * 100;
  console.log(`${percent.toFixed(1).padStart(6)} %  of ${found} lines in ${files.size} modules`);
  if (!(percent >= MIN_PERCENT)) {
    console.error(`less than ${MIN_PERCENT} % of the lines are reached`);
    Deno.exitCode = 1;
  }
} finally {
  await Deno.remove(profile, { recursive: true });
}
