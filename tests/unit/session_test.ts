import { assert, assertEquals, assertFalse, assertStrictEquals, assertThrows } from "@std/assert";
import { ProtocolError, RequestError } from "../../errors.ts";
import type { Settler } from "../../outstanding.ts";
import { ReplayBudget } from "../../replay_budget.ts";
import { beginDelivery, Session } from "../../session.ts";
import type { Window, WindowLimits } from "../../window.ts";

/** Settlers that note what comes of them. */
function recorder() {
  const ends: string[] = [];
  const settler = (name: string): Settler<unknown> => ({
    resolve: (answer) => ends.push(`${name} resolved ${answer}`),
    reject: (error) => ends.push(`${name} rejected ${error}`),
  });
  return { ends, settler };
}

Deno.test("a request of the peer is owed one reply", () => {
  const session = new Session(9);
  assert(session.beginAnswer(7));
  assertFalse(session.beginAnswer(7));
  assert(session.beginAnswer(8));
  assertEquals(session.answering, 2);
  assert(session.endAnswer(7));
  assertFalse(session.endAnswer(7));
  assertFalse(session.endAnswer(1));
  assertEquals(session.answering, 1);
  assert(session.beginAnswer(7));
});

Deno.test("replies go out in any order, each once, and leave nothing behind", () => {
  // The one that came last is answered first, last, and in between.
  for (const order of [[1, 2, 3, 4], [4, 3, 2, 1], [3, 1, 4, 2], [4, 1, 2, 3], [1, 4, 3, 2]]) {
    const session = new Session(9);
    const requests = new Map([1, 2, 3, 4].map((id) => [id, { id }]));
    for (const [id, request] of requests) assert(session.beginAnswer(id, request));
    const open = new Set(requests.keys());
    for (const id of order) {
      for (const [other, request] of requests) {
        // One that is owed its reply is refused when it comes again, one that had it is owed none.
        if (open.has(other)) assertFalse(session.beginAnswer(other, request), `${order}: ${other}`);
        else assertFalse(session.endAnswer(other, request), `${order}: ${other}`);
      }
      assert(session.endAnswer(id, requests.get(id)), `${order}: ${id}`);
      open.delete(id);
      assertEquals(session.answering, open.size);
      assertFalse(session.endAnswer(id, requests.get(id)));
    }
  }
});

Deno.test("one request after the other is owed its reply, wherever the one before it is", () => {
  const session = new Session(9);
  const [first, second, third] = [{}, {}, {}];
  session.beginAnswer(1, first);
  assert(session.endAnswer(1, first));
  // The same number again, as the last one and as one of those before it.
  assert(session.beginAnswer(1, second));
  assertFalse(session.endAnswer(1, first));
  assert(session.beginAnswer(2, third));
  assertFalse(session.beginAnswer(1, first));
  assertFalse(session.endAnswer(1, first));
  assertFalse(session.endAnswer(2, second));
  assertFalse(session.endAnswer(3, third));
  assertEquals(session.answering, 2);
  assert(session.endAnswer(1, second));
  assert(session.endAnswer(2, third));
  assertEquals(session.answering, 0);
});

Deno.test("every request without a reply is lost with its session, those with one are not", () => {
  const session = new Session(9);
  const requests = [1, 2, 3, 4].map((id) => ({ id }));
  for (const request of requests) session.beginAnswer(request.id, request);
  session.endAnswer(2, requests[1]);
  session.end("lost", beginDelivery(LIMITS, LIMITS));
  assertEquals(requests.map((request) => session.wasLost(request)), [true, false, true, true]);
  // The last one is answered, and another is the last.
  const again = [1, 2].map((id) => ({ id }));
  session.beginAnswer(1, again[0]);
  session.beginAnswer(2, again[1]);
  assert(session.endAnswer(2, again[1]));
  session.end("lost");
  assertEquals(again.map((request) => session.wasLost(request)), [true, false]);
  assertEquals(session.answering, 0);
});

Deno.test("requests and pings are numbered and bounded apart", () => {
  const { settler } = recorder();
  const session = new Session<unknown>(1);
  assertEquals(session.requests.open(Infinity, settler("request")), 1);
  assertEquals(session.pings.open(Infinity, settler("ping")), 1);
  assertThrows(() => session.requests.open(Infinity, settler("request")), RequestError);
  assertThrows(() => session.pings.open(Infinity, settler("ping")), RequestError);
});

Deno.test("the earliest deadline of both counts", () => {
  const { settler } = recorder();
  const session = new Session<unknown>(9);
  assertEquals(session.nextDeadline(), Infinity);
  session.requests.open(20, settler("request"));
  assertEquals(session.nextDeadline(), 20);
  session.pings.open(10, settler("ping"));
  assertEquals(session.nextDeadline(), 10);
  session.pings.take(1);
  assertEquals(session.nextDeadline(), 20);
});

Deno.test("at the end everything outstanding is rejected, once, and nothing is owed", () => {
  const { ends, settler } = recorder();
  const session = new Session<unknown>(9);
  session.requests.open(10, settler("request"));
  session.requests.open(Infinity, settler("late request"));
  session.pings.open(10, settler("ping"));
  session.beginAnswer(7);
  session.end("gone");
  session.end("again");
  assertEquals(ends, ["request rejected gone", "late request rejected gone", "ping rejected gone"]);
  assertEquals([session.answering, session.requests.size, session.pings.size], [0, 0, 0]);
  assertFalse(session.endAnswer(7));
  assertEquals(session.nextDeadline(), Infinity);
});

