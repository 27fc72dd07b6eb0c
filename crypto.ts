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
  importPKCS8,
  importSPKI,
} from "jose";
import { Buffer } from "node:buffer";
import NodeRSA from "node-rsa";
import { CryptoError, RequestError } from "./errors.ts";
import {
  createPacket,
  describe,
  encodeHead,
  type OutgoingPacket,
  type Packet,
  parseJson,
} from "./packet.ts";
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
   * How old a sealed packet may be, or how far ahead its clock, in milliseconds. Stops what someone has
   * recorded from being opened once more, together with `allowReplay`.
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
/** So many fit into the time that a packet may be old, at that rate. */
const MAX_SEEN = MAX_DECRYPTS_PER_SECOND * DEFAULT_MAX_AGE_MS / 1_000;
const FIELDS = ["protected", "encrypted_key", "iv", "ciphertext", "tag"] as const;

let openSealed: (
  keys: EncryptKeys,
  packet: OutgoingPacket,
  options: DecryptOptions,
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
  /** The random ids of what was opened, and until when each is remembered. */
  readonly #seen = new Map<string, number>();
  #key: Promise<CryptoKey> | undefined;

  private constructor(rsa: NodeRSA, publicKey: string, fingerprint: string) {
    this.#rsa = rsa;
    this.publicKey = publicKey;
    this.fingerprint = fingerprint;
  }

  /** Makes new ones. See {@linkcode createEncryptKeys}. */
  static async create(
    { bits = DEFAULT_BITS, path }: EncryptKeysOptions = {},
  ): Promise<EncryptKeys> {
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
   * @throws {RangeError} If it has fewer than 2,048 bits.
   */
  static async import(pem: string): Promise<EncryptKeys> {
    return await EncryptKeys.#of(readKey(pem, "pkcs8-private-pem"));
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
    const publicKey = rsa.exportKey("pkcs8-public-pem");
    return new EncryptKeys(rsa, publicKey, await keyFingerprint(publicKey));
  }

  /** The private key (PKCS #8), as PEM. It is a secret. */
  exportPrivateKey(): string {
    return this.#rsa.exportKey("pkcs8-private-pem");
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
    openSealed = (keys, packet, options) => keys.#open(packet, options);
  }

  async #open(
    { action, data }: OutgoingPacket,
    { maxAgeMs = DEFAULT_MAX_AGE_MS, allowReplay = false }: DecryptOptions,
  ): Promise<Packet> {
    const sealed = readSealed(data);
    const header = this.#readHeader(sealed, action, maxAgeMs);
    if (!this.#pace.tryTake(performance.now())) {
      throw new RequestError("OVERLOADED", "too many sealed packets at once");
    }
    this.#key ??= importPKCS8(this.exportPrivateKey(), ALGORITHM) as Promise<CryptoKey>;
    const { plaintext } = await flattenedDecrypt(sealed, await this.#key, {
      keyManagementAlgorithms: [ALGORITHM],
      contentEncryptionAlgorithms: [ENCRYPTION],
    });
    // Only now it is certain that nobody has made the id up.
    if (!allowReplay) this.#remember(header.id, maxAgeMs);
    const text = new TextDecoder("utf-8", { fatal: true }).decode(plaintext);
    return { action, data: parseJson(text), "packet-created": header.created, token: null };
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
    if (!isOurs || typeof jti !== "string" || !Number.isSafeInteger(created)) throw failed();
    const ageMs = Math.abs(Date.now() - (created as number));
    if (maxAgeMs !== false && ageMs > maxAgeMs) throw failed();
    return { id: jti, created: created as number };
  }

  #remember(id: string, maxAgeMs: number | false): void {
    const now = performance.now();
    const until = this.#seen.get(id);
    if (until !== undefined && until > now) throw failed();
    for (const [oldest, until] of this.#seen) {
      if (until > now && this.#seen.size < MAX_SEEN) break;
      this.#seen.delete(oldest);
    }
    // Its clock may be as far ahead as it may be behind.
    this.#seen.set(id, maxAgeMs === false ? Infinity : now + 2 * maxAgeMs);
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
 * @throws {RangeError} If the key has fewer than 2,048 bits.
 */
export async function encryptPacket<Name extends string>(
  packet: OutgoingPacket<unknown, Name>,
  publicKey: string,
): Promise<Packet<SealedData, Name>> {
  encodeHead(packet);
  const { action, data = null } = packet;
  checkStrength(readKey(publicKey, "pkcs8-public-pem"));
  const created = (packet as Partial<Packet>)["packet-created"];
  const header = {
    alg: ALGORITHM,
    enc: ENCRYPTION,
    kid: await keyFingerprint(publicKey),
    action,
    created: Number.isSafeInteger(created) ? created : Date.now(),
    jti: crypto.randomUUID(),
  };
  const plaintext = new TextEncoder().encode(JSON.stringify(data));
  const sealed = await new FlattenedEncrypt(plaintext)
    .setProtectedHeader(header)
    .encrypt(await importSPKI(publicKey, ALGORITHM));
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
 */
export async function decryptPacket(
  packet: OutgoingPacket,
  keys: EncryptKeys,
  options: DecryptOptions = {},
): Promise<Packet> {
  if (!(keys instanceof EncryptKeys)) {
    throw new TypeError(`keys must be EncryptKeys, got ${describe(keys)}`);
  }
  try {
    return await openSealed(keys, packet, options);
  } catch (error) {
    if (error instanceof RequestError) throw error;
    // What the libraries say would tell a forger how far it came.
    throw failed();
  }
}

/** Whether data looks sealed. */
export function isSealed(data: unknown): data is SealedData {
  return data !== null && typeof data === "object" &&
    FIELDS.every((name) => typeof (data as Record<string, unknown>)[name] === "string");
}

/** What others know a public key (SPKI, as PEM) by. */
export async function keyFingerprint(publicKey: string): Promise<string> {
  const der = readKey(publicKey, "pkcs8-public-pem").exportKey("pkcs8-public-der");
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(der)));
  return "rsa1:" + hash.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Its own five fields alone: nothing that stands unprotected beside them is looked at. */
function readSealed(data: unknown): SealedData {
  if (!isSealed(data)) throw failed();
  const { protected: header, encrypted_key, iv, ciphertext, tag } = data;
  return { protected: header, encrypted_key, iv, ciphertext, tag };
}

function readKey(pem: string, format: "pkcs8-private-pem" | "pkcs8-public-pem"): NodeRSA {
  try {
    return new NodeRSA(pem, format);
  } catch {
    // What the library says of a bad key may quote it.
    const what = format === "pkcs8-public-pem" ? "public key (SPKI)" : "private key (PKCS #8)";
    throw new TypeError(`A key must be an RSA ${what}, as PEM`);
  }
}

function checkStrength(rsa: NodeRSA): void {
  const bits = rsa.getKeySize();
  if (bits < MIN_BITS) {
    throw new RangeError(`A key must have at least ${MIN_BITS} bits, got ${bits}`);
  }
}

function failed(): CryptoError {
  return new CryptoError("DECRYPT_FAILED", "the packet cannot be opened");
}
