import { assertEquals, assertInstanceOf } from "@std/assert";
import { ConnectionError } from "../../errors.ts";
import { Inbox } from "../../inbox.ts";
import { type ConnectionLimits, resolveConnectionLimits } from "../../options.ts";
import { decodePacket } from "../../packet.ts";
import { ReadLoop } from "../../read_loop.ts";
import { beginDelivery, Session } from "../../session.ts";
import { Sweep } from "../../sweep.ts";
import type { Wire } from "../../wire.ts";
import { FakeTime } from "../support/fake_time.ts";

const WINDOW = { replayPackets: 100, replayBytes: 10_000 };

/** Gives a loop what is put in, and says how much of it was asked for. */
class FakeWire {
  reads = 0;
  readonly #ended = Promise.withResolvers<void>();
  readonly closed = this.#ended.promise;
  readonly #ready: (string[] | undefined | Error)[] = [];
  #next: PromiseWithResolvers<void> | undefined;
  #taken: string[] | undefined | Error = [];

  /** What arrives: lines, the end, or a failure. */
  put(batch: string[] | undefined | Error): void {
    this.#ready.push(batch);
    this.#next?.resolve();
  }

  close(): void {
    this.#ended.resolve();
  }

  take(): string[] | undefined {
    const batch = this.#taken;
    this.#taken = [];
    if (batch instanceof Error) throw batch;
    return batch;
  }

  async fill(): Promise<void> {
    this.reads++;
    if (this.#ready.length === 0) {
      this.#next = Promise.withResolvers();
      await this.#next.promise;
    }
    this.#taken = this.#ready.shift();
  }
}

interface SceneOptions extends ConnectionLimits {
  hasSession?: boolean;
}

/** A loop at work, on a clock that stands still unless it is told to go on. */
class Scene implements Disposable {
  readonly time = new FakeTime();
  readonly sweep = new Sweep();
  readonly wire = new FakeWire();
  readonly session: Session<unknown>;
  readonly inbox: Inbox;
  readonly events: string[] = [];
  readonly run: Promise<void>;
  isCurrent = true;
  fault: unknown;
  /** What else is done with a line. */
  onLine = (_line: string) => {};

  constructor({ hasSession = false, ...limits }: SceneOptions = {}) {
    this.session = new Session(9, hasSession ? beginDelivery(WINDOW, WINDOW) : undefined);
    this.inbox = new Inbox({
      prepare: () => () => {},
      run: () => {},
      taken: () => {},
      succeeded: () => {},
      failed: () => {},
    }, 1);
    this.run = new ReadLoop({
      wire: this.wire as unknown as Wire,
      sweep: this.sweep,
      limits: resolveConnectionLimits(limits),
      inbox: this.inbox,
      session: this.session,
      isCurrent: () => this.isCurrent,
      receive: (line) => {
        this.events.push(line);
        this.onLine(line);
      },
      batchEnded: () => this.events.push("batch"),
      inputEnded: () => this.events.push("end"),
      fault: (error) => {
        this.fault = error;
        this.events.push("fault");
      },
    }).run();
  }

  /** These lines arrive at once. Returns what came of it. */
  async arrive(...lines: string[]): Promise<string[]> {
    this.wire.put(lines);
    return await this.settle();
  }

  /** Lets time pass; returns what came of it. */
  async pass(ms: number): Promise<string[]> {
    this.time.advance(ms);
    return await this.settle();
  }

  async settle(): Promise<string[]> {
    for (let turn = 0; turn < 100; turn++) await Promise.resolve();
    return this.events.splice(0);
  }

  /** So many packets wait for a handler. */
  wait(count: number, bytes: number): void {
    for (let n = 0; n < count; n++) this.inbox.push(decodePacket('{"action":"a"}'), bytes);
  }

  /** A request of ours is pending. */
  ask(): void {
    this.session.requests.open(Infinity, { resolve: () => {}, reject: () => {} });
  }

  [Symbol.dispose](): void {
    assertEquals(this.time.timers, 0);
    this.time[Symbol.dispose]();
  }

  assertFault(code: string): void {
    assertInstanceOf(this.fault, ConnectionError);
    assertEquals(this.fault.code, code);
  }
}

