/**
 * What is installed, and on what machine it runs.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { type Contender, CONTENDERS } from "./contenders.ts";

const PACKAGES = new URL("node/", import.meta.url);
const MIN_NODE = 20;

/** Where everything was measured. */
export interface Environment {
  cores: number;
  processor: string;
  memoryGiB: number;
  system: string;
  /** The average number of busy programs in the minute before. */
  loadBefore: number;
  versions: Record<string, string>;
}

/** Who can take part here, and who cannot, and why. */
export interface Field {
  contenders: Contender[];
  skipped: { name: string; reason: string }[];
}

/** Finds out who can take part, and installs their packages where they are missing. */
export async function prepare(wanted: (name: string) => boolean): Promise<Field> {
  const field: Field = { contenders: [], skipped: [] };
  const onNode = await whyNotNode();
  for (const contender of CONTENDERS.filter(({ name }) => wanted(name))) {
    const { name, runtime, needs } = contender;
    const reason = (runtime === "node" ? onNode : undefined) ??
      (needs && await versionOf(needs) === undefined ? `${needs} is not installed` : undefined);
    if (reason === undefined) field.contenders.push(contender);
    else field.skipped.push({ name, reason });
  }
  if (field.contenders.some(({ runtime }) => runtime === "node")) await install();
  return field;
}

/** Why nothing runs on Node, if so. */
async function whyNotNode(): Promise<string | undefined> {
  const version = await versionOf("node");
  if (version === undefined) return "Node.js is not installed";
  return Number.parseInt(version) < MIN_NODE
    ? `Node.js ${version} is older than ${MIN_NODE}`
    : undefined;
}

/** Brings the packages of `package-lock.json`, unless they are there. */
async function install(): Promise<void> {
  const [lock, installed] = await Promise.all(
    ["package-lock.json", "node_modules/.package-lock.json"].map(async (name) =>
      (await Deno.stat(new URL(name, PACKAGES)).catch(() => undefined))?.mtime?.getTime() ?? 0
    ),
  );
  if (installed >= lock) return;
  // What is native among them comes built.
  const { success } = await new Deno.Command("npm", {
    args: ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
    cwd: fileURLToPath(PACKAGES),
    stdout: "null",
  }).output();
  if (!success) throw new Error("npm ci failed");
}

/** The versions of everything that takes part, and what the machine is. */
export async function environment(): Promise<Environment> {
  const versions: Record<string, string> = { deno: Deno.version.deno, v8: Deno.version.v8 };
  for (const program of ["node", "nats-server"]) {
    const version = await versionOf(program);
    if (version !== undefined) versions[program] = version;
  }
  const lock = JSON.parse(await Deno.readTextFile(new URL("package-lock.json", PACKAGES)));
  for (const name of Object.keys(lock.packages[""].dependencies)) {
    versions[name] = lock.packages[`node_modules/${name}`].version;
  }
  return {
    cores: navigator.hardwareConcurrency,
    processor: await processor(),
    memoryGiB: Math.round(Deno.systemMemoryInfo().total / 2 ** 30),
    system: `${Deno.build.os} ${Deno.osRelease()} ${Deno.build.arch}`,
    loadBefore: Deno.loadavg()[0],
    versions,
  };
}

/** How many files a program may have open; `undefined` where nobody says. */
export async function openFiles(): Promise<number | undefined> {
  const text = await output("sh", ["-c", "ulimit -n"]);
  if (text === undefined) return undefined;
  return text === "unlimited" ? Infinity : Number(text);
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
