import { assertEquals } from "@std/assert";
import { Detached, type DetachedLimits } from "../../detached.ts";

function detachedOf(limits: Partial<DetachedLimits> = {}): Detached<string> {
  return new Detached({ maxDetached: 100, maxDetachedPerAddress: 100, ...limits });
}

Deno.test("within the limits nobody has to go", () => {
  const detached = detachedOf({ maxDetached: 3, maxDetachedPerAddress: 2 });
  assertEquals(detached.add("a", "x"), undefined);
  assertEquals(detached.add("b", "x"), undefined);
  assertEquals(detached.add("c", "y"), undefined);
  assertEquals(detached.size, 3);
});

Deno.test("one too many of an address, and its longest detached has to go", () => {
  const detached = detachedOf({ maxDetachedPerAddress: 2 });
  detached.add("other", "y");
  for (const member of ["u", "v", "w"]) detached.add(member, undefined);
  detached.add("a", "x");
  detached.add("b", "x");
  assertEquals(detached.add("c", "x"), "a");
  // Whoever has to go is taken out by whoever ends it.
  detached.delete("a", "x");
  assertEquals([detached.size, detached.add("d", "x")], [6, "b"]);
});

Deno.test("one too many in all, and the longest detached of the largest address has to go", () => {
  const detached = detachedOf({ maxDetached: 4 });
  for (const [member, from] of [["a", "x"], ["b", "y"], ["c", "y"], ["d", "x"]]) {
    assertEquals(detached.add(member, from), undefined);
  }
  assertEquals(detached.add("e", "y"), "b");
});

Deno.test("whoever comes last of a small address has to go only where there is none larger", () => {
  const detached = detachedOf({ maxDetached: 1 });
  detached.add("a", "x");
  assertEquals(detached.add("b", "y"), "a");
});

Deno.test("with no room at all, whoever comes has to go itself", () => {
  const detached = detachedOf({ maxDetached: 0 });
  assertEquals([detached.add("a", "x"), detached.size], ["a", 1]);
  detached.delete("a", "x");
  assertEquals([detached.add("b", undefined), detached.size], ["b", 1]);
});

Deno.test("those whose address is not counted have no limit but that in all", () => {
  const detached = detachedOf({ maxDetached: 3, maxDetachedPerAddress: 1 });
  for (const member of ["a", "b", "c"]) assertEquals(detached.add(member, undefined), undefined);
  assertEquals(detached.add("d", undefined), "a");
});

Deno.test("the limit of an address can be turned off", () => {
  const detached = detachedOf({ maxDetached: 3, maxDetachedPerAddress: false });
  for (const member of ["a", "b", "c"]) assertEquals(detached.add(member, "x"), undefined);
  assertEquals(detached.add("d", "x"), "a");
});

Deno.test("whoever comes back makes room, and detaches as the latest the next time", () => {
  const detached = detachedOf({ maxDetachedPerAddress: 2 });
  detached.add("a", "x");
  detached.add("b", "x");
  detached.delete("a", "x");
  assertEquals([detached.size, detached.add("a", "x")], [1, undefined]);
  assertEquals(detached.add("c", "x"), "b");
});

Deno.test("whoever is not in it, or not from there, is taken out of nowhere", () => {
  const detached = detachedOf();
  detached.add("a", "x");
  detached.delete("b", "x");
  detached.delete("a", "y");
  detached.delete("a", undefined);
  assertEquals(detached.size, 1);
  detached.delete("a", "x");
  detached.delete("a", "x");
  assertEquals(detached.size, 0);
});

Deno.test("an address that nobody is detached from any more is forgotten, and begins anew", () => {
  const detached = detachedOf({ maxDetached: 2, maxDetachedPerAddress: 1 });
  for (let round = 0; round < 3; round++) {
    assertEquals(detached.add("a", "x"), undefined);
    assertEquals(detached.add("b", "x"), "a");
    detached.delete("a", "x");
    detached.delete("b", "x");
  }
  assertEquals(detached.size, 0);
});
