import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { BufferPool, POOLED_BYTES } from "../../buffer_pool.ts";

Deno.test("nobody is lent what another one has", () => {
  const pool = new BufferPool();
  const [one, other] = [pool.take(), pool.take()];
  assert(one !== other && one.buffer !== other.buffer);
  assertEquals([one.length, other.length, pool.size], [POOLED_BYTES, POOLED_BYTES, 0]);
});

Deno.test("what was given back last is lent first", () => {
  const pool = new BufferPool();
  const [one, other] = [pool.take(), pool.take()];
  pool.give(one);
  pool.give(other);
  assertEquals(pool.size, 2);
  assertStrictEquals(pool.take(), other);
  assertStrictEquals(pool.take(), one);
  assertEquals(pool.size, 0);
});

Deno.test("no more than 8 MiB are kept", () => {
  const pool = new BufferPool();
  const lent = Array.from({ length: 5_000 }, () => pool.take());
  for (const buffer of lent) pool.give(buffer);
  assertEquals(pool.size * POOLED_BYTES, 8 * 1_024 * 1_024);
});
