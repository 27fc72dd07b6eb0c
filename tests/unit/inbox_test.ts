import { assert, assertEquals, assertFalse, assertLess } from "@std/assert";
import type { Run } from "../../actions.ts";
import type { Peer } from "../../contract.ts";
import { Inbox, type Receiver } from "../../inbox.ts";
import { decodePacket, type ReceivedPacket } from "../../packet.ts";

const peer = {} as Peer;

function packet(name: string): ReceivedPacket {
  return decodePacket(JSON.stringify({ action: name }));
}

/** A receiver whose handlers are given by name, and that notes what happens. */
class Recorder implements Receiver {
  readonly events: string[] = [];
  /** What was handed over, in order. */
  readonly handedOver: string[] = [];
  readonly inbox: Inbox;
  /** What runs. */
  handlers: Record<string, (packet: ReceivedPacket) => unknown> = {};
  /** What comes before that. */
  preparations: Record<string, () => void | Promise<void>> = {};

  constructor(maxInFlight = 100) {
    this.inbox = new Inbox(this, maxInFlight);
  }

  prepare(packet: ReceivedPacket): Run | Promise<Run> {
    const name = packet.action;
    const run: Run = (packet) => {
      this.events.push(`run ${packet.action}`);
      return this.handlers[packet.action]?.(packet);
    };
    const prepared = this.preparations[name]?.();
    return prepared ? prepared.then(() => run) : run;
  }

  run(run: Run, packet: ReceivedPacket): unknown {
    this.handedOver.push(packet.action);
    return run(packet, peer);
  }

  taken({ action }: ReceivedPacket): void {
    this.handedOver.push(action);
    this.events.push(`taken ${action}`);
  }

  succeeded({ action }: ReceivedPacket, result: unknown): void {
    this.events.push(`${action} = ${result}`);
  }

  failed({ action }: ReceivedPacket, error: unknown): void {
    this.events.push(`${action}: ${error}`);
  }

  /** Pushes packets of 10 bytes. */
  push(...names: string[]): void {
    for (const name of names) this.inbox.push(packet(name), 10);
  }

  /** Waits until nothing is under way. */
  idle(): Promise<void> {
    return this.inbox.changes.until(() => this.inbox.isIdle);
  }

  /** Waits for this event. */
  seen(event: string): Promise<void> {
    return this.inbox.changes.until(() => this.events.includes(event));
  }
}

Deno.test("a packet that has its turn at once counts as taken, like one that waited", () => {
  const { inbox } = new Recorder();
  inbox.push(packet("waits"), 1);
  inbox.startDispatch();
  inbox.push(packet("does not"), 1);
  assertEquals([inbox.taken, inbox.length, inbox.bytes], [2, 0, 0]);
});

Deno.test("packets wait in order until someone takes them", () => {
  const recorder = new Recorder();
  const { inbox, events } = recorder;
  recorder.push("a", "b", "c");
  assertEquals([inbox.mode, inbox.length, inbox.bytes, events], ["waiting", 3, 30, []]);
  inbox.startDispatch();
  assertEquals([inbox.mode, inbox.length, inbox.bytes], ["dispatching", 0, 0]);
  recorder.push("d");
  assertEquals(events.filter((event) => event.startsWith("run")), [
    "run a",
    "run b",
    "run c",
    "run d",
  ]);
});

Deno.test("a handler that is done at once is done before the next one starts", () => {
  const recorder = new Recorder();
  recorder.handlers = { a: () => 1, b: () => 2 };
  recorder.inbox.startDispatch();
  recorder.push("a", "b");
  assertEquals(recorder.events, ["run a", "a = 1", "run b", "b = 2"]);
  assertEquals([recorder.inbox.inFlight, recorder.inbox.isIdle], [0, true]);
});

