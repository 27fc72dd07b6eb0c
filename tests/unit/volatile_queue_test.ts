import { assert, assertEquals, assertFalse } from "@std/assert";
import { type VolatilePolicy, VolatileQueue } from "../../volatile_queue.ts";

const OLDEST = { policy: "drop-oldest", key: "" } as const;
const DISCONNECT = { policy: "disconnect", key: "" } as const;
const latest = (key: string) => ({ policy: "latest", key } as const);

/** All that comes out, in order. */
function drain(queue: VolatileQueue): string[] {
  const lines: string[] = [];
  for (let line = queue.shift(); line !== undefined; line = queue.shift()) lines.push(line);
  return lines;
}

Deno.test("packets that may be lost wait in order while there is room", () => {
  const queue = new VolatileQueue(30);
  for (const line of ["a", "b", "c"]) assert(queue.push(line, 10, OLDEST));
  assertEquals([queue.length, queue.dropped], [3, 0]);
  assertEquals([drain(queue), queue.length, queue.shift()], [["a", "b", "c"], 0, undefined]);
  assertEquals(queue.dropped, 0);
});

Deno.test("as many of the oldest are dropped as the newest needs room for", () => {
  const queue = new VolatileQueue(30);
  for (const line of ["a", "b", "c"]) queue.push(line, 10, OLDEST);
  assert(queue.push("d", 11, OLDEST));
  assertEquals([queue.length, queue.dropped, drain(queue)], [2, 2, ["c", "d"]]);
});

Deno.test("what was taken out or dropped makes room", () => {
  const queue = new VolatileQueue(20);
  queue.push("a", 10, OLDEST);
  queue.push("b", 10, OLDEST);
  queue.shift();
  queue.push("c", 10, OLDEST);
  assertEquals(queue.dropped, 0);
  queue.clear();
  assertEquals([queue.length, queue.dropped], [0, 2]);
  for (const line of ["d", "e"]) queue.push(line, 10, OLDEST);
  assertEquals([queue.dropped, drain(queue)], [2, ["d", "e"]]);
});

Deno.test("an empty queue takes one packet of any size", () => {
  for (const terms of [OLDEST, DISCONNECT, latest("k")]) {
    const queue = new VolatileQueue(5);
    assert(queue.push("large", 1_000, terms));
    assertEquals([queue.length, queue.dropped, drain(queue)], [1, 0, ["large"]]);
  }
});

Deno.test("only the newest of each key is kept, in the place of the newest", () => {
  const queue = new VolatileQueue(100);
  for (const [line, key] of [["a1", "a"], ["b1", "b"], ["a2", "a"], ["c1", "c"], ["b2", "b"]]) {
    assert(queue.push(line, 10, latest(key)));
  }
  assertEquals([queue.length, queue.dropped, drain(queue)], [3, 2, ["a2", "c1", "b2"]]);
});

Deno.test("one that replaces another needs no room but its own", () => {
  const queue = new VolatileQueue(20);
  queue.push("a1", 10, latest("a"));
  queue.push("b1", 10, latest("b"));
  queue.push("a2", 10, latest("a"));
  assertEquals([queue.dropped, drain(queue)], [1, ["b1", "a2"]]);
});

Deno.test("where the newest of all keys are too much, the oldest of those are dropped", () => {
  const queue = new VolatileQueue(20);
  for (const key of ["a", "b", "c"]) queue.push(key, 10, latest(key));
  assertEquals([queue.dropped, drain(queue)], [1, ["b", "c"]]);
});

Deno.test("what is not the latest of anything is replaced by nothing", () => {
  const queue = new VolatileQueue(100);
  queue.push("a", 10, { policy: "drop-oldest", key: "k" });
  queue.push("b", 10, { policy: "disconnect", key: "k" });
  queue.push("c", 10, latest("k"));
  queue.push("d", 10, { policy: "drop-oldest", key: "k" });
  assertEquals([queue.dropped, drain(queue)], [0, ["a", "b", "c", "d"]]);
});

Deno.test("beyond the room a peer that is to be dropped for it is, and nothing of what waits", () => {
  const queue = new VolatileQueue(20);
  assert(queue.push("a", 10, DISCONNECT));
  assert(queue.push("b", 10, DISCONNECT));
  assertFalse(queue.push("c", 1, DISCONNECT));
  assertEquals([queue.length, queue.dropped, drain(queue)], [2, 0, ["a", "b"]]);
});

Deno.test("a key that every object has is a key like any other", () => {
  const queue = new VolatileQueue(100);
  for (const key of ["__proto__", "constructor", ""]) queue.push(key, 1, latest(key));
  queue.push("again", 1, latest("__proto__"));
  assertEquals(drain(queue), ["constructor", "", "again"]);
});

Deno.test("one that was dropped before it could wait is counted as well", () => {
  const queue = new VolatileQueue(10);
  queue.drop();
  queue.push("a", 10, OLDEST);
  queue.push("b", 10, OLDEST);
  assertEquals([queue.dropped, queue.length], [2, 1]);
});

Deno.test("whatever comes, no more than the bound waits, or one packet", () => {
  const policies: VolatilePolicy[] = ["drop-oldest", "latest"];
  const queue = new VolatileQueue(100);
  const bytes = new Map<string, number>();
  for (let n = 0; n < 1_000; n++) {
    const size = 1 + n * 37 % 150;
    queue.push(`${n}`, size, { policy: policies[n % 2], key: `${n % 7}` });
    bytes.set(`${n}`, size);
    if (n % 3 > 0) continue;
    const lines = drain(queue);
    const held = lines.reduce((sum, line) => sum + bytes.get(line)!, 0);
    assert(held <= 100 || lines.length === 1);
    for (const line of lines) queue.push(line, bytes.get(line)!, OLDEST);
  }
});
