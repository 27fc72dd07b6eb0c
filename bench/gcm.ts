/**
 * What AES-256-GCM alone costs: a transport that encrypts each flush under a key that both sides have, and
 * decrypts each record. No handshake, no limits, no other key ever: not to be used for anything else.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Transport } from "../transport.ts";

/** One way to do it. */
export interface Gcm {
  /** A text and its tag. */
  encrypt(iv: Uint8Array<ArrayBuffer>, plaintext: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
  /** The opposite. */
  decrypt(iv: Uint8Array<ArrayBuffer>, text: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
}

const SECRET = new Uint8Array(32).fill(7);
const KEY = await crypto.subtle.importKey("raw", SECRET, "AES-GCM", false, ["encrypt", "decrypt"]);
const LENGTH_BYTES = 4;
const TAG_BYTES = 16;

/** By Web Cryptography, on another thread. */
export const WEB: Gcm = {
  async encrypt(iv, plaintext) {
    return new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, KEY, plaintext));
  },
  async decrypt(iv, text) {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, KEY, text));
  },
};

/** By `node:crypto`, on this one. */
export const NODE: Gcm = {
  encrypt(iv, plaintext) {
    const cipher = createCipheriv("aes-256-gcm", SECRET, iv);
    const parts = [cipher.update(plaintext), cipher.final(), cipher.getAuthTag()];
    return Promise.resolve(Buffer.concat(parts));
  },
  decrypt(iv, text) {
    const decipher = createDecipheriv("aes-256-gcm", SECRET, iv, { authTagLength: TAG_BYTES });
    decipher.setAuthTag(text.subarray(-TAG_BYTES));
    const plaintext = decipher.update(text.subarray(0, -TAG_BYTES));
    decipher.final();
    return Promise.resolve(plaintext);
  },
};

/** What is written here goes out as one record. */
export class GcmSealer {
  readonly #gcm: Gcm;
  #count = 0n;

  constructor(gcm: Gcm) {
    this.#gcm = gcm;
  }

  /** A record with its length. */
  async seal(bytes: Uint8Array): Promise<Uint8Array> {
    const plaintext = bytes as Uint8Array<ArrayBuffer>;
    const text = await this.#gcm.encrypt(ivOf(this.#count++), plaintext);
    const record = new Uint8Array(LENGTH_BYTES + text.length);
    new DataView(record.buffer).setUint32(0, text.length);
    record.set(text, LENGTH_BYTES);
    return record;
  }
}

/** Records, in whatever pieces they come. */
export class GcmOpener {
  readonly #gcm: Gcm;
  #count = 0n;
  #received = new Uint8Array(0);

  constructor(gcm: Gcm) {
    this.#gcm = gcm;
  }

  /** Adds what was read. */
  push(chunk: Uint8Array): void {
    const all = new Uint8Array(this.#received.length + chunk.length);
    all.set(this.#received);
    all.set(chunk, this.#received.length);
    this.#received = all;
  }

  /** What the next record says, once it is whole. */
  async open(): Promise<Uint8Array | undefined> {
    const received = this.#received;
    if (received.length < LENGTH_BYTES) return undefined;
    const end = LENGTH_BYTES + new DataView(received.buffer, received.byteOffset).getUint32(0);
    if (received.length < end) return undefined;
    this.#received = received.subarray(end);
    return await this.#gcm.decrypt(ivOf(this.#count++), received.subarray(LENGTH_BYTES, end));
  }
}

/** Another transport, encrypted. */
export class GcmTransport implements Transport {
  readonly address: string;
  readonly #inner: Transport;
  readonly #sealer: GcmSealer;
  readonly #opener: GcmOpener;

  constructor(inner: Transport, gcm: Gcm) {
    this.address = inner.address;
    this.#inner = inner;
    this.#sealer = new GcmSealer(gcm);
    this.#opener = new GcmOpener(gcm);
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const plaintext = await this.#opener.open();
      if (plaintext) return plaintext;
      const chunk = await this.#inner.read();
      if (chunk === null) return null;
      this.#opener.push(chunk);
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    const record = await this.#sealer.seal(bytes);
    for (let at = 0; at < record.length;) at += await this.#inner.write(record.subarray(at));
    return bytes.length;
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(): void {
    this.#inner.close();
  }
}

function ivOf(count: bigint): Uint8Array<ArrayBuffer> {
  const iv = new Uint8Array(12);
  new DataView(iv.buffer).setBigUint64(4, count);
  return iv;
}
