import { assertEquals, assertLess } from "@std/assert";
import { Queue } from "../../queue.ts";
import { collectGarbage } from "../support/garbage.ts";

/** A queue of these. */
function queueOf<Item>(...items: Item[]): Queue<Item> {
  const queue = new Queue<Item>();
  for (const item of items) queue.push(item);
  return queue;
}

Deno.test("what was put in first comes out first", () => {
  const queue = queueOf("a", "b");
  assertEquals([queue.first, queue.length], ["a", 2]);
  assertEquals(queue.shift(), "a");
  queue.push("c");
  assertEquals([queue.first, queue.length], ["b", 2]);
  assertEquals([queue.shift(), queue.shift()], ["b", "c"]);
  assertEquals([queue.first, queue.length], [undefined, 0]);
});

Deno.test("an empty queue has nothing to give, however often it is asked", () => {
  const queue = new Queue<string>();
  assertEquals([queue.shift(), queue.shift(), queue.first], [undefined, undefined, undefined]);
  assertEquals(queue.length, 0);
});

Deno.test("a queue that has run empty can be filled again", () => {
  const queue = queueOf("a");
  queue.shift();
  queue.push("b");
  queue.push("c");
  assertEquals([...queue], ["b", "c"]);
  queue.clear();
  assertEquals([[...queue], queue.length, queue.first], [[], 0, undefined]);
  queue.push("d");
  queue.push("e");
  assertEquals([[...queue], queue.length], [["d", "e"], 2]);
});

Deno.test("looking through a queue takes nothing out", () => {
  const queue = queueOf(1, 2, 3);
  assertEquals([[...queue], [...queue], queue.length], [[1, 2, 3], [1, 2, 3], 3]);
});

Deno.test("nothing is an item like any other", () => {
  const queue = queueOf<number | undefined>(undefined, 0);
  assertEquals([queue.length, [...queue]], [2, [undefined, 0]]);
  assertEquals([queue.shift(), queue.length, queue.shift()], [undefined, 1, 0]);
});

Deno.test("whoever looks through a queue meets what is put in meanwhile", () => {
  const queue = queueOf(1);
  const seen: number[] = [];
  for (const item of queue) {
    seen.push(item);
    if (item < 3) queue.push(item + 1);
  }
  assertEquals(seen, [1, 2, 3]);
});

Deno.test("any place can be looked at, counted from the first, and there is nothing behind the last", () => {
  const queue = new Queue<number>();
  assertEquals(queue.at(0), undefined);
  // Around the ring and through its growth.
  let first = 0;
  let next = 0;
  for (let round = 0; round < 200; round++) {
    for (let n = 0; n < 1 + round % 7; n++) queue.push(next++);
    if (round % 3 !== 0) assertEquals(queue.shift(), first++);
    const expected = Array.from({ length: next - first }, (_, place) => first + place);
    assertEquals(expected.map((_, place) => queue.at(place)), expected);
    assertEquals([queue.at(expected.length), queue.length], [undefined, expected.length]);
    assertEquals([[...queue], queue.first], [expected, expected[0]]);
  }
});

Deno.test("behind the last place of a ring that is full there is not the first one again", () => {
  for (let length = 1; length <= 64; length++) {
    const queue = queueOf(...Array(length).keys());
    assertEquals([queue.at(length), queue.at(2 * length)], [undefined, undefined], `${length}`);
  }
});

Deno.test("a queue that is as long as before for ever stays in order", () => {
  for (const length of [1, 2, 15, 16, 17, 31, 32, 33]) {
    const queue = queueOf(...Array(length).keys());
    for (let n = 0; n < 100; n++) {
      queue.push(length + n);
      assertEquals([queue.shift(), queue.length], [n, length]);
    }
    assertEquals([...queue], Array.from({ length }, (_, place) => 100 + place));
  }
});

Deno.test("a queue that was long and is empty takes what comes next", () => {
  const queue = new Queue<number>();
  for (const count of [5_000, 3, 1_024, 1_025, 2]) {
    for (let item = 0; item < count; item++) queue.push(item);
    for (let item = 0; item < count; item++) assertEquals(queue.shift(), item);
    assertEquals([queue.length, queue.first, queue.at(0), queue.shift()], [
      0,
      undefined,
      undefined,
      undefined,
    ]);
  }
});

Deno.test("what was taken out or cleared can be collected", async () => {
  const queue = new Queue<object>();
  const items: WeakRef<object>[] = [];
  // In a function of its own, that nothing of it stays behind here.
  const put = (item: object) => {
    items.push(new WeakRef(item));
    queue.push(item);
  };
  for (let n = 0; n < 20; n++) put({ n });
  for (let n = 0; n < 19; n++) queue.shift();
  const kept = () => items.flatMap((item, n) => item.deref() ? [n] : []);
  await collectGarbage();
  assertEquals([kept(), queue.length], [[19], 1]);
  queue.clear();
  await collectGarbage();
  assertEquals([kept(), queue.length], [[], 0]);
});

Deno.test("a long queue is emptied in linear time", () => {
  const count = 300_000;
  const queue = new Queue<number>();
  for (let item = 0; item < count; item++) queue.push(item);
  const start = performance.now();
  let sum = 0;
  while (queue.length > 0) sum += queue.shift()!;
  assertEquals(sum, count * (count - 1) / 2);
  // Array.prototype.shift on an array of that size takes a minute in all.
  assertLess(performance.now() - start, 3_000);
});