Deno.test("lines are taken in order, and the end of each batch is told", async () => {
  using scene = new Scene();
  assertEquals(await scene.arrive("a", "b"), ["a", "b", "batch"]);
  assertEquals(await scene.arrive("c"), ["c", "batch"]);
  scene.wire.put(undefined);
  assertEquals(await scene.settle(), ["end"]);
  await scene.run;
  assertEquals([scene.wire.reads, scene.fault], [3, undefined]);
});

Deno.test("a wire that fails ends the loop, and what it failed with is told", async () => {
  using scene = new Scene();
  const failure = new Error("broken");
  scene.wire.put(["a"]);
  scene.wire.put(failure);
  assertEquals(await scene.settle(), ["a", "batch", "fault"]);
  await scene.run;
  assertEquals(scene.fault, failure);
});

Deno.test("a line that cannot be taken ends the loop at once", async () => {
  using scene = new Scene();
  const failure = new Error("bad line");
  scene.onLine = (line) => {
    if (line === "b") throw failure;
  };
  assertEquals(await scene.arrive("a", "b", "c"), ["a", "b", "fault"]);
  await scene.run;
  assertEquals([scene.fault, scene.wire.reads], [failure, 1]);
});

Deno.test("what a wire brings that does not count any more is not heard", async () => {
  for (const batch of [["a"], undefined]) {
    using scene = new Scene();
    await scene.settle();
    scene.isCurrent = false;
    scene.wire.put(batch);
    assertEquals(await scene.settle(), []);
    await scene.run;
  }
});

Deno.test("when a line makes its wire not count any more, the lines behind it are not heard", async () => {
  using scene = new Scene();
  scene.onLine = (line) => {
    if (line === "b") scene.isCurrent = false;
  };
  assertEquals(await scene.arrive("a", "b", "c"), ["a", "b"]);
  await scene.run;
});

Deno.test("when the last line does, the end of its batch is not told", async () => {
  using scene = new Scene();
  scene.onLine = () => scene.isCurrent = false;
  assertEquals(await scene.arrive("a"), ["a"]);
  await scene.run;
});

// Pace

Deno.test("after a burst lines are taken at the pace that was set, and none is dropped", async () => {
  using scene = new Scene({ maxPacketsPerSecond: 10 });
  const lines = Array.from({ length: 13 }, (_, n) => `${n}`);
  assertEquals(await scene.arrive(...lines), [...lines.slice(0, 10), "batch"]);
  assertEquals(await scene.pass(99), []);
  assertEquals(await scene.pass(1), ["10", "batch"]);
  assertEquals(await scene.pass(100), ["11", "batch"]);
  assertEquals(await scene.pass(100), ["12", "batch"]);
});

Deno.test("a loop that waits for its pace ends with its wire", async () => {
  using scene = new Scene({ maxPacketsPerSecond: 1 });
  assertEquals(await scene.arrive("a", "b"), ["a", "batch"]);
  scene.isCurrent = false;
  scene.wire.close();
  assertEquals(await scene.settle(), []);
  await scene.run;
});

Deno.test("a loop that waits again and again for its pace leaves nothing with its wire for it", async () => {
  using scene = new Scene({ maxPacketsPerSecond: 10 });
  const { closed } = scene.wire;
  const then = closed.then.bind(closed);
  let waiting = 0;
  closed.then = (...args) => {
    waiting++;
    return then(...args);
  };
  await scene.arrive(...Array.from({ length: 10 }, () => "burst"));
  for (let n = 0; n < 5; n++) {
    await scene.arrive(`${n}`);
    assertEquals(await scene.pass(100), [`${n}`, "batch"]);
  }
  assertEquals(waiting, 0);
});

// Too much waits

Deno.test("without a session reading pauses while more packets wait than may", async () => {
  using scene = new Scene({ replayPackets: 2 });
  scene.wait(2, 1);
  assertEquals(await scene.arrive("a"), ["a", "batch"]);
  assertEquals(scene.wire.reads, 2);
  scene.wait(1, 1);
  assertEquals(await scene.arrive("b"), ["b", "batch"]);
  assertEquals(await scene.arrive("c"), []);
  assertEquals(scene.wire.reads, 2);
  await scene.inbox.take();
  assertEquals(await scene.settle(), ["c", "batch"]);
  assertEquals([scene.fault, await scene.pass(60_000)], [undefined, []]);
});

