/**
 * Keys, and packets that only the holder of one can open.
 *
 * A sealed packet is a JSON Web Encryption (RFC 7516) in its flattened JSON serialization, with the
 * algorithms `RSA-OAEP-256` and `A256GCM` of RFC 7518.
 *
 * @module
 */

import {
  decodeProtectedHeader,
  flattenedDecrypt,
  FlattenedEncrypt,
  type FlattenedJWE,
  importPKCS8,
  importSPKI,
  type JWEHeaderParameters,
} from "jose";
import { Buffer } from "node:buffer";
import NodeRSA from "node-rsa";
import { decryptFailed, RequestError } from "./errors.ts";
import { checkOptions, checkTimeout } from "./options.ts";
import {
  createPacket,
  describe,
  encodeHead,
  type OutgoingPacket,
  type Packet,
  parseJson,
} from "./packet.ts";
import { RecentIds } from "./recent_ids.ts";
import { TokenBucket } from "./token_bucket.ts";

/** How keys are made. */
export interface EncryptKeysOptions {
  /**
   * How long the modulus is, in bits: 2,048 to 8,192.
   *
   * @default {3_072}
   */
  bits?: number;
  /** Where to save the private key as well, in a file that only its owner may read. */
  path?: string;
}

/** What is refused besides what cannot be opened. */
export interface DecryptOptions {
  /**
   * How old a sealed packet may be, or how far ahead its clock, in milliseconds; `false` for no bound. Stops
   * what someone has recorded from being opened once more, together with `allowReplay`: what is older than
   * 5 minutes may have been forgotten.
   *
   * @default {300_000}
   */
  maxAgeMs?: number | false;
  /**
   * Whether a packet may be opened that was opened before.
   *
   * @default {false}
   */
  allowReplay?: boolean;
}

/** Data that only the holder of a key can open. The text fields are base64url. */
export interface SealedData {
  /** What stands beside the data and cannot be changed: action, time, key id and a random id. */
  protected: string;
  /** The key of this one packet, encrypted to the holder's. */
  encrypted_key: string;
  /** Of this one packet. */
  iv: string;
  /** The data. */
  ciphertext: string;
  /** Shows whether any of it was changed. */
  tag: string;
}

const ALGORITHM = "RSA-OAEP-256";
const ENCRYPTION = "A256GCM";
const MIN_BITS = 2_048;
const MAX_BITS = 8_192;
const DEFAULT_BITS = 3_072;
const DEFAULT_MAX_AGE_MS = 300_000;
/** Stops strangers from making this side spend all its time on RSA: a few hundred are all that it can. */
const MAX_DECRYPTS_PER_SECOND = 100;
/** How long one may wait for its turn: whoever has hung up meanwhile must not make others wait for ever. */
const MAX_WAIT_MS = 30_000;
/** All that can come within the time that a packet may be old or ahead, at that rate, with a burst. */
const MAX_REMEMBERED = MAX_DECRYPTS_PER_SECOND * (2 * DEFAULT_MAX_AGE_MS / 1_000 + 1);
/** Ids are remembered: a long one would be remembered at its length. */
const MAX_ID_LENGTH = 64;
/** A private key of 8,192 bits takes 6,400 characters. */
const MAX_PEM_LENGTH = 16_384;
const PUBLIC = "pkcs8-public-pem";
const PRIVATE = "pkcs8-private-pem";
const BASE64URL = { alphabet: "base64url", omitPadding: true } as const;
const FIELDS = ["protected", "encrypted_key", "iv", "ciphertext", "tag"] as const;

/** Lets so many milliseconds pass. It rejects where they are not worth it any more. */
export type Wait = (ms: number) => Promise<void>;

let openSealed: (
  keys: EncryptKeys,
  packet: OutgoingPacket,
  options: DecryptOptions,
  wait?: Wait,
) => Promise<Packet>;

/**
 * An RSA key pair. Printed or turned into JSON it shows its fingerprint alone.
 *
 * @example
 * ```ts
 * import { createEncryptKeys, decryptPacket, encryptPacket } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * const keys = await createEncryptKeys({ bits: 2048 });
 * const sealed = await encryptPacket({ action: "vote", data: "Ada" }, keys.publicKey);
 * const { data } = await decryptPacket(sealed, keys);
 * assertEquals(data, "Ada");
 * ```
 */
