/**
 * Small files that the command line is told of: keys, certificates, known hosts.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { sanitize } from "../sanitize.ts";

/** A file that cannot be read or written, or does not hold what it must. What it holds is never said. */
export class FileError extends Error {}

/** How a file is read. */
export interface ReadOptions {
  /** More than this is some other file. */
  maxBytes: number;
  /** Whether a file that is not there counts as an empty one. */
  isOptional?: boolean;
}

const MAX_SHOWN = 300;

/**
 * The text of a file.
 *
 * @throws {FileError} If it cannot be read, or is too large.
 */
export async function readText(path: string, options: ReadOptions): Promise<string> {
  const { maxBytes, isOptional = false } = options;
  try {
    using file = await Deno.open(path);
    return await readFrom(file, maxBytes);
  } catch (error) {
    if (isOptional && error instanceof Deno.errors.NotFound) return "";
    throw fileErrorOf(error, path, "read");
  }
}

/**
 * What follows in a file that is open.
 *
 * @param maxBytes A device, or a pipe, may have no end.
 */
export async function readFrom(file: Deno.FsFile, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65_536);
  let text = "";
  for (let total = 0;;) {
    const count = await file.read(buffer);
    if (count === null) return text + decoder.decode();
    total += count;
    if (total > maxBytes) throw new Error("it is too large");
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
}

/**
 * Writes a secret to a new file that only its owner may read.
 *
 * @throws {FileError} If there is one of this name, or it cannot be written: then there is none.
 */
export async function writeNewSecret(path: string, text: string): Promise<void> {
  let isMade = false;
  try {
    using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
    isMade = true;
    writeAll(file, text);
    await file.sync();
  } catch (error) {
    // Half of a secret is none, and would be in the way of the next attempt.
    if (isMade) await Deno.remove(path).catch(() => {});
    throw fileErrorOf(error, path, "written");
  }
}

/**
 * The text of a file that only its owner may read; where there is none yet, it is made. Of several
 * processes that want it at once one makes it.
 *
 * @throws {FileError} If it can be neither read nor made.
 */
export async function readOrMakeSecret(
  path: string,
  maxBytes: number,
  make: () => Promise<string>,
): Promise<{ text: string; isNew: boolean }> {
  const text = await readText(path, { maxBytes, isOptional: true });
  if (text !== "") return { text, isNew: false };
  try {
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
    using file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
    // Gone with the file's handle.
    await file.lock(true);
    const text = await readFrom(file, maxBytes);
    if (text !== "") return { text, isNew: false };
    const made = await make();
    writeAll(file, made);
    await file.sync();
    return { text: made, isNew: true };
  } catch (error) {
    throw fileErrorOf(error, path, "made");
  }
}

/** Whether others than its owner and group can read what is secret. Not known on Windows. */
export async function isOpenToOthers(path: string): Promise<boolean> {
  const { mode } = await Deno.stat(path);
  return ((mode ?? 0) & 0o007) !== 0;
}

/**
 * Where the command line keeps a file of its own: `$XDG_CONFIG_HOME/pnetwork/NAME`, usually
 * `~/.config/pnetwork/NAME`. `undefined` for a user without a home.
 */
export function ownFile(
  name: string,
  env: Record<string, string | undefined> = Deno.env.toObject(),
): string | undefined {
  const { XDG_CONFIG_HOME: config, APPDATA: roaming, HOME: home } = env;
  // The convention has no meaning for a relative one.
  if (config?.startsWith("/")) return join(config, "pnetwork", name);
  if (Deno.build.os === "windows" && roaming) return join(roaming, "pnetwork", name);
  return home ? join(home, ".config", "pnetwork", name) : undefined;
}

/** The name of a file, fit to be shown. */
export function shownPath(path: string): string {
  return sanitize(path, MAX_SHOWN);
}

/** Whatever goes wrong with a file, in one line. */
export function fileErrorOf(
  error: unknown,
  path: string,
  verb: "read" | "written" | "made",
): FileError {
  if (error instanceof FileError) return error;
  const shown = shownPath(path);
  return new FileError(`${shown} cannot be ${verb}: ${whyNot(error, verb)}`, { cause: error });
}

function whyNot(error: unknown, verb: "read" | "written" | "made"): string {
  if (error instanceof Deno.errors.NotFound) {
    return verb === "read" ? "there is no such file" : "there is no such directory";
  }
  if (error instanceof Deno.errors.AlreadyExists) return "it is there already";
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  return sanitize(error instanceof Error ? error.message : String(error), MAX_SHOWN);
}

function writeAll(file: Deno.FsFile, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
