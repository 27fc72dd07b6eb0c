/**
 * Sockets that are played by hand, over each wire: what a script sends and receives is what the wire carries.
 *
 * @module
 */

import type net from "node:net";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { keysOf } from "../../identity.ts";
import { type Channel, NoiseHandshake, XX } from "../../noise.ts";
import { concat } from "./bytes.ts";
import { ONE } from "./certs.ts";
import { CLIENT, SERVER } from "./identities.ts";
import { within } from "./wait.ts";
import type { WireName } from "./wires.ts";

/** One end of a socket, after the handshake of its wire. */
export type RawSocket = Duplex & { resetAndDestroy(): unknown };

/** What a secure connection is encrypted by. */
export const PROTOCOL = "Noise_XX_25519_AESGCM_SHA256";
/** What its client says first. */
export const OFFER = `{"action":"@secure","data":{"version":1,"protocol":"${PROTOCOL}"}}`;
const LF = 0x0a;
const MAX_RECORD_TEXT = 65_519;

/** Makes a client's end of a socket that is connected. */
export async function asClient(socket: net.Socket, wire: WireName): Promise<RawSocket> {
  socket.setNoDelay(true);
  if (wire === "plain") return socket;
  if (wire === "secure") return await SecureSocket.asClient(socket);
  const options = { ca: [ONE.cert], servername: "localhost", allowHalfOpen: true };
  const over = tls.connect({ ...options, socket: streamOf(socket) } as tls.ConnectionOptions);
  return await shaken(over, socket, "secureConnect");
}

/** Makes a server's end of a socket that was accepted. */
export async function asServer(socket: net.Socket, wire: WireName): Promise<RawSocket> {
  socket.setNoDelay(true);
  if (wire === "plain") return socket;
  if (wire === "secure") return await SecureSocket.asServer(socket);
  const options = { ...ONE, isServer: true, allowHalfOpen: true } as tls.TLSSocketOptions;
  return await shaken(new tls.TLSSocket(streamOf(socket), options), socket, "secure");
}

/** One over TLS. Node's would go on reading while it is paused, and be closed where it should be reset. */
async function shaken(
  over: tls.TLSSocket,
  socket: net.Socket,
  event: string,
): Promise<RawSocket> {
  const shaking = Promise.withResolvers<void>();
  over.once(event, () => shaking.resolve());
  over.once("error", shaking.reject);
  await within(shaking.promise, "the handshake of TLS");
  over.off("error", shaking.reject);
  const { resume } = over;
  return Object.assign(over, {
    pause: () => {
      socket.pause();
      return over;
    },
    resume: () => {
      socket.resume();
      return resume.call(over);
    },
    resetAndDestroy: () => {
      socket.resetAndDestroy();
      over.destroy();
    },
  });
}

/** A socket as no more than a stream, so that TLS leaves it to be read as it is told. */
function streamOf(socket: net.Socket): net.Socket {
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => {},
    write: (chunk, _encoding, done) => {
      if (socket.destroyed) done();
      else socket.write(chunk, () => done());
    },
    final: (done) => {
      socket.end();
      done();
    },
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on("data", (chunk: Uint8Array) => stream.push(chunk));
  socket.on("end", () => stream.push(null));
  socket.on("error", (error: Error) => stream.destroy(error));
  socket.on("close", () => stream.destroy());
  return stream as net.Socket;
}

/** Lines of the handshake, then records. */
class SecureSocket extends Duplex {
  readonly #socket: net.Socket;
  readonly #channel: Channel;
  #unread: Uint8Array;
  #opening: Promise<void> = Promise.resolve();

