/**
 * A peer that follows a script: it sends exactly the bytes that it is told to, and keeps all that it
 * receives. It knows nothing of the code under test but what is on the wire.
 *
 * @module
 */

import { assertEquals, AssertionError } from "@std/assert";
// Deno's own sockets cannot be reset on purpose.
import net from "node:net";
import { concat } from "./bytes.ts";
import { asClient, asServer, type RawSocket } from "./raw_socket.ts";
import { until, within } from "./wait.ts";
import { DEFAULT_WIRE, type WireName } from "./wires.ts";

/** A line as it was parsed. */
export interface RawPacket {
  action: string;
  data?: unknown;
  token?: string | null;
  id?: number;
  "reply-to"?: number;
  error?: { code: string; message: string };
  [field: string]: unknown;
}

/** Where a peer connects to, and over what: the wire that the environment names, unless it says which. */
export type RawAddress = ({ port: number } | { path: string }) & { wire?: WireName };

/** What the server says to a client that it registers. */
export interface RawWelcome {
  id: string;
  token: string;
  welcome: RawPacket;
}

/** The line of a packet. */
export function line(packet: object): string {
  return JSON.stringify(packet) + "\n";
}

/** The first line of a client. */
export function hello(data: object = {}): string {
  return line({ action: "@handshake", data: { version: 1, ...data } });
}

/** One end of a raw socket. */
export class RawPeer implements AsyncDisposable {
  readonly #socket: RawSocket;
  readonly #chunks: Uint8Array[] = [];
  readonly #closed = Promise.withResolvers<void>();
  readonly #decoder = new TextDecoder();
  #lines: string[] = [];
  #partial = "";
  #bytes = 0;
  #takesUntil = Infinity;
  #end: "fin" | "reset" | undefined;

