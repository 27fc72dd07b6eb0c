import { assertEquals, assertThrows } from "@std/assert";
import { Groups } from "../../groups.ts";

const limits = { maxGroups: 3, maxGroupNameLength: 8 };

Deno.test("a group exists while it has members", () => {
  const groups = new Groups<string>(limits);
  groups.join("ada", "red");
  groups.join("bob", "red");
  groups.join("ada", "blue");
  assertEquals(groups.names, ["red", "blue"]);
  assertEquals([...groups.membersOf("red")], ["ada", "bob"]);
  assertEquals([...groups.groupsOf("ada")], ["red", "blue"]);
  groups.leave("ada", "red");
  assertEquals([...groups.membersOf("red")], ["bob"]);
  groups.leave("bob", "red");
  assertEquals(groups.names, ["blue"]);
  assertEquals(groups.membersOf("red").size, 0);
  assertEquals(groups.groupsOf("bob").size, 0);
});

Deno.test("joining twice and leaving what one is not in change nothing", () => {
  const groups = new Groups<string>(limits);
  groups.join("ada", "red");
  groups.join("ada", "red");
  groups.leave("ada", "blue");
  groups.leave("bob", "red");
  groups.leave("bob", "green");
  assertEquals(groups.names, ["red"]);
  assertEquals([...groups.membersOf("red")], ["ada"]);
  assertEquals([...groups.groupsOf("ada")], ["red"]);
});

Deno.test("a member that leaves all its groups leaves nothing behind", () => {
  const groups = new Groups<string>(limits);
  for (const name of ["red", "blue", "green"]) groups.join("ada", name);
  groups.join("bob", "red");
  groups.leaveAll("ada");
  groups.leaveAll("ada");
  groups.leaveAll("nobody");
  assertEquals(groups.names, ["red"]);
  assertEquals([...groups.membersOf("red")], ["bob"]);
  assertEquals(groups.groupsOf("ada").size, 0);
});

Deno.test("one group too many is refused, and changes nothing", () => {
  const groups = new Groups<string>(limits);
  for (const name of ["1", "2", "3"]) groups.join("ada", name);
  assertThrows(() => groups.join("ada", "4"), RangeError, "3 groups");
  groups.join("ada", "3");
  assertEquals(groups.names, ["1", "2", "3"]);
  groups.join("bob", "4");
  groups.leave("ada", "1");
  groups.join("ada", "4");
  assertEquals([...groups.membersOf("4")], ["bob", "ada"]);
});

Deno.test("with a maximum of 0 there are no groups", () => {
  const groups = new Groups<string>({ maxGroups: 0, maxGroupNameLength: 8 });
  assertThrows(() => groups.join("ada", "red"), RangeError);
  assertEquals([groups.names, groups.groupsOf("ada").size], [[], 0]);
});

Deno.test("a group's name has 1 to the maximum of UTF-16 code units", () => {
  const groups = new Groups<string>(limits);
  groups.join("ada", "x");
  groups.join("ada", "😀😀😀😀");
  for (const name of ["", "x".repeat(9), "😀😀😀😀x"]) {
    assertThrows(() => groups.join("ada", name), RangeError, "1 to 8 UTF-16 code units");
  }
  for (const name of [undefined, null, 5, ["red"], {}]) {
    assertThrows(() => groups.join("ada", name as string), TypeError, "must be a string");
  }
  assertEquals(groups.names, ["x", "😀😀😀😀"]);
});

Deno.test("names that every object has are names like any other", () => {
  const groups = new Groups<string>({ maxGroups: 9, maxGroupNameLength: 99 });
  for (const name of ["__proto__", "constructor", "toString"]) {
    assertEquals(groups.membersOf(name).size, 0);
    groups.join("ada", name);
    assertEquals([...groups.membersOf(name)], ["ada"]);
  }
});
