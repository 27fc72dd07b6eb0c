// The console in programs that users may write, run from a pipe.

import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Bind, Client, Server } from "../../mod.ts";
import { CLI } from "../../tools/coretools.ts";
import { COMMANDS } from "../../tools/commands.ts";
import { finish, Process, programCommand, withDirectory } from "../support/cli.ts";
import { visit } from "../support/visitor.ts";
import { within } from "../support/wait.ts";

const HOSTILE = "\x1b]0;owned\x07 \u202Eabc \x9b31m \r\n \u2028";

const GAME = `
import { Server } from "@pnetwork/pnetwork";
import { CLI } from "@pnetwork/pnetwork/coretools";
const server = new Server({ port: 0, onConnect: (client) => client.join("red team") });
server.bindAction("greet", (name) => "hello " + name);
await server.start();
console.log(server.port);
await new CLI(server, "GAME").processCommand();
console.log("the program goes on");
await server.close();`;

const PLAYER = `
import { Client } from "@pnetwork/pnetwork";
import { CLI } from "@pnetwork/pnetwork/coretools";
const client = new Client({ port: Number(Deno.args[0]) });
client.bindAction("news", (text) => "read: " + text);
await client.start();
await new CLI(client, "ME").processCommand();
console.log("the program goes on");
await client.close();`;

const UNSTARTED = `
import { Client, Server } from "@pnetwork/pnetwork";
import { CLI } from "@pnetwork/pnetwork/coretools";
const port = Number(Deno.args[1]);
const instance = Deno.args[0] === "server" ? new Server({ port }) : new Client({ port });
await new CLI(instance, "LATE").processCommand();`;

/** Runs a program of this text, with as few permissions as it needs. */
async function withProgram(
  text: string,
  args: string[],
  act: (program: Process) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const path = `${directory}/program.ts`;
    await Deno.writeTextFile(path, text);
    const [deno, ...words] = programCommand(path, ["--allow-net=127.0.0.1"]);
    await using program = new Process(deno, [...words, ...args]);
    await act(program);
  });
}

/** A person who types commands, one after the other is answered. */
class Person {
  readonly #program: Process;
  readonly #asked = new Set<string>();

  constructor(program: Process) {
    this.#program = program;
  }

