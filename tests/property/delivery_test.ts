// Two sides of a session, joined by wires that are cut anywhere, against a model that sees everything.

import { assert, assertEquals, assertFalse } from "@std/assert";
import fc from "fast-check";
import { ConnectionError } from "../../errors.ts";
import { Outbox } from "../../outbox.ts";
import { encodeHead, parseLine, type RawFields, utf8Length } from "../../packet.ts";
import { ReplayBudget } from "../../replay_budget.ts";
import { beginDelivery, Session } from "../../session.ts";
import type { Entry, LostPacket, WindowLimits } from "../../window.ts";
import type { Wire } from "../../wire.ts";
import { Clock } from "../support/clock.ts";

/** One direction of a wire: what one side writes, and how much of it the other has read. */
class Line {
  readonly buffered = 0;
  readonly maxBuffered = 0;
  readonly isCongested = false;
  linesQueued = 0;
  /** Up to where the other side has read. */
  linesRead = 0;
  /** The numbers of its lines, of those that have one. */
  readonly seqs: unknown[] = [];
  /** Whether what is written still arrives. */
  isCut = false;
  readonly inFlight: { line: string; end: number }[] = [];
  readonly #onWrite: (fields: RawFields, line: string) => void;

  constructor(onWrite: (fields: RawFields, line: string) => void) {
    this.#onWrite = onWrite;
  }

  write(line: string): void {
    const fields = parseLine(line);
    this.#onWrite(fields, line);
    this.seqs.push(fields.seq);
    this.linesQueued++;
    if (!this.isCut) this.inFlight.push({ line, end: this.linesQueued });
  }
}

/** What was sent, as the model remembers it. */
interface Sent {
  data: number;
  kind: LostPacket["kind"];
  signal: AbortController;
  isWaiting: boolean;
}

/** What arrived for the first time. */
interface Received {
  data: number;
  fields: RawFields;
  isHandedOver: boolean;
}

/** One side. */
class Side {
  readonly session: Session<unknown>;
  readonly outbox: Outbox;
  readonly #limits: WindowLimits;
  readonly #peerLimits: WindowLimits;
  /** What it writes on, until it notices that nobody is there. */
  line: Line | undefined;
  /** All that it has sent and not called off, in order: the n-th bears the number n. */
  readonly sent: Sent[] = [];
  /** All that has arrived, each the first time. */
  readonly received: Received[] = [];
  /** The highest number that was pushed out of its window unacknowledged. */
  evicted = 0;
  /** The highest number that was offered to a wire, as far as that is known since the wire dropped. */
  offered = 0;
  /** What the other side was told last. */
  told = 0;
  /** What it wrote under each number the first time, except how far it had come. */
  readonly #written = new Map<unknown, RawFields>();
  #lastData = 0;
  #lastId = 0;

  constructor(limits: WindowLimits, peerLimits: WindowLimits, budget: ReplayBudget | undefined) {
    this.#limits = limits;
    this.#peerLimits = peerLimits;
    this.session = new Session(1_000, beginDelivery(limits, peerLimits, budget));
    this.outbox = new Outbox(this.session, { token: null, maxPacketBytes: 1e6 }, {
      maxBufferedBytes: 1e9,
      maxVolatileBytes: 1,
    });
  }

  get window() {
    return this.session.delivery!.window;
  }

  get arrivals() {
    return this.session.delivery!.arrivals;
  }

  /** Up to which number all was handed over, by the model's count. */
  get handedOver(): number {
    const first = this.received.findIndex(({ isHandedOver }) => !isHandedOver);
    return first === -1 ? this.received.length : first;
  }

  /** What its window holds, in bytes on the wire. */
  get heldBytes(): number {
    return [...this.window].reduce((sum, entry) => sum + bytesOf(entry), 0);
  }

