import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { harmless, harmlessly, rejected } from "../../rejections.ts";

/**
 * The reasons of the rejections that nobody has looked at by the time that the platform says so. That
 * is known by one of its own, for which it says so for certain.
 */
async function unhandled(act: () => void): Promise<unknown[]> {
  const reasons: unknown[] = [];
  const last = Promise.withResolvers<void>();
  const own = new Error("the last one");
  const listen = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    if (event.reason === own) last.resolve();
    else reasons.push(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", listen);
  try {
    act();
    Promise.reject(own);
    await last.promise;
    return reasons;
  } finally {
    globalThis.removeEventListener("unhandledrejection", listen);
  }
}

Deno.test("a rejection that nobody looks at is told of, unless it is harmless", async () => {
  const reasons = await unhandled(() => {
    Promise.reject("plain");
    harmless(Promise.reject("harmless"));
    rejected("rejected");
    harmlessly().reject("harmlessly");
  });
  assertEquals(reasons, ["plain"]);
});

Deno.test("whoever looks at a harmless rejection sees it, whenever they do", async () => {
  const gone = new Error("gone");
  const { promise, reject } = harmlessly<number>();
  const early = assertRejects(() => promise);
  reject(gone);
  reject(new Error("too late"));
  assertStrictEquals(await early, gone);
  assertStrictEquals(await assertRejects(() => promise), gone);
  assertStrictEquals(await assertRejects(() => rejected(gone)), gone);
  assertStrictEquals(await assertRejects(() => harmless(Promise.reject(gone))), gone);
});

Deno.test("what is built on a harmless promise is harmless only if it is said to be", async () => {
  const reasons = await unhandled(() => {
    const { promise, reject } = harmlessly();
    promise.then(() => {});
    reject("built on it");
  });
  assertEquals(reasons, ["built on it"]);
});

Deno.test("a harmless promise resolves like any other, once", async () => {
  const { promise, resolve, reject } = harmlessly<number>();
  resolve(1);
  resolve(2);
  const reasons = await unhandled(() => reject("too late"));
  assertEquals([await promise, reasons], [1, []]);
  assertEquals(await harmless(Promise.resolve(3)), 3);
});
