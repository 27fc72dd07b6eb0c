/**
 * The Noise Protocol Framework, as much of it as a secure connection uses: X25519, AES-256-GCM and
 * SHA-256, by the platform's Web Cryptography.
 *
 * Source: Trevor Perrin, "The Noise Protocol Framework", revision 34,
 * {@link https://noiseprotocol.org/noise.html}. The names of its sections stand at what they describe.
 *
 * @module
 */

/** What one message of a handshake does, in order. */
export type Token = "e" | "s" | "ee" | "es" | "se";

/** The messages of a handshake, the initiator's first, in turns. */
export type Pattern = readonly (readonly Token[])[];

/** Both sides tell their static keys, encrypted; nothing is known before. Section 7.5. */
export const XX: Pattern = [["e"], ["e", "ee", "s", "es"], ["s", "se"]];

/** A key pair of X25519. */
export interface KeyPair {
  /** 32 bytes. */
  readonly publicKey: Bytes;
  /** Whether it can be exported is decided by whoever made it. */
  readonly privateKey: CryptoKey;
}

/** Bytes that Web Cryptography takes. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** What a handshake is held with. */
export interface HandshakeOptions {
  /** The pattern's full name, which both sides mix in: `Noise_XX_25519_AESGCM_SHA256`. */
  protocolName: string;
  /** Its messages. */
  pattern: Pattern;
  /** Whether this side sends the first one. */
  isInitiator: boolean;
  /** What was said before: both sides must have seen the same. */
  prologue: Bytes;
  /** This side's static key. */
  static?: KeyPair;
  /** For tests against vectors: else a new one is made. */
  ephemeral?: KeyPair;
}

/** A message does not fit the handshake, or was tampered with. There is never more detail. */
export class NoiseError extends Error {}

const KEY_BYTES = 32;
const TAG_BYTES = 16;
/** The largest Noise message. Section 3. */
export const MAX_MESSAGE_BYTES = 65_535;
/** The most that a transport message holds. */
export const MAX_PAYLOAD_BYTES = MAX_MESSAGE_BYTES - TAG_BYTES;
/** A nonce that no message has. Section 5.1. */
const REKEY_NONCE = 2n ** 64n - 1n;
const EMPTY: Bytes = new Uint8Array(0);

const { subtle } = crypto;

/** Makes a new key pair. */
export async function generateKeyPair({ extractable = false } = {}): Promise<KeyPair> {
  const pair = await subtle.generateKey({ name: "X25519" }, extractable, [
    "deriveBits",
  ]) as CryptoKeyPair;
  const publicKey = new Uint8Array(await subtle.exportKey("raw", pair.publicKey));
  return { publicKey, privateKey: pair.privateKey };
}

/** Encrypts, or decrypts, one message after the other under a key that nobody else has. Section 5.1. */
export class CipherState {
  #key: CryptoKey;
  #nonce = 0n;

  private constructor(key: CryptoKey) {
    this.#key = key;
  }

  /** Begins with a key of 32 bytes. */
  static async of(key: Bytes): Promise<CipherState> {
    return new CipherState(await importKey(key));
  }

  /** How many messages it has seen. */
  get nonce(): bigint {
    return this.#nonce;
  }

