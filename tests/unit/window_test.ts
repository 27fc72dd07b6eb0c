import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { ProtocolError } from "../../errors.ts";
import { encodeErrorHead, encodeHead, maxUtf8Length, utf8Length } from "../../packet.ts";
import { ReplayBudget } from "../../replay_budget.ts";
import { encodeTail } from "../../stamp.ts";
import { lostPacket, type Sent, Window, type WindowLimits } from "../../window.ts";

const LIMITS: WindowLimits = { replayPackets: 4, replayBytes: 1_000 };

/** One, two, three and four bytes long; only the third takes as many as a bound has to assume. */
const CHARS = ["x", "é", "€", "😀"];

/** The line of a packet with this data; so many bytes on the wire, of which most are this character. */
function lineOf(data: unknown, bytes = 100, char = "x"): string {
  const start = `{"data":${data},"":"`;
  const room = bytes - start.length - '"}\n'.length;
  const size = utf8Length(char);
  const line = start + char.repeat(room / size) + " ".repeat(room % size) + '"}';
  assertEquals(utf8Length(line) + 1, bytes);
  return line;
}

/** A window that holds so many lines of 100 bytes, written one behind the other. */
function windowOf(count: number, limits = LIMITS, budget?: ReplayBudget): Window {
  const window = new Window(limits, budget);
  for (let n = 0; n < count; n++) send(window);
  return window;
}

/** What a window is told of such a line: all of it but its last character was there before the stamp. */
function sentOf(line: string, more: Partial<Sent> = {}): Sent {
  return { head: line.slice(0, -1), age: 0, ...more };
}

/** Adds a line, which is on no wire yet. */
function add(window: Window, bytes?: number, char?: string) {
  const line = lineOf(window.nextSeq, bytes, char);
  return window.add(sentOf(line), line);
}

/** Adds a line and puts it on the wire, right behind those before it. */
function send(window: Window, bytes?: number, char?: string) {
  const { nextSeq } = window;
  const entry = add(window, bytes, char);
  window.written(entry, nextSeq - 1);
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
  assertEquals([window.length, window.bytes, window.nextSeq, window.isSettled], [3, 300, 4, false]);
  assert(window.acknowledge(2));
  assertEquals([seqs(window), window.bytes, window.acknowledged], [[3], 100, 2]);
  assertFalse(window.isSettled);
  assert(window.acknowledge(3));
  assertEquals([seqs(window), window.bytes, window.isSettled], [[], 0, true]);
  assertEquals(send(window).seq, 4);
});

Deno.test("what it holds can be looked through in order, with all that makes its lines again", () => {
  const window = new Window(LIMITS);
  const all: Partial<Sent>[] = [{ age: 7 }, { id: 5, age: 8 }, { replyTo: 6, age: -9 }];
  for (const more of all) {
    const line = lineOf(window.nextSeq);
    window.add(sentOf(line, more), line);
  }
  const kept = [...window].map(({ seq, head, id, replyTo, age }) => [seq, head, id, replyTo, age]);
  assertEquals(kept, [
    [1, lineOf(1).slice(0, -1), undefined, undefined, 7],
    [2, lineOf(2).slice(0, -1), 5, undefined, 8],
    [3, lineOf(3).slice(0, -1), undefined, 6, -9],
  ]);
});

Deno.test("a line is in its place on the wire of the moment alone, and in none between two", () => {
  const window = new Window(LIMITS);
  const [one, two] = [add(window), add(window)];
  const places = () => [one.at, two.at];
  assertEquals(places(), [-1, -1]);
  // The first line of all is in a place like any other.
  window.written(one, 0);
  assertEquals([places(), one.wasWritten], [[0, -1], false]);
  window.detach(1);
  assertEquals([places(), one.wasWritten, two.wasWritten], [[-1, -1], true, false]);
  window.written(one, 3);
  window.written(two, 4);
  assertEquals(places(), [3, 4]);
  window.detach(4);
  assertEquals([places(), two.wasWritten], [[-1, -1], false]);
});

