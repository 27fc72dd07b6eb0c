import { assert, assertEquals } from "@std/assert";
import { Arrivals } from "../../arrivals.ts";
import { Pulse, type PulseParts } from "../../pulse.ts";
import { Sweep } from "../../sweep.ts";
import { Window } from "../../window.ts";
import { FakeTime } from "../support/fake_time.ts";

const OFF = { heartbeatMs: false, deadAfterMs: false, stallTimeoutMs: false } as const;

/** A pulse that notes what it does and when; time begins at 0. */
class Scene implements Disposable {
  readonly time = new FakeTime();
  readonly sweep = new Sweep();
  readonly start = this.time.now;
  readonly window = new Window({ replayPackets: 4, replayBytes: 1_000 });
  readonly arrivals = new Arrivals({ replayPackets: 16, replayBytes: 1_000_000 });
  /** What the wire says. */
  silentSince: number | undefined = this.time.now;
  readonly events: string[] = [];
  readonly pulse: Pulse;
  #seq = 0;

  constructor(limits: Partial<PulseParts["limits"]>) {
    const wire = Object.defineProperty({ silentSince: undefined }, "silentSince", {
      get: () => this.silentSince,
    });
    this.pulse = new Pulse({
      sweep: this.sweep,
      limits: { ...OFF, ...limits },
      wire,
      ping: () => this.#note("ping"),
      acknowledge: () => this.#note(`ack ${this.arrivals.takeAck()}`),
      fault: ({ code, name }) => this.#note(`${name} ${code}`),
    }, { window: this.window, arrivals: this.arrivals });
  }

  /** Something is heard now. */
  hear(): void {
    this.silentSince = this.sweep.now();
  }

  /** Packets arrive, and are handed over. */
  arrive(count: number): void {
    for (let n = 0; n < count; n++) {
      this.arrivals.receive(++this.#seq);
      this.arrivals.pass(10);
    }
    this.pulse.check();
  }

  /** Packets are sent. */
  send(count: number): void {
    for (let n = 0; n < count; n++) {
      this.window.written(this.window.add({ head: "{", age: 0 }, "{}"), 0);
    }
    this.pulse.checkWindow();
  }

  /** The peer acknowledges. */
  acknowledge(ack: number): void {
    this.window.acknowledge(ack);
    this.pulse.checkWindow({ isProgress: true });
  }

  /** Lets time pass; returns what happened meanwhile, and when. */
  pass(ms: number): string[] {
    this.time.advance(ms);
    return this.events.splice(0);
  }

  [Symbol.dispose](): void {
    this.pulse.end();
    assertEquals(this.time.timers, 0);
    this.time[Symbol.dispose]();
  }

  #note(what: string): void {
    this.events.push(`${Math.round(this.time.now - this.start)} ${what}`);
  }
}

Deno.test("with every time turned off and nothing owed there is no timer", () => {
  using scene = new Scene({});
  assertEquals([scene.pulse.nextDeadline(), scene.time.timers], [Infinity, 0]);
  scene.pulse.check();
  scene.pulse.checkWindow();
  assertEquals([scene.pulse.nextDeadline(), scene.time.timers], [Infinity, 0]);
});

// Acknowledgements

Deno.test("what was handed over is acknowledged after a second, once", () => {
  using scene = new Scene({});
  scene.pass(50);
  scene.arrive(1);
  assertEquals(scene.pass(999), []);
  assertEquals(scene.pass(1), ["1050 ack 1"]);
  assertEquals(scene.pass(5_000), []);
});

Deno.test("what follows within that time is acknowledged with it", () => {
  using scene = new Scene({});
  scene.arrive(1);
  scene.pass(950);
  scene.arrive(2);
  assertEquals(scene.pass(50), ["1000 ack 3"]);
  assertEquals(scene.pass(5_000), []);
  scene.arrive(1);
  assertEquals(scene.pass(1_000), ["7000 ack 4"]);
});

