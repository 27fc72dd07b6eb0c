/**
 * Who a server or client is to the other side of a secure connection.
 *
 * @module
 */

import { type Bytes, generateKeyPair, type KeyPair } from "./noise.ts";

/** What a fingerprint begins with: the first kind that there is. */
const PREFIX = "pnet1:";
const FINGERPRINT = /^pnet1:[A-Za-z0-9_-]{43}$/;
const PEM = /^-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----\s*$/;

let readKeys: (identity: Identity) => KeyPair;

/**
 * A static key pair of X25519, and the fingerprint that others know it by. Printed or turned into JSON
 * it shows the fingerprint alone.
 *
 * @example
 * ```ts
 * import { createIdentity, Identity } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * const identity = await createIdentity();
 * const again = await Identity.import(await identity.export());
 * assertEquals(again.fingerprint, identity.fingerprint);
 * ```
 */
export class Identity {
  /** `pnet1:` and 43 characters: the SHA-256 of the public key, in base64url. */
  readonly fingerprint: string;
  readonly #keys: KeyPair;

  private constructor(keys: KeyPair, fingerprint: string) {
    this.#keys = keys;
    this.fingerprint = fingerprint;
  }

  /** Makes a new one. */
  static async create(): Promise<Identity> {
    return await Identity.#of(await generateKeyPair({ extractable: true }));
  }

  /**
   * Reads one.
   *
   * @param pem What {@linkcode Identity.export} wrote: a private key of X25519 in PKCS #8, as PEM.
   * @throws {TypeError} If it is no such key.
   */
  static async import(pem: string): Promise<Identity> {
    try {
      const pkcs8 = Uint8Array.fromBase64(PEM.exec(pem)![1].replace(/\s/g, ""));
      const usages: KeyUsage[] = ["deriveBits"];
      const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, "X25519", true, usages);
      const { x } = await crypto.subtle.exportKey("jwk", privateKey);
      const publicKey = Uint8Array.fromBase64(x!, { alphabet: "base64url" });
      return await Identity.#of({ publicKey, privateKey });
    } catch {
      // What the platform says of a bad key may quote it.
      throw new TypeError("An identity must be a private key of X25519 in PKCS #8, as PEM");
    }
  }

  static async #of(keys: KeyPair): Promise<Identity> {
    return new Identity(keys, await fingerprintOf(keys.publicKey));
  }

  /** The private key in PKCS #8, as PEM. It is a secret: keep it in a file that only its owner can read. */
  async export(): Promise<string> {
    const pkcs8 = new Uint8Array(
      await crypto.subtle.exportKey("pkcs8", this.#keys.privateKey),
    );
    return `-----BEGIN PRIVATE KEY-----\n${pkcs8.toBase64()}\n-----END PRIVATE KEY-----\n`;
  }

  /** What may be shown of it. */
  toJSON(): Record<string, unknown> {
    return { fingerprint: this.fingerprint };
  }

  /** For `console.log` and `Deno.inspect`. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Identity { fingerprint: "${this.fingerprint}" }`;
  }

  static {
    readKeys = (identity) => identity.#keys;
  }
}

/** The keys of an identity, for the secure channel. */
export function keysOf(identity: Identity): KeyPair {
  return readKeys(identity);
}

/**
 * Makes a new identity. Save what {@linkcode Identity.export} gives, so that others know it again.
 *
 * @example
 * ```ts
 * import { createIdentity } from "@pnetwork/pnetwork";
 * import { assertMatch } from "@std/assert";
 *
 * const { fingerprint } = await createIdentity();
 * assertMatch(fingerprint, /^pnet1:/);
 * ```
 */
export function createIdentity(): Promise<Identity> {
  return Identity.create();
}

/** What others know a public key by. */
export async function fingerprintOf(publicKey: Bytes): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", publicKey));
  return PREFIX + hash.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Whether this could be a fingerprint. */
export function isFingerprint(value: unknown): value is string {
  return typeof value === "string" && FINGERPRINT.test(value);
}

/**
 * Checks an option that is to be an identity.
 *
 * @throws {TypeError} If it is something else.
 */
export function checkIdentity(name: string, value: unknown): Identity | undefined {
  if (value === undefined || value instanceof Identity) return value;
  throw new TypeError(`${name} must be an Identity: await createIdentity(), or Identity.import()`);
}
