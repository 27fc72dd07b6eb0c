/**
 * The command `keys`.
 *
 * @module
 */

import { createEncryptKeys } from "../crypto.ts";
import { createIdentity } from "../identity.ts";
import { ExitCode } from "./exit.ts";
import { shownPath, writeNewSecret } from "./files.ts";
import { type Key, readKey } from "./key_files.ts";
import { Output } from "./output.ts";
import type { StandardStreams } from "./streams.ts";

/** What each of the commands was told. */
export interface KeysFlags {
  /** Whether to make RSA keys. */
  rsa?: boolean;
  /** Whether each line is one JSON object. */
  json?: boolean;
}

/** Makes a key, and keeps it in a new file. Resolves to the exit code. */
export async function makeKeys(
  path: string,
  { rsa, json }: KeysFlags,
  streams: StandardStreams,
): Promise<number> {
  const output = new Output({ json }, streams);
  const [{ kind, fingerprint }, pem] = await (rsa ? newRsa() : newIdentity());
  await writeNewSecret(path, pem);
  await output.say(`made ${shownPath(path)}: ${kind} ${fingerprint}`, {
    event: "made",
    file: path,
    kind,
    fingerprint,
  });
  await output.flush();
  return ExitCode.Done;
}

/** Says what a file holds. Resolves to the exit code. */
export async function showKeys(
  path: string,
  { json }: KeysFlags,
  streams: StandardStreams,
): Promise<number> {
  const output = new Output({ json }, streams);
  const { kind, fingerprint } = await readKey(path);
  await output.say(`${kind} ${fingerprint}`, { file: path, kind, fingerprint });
  await output.flush();
  return ExitCode.Done;
}

/** Prints what of a key is for others. Resolves to the exit code. */
export async function exportKeys(
  path: string,
  { json }: KeysFlags,
  streams: StandardStreams,
): Promise<number> {
  const output = new Output({ json }, streams);
  const { kind, fingerprint, publicKey } = await readKey(path);
  await output.say((publicKey ?? fingerprint).trimEnd(), {
    file: path,
    kind,
    fingerprint,
    publicKey,
  });
  await output.flush();
  return ExitCode.Done;
}

async function newIdentity(): Promise<[Key, string]> {
  const identity = await createIdentity();
  return [{ kind: "identity", fingerprint: identity.fingerprint }, await identity.export()];
}

async function newRsa(): Promise<[Key, string]> {
  const keys = await createEncryptKeys();
  return [{ kind: "rsa", fingerprint: keys.fingerprint }, keys.exportPrivateKey() + "\n"];
}
