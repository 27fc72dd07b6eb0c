// A conversation without sockets: its wires are scripted.

import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { ActionTable } from "../../actions.ts";
import type { CloseInfo, Peer } from "../../contract.ts";
import { Conversation } from "../../conversation.ts";
import { ProtocolError } from "../../errors.ts";
import { type ConnectionLimits, DEFAULTS, resolveConnectionLimits } from "../../options.ts";
import type { Broadcast } from "../../outbox.ts";
import { encodeHead, parseLine, type RawFields } from "../../packet.ts";
import { Sweep } from "../../sweep.ts";
import type { Transport } from "../../transport.ts";
import type { Undelivered } from "../../window.ts";
import { Wire } from "../../wire.ts";
import { bytes } from "../support/bytes.ts";
import { FakeTime } from "../support/fake_time.ts";
import { settle, until, within } from "../support/wait.ts";

const TOKEN = "6a1f0f2e-9c1d-4c0b-8a53-0f2d7f3f8f11";
const { maxPacketBytes, replayPackets, replayBytes } = DEFAULTS;
const VOLATILE = { policy: "drop-oldest", key: "" } as const;
const PEER_LIMITS = { maxPacketBytes, replayPackets, replayBytes };

/** The other end of a wire: says what it is told to, and keeps what it hears. */
class ScriptedEnd implements Transport {
  readonly address = "memory";
  /** Called with what it hears, as it does. */
  onHeard = (_text: string) => {};
  readonly #chunks: (Uint8Array | null)[] = [];
  #next: PromiseWithResolvers<void> | undefined;
  #heard = "";
  isClosed = false;

  /** Says these lines, in one piece. */
  say(...lines: string[]): void {
    this.#push(bytes(lines.map((line) => line + "\n").join("")));
  }

  /** Ends its bytes. */
  fin(): void {
    this.#push(null);
  }

  /** What it has heard. */
  get heard(): RawFields[] {
    return this.#heard.split("\n").slice(0, -1).map((line) => parseLine(line));
  }

  /** The numbers of what it has heard that has one. */
  get seqs(): unknown[] {
    return this.heard.map(({ seq }) => seq).filter((seq) => seq !== undefined);
  }

  /** The last acknowledgement that it has heard. */
  get ack(): unknown {
    return this.heard.map(({ ack }) => ack).findLast((ack) => ack !== undefined);
  }

  async read(): Promise<Uint8Array | null> {
    while (this.#chunks.length === 0 && !this.isClosed) {
      this.#next = Promise.withResolvers();
      await this.#next.promise;
    }
    return this.#chunks.shift() ?? null;
  }

  write(bytes: Uint8Array): Promise<number> {
    const text = new TextDecoder().decode(bytes);
    this.#heard += text;
    this.onHeard(text);
    return Promise.resolve(bytes.length);
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.isClosed = true;
    this.#next?.resolve();
  }

  #push(chunk: Uint8Array | null): void {
    this.#chunks.push(chunk);
    this.#next?.resolve();
  }
}

/** A conversation of a session, and what becomes of it. */
class Scene implements AsyncDisposable {
  readonly conversation: Conversation;
  /** The end of its first wire. */
  readonly end = new ScriptedEnd();
  readonly handled: unknown[] = [];
  /** Called when one was. */
  onHandled = () => {};
  readonly events: string[] = [];
  /** What handlers of `wait` wait for. */
  readonly gate = Promise.withResolvers<void>();
  readonly #sweep = new Sweep();
  readonly #limits;

  constructor(limits: ConnectionLimits = {}) {
    this.#limits = resolveConnectionLimits(limits);
    const actions = new ActionTable();
    actions.bind("note", (data) => {
      this.handled.push(data);
      this.onHandled();
    });
    actions.bind("wait", (data) => {
      this.handled.push(data);
      return this.gate.promise;
    });
    const note = (what: string) => ({ code }: CloseInfo) =>
      void this.events.push(`${what} ${code}`);
    this.conversation = new Conversation(
      {
        id: "id",
        token: TOKEN,
        wire: this.#wire(this.end),
        peerLimits: PEER_LIMITS,
        hasSession: true,
        sweep: this.#sweep,
        limits: this.#limits,
        actions,
        onDetach: note("detached"),
      },
      {} as Peer,
      note("ended"),
    );
    this.conversation.inbox.startDispatch();
  }