Deno.test("an ack that says nothing new, or goes backwards, is ignored", () => {
  const window = windowOf(3);
  assert(window.acknowledge(2));
  for (const ack of [2, 1, 0]) assertFalse(window.acknowledge(ack));
  assertEquals([seqs(window), window.acknowledged, window.bytes], [[3], 2, 100]);
});

Deno.test("an ack above what was written is refused, and changes nothing", () => {
  const window = windowOf(2);
  // One that waits for a wire was sent to nobody yet.
  add(window);
  assertEquals(refusal(() => window.acknowledge(3)), "PROTOCOL_ERROR");
  assertEquals(refusal(() => window.reaches(3)), "PROTOCOL_ERROR");
  assertEquals([seqs(window), window.acknowledged], [[1, 2, 3], 0]);
  assert(window.acknowledge(2));
  assert(window.reaches(2));
});

Deno.test("what was numbered behind what is written was not written with it", () => {
  const window = new Window(LIMITS);
  const [one, two] = [add(window), add(window)];
  window.written(one, 0);
  assertEquals(refusal(() => window.acknowledge(2)), "PROTOCOL_ERROR");
  window.written(two, 1);
  // That the first goes out again does not take back that the second was there.
  window.detach(2);
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
  window.detach(3);
  assert(window.reaches(3));
  assert(window.acknowledge(3));
  assert(window.isSettled);
});

// Room

Deno.test("a window has room up to its packets and its bytes, and an empty one for any line", () => {
  const window = new Window(LIMITS);
  assert(window.hasRoomFor(lineOf(1, 1_000_000)));
  send(window, 600);
  assert(window.hasRoomFor(lineOf(2, 400)));
  assertFalse(window.hasRoomFor(lineOf(2, 401)));
  for (let n = 0; n < 3; n++) send(window, 20);
  assertFalse(window.hasRoomFor(lineOf(5, 20)));
  window.acknowledge(1);
  assert(window.hasRoomFor(lineOf(5, 940)));
  assertFalse(window.hasRoomFor(lineOf(5, 941)));
});

Deno.test("a window is full at its packets or at its bytes", () => {
  const window = windowOf(3);
  assertFalse(window.isFull);
  send(window);
  assert(window.isFull);
  window.acknowledge(1);
  assertFalse(window.isFull);
  const large = new Window(LIMITS);
  send(large, 960);
  assertFalse(large.isFull);
  send(large, 40);
  assert(large.isFull);
});

Deno.test("a window takes in whatever it is given, full or not", () => {
  const window = windowOf(9);
  assertEquals([window.length, window.bytes], [9, 900]);
});

// Pushing out

Deno.test("trimmed to its bounds a window lets go of the oldest alone", () => {
  const window = windowOf(6);
  window.trim();
  assertEquals([seqs(window), window.bytes], [[3, 4, 5, 6], 400]);
  const large = new Window(LIMITS);
  for (const bytes of [500, 400, 100, 300]) send(large, bytes);
  large.trim();
  assertEquals([seqs(large), large.bytes], [[2, 3, 4], 800]);
});

Deno.test("a window within its bounds is not trimmed", () => {
  const window = new Window(LIMITS);
  for (const bytes of [700, 100, 100, 100]) send(window, bytes);
  window.trim();
  assertEquals([seqs(window), window.bytes], [[1, 2, 3, 4], 1_000]);
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
  for (const bytes of [100, 100, 300, 500]) send(window, bytes);
  window.giveWay();
  assertEquals([seqs(window), window.bytes], [[4], 500]);
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
  assertEquals([seqs(window), window.bytes], [[5, 6], 200]);
});

// Counting

