import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Client, type Connection, Server } from "../../../mod.ts";
import { CommandError } from "../../../tools/command_error.ts";
import { ageOf, findConnection, type Instance } from "../../../tools/connections.ts";

const A = "01a20270-6662-747f-83e2-79902a25c822";
const B = "01a20270-6663-7a00-9000-79902a25d901";
const C = "01a20271-0000-7000-8000-0123456789ab";

/** A server or client, as far as its connections go. */
function withConnections(role: typeof Server | typeof Client, ids: string[]): Instance {
  const clients = new Map(ids.map((id) => [crypto.randomUUID(), { id } as Connection]));
  return Object.create(role.prototype, { clients: { value: clients } });
}

Deno.test("an id may be shortened to its first or last characters, as far as it is unique", () => {
  const server = withConnections(Server, [A, B, C]);
  for (const typed of [A, A.toUpperCase(), "01a20270-6662", "c822", "2a25c822"]) {
    assertEquals(findConnection(server, typed).id, A, typed);
  }
  for (const typed of [C, "01a20271", "ab", "b"]) {
    assertEquals(findConnection(server, typed).id, C, typed);
  }
});

Deno.test("an id that several connections have a part of is not guessed", () => {
  const server = withConnections(Server, [A, B, C]);
  for (const typed of ["0", "01a20270", "01a2027"]) {
    const error = assertThrows(() => findConnection(server, typed), CommandError);
    assertMatch(error.message, /^[23] connections have an id like 0\w*: type more of it$/);
  }
  // One begins with it and another ends with it.
  const either = withConnections(Server, ["abc-1", "2-abc"]);
  assertThrows(() => findConnection(either, "abc"), CommandError, "2 connections");
});

Deno.test("an id that is typed in full is found among those that begin with it", () => {
  const server = withConnections(Server, ["abc", "abcd", "zabc"]);
  assertEquals(findConnection(server, "abc").id, "abc");
});

Deno.test("an id that no connection has is said to be none, in one safe line", () => {
  const server = withConnections(Server, [A]);
  for (const typed of ["x", "6662", "\x1b]0;x\x07\u202E", "x".repeat(1_000)]) {
    const { message } = assertThrows(() => findConnection(server, typed), CommandError);
    assertMatch(message, /^no connection has the id [ -~…]{1,100}: try list$/);
  }
});

Deno.test("`server` is the connection of a client, and no name on a server", () => {
  const client = withConnections(Client, [A]);
  assertEquals(findConnection(client, "server").id, A);
  assertThrows(() => findConnection(withConnections(Server, [A]), "server"), CommandError);
});

Deno.test("where there is no connection at all, that is said", () => {
  const client = withConnections(Client, []);
  assertThrows(() => findConnection(client, "server"), CommandError, "client is not connected");
  const server = withConnections(Server, []);
  assertThrows(() => findConnection(server, A), CommandError, "no client is connected");
});

Deno.test("how long ago something was is said in the largest unit that fits", () => {
  const since = "2026-11-22T10:00:00.000Z";
  const start = Date.parse(since);
  const ages: [number, string][] = [
    [-5_000, "0s"],
    [0, "0s"],
    [59_999, "59s"],
    [60_000, "1m"],
    [3_599_999, "59m"],
    [3_600_000, "1h"],
    [86_399_999, "23h"],
    [86_400_000, "1d"],
    [40 * 86_400_000, "40d"],
  ];
  for (const [ms, age] of ages) assertEquals(ageOf(since, start + ms), age);
});
