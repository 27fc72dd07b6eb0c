import { assert, assertEquals, assertFalse, assertInstanceOf, assertLess } from "@std/assert";
import {
  ConnectionError,
  PnetworkError,
  type PnetworkError as AnyError,
  ProtocolError,
  RequestError,
} from "../../errors.ts";
import type { Arrivals } from "../../arrivals.ts";
import { type Broadcast, Outbox } from "../../outbox.ts";
import { decodePacket, encodeErrorHead, encodeHead, parseLine, utf8Length } from "../../packet.ts";
import { ReplayBudget } from "../../replay_budget.ts";
import { beginDelivery, Session } from "../../session.ts";
import { encodeTail } from "../../stamp.ts";
import type { WindowLimits } from "../../window.ts";
import type { Wire } from "../../wire.ts";
import { bytes } from "../support/bytes.ts";
import { Clock } from "../support/clock.ts";
import { collectGarbage } from "../support/garbage.ts";

const TOKEN = "6a1f0f2e-9c1d-4c0b-8a53-0f2d7f3f8f11";
const ROOMY: WindowLimits = { replayPackets: 1_000, replayBytes: 1_000_000 };
const OLDEST = { policy: "drop-oldest", key: "" } as const;
const DISCONNECT = { policy: "disconnect", key: "" } as const;
const latest = (key: string) => ({ policy: "latest", key } as const);

/** Keeps what is written, and says how much waits. */
class FakeWire {
  readonly lines: string[] = [];
  linesQueued = 0;
  isCongested = false;
  isCollecting = true;
  /** How often it was asked for what waits, to the byte. */
  counts = 0;
  /** How many times what waits its bound is. */
  looseness = 3;
  #buffered = 0;
  /** Those who wait for room. */
  readonly waiting: PromiseWithResolvers<void>[] = [];

  get buffered(): number {
    this.counts++;
    return this.#buffered;
  }

  set buffered(bytes: number) {
    this.#buffered = bytes;
  }

  get maxBuffered(): number {
    return this.#buffered * this.looseness;
  }

  write(line: string): void {
    this.lines.push(line);
    this.linesQueued++;
    this.#buffered += utf8Length(line) + 1;
  }

  room(): Promise<void> {
    const room = Promise.withResolvers<void>();
    this.waiting.push(room);
    return room.promise;
  }

  /** The peer has taken all that waited. */
  async flush(): Promise<void> {
    this.buffered = 0;
    this.isCongested = false;
    for (const { resolve } of this.waiting.splice(0)) resolve();
    await turn();
  }

  /** The data of what was written since it was asked last. */
  take(): unknown[] {
    return this.lines.splice(0).map((line) => decodePacket(line).data);
  }

  /** The numbers of what was written since then. */
  takeSeqs(): unknown[] {
    return this.lines.splice(0).map((line) => parseLine(line).seq);
  }
}

interface OutboxOptions {
  token?: string | null;
  maxPacketBytes?: number;
  maxBufferedBytes?: number;
  maxVolatileBytes?: number;
  /** The window, where there is a session. */
  window?: WindowLimits;
}

function makeOutbox(options: OutboxOptions = {}) {
  const { token = TOKEN, maxPacketBytes = 1_024, maxBufferedBytes = 10_000 } = options;
  const { maxVolatileBytes = 1_000, window } = options;
  const session = new Session<unknown>(9, window && beginDelivery(window, ROOMY));
  const outbox = new Outbox(session, { token, maxPacketBytes }, {
    maxBufferedBytes,
    maxVolatileBytes,
  });
  const wire = attach(outbox);
  return { wire, outbox, session };
}

/** One whose peer is in a session with it. */
function makeSession(options: OutboxOptions = {}) {
  const { wire, outbox, session } = makeOutbox({ window: ROOMY, ...options });
  return { wire, outbox, session, ...session.delivery! };
}

/** Gives it the next wire. */
function attach(outbox: Outbox): FakeWire {
  const wire = new FakeWire();
  outbox.attach(wire as unknown as Wire);
  return wire;
}

/** The head of a packet with this data. */
function head(data: unknown = null): string {
  return encodeHead({ action: "a", data });
}

/** A broadcast of now. */
function made(head: string): Broadcast {
  return { head, created: Date.now() };
}

/** Broadcasts of one turn. */
function chain(...heads: string[]): Broadcast[] {
  const all = heads.map(made);
  for (const [n, one] of all.entries()) one.next = all[n + 1];
  return all;
}

/** A head of so many bytes. */
function headOf(length: number, char = "x"): string {
  const room = length - head("").length;
  const size = bytes(char).length;
  return head(char.repeat(room / size) + "x".repeat(room % size));
}

/** Sends, like a caller who does not care what becomes of it. */
function send(outbox: Outbox, head: string, signal?: AbortSignal): Promise<void> | undefined {
  const sent = outbox.send(head, signal);
  sent?.catch(() => {});
  return sent;
}

/** What became of a send by now: sent, waiting, or why it was not sent. */
async function fate(sent: Promise<void> | undefined): Promise<unknown> {
  if (!sent) return "sent";
  await turn();
  return await Promise.race([
    sent.then(() => "sent", (error) => error instanceof PnetworkError ? error.code : error),
    Promise.resolve().then(turn).then(() => "waits"),
  ]);
}

/** Lets what has settled go on. */
async function turn(): Promise<void> {
  for (let n = 0; n < 10; n++) await Promise.resolve();
}

/** Every way to send, and how it says that it was not sent. */
const WAYS: Record<string, (outbox: Outbox, head: string) => Promise<AnyError | undefined>> = {
  send: async (outbox, head) => {
    try {
      await outbox.send(head);
    } catch (error) {
      assertInstanceOf(error, PnetworkError);
      return error;
    }
  },
  request: (outbox, head) => Promise.resolve(outbox.request(head, 7)),
  reply: (outbox, head) => Promise.resolve(outbox.reply(head, 7)),
  broadcast: (outbox, head) => Promise.resolve(outbox.broadcast(made(head))),
  sendVolatile: (outbox, head) => Promise.resolve(outbox.sendVolatile(head, OLDEST)),
};
/** Those of them that the session numbers. */
const NUMBERED = ["send", "request", "reply", "broadcast"];

// What goes out

Deno.test("a packet goes out stamped with the time and the connection's token", () => {
  const { wire, outbox } = makeOutbox();
  const before = Date.now();
  assertEquals(send(outbox, encodeHead({ action: "a", data: 1 })), undefined);
  assertEquals(outbox.request(encodeHead({ action: "b" }), 7), undefined);
  assertEquals(outbox.reply(encodeHead({ action: "c" }), 9), undefined);
  assertEquals(outbox.broadcast(made(encodeHead({ action: "d" }))), undefined);
  assertEquals(outbox.sendVolatile(encodeHead({ action: "e" }), OLDEST), undefined);
  const packets = wire.lines.map((line) => decodePacket(line));
  assertEquals(packets.map(({ action, token, id, replyTo }) => [action, token, id, replyTo]), [
    ["a", TOKEN, undefined, undefined],
    ["b", TOKEN, 7, undefined],
    ["c", TOKEN, undefined, 9],
    ["d", TOKEN, undefined, undefined],
    ["e", TOKEN, undefined, undefined],
  ]);
  for (const packet of packets) {
    assert(before <= packet["packet-created"] && packet["packet-created"] <= Date.now());
  }
  assertEquals([outbox.packetsSent, outbox.dropped], [5, 0]);
});