Deno.test("what is due is acknowledged at once, without a timer", () => {
  using scene = new Scene({});
  scene.arrive(4);
  assertEquals(scene.events, ["0 ack 4"]);
  assertEquals([scene.time.timers, scene.pulse.nextDeadline()], [0, Infinity]);
});

Deno.test("what went out on other traffic meanwhile is not acknowledged again", () => {
  using scene = new Scene({});
  scene.arrive(1);
  scene.pass(100);
  scene.arrivals.takeAck();
  assertEquals(scene.pass(5_000), []);
  assertEquals(scene.time.timers, 0);
  scene.arrive(1);
  assertEquals(scene.pass(1_000), ["6100 ack 2"]);
});

Deno.test("nothing is acknowledged while nothing was handed over", () => {
  using scene = new Scene({});
  scene.arrivals.receive(1);
  scene.arrivals.hold({}, 10);
  scene.pulse.check();
  assertEquals([scene.pass(1_000), scene.pulse.nextDeadline()], [[], Infinity]);
});

// Heartbeats

Deno.test("a silent peer is asked for a sign of life, again and again, until it is dead", () => {
  using scene = new Scene({ heartbeatMs: 1_000, deadAfterMs: 4_500 });
  assertEquals(scene.pass(4_499), ["1000 ping", "2000 ping", "3000 ping", "4000 ping"]);
  assertEquals(scene.pass(1), ["4500 ConnectionError HEARTBEAT_TIMEOUT"]);
});

Deno.test("a peer that is heard of is asked for nothing", () => {
  using scene = new Scene({ heartbeatMs: 1_000, deadAfterMs: 3_000 });
  for (let n = 0; n < 20; n++) {
    scene.hear();
    assertEquals(scene.pass(990), []);
  }
  assertEquals(scene.pass(10), ["19810 ping"]);
});

Deno.test("an answer is a sign of life, and its silence counts from there", () => {
  using scene = new Scene({ heartbeatMs: 1_000, deadAfterMs: 3_000 });
  assertEquals(scene.pass(1_500), ["1000 ping"]);
  scene.hear();
  assertEquals(scene.pass(2_999), ["2500 ping", "3500 ping"]);
  assertEquals(scene.pass(1), ["4500 ConnectionError HEARTBEAT_TIMEOUT"]);
});

Deno.test("a peer is asked three times before it counts as dead, however seldom it was to be", () => {
  using scene = new Scene({ heartbeatMs: 60_000, deadAfterMs: 300 });
  assertEquals(scene.pass(299), ["100 ping", "200 ping"]);
  assertEquals(scene.pass(1), ["300 ConnectionError HEARTBEAT_TIMEOUT"]);
});

Deno.test("without heartbeats of its own a peer is asked all the same where silence is death", () => {
  using scene = new Scene({ heartbeatMs: false, deadAfterMs: 900 });
  assertEquals(scene.pass(899), ["300 ping", "600 ping"]);
  assertEquals(scene.pass(1), ["900 ConnectionError HEARTBEAT_TIMEOUT"]);
});

Deno.test("where silence is no death a peer is asked for ever", () => {
  using scene = new Scene({ heartbeatMs: 1_000, deadAfterMs: false });
  assertEquals(scene.pass(100_000).length, 100);
});

Deno.test("while this side does not listen the peer's silence means nothing", () => {
  using scene = new Scene({ heartbeatMs: 1_000, deadAfterMs: 3_000 });
  scene.silentSince = undefined;
  assertEquals(scene.pass(60_000), []);
  scene.silentSince = scene.sweep.now();
  const events = scene.pass(3_000);
  assertEquals(events.at(-1), "63000 ConnectionError HEARTBEAT_TIMEOUT");
});

Deno.test("silence from before it began to watch is not held against the peer", () => {
  using scene = new Scene({ heartbeatMs: 1_000, deadAfterMs: 3_000 });
  scene.silentSince = scene.sweep.now() - 60_000;
  assertEquals(scene.pass(2_999), ["1000 ping", "2000 ping"]);
});