Deno.test("without a session reading pauses while more bytes wait than may", async () => {
  using scene = new Scene({ replayBytes: 100 });
  scene.wait(1, 100);
  await scene.arrive("a");
  assertEquals(scene.wire.reads, 2);
  scene.wait(1, 1);
  await scene.arrive("b");
  assertEquals(scene.wire.reads, 2);
  await scene.inbox.take();
  await scene.settle();
  assertEquals(scene.wire.reads, 3);
});

Deno.test("a pause that only slow handlers are the cause of lasts as long as they do", async () => {
  using scene = new Scene({ replayPackets: 1, stallTimeoutMs: 1_000 });
  scene.wait(2, 1);
  await scene.arrive("a");
  assertEquals([await scene.pass(60_000), scene.wire.reads], [[], 1]);
  await scene.inbox.take();
  await scene.settle();
  assertEquals([scene.wire.reads, scene.fault], [2, undefined]);
});

Deno.test("while a request of ours waits for its reply, reading goes on as far as memory does", async () => {
  using scene = new Scene({ replayPackets: 1, maxBufferedBytes: 10_000 });
  scene.ask();
  scene.wait(20, 1);
  await scene.arrive("a");
  assertEquals(scene.wire.reads, 2);
  // What a packet costs besides its line counts as well.
  scene.wait(20, 1);
  await scene.arrive("b");
  assertEquals(scene.wire.reads, 2);
  scene.inbox.abandon();
  await scene.settle();
  assertEquals(scene.wire.reads, 3);
});

Deno.test("a ping of ours that waits for its pong keeps reading as a request does", async () => {
  using scene = new Scene({ replayPackets: 1 });
  scene.session.pings.open(Infinity, { resolve: () => {}, reject: () => {} });
  scene.wait(2, 1);
  await scene.arrive("a");
  assertEquals(scene.wire.reads, 2);
});

Deno.test("a pause ends when a request begins to wait for what is not read yet", async () => {
  using scene = new Scene({ replayPackets: 1 });
  scene.wait(2, 1);
  await scene.arrive("a");
  assertEquals(scene.wire.reads, 1);
  scene.ask();
  scene.inbox.changes.notify();
  await scene.settle();
  assertEquals(scene.wire.reads, 2);
});

Deno.test("where all memory is full of what may wait for a reply, the wire ends", async () => {
  using scene = new Scene({ maxBufferedBytes: 1_000, stallTimeoutMs: 1_000 });
  scene.ask();
  scene.wait(10, 500);
  assertEquals(await scene.arrive("a"), ["a", "batch"]);
  assertEquals(await scene.pass(999), []);
  // Handlers still get somewhere.
  await scene.inbox.take();
  assertEquals(await scene.pass(1_000), []);
  assertEquals(await scene.pass(1_000), ["fault"]);
  scene.assertFault("SLOW_CONSUMER");
  scene.isCurrent = false;
  scene.inbox.abandon();
  scene.wire.put(undefined);
  await scene.run;
});

Deno.test("such an end can be turned off", async () => {
  using scene = new Scene({ maxBufferedBytes: 1_000, stallTimeoutMs: false });
  scene.ask();
  scene.wait(10, 500);
  await scene.arrive("a");
  assertEquals([await scene.pass(600_000), scene.wire.reads], [[], 1]);
});

Deno.test("a pause ends with its wire", async () => {
  using scene = new Scene({ replayPackets: 1 });
  scene.wait(2, 1);
  await scene.arrive("a");
  scene.isCurrent = false;
  scene.inbox.changes.notify();
  scene.wire.put(["b"]);
  assertEquals(await scene.settle(), []);
  await scene.run;
});

Deno.test("within a session reading never pauses: its window is what stops the sender", async () => {
  using scene = new Scene({ hasSession: true, replayPackets: 1, replayBytes: 1 });
  scene.wait(1_000, 100);
  await scene.arrive("a");
  assertEquals(await scene.arrive("b"), ["b", "batch"]);
  assertEquals(scene.fault, undefined);
});

Deno.test("within a session more than there is memory for ends the wire at once", async () => {
  // A packet counts 256 bytes besides its line.
  using scene = new Scene({ hasSession: true, maxBufferedBytes: 10 * (256 + 44) });
  scene.wait(10, 44);
  assertEquals(await scene.arrive("a"), ["a", "batch"]);
  scene.wait(1, 1);
  assertEquals(await scene.arrive("b"), ["b", "batch", "fault"]);
  scene.assertFault("SLOW_CONSUMER");
  await scene.run;
  assertEquals(scene.wire.reads, 2);
});
