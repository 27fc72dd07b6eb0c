import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { ProtocolError } from "../../errors.ts";
import { encodeErrorHead, encodeHead, encodeTail } from "../../packet.ts";
import { ReplayBudget } from "../../replay_budget.ts";
import { lostPacket, Window, type WindowLimits } from "../../window.ts";

const LIMITS: WindowLimits = { replayPackets: 4, replayBytes: 100 };

/** The line of a packet whose data is this. */
function lineOf(data: unknown): string {
  return encodeHead({ action: "a", data }) + encodeTail({ created: 0, token: null });
}

/** A window that holds so many lines of 10 bytes, written one behind the other. */
function windowOf(count: number, limits = LIMITS, budget?: ReplayBudget): Window {
  const window = new Window(limits, budget);
  for (let n = 0; n < count; n++) send(window);
  return window;
}

/** Adds a line and puts it on the wire, right behind those before it. */
function send(window: Window, bytes = 10) {
  const { nextSeq } = window;
  const entry = window.add(lineOf(nextSeq), bytes);
  window.written(entry, (nextSeq - 1) * 10);
  return entry;
}

function seqs(window: Window): number[] {
  return [...window].map(({ seq }) => seq);
}

function refusal(act: () => unknown): string {
  return assertThrows(act, ProtocolError).code;
}