  send(how: How, text: string): void {
    const data = ++this.#lastData;
    const head = encodeHead({ action: "a", data: [data, text] });
    const kind = how === "direct" || how === "broadcast" ? "packet" : how;
    const sent: Sent = { data, kind, signal: new AbortController(), isWaiting: false };
    this.sent.push(sent);
    if (how === "direct") {
      const entered = this.outbox.send(head, sent.signal.signal);
      sent.isWaiting = entered !== undefined;
      entered?.catch(() => {});
      if (!sent.isWaiting) assert(this.#isWithinLimits, "it did not wait for room");
    } else {
      const id = ++this.#lastId;
      const error = how === "broadcast"
        ? this.outbox.broadcast({ head, created: Date.now() })
        : this.outbox[how === "request" ? "request" : "reply"](head, id);
      assertEquals(error, undefined);
      if (how === "broadcast") assert(this.#isWithinLimits, "it pushed nothing out");
    }
    this.#countNumbered();
  }

  /** Calls off the first that waits, if one does. */
  callOff(): boolean {
    const at = this.sent.findIndex(({ isWaiting }) => isWaiting);
    if (at === -1) return false;
    this.sent.splice(at, 1)[0].signal.abort("called off");
    this.#countNumbered();
    return true;
  }

  receive(line: string): void {
    const fields = parseLine(line);
    const isNew = this.session.receive(fields.seq, fields.ack);
    this.outbox.admit();
    this.#countNumbered();
    if (isNew && fields.seq !== undefined) {
      const [data] = fields.data as [number];
      const isReply = fields["reply-to"] !== undefined;
      this.received.push({ data, fields, isHandedOver: isReply });
      if (isReply) this.arrivals.pass(line.length);
      else this.arrivals.hold(fields, line.length);
    }
    this.#check();
  }

  /** Handlers take so many packets. */
  handOver(count: number): void {
    for (const received of this.received.filter((one) => !one.isHandedOver).slice(0, count)) {
      received.isHandedOver = true;
      this.arrivals.handOver(received.fields);
      this.#check();
    }
  }

  /** An acknowledgement has waited for traffic long enough. */
  tick(): void {
    if (this.arrivals.isAckOwed) this.#acknowledge();
  }

  /** Its wire has dropped, and may have brought this share of what was not read. */
  detach(share: number): void {
    if (!this.line) return;
    const { linesQueued, linesRead, seqs } = this.line;
    const offered = linesRead + Math.floor(share * (linesQueued - linesRead));
    this.outbox.detach(offered);
    for (const seq of seqs.slice(0, offered)) {
      this.offered = Math.max(this.offered, seq as number | undefined ?? 0);
    }
    this.line = undefined;
  }

  /** Goes on over a new wire, from what the other side has. */
  resume(ack: number): void {
    this.window.acknowledge(ack);
    this.#countNumbered();
    this.told = this.arrivals.takeAck();
    assertEquals(this.told, this.handedOver);
    this.attach(ack);
  }

  /** Begins on a wire; on it goes what comes after this number, each once. */
  attach(ack: number): void {
    const last = this.window.nextSeq - 1;
    const written: unknown[] = [];
    this.line = new Line((fields, line) => {
      const { seq, ack = 0 } = fields;
      if (seq !== undefined) {
        written.push(seq);
        this.#noteWritten(fields, line);
      }
      // Also what goes out again says nothing but what was true.
      assert(ack as number <= this.handedOver, `${ack} acknowledged of ${this.handedOver}`);
      this.told = Math.max(this.told, ack as number);
    });
    this.outbox.attach(this.line as unknown as Wire);
    this.#countNumbered();
    assertEquals(written.slice(0, last - ack), range(ack + 1, last));
    assertEquals(written, range(ack + 1, this.window.nextSeq - 1));
    this.noteEvicted();
  }

  /** What it writes again is what it was, also by the measure of its window. */
  #noteWritten(fields: RawFields, line: string): void {
    const { seq, ack: _, ...lasting } = fields;
    const before = this.#written.get(seq);
    if (before) assertEquals(lasting, before);
    else this.#written.set(seq, lasting);
    // It may have been pushed out by itself.
    const entry = [...this.window].find((entry) => entry.seq === seq);
    if (entry && !before) assertEquals(bytesOf(entry), utf8Length(line) + 1);
    else if (entry) assert(bytesOf(entry) > utf8Length(line));
  }

  /** Whether its window lacks something that comes after this number. */
  lacksAfter(ack: number): boolean {
    const kept = new Set([...this.window].map(({ seq }) => seq));
    return range(ack + 1, this.window.nextSeq - 1).some((seq) => !kept.has(seq));
  }

  /** What must hold at any time. */
  assertSound(peer: Side): void {
    const { window, arrivals } = this;
    // What was received is what was sent, each once and in order.
    assertEquals(
      this.received.map(({ data }) => data),
      peer.sent.slice(0, this.received.length).map(({ data }) => data),
    );
    assertEquals(arrivals.handedOver, this.handedOver);
    assert(window.acknowledged <= peer.handedOver);
    // The window holds the newest without a gap, and lacks only what it pushed out.
    const kept = [...window].map(({ seq }) => seq);
    const first = kept[0] ?? window.nextSeq;
    assertEquals(kept, range(first, window.nextSeq - 1));
    assert(first <= window.acknowledged + 1 || first <= this.evicted + 1);
    assertEquals(window.reaches(peer.handedOver), !this.lacksAfter(peer.handedOver));
    assert(window.maxBytes >= this.heldBytes);
    assertEquals(window.maxBytes, [...window].reduce((sum, { bytes }) => sum + bytes, 0));
    // Those that wait are the last, and something will come that makes room.
    const waiting = this.sent.slice(window.nextSeq - 1);
    assert(waiting.every(({ isWaiting }) => isWaiting));
    if (waiting.length > 0) assert(!window.isSettled);
    // No more is left unsaid than may be.
    const may = Math.min(64, Math.max(1, Math.floor(this.#peerLimits.replayPackets / 4)));
    if (this.line) assert(this.handedOver - this.told < may, "an acknowledgement is overdue");
  }

  /** Notes what was pushed out of the window since it was asked last. */
  noteEvicted(): void {
    const first = [...this.window][0]?.seq ?? this.window.nextSeq;
    if (first - 1 > this.window.acknowledged) this.evicted = Math.max(this.evicted, first - 1);
  }

  /** Ends the session. Returns whether the lists were of any interest. */
  end(peer: Side): { unknown: number; unsent: number; forgotten: number } {
    this.noteEvicted();
    this.detach(0.5);
    const { acknowledged } = this.window;
    const { unknown, unsent, forgotten } = this.outbox.end(
      new ConnectionError("SESSION_LOST", "over"),
    );
    const all = this.sent.map(({ data, kind }) => [data, kind]);
    assertEquals(
      [...unknown, ...unsent].map(({ data, kind }) => [(data as [number])[0], kind]),
      all.slice(acknowledged + forgotten),
    );
    assertEquals(acknowledged + forgotten + unknown.length + unsent.length, all.length);
    assertEquals(unknown.length, Math.max(0, this.offered - acknowledged - forgotten));
    const seen = new Set(peer.received.map(({ data }) => data));
    for (const { data } of unsent) assertFalse(seen.has((data as [number])[0]), "it was seen");
    assertEquals(forgotten, Math.max(0, this.evicted - acknowledged));
    return { unknown: unknown.length, unsent: unsent.length, forgotten };
  }

  /** Counts the bytes of its window, which otherwise goes by their bound for as long as that does. */
  count(): void {
    const { heldBytes } = this;
    assertEquals([this.window.bytes, this.window.maxBytes], [heldBytes, heldBytes]);
  }

  get #isWithinLimits(): boolean {
    const { replayPackets, replayBytes } = this.#limits;
    const { length } = this.window;
    return length <= 1 || (length <= replayPackets && this.heldBytes <= replayBytes);
  }

  /** Those that have a number by now do not wait any more. */
  #countNumbered(): void {
    for (const sent of this.sent.slice(0, this.window.nextSeq - 1)) sent.isWaiting = false;
  }

  #check(): void {
    if (this.arrivals.isAckDue) this.#acknowledge();
  }

  #acknowledge(): void {
    if (this.line) this.outbox.sendControl("@ack", undefined, this.arrivals.takeAck());
  }
}