  private constructor(socket: net.Socket, channel: Channel, unread: Uint8Array) {
    super({ allowHalfOpen: true, readableHighWaterMark: 1 });
    this.#socket = socket;
    this.#channel = channel;
    this.#unread = unread;
    socket.on("data", (chunk: Uint8Array) => {
      socket.pause();
      this.#then(() => this.#open(chunk));
    });
    socket.on("end", () => this.#then(() => void this.push(null)));
    socket.on("error", (error: Error) => this.destroy(error));
    // What came before it is still heard.
    socket.on("close", () => this.#then(() => void this.destroy()));
    this.#then(() => this.#open(new Uint8Array(0)));
  }

  static async asClient(socket: net.Socket): Promise<SecureSocket> {
    const noise = await beginNoise(true);
    const lines = new Lines(socket);
    socket.write(`${OFFER}\n${(await noise.write()).toBase64()}\n`);
    await noise.read(Uint8Array.fromBase64(await lines.next()));
    socket.write((await noise.write()).toBase64() + "\n");
    return new SecureSocket(socket, await noise.split(), lines.rest());
  }

  static async asServer(socket: net.Socket): Promise<SecureSocket> {
    const noise = await beginNoise(false);
    const lines = new Lines(socket);
    const offer = await lines.next();
    if (offer !== OFFER) throw new Error(`another offer came: ${offer}`);
    await noise.read(Uint8Array.fromBase64(await lines.next()));
    socket.write((await noise.write()).toBase64() + "\n");
    await noise.read(Uint8Array.fromBase64(await lines.next()));
    return new SecureSocket(socket, await noise.split(), lines.rest());
  }

  resetAndDestroy(): void {
    this.#socket.resetAndDestroy();
    this.destroy();
  }

  override _read(): void {
    this.#socket.resume();
  }

  override async _write(
    chunk: Uint8Array,
    _encoding: string,
    done: (error?: Error | null) => void,
  ): Promise<void> {
    const records: Uint8Array[] = [];
    for (let at = 0; at < chunk.length; at += MAX_RECORD_TEXT) {
      const text = Uint8Array.from(chunk.subarray(at, at + MAX_RECORD_TEXT));
      const message = await this.#channel.sending.encrypt(text);
      records.push(Uint8Array.of(message.length >> 8, message.length & 255), message);
    }
    if (this.#socket.destroyed) done();
    else this.#socket.write(concat(records), () => done());
  }

  override _final(done: () => void): void {
    this.#socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  /** One after the other, as it came. */
  #then(act: () => void | Promise<void>): void {
    this.#opening = this.#opening.then(act).catch((error) => void this.destroy(error));
  }

  async #open(chunk: Uint8Array): Promise<void> {
    this.#unread = concat([this.#unread, chunk]);
    for (let wantsMore = true;;) {
      const unread = this.#unread;
      const end = unread.length < 2 ? Infinity : 2 + unread[0] * 256 + unread[1];
      if (unread.length < end) {
        if (wantsMore) this.#socket.resume();
        return;
      }
      this.#unread = unread.subarray(end);
      const text = await this.#channel.receiving.decrypt(Uint8Array.from(unread.subarray(2, end)));
      wantsMore = this.push(text);
    }
  }
}

/** The lines at the beginning of a socket. */
class Lines {
  readonly #socket: net.Socket;
  #unread: Uint8Array = new Uint8Array(0);
  #wake = Promise.withResolvers<void>();
  readonly #take = (chunk: Uint8Array) => {
    this.#unread = concat([this.#unread, chunk]);
    this.#wake.resolve();
  };
  readonly #end = () => this.#wake.reject(new Error("the other side ended in the handshake"));

  constructor(socket: net.Socket) {
    this.#socket = socket;
    this.#wake.promise.catch(() => {});
    socket.on("data", this.#take);
    for (const event of ["end", "error", "close"]) socket.on(event, this.#end);
  }

  async next(): Promise<string> {
    while (!this.#unread.includes(LF)) {
      await within(this.#wake.promise, "a line of the handshake");
      this.#wake = Promise.withResolvers();
      this.#wake.promise.catch(() => {});
    }
    const end = this.#unread.indexOf(LF);
    const text = new TextDecoder().decode(this.#unread.subarray(0, end));
    this.#unread = this.#unread.subarray(end + 1);
    return text;
  }

  /** What came after them. */
  rest(): Uint8Array {
    this.#socket.off("data", this.#take);
    for (const event of ["end", "error", "close"]) this.#socket.off(event, this.#end);
    return this.#unread;
  }
}

async function beginNoise(isInitiator: boolean): Promise<NoiseHandshake> {
  return await NoiseHandshake.begin({
    protocolName: PROTOCOL,
    pattern: XX,
    isInitiator,
    prologue: new TextEncoder().encode(OFFER),
    static: keysOf(isInitiator ? CLIENT : SERVER),
  });
}
