/**
 * What is installed, and on what machine it runs.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import project from "../../deno.json" with { type: "json" };
import { type Contender, CONTENDERS, type Runtime } from "./contenders.ts";

const PACKAGES = new URL("node/", import.meta.url);
const MIN_NODE = 20;

/** Where everything was measured. */
export interface Environment {
  cores: number;
  processor: string;
  memoryGiB: number;
  system: string;
  /** How many programs were busy on average in the minute before. */
  loadBefore: number;
  versions: Record<string, string>;
}

/** How programs are started. */
export type Commands = Partial<Record<Runtime, string[]>>;

/** Who can take part here, and who cannot, and why. */
export interface Field {
  contenders: Contender[];
  commands: Commands;
  skipped: { name: string; reason: string }[];
}

/** Finds out who can take part, and installs their packages where they are missing. */
export async function prepare(wanted: (name: string) => boolean): Promise<Field> {
  const asked = CONTENDERS.filter(({ name }) => wanted(name));
  const onlyDeno = asked.every(({ runtime }) => runtime === "deno");
  const commands: Commands = {
    deno: [Deno.execPath(), "run", "-A", "--v8-flags=--expose-gc"],
    ...(onlyDeno ? {} : await install()),
  };
  const field: Field = { contenders: [], commands, skipped: [] };
  for (const contender of asked) {
    const { name, runtime, needs } = contender;
    const missing = commands[runtime]
      ? needs && await versionOf(needs) === undefined && needs
      : runtime;
    if (missing) field.skipped.push({ name, reason: `${missing} is not installed` });
    else field.contenders.push(contender);
  }
  return field;
}

/** Brings the packages of `package-lock.json`, unless they are there; says how to start what came with them. */
async function install(): Promise<Commands> {
  const [lock, installed] = await Promise.all(
    ["package-lock.json", "node_modules/.package-lock.json"].map(async (name) =>
      (await Deno.stat(new URL(name, PACKAGES)).catch(() => undefined))?.mtime?.getTime() ?? 0
    ),
  );
  if (installed < lock) {
    if (await versionOf("npm") === undefined) return {};
    // What is native among them comes built.
    const { success } = await new Deno.Command("npm", {
      args: ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
      cwd: fileURLToPath(PACKAGES),
      stdout: "null",
    }).output();
    if (!success) throw new Error("npm ci failed");
  }
  const { os, arch } = Deno.build;
  const node = await first(
    packaged(`node-${os}-${arch === "aarch64" ? "arm64" : "x64"}/bin/node`),
    "node",
  );
  const bun = await first(
    packaged(`@oven/bun-${os}-${arch === "aarch64" ? "aarch64" : "x64"}/bin/bun`),
    "bun",
  );
  const isNodeOld = node && Number.parseInt(await versionOf(node) ?? "") < MIN_NODE;
  return {
    node: node && !isNodeOld ? [node, "--expose-gc"] : undefined,
    bun: bun ? [bun] : undefined,
  };
}

/** The versions of everything that takes part, and what the machine is. */
export async function describe({ commands }: Field): Promise<Environment> {
  const versions: Record<string, string> = { pnetwork: project.version, deno: Deno.version.deno };
  const programs = { node: commands.node?.[0], bun: commands.bun?.[0], nats: "nats-server" };
  for (const [name, program] of Object.entries(programs)) {
    const version = program && await versionOf(program);
    if (version) versions[name] = version;
  }
  const lock = JSON.parse(await Deno.readTextFile(new URL("package-lock.json", PACKAGES)));
  for (const name of Object.keys(lock.packages[""].dependencies)) {
    versions[name] = lock.packages[`node_modules/${name}`].version;
  }
  return {
    cores: navigator.hardwareConcurrency,
    processor: await processor(),
    memoryGiB: Math.round(Deno.systemMemoryInfo().total / 2 ** 30),
    system: `${Deno.build.os} ${Deno.osRelease()}`,
    loadBefore: Number(Deno.loadavg()[0].toFixed(1)),
    versions,
  };
}

/** How many files a program may open; `Infinity` where nobody says. All runtimes here go to the hard limit by themselves. */
export async function openFiles(): Promise<number> {
  const limit = Number(await output("sh", ["-c", "ulimit -Hn"]));
  return Number.isNaN(limit) ? Infinity : limit;
}

async function processor(): Promise<string> {
  try {
    const info = await Deno.readTextFile("/proc/cpuinfo");
    return /^model name\s*: (.*)$/m.exec(info)?.[1] ?? "unknown";
  } catch (error) {
    // Only Linux has such a file.
    if (error instanceof Deno.errors.NotFound) return "unknown";
    throw error;
  }
}

function packaged(path: string): string {
  return fileURLToPath(new URL(`node_modules/${path}`, PACKAGES));
}

/** The first of them that runs. */
async function first(...programs: string[]): Promise<string | undefined> {
  for (const program of programs) {
    if (await versionOf(program) !== undefined) return program;
  }
}

/** The number in what a program says of its version; `undefined` if there is no such program. */
async function versionOf(program: string): Promise<string | undefined> {
  return /\d+\.\d+\.\d+/.exec(await output(program, ["--version"]) ?? "")?.[0];
}

async function output(program: string, args: string[]): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command(program, { args }).output();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