Deno.test("without a session nothing is numbered and nothing kept", () => {
  const { wire, outbox } = makeOutbox();
  for (const way of Object.values(WAYS)) way(outbox, head());
  for (const line of wire.lines) {
    const { seq, ack } = parseLine(line);
    assertEquals([seq, ack], [undefined, undefined]);
  }
  wire.buffered = 0;
  assertEquals(outbox.buffered, 0);
  outbox.detach(0);
  assertEquals(attach(outbox).lines, []);
});

Deno.test("without a token packets say null", () => {
  const { wire, outbox } = makeOutbox({ token: null });
  send(outbox, head());
  assertEquals(parseLine(wire.lines[0]).token, null);
});

Deno.test("the protocol's own packets go out unstamped and unnumbered", () => {
  const { wire, outbox, window } = makeSession();
  assertEquals(outbox.sendControl("@ping", 3), undefined);
  assertEquals(outbox.sendControl("@pong", 3, 5), undefined);
  assertEquals(outbox.sendControl("@ack", undefined, 5), undefined);
  assertEquals(wire.lines, [
    '{"action":"@ping","data":3}',
    '{"action":"@pong","data":3,"ack":5}',
    '{"action":"@ack","ack":5}',
  ]);
  assertEquals([outbox.packetsSent, window.nextSeq], [3, 1]);
});

Deno.test("between two wires the protocol's own packets go nowhere, nor out later", () => {
  const { outbox, window } = makeSession({ maxBufferedBytes: 100 });
  window.add({ head: headOf(1_000), age: 0 }, headOf(1_000) + "}");
  outbox.detach(0);
  assertEquals(outbox.sendControl("@ping", 3), undefined);
  assertEquals(outbox.packetsSent, 0);
  assertEquals(attach(outbox).takeSeqs(), [1]);
});

Deno.test("a packet that the peer would refuse is not sent, and uses up no number", async () => {
  const limit = 1_024 - 256;
  for (const char of ["x", "é", "€", "😀"]) {
    for (const way of Object.values(WAYS)) {
      const { wire, outbox, window } = makeSession();
      assertEquals(bytes(headOf(limit, char)).length, limit);
      assertEquals(await way(outbox, headOf(limit, char)), undefined);
      const { nextSeq } = window;
      assertEquals(wire.lines.length, 1);
      const error = await way(outbox, headOf(limit + 1, char));
      assertInstanceOf(error, ProtocolError);
      assertEquals([error.code, wire.lines.length, outbox.packetsSent], ["PACKET_TOO_LARGE", 1, 1]);
      assertEquals(window.nextSeq, nextSeq);
    }
  }
});

Deno.test("what is accepted fits the peer's limit whole, with the longest of stamps", () => {
  const most = Number.MAX_SAFE_INTEGER;
  const stamp = { created: most, token: TOKEN, id: most, replyTo: most, seq: most, ack: most };
  assertLess(bytes(headOf(1_024 - 256) + encodeTail(stamp)).length, 1_024);
});

Deno.test("an error reply reaches the peer however long its message is", () => {
  const { wire, outbox } = makeOutbox();
  const head = encodeErrorHead("a", { code: "INVALID_DATA", message: "x".repeat(2_000_000) });
  assertEquals(outbox.reply(head, 1), undefined);
  assertEquals(decodePacket(wire.lines[0]).error?.code, "INVALID_DATA");
});

// What may wait to be written

Deno.test("without room a send or a request is OVERLOADED, one that must go out SLOW_CONSUMER", async () => {
  const { wire, outbox } = makeOutbox({ maxBufferedBytes: 2_000 });
  for (let n = 0; n < 2; n++) assertEquals(send(outbox, headOf(700)), undefined);
  const sent = wire.lines.length;
  assertEquals(sent, 2);
  for (
    const [name, type, code] of [
      ["send", RequestError, "OVERLOADED"],
      ["request", RequestError, "OVERLOADED"],
      ["reply", ConnectionError, "SLOW_CONSUMER"],
      ["broadcast", ConnectionError, "SLOW_CONSUMER"],
    ] as const
  ) {
    const error = await WAYS[name](outbox, headOf(700));
    assertInstanceOf(error, type);
    assertEquals(error.code, code, name);
    if (error instanceof RequestError) assertFalse(error.remote);
  }
  assertEquals([wire.lines.length, outbox.packetsSent], [sent, sent]);
  // A short one still has room.
  assertEquals(outbox.sendControl("@ping", 1), undefined);
  wire.buffered = 2_000;
  assertEquals(outbox.sendControl("@ping", 1)?.code, "SLOW_CONSUMER");
});

Deno.test("what may wait is exactly what may wait", async () => {
  for (const looseness of [1, 1.1, 3]) {
    for (const data of [1, "é", "€€€", "😀"]) {
      const line = JSON.stringify({ action: "@ping", data });
      const max = 1_000;
      const { wire, outbox } = makeOutbox({ maxBufferedBytes: max });
      wire.looseness = looseness;
      // With its end it comes up to the bound exactly.
      wire.buffered = max - bytes(line).length - 1;
      assertEquals(outbox.sendControl("@ping", data), undefined);
      assertEquals(wire.buffered, max);
      wire.buffered = max - bytes(line).length;
      assertEquals(outbox.sendControl("@ping", data)?.code, "SLOW_CONSUMER");
      for (const name of ["send", "reply", "broadcast"]) {
        wire.buffered = 0;
        assertEquals(await WAYS[name](outbox, head(data)), undefined);
        const length = wire.buffered;
        wire.buffered = max - length;
        assertEquals(await WAYS[name](outbox, head(data)), undefined, name);
        assertEquals(wire.buffered, max);
        wire.buffered = max - length + 1;
        assert(await WAYS[name](outbox, head(data)), name);
      }
      // A request is measured before it is stamped.
      wire.buffered = max - bytes(head(data)).length - 256;
      assertEquals(outbox.request(head(data), 1), undefined);
      wire.buffered = max - bytes(head(data)).length - 256 + 1;
      assertEquals(outbox.request(head(data), 1)?.code, "OVERLOADED");
    }
  }
});

Deno.test("what waits is not counted while its bound is within what may wait", async () => {
  for (const window of [undefined, ROOMY]) {
    const { wire, outbox } = makeOutbox({ maxBufferedBytes: 10_000, window });
    for (const way of Object.values(WAYS)) assertEquals(await way(outbox, head("é")), undefined);
    assertEquals(outbox.sendControl("@ping"), undefined);
    assertEquals([wire.lines.length, wire.counts], [6, 0]);
    wire.buffered = 4_000;
    assertEquals(outbox.sendControl("@ping"), undefined);
    assertEquals(wire.counts, 1);
  }
});

Deno.test("where nothing waits, a packet of any size has room", async () => {
  for (const window of [undefined, ROOMY]) {
    for (const name of NUMBERED) {
      const { wire, outbox } = makeOutbox({ maxBufferedBytes: 10, maxPacketBytes: 90_000, window });
      assertEquals(await WAYS[name](outbox, headOf(50_000)), undefined, name);
      assertEquals(wire.lines.length, 1);
      assertEquals(await fate(send(outbox, head())), "OVERLOADED");
    }
  }
});

Deno.test("too large comes before overloaded: waiting would not help", async () => {
  const { wire, outbox } = makeOutbox();
  wire.buffered = 1_000_000;
  for (const way of Object.values(WAYS)) {
    assertEquals((await way(outbox, headOf(1_000)))?.code, "PACKET_TOO_LARGE");
  }
});

// Numbers and acknowledgements

