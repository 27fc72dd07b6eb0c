import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { BufferPool, MAX_BUFFER_BYTES, MIN_BUFFER_BYTES } from "../../buffer_pool.ts";

const MIB = 1_024 * 1_024;

Deno.test("nobody is lent what another one has", () => {
  const pool = new BufferPool();
  const [one, other] = [pool.take(1), pool.take(1)];
  assert(one !== other && one.buffer !== other.buffer);
  assertEquals([one.length, other.length, pool.bytes], [MIN_BUFFER_BYTES, MIN_BUFFER_BYTES, 0]);
});

Deno.test("a buffer is as large as was asked for, or up to twice as large", () => {
  const pool = new BufferPool();
  const sizes = [[2_048, 2_048], [2_049, 4_096], [70_000, 131_072], [131_072, 131_072]];
  for (const [asked, size] of sizes) assertEquals(pool.take(asked).length, size);
  assertEquals(pool.take(131_073).length, 131_073);
});

Deno.test("what was given back last is lent first, to whoever needs one of its size", () => {
  const pool = new BufferPool();
  const [one, other, large] = [pool.take(1), pool.take(1), pool.take(10_000)];
  for (const buffer of [one, other, large]) pool.give(buffer);
  assertEquals(pool.bytes, 2_048 + 2_048 + 16_384);
  assertStrictEquals(pool.take(2_000), other);
  assertStrictEquals(pool.take(9_000), large);
  assertStrictEquals(pool.take(2_000), one);
  assertEquals(pool.bytes, 0);
});

Deno.test("no more than 8 MiB are kept, and nothing that is very large", () => {
  for (const size of [MIN_BUFFER_BYTES, MAX_BUFFER_BYTES]) {
    const pool = new BufferPool();
    const lent = Array.from({ length: 9 * MIB / size }, () => pool.take(size));
    for (const buffer of lent) pool.give(buffer);
    assertEquals(pool.bytes, 8 * MIB);
  }
  const pool = new BufferPool();
  pool.give(pool.take(MAX_BUFFER_BYTES + 1));
  assertEquals(pool.bytes, 0);
});