  /** The next message. */
  async encrypt(plaintext: Bytes, additionalData: Bytes = EMPTY): Promise<Bytes> {
    return new Uint8Array(
      await subtle.encrypt(this.#algorithm(additionalData), this.#key, plaintext),
    );
  }

  /**
   * What the next message says.
   *
   * @throws {NoiseError} If it is not the next one, or was changed.
   */
  async decrypt(message: Bytes, additionalData: Bytes = EMPTY): Promise<Bytes> {
    try {
      return new Uint8Array(
        await subtle.decrypt(this.#algorithm(additionalData), this.#key, message),
      );
    } catch {
      // Why it fails must be told to nobody.
      throw new NoiseError("decryption failed");
    }
  }

  /** Goes on with another key, so that who learns that one cannot read what came before. Section 11.3. */
  async rekey(): Promise<void> {
    const zeros = new Uint8Array(KEY_BYTES);
    const algorithm = { name: "AES-GCM", iv: ivOf(REKEY_NONCE) };
    const next = new Uint8Array(await subtle.encrypt(algorithm, this.#key, zeros));
    this.#key = await importKey(next.subarray(0, KEY_BYTES));
  }

  #algorithm(additionalData: Bytes): AesGcmParams {
    if (this.#nonce === REKEY_NONCE) throw new NoiseError("the nonces are used up");
    return { name: "AES-GCM", iv: ivOf(this.#nonce++), additionalData };
  }
}

/** What a handshake has come to so far. Section 5.2. */
class SymmetricState {
  #chainingKey: Bytes;
  #hash: Bytes;
  #cipher: CipherState | undefined;

  private constructor(hash: Bytes) {
    this.#chainingKey = hash;
    this.#hash = hash;
  }

  static async of(protocolName: string): Promise<SymmetricState> {
    const name = new TextEncoder().encode(protocolName);
    if (name.length > KEY_BYTES) return new SymmetricState(await sha256(name));
    const padded = new Uint8Array(KEY_BYTES);
    padded.set(name);
    return new SymmetricState(padded);
  }

  get hash(): Bytes {
    return this.#hash;
  }

  async mixHash(data: Bytes): Promise<void> {
    this.#hash = await sha256(concat(this.#hash, data));
  }

  async mixKey(input: Bytes): Promise<void> {
    const [chainingKey, key] = await hkdf(this.#chainingKey, input);
    this.#chainingKey = chainingKey;
    this.#cipher = await CipherState.of(key);
  }

  async encryptAndHash(plaintext: Bytes): Promise<Bytes> {
    const text = this.#cipher ? await this.#cipher.encrypt(plaintext, this.#hash) : plaintext;
    await this.mixHash(text);
    return text;
  }

  async decryptAndHash(text: Bytes): Promise<Bytes> {
    const plaintext = this.#cipher ? await this.#cipher.decrypt(text, this.#hash) : text;
    await this.mixHash(text);
    return plaintext;
  }

  /** How much longer a text is when it is encrypted. */
  get overhead(): number {
    return this.#cipher ? TAG_BYTES : 0;
  }

  split(): Promise<[Bytes, Bytes]> {
    return hkdf(this.#chainingKey, EMPTY);
  }
}

/** The two directions of a connection after its handshake. */
export interface Channel {
  /** For what this side sends. */
  readonly sending: CipherState;
  /** For what it receives. */
  readonly receiving: CipherState;
}

/** One side of a handshake. Section 5.3. */
export class NoiseHandshake {
  readonly #options: HandshakeOptions;
  readonly #state: SymmetricState;
  #ephemeral: KeyPair | undefined;
  #remoteEphemeral: Bytes | undefined;
  #remoteStatic: Bytes | undefined;
  #next = 0;

  private constructor(options: HandshakeOptions, state: SymmetricState) {
    this.#options = options;
    this.#state = state;
  }

  /** Begins one. */
  static async begin(options: HandshakeOptions): Promise<NoiseHandshake> {
    const state = await SymmetricState.of(options.protocolName);
    await state.mixHash(options.prologue);
    return new NoiseHandshake(options, state);
  }

  /** Whether all messages have been exchanged. */
  get isComplete(): boolean {
    return this.#next === this.#options.pattern.length;
  }

  /** The other side's static key, once it has been told. */
  get remoteStatic(): Bytes | undefined {
    return this.#remoteStatic;
  }

  /** Names this one exchange; both sides have the same. Section 11.2. */
  get hash(): Bytes {
    return this.#state.hash;
  }

  /** Makes the next message. */
  async write(payload: Bytes = EMPTY): Promise<Bytes> {
    const parts: Bytes[] = [];
    for (const token of this.#tokens(true)) {
      if (token === "e") {
        this.#ephemeral = this.#options.ephemeral ?? await generateKeyPair();
        await this.#state.mixHash(this.#ephemeral.publicKey);
        parts.push(this.#ephemeral.publicKey);
      } else if (token === "s") {
        parts.push(await this.#state.encryptAndHash(this.#ownStatic().publicKey));
      } else {
        await this.#mixDh(token);
      }
    }
    parts.push(await this.#state.encryptAndHash(payload));
    return concat(...parts);
  }

  /**
   * Takes the next message in.
   *
   * @returns Its payload.
   * @throws {NoiseError} If it is not what must come now, or was changed.
   */
  async read(message: Bytes): Promise<Bytes> {
    let at = 0;
    const take = (length: number) => {
      if (message.length - at < length) throw new NoiseError("the message is too short");
      return message.slice(at, at += length);
    };
    for (const token of this.#tokens(false)) {
      if (token === "e") {
        this.#remoteEphemeral = take(KEY_BYTES);
        await this.#state.mixHash(this.#remoteEphemeral);
      } else if (token === "s") {
        const text = take(KEY_BYTES + this.#state.overhead);
        this.#remoteStatic = await this.#state.decryptAndHash(text);
      } else {
        await this.#mixDh(token);
      }
    }
    return await this.#state.decryptAndHash(message.slice(at));
  }

  /** The two directions, once all messages have been exchanged. */
  async split(): Promise<Channel> {
    const [first, second] = await Promise.all((await this.#state.split()).map(CipherState.of));
    return this.#options.isInitiator
      ? { sending: first, receiving: second }
      : { sending: second, receiving: first };
  }

  #tokens(isWriting: boolean): readonly Token[] {
    const isInitiatorsTurn = this.#next % 2 === 0;
    if (this.isComplete || isWriting !== (isInitiatorsTurn === this.#options.isInitiator)) {
      throw new NoiseError("it is not this side's turn");
    }
    return this.#options.pattern[this.#next++];
  }

  /** `es` is the initiator's ephemeral key with the responder's static one; `se` the other way round. */
  async #mixDh(token: "ee" | "es" | "se"): Promise<void> {
    const isOwnEphemeral = token === "ee" || (token === "es") === this.#options.isInitiator;
    const isTheirsEphemeral = token === "ee" || !isOwnEphemeral;
    const own = isOwnEphemeral ? this.#ephemeral : this.#ownStatic();
    const theirs = isTheirsEphemeral ? this.#remoteEphemeral : this.#remoteStatic;
    if (!own || !theirs) throw new NoiseError("a key is missing");
    await this.#state.mixKey(await dh(own.privateKey, theirs));
  }

  #ownStatic(): KeyPair {
    if (!this.#options.static) throw new NoiseError("a static key is missing");
    return this.#options.static;
  }
}

/** Section 4.1. An all-zero result, which tells of a key that was chosen to be one, is refused. */
async function dh(privateKey: CryptoKey, publicKey: Bytes): Promise<Bytes> {
  try {
    const key = await subtle.importKey("raw", publicKey, { name: "X25519" }, true, []);
    const secret = new Uint8Array(
      await subtle.deriveBits({ name: "X25519", public: key }, privateKey, KEY_BYTES * 8),
    );
    if (secret.some((byte) => byte !== 0)) return secret;
  } catch {
    // The platform refuses such keys itself.
  }
  throw new NoiseError("the key is none");
}

/** Section 4.3: two outputs of HKDF with the chaining key as salt and no further information. */
async function hkdf(chainingKey: Bytes, input: Bytes): Promise<[Bytes, Bytes]> {
  const key = await subtle.importKey("raw", input, "HKDF", false, ["deriveBits"]);
  const algorithm = { name: "HKDF", hash: "SHA-256", salt: chainingKey, info: EMPTY };
  const bytes = new Uint8Array(await subtle.deriveBits(algorithm, key, KEY_BYTES * 2 * 8));
  return [bytes.slice(0, KEY_BYTES), bytes.slice(KEY_BYTES)];
}

async function sha256(data: Bytes): Promise<Bytes> {
  return new Uint8Array(await subtle.digest("SHA-256", data));
}

function importKey(key: Bytes): Promise<CryptoKey> {
  return subtle.importKey("raw", key, "AES-GCM", false, ["encrypt", "decrypt"]);
}

/** 32 zero bits, then the number, its most significant byte first. Section 12.4. */
function ivOf(nonce: bigint): Bytes {
  const iv = new Uint8Array(12);
  new DataView(iv.buffer).setBigUint64(4, nonce);
  return iv;
}

function concat(...parts: Bytes[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