Deno.test("handlers start in order, and their asynchronous parts overlap", async () => {
  const recorder = new Recorder();
  const slow = Promise.withResolvers<string>();
  recorder.handlers = { a: () => slow.promise, b: () => Promise.resolve("quick"), c: () => 3 };
  recorder.inbox.startDispatch();
  recorder.push("a", "b", "c");
  assertEquals(recorder.events, ["run a", "run b", "run c", "c = 3"]);
  assertEquals([recorder.inbox.inFlight, recorder.inbox.isIdle], [2, false]);
  await recorder.seen("b = quick");
  slow.resolve("slow");
  await recorder.idle();
  assertEquals(recorder.events.at(-1), "a = slow");
});

Deno.test("what a handler throws or rejects with is its packet's failure alone", async () => {
  const recorder = new Recorder();
  recorder.handlers = {
    throws: () => {
      throw "thrown";
    },
    rejects: () => Promise.reject("rejected"),
    throwsNothing: () => {
      throw undefined;
    },
    fine: () => "fine",
  };
  recorder.inbox.startDispatch();
  recorder.push("throws", "rejects", "throwsNothing", "fine");
  await recorder.idle();
  assertEquals(recorder.events, [
    "run throws",
    "throws: thrown",
    "run rejects",
    "run throwsNothing",
    "throwsNothing: undefined",
    "run fine",
    "fine = fine",
    "rejects: rejected",
  ]);
});

Deno.test("what cannot be prepared fails, and the next packet has its turn", async () => {
  const recorder = new Recorder();
  recorder.preparations = {
    now: () => {
      throw "unbound";
    },
    later: () => Promise.reject("invalid"),
  };
  recorder.inbox.startDispatch();
  recorder.push("now", "later", "a");
  await recorder.seen("a = undefined");
  assertEquals(recorder.events, ["now: unbound", "later: invalid", "run a", "a = undefined"]);
});

Deno.test("a packet whose data is being checked holds its place", async () => {
  const recorder = new Recorder();
  const checked = Promise.withResolvers<void>();
  recorder.preparations = { b: () => checked.promise };
  recorder.inbox.startDispatch();
  recorder.push("a", "b", "c", "d");
  assertEquals(recorder.events, ["run a", "a = undefined"]);
  assertEquals([recorder.inbox.inFlight, recorder.inbox.length, recorder.inbox.isIdle], [
    1,
    2,
    false,
  ]);
  checked.resolve();
  await recorder.seen("d = undefined");
  assertEquals(recorder.events.filter((event) => event.startsWith("run")), [
    "run a",
    "run b",
    "run c",
    "run d",
  ]);
  assertEquals([recorder.inbox.inFlight, recorder.inbox.isIdle], [0, true]);
});

Deno.test("no more handlers run at once than allowed, and the others follow in order", async () => {
  const recorder = new Recorder(2);
  const gates = new Map<string, PromiseWithResolvers<void>>();
  let most = 0;
  const handler = ({ action }: ReceivedPacket) => {
    most = Math.max(most, recorder.inbox.inFlight + 1);
    const gate = Promise.withResolvers<void>();
    gates.set(action, gate);
    return gate.promise;
  };
  const names = ["a", "b", "c", "d", "e"];
  recorder.handlers = Object.fromEntries(names.map((name) => [name, handler]));
  recorder.inbox.startDispatch();
  recorder.push(...names);
  assertEquals([[...gates.keys()], recorder.inbox.isFull], [["a", "b"], true]);
  for (const name of ["b", "a", "c", "e", "d"]) {
    gates.get(name)!.resolve();
    await recorder.seen(`${name} = undefined`);
    await recorder.inbox.changes.until(() =>
      recorder.inbox.length === 0 || gates.size === 5 || recorder.inbox.isFull
    );
  }
  await recorder.idle();
  assertEquals([...gates.keys()], names);
  assertEquals(most, 2);
  assertFalse(recorder.inbox.isFull);
});

