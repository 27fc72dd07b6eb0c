/**
 * A secure connection without certificates: a transport that encrypts, over any other one.
 *
 * @module
 */

import { ByteQueue } from "./byte_queue.ts";
import { ConnectionError, HandshakeError, type PnetworkError } from "./errors.ts";
import { fingerprintOf, type Identity, keysOf } from "./identity.ts";
import { type Bytes, type Channel, MAX_PAYLOAD_BYTES, NoiseHandshake, XX } from "./noise.ts";
import { checkPacket, encodeControl, errorFromData, isErrorData, parseLine } from "./packet.ts";
import type { Transport } from "./transport.ts";

/** A transport whose other side has proved which key it holds. */
export interface Secured {
  /** What goes through it is encrypted. */
  transport: Transport;
  /** What the other side's key is known by. */
  fingerprint: string;
}

/** Decides whether a server's key is the right one. What it throws ends the handshake. */
export type CheckServer = (fingerprint: string) => void | Promise<void>;

const PROTOCOL = "Noise_XX_25519_AESGCM_SHA256";
const OFFER = encodeControl("@secure", { version: 1, protocol: PROTOCOL });
/** No line of the handshake is longer. */
const MAX_LINE_BYTES = 4_096;
const LENGTH_BYTES = 2;
const TAG_BYTES = 16;
/** Both sides go on with another key after so many records. */
const REKEY_RECORDS = 65_536n;
const LF = 0x0a;
const NOTHING = new Uint8Array(0);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The client's side of the handshake: says what it wants, and lets the server prove its key before it
 * tells its own.
 *
 * @throws {HandshakeError} `SECURE_UNSUPPORTED`, if the server is a plain one.
 * @throws Whatever `check` throws.
 * @throws {ConnectionError} `CONNECTION_LOST`, for whatever else: there is never more detail.
 */
export async function connectSecurely(
  transport: Transport,
  identity: Identity,
  check: CheckServer,
): Promise<Secured> {
  const lines = new Lines(transport);
  const handshake = await begin(identity, encoder.encode(OFFER), true);
  await lines.write(OFFER + "\n" + toLine(await handshake.write()));
  const answer = await lines.read();
  const refusal = readRefusal(answer);
  if (refusal) throw refusal;
  await guarded(async () => await handshake.read(fromBase64(answer)));
  const fingerprint = await fingerprintOf(handshake.remoteStatic!);
  await check(fingerprint);
  await lines.write(toLine(await handshake.write()));
  const channel = await handshake.split();
  return { transport: new SecureTransport(transport, channel, lines.rest), fingerprint };
}

/**
 * The server's side.
 *
 * @throws {HandshakeError} `SECURE_REQUIRED`, if the client is a plain one.
 * @throws {ConnectionError} `CONNECTION_LOST`, for whatever else.
 */
export async function acceptSecurely(transport: Transport, identity: Identity): Promise<Secured> {
  const lines = new Lines(transport);
  const offer = await lines.read();
  if (!isOffer(offer)) {
    throw new HandshakeError("SECURE_REQUIRED", "this server takes secure connections only");
  }
  // What was said, byte for byte: if it was changed on the way, the keys come out different.
  const handshake = await begin(identity, encoder.encode(offer), false);
  await guarded(async () => await handshake.read(fromBase64(await lines.read())));
  await lines.write(toLine(await guarded(() => handshake.write())));
  await guarded(async () => await handshake.read(fromBase64(await lines.read())));
  const fingerprint = await fingerprintOf(handshake.remoteStatic!);
  const channel = await handshake.split();
  return { transport: new SecureTransport(transport, channel, lines.rest), fingerprint };
}

/**
 * Encrypts what is written, and decrypts what is read: records of two bytes of length, most significant
 * first, and a Noise transport message of that length. Whatever is wrong with one ends the transport
 * before anything of it, or after it, is read.
 */
export class SecureTransport implements Transport {
  readonly address: string;
  readonly closesInOrder: boolean | undefined;
  readonly #inner: Transport;
  readonly #channel: Channel;
  readonly #received: ByteQueue;
  /** Nothing that comes after a failure can be trusted. */
  #hasFailed = false;

  /** @param received What was read after the handshake already. */
  constructor(inner: Transport, channel: Channel, received: ByteQueue) {
    this.address = inner.address;
    this.closesInOrder = inner.closesInOrder;
    this.#inner = inner;
    this.#channel = channel;
    this.#received = received;
  }