export class EncryptKeys {
  /** The public key (SPKI), as PEM: for anyone. */
  readonly publicKey: string;
  /** `rsa1:` and 43 characters: the SHA-256 of the public key (SPKI), in base64url. */
  readonly fingerprint: string;
  readonly #rsa: NodeRSA;
  readonly #pace = new TokenBucket(MAX_DECRYPTS_PER_SECOND, performance.now());
  /** The random ids of what was opened. */
  readonly #opened = new RecentIds(MAX_REMEMBERED);
  #key: Promise<CryptoKey> | undefined;

  private constructor(rsa: NodeRSA, publicKey: string, fingerprint: string) {
    this.#rsa = rsa;
    this.publicKey = publicKey;
    this.fingerprint = fingerprint;
  }

  /** Makes new ones. See {@linkcode createEncryptKeys}. */
  static async create(options: EncryptKeysOptions = {}): Promise<EncryptKeys> {
    checkOptions(options);
    const { bits = DEFAULT_BITS, path } = options;
    if (path !== undefined && typeof path !== "string") {
      throw new TypeError(`path must be a string, got ${describe(path)}`);
    }
    if (!Number.isInteger(bits) || bits < MIN_BITS || bits > MAX_BITS || bits % 8 !== 0) {
      throw new RangeError(
        `bits must be a multiple of 8 from ${MIN_BITS} to ${MAX_BITS}, got ${bits}`,
      );
    }
    // By the platform, which does not stop the event loop for it.
    const pair = await crypto.subtle.generateKey(
      {
        name: "RSA-OAEP",
        hash: "SHA-256",
        modulusLength: bits,
        publicExponent: new Uint8Array([1, 0, 1]),
      },
      true,
      ["encrypt", "decrypt"],
    );
    const pkcs8 = await crypto.subtle.exportKey("pkcs8", pair.privateKey);
    const keys = await EncryptKeys.#of(
      new NodeRSA(Buffer.from(pkcs8), "pkcs8-private-der"),
    );
    if (path !== undefined) await keys.save(path);
    return keys;
  }

  /**
   * Reads a private key.
   *
   * @param pem The private key (PKCS #8), as PEM.
   * @throws {TypeError} If it is no such key.
   * @throws {RangeError} If it has fewer than 2,048 bits, or more than 8,192.
   */
  static async import(pem: string): Promise<EncryptKeys> {
    return await EncryptKeys.#of(readKey(pem, PRIVATE));
  }

  /**
   * Reads a private key from a file.
   *
   * @throws As {@linkcode EncryptKeys.import}, and what the platform throws.
   */
  static async load(path: string): Promise<EncryptKeys> {
    return await EncryptKeys.import(await Deno.readTextFile(path));
  }

  static async #of(rsa: NodeRSA): Promise<EncryptKeys> {
    checkStrength(rsa);
    return new EncryptKeys(rsa, rsa.exportKey(PUBLIC), await fingerprintOf(rsa));
  }

  /** The private key (PKCS #8), as PEM. It is a secret. */
  exportPrivateKey(): string {
    return this.#rsa.exportKey(PRIVATE);
  }

  /**
   * Saves the private key to a new file that only its owner may read.
   *
   * @throws What the platform throws; {@linkcode Deno.errors.AlreadyExists}, so that no key is lost.
   */
  async save(path: string): Promise<void> {
    await Deno.writeTextFile(path, this.exportPrivateKey() + "\n", {
      createNew: true,
      mode: 0o600,
    });
  }

  /** What may be shown of it. */
  toJSON(): Record<string, unknown> {
    return { fingerprint: this.fingerprint };
  }

  /** For `console.log` and `Deno.inspect`. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `EncryptKeys { fingerprint: "${this.fingerprint}" }`;
  }

  static {
    openSealed = (keys, packet, options, wait) => keys.#open(packet, options, wait);
  }

  async #open(
    { action, data }: OutgoingPacket,
    { maxAgeMs = DEFAULT_MAX_AGE_MS, allowReplay = false }: DecryptOptions,
    wait?: Wait,
  ): Promise<Packet> {
    const sealed = readSealed(data);
    const { id, created } = this.#readHeader(sealed, action, maxAgeMs);
    if (!allowReplay && this.#opened.has(id)) throw decryptFailed();
    await this.#keepPace(wait);
    this.#key ??= importPKCS8(this.exportPrivateKey(), ALGORITHM) as Promise<CryptoKey>;
    const { plaintext } = await flattenedDecrypt(sealed, await this.#key, {
      keyManagementAlgorithms: [ALGORITHM],
      contentEncryptionAlgorithms: [ENCRYPTION],
    });
    // Only now it is certain that nobody has made the id up. Another of it may have been opened meanwhile.
    if (!allowReplay && !this.#opened.add(id)) throw decryptFailed();
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(plaintext);
    return { action, data: parseJson(text), "packet-created": created, token: null };
  }

  /** What can be refused without spending time on RSA. */
  #readHeader(
    sealed: SealedData,
    action: string,
    maxAgeMs: number | false,
  ): { id: string; created: number } {
    const header = decodeProtectedHeader(sealed) as Record<string, unknown>;
    const { alg, enc, zip, crit, kid, created, jti } = header;
    const isOurs = alg === ALGORITHM && enc === ENCRYPTION && zip === undefined &&
      crit === undefined && kid === this.fingerprint && header.action === action;
    if (!isOurs || !isId(jti) || !Number.isSafeInteger(created)) throw decryptFailed();
    const ageMs = Math.abs(Date.now() - (created as number));
    if (maxAgeMs !== false && ageMs > maxAgeMs) throw decryptFailed();
    return { id: jti, created: created as number };
  }

  async #keepPace(wait: Wait | undefined): Promise<void> {
    const maxWaitMs = wait ? MAX_WAIT_MS : 0;
    const waitMs = this.#pace.take(performance.now(), maxWaitMs);
    if (waitMs > maxWaitMs) {
      throw new RequestError("OVERLOADED", "too many sealed packets at once");
    }
    if (waitMs > 0) await wait!(waitMs);
  }
}