  /** The names of the commands that were typed so far. */
  get asked(): string[] {
    return [...this.#asked].sort();
  }

  /** Types a command that is answered with so many lines. */
  async ask(command: string, count = 1): Promise<string[]> {
    this.#asked.add(command.split(" ")[0]);
    await this.#program.write(command + "\n");
    const lines = [];
    while (lines.length < count) lines.push(await this.#program.line());
    return lines;
  }

  /** Types a command that fails. */
  async askWrongly(command: string): Promise<string> {
    await this.#program.write(command + "\n");
    return await this.#program.errorLine();
  }
}

Deno.test("a program with a server answers every command", async () => {
  await withProgram(GAME, [], async (program) => {
    const port = Number(await program.line());
    await using client = new Client({ port });
    client.bindAction("ask", (data) => ({ asked: data })).bindFallback(() => null);
    await client.start();
    await using other = new Client({ port });
    other.bindFallback(() => null);
    await other.start();
    const id = client.id!;
    const person = new Person(program);

    const help = await person.ask("help", 1 + COMMANDS.size);
    assertEquals(
      help.slice(1).map((line) => line.split(" ")[0]),
      [...COMMANDS.keys()],
    );
    assertEquals((await person.ask("help ping", 3)).slice(0, 2), [
      "ping ID",
      "measures the time to a connection and back",
    ]);

    const [head, first, second] = await person.ask("list", 3);
    assertMatch(head, /^id +address +state +age +groups +in +out$/);
    const row = new RegExp(
      `^${id}  127\\.0\\.0\\.1:\\d+ +open +\\d+s +red team +0 +0$`,
    );
    assertMatch(first.startsWith(id) ? first : second, row);

    const info = await person.ask(`coninfo ${id.slice(-6)}`, 20);
    assertEquals(info[0], "name             value");
    assertMatch(info[1], new RegExp(`^id +${id}$`));
    const pairs = Object.fromEntries(info.map((line) => line.split(/ {2,}/)));
    assertEquals(pairs.groups, "red team");
    assertEquals([pairs.state, pairs.session, pairs.unacknowledged, pairs.dropped], [
      "open",
      "yes",
      "0",
      "0",
    ]);

    const [pingHead, ping] = await person.ask(`ping ${id}`, 2);
    assertMatch(pingHead, /^id +round trip \(ms\)$/);
    assertMatch(ping, new RegExp(`^${id} +\\d+(\\.\\d+)?$`));
    assertEquals((await person.ask("pingall", 3)).length, 3);

    assertEquals(await person.ask(`send ${id} note {"a":  [1]}`), ["sent"]);
    assertEquals(await person.ask(`request ${id} ask  [1, "two  words"] `), [
      '{"asked":[1,"two  words"]}',
    ]);
    assertEquals(await person.ask("broadcast hello  you"), ["sent to 2"]);
    assertEquals(await person.ask("actions", 2), [
      "action  bind   schema  sealed",
      "greet   greet  no      no",
    ]);
    assertEquals(await person.ask('trigger greet "Ada"'), ['"hello Ada"']);
    const threads = await person.ask("threads", 1 + 3 + 2 * 3);
    assertMatch(threads[0], /^of +loop +waits for$/);
    assertMatch(threads[1], /^server +accept +a client$/);
    for (const line of threads) assertMatch(line, /^\S+ {2,}\S+ {2,}\S.*$/);
    assertEquals(await person.ask("mode"), [`server, listening, 127.0.0.1:${port}, 2 connections`]);
    assertStringIncludes(await person.askWrongly("start"), "starts once");
    assertStringIncludes(await person.askWrongly("token"), "no token of its own");
    assertEquals(await person.ask("clear", 0), []);

    assertEquals(await person.ask(`disconnect ${id}`), ["disconnected"]);
    assertEquals((await within(client.closed, "the goodbye")).reason, "disconnected by hand");
    assertEquals(await person.ask("dropall"), ["1 disconnected"]);
    await within(other.closed, "the goodbye");
    for (const [command, line] of [["list", "no connections"], ["pingall", "no connections"]]) {
      assertEquals(await person.ask(command), [line]);
    }
    assertEquals(await person.ask("broadcast 1"), ["sent to 0"]);

    assertEquals(await person.ask("stop", 2), ["stopped", "the program goes on"]);
    assertEquals(await program.exit(), 0);
    assertEquals(
      person.asked,
      [...COMMANDS.keys()].filter((name) => name !== "start" && name !== "token").sort(),
    );
    assertFalse((program.stdout + program.stderr).includes("\x1b"));
  });
});

Deno.test("a program with a client answers every command", async () => {
  await using server = new Server({ port: 0 });
  const broadcasts: unknown[] = [];
  server.bindAction("broadcast", (data) => void broadcasts.push(data));
  server.bindAction("echo", (data) => data);
  await server.start();
  await withProgram(PLAYER, [String(server.port)], async (program) => {
    const person = new Person(program);
    assertEquals(await person.ask("mode"), [
      `client, connected, 127.0.0.1:${server.port}, 1 connection`,
    ]);
    const [connection] = server.clients.values();
    const { id, token } = connection;
    assertEquals((await person.ask("help", 1 + COMMANDS.size)).length, 1 + COMMANDS.size);
    assertStringIncludes((await person.ask("list", 2))[1], `${id}  127.0.0.1:${server.port}`);
    assertEquals((await person.ask("coninfo server", 20)).length, 20);
    assertMatch((await person.ask("ping server", 2))[1], new RegExp(`^${id} +\\d`));
    assertMatch((await person.ask("pingall", 2))[1], new RegExp(`^${id} +\\d`));
    assertEquals(await person.ask("send server note"), ["sent"]);
    assertEquals(await person.ask("request server echo null"), ["null"]);
    assertEquals(await person.askWrongly("broadcast"), "usage: broadcast TEXT|JSON");
    assertEquals(await person.ask('broadcast {"a":1}'), ["sent to the server"]);
    assertEquals(await person.ask("actions", 2), [
      "action  bind  schema  sealed",
      "news    news  no      no",
    ]);
    assertEquals(await person.ask('trigger news "x"'), ['"read: x"']);
    assertEquals((await person.ask("threads", 5)).length, 5);
    assertMatch(await person.askWrongly("token"), /--yes/);
    assertEquals(await person.ask("token --yes"), [token!]);
    assertStringIncludes(await person.askWrongly("start"), "starts once");
    assertEquals(await person.ask("clear", 0), []);
    await connection.sendPacket({ action: "news", data: 5 });
    assertEquals(await connection.request("news", 5), "read: 5");
    assertEquals(broadcasts, [{ a: 1 }]);

    assertEquals(await person.ask("disconnect server"), ["disconnected"]);
    await within(connection.closed, "the goodbye");
    assertEquals(await person.ask("list"), ["no connections"]);
    for (const command of ["ping server", "send server x", "request server x", "coninfo server"]) {
      assertEquals(await person.askWrongly(command), "the client is not connected");
    }
    assertEquals(await person.askWrongly("broadcast 1"), "the client is not connected");
    assertMatch(await person.askWrongly("start"), /starts once/);
    assertEquals(await person.ask("dropall"), ["0 disconnected"]);
    assertMatch((await person.ask("mode"))[0], /^client, closed, /);
    assertEquals(await person.ask("stop", 2), ["stopped", "the program goes on"]);
    assertEquals(await program.exit(), 0);
  });
});

Deno.test("the end of its input leaves the console, and the program goes on", async () => {
  await withProgram(GAME, [], async (program) => {
    const port = Number(await program.line());
    const { code, stdout, stderr } = await finish(program, "mode\nnosuch\nmode");
    const mode = `server, listening, 127.0.0.1:${port}, 0 connections`;
    assertEquals({ code, stdout }, {
      code: 0,
      stdout: `${port}\n${mode}\n${mode}\nthe program goes on\n`,
    });
    assertEquals(stderr, "there is no command nosuch: help lists them\n");
  });
});

Deno.test("start starts what the program has not, and what fails to start may be started again", async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  await withProgram(UNSTARTED, ["server", String(port)], async (program) => {
    const person = new Person(program);
    assertEquals(await person.ask("mode"), [`server, idle, 127.0.0.1:${port}, 0 connections`]);
    assertEquals(await person.ask("list"), ["no connections"]);
    assertEquals(await person.ask("threads", 4).then((lines) => lines.length), 4);
    assertEquals(await person.ask("actions"), ["nothing is bound"]);
    assertEquals(
      await person.askWrongly("start"),
      `LISTEN_FAILED: cannot listen on 127.0.0.1:${port}: it is taken`,
    );

    await withProgram(UNSTARTED, ["client", String(port)], async (client) => {
      taken.close();
      const visitor = new Person(client);
      assertEquals(await visitor.ask("mode"), [`client, idle, 127.0.0.1:${port}, 0 connections`]);
      assertMatch(await visitor.askWrongly("token"), /not connected/);
      assertMatch(await visitor.askWrongly("token --yes"), /not connected/);
      assertMatch(await visitor.askWrongly("ping server"), /not connected/);
      assertMatch(await visitor.askWrongly("broadcast 1"), /not connected/);
      assertEquals(await visitor.ask("dropall"), ["0 disconnected"]);
      assertMatch(await visitor.askWrongly("start"), /^CONNECT_FAILED: /);

      assertEquals(await person.ask("start"), [
        `server, listening, 127.0.0.1:${port}, 0 connections`,
      ]);
      assertEquals(await visitor.ask("start"), [
        `client, connected, 127.0.0.1:${port}, 1 connection`,
      ]);
      assertEquals(await visitor.ask("stop"), ["stopped"]);
      assertEquals(await client.exit(), 0);
    });
    assertEquals(await person.ask("disconnect self"), ["disconnected"]);
    assertMatch((await person.ask("mode"))[0], /^server, closed, /);
    assertEquals(await finish(program).then(({ code }) => code), 0);
  });
  await withProgram(UNSTARTED, ["server", "0"], async (program) => {
    assertEquals(await finish(program, "stop\n"), { code: 0, stdout: "stopped\n", stderr: "" });
  });
});

Deno.test("what the system says of a place is shown as one safe line", async () => {
  const program = UNSTARTED.replace(
    "new Server({ port })",
    'new Server({ path: "/no/\\x1b[31m\\n" })',
  );
  await withProgram(program, ["server", "0"], async (program) => {
    const person = new Person(program);
    assertMatch(await person.askWrongly("start"), /^[ -~]*\\u\{1b\}\[31m[ -~]*$/);
    assertMatch((await person.ask("mode"))[0], /^server, idle, unix:\/no\/[ -~]+$/);
  });
});

Deno.test("a program whose output nobody reads any more lives on", async () => {
  await withProgram(GAME, [], async (program) => {
    await using client = await visit({ port: Number(await program.line()) });
    await program.closeOutput();
    await program.write("mode\nlist\nmode\n");
    assertEquals(await client.request("greet", "Ada"), "hello Ada");
    await program.write("stop\n");
    assertEquals((await within(client.detached, "the goodbye")).code, "GOING_AWAY");
    assertEquals(await program.exit(), 0);
  });
});

Deno.test("what is bound may be a Bind, a function or a schema, and names of any characters", async () => {
  const program = GAME.replace(
    "await server.start();",
    `class Greet extends Bind { run() { return 1; } }
     server.bindAction("long name", new Greet("greeter"))
       .bindAction(${JSON.stringify(HOSTILE)}, () => { throw new Error(${
      JSON.stringify(HOSTILE)
    }); })
       .bindAction("big", () => 1n)
       .bindAction("circle", () => { const self = {}; self.self = self; return self; })
       .bindAction("fail", () => { throw new Error(${JSON.stringify(HOSTILE)}); })
       .bindAction("nothing", () => {})
       .bindFallback((data, packet) => packet.action);
     await server.start();`,
  ).replace("{ Server }", "{ Bind, Server }");
  await withProgram(program, [], async (program) => {
    await program.line();
    const person = new Person(program);
    const actions = await person.ask("actions", 9);
    assertMatch(actions[2], /^long name +greeter +no +no$/);
    for (const line of actions) assertMatch(line, /^[ -~]+$/);
    assertMatch(await person.askWrongly("trigger big"), /no JSON$/);
    assertMatch(await person.askWrongly("trigger circle"), /no JSON$/);
    assertMatch(await person.askWrongly("trigger fail"), /^[ -~]+$/);
    assertEquals(await person.ask("trigger nothing"), ["null"]);
    assertEquals(await person.ask("trigger nosuch"), ['"nosuch"']);
    assertMatch(await person.askWrongly("trigger @ping"), /@/);
    assertEquals((await finish(program)).code, 0);
  });
});

Deno.test("a console takes a server or client of any contract, and nothing else", () => {
  interface Game {
    server: { join: { data: { room: string }; reply: boolean } };
    client: { news: { data: string } };
  }
  assert(new CLI(new Server<Game>(), "x") instanceof CLI);
  assert(new CLI(new Client<Game>(), "x", { json: true }) instanceof CLI);
  assert(new CLI(new Server(), "") instanceof CLI);
  for (const wrong of [undefined, null, {}, "server", new Bindless()]) {
    assertThrows(() => new CLI(wrong as unknown as Server, "x"), TypeError, "Server or a Client");
  }
  assertThrows(() => new CLI(new Server(), 5 as unknown as string), TypeError, "name");
});

class Bindless extends Bind {
  constructor() {
    super("none");
  }
  run(): void {}
}
