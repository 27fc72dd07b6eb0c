/**
 * The command `keys`.
 *
 * @module
 */

import { createEncryptKeys, EncryptKeys, keyFingerprint } from "../crypto.ts";
import { createIdentity, Identity } from "../identity.ts";
import { MAX_KEY_BYTES } from "./cli_security.ts";
import { ExitCode } from "./exit.ts";
import { FileError, readText, shownPath, writeNewSecret } from "./files.ts";
import { Output } from "./output.ts";

/** What each of the commands was told. */
export interface KeysFlags {
  /** Whether to make RSA keys. */
  rsa?: boolean;
  /** Whether each line is one JSON object. */
  json?: boolean;
}

/** `identity` is for secure connections, `rsa` opens sealed packets, and `rsa-public` seals them. */
type Kind = "identity" | "rsa" | "rsa-public";

/** What may be said of a key. */
interface Key {
  kind: Kind;
  /** What others know it by. */
  fingerprint: string;
  /** The public key (SPKI) as PEM; an identity shows no more of itself than its fingerprint. */
  publicKey?: string;
}

/** Makes a key, and keeps it in a new file. Resolves to the exit code. */
export async function makeKeys(path: string, { rsa, json }: KeysFlags): Promise<number> {
  const output = new Output({ json });
  const [{ kind, fingerprint }, pem] = await (rsa ? newRsa() : newIdentity());
  await writeNewSecret(path, pem);
  const file = shownPath(path);
  await output.say(`made ${file}: ${kind} ${fingerprint}`, {
    event: "made",
    file,
    kind,
    fingerprint,
  });
  await output.flush();
  return ExitCode.Done;
}

/** Says what a file holds. Resolves to the exit code. */
export async function showKeys(path: string, { json }: KeysFlags): Promise<number> {
  const output = new Output({ json });
  const { kind, fingerprint } = await readKey(path);
  await output.say(`${kind} ${fingerprint}`, { file: shownPath(path), kind, fingerprint });
  await output.flush();
  return ExitCode.Done;
}

/** Prints what of a key is for others. Resolves to the exit code. */
export async function exportKeys(path: string, { json }: KeysFlags): Promise<number> {
  const output = new Output({ json });
  const { kind, fingerprint, publicKey } = await readKey(path);
  await output.say((publicKey ?? fingerprint).trimEnd(), {
    file: shownPath(path),
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

async function readKey(path: string): Promise<Key> {
  const pem = await readText(path, { maxBytes: MAX_KEY_BYTES });
  const readers: ((pem: string) => Promise<Key>)[] = [asIdentity, asRsa, asRsaPublic];
  for (const read of readers) {
    try {
      return await read(pem);
    } catch (error) {
      // It is a key, of too few bits or too many.
      if (error instanceof RangeError) throw new FileError(`${shownPath(path)}: ${error.message}`);
    }
  }
  throw new FileError(
    `${shownPath(path)} holds no key: a private one of X25519 or RSA (PKCS #8), ` +
      "or a public one of RSA (SPKI), as PEM",
  );
}

async function asIdentity(pem: string): Promise<Key> {
  const { fingerprint } = await Identity.import(pem);
  return { kind: "identity", fingerprint };
}

async function asRsa(pem: string): Promise<Key> {
  const { fingerprint, publicKey } = await EncryptKeys.import(pem.trim());
  return { kind: "rsa", fingerprint, publicKey };
}

async function asRsaPublic(pem: string): Promise<Key> {
  const publicKey = pem.trim();
  return { kind: "rsa-public", fingerprint: await keyFingerprint(publicKey), publicKey };
}
