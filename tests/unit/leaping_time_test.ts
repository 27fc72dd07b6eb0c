// What other tests pass their time with.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { LeapingTime } from "../support/leaping_time.ts";
import { pause } from "../support/wait.ts";

Deno.test("timers fire in a leap, each when it should, and those that they set as well", () => {
  using time = new LeapingTime();
  const start = performance.now();
  const fired: [string, number][] = [];
  const note = (name: string) => fired.push([name, Math.floor(performance.now() - start)]);
  setTimeout(() => note("late"), 60_000);
  setTimeout(
    (name) => {
      note(name);
      setTimeout(() => note("second"), 10_000);
    },
    20_000,
    "first",
  );
  clearTimeout(setTimeout(() => note("never"), 25_000));
  time.leap(10_000);
  assertEquals(fired, []);
  time.leap(30_000);
  // What was passed in is exact; what passes by itself meanwhile comes on top.
  assertEquals(fired.map(([name]) => name), ["first", "second"]);
  const [[, first], [, second]] = fired;
  assert(first >= 20_000 && first < 25_000 && second >= 30_000 && second < 35_000, `${fired}`);
  time.leap(30_000);
  assertEquals(fired.map(([name]) => name), ["first", "second", "late"]);
});

Deno.test("time goes on between leaps, the time of day with it, and is itself again at the end", async () => {
  const before = [performance.now(), Date.now()];
  const { setTimeout } = globalThis;
  {
    using time = new LeapingTime();
    const soon = Promise.withResolvers<void>();
    globalThis.setTimeout(soon.resolve, 1);
    await soon.promise;
    time.leap(3_600_000);
    assert(performance.now() - before[0] >= 3_600_000);
    assert(Date.now() - before[1] >= 3_600_000);
  }
  assert(globalThis.setTimeout === setTimeout);
  assert(performance.now() - before[0] < 1_800_000 && Date.now() - before[1] < 1_800_000);
});

Deno.test("between long strides those who are lively have their say", async () => {
  let said = 0;
  using time = new LeapingTime(() => Promise.resolve(said++));
  await time.pass(10_000);
  assert(said >= 20, `${said} times`);
});

Deno.test("leaping on ends with what it is for, however that ends", async () => {
  using time = new LeapingTime();
  const { promise, resolve } = Promise.withResolvers<string>();
  const start = performance.now();
  setTimeout(() => resolve("done"), 2_000);
  assertEquals(await time.leapUntil(promise, "its end"), "done");
  const passed = performance.now() - start;
  assert(passed >= 2_000 && passed < 9_000, `${passed} ms`);
  const failure = pause(1).then(() => Promise.reject(new Error("no")));
  await assertRejects(() => time.leapUntil(failure, "its end"), Error, "no");
});