Deno.test("packets are handed over in order, each when its handler is called, and not before", async () => {
  const recorder = new Recorder(2);
  const checked = Promise.withResolvers<void>();
  const slow = Promise.withResolvers<void>();
  recorder.preparations = { b: () => checked.promise };
  recorder.handlers = { a: () => slow.promise };
  recorder.push("a", "b", "c", "d");
  assertEquals(recorder.handedOver, []);
  recorder.inbox.startDispatch();
  assertEquals(recorder.handedOver, ["a"]);
  checked.resolve();
  await recorder.seen("d = undefined");
  assertEquals(recorder.handedOver, ["a", "b", "c", "d"]);
  slow.resolve();
  await recorder.idle();
  assertEquals(recorder.handedOver, ["a", "b", "c", "d"]);
});

Deno.test("a packet that holds its place counts as one that runs", async () => {
  const recorder = new Recorder(1);
  const checked = Promise.withResolvers<void>();
  recorder.preparations = { a: () => checked.promise };
  recorder.inbox.startDispatch();
  recorder.push("a", "b");
  assert(recorder.inbox.isFull);
  checked.resolve();
  await recorder.seen("b = undefined");
  assertEquals(recorder.inbox.inFlight, 0);
});

Deno.test("anything with a then() is waited for", async () => {
  const recorder = new Recorder();
  recorder.handlers = {
    a: () => ({ then: (resolve: (value: string) => void) => resolve("thenable") }),
    b: () => ({ then: "no function", toString: () => "object" }),
  };
  recorder.inbox.startDispatch();
  recorder.push("a", "b");
  await recorder.idle();
  assertEquals(recorder.events, ["run a", "run b", "b = object", "a = thenable"]);
});

Deno.test("a result that cannot even be looked at is a failure, and the next packet has its turn", async () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  for (const preparation of [undefined, () => Promise.resolve()]) {
    const recorder = new Recorder();
    if (preparation) recorder.preparations = { a: preparation };
    recorder.handlers = { a: () => proxy };
    recorder.inbox.startDispatch();
    recorder.push("a", "b");
    await recorder.seen("b = undefined");
    assertEquals(recorder.events[1].slice(0, 12), "a: TypeError");
    assertEquals(recorder.inbox.inFlight, 0);
  }
});

Deno.test("a packet that a handler makes arrive comes after those that wait", () => {
  const recorder = new Recorder();
  recorder.handlers = { a: () => recorder.push("late") };
  recorder.push("a", "b");
  recorder.inbox.startDispatch();
  assertEquals(recorder.events.filter((event) => event.startsWith("run")), [
    "run a",
    "run b",
    "run late",
  ]);
});

Deno.test("take() gives the packets in order, and waits for the next one", async () => {
  const recorder = new Recorder();
  const { inbox } = recorder;
  recorder.push("a", "b");
  inbox.startIteration();
  assertEquals([(await inbox.take())?.action, (await inbox.take())?.action], ["a", "b"]);
  assertEquals([inbox.length, inbox.bytes], [0, 0]);
  const third = inbox.take();
  recorder.push("c");
  assertEquals((await third)?.action, "c");
  assertEquals(recorder.events, ["taken a", "taken b", "taken c"]);
});

Deno.test("several who take get one packet each", async () => {
  const recorder = new Recorder();
  recorder.inbox.startIteration();
  const taken = [recorder.inbox.take(), recorder.inbox.take()];
  recorder.push("a", "b");
  assertEquals((await Promise.all(taken)).map((packet) => packet?.action), ["a", "b"]);
});

Deno.test("one packet wakes one of several who take, the others wait on", async () => {
  const recorder = new Recorder();
  const { inbox } = recorder;
  inbox.startIteration();
  const [first, second] = [inbox.take(), inbox.take()];
  recorder.push("a");
  assertEquals((await first)?.action, "a");
  recorder.push("b");
  assertEquals((await second)?.action, "b");
});

Deno.test("what came before the end is still handled, what comes after it is not", async () => {
  const recorder = new Recorder();
  recorder.push("a", "b");
  recorder.inbox.close();
  recorder.push("c");
  assertEquals([recorder.inbox.length, recorder.inbox.bytes], [2, 20]);
  recorder.inbox.startDispatch();
  await recorder.idle();
  assertEquals(recorder.events, ["run a", "a = undefined", "run b", "b = undefined"]);
});

