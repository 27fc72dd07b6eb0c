import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { Sweep, type Sweepable } from "../../sweep.ts";
import { FakeTime } from "../support/fake_time.ts";

/** An entry that notes when it was swept, and then has no deadline any more. */
class Entry implements Sweepable {
  readonly swept: number[] = [];
  /** How often it was looked at. */
  asked = 0;
  constructor(public deadline: number = Infinity) {}

  nextDeadline(): number {
    this.asked++;
    return this.deadline;
  }

  sweep(now: number): void {
    this.swept.push(now);
    this.deadline = Infinity;
  }
}

Deno.test("there is no timer while there is no deadline", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entry = new Entry();
  sweep.add(entry);
  assertEquals([time.timers, sweep.nextTick], [0, Infinity]);
  entry.deadline = sweep.now() + 500;
  sweep.by(entry, entry.deadline);
  assertEquals(time.timers, 1);
  time.advance(600);
  assertEquals([entry.swept.length, time.timers, sweep.nextTick], [1, 0, Infinity]);
});

Deno.test("a sweep tells people what it waits for", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  assertEquals(sweep.waitsFor, "a deadline");
  const entry = new Entry(sweep.now() + 500);
  sweep.add(entry);
  time.advance(200);
  assertEquals(sweep.waitsFor, "300 ms to pass");
  // A tick that is overdue.
  time.stop(350);
  assertEquals(sweep.waitsFor, "0 ms to pass");
  sweep.delete(entry);
  assertEquals(sweep.waitsFor, "a deadline");
});

Deno.test("an entry is swept when its deadline has come, not before, and not again", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entry = new Entry(sweep.now() + 3_500);
  const deadline = entry.deadline;
  sweep.add(entry);
  time.advance(3_499);
  assertEquals(entry.swept, []);
  time.advance(1);
  assertEquals(entry.swept, [deadline]);
  time.advance(60_000);
  assertEquals(entry.swept.length, 1);
});

Deno.test("one timer serves all entries, each at its own time", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const start = sweep.now();
  const entries = [700, 100, 400, 10_000].map((ms) => new Entry(start + ms));
  for (const entry of entries) {
    sweep.add(entry);
    assertEquals(time.timers, 1);
  }
  time.advance(10_000);
  assertEquals(entries.map(({ swept }) => swept.map((now) => now - start)), [
    [700],
    [100],
    [400],
    [10_000],
  ]);
  assertEquals(time.timers, 0);
});

Deno.test("several entries that are due at once are swept at once", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entries = [200, 205, 209].map((ms) => new Entry(sweep.now() + ms));
  for (const entry of entries) sweep.add(entry);
  time.advance(200);
  time.advance(20);
  assertEquals(entries.map(({ swept }) => swept.length), [1, 1, 1]);
});

Deno.test("the clock is looked at once a second while anything is due, and not more often than needed", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  sweep.add(new Entry(sweep.now() + 10_000));
  let ticks = 0;
  while (time.timers > 0) {
    const wait = time.next - time.now;
    assert(wait > 0 && wait <= 1_000);
    time.advance(wait);
    ticks++;
  }
  assertEquals(ticks, 10);
});

Deno.test("a deadline that is over already is swept soon, from a timer", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entry = new Entry(sweep.now() - 5_000);
  sweep.add(entry);
  assertEquals(entry.swept, []);
  time.advance(10);
  assertEquals(entry.swept.length, 1);
});

Deno.test("a deadline that has moved away is not swept, and watched at its new time", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const start = sweep.now();
  const entry = new Entry(start + 100);
  sweep.add(entry);
  entry.deadline = start + 5_000;
  time.advance(4_999);
  assertEquals(entry.swept, []);
  time.advance(1);
  assertEquals(entry.swept.map((now) => now - start), [5_000]);
});

Deno.test("a process that was stopped finds nobody dead for it", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entry = new Entry(sweep.now() + 10_000);
  sweep.add(entry);
  time.advance(3_500);
  time.stop(60_000);
  time.fire();
  assertEquals(entry.swept, []);
  // The half second to the tick that was missed has passed too, and what a tick may come late.
  time.advance(5_899);
  assertEquals(entry.swept, []);
  time.advance(1);
  assertEquals(entry.swept.length, 1);
});

Deno.test("the clock goes on while the process is busy, and is stopped by no more than it is", () => {
  using time = new FakeTime();
  for (const [turn, passed] of [[20, 1], [100, 1], [200, 0.55], [1_000, 0.11], [60_000, 0.002]]) {
    const sweep = new Sweep();
    // Short deadlines all the time, as a server with many clients has them.
    const entry: Sweepable = { nextDeadline: () => sweep.now(), sweep: () => {} };
    sweep.add(entry);
    const start = sweep.now();
    for (let n = 0; n < 100; n++) {
      time.stop(turn);
      time.fire();
    }
    const share = (sweep.now() - start) / (100 * turn);
    assertLess(Math.abs(share - passed), 0.01, `turns of ${turn} ms: ${share}`);
    sweep.delete(entry);
  }
});

