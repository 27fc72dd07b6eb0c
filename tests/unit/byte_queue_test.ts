import { assertEquals, assertLess } from "@std/assert";
import { ByteQueue } from "../../byte_queue.ts";
import { bytes } from "../support/bytes.ts";

/** Far more than it takes, and far less than it would take if each byte moved all the others. */
const PATIENCE_MS = 5_000;

Deno.test("bytes come out in the order that they went in, in whatever pieces", () => {
  const queue = new ByteQueue();
  queue.push(bytes("one "));
  queue.push(bytes());
  queue.push(bytes("two"));
  assertEquals(queue.length, 7);
  assertEquals(queue.take(3), bytes("one"));
  assertEquals(queue.take(0), bytes());
  queue.push(bytes(" three"));
  assertEquals(queue.take(10), bytes(" two three"));
  assertEquals(queue.length, 0);
});

Deno.test("bytes can be looked at without being taken", () => {
  const queue = new ByteQueue();
  queue.push(bytes("xxab\ncd\n"));
  queue.take(2);
  assertEquals([queue.at(0), queue.at(1)], [0x61, 0x62]);
  assertEquals(queue.indexOf(0x0a), 2);
  // Neither what was taken nor what was never there is found.
  assertEquals([queue.indexOf(0x78), queue.indexOf(0)], [-1, -1]);
  assertEquals(queue.length, 6);
});

Deno.test("what goes in may be used again, and what came out stays what it was until more goes in", () => {
  const queue = new ByteQueue();
  const chunk = bytes("abcdef");
  queue.push(chunk);
  chunk.fill(0);
  const first = queue.take(2);
  const rest = queue.take(4);
  assertEquals([first, rest], [bytes("ab"), bytes("cdef")]);
});

Deno.test("a queue that was full and is empty again begins anew", () => {
  const queue = new ByteQueue();
  for (const size of [100_000, 1, 5_000]) {
    queue.push(new Uint8Array(size).fill(size % 251));
    const taken = queue.take(size);
    assertEquals(taken.length, size);
    assertEquals(taken.every((byte) => byte === size % 251), true);
  }
});

Deno.test("a million bytes one by one take no longer than they must", () => {
  const COUNT = 1_000_000;
  const queue = new ByteQueue();
  const one = Uint8Array.of(0);
  const start = performance.now();
  for (let n = 0; n < COUNT; n++) {
    one[0] = n;
    queue.push(one);
  }
  assertEquals(queue.length, COUNT);
  for (let n = 0; n < COUNT; n++) if (queue.take(1)[0] !== n % 256) throw new Error(`byte ${n}`);
  assertLess(performance.now() - start, PATIENCE_MS);
});

Deno.test("one byte in and one out, a million times, does not move what stays", () => {
  const COUNT = 1_000_000;
  const STAYS = 200_000;
  const queue = new ByteQueue();
  queue.push(new Uint8Array(STAYS));
  const one = Uint8Array.of(1);
  const start = performance.now();
  for (let n = 0; n < COUNT; n++) {
    queue.push(one);
    queue.take(1);
  }
  assertLess(performance.now() - start, PATIENCE_MS);
  assertEquals([queue.length, queue.indexOf(0)], [STAYS, -1]);
});