Deno.test("take() gives what came before the end, then nothing more", async () => {
  const recorder = new Recorder();
  recorder.inbox.startIteration();
  recorder.push("a");
  recorder.inbox.close();
  assertEquals((await recorder.inbox.take())?.action, "a");
  assertEquals(await recorder.inbox.take(), undefined);
  assertEquals(await recorder.inbox.take(), undefined);
});

Deno.test("whoever waits in take() is told of the end", async () => {
  const recorder = new Recorder();
  const taken = [recorder.inbox.take(), recorder.inbox.take()];
  recorder.inbox.close();
  assertEquals(await Promise.all(taken), [undefined, undefined]);
});

Deno.test("an abandoned inbox starts nothing more, and lets what runs go on", async () => {
  const recorder = new Recorder(2);
  const slow = Promise.withResolvers<string>();
  recorder.handlers = { a: () => slow.promise, b: () => slow.promise };
  recorder.inbox.startDispatch();
  recorder.push("a", "b", "c");
  recorder.inbox.abandon();
  recorder.push("d");
  assertEquals([recorder.inbox.length, recorder.inbox.bytes, recorder.inbox.inFlight], [0, 0, 2]);
  slow.resolve("done");
  await recorder.idle();
  assertEquals(recorder.events, ["run a", "run b", "a = done", "b = done"]);
  assertEquals(await recorder.inbox.take(), undefined);
});

Deno.test("a packet whose data is being checked when the inbox is abandoned does not run", async () => {
  const recorder = new Recorder();
  const checked = Promise.withResolvers<void>();
  recorder.preparations = { a: () => checked.promise };
  recorder.inbox.startDispatch();
  recorder.push("a", "b");
  recorder.inbox.abandon();
  checked.resolve();
  await recorder.idle();
  assertEquals(recorder.events, []);
  assertEquals(recorder.inbox.inFlight, 0);
});

Deno.test("a handler may abandon the inbox that started it", () => {
  const recorder = new Recorder();
  recorder.handlers = { a: () => recorder.inbox.abandon() };
  recorder.push("a", "b");
  recorder.inbox.startDispatch();
  assertEquals(recorder.events, ["run a", "a = undefined"]);
  assertEquals([recorder.inbox.length, recorder.inbox.bytes], [0, 0]);
});

Deno.test("idle is an inbox in which nothing runs and nothing will", async () => {
  const recorder = new Recorder();
  const { inbox } = recorder;
  assert(inbox.isIdle);
  recorder.push("a");
  // Nobody is going to take it: there is nothing to wait for.
  assert(inbox.isIdle);
  inbox.startIteration();
  assertFalse(inbox.isIdle);
  await inbox.take();
  assert(inbox.isIdle);
});

Deno.test("a change is told when packets come and go and when handlers settle", async () => {
  const recorder = new Recorder();
  const { inbox } = recorder;
  const came = inbox.changes.next();
  recorder.push("a");
  await came;
  const went = inbox.changes.next();
  await inbox.take();
  await went;
  const slow = Promise.withResolvers<void>();
  recorder.handlers = { b: () => slow.promise };
  inbox.startDispatch();
  recorder.push("b");
  const settled = inbox.changes.next();
  slow.resolve();
  await settled;
  assertEquals(inbox.inFlight, 0);
});

Deno.test("a long queue is worked off in linear time", () => {
  const count = 200_000;
  const recorder = new Recorder();
  const small = packet("a");
  for (let pushed = 0; pushed < count; pushed++) recorder.inbox.push(small, 10);
  const start = performance.now();
  recorder.inbox.startDispatch();
  assertEquals([recorder.events.length, recorder.inbox.length], [2 * count, 0]);
  // Array.prototype.shift on such a queue takes a minute in all.
  assertLess(performance.now() - start, 5_000);
});