  get partialBytes(): number {
    return this.#received.length;
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#hasFailed) throw failed();
    try {
      return await this.#readPlaintext();
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
  }

  async #readPlaintext(): Promise<Uint8Array | null> {
    let record = this.#takeRecord();
    if (!record) {
      const chunk = await this.#inner.read();
      // A record that is cut off is no record: what is lost with it was never acknowledged.
      if (chunk === null) return null;
      this.#received.push(chunk);
      record = this.#takeRecord();
      if (!record) return NOTHING;
    }
    const { receiving } = this.#channel;
    const plaintext = await guarded(() => receiving.decrypt(record));
    if (receiving.nonce % REKEY_RECORDS === 0n) await receiving.rekey();
    return plaintext;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const { sending } = this.#channel;
    const plaintext = bytes.subarray(0, MAX_PAYLOAD_BYTES) as Bytes;
    const text = await sending.encrypt(plaintext);
    if (sending.nonce % REKEY_RECORDS === 0n) await sending.rekey();
    const record = new Uint8Array(LENGTH_BYTES + text.length);
    new DataView(record.buffer).setUint16(0, text.length);
    record.set(text, LENGTH_BYTES);
    await writeAll(this.#inner, record);
    return plaintext.length;
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(): void {
    this.#inner.close();
  }

  #takeRecord(): Bytes | undefined {
    const received = this.#received;
    if (received.length < LENGTH_BYTES) return undefined;
    const length = received.at(0) << 8 | received.at(1);
    if (length < TAG_BYTES) throw failed();
    if (received.length < LENGTH_BYTES + length) return undefined;
    return received.take(LENGTH_BYTES + length).subarray(LENGTH_BYTES);
  }
}

/** Lines of a transport, as long as there are any; what comes after them is left as bytes. */
class Lines {
  readonly #transport: Transport;
  /** What was read and is part of no line that was asked for. */
  readonly rest = new ByteQueue();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async read(): Promise<string> {
    for (;;) {
      const end = this.rest.indexOf(LF);
      if ((end === -1 ? this.rest.length : end) > MAX_LINE_BYTES) throw failed();
      // A character beyond ASCII is in no line that is expected here.
      if (end !== -1) return decoder.decode(this.rest.take(end + 1).subarray(0, end));
      const chunk = await socket(this.#transport.read());
      if (chunk === null) throw failed();
      this.rest.push(chunk);
    }
  }

  async write(text: string): Promise<void> {
    await socket(writeAll(this.#transport, encoder.encode(text)));
  }
}

async function begin(
  identity: Identity,
  prologue: Bytes,
  isInitiator: boolean,
): Promise<NoiseHandshake> {
  const keys = keysOf(identity);
  const options = { protocolName: PROTOCOL, pattern: XX, isInitiator, prologue, static: keys };
  return await NoiseHandshake.begin(options);
}

function isOffer(line: string): boolean {
  try {
    const { action, data } = checkPacket(parseLine(line));
    const { version, protocol } = (data ?? {}) as Record<string, unknown>;
    return action === "@secure" && version === 1 && protocol === PROTOCOL;
  } catch {
    // Whatever it is, it is no offer.
    return false;
  }
}

/**
 * What a plain server says to an offer. Nobody has vouched for it, so it cannot keep a client from coming
 * again.
 */
function readRefusal(line: string): PnetworkError | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const { data } = checkPacket(parseLine(line));
    const error = isErrorData(data) ? errorFromData(data) : undefined;
    if (error instanceof HandshakeError && error.code !== "REFUSED") return error;
  } catch {
    // It is neither a message of the handshake nor a refusal.
  }
  return new HandshakeError("SECURE_UNSUPPORTED", "the server does not offer secure connections");
}

function toLine(message: Bytes): string {
  return message.toBase64() + "\n";
}

/** Spare bits and blanks would be flips that nobody notices. */
function fromBase64(line: string): Bytes {
  const bytes = Uint8Array.fromBase64(line);
  if (bytes.toBase64() !== line) throw failed();
  return bytes;
}

/** Whatever goes wrong here, nobody is told what it was. */
async function guarded<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch {
    throw failed();
  }
}

/** Whatever the platform says of a socket, it is lost, and another one may be had. */
function socket<T>(acting: Promise<T>): Promise<T> {
  return acting.catch((cause) => {
    throw new ConnectionError("CONNECTION_LOST", "the socket failed", { cause });
  });
}

function failed(): ConnectionError {
  return new ConnectionError("CONNECTION_LOST", "the secure channel has failed");
}

async function writeAll(transport: Transport, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await transport.write(bytes.subarray(at));
}
