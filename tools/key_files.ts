/**
 * What files hold that the command line is told of: identities, RSA keys, certificates.
 *
 * Whatever is wrong with one is a `FileError` that says nothing of what it holds.
 *
 * @module
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { EncryptKeys, keyFingerprint } from "../crypto.ts";
import { createIdentity, Identity } from "../identity.ts";
import { FileError, readOrMakeSecret, readText, shownPath } from "./files.ts";

/** What may be said of a key. */
export interface Key {
  /** `identity` is for secure connections, `rsa` opens sealed packets, and `rsa-public` seals them. */
  kind: "identity" | "rsa" | "rsa-public";
  /** What others know it by. */
  fingerprint: string;
  /** The public key (SPKI) as PEM; an identity shows no more of itself than its fingerprint. */
  publicKey?: string;
}

/** A certificate, with those that vouch for it, and its private key: PEM texts. */
export interface Pair {
  cert: string;
  key: string;
}

const MAX_KEY_BYTES = 65_536;
const MAX_CERTIFICATE_BYTES = 4_194_304;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * Whatever key a file holds.
 *
 * @throws {FileError} If it holds none that can be used.
 */
export async function readKey(path: string): Promise<Key> {
  const pem = (await readText(path, { maxBytes: MAX_KEY_BYTES })).trim();
  for (const read of [asIdentity, asRsa, asRsaPublic]) {
    try {
      return await read(pem);
    } catch (cause) {
      // It is a key, of too few bits or too many.
      if (!(cause instanceof RangeError)) continue;
      throw new FileError(`${shownPath(path)}: ${cause.message}`, { cause });
    }
  }
  throw new FileError(
    `${shownPath(path)} holds no key: a private one of X25519 or RSA (PKCS #8), ` +
      "or a public one of RSA (SPKI), as PEM",
  );
}

/**
 * The identity that a file holds.
 *
 * @throws {FileError} If it holds none.
 */
export async function readIdentity(path: string): Promise<Identity> {
  return await identityOf(await readText(path, { maxBytes: MAX_KEY_BYTES }), path);
}

/**
 * The same; where there is no such file yet, it is made.
 *
 * @throws {FileError} If it holds none, or cannot be made.
 */
export async function readOrMakeIdentity(
  path: string,
): Promise<{ identity: Identity; isNew: boolean }> {
  const make = async () => await (await createIdentity()).export();
  const { text, isNew } = await readOrMakeSecret(path, MAX_KEY_BYTES, make);
  return { identity: await identityOf(text, path), isNew };
}

/**
 * The certificates that a file holds, as one text.
 *
 * @throws {FileError} If it holds none, or a damaged one.
 */
export async function readCertificates(path: string): Promise<string> {
  const text = await readText(path, { maxBytes: MAX_CERTIFICATE_BYTES });
  const shown = shownPath(path);
  const found = text.match(CERTIFICATE);
  if (!found) throw new FileError(`${shown} holds no certificate (PEM)`);
  for (const [at, pem] of found.entries()) {
    try {
      new X509Certificate(pem);
    } catch (cause) {
      const which = found.length > 1 ? ` ${at + 1}` : "";
      throw new FileError(`the certificate${which} in ${shown} is damaged`, { cause });
    }
  }
  return found.join("\n") + "\n";
}

/**
 * A certificate and its key.
 *
 * @throws {FileError} If one of them cannot be used, or they do not belong together.
 */
export async function readPair(certPath: string, keyPath: string): Promise<Pair> {
  const cert = await readCertificates(certPath);
  const key = await readText(keyPath, { maxBytes: MAX_KEY_BYTES });
  const shown = shownPath(keyPath);
  if (key.includes("ENCRYPTED")) {
    throw new FileError(`${shown} is encrypted, and there is nobody to be asked for its password`);
  }
  let isPair: boolean;
  try {
    isPair = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new FileError(`${shown} holds no private key that can be used (PEM)`, { cause });
  }
  if (!isPair) {
    throw new FileError(`${shown} is not the key of the certificate in ${shownPath(certPath)}`);
  }
  return { cert, key };
}

async function asIdentity(pem: string): Promise<Key> {
  const { fingerprint } = await Identity.import(pem);
  return { kind: "identity", fingerprint };
}

async function asRsa(pem: string): Promise<Key> {
  const { fingerprint, publicKey } = await EncryptKeys.import(pem);
  return { kind: "rsa", fingerprint, publicKey };
}

async function asRsaPublic(publicKey: string): Promise<Key> {
  return { kind: "rsa-public", fingerprint: await keyFingerprint(publicKey), publicKey };
}

async function identityOf(pem: string, path: string): Promise<Identity> {
  try {
    return await Identity.import(pem);
  } catch (cause) {
    const message = `${shownPath(path)} holds no identity: \`pnetwork keys make FILE\` makes one`;
    throw new FileError(message, { cause });
  }
}
