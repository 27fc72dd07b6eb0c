/**
 * TLS on the side of a server: a transport that encrypts, over any other one.
 *
 * The platform's own listener for TLS keeps the socket of a handshake that was given up until the other
 * side leaves, and cannot turn Nagle's algorithm off. So sockets are accepted as they are everywhere else,
 * and the platform is given their bytes to encrypt and to decrypt.
 *
 * @module
 */

import { Duplex, duplexPair } from "node:stream";
import { connect, createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { Changes } from "./changes.ts";
import { ConnectionError } from "./errors.ts";
import { nextTurn } from "./next_turn.ts";
import type { TlsServerOptions, Transport } from "./transport.ts";

/** A certificate that can be shown: it was tried. */
export type Certificate = SecureContext;

/** So much is encrypted at once: it is in memory until it has been taken. */
const MAX_WRITE_BYTES = 65_536;

/**
 * Tries a certificate and its key in a handshake in memory. Whether anyone trusts it is for clients to
 * say.
 *
 * @throws {Error} If it is none, or not of this key.
 */
export async function tryCertificate({ cert, key }: TlsServerOptions): Promise<Certificate> {
  const certificate = createSecureContext({ cert, key });
  const [near, far] = duplexPair();
  const server = startTls(near, certificate);
  const client = connect({ socket: far, ca: cert, rejectUnauthorized: false });
  try {
    await new Promise((resolve, reject) => {
      client.once("secureConnect", resolve);
      for (const side of [server, client]) side.on("error", reject).on("close", reject);
    });
    return certificate;
  } catch (cause) {
    // What the platform says of it is of no use to anyone.
    throw new Error("the certificate or its key is none, or they do not belong together", {
      cause,
    });
  } finally {
    server.destroy();
    client.destroy();
  }
}

/**
 * The server's side of the handshake.
 *
 * @throws {ConnectionError} `CONNECTION_LOST`, whatever it was.
 */
export async function acceptTls(
  transport: Transport,
  certificate: Certificate,
): Promise<TlsTransport> {
  const tls = new TlsTransport(transport, certificate);
  try {
    await tls.handshake();
    return tls;
  } catch (cause) {
    tls.close();
    throw new ConnectionError("CONNECTION_LOST", "TLS could not be agreed on", { cause });
  }
}

/**
 * Encrypts what is written, and decrypts what is read. It reads no more from below than it is asked for:
 * whoever stops reading stops the other side.
 */
export class TlsTransport implements Transport {
  readonly address: string;
  readonly #inner: Transport;
  readonly #tls: TLSSocket;
  /** What the platform takes for the socket. */
  readonly #socket: Duplex;
  readonly #changes = new Changes();
  readonly #received: Uint8Array[] = [];
  #isSecure = false;
  #isReading = false;
  #isClosed = false;
  /** The other side has said that this was all. Its socket alone cannot: anyone can end that. */
  #hasEnded = false;
  #failure: unknown;
  #failWrite: (reason: unknown) => void = () => {};

  constructor(inner: Transport, certificate: Certificate) {
    this.address = inner.address;
    this.#inner = inner;
    this.#socket = new Duplex({
      // Nothing is read ahead: what comes is pushed.
      read() {},
      write: (chunk, _encoding, done) => this.#send([chunk], done),
      writev: (writes, done) => this.#send(writes.map(({ chunk }) => chunk), done),
    });
    this.#tls = startTls(this.#socket, certificate);
    this.#tls.once("secure", () => {
      this.#isSecure = true;
      this.#changes.notify();
    });
    this.#tls.on("data", (chunk: Uint8Array) => {
      this.#received.push(chunk);
      this.#changes.notify();
    });
    this.#tls.once("end", () => {
      this.#hasEnded = true;
      this.#changes.notify();
    });
    for (const stream of [this.#socket, this.#tls]) {
      stream.on("error", (error) => this.#fail(error));
    }
  }

  /** Resolves when TLS has been agreed on. */
  async handshake(): Promise<void> {
    // Before the platform has begun, what comes would be more than it can bear.
    await nextTurn();
    while (!this.#isSecure) await this.#more();
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = this.#received.shift();
      if (chunk) return chunk;
      if (this.#hasEnded) return null;
      await this.#more();
    }
  }

  /** Resolves when something has come, or something has changed. */
  async #more(): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (!this.#isReading) this.#readOnce();
    await this.#changes.next();
  }

  async #readOnce(): Promise<void> {
    this.#isReading = true;
    try {
      const chunk = await this.#inner.read();
      if (!chunk) throw new Error("the socket has ended in the middle of TLS");
      // What was read is lent, and the platform may keep it.
      this.#socket.push(chunk.slice());
    } catch (error) {
      // An end that came before is told a few turns later. After one nothing is missing, and this side
      // may still write.
      await nextTurn();
      if (!this.#hasEnded || !this.#isSecure) this.#fail(error);
    }
    this.#isReading = false;
    this.#changes.notify();
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.#failure) return Promise.reject(this.#failure);
    const part = bytes.subarray(0, MAX_WRITE_BYTES);
    return new Promise((resolve, reject) => {
      // The platform does not always tell those who wait when it is closed.
      this.#failWrite = reject;
      this.#tls.write(part, (error) => error ? reject(error) : resolve(part.length));
    });
  }

  async #send(chunks: Uint8Array[], done: (error?: Error | null) => void): Promise<void> {
    try {
      for (const chunk of chunks) {
        for (let at = 0; at < chunk.length;) at += await this.#inner.write(chunk.subarray(at));
      }
      done();
    } catch (error) {
      this.#fail(error);
      done(error as Error);
    }
  }

  async closeWrite(): Promise<void> {
    // Said first, so that this end is told from a socket that was cut.
    await new Promise<void>((resolve) => this.#tls.end(resolve));
    await this.#inner.closeWrite();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#inner.close();
    this.#fail(new Error("it was closed"));
    this.#tls.destroy();
    this.#socket.destroy();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#failWrite(this.#failure);
    this.#changes.notify();
  }
}

function startTls(socket: Duplex, secureContext: SecureContext): TLSSocket {
  return new TLSSocket(socket, { isServer: true, secureContext });
}
