import { assertEquals } from "@std/assert";
import { RecentIds } from "../../recent_ids.ts";

Deno.test("an id is new once", () => {
  const ids = new RecentIds(3);
  assertEquals(ids.has("a"), false);
  assertEquals(ids.add("a"), true);
  assertEquals(ids.has("a"), true);
  assertEquals(ids.add("a"), false);
  assertEquals(ids.has("b"), false);
});

Deno.test("so many are remembered, and the oldest is forgotten first", () => {
  const ids = new RecentIds(3);
  for (const id of "abcd") ids.add(id);
  assertEquals([..."abcd"].map((id) => ids.has(id)), [false, true, true, true]);
});

Deno.test("one that comes again does not push another one out, and is not kept for longer", () => {
  const ids = new RecentIds(3);
  for (const id of "abcaab") ids.add(id);
  assertEquals([..."abc"].map((id) => ids.has(id)), [true, true, true]);
  ids.add("d");
  assertEquals([..."abcd"].map((id) => ids.has(id)), [false, true, true, true]);
});

Deno.test("names of the language are ids like any other", () => {
  const ids = new RecentIds(3);
  assertEquals(ids.has("__proto__"), false);
  assertEquals(ids.add("constructor"), true);
});
