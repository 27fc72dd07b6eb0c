import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { Arrivals } from "../../arrivals.ts";
import { ProtocolError } from "../../errors.ts";

/** Of a sender with a window that is large. */
function arrivalsOf(count = 0): Arrivals {
  const arrivals = new Arrivals({ replayPackets: 1_024, replayBytes: 1_048_576 });
  for (let seq = 1; seq <= count; seq++) pass(arrivals, seq);
  return arrivals;
}

/** One arrives that is dealt with at once. */
function pass(arrivals: Arrivals, seq: number, bytes = 10): void {
  assert(arrivals.receive(seq));
  arrivals.pass(bytes);
}

/** One arrives that waits for its turn. */
function hold(arrivals: Arrivals, seq: number, bytes = 10): object {
  assert(arrivals.receive(seq));
  const packet = { seq };
  arrivals.hold(packet, bytes);
  return packet;
}

Deno.test("what arrives in its order is new, each once", () => {
  const arrivals = arrivalsOf(3);
  for (const seq of [1, 2, 3]) assertFalse(arrivals.receive(seq));
  assert(arrivals.receive(4));
  assertFalse(arrivals.receive(4));
});

Deno.test("a number that leaves a gap is refused, and uses up nothing", () => {
  const arrivals = arrivalsOf(3);
  for (const seq of [5, 6, 1_000, Number.MAX_SAFE_INTEGER]) {
    assertEquals(assertThrows(() => arrivals.receive(seq), ProtocolError).code, "PROTOCOL_ERROR");
  }
  assertEquals(arrivals.handedOver, 3);
  assert(arrivals.receive(4));
  assertThrows(() => new Arrivals({ replayPackets: 1, replayBytes: 1 }).receive(2), ProtocolError);
});

Deno.test("what is no integer from 1 is refused", () => {
  const arrivals = arrivalsOf(1);
  for (const seq of [0, -1, 1.5, NaN, Infinity, 2 ** 53, "2", null, undefined, true, [2], {}]) {
    assertEquals(assertThrows(() => arrivals.receive(seq), ProtocolError).code, "PROTOCOL_ERROR");
  }
  assertEquals([arrivals.handedOver, arrivals.isAckDue], [1, false]);
});

Deno.test("what waits for its turn is received, but not handed over, nor is what came after it", () => {
  const arrivals = arrivalsOf(1);
  const [two, three] = [hold(arrivals, 2), hold(arrivals, 3)];
  pass(arrivals, 4);
  assertEquals(arrivals.handedOver, 1);
  assertFalse(arrivals.receive(3));
  arrivals.handOver(two);
  assertEquals(arrivals.handedOver, 2);
  arrivals.handOver(three);
  assertEquals(arrivals.handedOver, 4);
  pass(arrivals, 5);
  assertEquals(arrivals.handedOver, 5);
});

Deno.test("a packet is handed over once, in its turn, and only by the session it came in", () => {
  const arrivals = arrivalsOf();
  const [one, two] = [hold(arrivals, 1), hold(arrivals, 2)];
  arrivals.handOver({ seq: 1 });
  arrivals.handOver(two);
  assertEquals(arrivals.handedOver, 0);
  arrivals.handOver(one);
  arrivals.handOver(one);
  assertEquals(arrivals.handedOver, 1);
  arrivals.handOver(two);
  arrivals.handOver(two);
  assertEquals(arrivals.handedOver, 2);
});

Deno.test("what has just arrived is not handed over before it is known what becomes of it", () => {
  const arrivals = arrivalsOf(1);
  assert(arrivals.receive(2));
  assertEquals(arrivals.handedOver, 1);
  const two = {};
  arrivals.hold(two, 10);
  assertEquals(arrivals.handedOver, 1);
  assert(arrivals.receive(3));
  arrivals.handOver(two);
  assertEquals(arrivals.handedOver, 2);
  arrivals.pass(10);
  assertEquals(arrivals.handedOver, 3);
});

// Acknowledging

Deno.test("what was handed over is owed until it is told, and then no more", () => {
  const arrivals = arrivalsOf();
  assertFalse(arrivals.isAckOwed);
  pass(arrivals, 1);
  assert(arrivals.isAckOwed);
  assertEquals(arrivals.takeAck(), 1);
  assertFalse(arrivals.isAckOwed);
  const two = hold(arrivals, 2);
  assertFalse(arrivals.isAckOwed);
  assertEquals(arrivals.takeAck(), 1);
  arrivals.handOver(two);
  assert(arrivals.isAckOwed);
  assertEquals(arrivals.takeAck(), 2);
});

