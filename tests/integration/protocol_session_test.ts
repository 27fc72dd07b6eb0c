// A client of a session that knows nothing but docs/protocol.md: the page is enough, or this fails.

import { assert, assertEquals } from "@std/assert";
import { Server } from "../../mod.ts";
import { hello, line, type RawPacket, RawPeer } from "../support/raw_peer.ts";
import { pause, until } from "../support/wait.ts";

const WINDOW_PACKETS = 16;

/** Says which lines it has sent, received and handed over, and goes on from there. */
class PageClient implements AsyncDisposable {
  readonly heard: unknown[] = [];
  readonly replies = new Map<number, unknown>();
  /** Every socket that it had. */
  readonly sockets: RawPeer[] = [];
  readonly #server: Server;
  readonly #kept: { seq: number; text: string }[] = [];
  readonly #waiting: { packet: RawPacket; seq: number | undefined }[] = [];
  #socket: RawPeer | undefined;
  #token = "";
  #epoch = "";
  #serverPackets = 0;
  #lastSeq = 0;
  #lastId = 0;
  #received = 0;
  #handedOver = 0;
  #told = 0;
  #mustTell = false;
  #isOver = false;
  /** What goes on in the background. */
  readonly #working: Promise<void>[] = [];

  constructor(server: Server) {
    this.#server = server;
    this.#working.push(this.#handOver());
  }

  get kept(): number {
    return this.#kept.length;
  }

