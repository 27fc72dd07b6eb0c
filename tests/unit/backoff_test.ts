import { assert, assertEquals } from "@std/assert";
import { Backoff } from "../../backoff.ts";

/** The next bounds, each attempt waiting for as long as it may. */
function bounds(backoff: Backoff, count: number): number[] {
  return Array.from({ length: count }, () => backoff.next(() => 1));
}

Deno.test("the bound doubles with each attempt, up to the largest", () => {
  const backoff = new Backoff(100, 1_000);
  assertEquals(backoff.boundMs, 100);
  assertEquals(bounds(backoff, 6), [100, 200, 400, 800, 1_000, 1_000]);
  assertEquals(backoff.boundMs, 1_000);
});

Deno.test("each wait is drawn from all of 0 to the bound", () => {
  const backoff = new Backoff(100, 10_000);
  assertEquals([0, 0.25, 0.5].map((drawn) => backoff.next(() => drawn)), [0, 50, 200]);
});

Deno.test("without a source of its own it draws at random", () => {
  const waits = new Set(Array.from({ length: 20 }, () => new Backoff(1_000, 1_000).next()));
  assert(waits.size > 10);
  for (const wait of waits) assert(wait >= 0 && wait < 1_000);
});

Deno.test("a reset begins again at the first bound", () => {
  const backoff = new Backoff(100, 1_000);
  bounds(backoff, 5);
  backoff.reset();
  assertEquals([backoff.boundMs, bounds(backoff, 2)], [100, [100, 200]]);
});

Deno.test("a first bound above the largest is the largest, also after a reset", () => {
  const backoff = new Backoff(5_000, 1_000);
  assertEquals([backoff.boundMs, bounds(backoff, 2)], [1_000, [1_000, 1_000]]);
  backoff.reset();
  assertEquals(backoff.boundMs, 1_000);
});

Deno.test("however long it goes on, a wait stays one that a timer can hold", () => {
  const backoff = new Backoff(1, 2 ** 31 - 1);
  assertEquals(bounds(backoff, 2_000).at(-1), 2 ** 31 - 1);
});
