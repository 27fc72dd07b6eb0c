import { assert, assertEquals, assertLess } from "@std/assert";
import { TokenBucket } from "../../token_bucket.ts";

/** Takes so many at once. Returns the waits. */
function takeAt(bucket: TokenBucket, now: number, count: number): number[] {
  return Array.from({ length: count }, () => bucket.take(now));
}

Deno.test("a burst of a second's worth passes at once, the next one waits for its turn", () => {
  const bucket = new TokenBucket(10, 5_000);
  assertEquals(takeAt(bucket, 5_000, 12), [...Array(10).fill(0), 100, 200]);
});

Deno.test("whoever waits as told keeps to the rate", () => {
  const bucket = new TokenBucket(4, 0);
  let now = 0;
  for (let taken = 0; taken < 100; taken++) now += bucket.take(now);
  assertEquals(now, 96 * 250);
});

Deno.test("what was waited for is not waited for again", () => {
  const bucket = new TokenBucket(10, 0);
  takeAt(bucket, 0, 10);
  assertEquals(bucket.take(0), 100);
  assertEquals(bucket.take(100), 100);
  assertEquals(bucket.take(300), 0);
});

Deno.test("a long silence allows one burst and no more", () => {
  const bucket = new TokenBucket(3, 0);
  takeAt(bucket, 0, 3);
  const waits = takeAt(bucket, 3_600_000, 4);
  assertEquals(waits.slice(0, 3), [0, 0, 0]);
  assert(waits[3] > 0);
});

Deno.test("one a second is a rate too", () => {
  const bucket = new TokenBucket(1, 0);
  assertEquals(takeAt(bucket, 0, 3), [0, 1_000, 2_000]);
});

Deno.test("a clock that is set back gives nothing away and takes nothing away", () => {
  const bucket = new TokenBucket(10, 10_000);
  assertEquals(takeAt(bucket, 10_000, 10), Array(10).fill(0));
  assertEquals(bucket.take(4_000), 100);
  assertLess(bucket.take(4_100), 100.001);
});

Deno.test("what would have to wait for too long takes nothing", () => {
  const bucket = new TokenBucket(10, 0);
  takeAt(bucket, 0, 10);
  assertEquals(bucket.take(0, 0), 100);
  assertEquals(bucket.take(0, 99), 100);
  assertEquals(bucket.take(0, 100), 100);
  assertEquals(bucket.take(0, 100), 200);
  assertEquals(bucket.take(100, 99), 100);
  assertEquals(bucket.take(200, 0), 0);
});