/**
 * Makes an RSA key pair for sealed packets, without stopping the event loop.
 *
 * @throws {RangeError} If `bits` is out of range.
 * @throws What the platform throws, if the key cannot be saved.
 */
export function createEncryptKeys(options: EncryptKeysOptions = {}): Promise<EncryptKeys> {
  return EncryptKeys.create(options);
}

/**
 * Seals the data of a packet for the holder of a key, through any number of hands: whoever passes the
 * packet on cannot read or change it, or give it another action. No token is in it. It does not say who
 * has sealed it, and whoever learns the private key can open all that was sealed for it.
 *
 * @param packet The packet; any size.
 * @param publicKey The holder's public key (SPKI), as PEM.
 * @returns A packet of the same action, whose data is sealed.
 * @throws {TypeError} If the packet cannot be sent, or the key is none.
 * @throws {RangeError} If the key has fewer than 2,048 bits, or more than 8,192.
 */
export async function encryptPacket<Name extends string>(
  packet: OutgoingPacket<unknown, Name>,
  publicKey: string,
): Promise<Packet<SealedData, Name>> {
  encodeHead(packet);
  const { action, data = null } = packet;
  const rsa = readKey(publicKey, PUBLIC);
  checkStrength(rsa);
  const { "packet-created": created = 0 } = packet as Partial<Packet>;
  const header = {
    alg: ALGORITHM,
    enc: ENCRYPTION,
    kid: await fingerprintOf(rsa),
    action,
    // A packet whose sender said nothing usable of the time has none.
    created: Number.isSafeInteger(created) && created > 0 ? created : Date.now(),
    jti: crypto.randomUUID(),
  };
  const plaintext = new TextEncoder().encode(JSON.stringify(data));
  const sealed = await seal(plaintext, header, rsa);
  const fields = FIELDS.map((name) => [name, sealed[name]]);
  return createPacket(action, Object.fromEntries(fields) as SealedData);
}

/**
 * Opens a sealed packet.
 *
 * @param packet The packet as it came, through whatever hands.
 * @param keys The keys that it was sealed for. They remember what was opened with them.
 * @param options How old it may be, and whether it may have been opened before.
 * @returns The packet as it was sealed: its data and its time, and no token.
 * @throws {CryptoError} `DECRYPT_FAILED`: whatever is wrong, there is no more detail.
 * @throws {RequestError} `OVERLOADED`: more than 100 a second.
 * @throws {TypeError} If the keys or an option have the wrong type.
 * @throws {RangeError} If `maxAgeMs` is out of range.
 */
