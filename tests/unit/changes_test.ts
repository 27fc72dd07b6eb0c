import { assertEquals, assertFalse, assertRejects, assertStrictEquals } from "@std/assert";
import { Changes } from "../../changes.ts";

/** Lets everything run that waits for nothing but its turn. */
const turn = () => new Promise<void>((resolve) => queueMicrotask(() => queueMicrotask(resolve)));

Deno.test("next() waits for the next change, and not for one that was", async () => {
  const changes = new Changes();
  changes.notify();
  let changed = false;
  const next = changes.next().then(() => changed = true);
  await turn();
  assertFalse(changed);
  changes.notify();
  await next;
});

Deno.test("one change wakes all who wait, once", async () => {
  const changes = new Changes();
  const woken: string[] = [];
  const first = Promise.all(["a", "b"].map((name) => changes.next().then(() => woken.push(name))));
  changes.notify();
  changes.notify();
  await first;
  const second = changes.next().then(() => woken.push("c"));
  await turn();
  assertEquals(woken, ["a", "b"]);
  changes.notify();
  await second;
  assertEquals(woken, ["a", "b", "c"]);
});

Deno.test("those who wait for the same change share a promise", () => {
  const changes = new Changes();
  assertStrictEquals(changes.next(), changes.next());
});

Deno.test("until() looks at once, and after every change", async () => {
  const changes = new Changes();
  await changes.until(() => true);
  let value = 0;
  let looks = 0;
  const reached = changes.until(() => {
    looks++;
    return value === 2;
  });
  for (value = 1; value <= 2; value++) {
    changes.notify();
    await turn();
  }
  await reached;
  assertEquals(looks, 3);
});

Deno.test("until() sees a change that happens while it wakes others", async () => {
  const changes = new Changes();
  let value = 0;
  const first = changes.until(() => value > 0).then(() => {
    value = 2;
    changes.notify();
  });
  const second = changes.until(() => value > 1);
  value = 1;
  changes.notify();
  await Promise.all([first, second]);
});

Deno.test("a condition that throws ends the wait", async () => {
  const changes = new Changes();
  const wait = changes.until(() => {
    throw new RangeError("no");
  });
  await assertRejects(() => wait, RangeError, "no");
});