/** What an entry is on the wire, by what is known of its parts. */
function bytesOf({ head, tailLength }: Entry): number {
  return utf8Length(head) + tailLength + 1;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => from + n);
}

/** A side by its index. */
type Who = 0 | 1;

type How = "direct" | "request" | "reply" | "broadcast";

type Step =
  | { do: "send"; who: Who; how: How; text: string }
  | { do: "callOff"; who: Who }
  | { do: "carry"; who: Who; count: number }
  | { do: "handOver"; who: Who; count: number }
  | { do: "tick"; who: Who }
  | { do: "count"; who: Who }
  | { do: "cut"; arrives: [number, number]; notices: [boolean, boolean]; share: number }
  | { do: "notice"; who: Who; share: number }
  | { do: "resume"; meanwhile: number; isAnswerLost: boolean; share: number };

interface Terms {
  limits: [WindowLimits, WindowLimits];
  /** Whether broadcasts push out what is unacknowledged, and how much all windows may hold. */
  evicts: boolean;
  budget: number;
}

/** How often each thing happened: a property that never sees it is worth nothing. */
type Tally = Record<
  "resumed" | "lostAnswers" | "overflows" | "duplicates" | "unknown" | "unsent" | "forgotten",
  number
>;

/** The first side is the client: it is the one that comes back. */
class Scene {
  readonly sides: [Side, Side];
  readonly #terms: Terms;
  readonly #budget: ReplayBudget | undefined;
  readonly #tally: Tally;
  /** Whether the session could not go on. */
  isLost = false;