export function decryptPacket(
  packet: OutgoingPacket,
  keys: EncryptKeys,
  options: DecryptOptions = {},
): Promise<Packet> {
  return openPacket(packet, keys, options);
}

/** Like {@linkcode decryptPacket}; if there is a `wait`, more than 100 a second wait for their turns first. */
export async function openPacket(
  packet: OutgoingPacket,
  keys: EncryptKeys,
  options: DecryptOptions,
  wait?: Wait,
): Promise<Packet> {
  if (!(keys instanceof EncryptKeys)) {
    throw new TypeError(`keys must be EncryptKeys, got ${describe(keys)}`);
  }
  checkOptions(options);
  const { maxAgeMs, allowReplay } = options;
  if (maxAgeMs !== undefined) checkTimeout("maxAgeMs", maxAgeMs);
  if (allowReplay !== undefined && typeof allowReplay !== "boolean") {
    throw new TypeError(`allowReplay must be a boolean, got ${describe(allowReplay)}`);
  }
  try {
    return await openSealed(keys, packet, options, wait);
  } catch (error) {
    if (error instanceof RequestError) throw error;
    // What the libraries say would tell a forger how far it came.
    throw decryptFailed();
  }
}

/** Whether data looks sealed. */
export function isSealed(data: unknown): data is SealedData {
  return data !== null && typeof data === "object" &&
    FIELDS.every((name) => typeof (data as Record<string, unknown>)[name] === "string");
}

/**
 * What others know a public key by.
 *
 * @param publicKey The key (SPKI), as PEM.
 * @throws {TypeError} If it is no such key.
 * @throws {RangeError} If it has fewer than 2,048 bits, or more than 8,192: nothing can be sealed for it.
 */
export async function keyFingerprint(publicKey: string): Promise<string> {
  const rsa = readKey(publicKey, PUBLIC);
  checkStrength(rsa);
  return await fingerprintOf(rsa);
}

async function fingerprintOf(rsa: NodeRSA): Promise<string> {
  const der = rsa.exportKey("pkcs8-public-der");
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(der)));
  return "rsa1:" + hash.toBase64(BASE64URL);
}

/** Its own five fields alone: nothing that stands unprotected beside them is looked at. */
function readSealed(data: unknown): SealedData {
  if (!isSealed(data)) throw decryptFailed();
  const { protected: header, encrypted_key, iv, ciphertext, tag } = data;
  const sealed = { protected: header, encrypted_key, iv, ciphertext, tag };
  if (!Object.values(sealed).every(isCanonical)) throw decryptFailed();
  return sealed;
}

/** Whether this is the one way to write its bytes: spare bits and blanks would be changes that nobody notices. */
function isCanonical(text: string): boolean {
  const tail = text.slice(text.length - text.length % 4);
  return /^[A-Za-z0-9_-]+$/.test(text) &&
    tail === Uint8Array.fromBase64(tail, BASE64URL).toBase64(BASE64URL);
}

function isId(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= MAX_ID_LENGTH;
}

function readKey(pem: string, format: typeof PUBLIC | typeof PRIVATE): NodeRSA {
  try {
    // From anything else than a text the library would make a key of its own.
    if (typeof pem === "string" && pem.length <= MAX_PEM_LENGTH) return new NodeRSA(pem, format);
  } catch {
    // What the library says of a bad key may quote it.
  }
  throw notKey(format);
}

function checkStrength(rsa: NodeRSA): void {
  const bits = rsa.getKeySize();
  if (bits < MIN_BITS || bits > MAX_BITS) {
    throw new RangeError(`A key must have ${MIN_BITS} to ${MAX_BITS} bits, got ${bits}`);
  }
}

async function seal(
  plaintext: Uint8Array,
  header: JWEHeaderParameters,
  rsa: NodeRSA,
): Promise<FlattenedJWE> {
  try {
    const key = await importSPKI(rsa.exportKey(PUBLIC), ALGORITHM);
    return await new FlattenedEncrypt(plaintext).setProtectedHeader(header).encrypt(key);
  } catch {
    // Its numbers are none that could be a key's.
    throw notKey(PUBLIC);
  }
}

function notKey(format: typeof PUBLIC | typeof PRIVATE): TypeError {
  const what = format === PUBLIC ? "public key (SPKI)" : "private key (PKCS #8)";
  return new TypeError(`A key must be an RSA ${what}, as PEM`);
}