Deno.test("what comes again is owed again: whoever sent it has not heard of the ack", () => {
  const arrivals = arrivalsOf(2);
  arrivals.takeAck();
  arrivals.receive(1);
  assert(arrivals.isAckOwed);
  assertEquals(arrivals.takeAck(), 2);
  assertFalse(arrivals.isAckOwed);
  // Also where it was not handed over yet.
  hold(arrivals, 3);
  arrivals.receive(3);
  assert(arrivals.isAckOwed);
  assertEquals(arrivals.takeAck(), 2);
});

Deno.test("an acknowledgement is due after 64 packets", () => {
  const arrivals = arrivalsOf(63);
  assertFalse(arrivals.isAckDue);
  pass(arrivals, 64);
  assert(arrivals.isAckDue);
  arrivals.takeAck();
  assertFalse(arrivals.isAckDue);
  for (let seq = 65; seq <= 128; seq++) pass(arrivals, seq);
  assert(arrivals.isAckDue);
});

Deno.test("an acknowledgement is due after a quarter of the sender's packets, but of no fewer than one", () => {
  for (const [replayPackets, due] of [[1, 1], [3, 1], [7, 1], [8, 2], [100, 25], [128, 32]]) {
    const arrivals = new Arrivals({ replayPackets, replayBytes: 1_048_576 });
    for (let seq = 1; seq <= due; seq++) {
      assertFalse(arrivals.isAckDue);
      pass(arrivals, seq);
    }
    assert(arrivals.isAckDue, `${replayPackets}`);
  }
});

Deno.test("an acknowledgement is due after 128 KiB", () => {
  const arrivals = arrivalsOf();
  pass(arrivals, 1, 131_071);
  assertFalse(arrivals.isAckDue);
  pass(arrivals, 2, 1);
  assert(arrivals.isAckDue);
  arrivals.takeAck();
  pass(arrivals, 3, 131_071);
  assertFalse(arrivals.isAckDue);
  arrivals.handOver(hold(arrivals, 4, 1));
  assert(arrivals.isAckDue);
});

Deno.test("an acknowledgement is due after a quarter of the sender's bytes", () => {
  for (const [replayBytes, due] of [[1, 1], [7, 1], [400, 100], [262_144, 65_536]]) {
    const arrivals = new Arrivals({ replayPackets: 1_024, replayBytes });
    pass(arrivals, 1, due);
    assert(arrivals.isAckDue, `${replayBytes}`);
    arrivals.takeAck();
    if (due === 1) continue;
    pass(arrivals, 2, due - 1);
    assertFalse(arrivals.isAckDue, `${replayBytes}`);
  }
});

Deno.test("what waits makes nothing due, however large and however much", () => {
  const arrivals = arrivalsOf();
  const first = hold(arrivals, 1, 100_000);
  for (let seq = 2; seq <= 100; seq++) pass(arrivals, seq, 100_000);
  assertFalse(arrivals.isAckDue);
  arrivals.handOver(first);
  assert(arrivals.isAckDue);
  assertEquals(arrivals.takeAck(), 100);
});

Deno.test("what was asked about before it was handed over is due when it is, and not twice", () => {
  const arrivals = arrivalsOf(1);
  const [two, three] = [hold(arrivals, 2), hold(arrivals, 3)];
  assertEquals([arrivals.takeAskedAck(), arrivals.isAckDue], [1, false]);
  const four = hold(arrivals, 4);
  arrivals.handOver(two);
  assertFalse(arrivals.isAckDue);
  arrivals.handOver(three);
  assert(arrivals.isAckDue);
  assertEquals(arrivals.takeAck(), 3);
  arrivals.handOver(four);
  assertEquals([arrivals.isAckOwed, arrivals.isAckDue], [true, false]);
  assertEquals(arrivals.takeAskedAck(), 4);
  pass(arrivals, 5);
  assertFalse(arrivals.isAckDue);
});

Deno.test("what comes again makes an acknowledgement due as what is new does", () => {
  const arrivals = arrivalsOf(80);
  arrivals.takeAck();
  for (let seq = 1; seq <= 63; seq++) arrivals.receive(seq);
  assertFalse(arrivals.isAckDue);
  pass(arrivals, 81);
  assert(arrivals.isAckDue);
});