Deno.test("a fraction of a millisecond costs no timer of its own", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  for (let n = 0; n < 10; n++) {
    time.advance(7.3);
    let called = false;
    sweep.after(20, () => called = true);
    time.now = time.next;
    time.fire();
    assert(called, `at ${time.now}`);
  }
});

Deno.test("a timer that fires early finds nothing due, and looks again", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entry = new Entry(sweep.now() + 500);
  const deadline = entry.deadline;
  sweep.add(entry);
  time.advance(499.4);
  time.fire(1);
  assertEquals([entry.swept, sweep.now()], [[], deadline - 0.6]);
  time.advance(20);
  assertEquals(entry.swept.length, 1);
  assert(entry.swept[0] >= deadline);
});

Deno.test("the clock never runs backwards, nor while the process is stopped", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  sweep.add(new Entry(sweep.now() + 100_000));
  const times = [sweep.now()];
  for (let round = 0; round < 20; round++) {
    time.advance(700);
    times.push(sweep.now());
    time.stop(round * 1_000);
    times.push(sweep.now());
    time.fire();
    times.push(sweep.now());
  }
  assertEquals(times, times.toSorted((a, b) => a - b));
  assertLess(times.at(-1)! - times[0], 20 * 1_700 + 1);
});

Deno.test("a deadline that is set between waking up and the late tick is not too late", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  sweep.add(new Entry(sweep.now() + 100_000));
  time.advance(500);
  time.stop(60_000);
  // What was waiting in a socket is read before the timer fires.
  const entry = new Entry(sweep.now() + 5_000);
  sweep.add(entry);
  time.fire();
  time.advance(5_000);
  assertEquals(entry.swept.length, 1);
});

Deno.test("short deadlines that keep coming do not put off the others", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entry = new Entry(sweep.now() + 50);
  sweep.add(entry);
  let called = 0;
  for (let turn = 0; turn < 100; turn++) {
    sweep.after(5, () => called++);
    time.advance(4);
  }
  assertEquals(entry.swept.length, 1);
  assertGreater(called, 90);
});

Deno.test("a deadline a little earlier than the tick does not make it later", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entries = [0, 1, 2].map(() => new Entry());
  for (const entry of entries) sweep.add(entry);
  sweep.by(entries[0], sweep.now() + 20);
  time.advance(12);
  const before = sweep.nextTick;
  sweep.by(entries[1], sweep.now() + 1);
  assertEquals(sweep.nextTick, before);
  sweep.by(entries[2], before + 1_000);
  assertEquals(sweep.nextTick, before);
  assertEquals(time.timers, 1);
});

Deno.test("a deadline is met within ten milliseconds, also where a tick comes just before it", () => {
  using time = new FakeTime();
  time.now = 1_002;
  const sweep = new Sweep();
  const late: number[] = [];
  for (const ms of [0, 9, 11, 13, 19, 20, 25]) {
    const deadline = sweep.now() + ms;
    sweep.after(ms, () => late.push(sweep.now() - deadline));
  }
  time.advance(100);
  assertEquals(late.length, 7);
  assert(late.every((ms) => ms >= 0 && ms <= 10), `late by ${late}`);
});

Deno.test("deadlines of what is not watched are of no interest", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entry = new Entry(sweep.now() + 100);
  sweep.by(entry, entry.deadline);
  assertEquals([time.timers, sweep.nextTick], [0, Infinity]);
  sweep.add(entry);
  sweep.delete(entry);
  sweep.by(entry, entry.deadline);
  assertEquals([time.timers, sweep.nextTick], [0, Infinity]);
  // Nor do they wake those that are.
  const other = new Entry(sweep.now() + 900);
  sweep.add(other);
  sweep.by(entry, sweep.now() + 10);
  assertEquals(sweep.nextTick, other.deadline);
  time.advance(5_000);
  assertEquals([entry.swept.length, other.swept.length], [0, 1]);
});

Deno.test("a deadline that comes nearer is met, and the one that it was before means nothing", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const start = sweep.now();
  const entry = new Entry(start + 5_000);
  sweep.add(entry);
  for (const ms of [3_000, 4_000, 700]) {
    entry.deadline = start + ms;
    sweep.by(entry, entry.deadline);
    assertEquals(time.timers, 1);
  }
  time.advance(699);
  assertEquals(entry.swept, []);
  time.advance(1);
  assertEquals(entry.swept, [start + 700]);
  const { asked } = entry;
  time.advance(10_000);
  assertEquals([entry.swept.length, entry.asked, time.timers], [1, asked, 0]);
});