  constructor(terms: Terms, tally: Tally) {
    const { limits: [own, peer], evicts, budget } = terms;
    const shared = evicts ? new ReplayBudget(budget) : undefined;
    this.sides = [new Side(own, peer, shared), new Side(peer, own, shared)];
    this.#budget = shared;
    this.#terms = terms;
    this.#tally = tally;
    for (const side of this.sides) side.attach(0);
  }

  play(step: Step): void {
    if (this.isLost) return;
    const [client, server] = this.sides;
    switch (step.do) {
      case "send": {
        const { how } = step;
        this.sides[step.who].send(
          how === "broadcast" && !this.#terms.evicts ? "request" : how,
          step.text,
        );
        break;
      }
      case "callOff":
        this.sides[step.who].callOff();
        break;
      case "carry":
        this.#carry(step.who, step.count);
        break;
      case "handOver":
        this.sides[step.who].handOver(step.count);
        break;
      case "tick":
        this.sides[step.who].tick();
        break;
      case "count":
        this.sides[step.who].count();
        break;
      case "cut": {
        if (client.line?.isCut !== false) break;
        for (const who of [0, 1] as const) this.#carry(who, step.arrives[who]);
        for (const who of [0, 1] as const) {
          const side = this.sides[who];
          side.line!.isCut = true;
          if (step.notices[who]) side.detach(step.share);
        }
        break;
      }
      case "notice":
        if (this.sides[step.who].line?.isCut) this.sides[step.who].detach(step.share);
        break;
      case "resume": {
        if (client.line && !client.line.isCut) break;
        client.detach(step.share);
        const ack = client.arrivals.handedOver;
        client.handOver(step.meanwhile);
        if (!this.#canResume(server, ack)) return;
        // If it has not noticed yet that its wire is gone, it is told so now.
        server.detach(step.share);
        const { handedOver } = server.arrivals;
        server.resume(ack);
        this.#tally.resumed++;
        if (step.isAnswerLost) {
          this.#tally.lostAnswers++;
          server.line!.isCut = true;
          server.line!.inFlight.length = 0;
          break;
        }
        if (!this.#canResume(client, handedOver)) return;
        client.resume(handedOver);
        break;
      }
    }
    this.#check();
  }

  /** Lets all that is under way come to its end, as far as it can. */
  drain(): void {
    const rounds = 10 + 4 * this.sides.reduce((sum, { sent }) => sum + sent.length, 0);
    for (
      let round = 0;
      !this.isLost &&
      this.sides.some(({ outbox, window }) => outbox.buffered > 0 || !window.isSettled);
      round++
    ) {
      assert(round < rounds, "it never comes to an end");
      this.play({ do: "resume", meanwhile: 0, isAnswerLost: false, share: 0 });
      for (const who of [0, 1] as const) {
        this.play({ do: "carry", who, count: Infinity });
        this.play({ do: "handOver", who, count: Infinity });
        this.play({ do: "tick", who });
      }
    }
  }

  end(): void {
    const [client, server] = this.sides;
    for (const left of [client.end(server), server.end(client)]) {
      this.#tally.unknown += left.unknown;
      this.#tally.unsent += left.unsent;
      this.#tally.forgotten += left.forgotten;
    }
  }

  #canResume(side: Side, ack: number): boolean {
    const can = side.window.reaches(ack);
    assertEquals(can, !side.lacksAfter(ack));
    if (!this.#terms.evicts) assert(can, "nothing was pushed out, and something is missing");
    if (!can) {
      this.isLost = true;
      this.#tally.overflows++;
      this.end();
    }
    return can;
  }

  /** What one side wrote comes to the other: so many lines of it. */
  #carry(who: Who, count: number): void {
    const { line } = this.sides[who];
    const other = this.sides[1 - who];
    for (let n = 0; n < count && line && line.inFlight.length > 0 && !line.isCut; n++) {
      const arrived = line.inFlight.shift()!;
      line.linesRead = arrived.end;
      const before = other.received.length;
      const { seq } = parseLine(arrived.line);
      other.receive(arrived.line);
      if (seq !== undefined && other.received.length === before) this.#tally.duplicates++;
      this.#check();
    }
  }

  #check(): void {
    const [client, server] = this.sides;
    client.noteEvicted();
    server.noteEvicted();
    client.assertSound(server);
    server.assertSound(client);
    if (this.#budget) {
      assertEquals(this.#budget.bytes, client.window.maxBytes + server.window.maxBytes);
      assert(this.#budget.bytes <= this.#terms.budget);
    }
  }
}

// What is played

const who = fc.constantFrom<Who>(0, 1);
const share = fc.constantFrom(0, 0.3, 0.9, 1);
const count = fc.constantFrom(1, 1, 2, 3, 8);
const how = fc.constantFrom<How>(
  "direct",
  "direct",
  "request",
  "reply",
  "broadcast",
);
const text = fc.tuple(fc.constantFrom("x", "é", "€", "😀"), fc.constantFrom(0, 10, 100, 900))
  .map(([char, bytes]) => char.repeat(bytes / utf8Length(char)));

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("send" as const), who, how, text }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("carry" as const), who, count }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("handOver" as const), who, count }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("tick" as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("count" as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("callOff" as const), who }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("cut" as const),
      arrives: fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 4 })),
      notices: fc.tuple(fc.boolean(), fc.boolean()),
      share,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("notice" as const), who, share }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("resume" as const),
      meanwhile: fc.nat({ max: 3 }),
      isAnswerLost: fc.boolean(),
      share,
    }),
  },
);