Deno.test("what a window holds is bounded until it is counted, and then exact", () => {
  for (const char of CHARS) {
    const window = new Window(LIMITS);
    const first = send(window, 100, char);
    const bound = maxUtf8Length(lineOf(1, 100, char)) + 1;
    assertEquals([first.bytes, window.maxBytes], [bound, bound]);
    assertEquals([window.bytes, window.maxBytes, first.bytes], [100, 100, 100]);
  }
  const window = new Window(LIMITS);
  const [first, second] = [send(window), send(window)];
  assertEquals([window.bytes, first.bytes, second.bytes], [200, 100, 100]);
  // What comes after a count is bounded again, until the next.
  const third = send(window, 50);
  assert(third.bytes > 50);
  assertEquals(window.maxBytes, 200 + third.bytes);
  assertEquals([window.bytes, window.maxBytes, third.bytes], [250, 250, 50]);
});

Deno.test("what was stamped on a line counts as what was there before, however much it is", () => {
  const stamp = { created: 1_700_000_000_000, token: null, seq: 1 };
  const tails = [
    "}",
    encodeTail(stamp),
    encodeTail({ ...stamp, id: 2 ** 53 - 1, ack: 2 ** 53 - 1 }),
  ];
  for (const tail of tails) {
    for (const char of CHARS) {
      const budget = new ReplayBudget(100_000);
      const window = new Window(LIMITS, budget);
      const head = encodeHead({ action: "a", data: char });
      const bytes = utf8Length(head) + tail.length + 1;
      window.add({ head, age: 0 }, head + tail);
      window.add({ head, age: 0 }, head + tail);
      assert(window.maxBytes > 2 * bytes);
      assertEquals([window.bytes, budget.bytes], [2 * bytes, 2 * bytes], char + tail);
    }
  }
});

Deno.test("room is measured to the byte, whatever the text, however often it was counted", () => {
  for (const char of CHARS) {
    for (const isCounted of [false, true]) {
      const window = new Window(LIMITS);
      send(window, 300, char);
      if (isCounted) assertEquals(window.bytes, 300);
      send(window, 300, char);
      for (let time = 0; time < 2; time++) {
        assertFalse(window.hasRoomFor(lineOf(3, 401, char)), char);
        assert(window.hasRoomFor(lineOf(3, 400, char)), char);
      }
    }
  }
});

Deno.test("a window is full at its very last byte, whatever the text", () => {
  for (const char of CHARS) {
    for (const [last, isFull] of [[599, false], [600, true], [601, true]] as const) {
      const window = new Window(LIMITS);
      send(window, 400, char);
      send(window, last, char);
      assertEquals(window.isFull, isFull, `${char} ${last}`);
      assertEquals(window.isFull, isFull);
    }
  }
});

Deno.test("the oldest is pushed out for one byte too many and for none less, whatever the text", () => {
  for (const char of CHARS) {
    for (const [last, kept] of [[400, [1, 2, 3]], [401, [2, 3]]] as const) {
      const window = new Window(LIMITS);
      for (const bytes of [300, 300, last]) send(window, bytes, char);
      window.trim();
      assertEquals<number[]>(seqs(window), [...kept], `${char} ${last}`);
      assertEquals(window.bytes, last === 400 ? 1_000 : 701);
    }
  }
});

Deno.test("what lets go of a half measures it in bytes, not by their bound", () => {
  const window = new Window(LIMITS);
  // By its bound the first would be much less than a half.
  for (const [bytes, char] of [[500, "€"], [250, "x"], [250, "x"]] as const) {
    send(window, bytes, char);
  }
  window.giveWay();
  assertEquals([seqs(window), window.bytes], [[2, 3], 500]);
});

Deno.test("what was acknowledged or pushed out uncounted leaves nothing behind", () => {
  const acts: Record<string, (window: Window) => void> = {
    acknowledged: (window) => void window.acknowledge(3),
    "partly acknowledged": (window) => {
      window.acknowledge(1);
      window.acknowledge(2);
      window.acknowledge(3);
    },
    ended: (window) => void window.end("over"),
  };
  for (const [name, act] of Object.entries(acts)) {
    // How many of the three are counted first.
    for (let counted = 0; counted <= 3; counted++) {
      const budget = new ReplayBudget(100_000);
      const window = new Window(LIMITS, budget);
      for (let n = 0; n < 3; n++) {
        if (n === counted) assertEquals(window.bytes, n * 100);
        send(window, 100, CHARS[n]);
      }
      act(window);
      assertEquals([window.maxBytes, window.bytes, budget.bytes], [0, 0, 0], `${name} ${counted}`);
      send(window, 150);
      assertEquals([window.bytes, budget.bytes], [150, 150]);
    }
  }
});