/** Whether it has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let isSettled = false;
  promise.then(() => isSettled = true);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  return isSettled;
}

Deno.test("what is sent is numbered 1, 2, 3 and kept until it is acknowledged", () => {
  const window = new Window(LIMITS);
  assertEquals([window.nextSeq, window.acknowledged, window.isSettled], [1, 0, true]);
  for (const seq of [1, 2, 3]) assertEquals(send(window).seq, seq);
  assertEquals([window.length, window.bytes, window.nextSeq, window.isSettled], [3, 30, 4, false]);
  assert(window.acknowledge(2));
  assertEquals([seqs(window), window.bytes, window.acknowledged], [[3], 10, 2]);
  assertFalse(window.isSettled);
  assert(window.acknowledge(3));
  assertEquals([seqs(window), window.bytes, window.isSettled], [[], 0, true]);
  assertEquals(send(window).seq, 4);
});

Deno.test("what it holds can be looked through in order, as it goes out again", () => {
  const window = windowOf(3);
  const entries = [...window];
  assertEquals(entries.map(({ seq, line, bytes }) => [seq, line, bytes]), [
    [1, lineOf(1), 10],
    [2, lineOf(2), 10],
    [3, lineOf(3), 10],
  ]);
});

Deno.test("an ack that says nothing new, or goes backwards, is ignored", () => {
  const window = windowOf(3);
  assert(window.acknowledge(2));
  for (const ack of [2, 1, 0]) assertFalse(window.acknowledge(ack));
  assertEquals([seqs(window), window.acknowledged, window.bytes], [[3], 2, 10]);
});

Deno.test("an ack above what was written is refused, and changes nothing", () => {
  const window = windowOf(2);
  // One that waits for a wire was sent to nobody yet.
  window.add(lineOf(3), 10);
  assertEquals(refusal(() => window.acknowledge(3)), "PROTOCOL_ERROR");
  assertEquals(refusal(() => window.reaches(3)), "PROTOCOL_ERROR");
  assertEquals([seqs(window), window.acknowledged], [[1, 2, 3], 0]);
  assert(window.acknowledge(2));
  assert(window.reaches(2));
});

Deno.test("what was numbered behind what is written was not written with it", () => {
  const window = new Window(LIMITS);
  const [one, two] = [window.add(lineOf(1), 10), window.add(lineOf(2), 10)];
  window.written(one, 0);
  assertEquals(refusal(() => window.acknowledge(2)), "PROTOCOL_ERROR");
  window.written(two, 10);
  // That the first goes out again does not take back that the second was there.
  window.detach(20);
  window.written(one, 0);
  assert(window.reaches(2));
  assert(window.acknowledge(2));
});

Deno.test("before anything was sent, only an ack of 0 can be", () => {
  const window = new Window(LIMITS);
  assertFalse(window.acknowledge(0));
  assert(window.reaches(0));
  assertEquals(refusal(() => window.acknowledge(1)), "PROTOCOL_ERROR");
});

Deno.test("an ack that is no integer from 0 is refused", () => {
  const window = windowOf(3);
  for (const ack of [-1, 1.5, NaN, Infinity, 2 ** 53, "1", null, undefined, true, [1], {}]) {
    assertEquals(refusal(() => window.acknowledge(ack)), "PROTOCOL_ERROR");
    assertEquals(refusal(() => window.reaches(ack)), "PROTOCOL_ERROR");
  }
  assertEquals([seqs(window), window.acknowledged], [[1, 2, 3], 0]);
});

Deno.test("what was written on an earlier wire may be acknowledged on the next", () => {
  const window = windowOf(3);
  window.detach(30);
  assert(window.reaches(3));
  assert(window.acknowledge(3));
  assert(window.isSettled);
});

// Room

Deno.test("a window has room up to its packets and its bytes, and an empty one for any line", () => {
  const window = new Window(LIMITS);
  assert(window.hasRoomFor(1_000_000));
  send(window, 60);
  assert(window.hasRoomFor(40));
  assertFalse(window.hasRoomFor(41));
  for (let n = 0; n < 3; n++) send(window, 1);
  assertFalse(window.hasRoomFor(1));
  window.acknowledge(1);
  assert(window.hasRoomFor(97));
  assertFalse(window.hasRoomFor(98));
});

Deno.test("a window is full at its packets or at its bytes", () => {
  const window = windowOf(3);
  assertFalse(window.isFull);
  send(window);
  assert(window.isFull);
  window.acknowledge(1);
  assertFalse(window.isFull);
  const large = new Window(LIMITS);
  send(large, 99);
  assertFalse(large.isFull);
  send(large, 1);
  assert(large.isFull);
});

Deno.test("a window takes in whatever it is given, full or not", () => {
  const window = windowOf(9);
  assertEquals([window.length, window.bytes], [9, 90]);
});

// Pushing out

Deno.test("trimmed to its bounds a window lets go of the oldest alone", () => {
  const window = windowOf(6);
  window.trim();
  assertEquals([seqs(window), window.bytes], [[3, 4, 5, 6], 40]);
  const large = new Window(LIMITS);
  for (const bytes of [50, 40, 10, 30]) send(large, bytes);
  large.trim();
  assertEquals([seqs(large), large.bytes], [[2, 3, 4], 80]);
});

Deno.test("a window within its bounds is not trimmed", () => {
  const window = new Window(LIMITS);
  for (const bytes of [70, 10, 10, 10]) send(window, bytes);
  window.trim();
  assertEquals([seqs(window), window.bytes], [[1, 2, 3, 4], 100]);
});

Deno.test("the newest is kept however large it is", () => {
  const window = windowOf(3);
  send(window, 5_000);
  window.trim();
  assertEquals(seqs(window), [4]);
  window.trim();
  assertEquals(seqs(window), [4]);
});

Deno.test("a window that gives way lets go of at least half of its bytes, the oldest first", () => {
  const window = new Window(LIMITS);
  for (const bytes of [10, 10, 30, 50]) send(window, bytes);
  window.giveWay();
  assertEquals([seqs(window), window.bytes], [[4], 50]);
  for (let time = 0; time < 2; time++) {
    window.giveWay();
    assertEquals([seqs(window), window.bytes], [[], 0]);
  }
  assert(window.reaches(4));
});

Deno.test("what comes after an ack is all here exactly while nothing after it was pushed out", () => {
  const window = windowOf(6);
  assert(window.reaches(0));
  window.trim();
  // Now 1 and 2 are gone.
  assertFalse(window.reaches(0));
  assertFalse(window.reaches(1));
  assert(window.reaches(2));
  assert(window.reaches(6));
  // What is acknowledged is not needed any more.
  window.acknowledge(4);
  assert(window.reaches(4));
});

Deno.test("what was pushed out may be acknowledged all the same", () => {
  const window = windowOf(6);
  window.trim();
  assert(window.acknowledge(1));
  assertEquals([seqs(window), window.acknowledged], [[3, 4, 5, 6], 1]);
  assert(window.acknowledge(6));
  assertEquals([window.length, window.isSettled], [0, true]);
});

Deno.test("a window that gave everything away is settled only when all was acknowledged", () => {
  const window = windowOf(2);
  window.giveWay();
  window.giveWay();
  assertEquals([window.length, window.isSettled], [0, false]);
  window.acknowledge(2);
  assert(window.isSettled);
});

Deno.test("an ack lets go of nothing twice", () => {
  const window = windowOf(6);
  window.trim();
  window.acknowledge(4);
  assertEquals([seqs(window), window.bytes], [[5, 6], 20]);
});

// A budget that is shared

Deno.test("what windows hold is what their budget counts, however they let go of it", () => {
  const budget = new ReplayBudget(1_000);
  const [a, b] = [windowOf(6, LIMITS, budget), windowOf(3, LIMITS, budget)];
  const sum = () => a.bytes + b.bytes;
  assertEquals([budget.bytes, sum()], [90, 90]);
  a.trim();
  assertEquals([budget.bytes, sum()], [70, 70]);
  b.acknowledge(2);
  assertEquals([budget.bytes, sum()], [50, 50]);
  a.giveWay();
  assertEquals([budget.bytes, sum()], [30, 30]);
  b.end("over");
  assertEquals([budget.bytes, sum()], [20, 20]);
  a.end("over");
  assertEquals(budget.bytes, 0);
});

Deno.test("beyond the budget the largest window loses its oldest, and can say so", () => {
  const budget = new ReplayBudget(60);
  const [small, large] = [windowOf(2, LIMITS, budget), windowOf(4, LIMITS, budget)];
  send(small);
  assertEquals([seqs(small), seqs(large)], [[1, 2, 3], [3, 4]]);
  assertEquals([small.reaches(0), large.reaches(0), large.reaches(2)], [true, false, true]);
});

Deno.test("a line that alone is more than the budget is numbered, and not kept", () => {
  const window = new Window(LIMITS, new ReplayBudget(60));
  const entry = send(window, 61);
  assertEquals([entry.seq, window.length, window.bytes, window.nextSeq], [1, 0, 0, 2]);
  assertFalse(window.reaches(0));
  assert(window.acknowledge(1));
  assert(window.isSettled);
});

// Waiting

Deno.test("whoever waits for delivery waits for all that was numbered until then, and no more", async () => {
  const window = windowOf(2);
  const two = window.whenDelivered();
  send(window);
  const three = window.whenDelivered();
  window.acknowledge(1);
  assertFalse(await isSettled(two));
  window.acknowledge(2);
  await two;
  assertFalse(await isSettled(three));
  window.acknowledge(3);
  await three;
});

Deno.test("one ack may be what several wait for", async () => {
  const window = windowOf(1);
  const first = window.whenDelivered();
  send(window);
  const more = [window.whenDelivered(), window.whenDelivered()];
  window.acknowledge(2);
  await Promise.all([first, ...more]);
});

Deno.test("where all is acknowledged nobody waits", async () => {
  await new Window(LIMITS).whenDelivered();
  const window = windowOf(2);
  window.acknowledge(2);
  await window.whenDelivered();
});

Deno.test("whoever waits at the end of the session is told of it", async () => {
  const window = windowOf(2);
  const waits = [window.whenDelivered(), window.whenDelivered()];
  const gone = new Error("gone");
  const rejected = Promise.all(
    waits.map(async (wait) => assertStrictEquals(await assertRejects(() => wait), gone)),
  );
  window.end(gone);
  await rejected;
});

// The end

/** What is left by what these numbers stand for. */
function left(window: Window) {
  const { unknown, unsent, forgotten } = window.end(new Error("over"));
  return {
    unknown: unknown.map(({ data }) => data),
    unsent: unsent.map(({ data }) => data),
    forgotten,
  };
}

