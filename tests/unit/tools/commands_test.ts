import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { Client, type Connection, Server } from "../../../mod.ts";
import { CommandError } from "../../../tools/command_error.ts";
import { candidates, commandOf, COMMANDS, completesOf, words } from "../../../tools/commands.ts";
import type { Instance } from "../../../tools/connections.ts";
import { formatTable } from "../../../tools/table.ts";

const A = "01a20270-6662-747f-83e2-79902a25c822";
const B = "01a20270-6663-7a00-9000-79902a25d901";

/** A server or client, as far as its connections go. */
function withConnections(role: typeof Server | typeof Client, ids: string[]): Instance {
  const clients = new Map(ids.map((id) => [crypto.randomUUID(), { id } as Connection]));
  return Object.create(role.prototype, { clients: { value: clients } });
}

Deno.test("what follows a command is split into words, and the last one is all that is left", () => {
  const usage = "send ID ACTION [JSON]";
  assertEquals(words("a b", 3, usage, 2), ["a", "b"]);
  assertEquals(words(' a \t b   {"a": [1,  2]} ', 3, usage, 2), ["a", "b", '{"a": [1,  2]}']);
  assertEquals(words("a b c d", 2, usage), ["a", "b c d"]);
  assertEquals(words("a\u00a0b", 2, usage), ["a", "b"]);
  assertEquals(words("one", 1, usage), ["one"]);
  assertEquals(words("", 1, usage, 0), []);
});

Deno.test("a command that lacks words is answered with its usage", () => {
  for (const rest of ["", " ", "a", " a "]) {
    const error = assertThrows(() => words(rest, 3, "send ID ACTION [JSON]", 2), CommandError);
    assertEquals(error.message, "usage: send ID ACTION [JSON]");
  }
});

Deno.test("a command is found however its letters are typed", () => {
  for (const [name, command] of COMMANDS) {
    assertStrictEquals(commandOf(name), command);
    assertStrictEquals(commandOf(name.toUpperCase()), command);
  }
});

Deno.test("an unknown command is answered with the nearest one", () => {
  const nearest: Record<string, string> = {
    lsit: "list",
    lis: "list",
    LIST1: "list",
    coninf: "coninfo",
    pign: "ping",
    pinggall: "pingall",
    sned: "send",
    reqeust: "request",
    brodcast: "broadcast",
    disconect: "disconnect",
    drop: "dropall",
    action: "actions",
    triger: "trigger",
    thread: "threads",
    tokne: "token",
    strat: "start",
    mod: "mode",
    ls: "list",
    exit: "stop",
    QUIT: "stop",
    halp: "help",
    stpo: "stop",
  };
  for (const [typed, name] of Object.entries(nearest)) {
    const { message } = assertThrows(() => commandOf(typed), CommandError);
    assertEquals(message, `there is no command ${typed}: did you mean ${name}?`);
  }
});

Deno.test("a command that is like none is answered with where they are listed", () => {
  for (const typed of ["foobarbaz", "constructor", "__proto__", "?", '{"a":1}']) {
    const { message } = assertThrows(() => commandOf(typed), CommandError);
    assertEquals(message, `there is no command ${typed}: help lists them`);
  }
});

Deno.test("an unknown command of any length and content is answered in one short safe line", () => {
  for (const typed of ["\x1b[2J\x07", "\u202Etsil", "你好", "x".repeat(1_000_000)]) {
    const { message } = assertThrows(() => commandOf(typed), CommandError);
    assertMatch(message, /^[ -~\u4e00-\uffff…]{1,200}$/);
  }
});

Deno.test("what is completed are commands, ids, and actions, each in its place", () => {
  const server = new Server().bindAction("echo", () => 1).bindFallback(() => 2);
  assertEquals(candidates(server, "action"), ["echo"]);
  assertEquals(candidates(server, "command"), [...COMMANDS.keys()]);
  assertEquals(candidates(withConnections(Server, [A, B]), "id"), [A, B]);
  assertEquals(candidates(withConnections(Client, [A]), "id"), ["server", A]);

  assertEquals(completesOf("SEND"), ["id", "action"]);
  assertEquals(completesOf("help"), ["command"]);
  assertEquals(completesOf("trigger"), ["action"]);
  assertEquals(completesOf("list"), undefined);
  assertEquals(completesOf("nosuch"), undefined);
});

Deno.test("every command that the console promises is there, and says what it does", () => {
  assertEquals([...COMMANDS.keys()].sort(), [
    "actions",
    "broadcast",
    "clear",
    "coninfo",
    "disconnect",
    "dropall",
    "help",
    "list",
    "mode",
    "ping",
    "pingall",
    "request",
    "send",
    "start",
    "stop",
    "threads",
    "token",
    "trigger",
  ]);
  for (const { summary } of COMMANDS.values()) assert(summary.length > 10);
});

Deno.test("the list of commands fits into a terminal of 80 columns", () => {
  const rows = [...COMMANDS].map(([name, { usage, summary }]) => ({
    command: `${name} ${usage}`.trim(),
    summary,
  }));
  for (const line of formatTable(rows)) assert(line.length < 80, line);
});