const limits: fc.Arbitrary<WindowLimits> = fc.record({
  replayPackets: fc.constantFrom(1, 2, 3, 8, 20, 200),
  replayBytes: fc.constantFrom(1, 400, 2_000, 1_000_000),
});

const steps = fc.array(step, { minLength: 5, maxLength: 80, size: "max" });

/** Plays many scenes out. Returns how often each thing happened. */
function play(evicts: boolean, runs: number, finish: (scene: Scene) => void): Tally {
  const tally: Tally = {
    resumed: 0,
    lostAnswers: 0,
    overflows: 0,
    duplicates: 0,
    unknown: 0,
    unsent: 0,
    forgotten: 0,
  };
  const budget = fc.constantFrom(500, 3_000, 1_000_000);
  fc.assert(
    fc.property(fc.tuple(limits, limits), budget, steps, (limits, budget, steps) => {
      using clock = new Clock();
      const scene = new Scene({ limits, evicts, budget }, tally);
      for (const step of steps) {
        clock.now++;
        scene.play(step);
      }
      finish(scene);
    }),
    { numRuns: runs },
  );
  return tally;
}

Deno.test("however wires are cut, everything arrives once and in order, on both sides", () => {
  const { resumed, lostAnswers, duplicates } = play(false, 400, (scene) => {
    scene.drain();
    const [client, server] = scene.sides;
    for (const [side, peer] of [[client, server], [server, client]]) {
      assertEquals(
        peer.received.map(({ data }) => data),
        side.sent.map(({ data }) => data),
      );
      assertEquals(side.window.acknowledged, side.sent.length);
      assertEquals([side.window.length, side.window.bytes, side.outbox.buffered], [0, 0, 0]);
      assertEquals(peer.handedOver, side.sent.length);
    }
  });
  assert(resumed > 400 && lostAnswers > 100 && duplicates > 200);
});

Deno.test("where too much was pushed out that is found at once, and nothing is missing otherwise", () => {
  const { resumed, overflows, forgotten } = play(true, 400, (scene) => {
    scene.drain();
    if (scene.isLost) return;
    const [client, server] = scene.sides;
    assertEquals([client.received.length, server.received.length], [
      server.sent.length,
      client.sent.length,
    ]);
  });
  assert(resumed > 200 && overflows > 50 && forgotten > 50);
});

Deno.test("wherever a session ends, what is unknown and what is unsent is told exactly", () => {
  for (const evicts of [false, true]) {
    const { unknown, unsent } = play(evicts, 200, (scene) => {
      if (!scene.isLost) scene.end();
    });
    assert(unknown > 200 && unsent > 200);
  }
});