  /** What was received and is not handed over. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** "Coming back", the steps of the client; at first without a `resume`. */
  async connect(): Promise<void> {
    const socket = await RawPeer.connect(this.#server);
    this.sockets.push(socket);
    const ack = this.#handedOver;
    const resume = this.#token === ""
      ? {}
      : { resume: { token: this.#token, epoch: this.#epoch, ack } };
    const limits = { replayPackets: WINDOW_PACKETS };
    await socket.send(hello({ session: true, limits, ...resume }));
    const { data, token } = await socket.packet();
    const welcome = data as Record<string, unknown> & { limits: { replayPackets: number } };
    if (this.#token === "") {
      this.#token = token!;
      this.#epoch = welcome.epoch as string;
      this.#serverPackets = welcome.limits.replayPackets;
    } else {
      assertEquals([welcome.resumed, token, welcome.epoch], [true, this.#token, this.#epoch]);
      assert((welcome.ack as number) <= this.#lastSeq);
      this.#drop(welcome.ack as number);
    }
    this.#told = ack;
    for (const { text } of this.#kept) socket.send(text);
    this.#socket = socket;
    this.#working.push(this.#read(socket));
  }

  /** "Numbers": sends a packet that must not be lost, now or after the next resume. */
  send(packet: object): void {
    const seq = ++this.#lastSeq;
    const text = line({ ...packet, token: this.#token, seq, ack: this.#handedOver });
    this.#told = this.#handedOver;
    this.#kept.push({ seq, text });
    this.#socket?.send(text);
  }

  request(action: string, data: unknown): number {
    this.send({ action, data, id: ++this.#lastId });
    return this.#lastId;
  }

  async cut(how: "RST" | "FIN" | "not at all"): Promise<void> {
    const socket = this.#socket!;
    this.#socket = undefined;
    if (how === "RST") await socket.reset();
    if (how === "FIN") socket.fin();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    for (const socket of this.sockets) await socket.close();
    await Promise.all(this.#working);
  }

  async #read(socket: RawPeer): Promise<void> {
    for (;;) {
      await until(() => socket.hasLines || socket.ended !== undefined, "the server spoke");
      if (this.#socket !== socket || !socket.hasLines) return;
      this.#take(await socket.packet());
    }
  }

  #take(packet: RawPacket): void {
    if (packet.ack !== undefined) this.#drop(packet.ack as number);
    const seq = packet.seq as number | undefined;
    if (seq !== undefined) {
      if (seq <= this.#received) {
        this.#mustTell = true;
        return;
      }
      assertEquals(seq, this.#received + 1, "no number may be missing");
      this.#received++;
    }
    if (packet.action === "@ping") {
      this.#socket?.sendPacket({ action: "@pong", data: packet.data, ack: this.#handedOver });
      this.#told = this.#handedOver;
    } else if (!packet.action.startsWith("@")) {
      this.#waiting.push({ packet, seq });
    }
  }

  #drop(ack: number): void {
    while (this.#kept.length > 0 && this.#kept[0].seq <= ack) this.#kept.shift();
  }

  /** Slower than what arrives, so that every cut finds something in between. */
  async #handOver(): Promise<void> {
    while (!this.#isOver) {
      const next = this.#waiting.shift();
      if (next) {
        if (next.seq !== undefined) this.#handedOver = next.seq;
        this.#handle(next.packet);
      }
      const owed = this.#handedOver - this.#told;
      const isDue = owed >= Math.min(32, this.#serverPackets / 4) || (!next && owed > 0);
      if (this.#socket && (isDue || (!next && this.#mustTell))) {
        this.#mustTell = false;
        this.#told = this.#handedOver;
        this.#socket.sendPacket({ action: "@ack", ack: this.#handedOver });
      }
      await pause(1);
    }
  }

  #handle({ action, data, id, "reply-to": replyTo }: RawPacket): void {
    if (replyTo !== undefined) {
      assert(!this.replies.has(replyTo), "a request has one reply");
      this.replies.set(replyTo, data);
    } else if (action === "double") {
      this.send({ action, data: Number(data) * 2, "reply-to": id });
    } else {
      this.heard.push(data);
    }
  }
}

Deno.test("a client that is written from docs/protocol.md alone loses nothing when its sockets drop", async () => {
  const handled: unknown[] = [];
  const ends: string[] = [];
  let resumes = 0;
  await using server = new Server({
    port: 0,
    replayPackets: WINDOW_PACKETS,
    onResume: () => void resumes++,
    onDisconnect: (_, { code }) => void ends.push(code),
  });
  server.bindAction("shout", (data, _, peer) => {
    handled.push(data);
    peer.sendPacket({ action: "heard", data });
  });
  server.bindAction("ask", (data, _, peer) => peer.request("double", data));
  await server.start();

  await using client = new PageClient(server);
  await client.connect();
  const asked = new Map<number, number>();
  const numbers = Array.from({ length: 300 }, (_, n) => n);
  let foundSomethingKept = 0, foundSomethingWaiting = 0;
  for (const n of numbers) {
    await until(() => client.kept < WINDOW_PACKETS, "there was room for another packet");
    client.send({ action: "shout", data: n });
    if (n % 10 === 0) asked.set(client.request("ask", n), n * 2);
    if (n % 25 === 24) {
      if (client.kept > 0) foundSomethingKept++;
      if (client.waiting > 0) foundSomethingWaiting++;
      await client.cut((["RST", "FIN", "not at all"] as const)[resumes % 3]);
      await client.connect();
    }
  }
  await until(
    () => client.heard.length >= numbers.length && client.replies.size >= asked.size,
    () => `all came: ${client.heard.length}, ${client.replies.size}`,
  );
  await until(() => client.kept === 0, "the server acknowledged everything");
  const [connection] = server.clients.values();
  await until(() => connection.stats.unacknowledged === 0, "the client acknowledged everything");

  assertEquals(handled, numbers, "what the server was sent");
  assertEquals(client.heard, numbers, "what the client was sent");
  assertEquals(client.replies, asked);
  assertEquals([resumes, ends, server.clients.size], [12, [], 1]);
  assert(foundSomethingKept > 6, `${foundSomethingKept} cuts of 12 found packets under way`);
  assert(foundSomethingWaiting > 3, `${foundSomethingWaiting} found packets not handed over`);
  // Those that were not cut were taken over.
  for (const socket of client.sockets.filter((_, index) => index % 3 === 2 && index < 12)) {
    await socket.farewell("TAKEN_OVER");
  }
});

Deno.test("before it says goodbye, a server acknowledges what it has handed over", async () => {
  let handled = 0;
  await using server = new Server({ port: 0 });
  server.bindAction("shout", () => void handled++);
  await server.start();
  await using client = await RawPeer.register(server, { session: true });
  await client.sendPacket({ action: "shout", seq: 1 }, { action: "shout", seq: 2 });
  await until(() => handled === 2, "both were handled");
  const closing = server.close();
  const { ack } = await client.farewell("GOING_AWAY");
  assertEquals(ack, 2);
  await closing;
});

Deno.test("a window that is full from the moment of a resume on is watched like any other", async () => {
  await using server = new Server({ port: 0, replayPackets: 2, stallTimeoutMs: 100 });
  await server.start();
  await using client = await RawPeer.register(server, { session: true });
  const connection = server.clients.get(client.token)!;
  await client.reset();
  await until(() => connection.state === "detached", "the server saw the end of the socket");
  for (const n of [1, 2]) connection.sendPacket({ action: "heard", data: n });
  const { epoch } = client.welcome.data as { epoch: string };
  await using again = await RawPeer.connect(server);
  await again.send(hello({ session: true, resume: { token: client.token, epoch, ack: 0 } }));
  await again.farewell("SLOW_CONSUMER");
  assertEquals(connection.state, "detached", "the session is kept");
});
