import { assertEquals, assertStrictEquals } from "@std/assert";
import { Once } from "../../once.ts";

/** What is known by now of a promise. */
async function fate<Value>(promise: Promise<Value>): Promise<Value | "pending"> {
  const later = Promise.resolve().then(() => Promise.resolve()).then(() => "pending" as const);
  return await Promise.race([promise, later]);
}

Deno.test("those who asked before it happened are told when it does, all of them", async () => {
  const once = new Once<string>();
  const asked = [once.promise, once.promise];
  assertEquals(await Promise.all(asked.map(fate)), ["pending", "pending"]);
  once.settle("done");
  assertEquals(await Promise.all(asked), ["done", "done"]);
});

Deno.test("whoever asks after it has happened is told at once", async () => {
  const once = new Once<string>();
  once.settle("done");
  assertEquals(await fate(once.promise), "done");
  assertEquals(await fate(once.promise), "done");
});

Deno.test("those who ask before and after are told the same", async () => {
  const once = new Once<object>();
  const value = {};
  const before = once.promise;
  once.settle(value);
  assertStrictEquals(await before, value);
  assertStrictEquals(await once.promise, value);
});

Deno.test("it happens once: the first value counts, whenever somebody asks", async () => {
  const asked = [
    (_: Once<number>) => {},
    (once: Once<number>) => void once.promise,
  ];
  for (const before of asked) {
    for (const between of asked) {
      const once = new Once<number>();
      before(once);
      once.settle(1);
      between(once);
      once.settle(2);
      assertEquals(await fate(once.promise), 1);
    }
  }
});

Deno.test("that nothing in particular has happened is as good as anything", async () => {
  for (const isAsked of [false, true]) {
    const once = new Once<unknown>();
    const asked = isAsked ? once.promise : undefined;
    once.settle(undefined);
    once.settle("too late");
    assertEquals(await fate(asked ?? once.promise), undefined);
  }
});

Deno.test("there is one promise for all, and none while nobody asks", () => {
  const { withResolvers } = Promise;
  let made = 0;
  Promise.withResolvers = function <Value>(this: PromiseConstructor) {
    made++;
    return withResolvers.call(this) as PromiseWithResolvers<Value>;
  };
  try {
    const once = new Once<void>();
    assertEquals(made, 0);
    const { promise } = once;
    once.settle();
    assertStrictEquals(once.promise, promise);
    assertEquals(made, 1);
    new Once<void>().settle();
    assertEquals(made, 1);
  } finally {
    Promise.withResolvers = withResolvers;
  }
});