Deno.test("what is left of a window where some was acknowledged is counted right", () => {
  const budget = new ReplayBudget(100_000);
  const window = new Window(LIMITS, budget);
  for (const [n, char] of CHARS.entries()) send(window, 100 + n, char);
  window.acknowledge(2);
  assertEquals([window.bytes, budget.bytes], [102 + 103, 102 + 103]);
  send(window, 50);
  window.acknowledge(3);
  assertEquals([window.bytes, budget.bytes], [103 + 50, 103 + 50]);
});

// A budget that is shared

Deno.test("a budget is told what a count makes of the bound", () => {
  const budget = new ReplayBudget(100_000);
  const [a, b] = [windowOf(2, LIMITS, budget), windowOf(1, LIMITS, budget)];
  const { maxBytes } = b;
  assert(maxBytes > 100);
  assertEquals(budget.bytes, a.maxBytes + maxBytes);
  assertEquals([a.bytes, budget.bytes], [200, 200 + maxBytes]);
  assertEquals([a.bytes, b.bytes, budget.bytes], [200, 100, 300]);
});

Deno.test("where a budget is tight what comes is counted as it comes, and no bound stands in for it", () => {
  for (const char of ["x", "é"]) {
    const budget = new ReplayBudget(3_000);
    const [a, b] = [new Window(LIMITS, budget), new Window(LIMITS, budget)];
    // Bounds come to more than may be held, counts to more than half of it.
    while (!budget.isTight) add(a, 200, char);
    const { bytes } = budget;
    add(b, 200, char);
    assertEquals([b.maxBytes, budget.bytes], [200, bytes + 200], char);
    assertEquals([b.bytes, a.bytes + b.bytes], [200, budget.bytes], char);
  }
});

Deno.test("a budget is kept to the byte, by one window alone and by several", () => {
  for (const char of CHARS) {
    for (let count = 1; count <= 3; count++) {
      const budget = new ReplayBudget(600);
      const windows = Array.from({ length: count }, () => new Window(LIMITS, budget));
      // The last line fits to the byte; by its bound it would not.
      for (const window of windows) send(window, 600 / count, char);
      assertEquals(windows.map(({ length }) => length), Array(count).fill(1), char);
      assertEquals(budget.bytes, 600);
      // A line of its own that is too much: the oldest of the largest goes.
      send(windows[0], 30);
      assertEquals(windows.map(seqs), [[2], ...Array(count - 1).fill([1])], char);
    }
  }
});

Deno.test("what windows hold is what their budget counts, however they let go of it", () => {
  const budget = new ReplayBudget(10_000);
  const [a, b] = [windowOf(6, LIMITS, budget), windowOf(3, LIMITS, budget)];
  /** What they hold, by their count and by the budget's. */
  const held = () => {
    assertEquals(budget.bytes, a.maxBytes + b.maxBytes);
    return [a.bytes + b.bytes, budget.bytes];
  };
  assertEquals(held(), [900, 900]);
  a.trim();
  assertEquals(held(), [700, 700]);
  b.acknowledge(2);
  assertEquals(held(), [500, 500]);
  a.giveWay();
  assertEquals(held(), [300, 300]);
  b.end("over");
  assertEquals(held(), [200, 200]);
  a.end("over");
  assertEquals(budget.bytes, 0);
});

Deno.test("beyond the budget the largest window loses its oldest, and can say so", () => {
  const budget = new ReplayBudget(600);
  const [small, large] = [windowOf(2, LIMITS, budget), windowOf(4, LIMITS, budget)];
  send(small);
  assertEquals([seqs(small), seqs(large)], [[1, 2, 3], [3, 4]]);
  assertEquals([small.reaches(0), large.reaches(0), large.reaches(2)], [true, false, true]);
});