Deno.test("at the end what a wire took even one byte of is unknown, all behind it unsent", () => {
  for (
    const [offered, unknown, unsent] of [
      [0, [], [1, 2, 3]],
      [1, [1], [2, 3]],
      [10, [1], [2, 3]],
      [11, [1, 2], [3]],
      [30, [1, 2, 3], []],
      [Infinity, [1, 2, 3], []],
    ] as const
  ) {
    const window = windowOf(3);
    window.detach(offered);
    assertEquals<unknown>(left(window), { unknown, unsent, forgotten: 0 }, `${offered}`);
  }
});

Deno.test("what is on no wire is unsent, also where a wire was offered everything", () => {
  const window = windowOf(1);
  window.add(lineOf(2), 10);
  window.detach(Infinity);
  assertEquals(left(window), { unknown: [1], unsent: [2], forgotten: 0 });
});

Deno.test("what one of several wires took is unknown, however little the later ones did", () => {
  const window = windowOf(3);
  window.detach(15);
  // On the next wire the lines begin elsewhere, and none of them gets out.
  let at = 100;
  for (const entry of window) {
    window.written(entry, at);
    at += 10;
  }
  window.detach(100);
  window.detach(Infinity);
  assertEquals(left(window), { unknown: [1, 2], unsent: [3], forgotten: 0 });
});