Deno.test("within a session packets, requests, replies and broadcasts are numbered as they are sent", async () => {
  const { wire, outbox, window } = makeSession();
  for (const name of [...NUMBERED, ...NUMBERED]) await WAYS[name](outbox, head(name));
  assertEquals(wire.lines.map((line) => parseLine(line).seq), [1, 2, 3, 4, 5, 6, 7, 8]);
  const sent = wire.lines.map((line) => decodePacket(line));
  assertEquals(
    [...window].map(({ head, id, replyTo }) => [head, id, replyTo]),
    sent.map(({ data, id, replyTo }) => [head(data), id, replyTo]),
  );
  assertEquals(window.bytes, wire.lines.reduce((sum, line) => sum + line.length + 1, 0));
  assertEquals(await WAYS.sendVolatile(outbox, head()), undefined);
  assertEquals(parseLine(wire.lines[8]).seq, undefined);
  assertEquals([window.length, window.nextSeq], [8, 9]);
});

Deno.test("what is owed rides on the next packet, once", async () => {
  for (const name of NUMBERED) {
    const { wire, outbox, arrivals } = makeSession();
    const acks = () => wire.lines.splice(0).map((line) => parseLine(line).ack);
    await WAYS[name](outbox, head());
    assertEquals(acks(), [undefined]);
    for (const seq of [1, 2]) {
      arrivals.receive(seq);
      arrivals.pass(10);
    }
    await WAYS[name](outbox, head());
    await WAYS[name](outbox, head());
    assertEquals([acks(), arrivals.isAckOwed], [[2, undefined], false], name);
    // What waits for its turn is not acknowledged.
    arrivals.receive(3);
    arrivals.hold({}, 10);
    await WAYS[name](outbox, head());
    assertEquals(acks(), [undefined]);
  }
});

Deno.test("what is sent between two wires acknowledges nothing: nobody hears it", () => {
  const { outbox, arrivals } = makeSession();
  outbox.detach(0);
  arrivals.receive(1);
  arrivals.pass(10);
  send(outbox, head());
  assert(arrivals.isAckOwed);
  assertEquals(parseLine(attach(outbox).lines[0]).ack, undefined);
});

Deno.test("all is settled when nothing waits and all was acknowledged", () => {
  const { wire, outbox, window } = makeSession();
  assertEquals([outbox.buffered, window.isSettled], [0, true]);
  send(outbox, head());
  assert(outbox.buffered > 0 && !window.isSettled);
  wire.buffered = 0;
  assertEquals([outbox.buffered, window.isSettled], [0, false]);
  window.acknowledge(1);
  assertEquals([outbox.buffered, window.isSettled], [0, true]);
  wire.buffered = 1;
  assertEquals([outbox.buffered, window.isSettled], [1, true]);
});

// Waiting for the window

const NARROW: WindowLimits = { replayPackets: 2, replayBytes: 1_000_000 };

/** One whose window is full with 1 and 2. */
function makeFull(options: OutboxOptions = {}) {
  const scene = makeSession({ window: NARROW, ...options });
  for (const data of [1, 2]) assertEquals(send(scene.outbox, head(data)), undefined);
  assertEquals(scene.wire.take(), [1, 2]);
  /** The peer acknowledges, and has taken what was written. */
  const acknowledge = (ack: number) => {
    scene.wire.buffered = 0;
    scene.window.acknowledge(ack);
    scene.outbox.admit();
  };
  return { ...scene, acknowledge };
}

Deno.test("a send waits, without a number, until the window has room", async () => {
  const { wire, outbox, window, acknowledge } = makeFull();
  const three = send(outbox, head(3));
  assertEquals([await fate(three), wire.take(), window.nextSeq], ["waits", [], 3]);
  acknowledge(1);
  assertEquals([await fate(three), wire.take(), window.nextSeq], ["sent", [3], 4]);
});

Deno.test("those that wait go out in order, as many as there is room for", async () => {
  const { wire, outbox, window, acknowledge } = makeFull();
  const sent = [3, 4, 5, 6].map((data) => send(outbox, head(data)));
  acknowledge(2);
  assertEquals(wire.takeSeqs(), [3, 4]);
  assertEquals(await Promise.all(sent.map(fate)), ["sent", "sent", "waits", "waits"]);
  acknowledge(3);
  assertEquals(wire.take(), [5]);
  acknowledge(5);
  assertEquals(wire.take(), [6]);
  assertEquals(await Promise.all(sent.map(fate)), ["sent", "sent", "sent", "sent"]);
  acknowledge(6);
  assertEquals([wire.take(), window.isSettled], [[], true]);
});

Deno.test("one that waits is short of room where its window is not full, and its peer takes what it is sent", async () => {
  const window = { replayPackets: 2, replayBytes: 400 };
  const { wire, outbox } = makeSession({ window });
  send(outbox, head(1));
  assertFalse(outbox.isShortOfRoom);
  send(outbox, head("x".repeat(300)));
  assert(outbox.isShortOfRoom);
  wire.isCongested = true;
  assertFalse(outbox.isShortOfRoom);
  wire.isCongested = false;
  outbox.hold();
  assertFalse(outbox.isShortOfRoom);
  outbox.detach(Infinity);
  assertFalse(outbox.isShortOfRoom);
  const full = makeFull();
  send(full.outbox, head(3));
  assertFalse(full.outbox.isShortOfRoom);
  const loaded = makeSession({ window, maxBufferedBytes: 500 });
  send(loaded.outbox, head(1));
  assertEquals(await fate(send(loaded.outbox, head("x".repeat(500)))), "OVERLOADED");
  assertFalse(loaded.outbox.isShortOfRoom);
});

Deno.test("nobody overtakes one that waits, however small", async () => {
  const { wire, outbox, window } = makeSession({
    window: { replayPackets: 99, replayBytes: 1_000 },
  });
  send(outbox, headOf(600));
  wire.take();
  const large = send(outbox, headOf(700));
  const small = send(outbox, head("small"));
  assertEquals([await fate(large), await fate(small), wire.take()], ["waits", "waits", []]);
  window.acknowledge(1);
  outbox.admit();
  assertEquals(wire.takeSeqs(), [2, 3]);
});

Deno.test("the room of a window is measured in bytes as they are on the wire", async () => {
  for (const data of ["x", "é", "€€€", "😀"]) {
    const { wire, outbox } = makeSession();
    send(outbox, head(data));
    const both = 2 * wire.buffered;
    for (const [replayBytes, expected] of [[both, "sent"], [both - 1, "waits"]] as const) {
      const { outbox } = makeSession({ window: { replayPackets: 9, replayBytes } });
      send(outbox, head(data));
      assertEquals(await fate(send(outbox, head(data))), expected);
    }
  }
});

Deno.test("a request, a reply and a broadcast do not wait, and those that wait go out first", async () => {
  for (const name of ["request", "reply", "broadcast"]) {
    const { wire, outbox } = makeFull();
    const sent = [3, 4].map((data) => send(outbox, head(data)));
    assertEquals(await WAYS[name](outbox, head(5)), undefined);
    assertEquals(wire.lines.map((line) => parseLine(line).seq), [3, 4, 5], name);
    assertEquals(wire.take(), [3, 4, 5]);
    assertEquals(await Promise.all(sent.map(fate)), ["sent", "sent"]);
    assertEquals(outbox.buffered, wire.buffered);
  }
});