Deno.test("an entry whose deadline was given up is not swept, and keeps no timer", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entry = new Entry(sweep.now() + 300);
  sweep.add(entry);
  entry.deadline = Infinity;
  time.advance(300);
  assertEquals([entry.swept, time.timers, sweep.nextTick], [[], 0, Infinity]);
  // It is watched all the same.
  entry.deadline = sweep.now() + 300;
  sweep.by(entry, entry.deadline);
  time.advance(300);
  assertEquals(entry.swept.length, 1);
});

Deno.test("a deadline that is put off again and again is looked at no more often than it comes", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entry = new Entry(sweep.now() + 200);
  sweep.add(entry);
  entry.asked = 0;
  // Like a heartbeat that traffic puts off, 1,000 times in ten seconds.
  for (let n = 0; n < 1_000; n++) {
    time.advance(10);
    entry.deadline = sweep.now() + 200;
    sweep.by(entry, entry.deadline);
  }
  assertEquals(entry.swept, []);
  assertLess(entry.asked, 150);
  const { deadline } = entry;
  time.advance(1_000);
  assertEquals(entry.swept, [deadline]);
});

Deno.test("a tick looks at those that are due alone, however many are watched", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const far = Array.from({ length: 1_000 }, (_, n) => new Entry(sweep.now() + 50_000 + n));
  const idle = Array.from({ length: 1_000 }, () => new Entry());
  for (const entry of [...far, ...idle]) sweep.add(entry);
  const asked = () => [...far, ...idle].reduce((sum, entry) => sum + entry.asked, 0);
  const before = asked();
  let called = 0;
  const again = () => {
    if (++called < 100) sweep.after(100, again);
  };
  sweep.after(100, again);
  time.advance(20_000);
  assertEquals([called, asked()], [100, before]);
  time.advance(40_000);
  assert(far.every(({ swept }) => swept.length === 1));
  assert(idle.every(({ swept }) => swept.length === 0));
});

Deno.test("an entry that is taken out and put back while it is swept is swept once", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const start = sweep.now();
  const second = new Entry(start + 100);
  const first: Sweepable = {
    nextDeadline: () => start + 100,
    sweep: () => {
      sweep.delete(first);
      sweep.delete(second);
      second.deadline = start + 300;
      sweep.add(second);
    },
  };
  sweep.add(first);
  sweep.add(second);
  time.advance(1_000);
  assertEquals(second.swept.map((now) => now - start), [300]);
  assertEquals(time.timers, 0);
});

Deno.test("an entry that is put back while others are swept waits for the next tick, due or not", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const start = sweep.now();
  const second = new Entry(start + 100);
  sweep.after(100, () => {
    sweep.delete(second);
    sweep.add(second);
  });
  sweep.add(second);
  time.advance(1_000);
  assertEquals(second.swept.map((now) => now - start), [110]);
});

Deno.test("what one entry puts off while it is swept is not swept with it", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const start = sweep.now();
  const second = new Entry(start + 100);
  const first = new Entry(start + 100);
  first.sweep = (now) => {
    first.deadline = Infinity;
    second.deadline = now + 400;
  };
  sweep.add(first);
  sweep.add(second);
  time.advance(1_000);
  assertEquals(second.swept.map((now) => now - start), [500]);
});

Deno.test("a sweep that has rested for long goes on where the time is", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entry = new Entry(sweep.now() + 50);
  sweep.add(entry);
  for (const rest of [1_000, 3_600_000, 1e11]) {
    time.advance(rest);
    assertEquals(time.timers, 0);
    const deadline = sweep.now() + 50;
    entry.deadline = deadline;
    sweep.by(entry, deadline);
    const begun = Date.now();
    time.advance(60);
    assert(entry.swept.at(-1)! >= deadline);
    // What has passed meanwhile is not gone through tick by tick.
    assertLess(Date.now() - begun, 1_000);
  }
  assertEquals(entry.swept.length, 4);
});

Deno.test("what is watched no more is not swept, and the last one takes the timer along", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entries = [100, 200].map((ms) => new Entry(sweep.now() + ms));
  for (const entry of entries) sweep.add(entry);
  sweep.delete(entries[0]);
  assertEquals(time.timers, 1);
  time.advance(150);
  sweep.delete(entries[1]);
  assertEquals([time.timers, sweep.nextTick], [0, Infinity]);
  time.advance(1_000);
  sweep.delete(entries[1]);
  assertEquals(entries.map(({ swept }) => swept.length), [0, 0]);
});