Deno.test("what was acknowledged is neither, and what was pushed out is counted", () => {
  const window = windowOf(8);
  window.trim();
  window.acknowledge(1);
  window.detach(60);
  assertEquals(left(window), { unknown: [5, 6], unsent: [7, 8], forgotten: 3 });
  const acknowledged = windowOf(8);
  acknowledged.trim();
  acknowledged.acknowledge(5);
  acknowledged.detach(Infinity);
  assertEquals(left(acknowledged), { unknown: [6, 7, 8], unsent: [], forgotten: 0 });
});

Deno.test("a window that has ended holds nothing", () => {
  const window = windowOf(3);
  window.detach(0);
  left(window);
  assertEquals([window.length, window.bytes, seqs(window)], [0, 0, []]);
});

Deno.test("what is lost is told by its kind, its action and its data", () => {
  const tail = (stamp: { id?: number; replyTo?: number }) =>
    encodeTail({ created: 0, token: null, seq: 1, ack: 1, ...stamp });
  const head = encodeHead({ action: "move", data: { x: 1 } });
  const packet = { action: "move", data: { x: 1 } };
  assertEquals(lostPacket(head + tail({})), { kind: "packet", ...packet });
  assertEquals(lostPacket(head + tail({ id: 1 })), { kind: "request", ...packet });
  assertEquals(lostPacket(head + tail({ replyTo: 1 })), { kind: "reply", ...packet });
  assertEquals(lostPacket(head + "}"), { kind: "packet", ...packet });
  const failed = encodeErrorHead("move", { code: "ACTION_FAILED", message: "no" });
  assertEquals(lostPacket(failed + tail({ replyTo: 1 })), {
    kind: "reply",
    action: "move",
    data: null,
  });
  for (const data of [0, false, "", null]) {
    assertEquals(lostPacket(encodeHead({ action: "a", data }) + tail({})).data, data);
  }
});

Deno.test("a delivery that is waited for only after the session has ended rejects with its error", async () => {
  const error = new Error("lost");
  // Whether anything was left or not.
  for (const count of [0, 2]) {
    const window = windowOf(count);
    window.detach(0);
    window.end(error);
    assertStrictEquals(await assertRejects(() => window.whenDelivered()), error);
  }
});