Deno.test("a broadcast pushes the oldest out of a full window, a request and a reply do not", async () => {
  for (
    const [name, kept] of [["broadcast", [2, 3]], ["request", [1, 2, 3]], ["reply", [1, 2, 3]]]
  ) {
    const { outbox, window } = makeFull();
    await WAYS[name as string](outbox, head(3));
    assertEquals([...window].map(({ seq }) => seq), kept as number[]);
    assertEquals(window.reaches(0), name !== "broadcast");
  }
});

Deno.test("what waits for the window counts as waiting to be written", async () => {
  const { wire, outbox, acknowledge } = makeFull();
  wire.buffered = 0;
  send(outbox, head(3));
  const bytes = outbox.buffered;
  assert(bytes > 0);
  send(outbox, head(4));
  assertEquals(outbox.buffered, 2 * bytes);
  acknowledge(2);
  assertEquals([outbox.buffered, wire.buffered], [2 * bytes, 2 * bytes]);
  // Where as much waits as may, one more does not.
  const full = makeFull({ maxBufferedBytes: 3 * bytes });
  full.wire.buffered = 0;
  const sent = [3, 4, 5, 6].map((data) => send(full.outbox, head(data)));
  assertEquals(await Promise.all(sent.map(fate)), ["waits", "waits", "waits", "OVERLOADED"]);
  assertEquals(full.outbox.request(head(), 1)?.code, "OVERLOADED");
  full.acknowledge(2);
  assertEquals(full.wire.take(), [3, 4]);
});

Deno.test("what waits here for its number is not held against a peer that takes all that it is sent", async () => {
  for (const isHeld of [false, true]) {
    const { wire, outbox } = makeFull({ maxBufferedBytes: 500 });
    wire.buffered = 0;
    if (isHeld) outbox.hold();
    const sent = Array.from({ length: 9 }, (_, n) => send(outbox, head(n)));
    assertEquals(await fate(sent.at(-1)), "OVERLOADED");
    assertEquals(outbox.sendControl("@pong", "x".repeat(300)), undefined);
    if (isHeld) assertEquals(outbox.reply(head("a reply"), 1), undefined);
    wire.buffered = 500;
    assertEquals(outbox.sendControl("@pong")?.code, "SLOW_CONSUMER");
  }
});

Deno.test("a send that the window has room for is OVERLOADED where the wire has none, and unnumbered", async () => {
  const { wire, outbox, window } = makeSession({ maxBufferedBytes: 1_000 });
  wire.buffered = 1_000;
  assertEquals(await fate(send(outbox, head())), "OVERLOADED");
  assertEquals([window.nextSeq, window.length, outbox.buffered], [1, 0, 1_000]);
});

// Calling off

Deno.test("a send that is called off while it waits is not sent, and makes room for those behind it", async () => {
  const { wire, outbox, window, acknowledge } = makeFull();
  wire.buffered = 0;
  const caller = new AbortController();
  const [three, four] = [send(outbox, head(3), caller.signal), send(outbox, head(4))];
  const { buffered } = outbox;
  caller.abort("enough");
  assertEquals([await fate(three), await fate(four)], ["enough", "waits"]);
  assertEquals(outbox.buffered, buffered / 2);
  acknowledge(1);
  assertEquals([wire.take(), await fate(four), window.nextSeq], [[4], "sent", 4]);
  assertEquals(outbox.buffered, wire.buffered);
});

Deno.test("when a large one is called off a small one behind it goes out at once", async () => {
  const { wire, outbox } = makeSession({ window: { replayPackets: 9, replayBytes: 1_000 } });
  send(outbox, headOf(600));
  wire.take();
  const caller = new AbortController();
  const large = send(outbox, headOf(700), caller.signal);
  const small = send(outbox, head("small"));
  caller.abort("enough");
  assertEquals(wire.take(), ["small"]);
  assertEquals([await fate(large), await fate(small)], ["enough", "sent"]);
  assertEquals(outbox.buffered, wire.buffered);
});

Deno.test("those called off behind one that waits are passed over when their turn comes", async () => {
  const { wire, outbox, acknowledge } = makeFull();
  const caller = new AbortController();
  const [three, four, five] = [
    send(outbox, head(3)),
    send(outbox, head(4), caller.signal),
    send(outbox, head(5)),
  ];
  caller.abort("enough");
  assertEquals([await fate(three), await fate(four), await fate(five)], [
    "waits",
    "enough",
    "waits",
  ]);
  acknowledge(2);
  assertEquals(wire.take(), [3, 5]);
  assertEquals(outbox.buffered, wire.buffered);
});

Deno.test("of what is called off behind one that waits nothing is kept but its place", async () => {
  const { outbox } = makeFull({ maxPacketBytes: 200_000, maxBufferedBytes: 300_000 });
  send(outbox, head(3));
  const buffered = outbox.buffered;
  await collectGarbage();
  const before = Deno.memoryUsage().heapUsed;
  for (let n = 0; n < 300; n++) {
    const controller = new AbortController();
    const sent = send(outbox, head(`${n}`.repeat(30_000)), controller.signal);
    controller.abort(n);
    assertEquals(await fate(sent), n);
  }
  await collectGarbage();
  assertLess(Deno.memoryUsage().heapUsed - before, 3_000_000);
  assertEquals(outbox.buffered, buffered);
});

Deno.test("whoever calls off what was sent already changes nothing", async () => {
  const { wire, outbox, window, acknowledge } = makeFull();
  const caller = new AbortController();
  const three = send(outbox, head(3), caller.signal);
  acknowledge(2);
  caller.abort("too late");
  assertEquals([await fate(three), wire.take()], ["sent", [3]]);
  assertEquals(outbox.buffered, wire.buffered);
  acknowledge(3);
  assertEquals([outbox.buffered, window.isSettled], [0, true]);
});

Deno.test("whoever calls off what the end of the session has taken changes nothing", async () => {
  const { wire, outbox } = makeFull();
  const caller = new AbortController();
  const three = send(outbox, head(3), caller.signal);
  outbox.detach(0);
  outbox.end(new ConnectionError("CLOSED", "over"));
  caller.abort("too late");
  assertEquals([await fate(three), outbox.buffered, wire.take()], ["CLOSED", 0, []]);
});

