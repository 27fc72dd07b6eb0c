import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { RequestError } from "../../errors.ts";
import { Outstanding, type Settler } from "../../outstanding.ts";

/** A settler that can be told from others. */
function settler(name: string): Settler<unknown> & { name: string } {
  return { name, resolve: () => {}, reject: () => {} };
}

Deno.test("questions are numbered 1, 2, 3 and no number comes twice", () => {
  const questions = new Outstanding<unknown>(2);
  assertEquals(questions.open(Infinity, settler("a")), 1);
  assertEquals(questions.open(Infinity, settler("b")), 2);
  questions.take(1);
  questions.take(2);
  assertEquals(questions.open(Infinity, settler("c")), 3);
  questions.takeAll();
  assertEquals(questions.open(Infinity, settler("d")), 4);
});

Deno.test("an answer goes to who asked, and only the first one", () => {
  const questions = new Outstanding<unknown>(9);
  const [a, b] = [settler("a"), settler("b")];
  questions.open(Infinity, a);
  questions.open(Infinity, b);
  assertStrictEquals(questions.take(2), b);
  assertEquals(questions.take(2), undefined);
  assertStrictEquals(questions.take(1), a);
  for (const unknown of [0, -1, 3, 1.5, NaN, "1" as unknown as number]) {
    assertEquals(questions.take(unknown), undefined);
  }
  assertEquals(questions.size, 0);
});

Deno.test("one question too many is OVERLOADED, and uses up no number", () => {
  const questions = new Outstanding<unknown>(2);
  questions.open(Infinity, settler("a"));
  questions.open(Infinity, settler("b"));
  const error = assertThrows(() => questions.open(Infinity, settler("c")), RequestError);
  assertEquals([error.code, error.remote, questions.size], ["OVERLOADED", false, 2]);
  questions.take(1);
  assertEquals(questions.open(Infinity, settler("d")), 3);
});

Deno.test("those whose deadline has come are taken out in their order, the others stay", () => {
  const questions = new Outstanding<unknown>(9);
  const [a, b, c, d] = ["a", "b", "c", "d"].map(settler);
  questions.open(30, a);
  questions.open(10, b);
  questions.open(Infinity, c);
  questions.open(20, d);
  assertEquals(questions.nextDeadline(), 10);
  assertEquals(questions.takeExpired(9.999), []);
  assertEquals(questions.takeExpired(20), [b, d]);
  assertEquals(questions.nextDeadline(), 30);
  assertEquals(questions.take(2), undefined);
  assertEquals(questions.takeExpired(1e9), [a]);
  assertEquals([questions.nextDeadline(), questions.size], [Infinity, 1]);
  assertEquals(questions.takeAll(), [c]);
  assertEquals([questions.nextDeadline(), questions.size], [Infinity, 0]);
  assertEquals(questions.takeAll(), []);
});

Deno.test("an expired question makes room", () => {
  const questions = new Outstanding<unknown>(1);
  questions.open(10, settler("a"));
  questions.takeExpired(10);
  assertEquals(questions.open(20, settler("b")), 2);
});

Deno.test("what was taken out under no number leaves the numbers of others alone", () => {
  const questions = new Outstanding<unknown>(100);
  const all = Array.from({ length: 20 }, (_, n) => settler(`${n}`));
  const ids = all.map((one) => questions.open(Infinity, one));
  const wrong = [-1, 0, 21, 17 + 32, 1 + 2 ** 32, 1.5, 2 ** 53, -Infinity, Infinity, NaN];
  for (const id of wrong) assertEquals(questions.take(id), undefined, `${id}`);
  assertEquals(questions.size, 20);
  for (const [n, id] of ids.entries()) assertStrictEquals(questions.take(id), all[n]);
});

Deno.test("one that stays open for ever keeps its place while 100,000 others come and go", () => {
  const questions = new Outstanding<unknown>(10);
  const stays = settler("stays");
  const first = questions.open(Infinity, stays);
  let last = first;
  let skipped = 0;
  for (let n = 0; n < 100_000; n++) {
    const one = settler("comes and goes");
    const id = questions.open(Infinity, one);
    assert(id > last);
    skipped += id - last - 1;
    last = id;
    assertStrictEquals(questions.take(id), one);
    assertEquals(questions.take(id), undefined);
    assertEquals(questions.size, 1);
  }
  // Its own place alone is passed over, once in a round of the table.
  assert(skipped < 100_000 / 8, `${skipped} were skipped`);
  assertStrictEquals(questions.take(first), stays);
  assertEquals(questions.size, 0);
});

Deno.test("as many as may be are open at once, all under numbers that rise, and all are found", () => {
  const MAX = 1_000;
  const questions = new Outstanding<unknown>(MAX);
  const open = new Map<number, Settler<unknown>>();
  let last = 0;
  for (let round = 0; round < 20; round++) {
    while (open.size < MAX) {
      const one = settler("one");
      const id = questions.open(Infinity, one);
      assert(id > last && !open.has(id));
      open.set(last = id, one);
    }
    assertThrows(() => questions.open(Infinity, settler("too many")), RequestError);
    // Every third, then every fourth … of them is answered; the old ones stay.
    for (const [n, [id, one]] of [...open].entries()) {
      if (n % (3 + round) !== 0) continue;
      assertStrictEquals(questions.take(id), one);
      open.delete(id);
    }
    assertEquals(questions.size, open.size);
  }
  for (const [id, one] of open) assertStrictEquals(questions.take(id), one);
  assertEquals([questions.size, questions.nextDeadline()], [0, Infinity]);
});

Deno.test("those taken out together come in the order of their numbers, wherever they are kept", () => {
  const questions = new Outstanding<unknown>(100);
  // With 7 open of 16 places the later numbers stand in front of the earlier ones.
  for (let n = 0; n < 12; n++) questions.take(questions.open(Infinity, settler("gone")));
  const all = Array.from({ length: 7 }, (_, n) => settler(`${n}`));
  const ids = all.map((one, n) => questions.open(n % 2 === 0 ? 10 : 20, one));
  assert(ids[0] < 16 && ids[6] >= 16);
  assertEquals(questions.takeExpired(10), all.filter((_, n) => n % 2 === 0));
  assertEquals(questions.takeAll(), all.filter((_, n) => n % 2 === 1));
  assertEquals(questions.size, 0);
});

Deno.test("what is opened by whoever was taken out is none of those", () => {
  const questions = new Outstanding<unknown>(9);
  questions.open(10, settler("a"));
  const taken = questions.takeAll();
  const id = questions.open(5, settler("b"));
  assertEquals([taken.length, questions.size, questions.nextDeadline()], [1, 1, 5]);
  assert(questions.take(id));
});