Deno.test("a line that alone is more than the budget is numbered, and not kept", () => {
  const window = new Window(LIMITS, new ReplayBudget(600));
  const entry = send(window, 601);
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

Deno.test("at the end what a wire was offered is unknown, all behind it unsent", () => {
  for (
    const [offered, unknown, unsent] of [
      [0, [], [1, 2, 3]],
      [1, [1], [2, 3]],
      [2, [1, 2], [3]],
      [3, [1, 2, 3], []],
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
  add(window);
  window.detach(Infinity);
  assertEquals(left(window), { unknown: [1], unsent: [2], forgotten: 0 });
});

Deno.test("what one of several wires took is unknown, however little the later ones did", () => {
  const window = windowOf(3);
  window.detach(2);
  // On the next wire other lines come before them, and none of them gets out.
  let at = 10;
  for (const entry of window) window.written(entry, at++);
  window.detach(10);
  window.detach(Infinity);
  assertEquals(left(window), { unknown: [1, 2], unsent: [3], forgotten: 0 });
});

Deno.test("what was acknowledged is neither, and what was pushed out is counted", () => {
  const window = windowOf(8);
  window.trim();
  window.acknowledge(1);
  window.detach(6);
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
  const packet = { action: "move", data: { x: 1 } };
  const head = encodeHead(packet);
  assertEquals(lostPacket({ head }), { kind: "packet", ...packet });
  assertEquals(lostPacket({ head, id: 1 }), { kind: "request", ...packet });
  assertEquals(lostPacket({ head, replyTo: 1 }), { kind: "reply", ...packet });
  const failed = encodeErrorHead("move", { code: "ACTION_FAILED", message: "no" });
  assertEquals(lostPacket({ head: failed, replyTo: 1 }), {
    kind: "reply",
    action: "move",
    data: null,
  });
  for (const data of [0, false, "", null, { id: 1, "reply-to": 2 }, '","id":1']) {
    const head = encodeHead({ action: "a", data });
    assertEquals(lostPacket({ head }), { kind: "packet", action: "a", data });
  }
});

Deno.test("what a window leaves says of each what it was", () => {
  const window = new Window(LIMITS);
  for (const more of [{}, { id: 1 }, { replyTo: 1 }]) {
    const line = encodeHead({ action: "a", data: window.nextSeq }) + "}";
    window.add(sentOf(line, more), line);
  }
  const { unsent } = window.end(new Error("over"));
  assertEquals(unsent, [
    { kind: "packet", action: "a", data: 1 },
    { kind: "request", action: "a", data: 2 },
    { kind: "reply", action: "a", data: 3 },
  ]);
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

Deno.test("nothing of a packet that was acknowledged is said of one that comes later", () => {
  const window = new Window(LIMITS);
  for (const more of [{ id: 7 }, { replyTo: 9 }, { age: 5 }]) {
    const line = lineOf(window.nextSeq);
    window.written(window.add(sentOf(line, more), line), window.nextSeq - 2);
  }
  window.detach(Infinity);
  window.acknowledge(3);
  for (let n = 0; n < 4; n++) add(window);
  assertEquals(
    [...window].map(({ seq, id, replyTo, age, at, wasWritten }) => [
      seq,
      id,
      replyTo,
      age,
      at,
      wasWritten,
    ]),
    [4, 5, 6, 7].map((seq) => [seq, undefined, undefined, 0, -1, false]),
  );
  for (const entry of window) window.written(entry, entry.seq);
  window.acknowledge(7);
  for (let n = 0; n < 4; n++) add(window);
  // Whatever the wire has offered of those before them, these were never on it.
  window.detach(Infinity);
  const { unknown, unsent } = window.end(new Error());
  assertEquals([unknown.length, unsent.length], [0, 4]);
});