Deno.test("a signal that outlives many sends is listened to only while they wait", async () => {
  const { outbox, acknowledge } = makeFull();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  signal.addEventListener = (...args: Parameters<EventTarget["addEventListener"]>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<EventTarget["removeEventListener"]>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  const sent = [3, 4].map((data) => send(outbox, head(data), signal));
  assertEquals(listeners, 2);
  acknowledge(2);
  await Promise.all(sent);
  assertEquals(listeners, 0);
});

// All that waits

Deno.test("entered() resolves when all that wait now have their numbers, not those that follow", async () => {
  const { outbox, acknowledge } = makeFull();
  assertEquals(await fate(outbox.entered()), "sent");
  for (const data of [3, 4]) send(outbox, head(data));
  const entered = outbox.entered();
  send(outbox, head(5));
  assertEquals(await fate(entered), "waits");
  acknowledge(1);
  assertEquals(await fate(entered), "waits");
  acknowledge(2);
  assertEquals(await fate(entered), "sent");
});

Deno.test("entered() waits for those in front of one that is called off", async () => {
  const { outbox, acknowledge } = makeFull();
  const caller = new AbortController();
  const late = new AbortController();
  send(outbox, head(3));
  send(outbox, head(4), caller.signal);
  const before = outbox.entered();
  send(outbox, head(5), late.signal);
  caller.abort("enough");
  const after = outbox.entered();
  late.abort("enough");
  assertEquals([await fate(before), await fate(after)], ["waits", "waits"]);
  acknowledge(1);
  assertEquals([await fate(before), await fate(after)], ["sent", "sent"]);
});

Deno.test("entered() resolves where all that waited was called off", async () => {
  const { outbox } = makeFull();
  const caller = new AbortController();
  for (const data of [3, 4]) send(outbox, head(data), caller.signal);
  const entered = outbox.entered();
  caller.abort("enough");
  assertEquals([await fate(entered), await fate(outbox.entered())], ["sent", "sent"]);
});

Deno.test("entered() tells of the session's end, and the next session knows nothing of it", async () => {
  const { outbox, session } = makeFull();
  const three = send(outbox, head(3));
  const entered = outbox.entered();
  outbox.detach(0);
  outbox.end(new ConnectionError("SESSION_LOST", "restarted"), {
    token: TOKEN,
    maxPacketBytes: 1_024,
  });
  session.end("lost", beginDelivery(NARROW, ROOMY));
  assertEquals([await fate(three), await fate(entered)], ["SESSION_LOST", "SESSION_LOST"]);
  attach(outbox);
  assertEquals(await fate(outbox.entered()), "sent");
});

// One wire after the other

Deno.test("on the next wire goes out again what was not acknowledged, as it was, then what waits", async () => {
  const { wire, outbox, window } = makeSession({
    window: { replayPackets: 3, replayBytes: 9_999 },
  });
  for (const data of [1, 2, 3]) send(outbox, head(data));
  const four = send(outbox, head(4));
  const lines = wire.lines.splice(0);
  window.acknowledge(1);
  outbox.detach(Infinity);
  const next = attach(outbox);
  assertEquals(next.lines.slice(0, 2), lines.slice(1));
  assertEquals([next.takeSeqs(), await fate(four), wire.lines], [[2, 3, 4], "sent", []]);
});

Deno.test("what is sent between two wires goes out on the next one, behind what goes out again", async () => {
  const { outbox } = makeSession();
  send(outbox, head(1));
  outbox.detach(0);
  for (const name of NUMBERED) await WAYS[name](outbox, head(name));
  const next = attach(outbox);
  assertEquals(next.lines.map((line) => parseLine(line).seq), [1, 2, 3, 4, 5]);
  assertEquals(next.take(), [1, ...NUMBERED]);
});

Deno.test("between two wires a send waits for room in the window as well", async () => {
  const { outbox } = makeFull();
  outbox.detach(Infinity);
  const three = send(outbox, head(3));
  assertEquals(await fate(three), "waits");
  const next = attach(outbox);
  assertEquals([await fate(three), next.take()], ["waits", [1, 2]]);
});

Deno.test("between two wires the window alone says how much a send may leave", async () => {
  const { outbox, window } = makeSession({ maxBufferedBytes: 300 });
  outbox.detach(0);
  for (let n = 0; n < 9; n++) assertEquals(await fate(send(outbox, head(n))), "sent");
  assert(window.bytes > 900);
  assertEquals(attach(outbox).take(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

Deno.test("between two wires a request has room to the byte, by what the window holds", () => {
  for (const data of ["x", "é", "€€€", "😀"]) {
    const { window, outbox } = makeSession();
    for (let n = 0; n < 9; n++) send(outbox, head(data));
    const max = window.bytes + bytes(head(data)).length + 256;
    for (const [maxBufferedBytes, code] of [[max, undefined], [max - 1, "OVERLOADED"]] as const) {
      const { outbox } = makeSession({ maxBufferedBytes });
      outbox.detach(0);
      for (let n = 0; n < 9; n++) send(outbox, head(data));
      assertEquals(outbox.request(head(data), 1)?.code, code);
    }
  }
});

Deno.test("between two wires what the window holds and what waits is what is buffered", async () => {
  const { wire, outbox, window } = makeFull({ maxBufferedBytes: 500 });
  wire.buffered = 1_000_000;
  outbox.detach(Infinity);
  assertEquals(outbox.buffered, window.bytes);
  send(outbox, head(3));
  const waiting = outbox.buffered - window.bytes;
  assert(waiting > 0);
  const sent = [4, 5, 6].map((data) => send(outbox, head(data)));
  assertEquals((await Promise.all(sent.map(fate))).at(-1), "OVERLOADED");
});

Deno.test("what goes out again as often as wires drop is numbered once", () => {
  const { outbox, window } = makeSession();
  for (const data of [1, 2, 3]) send(outbox, head(data));
  for (let round = 1; round <= 3; round++) {
    outbox.detach(0);
    assertEquals(attach(outbox).takeSeqs(), [1, 2, 3]);
  }
  assertEquals([window.nextSeq, window.length], [4, 3]);
  window.acknowledge(3);
  outbox.detach(0);
  assertEquals(attach(outbox).lines, []);
});

// Out again

/** Lines as they go out again: without how far this side had come. */
function withoutAck(lines: string[]): string[] {
  return lines.map((line) => line.replace(/,"ack":\d+}$/, "}"));
}

/** Something arrives, is handed over, and is owed an acknowledgement. */
function arrive({ arrivals }: { arrivals: Arrivals }): void {
  arrivals.receive(arrivals.handedOver + 1);
  arrivals.pass(10);
}

const ERROR_HEAD = encodeErrorHead("a", { code: "ACTION_FAILED", message: "nein, 😀" });
/** Every way to send something that is kept. */
const KEPT: Record<string, (outbox: Outbox) => unknown> = {
  ...Object.fromEntries(NUMBERED.map((name) => [name, (outbox: Outbox) => {
    return WAYS[name](outbox, head(["zwölf €", name]));
  }])),
  "error reply": (outbox) => outbox.reply(ERROR_HEAD, 8),
};

Deno.test("what goes out again is what it was, but for its ack, on every wire and at any time", () => {
  using clock = new Clock();
  for (const token of [TOKEN, null]) {
    const scene = makeSession({ token });
    // Each at a time of its own, and every other one with an acknowledgement.
    for (const [n, way] of [...Object.values(KEPT), ...Object.values(KEPT)].entries()) {
      if (n % 2 === 0) arrive(scene);
      clock.now += n % 3;
      way(scene.outbox);
    }
    const { lines } = scene.wire;
    assertEquals(lines.map((line) => parseLine(line).ack !== undefined), [
      ...[true, false, true, false, true],
      ...[false, true, false, true, false],
    ]);
    const created = lines.map((line) => parseLine(line)["packet-created"]);
    assertEquals(new Set(created).size, 7);
    for (const passed of [0, 1, 60_000, -120_000]) {
      scene.outbox.detach(0);
      clock.now += passed;
      const again = attach(scene.outbox).lines;
      assertEquals(again, withoutAck(lines));
      assertEquals(again.map((line) => parseLine(line)["packet-created"]), created);
    }
  }
});

Deno.test("a request, a reply and an error go out again as what they are", () => {
  const { outbox } = makeSession();
  outbox.request(head("question"), 7);
  outbox.reply(head("answer"), 9);
  outbox.reply(ERROR_HEAD, 11);
  outbox.detach(0);
  const again = attach(outbox).lines.map((line) => decodePacket(line));
  assertEquals(again.map(({ data, id, replyTo, error }) => [data, id, replyTo, error?.code]), [
    ["question", 7, undefined, undefined],
    ["answer", undefined, 9, undefined],
    [null, undefined, 11, "ACTION_FAILED"],
  ]);
});

Deno.test("what goes out again acknowledges nothing: what is owed stays owed until something new goes out", () => {
  const scene = makeSession();
  const { outbox, arrivals } = scene;
  arrive(scene);
  send(outbox, head(1));
  outbox.detach(0);
  arrive(scene);
  const next = attach(outbox);
  assertEquals([parseLine(next.lines[0]).ack, arrivals.isAckOwed], [undefined, true]);
  send(outbox, head(2));
  assertEquals([parseLine(next.lines[1]).ack, arrivals.isAckOwed], [2, false]);
});

Deno.test("what was stamped for no wire yet says on each when it was stamped", () => {
  using clock = new Clock();
  const { outbox } = makeSession();
  outbox.detach(0);
  const start = clock.now;
  for (const way of Object.values(KEPT)) {
    way(outbox);
    clock.now += 10;
  }
  const created = Object.values(KEPT).map((_, n) => start + 10 * n);
  for (let round = 0; round < 2; round++) {
    clock.now += 1_000;
    const { lines } = attach(outbox);
    assertEquals<unknown>(lines.map((line) => parseLine(line)["packet-created"]), created);
    outbox.detach(0);
  }
});

Deno.test("what waited for room or was held is stamped when it gets its number, and says so from then on", () => {
  using clock = new Clock();
  for (const isHeld of [false, true]) {
    const { wire, outbox, acknowledge } = makeFull();
    if (isHeld) outbox.hold();
    send(outbox, head(3));
    if (isHeld) outbox.request(head(4), 7);
    else send(outbox, head(4));
    const sent = clock.now += 500;
    if (isHeld) outbox.detach(0);
    const first = isHeld ? attach(outbox) : wire;
    if (!isHeld) acknowledge(2);
    const lines = first.lines.slice(-2);
    assertEquals(lines.map((line) => parseLine(line)["packet-created"]), [sent, sent]);
    assertEquals(parseLine(lines[1]).id, isHeld ? 7 : undefined);
    clock.now += 500;
    outbox.detach(0);
    assertEquals(attach(outbox).lines.slice(-2), lines);
  }
});

Deno.test("what was too much for its wire says on the next one when it was sent, and to whom", () => {
  using clock = new Clock();
  const scene = makeSession({ maxBufferedBytes: 500 });
  const { wire, outbox } = scene;
  arrive(scene);
  wire.buffered = 500;
  const sent = clock.now += 7;
  assertEquals(outbox.reply(ERROR_HEAD, 7)?.code, "SLOW_CONSUMER");
  outbox.detach(Infinity);
  clock.now += 1_000;
  const { seq, ack, "packet-created": created, "reply-to": replyTo, error, token } = parseLine(
    attach(outbox).lines[0],
  );
  assertEquals([seq, ack, created, replyTo, token], [1, undefined, sent, 7, TOKEN]);
  assertEquals(error, { code: "ACTION_FAILED", message: "nein, 😀" });
});

Deno.test("in a next session goes out again what is of that one, with its token and its times", () => {
  using clock = new Clock();
  const { outbox, session } = makeSession();
  for (const way of Object.values(KEPT)) way(outbox);
  outbox.detach(Infinity);
  clock.now += 5_000;
  const token = "11111111-1111-4111-8111-111111111111";
  outbox.end(new ConnectionError("SESSION_LOST", "over"), { token, maxPacketBytes: 1_024 });
  session.end("lost", beginDelivery(ROOMY, ROOMY));
  const wire = attach(outbox);
  const sent: number[] = [];
  for (const way of Object.values(KEPT)) {
    arrive(session.delivery!);
    sent.push(clock.now += 3);
    way(outbox);
  }
  const lines = wire.lines.map((line) => parseLine(line));
  assertEquals(lines.map(({ seq }) => seq), [1, 2, 3, 4, 5]);
  assertEquals(lines.map(({ token }) => token), sent.map(() => token));
  assertEquals<unknown>(lines.map((line) => line["packet-created"]), sent);
  clock.now += 5_000;
  outbox.detach(0);
  assertEquals(attach(outbox).lines, withoutAck(wire.lines));
});

// On hold

Deno.test("on hold nothing new begins but replies and the protocol's own", async () => {
  const { wire, outbox, window } = makeSession();
  outbox.hold();
  const sent = send(outbox, head("sent"));
  assertEquals(outbox.request(head("request"), 7), undefined);
  assertEquals(outbox.sendVolatile(head("volatile"), OLDEST), undefined);
  assertEquals([wire.lines, await fate(sent), outbox.dropped], [[], "waits", 1]);
  assertEquals(outbox.reply(head("reply"), 9), undefined);
  assertEquals(outbox.sendControl("@ping", 1), undefined);
  window.acknowledge(1);
  outbox.admit();
  assertEquals(wire.take(), ["reply", 1]);
  outbox.detach(Infinity);
  const next = attach(outbox);
  const packets = next.lines.map((line) => decodePacket(line));
  assertEquals(packets.map(({ data, id }) => [data, id]), [["sent", undefined], ["request", 7]]);
  assertEquals([next.takeSeqs(), await fate(sent)], [[2, 3], "sent"]);
});

Deno.test("the next wire is on hold no more", () => {
  const { outbox } = makeSession();
  outbox.hold();
  outbox.detach(0);
  const next = attach(outbox);
  send(outbox, head(1));
  outbox.sendVolatile(head(2), OLDEST);
  assertEquals([next.take(), outbox.dropped], [[1, 2], 0]);
});

Deno.test("once the wire has gone nothing is held back from it: what was is kept as all else is", async () => {
  const { outbox, window } = makeSession({ window: NARROW });
  outbox.hold();
  const sent = [1, 2, 3].map((data) => send(outbox, head(data)));
  outbox.detach(Infinity);
  outbox.admit();
  assertEquals(await Promise.all(sent.map(fate)), ["sent", "sent", "waits"]);
  assertEquals([window.length, attach(outbox).take()], [2, [1, 2]]);
});

Deno.test("what is held is bounded as what is sent is", async () => {
  const { wire, outbox } = makeSession({ maxBufferedBytes: 500 });
  outbox.hold();
  const sent = Array.from({ length: 5 }, (_, n) => send(outbox, head(n)));
  assertEquals(await fate(sent.at(-1)), "OVERLOADED");
  assertEquals([outbox.request(head(), 1)?.code, wire.lines], ["OVERLOADED", []]);
});

Deno.test("what is called off on hold does not go out on the next wire", async () => {
  const { outbox } = makeSession();
  outbox.hold();
  const caller = new AbortController();
  const [one, two] = [send(outbox, head(1), caller.signal), send(outbox, head(2))];
  caller.abort("enough");
  outbox.detach(0);
  assertEquals([attach(outbox).take(), await fate(one), await fate(two)], [[2], "enough", "sent"]);
});

Deno.test("a request that was held does not wait for room on the next wire: its reply may make it", async () => {
  const { outbox } = makeFull();
  outbox.hold();
  const three = send(outbox, head(3));
  outbox.request(head(4), 7);
  outbox.detach(Infinity);
  const next = attach(outbox);
  assertEquals([next.take(), await fate(three)], [[1, 2, 3, 4], "sent"]);
});

// Too much for the wire

Deno.test("in a session what must go out and is too much for the wire is kept for the next one", () => {
  for (const way of ["reply", "broadcast"] as const) {
    const { wire, outbox, window } = makeSession({ maxBufferedBytes: 500 });
    wire.buffered = 500;
    const error = way === "reply" ? outbox.reply(head(1), 7) : outbox.broadcast(made(head(1)));
    assertEquals([error?.code, wire.lines, window.length], ["SLOW_CONSUMER", [], 1]);
    outbox.detach(Infinity);
    const next = attach(outbox);
    assertEquals([next.takeSeqs(), window.reaches(0)], [[1], true]);
  }
});

Deno.test("between two wires replies are kept, whatever they amount to, and go out on the next one", () => {
  const { outbox, window, wire } = makeSession({ maxBufferedBytes: 1_000 });
  outbox.detach(0);
  for (let n = 0; n < 50; n++) assertEquals(outbox.reply(head(n), n + 1), undefined);
  assertEquals([window.length, window.reaches(0)], [50, true]);
  assert(window.bytes > 1_000);
  outbox.attach(wire as unknown as Wire);
  // What was kept is not held against a peer that has come back.
  assertEquals(outbox.sendControl("@ping"), undefined);
  assertEquals(outbox.reply(head(50), 51), undefined);
});

// Volatile

/** One that sends volatile lines to a peer that is behind. */
function makeBehind(options: OutboxOptions = {}) {
  const scene = makeSession(options);
  scene.wire.isCongested = true;
  return scene;
}

Deno.test("what may be lost waits for a peer that is behind, and goes out when it is not", async () => {
  const { wire, outbox, window } = makeBehind();
  for (const data of [1, 2]) assertEquals(outbox.sendVolatile(head(data), OLDEST), undefined);
  assertEquals(wire.lines, []);
  send(outbox, head("reliable"));
  await wire.flush();
  assertEquals(wire.take(), ["reliable", 1, 2]);
  assertEquals([outbox.dropped, window.length], [0, 1]);
  outbox.sendVolatile(head(3), OLDEST);
  assertEquals(wire.take(), [3]);
});

Deno.test("no more of it goes out than the peer takes", async () => {
  const { wire, outbox } = makeBehind();
  for (const data of [1, 2, 3]) outbox.sendVolatile(head(data), OLDEST);
  const write = wire.write;
  wire.write = (line) => {
    write.call(wire, line);
    wire.isCongested = true;
  };
  for (const data of [1, 2, 3]) {
    await wire.flush();
    assertEquals(wire.take(), [data]);
  }
  await wire.flush();
  assertEquals([wire.lines, wire.waiting.length], [[], 0]);
});

Deno.test("what may be lost overtakes nothing that may be lost too", async () => {
  const { wire, outbox } = makeBehind();
  outbox.sendVolatile(head(1), OLDEST);
  wire.isCongested = false;
  outbox.sendVolatile(head(2), OLDEST);
  assertEquals(wire.lines, []);
  await wire.flush();
  assertEquals(wire.take(), [1, 2]);
});

Deno.test("of what may be lost the oldest is, beyond the bound", async () => {
  const { wire, outbox } = makeBehind({ maxVolatileBytes: 1_000 });
  for (let n = 0; n < 100; n++) outbox.sendVolatile(headOf(400), OLDEST);
  for (const data of [1, 2]) outbox.sendVolatile(head(data), OLDEST);
  await wire.flush();
  const data = wire.take();
  assertEquals([data.length, data.slice(1), outbox.dropped], [3, [1, 2], 99]);
});

Deno.test("of what may be lost only the latest of its key goes out, if that is the policy", async () => {
  const { wire, outbox } = makeBehind();
  for (let n = 1; n <= 10; n++) {
    outbox.sendVolatile(head(`x${n}`), latest("x"));
    outbox.sendVolatile(head(`y${n}`), latest("y"));
  }
  await wire.flush();
  assertEquals([wire.take(), outbox.dropped], [["x10", "y10"], 18]);
});

Deno.test("a peer that is to be dropped for what it may lose is SLOW_CONSUMER beyond the bound", () => {
  const { outbox } = makeBehind({ maxVolatileBytes: 1_000 });
  const errors = Array.from({ length: 3 }, () => outbox.sendVolatile(headOf(400), DISCONNECT));
  assertEquals(errors.map((error) => error?.code), [undefined, undefined, "SLOW_CONSUMER"]);
  assertInstanceOf(errors[2], ConnectionError);
});

Deno.test("however much replaces what waits, one waits for room on its behalf", async () => {
  for (const terms of [latest("k"), OLDEST]) {
    const { wire, outbox } = makeBehind({ maxVolatileBytes: 10 });
    for (let n = 0; n < 1_000; n++) outbox.sendVolatile(head(n), terms);
    assertEquals([wire.waiting.length, outbox.dropped], [1, 999]);
    await wire.flush();
    assertEquals(wire.take(), [999]);
    // And again, when the peer falls behind again.
    wire.isCongested = true;
    outbox.sendVolatile(head("again"), terms);
    assertEquals(wire.waiting.length, 1);
    await wire.flush();
    assertEquals(wire.take(), ["again"]);
  }
});

Deno.test("what may be lost is, when its wire ends before it went out, and between two wires", async () => {
  const { wire, outbox } = makeBehind();
  for (const data of [1, 2]) outbox.sendVolatile(head(data), OLDEST);
  outbox.detach(0);
  assertEquals(outbox.sendVolatile(head(3), OLDEST), undefined);
  assertEquals(outbox.dropped, 3);
  const next = attach(outbox);
  await wire.flush();
  assertEquals([wire.lines, next.lines], [[], []]);
  // What waits for the next wire waits for that alone.
  next.isCongested = true;
  outbox.sendVolatile(head(4), OLDEST);
  await wire.flush();
  assertEquals([wire.lines, next.lines, next.waiting.length], [[], [], 1]);
  await next.flush();
  assertEquals(next.take(), [4]);
});

Deno.test("what waits for a wire that has ended does not go out on it when the next one comes", async () => {
  const { wire, outbox } = makeBehind();
  outbox.sendVolatile(head(1), OLDEST);
  outbox.detach(0);
  const next = attach(outbox);
  next.isCongested = true;
  outbox.sendVolatile(head(2), OLDEST);
  await wire.flush();
  assertEquals([wire.lines, wire.waiting.length, next.lines], [[], 0, []]);
  outbox.sendVolatile(head(3), OLDEST);
  assertEquals(next.waiting.length, 1);
  await next.flush();
  assertEquals([wire.lines, next.take(), next.waiting.length], [[], [2, 3], 0]);
});

// The end

/** What is left, by what was sent. */
function leftOf(outbox: Outbox) {
  const { unknown, unsent, forgotten } = outbox.end(new ConnectionError("SESSION_LOST", "over"));
  return {
    unknown: unknown.map(({ data }) => data),
    unsent: unsent.map(({ data }) => data),
    forgotten,
  };
}

Deno.test("what is left at the end is told exactly, by how many lines were offered", () => {
  for (const [offered, taken] of [[0, 0], [1, 1], [2, 2], [3, 3], [4, 3], [Infinity, 3]]) {
    const { outbox } = makeSession();
    for (const data of [1, 2, 3]) send(outbox, head(data));
    outbox.detach(offered);
    assertEquals(leftOf(outbox), {
      unknown: [1, 2, 3].slice(0, taken),
      unsent: [1, 2, 3].slice(taken),
      forgotten: 0,
    });
  }
});

Deno.test("where on its wire a line is counts what else was written there", () => {
  for (const more of [0, 1]) {
    const { wire, outbox } = makeSession();
    outbox.sendControl("@ping", 1);
    outbox.sendVolatile(head("é"), OLDEST);
    // What the handshake wrote there came before an outbox had the wire.
    wire.linesQueued += 7;
    send(outbox, head(1));
    outbox.sendControl("@ping", 2);
    send(outbox, head(2));
    assertEquals(wire.linesQueued, 12);
    outbox.detach(9 + more);
    assertEquals(leftOf(outbox), {
      unknown: more === 0 ? [] : [1],
      unsent: more === 0 ? [1, 2] : [2],
      forgotten: 0,
    });
  }
});

Deno.test("what was on an earlier wire stays unknown, however little the last one took", () => {
  const { wire, outbox } = makeSession();
  for (const data of [1, 2]) send(outbox, head(data));
  outbox.detach(wire.linesQueued);
  send(outbox, head(3));
  attach(outbox);
  outbox.detach(0);
  assertEquals(leftOf(outbox), { unknown: [1, 2], unsent: [3], forgotten: 0 });
});

Deno.test("what was pushed out is counted, what was acknowledged is not", async () => {
  const { outbox, acknowledge } = makeFull();
  for (const data of [3, 4, 5]) outbox.broadcast(made(head(data)));
  acknowledge(1);
  outbox.detach(Infinity);
  assertEquals(leftOf(outbox), { unknown: [4, 5], unsent: [], forgotten: 2 });
  assertEquals(await fate(outbox.entered()), "sent");
});

Deno.test("what waits at the end is unsent, behind what the window holds, and rejects", async () => {
  const { outbox } = makeFull();
  const caller = new AbortController();
  const [three, four, five] = [
    send(outbox, head(3)),
    send(outbox, head(4), caller.signal),
    send(outbox, head(5)),
  ];
  caller.abort("enough");
  outbox.detach(0);
  assertEquals(leftOf(outbox), { unknown: [], unsent: [1, 2, 3, 5], forgotten: 0 });
  const fates = [await fate(three), await fate(four), await fate(five)];
  assertEquals(fates, ["SESSION_LOST", "enough", "SESSION_LOST"]);
  assertEquals(outbox.buffered, 0);
});

Deno.test("what is left says whether it asked for a reply, or was one", () => {
  const { outbox } = makeSession();
  send(outbox, head(1));
  outbox.request(head(2), 7);
  outbox.reply(head(3), 8);
  outbox.hold();
  send(outbox, head(4));
  outbox.request(head(5), 9);
  outbox.detach(Infinity);
  const { unknown, unsent } = outbox.end(new ConnectionError("CLOSED", "over"));
  const kinds = (left: { kind: string }[]) => left.map(({ kind }) => kind);
  assertEquals([kinds(unknown), kinds(unsent)], [["packet", "request", "reply"], [
    "packet",
    "request",
  ]]);
});

Deno.test("an end without a session leaves nothing to tell", () => {
  const { outbox } = makeOutbox();
  send(outbox, head(1));
  outbox.detach(0);
  assertEquals(leftOf(outbox), { unknown: [], unsent: [], forgotten: 0 });
});

Deno.test("a next session begins with its own token, its own limit, and the number 1", async () => {
  const { outbox, session } = makeFull();
  const three = send(outbox, head(3));
  outbox.detach(Infinity);
  const token = "11111111-1111-4111-8111-111111111111";
  outbox.end(new ConnectionError("SESSION_LOST", "over"), { token, maxPacketBytes: 2_048 });
  session.end("lost", beginDelivery(NARROW, ROOMY));
  const next = attach(outbox);
  assertEquals([await fate(three), next.lines], ["SESSION_LOST", []]);
  assertEquals(await fate(send(outbox, headOf(1_500))), "sent");
  const { seq, token: stamped } = parseLine(next.lines[0]);
  assertEquals([seq, stamped], [1, token]);
});

// Broadcasts that are put off

Deno.test("a broadcast is put off only behind others of its turn, and where there is certainly room", () => {
  const { wire, outbox } = makeSession({ maxPacketBytes: 1_024, maxBufferedBytes: 5_000 });
  const postpone = (text: string) => outbox.postpone(made(text));
  wire.isCollecting = false;
  assertFalse(postpone(head()), "none came before it");
  wire.isCollecting = true;
  assert(postpone(headOf(256)));
  assertFalse(postpone(headOf(257)), "it may be too large for the peer");
  // Three bytes for each of its characters, and 256 for the rest of its line.
  wire.buffered = (5_000 - 2 * (256 * 3 + 256)) / wire.looseness;
  assert(postpone(headOf(256)));
  assertEquals(wire.lines.length, 1, "it follows nothing that was put off here");
  wire.buffered = (5_000 - 256 * 3 - 256 + 1) / wire.looseness;
  outbox.catchUp();
  assertFalse(postpone(headOf(256)), "there may be no room for it");
  outbox.detach(0);
  assertFalse(postpone(head()), "there is no wire");
});

Deno.test("no broadcast is put off while a packet waits for its number", () => {
  const { outbox } = makeFull();
  send(outbox, head(3));
  assertFalse(outbox.postpone(made(head(4))));
});

Deno.test("what is put off is measured together, and when it was sent no more", () => {
  const most = 256 * 3 + 256;
  const { outbox } = makeOutbox({ maxPacketBytes: 2_000, maxBufferedBytes: 3 * most });
  for (let turn = 0; turn < 3; turn++) {
    const wire = attach(outbox);
    wire.looseness = 0;
    const put = chain(...Array(4).fill(headOf(256))).map((one) => outbox.postpone(one));
    assertEquals(put, [true, true, true, false]);
    outbox.catchUp();
    assertEquals(wire.lines.length, 3);
    outbox.detach(0);
  }
});

Deno.test("whoever waits for what was sent waits for what was put off", () => {
  const { wire, outbox } = makeSession();
  assert(outbox.postpone(made(head(1))));
  outbox.entered();
  assertEquals(wire.takeSeqs(), [1]);
});

Deno.test("what was put off says when it was made, not when it is sent", () => {
  using clock = new Clock();
  const { wire, outbox, window } = makeSession();
  const { now } = clock;
  assert(outbox.postpone(made(head(1))));
  clock.now += 300;
  outbox.catchUp();
  const sent = wire.lines.splice(0).map((line) => decodePacket(line)["packet-created"]);
  outbox.detach(0);
  const again = attach(outbox).lines.map((line) => decodePacket(line)["packet-created"]);
  assertEquals([sent, again, window.length], [[now], [now], 1]);
});

Deno.test("a window is trimmed with each of those that were put off, and nobody else gives way for them", () => {
  const budget = new ReplayBudget(20_000);
  const idle = beginDelivery(ROOMY, ROOMY, budget);
  for (let n = 0; n < 12; n++) {
    idle.window.add({ head: headOf(1_000), age: 0 }, headOf(1_000) + "}");
  }
  const session = new Session<unknown>(
    9,
    beginDelivery({ ...ROOMY, replayPackets: 8 }, ROOMY, budget),
  );
  const outbox = new Outbox(session, { token: TOKEN, maxPacketBytes: 10_000 }, {
    maxBufferedBytes: 1_000_000,
    maxVolatileBytes: 1_000,
  });
  attach(outbox);
  for (const one of chain(...Array(40).fill(headOf(500)))) assert(outbox.postpone(one));
  outbox.catchUp();
  assertEquals([idle.window.length, session.delivery!.window.length], [12, 8]);
});

Deno.test("of a chain of broadcasts nothing is kept once they were sent", async () => {
  const { outbox } = makeSession();
  const kept = (() => {
    const one = made(headOf(200));
    assert(outbox.postpone(one));
    outbox.catchUp();
    return new WeakRef(one);
  })();
  await collectGarbage();
  assertEquals(kept.deref(), undefined);
});