Deno.test("what has come nearer and is watched no more leaves no timer at either time", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const entry = new Entry(sweep.now() + 900);
  sweep.add(entry);
  sweep.by(entry, sweep.now() + 400);
  sweep.delete(entry);
  assertEquals([time.timers, sweep.nextTick], [0, Infinity]);
  // Nor when it was swept at the nearer one.
  entry.deadline = sweep.now() + 900;
  sweep.add(entry);
  entry.deadline = sweep.now() + 400;
  sweep.by(entry, entry.deadline);
  time.advance(400);
  assertEquals([entry.swept.length, time.timers], [1, 0]);
});

Deno.test("what one entry takes out while it is swept is not swept with it", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const second = new Entry(sweep.now() + 100);
  const first: Sweepable = {
    nextDeadline: () => second.deadline,
    sweep: () => {
      sweep.delete(second);
      sweep.delete(first);
    },
  };
  sweep.add(first);
  sweep.add(second);
  time.advance(1_000);
  assertEquals([second.swept.length, time.timers], [0, 0]);
});

Deno.test("what one entry adds or makes due earlier while it is swept is watched", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const start = sweep.now();
  const earlier = new Entry(start + 50_000);
  const added = new Entry();
  const first: Sweepable = {
    nextDeadline: () =>
      added.deadline === Infinity && added.swept.length === 0 ? start + 100 : Infinity,
    sweep: (now) => {
      earlier.deadline = now + 30;
      sweep.by(earlier, earlier.deadline);
      added.deadline = now + 60;
      sweep.add(added);
    },
  };
  sweep.add(earlier);
  sweep.add(first);
  time.advance(1_000);
  assertEquals([earlier, added].map(({ swept }) => swept.map((now) => now - start)), [
    [130],
    [160],
  ]);
});

Deno.test("an entry that stays due is swept again and again, but not at once", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  let swept = 0;
  sweep.add({ nextDeadline: () => 0, sweep: () => swept++ });
  time.advance(100);
  assertEquals(swept, 10);
});

Deno.test("after() calls back once, in its time", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const called: number[] = [];
  const start = sweep.now();
  for (const ms of [300, 100, 2_000]) sweep.after(ms, () => called.push(sweep.now() - start));
  time.advance(10_000);
  assertEquals(called, [100, 300, 2_000]);
  assertEquals(time.timers, 0);
});

Deno.test("after() is called off, also when it is too late for that", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  let called = 0;
  const callOff = sweep.after(100, () => called++);
  callOff();
  callOff();
  assertEquals(time.timers, 0);
  const callOffLate = sweep.after(100, () => called++);
  time.advance(200);
  callOffLate();
  assertEquals([called, time.timers], [1, 0]);
});

Deno.test("a callback of after() may start the next", () => {
  using time = new FakeTime();
  const sweep = new Sweep();
  const called: number[] = [];
  const start = sweep.now();
  const again = () => {
    called.push(sweep.now() - start);
    if (called.length < 3) sweep.after(100, again);
  };
  sweep.after(100, again);
  time.advance(1_000);
  assertEquals(called, [100, 200, 300]);
});

Deno.test("on the real clock after() calls back no sooner than it was told", async () => {
  const sweep = new Sweep();
  const start = performance.now();
  const { promise, resolve } = Promise.withResolvers<void>();
  sweep.after(30, resolve);
  await promise;
  // The platform's timers may be early by less than a millisecond.
  assertGreater(performance.now() - start, 29);
});

Deno.test("a pause is over after its time, or fails with the signal's reason, and leaves no timer", async () => {
  const sweep = new Sweep();
  const calm = new AbortController();
  const start = sweep.now();
  await sweep.pause(30, calm.signal);
  assert(sweep.now() - start >= 30);
  const off = new AbortController();
  const pause = sweep.pause(60_000, off.signal);
  off.abort(new RangeError("enough"));
  await assertRejects(() => pause, RangeError, "enough");
  await assertRejects(() => sweep.pause(60_000, off.signal), RangeError, "enough");
  assertEquals(sweep.nextTick, Infinity);
});

Deno.test("what is asked for with every packet is as late as a millisecond, and no later than the clock", () => {
  using time = new FakeTime({ withDate: true });
  const sweep = new Sweep();
  for (const ms of [0, 1, 1, 250, 60_000]) {
    time.advance(ms);
    assertEquals(sweep.recent, sweep.now());
  }
  sweep.add(new Entry(sweep.now() + 100_000));
  const before = sweep.now();
  // The process is stopped: the clock waits for the tick that is overdue.
  time.stop(60_000);
  assertEquals(sweep.recent, before + 1_100);
});