  /** The peer comes back on another wire; this is how far it is. */
  resume(ack: number): ScriptedEnd {
    const end = new ScriptedEnd();
    this.conversation.resume(this.#wire(end), { ack });
    return end;
  }

  /** The session is lost: another one begins on another wire. */
  renew(): Undelivered {
    const wire = this.#wire(new ScriptedEnd());
    const agreement = { id: "next", token: TOKEN, wire, peerLimits: PEER_LIMITS, hasSession: true };
    return this.conversation.renew(agreement, "the session is gone");
  }

  /** Sends packets with this data. */
  send(...data: unknown[]): void {
    for (const one of data) this.conversation.send(encodeHead({ action: "note", data: one }));
  }

  /** Broadcasts packets with this data. */
  broadcast(...data: unknown[]): void {
    for (const one of chain(...data)) this.conversation.broadcast(one);
  }

  /** The peer's socket is gone. */
  async drop(end = this.end): Promise<void> {
    end.fin();
    await until(() => this.conversation.state === "detached", "the drop was seen");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.gate.resolve();
    this.conversation.abandon({ code: "CLOSED", reason: "the test is over" });
    await this.conversation.closed;
  }

  #wire(end: ScriptedEnd): Wire {
    const wire = new Wire(end, { limits: this.#limits, sweep: this.#sweep });
    // Nobody lingers here: the other end has nothing more to say after a goodbye.
    const { closeWrite } = end;
    end.closeWrite = () => {
      end.fin();
      return closeWrite.call(end);
    };
    return wire;
  }
}

function linesIn(text: string): number {
  return text.split("\n").length - 1;
}

/** Broadcasts of one turn. */
function chain(...data: unknown[]): Broadcast[] {
  const all: Broadcast[] = data.map((one) => ({
    head: encodeHead({ action: "note", data: one }),
    created: Date.now(),
    next: undefined,
  }));
  for (const [n, one] of all.entries()) one.next = all[n + 1];
  return all;
}

/** A packet of the peer's. */
function packet(seq: number, data: unknown = seq, more: Record<string, unknown> = {}): string {
  return JSON.stringify({ action: "note", data, token: TOKEN, seq, ...more });
}

Deno.test("on the next wire goes out what the peer has not handed over, and nothing else", async () => {
  await using scene = new Scene();
  scene.send("a", "b", "c");
  await settle();
  assertEquals(scene.end.seqs, [1, 2, 3]);
  await scene.drop();
  scene.send("d");
  const next = scene.resume(2);
  await settle();
  assertEquals(next.heard.map(({ seq, data }) => [seq, data]), [[3, "c"], [4, "d"]]);
  assertEquals([scene.conversation.stats.unacknowledged, scene.events], [2, [
    "detached CONNECTION_LOST",
  ]]);
});

Deno.test("what is resumed again and again, since nobody heard of it, uses nothing up", async () => {
  await using scene = new Scene();
  scene.send("a", "b");
  await scene.drop();
  for (let round = 0; round < 3; round++) {
    const lost = scene.resume(1);
    await settle();
    assertEquals(lost.seqs, [2]);
    await scene.drop(lost);
  }
  const last = scene.resume(1);
  last.say('{"action":"@ack","ack":2}');
  await until(() => scene.conversation.stats.unacknowledged === 0, "all was acknowledged");
  assertEquals(last.seqs, [2]);
});

Deno.test("a peer that comes back takes over: its earlier wire is told, and not heard any more", async () => {
  await using scene = new Scene();
  scene.end.say(packet(1));
  await until(() => scene.handled.length === 1, "the first was handled");
  const next = scene.resume(0);
  scene.end.say(packet(2, "from the earlier wire"), "no JSON");
  scene.end.fin();
  await settle();
  next.say(packet(2));
  await until(() => scene.handled.length === 2, "the second was handled");
  assertEquals([scene.handled, scene.events], [[1, 2], []]);
  const { action, data } = scene.end.heard.at(-1)!;
  assertEquals([action, (data as CloseInfo).code], ["@close", "TAKEN_OVER"]);
  assertEquals(scene.conversation.state, "open");
});

Deno.test("what is told is what handlers were called for, not what arrived", async () => {
  await using scene = new Scene({ maxInFlight: 1 });
  scene.end.say(packet(1, "slow", { action: "wait" }), packet(2), packet(3));
  await until(() => scene.conversation.inbox.length === 2, "all arrived");
  assertEquals([scene.handled, scene.conversation.handedOver], [["slow"], 1]);
  await scene.drop();
  scene.gate.resolve();
  await until(() => scene.handled.length === 3, "all were handled");
  assertEquals(scene.conversation.handedOver, 3);
});

Deno.test("what comes again is dropped, and acknowledged again", async () => {
  await using scene = new Scene();
  scene.end.say(packet(1), packet(2));
  await until(() => scene.handled.length === 2, "both were handled");
  await scene.drop();
  const next = scene.resume(0);
  next.say(packet(1), packet(2), packet(3), '{"action":"@ping","data":1}');
  await until(() => next.ack === 3, "all was acknowledged");
  assertEquals([scene.handled, scene.conversation.stats.ignored], [[1, 2, 3], 2]);
});

Deno.test("what nothing is known of yet is shared with no other conversation", async () => {
  await using one = new Scene();
  await using other = new Scene();
  one.conversation.undelivered.unsent.push({ kind: "packet", action: "note", data: 1 });
  assertEquals(other.conversation.undelivered, { unknown: [], unsent: [], forgotten: 0 });
});

Deno.test("whoever asked before a packet had its turn hears of it at once when it has", async () => {
  await using scene = new Scene({ maxInFlight: 1 });
  scene.end.say(packet(1, "slow", { action: "wait" }), packet(2), '{"action":"@ping"}');
  await until(() => scene.end.ack === 1, "the question was answered");
  scene.gate.resolve();
  await until(() => scene.handled.length === 2, "all were handled");
  await settle();
  assertEquals(scene.end.ack, 2);
});

Deno.test("a sender that waits while the window is not full asks for the acknowledgement, once a turn", async () => {
  await using scene = new Scene({ replayPackets: 2, replayBytes: 1_000 });
  const pings = () => scene.end.heard.filter(({ action }) => action === "@ping").length;
  scene.send("small");
  await settle();
  assertEquals(pings(), 0);
  scene.send("x".repeat(800), "y".repeat(800));
  await settle();
  assertEquals([pings(), scene.end.seqs], [1, [1]]);
  scene.end.say('{"action":"@pong","ack":1}');
  await until(() => pings() === 2, "the next one waits for this one");
  assertEquals(scene.end.seqs, [1, 2]);
  scene.end.say('{"action":"@pong","ack":2}');
  await until(() => scene.end.seqs.length === 3, "that went out, too");
  scene.end.say('{"action":"@ack","ack":3}');
  await settle();
  // What is full is acknowledged without being asked for.
  scene.send(1, 2, 3);
  await settle();
  assertEquals([pings(), scene.end.seqs], [2, [1, 2, 3, 4, 5]]);
});

Deno.test("a packet whose ack lets others go out is not acknowledged by those", async () => {
  await using scene = new Scene({ replayPackets: 1, maxInFlight: 1 });
  scene.send("a", "b");
  scene.end.say(packet(1, "slow", { action: "wait" }), packet(2, "waits", { ack: 1 }));
  await until(() => scene.end.seqs.length === 2, "the second went out");
  assertEquals([scene.end.ack, scene.conversation.inbox.length], [1, 1]);
});

Deno.test("whoever waits for one packet's delivery does not wait for that of those behind it", async () => {
  await using scene = new Scene({ replayPackets: 1 });
  scene.send("a");
  let isDelivered = false;
  const head = encodeHead({ action: "note", data: "b" });
  scene.conversation.send(head, { delivered: true }).then(() => isDelivered = true, () => {});
  scene.send("c");
  for (const ack of [1, 2]) {
    assertFalse(isDelivered);
    scene.end.say(`{"action":"@ack","ack":${ack}}`);
    await until(() => scene.end.seqs.length === ack + 1, "the next one went out");
    await settle();
  }
  assert(isDelivered);
});

Deno.test("a packet that is refused uses up its number, and one that fails is handed over", async () => {
  await using scene = new Scene();
  scene.end.say(packet(1), packet(2, 0, { action: "unbound" }));
  await until(() => scene.conversation.handedOver === 2, "both were handed over");
  scene.end.say(JSON.stringify({ action: 5, seq: 3 }));
  await until(() => scene.conversation.stats.refused === 1, "the third was refused");
  assertEquals([scene.handled, scene.conversation.handedOver], [[1], 3]);
});

Deno.test("a session can go on as long as it keeps what the peer lacks", async () => {
  await using scene = new Scene({ replayPackets: 2 });
  scene.broadcast(1);
  assert(scene.conversation.canResume(0));
  scene.broadcast(2, 3);
  assertEquals([0, 1, 2, 3].map((ack) => scene.conversation.canResume(ack)), [
    false,
    true,
    true,
    true,
  ]);
  const error = assertThrows(() => scene.conversation.canResume(4), ProtocolError);
  assertEquals(error.code, "PROTOCOL_ERROR");
});

Deno.test("an ack of what was never sent ends the session", async () => {
  await using scene = new Scene();
  scene.send("a");
  scene.end.say('{"action":"@ack","ack":2}');
  await until(() => scene.events.length > 0, "it ended");
  assertEquals([scene.events, scene.conversation.undelivered], [["ended PROTOCOL_ERROR"], {
    unknown: [{ kind: "packet", action: "note", data: "a" }],
    unsent: [],
    forgotten: 0,
  }]);
});

Deno.test("which goodbyes a session outlives", async () => {
  const goodbyes: Record<string, string> = {
    CONNECTION_LOST: "detached",
    HEARTBEAT_TIMEOUT: "detached",
    SLOW_CONSUMER: "detached",
    GOING_AWAY: "detached",
    HANDSHAKE_TIMEOUT: "detached",
    TAKEN_OVER: "ended",
    CLOSED: "ended",
    SESSION_LOST: "ended",
    PROTOCOL_ERROR: "ended",
    BAD_TOKEN: "ended",
    E_NEW: "ended",
  };
  for (const [code, end] of Object.entries(goodbyes)) {
    await using scene = new Scene();
    scene.end.say(JSON.stringify({ action: "@close", data: { code, reason: "x" } }));
    await until(() => scene.events.length > 0, "it was heard");
    assertEquals(scene.events, [`${end} ${code}`]);
    assertEquals(scene.conversation.hasSession, end === "detached");
  }
});

Deno.test("what is sent while nobody is there is unsent when the session ends after all", async () => {
  await using scene = new Scene();
  scene.send("a");
  await settle();
  await scene.drop();
  scene.send("b");
  scene.conversation.abandon({ code: "SESSION_LOST", reason: "too long" });
  const { unknown, unsent } = scene.conversation.undelivered;
  const dataOf = (lost: { data: unknown }[]) => lost.map(({ data }) => data);
  assertEquals([dataOf(unknown), dataOf(unsent)], [["a"], ["b"]]);
  assertFalse(scene.conversation.hasSession);
  assertEquals(scene.events, ["detached CONNECTION_LOST", "ended SESSION_LOST"]);
});

Deno.test("a delivery whose session is lost in the very turn it was sent rejects with SESSION_LOST", async () => {
  await using scene = new Scene();
  await scene.drop();
  const { conversation } = scene;
  const head = encodeHead({ action: "note", data: "lost" });
  const waiting = [conversation.send(head, { delivered: true }), conversation.delivered()];
  const { unsent } = scene.renew();
  const codes = waiting.map((one) => one.then(() => "resolved", ({ code }) => code));
  const outcomes = await within(Promise.all(codes), "both outcomes", 1_000);
  assertEquals(outcomes, ["SESSION_LOST", "SESSION_LOST"]);
  assertEquals(unsent.map(({ data }) => data), ["lost"]);
});

Deno.test("the broadcasts of a turn go to one peer after the other, and to each in one piece", async () => {
  await using one = new Scene();
  await using other = new Scene();
  const heard: string[] = [];
  one.end.onHeard = (text) =>
    heard.push(
      `one ${linesIn(text)}, other at ${other.conversation.session.delivery!.window.nextSeq}`,
    );
  other.end.onHeard = (text) => heard.push(`other ${linesIn(text)}`);
  for (const broadcast of chain("a", "b", "c")) {
    for (const { conversation } of [one, other]) {
      assertEquals(conversation.broadcast(broadcast), undefined);
    }
  }
  await settle();
  // Nothing waited there when the first of them came; the others had no number yet.
  assertEquals(heard, ["one 3, other at 2", "other 3"]);
  for (const { end } of [one, other]) {
    assertEquals(end.heard.map(({ seq, data }) => [seq, data]), [[1, "a"], [2, "b"], [3, "c"]]);
  }
});

Deno.test("what follows broadcasts in their turn arrives behind them", async () => {
  await using scene = new Scene();
  const { conversation, end } = scene;
  const reply = conversation.request(encodeHead({ action: "ask", data: "first" }));
  scene.broadcast("a", "b");
  scene.send("c");
  scene.broadcast("d", "e");
  conversation.ping({}).catch(() => {});
  scene.broadcast("f", "g");
  assertEquals(
    conversation.sendVolatile(encodeHead({ action: "note", data: "h" }), VOLATILE),
    undefined,
  );
  scene.broadcast("i", "j");
  const later = conversation.request(encodeHead({ action: "ask", data: "k" }));
  await settle();
  const told = end.heard.map(({ action, data }) => action === "@ping" ? action : data);
  assertEquals(told.join(" "), "first a b c d e @ping f g h i j k");
  assertEquals(end.seqs, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  for (const asked of [reply, later]) asked.catch(() => {});
});

Deno.test("what is counted in the turn of broadcasts counts them", async () => {
  await using scene = new Scene();
  scene.broadcast("a", "b", "c");
  const { packetsSent, unacknowledged, buffered } = scene.conversation.stats;
  await settle();
  const { bytesSent } = scene.conversation.stats;
  assertEquals([packetsSent, unacknowledged, buffered], [3, 3, bytesSent]);
});

Deno.test("a wire that ends in the turn of broadcasts loses none of them", async () => {
  await using scene = new Scene();
  scene.broadcast("a", "b", "c");
  const next = scene.resume(0);
  await settle();
  assertEquals(next.heard.map(({ seq, data }) => [seq, data]), [[1, "a"], [2, "b"], [3, "c"]]);
});

Deno.test("a session that ends in the turn of broadcasts tells of them", async () => {
  await using scene = new Scene();
  scene.broadcast("a", "b", "c");
  scene.conversation.abandon({ code: "CLOSED", reason: "enough" });
  const { unknown, unsent } = scene.conversation.undelivered;
  assertEquals([...unknown, ...unsent].map(({ data }) => data), ["a", "b", "c"]);
  await settle();
  const told = scene.end.heard.map(({ action, data }) => action === "note" ? data : action);
  assertEquals(told, ["a", "b", "c", "@close"]);
});

Deno.test("a window that broadcasts fill is watched from their turn on, whatever else is done in it", async () => {
  const others: Record<string, (conversation: Conversation) => unknown> = {
    nothing: () => {},
    delivered: (conversation) => conversation.delivered().catch(() => {}),
    stats: (conversation) => conversation.stats,
    ping: (conversation) => conversation.ping({}).catch(() => {}),
    volatile: (conversation) =>
      conversation.sendVolatile(encodeHead({ action: "note", data: 0 }), VOLATILE),
  };
  for (const [name, other] of Object.entries(others)) {
    using time = new FakeTime({ withDate: true });
    await using scene = new Scene({ replayPackets: 3, stallTimeoutMs: 2_000 });
    scene.broadcast("a", "b", "c");
    other(scene.conversation);
    await settle();
    time.advance(2_500);
    assertEquals(scene.events, ["detached SLOW_CONSUMER"], name);
  }
});

Deno.test("broadcasts of one turn acknowledge what came: nothing says it besides", async () => {
  await using scene = new Scene();
  const broadcasts = chain(...Array(600).keys());
  scene.onHandled = () => void scene.conversation.broadcast(broadcasts[scene.handled.length - 1]);
  scene.end.say(...broadcasts.map((_, n) => packet(n + 1)));
  await until(() => scene.end.seqs.length === 600, "all were answered");
  assertEquals(scene.end.ack, 600);
  assertEquals(scene.end.heard.filter(({ action }) => action !== "note"), []);
});

Deno.test("a broadcast while a write is under way goes out behind it, if nothing else does", async () => {
  await using scene = new Scene();
  const write = scene.end.write.bind(scene.end);
  const gate = Promise.withResolvers<void>();
  scene.end.write = async (bytes) => {
    await gate.promise;
    return await write(bytes);
  };
  scene.send("a");
  await settle();
  scene.broadcast("b");
  gate.resolve();
  await settle();
  assertEquals(scene.end.heard.map(({ data }) => data), ["a", "b"]);
});

Deno.test("a conversation that has ended is sent no broadcast, and says why", async () => {
  await using scene = new Scene();
  scene.broadcast("a");
  scene.conversation.abandon({ code: "CLOSED", reason: "enough" });
  const [one] = chain("b");
  assertEquals(scene.conversation.broadcast(one)?.code, "CLOSED");
});

Deno.test("what its loops wait for counts the broadcasts of the turn", async () => {
  await using scene = new Scene();
  scene.broadcast("a", "b", "c");
  const { loops, stats } = scene.conversation;
  const waitsFor = `the peer to take ${stats.buffered} bytes`;
  assertEquals(loops.find(({ loop }) => loop === "write")?.waitsFor, waitsFor);
});