  constructor(socket: RawSocket) {
    this.#socket = socket;
    socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    socket.on("end", () => this.#end ??= "fin");
    socket.on("error", () => this.#end ??= "reset");
    socket.on("close", () => {
      this.#end ??= "reset";
      this.#closed.resolve();
    });
  }

  /**
   * Connects.
   *
   * @param from The loopback address to come from.
   */
  static async connect(to: RawAddress, from = "127.0.0.1"): Promise<RawPeer> {
    const socket = "path" in to
      ? net.connect({ path: to.path, allowHalfOpen: true })
      : net.connect({
        host: "127.0.0.1",
        port: to.port,
        localAddress: from,
        allowHalfOpen: true,
      });
    const connected = Promise.withResolvers<void>();
    socket.once("connect", () => connected.resolve());
    socket.once("error", (error: Error) => connected.reject(error));
    await within(connected.promise, "a raw connection");
    return new RawPeer(await asClient(socket, to.wire ?? DEFAULT_WIRE));
  }

  /** Connects and shakes hands. */
  static async register(
    to: RawAddress,
    data: object = {},
    from?: string,
  ): Promise<RawPeer & RawWelcome> {
    const peer = await RawPeer.connect(to, from);
    return Object.assign(peer, await peer.shakeHands(data));
  }

  /** All bytes so far. */
  get received(): Uint8Array {
    return concat(this.#chunks);
  }

  /** How many bytes came so far. */
  get bytesReceived(): number {
    return this.#bytes;
  }

  /** All bytes so far, as text. */
  get text(): string {
    return new TextDecoder().decode(this.received);
  }

  /** How the other side ended, if it did. */
  get ended(): "fin" | "reset" | undefined {
    return this.#end;
  }

  /** Sends this. Resolves when the system has taken it, or the socket is gone. */
  async send(...parts: (string | Uint8Array)[]): Promise<void> {
    const sent = Promise.withResolvers<void>();
    // The other side may have hung up on it, which is what many a script is after.
    const done = () => sent.resolve();
    for (const [index, part] of parts.entries()) {
      this.#socket.write(part, index === parts.length - 1 ? done : undefined);
    }
    await Promise.race([sent.promise, this.#closed.promise]);
  }

  /** Sends these packets, a line each, in one write. */
  async sendPacket(...packets: object[]): Promise<void> {
    await this.send(packets.map(line).join(""));
  }

  /** The next line. */
  async line(): Promise<string> {
    await until(
      () => this.#lines.length > 0 || this.#end !== undefined,
      () => `a line came, after ${JSON.stringify(this.text.slice(-500))}`,
    );
    const next = this.#lines.shift();
    if (next === undefined) {
      throw new AssertionError(
        `The other side ended (${this.#end}) after ${JSON.stringify(this.text.slice(-500))}.`,
      );
    }
    return next;
  }

  /** The next packet. */
  async packet(): Promise<RawPacket> {
    return JSON.parse(await this.line());
  }

  /** The next packet of this action. What comes before it is passed over. */
  async packetOf(action: string): Promise<RawPacket> {
    for (;;) {
      const packet = await this.packet();
      if (packet.action === action) return packet;
    }
  }

  /** Whether lines are there that nobody looked at. */
  get hasLines(): boolean {
    return this.#lines.length > 0;
  }

  /** Plays the client's half of the handshake. */
  async shakeHands(data: object = {}): Promise<RawWelcome> {
    await this.send(hello(data));
    return await this.welcomed();
  }

  /** The server's answer to a handshake that succeeds. */
  async welcomed(): Promise<RawWelcome> {
    const packet = await this.packet();
    assertEquals(packet.action, "@handshake");
    const { status, id } = packet.data as { status: string; id: string };
    assertEquals(status, "success", JSON.stringify(packet));
    return { id, token: packet.token as string, welcome: packet };
  }

  /** Asks and waits for the reply, passing over whatever else comes. */
  async request(id: number, action: string, data: unknown = null): Promise<RawPacket> {
    await this.sendPacket({ action, data, id });
    for (;;) {
      const packet = await this.packet();
      if (packet["reply-to"] === id) return packet;
    }
  }

  /** Resolves when the other side has read everything that was sent so far. */
  async ping(mark: unknown = "mark"): Promise<void> {
    await this.sendPacket({ action: "@ping", data: mark });
    assertEquals((await this.packetOf("@pong")).data, mark);
  }

  /**
   * Reads on to the other side's FIN.
   *
   * @returns The packets that came before it.
   */
  async toEnd(): Promise<RawPacket[]> {
    await until(() => this.#end !== undefined, "the other side ended");
    assertEquals(this.#end, "fin", "The other side must end with a FIN, not a reset");
    assertEquals(this.#partial, "", "The last line must be whole");
    return this.#lines.splice(0).map((text) => JSON.parse(text));
  }

  /** Reads on to the other side's FIN, which must follow a goodbye with this code. */
  async farewell(code: string): Promise<RawPacket> {
    const packets = await this.toEnd();
    const last = packets.at(-1);
    assertEquals(last?.action, "@close", `The last packet must be a @close: ${line({ last })}`);
    assertEquals((last!.data as { code: string }).code, code);
    await this.close();
    return last!;
  }

  /** Reads on to the other side's FIN, which must follow a failed handshake with this code. */
  async refused(code: string): Promise<RawPacket> {
    const packets = await this.toEnd();
    assertEquals(packets.length, 1, `One packet must come: ${JSON.stringify(packets)}`);
    assertEquals(packets[0].action, "@handshake");
    const { status, code: actual } = packets[0].data as { status: string; code: string };
    assertEquals({ status, code: actual }, { status: "error", code });
    await this.close();
    return packets[0];
  }

  /** From now on it takes nothing. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** Takes so many bytes, or a few more, and then nothing again. */
  async take(bytes: number): Promise<void> {
    this.#takesUntil = this.#bytes + bytes;
    this.#socket.resume();
    await until(
      () => this.#bytes >= this.#takesUntil || this.#end !== undefined,
      () => `${this.#takesUntil} bytes came: ${this.#bytes} did`,
    );
    this.#takesUntil = Infinity;
  }

  /** From now on it takes what comes. */
  goOnReading(): void {
    this.#socket.resume();
  }

  /** Ends its side; the other side's may go on. */
  fin(): void {
    this.#socket.end();
  }

  /** Ends everything by a reset. */
  async reset(): Promise<void> {
    this.#socket.resetAndDestroy();
    await this.#closed.promise;
  }

  /** Ends everything. */
  async close(): Promise<void> {
    this.#socket.destroy();
    await this.#closed.promise;
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #receive(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes >= this.#takesUntil) this.#socket.pause();
    const lines = (this.#partial + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#partial = lines.pop()!;
    this.#lines.push(...lines);
  }
}

/** A server of raw peers. */
export class RawServer implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #arrived: RawPeer[] = [];
  readonly #all: RawPeer[] = [];
  readonly #sockets: net.Socket[] = [];

  private constructor(server: net.Server, wire: WireName) {
    this.#server = server;
    const arrive = (socket: RawSocket) => {
      const peer = new RawPeer(socket);
      this.#arrived.push(peer);
      this.#all.push(peer);
    };
    server.on("connection", (socket: net.Socket) => {
      this.#sockets.push(socket);
      if (wire === "plain") return arrive(socket.setNoDelay(true));
      // Whoever leaves in the handshake has not arrived.
      asServer(socket, wire).then(arrive, () => socket.destroy());
    });
  }

  /** Listens on a free port. */
  static async listen(wire: WireName = DEFAULT_WIRE): Promise<RawServer> {
    const server = net.createServer({ allowHalfOpen: true });
    const listening = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", () => listening.resolve());
    await listening.promise;
    return new RawServer(server, wire);
  }

  /** Where it listens. */
  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** The next client's socket. */
  async accept(): Promise<RawPeer> {
    await until(() => this.#arrived.length > 0, "a client connected to the raw server");
    return this.#arrived.shift()!;
  }

  /**
   * Plays the server's half of the handshake with the next client.
   *
   * @param more What follows the answer in the same write.
   */
  async register(data: object = {}, more = ""): Promise<RawPeer & RawWelcome> {
    const peer = await this.accept();
    const asked = await peer.packet();
    assertEquals(asked.action, "@handshake");
    const id = crypto.randomUUID();
    const token = crypto.randomUUID();
    const welcome: RawPacket = {
      action: "@handshake",
      data: { status: "success", version: 1, id, ...data },
      token,
    };
    await peer.send(line(welcome) + more);
    return Object.assign(peer, { id, token, welcome });
  }

  /** Ends its side of all sockets. */
  finAll(): void {
    for (const peer of this.#all) peer.fin();
  }

  /** Closes it and all its sockets. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    await Promise.all(this.#all.map((peer) => peer.close()));
    for (const socket of this.#sockets) socket.destroy();
    await closed.promise;
  }
}