Deno.test("a process that was stopped holds nobody's silence against them", () => {
  using scene = new Scene({ heartbeatMs: 5_000, deadAfterMs: 15_000, stallTimeoutMs: 4_000 });
  scene.send(4);
  scene.pass(2_500);
  scene.time.stop(60_000);
  // The tick that was due at 3000 comes now, 59.5 seconds late. But for 100 ms they are none of the
  // peer's.
  assertEquals(scene.pass(899), []);
  assertEquals(scene.pass(1), ["63400 ConnectionError SLOW_CONSUMER"]);
  assertEquals(scene.pass(1_000), ["64400 ping"]);
});

// A full window

Deno.test("a window that is full without an acknowledgement for its time ends the wire", () => {
  using scene = new Scene({ stallTimeoutMs: 1_000 });
  scene.send(3);
  assertEquals([scene.pass(5_000), scene.time.timers], [[], 0]);
  scene.send(1);
  assertEquals(scene.pass(999), []);
  assertEquals(scene.pass(1), ["6000 ConnectionError SLOW_CONSUMER"]);
  // Whoever goes on all the same is told once.
  assertEquals(scene.pass(5_000), []);
});

Deno.test("sending on into a full window does not begin its time again", () => {
  using scene = new Scene({ stallTimeoutMs: 1_000 });
  scene.send(4);
  scene.pass(600);
  scene.send(1);
  scene.pulse.checkWindow();
  assertEquals(scene.pass(400), ["1000 ConnectionError SLOW_CONSUMER"]);
});

Deno.test("an acknowledgement begins the time of a full window again", () => {
  using scene = new Scene({ stallTimeoutMs: 1_000 });
  scene.send(6);
  scene.pass(900);
  scene.acknowledge(1);
  assert(scene.window.isFull);
  assertEquals(scene.pass(999), []);
  assertEquals(scene.pass(1), ["1900 ConnectionError SLOW_CONSUMER"]);
});

Deno.test("a window that has room again is as good as one that always had", () => {
  using scene = new Scene({ stallTimeoutMs: 1_000 });
  scene.send(4);
  scene.pass(900);
  scene.acknowledge(1);
  assertEquals(scene.pass(10_000), []);
  scene.send(1);
  assertEquals(scene.pass(999), []);
  assertEquals(scene.pass(1), ["11900 ConnectionError SLOW_CONSUMER"]);
});

Deno.test("a full window may stay so for ever where that is turned off", () => {
  using scene = new Scene({});
  scene.send(9);
  assertEquals([scene.pass(100_000), scene.time.timers], [[], 0]);
});

// Together

Deno.test("each time comes in its turn, whichever others are set", () => {
  using scene = new Scene({ heartbeatMs: 800, deadAfterMs: 2_500, stallTimeoutMs: 1_500 });
  scene.arrive(1);
  scene.send(4);
  assertEquals(scene.pass(1_499), ["800 ping", "1000 ack 1"]);
  assertEquals(scene.pass(1), ["1500 ConnectionError SLOW_CONSUMER"]);
  assertEquals(scene.pass(1_000), [
    "1600 ping",
    "2400 ping",
    "2500 ConnectionError HEARTBEAT_TIMEOUT",
  ]);
});

Deno.test("of an end and what else is due at once only the end is told", () => {
  using scene = new Scene({ heartbeatMs: 100, deadAfterMs: 300, stallTimeoutMs: 300 });
  scene.send(4);
  assertEquals(scene.pass(300).at(-1), "300 ConnectionError SLOW_CONSUMER");
});

Deno.test("whoever ends while a time of its is due is left alone from then on", () => {
  using scene = new Scene({ heartbeatMs: 100, deadAfterMs: 300, stallTimeoutMs: 250 });
  scene.arrive(1);
  scene.send(4);
  scene.pulse.end();
  assertEquals([scene.pass(10_000), scene.time.timers], [[], 0]);
});