Deno.test("what is opened while the others are being rejected is not lost", () => {
  const session = new Session<unknown>(9);
  const { ends, settler } = recorder();
  session.requests.open(Infinity, {
    resolve: () => {},
    reject: () => session.requests.open(Infinity, settler("late")),
  });
  session.end("gone");
  assertEquals([ends, session.requests.size], [[], 1]);
  session.end("gone again");
  assertEquals(ends, ["late rejected gone again"]);
});

// Delivery

const LIMITS: WindowLimits = { replayPackets: 100, replayBytes: 10_000 };

/** Adds the shortest of lines. */
function add(window: Window) {
  return window.add({ head: "{", age: 0 }, "{}");
}

/** A session that has sent so many packets. */
function sessionThatSent(count: number) {
  const delivery = beginDelivery(LIMITS, LIMITS);
  for (let n = 0; n < count; n++) delivery.window.written(add(delivery.window), 0);
  return { session: new Session(9, delivery), ...delivery };
}

/** The code and whether the connection survives. */
function refusal(act: () => unknown): unknown[] {
  const { code, recoverable } = assertThrows(act, ProtocolError);
  return [code, recoverable];
}

const FATAL = ["PROTOCOL_ERROR", false];

Deno.test("what has neither seq nor ack is dealt with, with a session and without", () => {
  for (const session of [new Session(9), sessionThatSent(3).session]) {
    for (let time = 0; time < 2; time++) assert(session.receive(undefined, undefined));
  }
});

Deno.test("a seq or an ack of any kind without a session is refused", () => {
  const session = new Session(9);
  for (const value of [1, 0, null, "1", false, {}]) {
    assertEquals(refusal(() => session.receive(value, undefined)), FATAL);
    assertEquals(refusal(() => session.receive(undefined, value)), FATAL);
  }
});

Deno.test("a seq is dealt with when it is new, once", () => {
  const { session, arrivals } = sessionThatSent(0);
  assert(session.receive(1, undefined));
  assertFalse(session.receive(1, undefined));
  assert(session.receive(2, undefined));
  arrivals.pass(10);
  assertEquals(arrivals.handedOver, 2);
  assertEquals(refusal(() => session.receive(4, undefined)), FATAL);
  for (const seq of [0, -1, 1.5, "3", null]) {
    assertEquals(refusal(() => session.receive(seq, undefined)), FATAL);
  }
});

Deno.test("an ack is taken in by itself, with a new packet, and with one that came before", () => {
  const { session, window } = sessionThatSent(3);
  assert(session.receive(undefined, 1));
  assertEquals(window.acknowledged, 1);
  assert(session.receive(1, 2));
  assertEquals(window.acknowledged, 2);
  assertFalse(session.receive(1, 3));
  assertEquals(window.acknowledged, 3);
  assert(session.receive(undefined, 0));
  assertEquals(window.acknowledged, 3);
});

Deno.test("an ack that cannot be is refused, and the packet that carries it is not received", () => {
  const { session, arrivals } = sessionThatSent(1);
  for (const ack of [2, -1, "1", null, 1.5]) {
    assertEquals(refusal(() => session.receive(1, ack)), FATAL);
    assertEquals(refusal(() => session.receive(undefined, ack)), FATAL);
  }
  assertEquals(arrivals.handedOver, 0);
  assert(session.receive(1, 1));
});

Deno.test("delivery begins with this side's window, and at the pace that the other side's asks for", () => {
  const budget = new ReplayBudget(1_000);
  const own: WindowLimits = { replayPackets: 2, replayBytes: 1_000 };
  const peer: WindowLimits = { replayPackets: 8, replayBytes: 1_000 };
  const { window, arrivals } = beginDelivery(own, peer, budget);
  add(window);
  assert(window.hasRoomFor("{}"));
  add(window);
  assertFalse(window.hasRoomFor("{}"));
  assertEquals([window.bytes, budget.bytes], [6, 6]);
  for (const isDue of [false, true]) {
    arrivals.receive(arrivals.handedOver + 1);
    arrivals.pass(10);
    assertEquals(arrivals.isAckDue, isDue);
  }
});

Deno.test("when a session ends delivery ends with it, or begins anew", () => {
  const { session } = sessionThatSent(3);
  const next = beginDelivery(LIMITS, LIMITS);
  session.end("lost", next);
  assertStrictEquals(session.delivery, next);
  assert(session.receive(1, 0));
  assertEquals(refusal(() => session.receive(undefined, 1)), FATAL);
  session.end("gone");
  assertEquals(session.delivery, undefined);
  assertEquals(refusal(() => session.receive(2, undefined)), FATAL);
});

Deno.test("a reply is owed to the request itself, not to whatever has its number", () => {
  const session = new Session(9);
  const [earlier, later] = [{}, {}];
  session.beginAnswer(7, earlier);
  session.end("lost", beginDelivery(LIMITS, LIMITS));
  session.beginAnswer(7, later);
  assertFalse(session.endAnswer(7, earlier));
  assertEquals(session.answering, 1);
  assert(session.endAnswer(7, later));
  assertFalse(session.endAnswer(7, later));
});

Deno.test("numbers go on rising where a new delivery begins", () => {
  const { settler } = recorder();
  const session = new Session<unknown>(9);
  session.requests.open(Infinity, settler("a"));
  session.end("lost", beginDelivery(LIMITS, LIMITS));
  assertEquals(session.requests.open(Infinity, settler("b")), 2);
});
