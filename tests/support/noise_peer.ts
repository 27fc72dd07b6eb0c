/**
 * A peer that speaks the secure channel by hand: each message and each record is made for itself, and may
 * be spoilt before it is sent. Of the code under test it uses the Noise protocol alone, which the public
 * vectors judge.
 *
 * @module
 */

import { assertEquals, AssertionError } from "@std/assert";
import { fingerprintOf, type Identity, keysOf } from "../../identity.ts";
import {
  type Bytes,
  type Channel,
  generateKeyPair,
  type KeyPair,
  NoiseHandshake,
  XX,
} from "../../noise.ts";
import { concat } from "./bytes.ts";
import { line, type RawPacket, type RawWelcome } from "./raw_peer.ts";
import { OFFER, PROTOCOL } from "./raw_socket.ts";
import { until } from "./wait.ts";

export { OFFER };

/** Bytes both ways, by hand: a raw peer, or an end in memory. */
export interface ByteStream {
  /** Sends these. */
  send(...parts: (string | Uint8Array)[]): Promise<void>;
  /** All bytes that have come. */
  readonly received: Uint8Array;
  /** How the other side ended, if it did. */
  readonly ended: unknown;
}

/** What may be other than usual. */
export interface NoiseOptions {
  /** Its static key. */
  keys?: KeyPair;
  /** Its ephemeral key. */
  ephemeral?: KeyPair;
  /** What it says first, without the end of the line. */
  offer?: string;
}

const LF = 0x0a;
const TAG_BYTES = 16;

/** One side of a secure channel. */
export class NoisePeer<Stream extends ByteStream = ByteStream> {
  /** What carries its bytes. */
  readonly stream: Stream;
  /** What it says first, or has heard. */
  readonly offer: string;
  readonly #handshake: NoiseHandshake | undefined;
  #channel: Channel | undefined;
  #at: number;
  #text = "";

  private constructor(stream: Stream, offer: string, handshake?: NoiseHandshake, at = 0) {
    this.stream = stream;
    this.offer = offer;
    this.#handshake = handshake;
    this.#at = at;
  }

  /** A client that has said nothing yet. */
  static async asClient<Stream extends ByteStream>(
    stream: Stream,
    { offer = OFFER, ...keys }: NoiseOptions = {},
  ): Promise<NoisePeer<Stream>> {
    return new NoisePeer(stream, offer, await begin(true, offer, keys));
  }

  /** A server that has heard the offer. */
  static async asServer<Stream extends ByteStream>(
    stream: Stream,
    options: NoiseOptions = {},
  ): Promise<NoisePeer<Stream>> {
    const [offer, at] = await lineOf(stream, 0);
    return new NoisePeer(stream, offer, await begin(false, offer, options), at);
  }

  /** One that has a channel already. */
  static withChannel<Stream extends ByteStream>(
    stream: Stream,
    channel: Channel,
  ): NoisePeer<Stream> {
    const peer = new NoisePeer(stream, "");
    peer.#channel = channel;
    return peer;
  }

  /** Plays the client's part to its end. */
  static async connect<Stream extends ByteStream>(
    stream: Stream,
    options: NoiseOptions = {},
  ): Promise<NoisePeer<Stream>> {
    const peer = await NoisePeer.asClient(stream, options);
    await stream.send(peer.offer + "\n" + await peer.message());
    await peer.take(await peer.line());
    await stream.send(await peer.message());
    await peer.begin();
    return peer;
  }

  /** Plays the server's part to its end. */
  static async accept<Stream extends ByteStream>(
    stream: Stream,
    options: NoiseOptions = {},
  ): Promise<NoisePeer<Stream>> {
    const peer = await NoisePeer.asServer(stream, options);
    await peer.take(await peer.line());
    await stream.send(await peer.message());
    await peer.take(await peer.line());
    await peer.begin();
    return peer;
  }

