import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { BufferPool, MAX_BUFFER_BYTES, MIN_BUFFER_BYTES } from "../../buffer_pool.ts";
import { FakeTime } from "../support/fake_time.ts";

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

Deno.test("no more than 128 MiB are kept, and nothing that is very large", () => {
  const pool = new BufferPool();
  const lent = Array.from({ length: 129 * MIB / MAX_BUFFER_BYTES }, () => {
    return pool.take(MAX_BUFFER_BYTES);
  });
  for (const buffer of lent) pool.give(buffer);
  assertEquals(pool.bytes, 128 * MIB);
  const other = new BufferPool();
  other.give(other.take(MAX_BUFFER_BYTES + 1));
  assertEquals(other.bytes, 0);
});

Deno.test("what nobody needs is let go of after some time, what somebody does is kept", () => {
  using time = new FakeTime({ withDate: true });
  const pool = new BufferPool();
  const use = (count: number) => {
    const lent = Array.from({ length: count }, () => pool.take(5_000));
    for (const buffer of lent) pool.give(buffer);
  };
  use(100);
  pool.give(pool.take(1));
  const all = 100 * 8_192 + 2_048;
  assertEquals(pool.bytes, all);
  // They were needed in the first ten seconds, ten of them in the second, too.
  for (const left of [all, 10 * 8_192]) {
    for (let second = 0; second < 9; second++) {
      time.advance(1_000);
      use(10);
      assertEquals(pool.bytes, all);
    }
    time.advance(1_000);
    use(10);
    assertEquals(pool.bytes, left);
  }
});