  /** What the other side's key is known by, once it has told it. */
  async theirFingerprint(): Promise<string> {
    return await fingerprintOf(this.#handshake!.remoteStatic!);
  }

  /** Makes its next message of the handshake: a line. */
  async message(): Promise<string> {
    return (await this.#handshake!.write()).toBase64() + "\n";
  }

  /** Takes in the other side's. */
  async take(text: string): Promise<void> {
    await this.#handshake!.read(Uint8Array.fromBase64(text));
  }

  /** From here on there are records. */
  async begin(): Promise<void> {
    this.#channel = await this.#handshake!.split();
  }

  /** The next line that is not encrypted. */
  async line(): Promise<string> {
    const [text, at] = await lineOf(this.stream, this.#at);
    this.#at = at;
    return text;
  }

  /** Makes the next record, with its length. */
  async seal(text: string | Bytes): Promise<Bytes> {
    const plaintext = typeof text === "string" ? new TextEncoder().encode(text) : text;
    const message = await this.#channel!.sending.encrypt(plaintext);
    return concat([Uint8Array.of(message.length >> 8, message.length & 255), message]);
  }

  /** Sends a record of this text. */
  async send(text: string | Bytes): Promise<void> {
    await this.stream.send(await this.seal(text));
  }

  /** Sends these packets, a line each, in one record. */
  async sendPacket(...packets: object[]): Promise<void> {
    await this.send(packets.map(line).join(""));
  }

  /** The next record that comes whole; `undefined` at the end of the bytes. */
  async record(): Promise<Bytes | undefined> {
    const { stream } = this;
    const length = () => {
      const header = stream.received.subarray(this.#at, this.#at + 2);
      return header.length < 2 ? Infinity : 2 + header[0] * 256 + header[1];
    };
    await until(
      () => stream.received.length - this.#at >= length() || stream.ended !== undefined,
      () => `a record came: there are ${stream.received.length - this.#at} bytes`,
    );
    if (stream.received.length - this.#at < length()) return undefined;
    const end = this.#at + length();
    const message = Uint8Array.from(stream.received.subarray(this.#at + 2, end));
    this.#at = end;
    if (message.length < TAG_BYTES) throw new AssertionError("a record has no room for its tag");
    return await this.#channel!.receiving.decrypt(message);
  }

  /** The next packet. */
  async packet(): Promise<RawPacket> {
    for (;;) {
      const end = this.#text.indexOf("\n") + 1;
      if (end > 0) {
        const text = this.#text.slice(0, end);
        this.#text = this.#text.slice(end);
        return JSON.parse(text);
      }
      const record = await this.record();
      if (!record) throw new AssertionError("the other side ended before a packet came");
      this.#text += new TextDecoder().decode(record);
    }
  }

  /** The next packet of this action. What comes before it is passed over. */
  async packetOf(action: string): Promise<RawPacket> {
    for (;;) {
      const packet = await this.packet();
      if (packet.action === action) return packet;
    }
  }

  /** Shakes hands with a server, within the channel. */
  async register(data: object = {}): Promise<RawWelcome> {
    await this.sendPacket({ action: "@handshake", data: { version: 1, ...data } });
    const welcome = await this.packetOf("@handshake");
    const { status, id } = welcome.data as { status: string; id: string };
    assertEquals(status, "success", JSON.stringify(welcome));
    return { id, token: welcome.token as string, welcome };
  }

  /** Lets a client in, within the channel. */
  async welcome(data: object = {}): Promise<RawWelcome & { asked: RawPacket }> {
    const asked = await this.packetOf("@handshake");
    const id = crypto.randomUUID();
    const token = crypto.randomUUID();
    const welcome = {
      action: "@handshake",
      data: { status: "success", version: 1, id, ...data },
      token,
    };
    await this.sendPacket(welcome);
    return { id, token, welcome, asked };
  }

  /** Resolves when the other side has read everything that was sent so far. */
  async ping(): Promise<void> {
    await this.sendPacket({ action: "@ping", data: "mark" });
    assertEquals((await this.packetOf("@pong")).data, "mark");
  }
}

/** The keys of an identity, or others. */
export function noiseKeys(identity: Identity): KeyPair {
  return keysOf(identity);
}

async function begin(
  isInitiator: boolean,
  offer: string,
  { keys, ephemeral }: NoiseOptions,
): Promise<NoiseHandshake> {
  return await NoiseHandshake.begin({
    protocolName: PROTOCOL,
    pattern: XX,
    isInitiator,
    prologue: new TextEncoder().encode(offer),
    static: keys ?? await generateKeyPair(),
    ephemeral,
  });
}

async function lineOf(stream: ByteStream, at: number): Promise<[line: string, next: number]> {
  const end = () => stream.received.indexOf(LF, at);
  await until(() => end() !== -1 || stream.ended !== undefined, "a line came");
  if (end() === -1) throw new AssertionError("the other side ended before a line came");
  return [new TextDecoder().decode(stream.received.subarray(at, end())), end() + 1];
}
