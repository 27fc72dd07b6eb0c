// The examples as real processes, run by the commands that examples/README.md names.

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { TextLineStream } from "@std/streams";
import { fileURLToPath } from "node:url";
import type { Chat } from "../../examples/chat/contract.ts";
import { serverOf } from "../../examples/cores/rooms.ts";
import { Client, type CloseInfo, HandshakeError, RequestError } from "../../mod.ts";
import { DEAD_PORT } from "../support/cli.ts";
import { FaultyProxy } from "../support/faulty_proxy.ts";
import { until, within } from "../support/wait.ts";

const root = new URL("../../", import.meta.url);
const readme = await Deno.readTextFile(new URL("examples/README.md", root));
const commands = [...readme.matchAll(/^deno (run .+)$/gm)].map(([, command]) => command);

// On Windows a signal just ends the process.
const ignore = Deno.build.os === "windows";

/** Longer than it takes to start a process on a busy machine. */
const PATIENCE_MS = 30_000;

/** One of the examples, running. */
class Example implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #errors: Promise<string>;
  readonly #name: string;

  /**
   * @param name The end of its command in the README.
   * @param args What follows the command.
   * @param replace Words of the command that are others here.
   */
  constructor(name: string, args: string[], replace: Record<string, string> = {}) {
    const command = commands.find((command) => command.endsWith(name));
    assert(command, `examples/README.md has no command that ends with ${name}`);
    const words = command.split(" ").map((word) =>
      Object.entries(replace).reduce((word, [from, to]) => word.replace(from, to), word)
    );
    this.#name = name;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [...words, ...args],
      cwd: fileURLToPath(root),
      env: { NO_COLOR: "1", DENO_NO_PROMPT: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#lines = this.#child.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream())
      .getReader();
    this.#input = this.#child.stdin.getWriter();
    this.#errors = new Response(this.#child.stderr).text();
  }

  /** The next line of its output; `undefined` when there will be none. */
  async line(): Promise<string | undefined> {
    const { value } = await within(this.#lines.read(), `a line of ${this.#name}`, PATIENCE_MS);
    return value;
  }

  /** The first line from here on that is like this. */
  async lineLike(pattern: RegExp): Promise<void> {
    for (let line = await this.line(); !pattern.test(line ?? ""); line = await this.line()) {
      assert(line !== undefined, `${this.#name} printed no line like ${pattern}`);
    }
  }

  /** The port that it says it listens on. */
  async port(): Promise<number> {
    const line = await this.line();
    assertMatch(line ?? await this.#errors, /^listening on 127\.0\.0\.1:\d+$/);
    return Number(line!.split(":")[1]);
  }

  /** Types these bytes, or these lines. */
  async type(...input: (string | Uint8Array)[]): Promise<void> {
    for (const piece of input) {
      const bytes = typeof piece === "string" ? new TextEncoder().encode(piece + "\n") : piece;
      await this.#input.write(bytes);
    }
  }

  /** Ends its standard input, and waits for its own end. What it has printed until then comes too. */
  async end(): Promise<{ code: number; lines: string[]; errors: string }> {
    // It may have ended by itself.
    await this.#input.close().catch(() => {});
    const { code } = await within(this.#child.status, `the end of ${this.#name}`, PATIENCE_MS);
    const lines: string[] = [];
    for (let line = await this.line(); line !== undefined; line = await this.line()) {
      lines.push(line);
    }
    return { code, lines, errors: await this.#errors };
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
    await this.#lines.cancel();
    await this.#errors;
  }
}

/** Someone in the chat, who has been let in. */
async function chatter(name: string, port: number, members: string): Promise<Example> {
  const client = new Example("examples/chat/client.ts Ada", ["--port", `${port}`], { Ada: name });
  const line = await client.line();
  assertEquals(line ?? (await client.end()).errors, `* in lobby: ${members}`);
  return client;
}

async function chatServer(...args: string[]): Promise<{ server: Example; port: number }> {
  const server = new Example("examples/chat/server.ts", ["--port", "0", ...args]);
  return { server, port: await server.port() };
}

/** A receiver that appends to `out`. */
async function receiver(out: string): Promise<{ server: Example; port: number }> {
  const server = new Example("receive received.log", ["--port", "0"], { "received.log": out });
  return { server, port: await server.port() };
}

/** Ships a file, or standard input, and waits for the end of that. */
async function ship(port: number, path: string, input: Uint8Array = new Uint8Array()) {
  await using client = new Example("ship app.log", ["--port", `${port}`], { "app.log": path });
  // It may end before it has read everything.
  await client.type(input).catch(() => {});
  return await client.end();
}

Deno.test("every example has a command in the README, or is imported by one that has", async () => {
  const files: string[] = [];
  for (const directory of ["examples/", "examples/chat/", "examples/cores/"]) {
    for await (const { name, isFile, isDirectory } of Deno.readDir(new URL(directory, root))) {
      if (isFile && name !== "README.md") files.push(directory + name);
      if (isDirectory) {
        assert(["chat", "clients", "cores"].includes(name), `${name} is looked into`);
      }
    }
  }
  assert(files.length > 0);
  const commanded = files.filter((file) => commands.some((command) => command.includes(file)));
  const imports = await Promise.all(commanded.map((file) => importsOf(file)));
  assertEquals(
    files.filter((file) => !commanded.includes(file) && !imports.flat().includes(file)),
    [],
  );
});

async function importsOf(file: string): Promise<string[]> {
  const base = new URL(file, root);
  const text = await Deno.readTextFile(base);
  return [...text.matchAll(/\b(?:from |URL\()"(\.[^"]+)"/g)].map(([, specifier]) =>
    new URL(specifier, base).href.slice(root.href.length)
  );
}

Deno.test("hello: the client prints what the server replied", async () => {
  await using hello = new Example("examples/hello.ts", ["--port", "0"]);
  await hello.port();
  assertEquals(await hello.end(), { code: 0, lines: ["hello Ada"], errors: "" });
});

Deno.test("reconnect: every number arrives, though the cable was out", async () => {
  await using example = new Example("examples/reconnect.ts", ["--port", "0"]);
  await example.port();
  const { code, lines, errors } = await example.end();
  assertEquals({ code, errors }, { code: 0, errors: "" });
  // When each side notices is not certain.
  const notices = ["the connection is lost: CONNECTION_LOST", "the connection is back"];
  assertEquals(lines.filter((line) => !notices.includes(line)), [
    ...["sent 1", "sent 2", "sent 3"],
    "the cable is pulled",
    ...["sent 4", "sent 5", "sent 6"],
    "the cable is plugged in",
    ...["sent 7", "sent 8", "sent 9"],
    "arrived: 1 2 3 4 5 6 7 8 9",
  ]);
  assertEquals(lines.filter((line) => notices.includes(line)), notices);
  assert(lines.indexOf(notices[0]) > lines.indexOf("the cable is pulled"));
});

Deno.test("chat: people hear what is said in their room, and who comes and goes", async () => {
  const { server, port } = await chatServer();
  await using _server = server;
  await using ada = await chatter("Ada", port, "Ada");
  await using bob = await chatter("Bob", port, "Ada, Bob");
  assertEquals(await ada.line(), "* Bob joined lobby");
  await using cyd = await chatter("Cyd", port, "Ada, Bob, Cyd");
  assertEquals(await ada.line(), "* Cyd joined lobby");
  assertEquals(await bob.line(), "* Cyd joined lobby");

  await ada.type("hello, you two");
  assertEquals(await bob.line(), "Ada: hello, you two");
  assertEquals(await cyd.line(), "Ada: hello, you two");

  await bob.type("/join tea");
  assertEquals(await bob.line(), "* in tea: Bob");
  assertEquals(await ada.line(), "* Bob left lobby");
  assertEquals(await cyd.line(), "* Bob left lobby");
  await cyd.type("/join tea");
  assertEquals(await cyd.line(), "* in tea: Bob, Cyd");
  assertEquals(await ada.line(), "* Cyd left lobby");
  assertEquals(await bob.line(), "* Cyd joined tea");

  // The answer to the second line shows that the first one was said, and to nobody.
  await ada.type("is anyone here?", "/members");
  assertEquals(await ada.line(), "* here: Ada");
  await cyd.type("more tea?");
  assertEquals(await bob.line(), "Cyd: more tea?");
  await bob.type("", "yes");
  assertEquals(await cyd.line(), "Bob: yes");

  await bob.type("/quit");
  assertEquals(await bob.end(), { code: 0, lines: [], errors: "" });
  assertEquals(await cyd.line(), "* Bob left tea");
  assertEquals(await cyd.end(), { code: 0, lines: [], errors: "" });
  assertEquals(await ada.end(), { code: 0, lines: [], errors: "" });
});

Deno.test("chat: a name that is taken, empty or too long is refused", async () => {
  const { server, port } = await chatServer();
  await using _server = server;
  await using _ada = await chatter("Ada", port, "Ada");
  const refusals = {
    Ada: "cannot join: the name Ada is taken\n",
    " Ada ": "cannot join: the name Ada is taken\n",
    "": "cannot join: a name has 1 to 32 characters\n",
    ["x".repeat(33)]: "cannot join: a name has 1 to 32 characters\n",
  };
  await Promise.all(
    Object.entries(refusals).map(async ([name, errors]) => {
      await using client = new Example("examples/chat/client.ts Ada", ["--port", `${port}`], {
        Ada: name,
      });
      assertEquals(await client.end(), { code: 1, lines: [], errors });
    }),
  );
});

Deno.test("chat: of two who ask for a name at the same moment, one gets it", async () => {
  const { server, port } = await chatServer();
  await using _server = server;
  await using left = new Client<Chat>({ port, auth: "Ada" });
  await using right = new Client<Chat>({ port, auth: "Ada" });
  const members = await Promise.allSettled([left, right].map(async (client) => {
    await client.start();
    return await client.request("members");
  }));
  const [granted, refused] = members[0].status === "fulfilled" ? members : members.toReversed();
  assertEquals(granted, { status: "fulfilled", value: ["Ada"] });
  assert(refused.status === "rejected");
  assertMatch(refused.reason.message, /^the name (Ada )?is taken$/);
});

Deno.test("chat: what cannot be done is said, and the chat goes on", async () => {
  const { server, port } = await chatServer();
  await using _server = server;
  await using ada = await chatter("Ada", port, "Ada");
  await ada.type("/dance", "/join", `/join ${"x".repeat(33)}`, "y".repeat(1_001), "/members");
  assertEquals(await ada.line(), "* no such command: /dance");
  assertEquals(await ada.line(), "* 1 to 32 characters are needed");
  assertEquals(await ada.line(), "* 1 to 32 characters are needed");
  assertEquals(await ada.line(), "* 1 to 1000 characters are needed");
  assertEquals(await ada.line(), "* here: Ada");

  // A client that does not keep to the contract.
  await using eve = new Client({ port, auth: "Eve" });
  await eve.start();
  assertEquals(await ada.line(), "* Eve joined lobby");
  for (const data of [null, 7, { toString: 1 }, [], ""]) {
    const error = await assertRejects(() => eve.request("say", data), RequestError);
    assertEquals(error.code, "INVALID_DATA");
    await assertRejects(() => eve.request("join", data), RequestError);
  }
  assertEquals(await eve.request("members"), ["Ada", "Eve"]);
  await eve.close();
  assertEquals(await ada.line(), "* Eve left lobby");
});

Deno.test("chat: what others type cannot move the cursor", async () => {
  const { server, port } = await chatServer();
  await using _server = server;
  await using ada = await chatter("Ada", port, "Ada");
  const escape = "\x1b[2J\u202e";
  const shown = "\\u{1b}[2J\\u{202e}";
  await using eve = await chatter("Eve" + escape, port, `Ada, Eve${shown}`);
  assertEquals(await ada.line(), `* Eve${shown} joined lobby`);
  await eve.type("hi" + escape);
  assertEquals(await ada.line(), `Eve${shown}: hi${shown}`);
  await eve.type(`/join ${escape}`);
  assertEquals(await eve.line(), `* in ${shown}: Eve${shown}`);
});

Deno.test("chat: who is cut off for a moment misses nothing, and has not left", async () => {
  const { server, port } = await chatServer();
  await using _server = server;
  await using proxy = await FaultyProxy.listen({ to: port });
  await using ada = await chatter("Ada", port, "Ada");
  await using bob = await chatter("Bob", proxy.port, "Ada, Bob");
  assertEquals(await ada.line(), "* Bob joined lobby");
  await bob.type("/join tea");
  assertEquals(await bob.line(), "* in tea: Bob");
  assertEquals(await ada.line(), "* Bob left lobby");
  await ada.type("/join tea");
  assertEquals(await ada.line(), "* in tea: Ada, Bob");
  assertEquals(await bob.line(), "* Ada joined tea");

  proxy.to = Number(DEAD_PORT);
  proxy.cutAll();
  await bob.lineLike(/^\* reconnecting: ./);
  await ada.type("are you there?", "/members");
  assertEquals(await ada.line(), "* here: Ada, Bob");
  await bob.type("yes");
  proxy.to = port;
  const told = [await bob.line(), await bob.line()];
  assertEquals(told.sort(), ["* back: nothing was missed", "Ada: are you there?"]);
  assertEquals(await ada.line(), "Bob: yes");
});

Deno.test("chat: who is cut off for longer has left, and the name is free again", async () => {
  const { server, port } = await chatServer("--away-ms", "200");
  await using _server = server;
  await using proxy = await FaultyProxy.listen({ to: port });
  await using ada = await chatter("Ada", port, "Ada");
  await using bob = await chatter("Bob", proxy.port, "Ada, Bob");
  await using cyd = await chatter("Cyd", proxy.port, "Ada, Bob, Cyd");
  await using dan = await chatter("Dan", port, "Ada, Bob, Cyd, Dan");
  for (const name of ["Bob", "Cyd", "Dan"]) {
    assertEquals(await ada.line(), `* ${name} joined lobby`);
  }
  proxy.to = Number(DEAD_PORT);
  proxy.cutAll();
  dan.kill("SIGKILL");
  assertEquals([await ada.line(), await ada.line(), await ada.line()].sort(), [
    "* Bob left lobby",
    "* Cyd left lobby",
    "* Dan left lobby",
  ]);
  await using _dan = await chatter("Dan", port, "Ada, Dan");
  await using _cyd = await chatter("Cyd", port, "Ada, Cyd, Dan");
  // Two come back too late.
  proxy.to = port;
  await bob.lineLike(/^\* reconnecting: ./);
  assertEquals(await bob.line(), "* in lobby: Ada, Bob, Cyd, Dan");
  await cyd.lineLike(/^\* reconnecting: ./);
  assertEquals(await cyd.line(), "* disconnected: the name Cyd is taken");
  assertEquals((await cyd.end()).code, 1);
});

Deno.test({
  name: "chat: Ctrl-C at the server says goodbye to everyone",
  ignore,
  async fn() {
    const { server, port } = await chatServer();
    await using _server = server;
    await using ada = await chatter("Ada", port, "Ada");
    server.kill("SIGINT");
    // It may begin again.
    assertEquals(await ada.line(), "* reconnecting: the chat is over");
    assertEquals(await server.end(), { code: 0, lines: [], errors: "" });
    await ada.type("/quit");
    assertEquals(await ada.end(), { code: 0, lines: [], errors: "" });
  },
});

/** The servers that share out the rooms, each behind a proxy, and for each a room that is there. */
async function roomServers() {
  await using stack = new AsyncDisposableStack();
  const servers = stack.use(
    new Example("examples/cores/servers.ts", ["--port", "0", "--port", "0"]),
  );
  const proxies: FaultyProxy[] = [];
  for (let n = 0; n < 2; n++) {
    proxies.push(stack.use(await FaultyProxy.listen({ to: await servers.port() })));
  }
  const rooms = new Map<FaultyProxy, string>();
  for (let n = 0; rooms.size < proxies.length; n++) {
    rooms.set(await serverOf(proxies, `room ${n}`), `room ${n}`);
  }
  const owned = stack.move();
  return {
    servers,
    proxies,
    rooms: proxies.map((proxy) => rooms.get(proxy)!),
    /** Someone in a room, who has been let in. */
    async enter(room: string): Promise<Example> {
      const args = proxies.flatMap(({ port }) => ["--port", `${port}`]);
      const client = new Example("examples/cores/client.ts tea", args, { tea: room });
      const { port } = await serverOf(proxies, room);
      assertEquals(
        await client.line() ?? (await client.end()).errors,
        `* in ${room} at 127.0.0.1:${port}`,
      );
      return client;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

Deno.test("cores: who is in one room is at one server, and who is in another at another", async () => {
  await using scene = await roomServers();
  const [here, there] = scene.rooms;
  await using ada = await scene.enter(here);
  await using bob = await scene.enter(here);
  await using cyd = await scene.enter(there);
  await ada.type("hello");
  assertEquals(await ada.line(), "* heard by 1");
  assertEquals(await bob.line(), "hello");
  await cyd.type("\x1b[2J");
  assertEquals(await cyd.line(), "* heard by 0");
  await bob.type("\x1b[2J");
  assertEquals(await bob.line(), "* heard by 1");
  assertEquals(await ada.line(), "\\u{1b}[2J");
  for (const client of [ada, bob, cyd]) {
    assertEquals(await client.end(), { code: 0, lines: [], errors: "" });
  }
});

Deno.test("cores: who is cut off comes back to the same server, and has missed nothing", async () => {
  await using scene = await roomServers();
  const clients = await Promise.all([...scene.rooms, ...scene.rooms].map(scene.enter));
  await using stack = new AsyncDisposableStack();
  for (const client of clients) stack.use(client);
  for (let cut = 0; cut < 3; cut++) {
    for (const proxy of scene.proxies) proxy.cutAll();
    for (const client of clients) assertEquals(await client.line(), "* back: nothing was missed");
  }
  const [one, other, oneToo, otherToo] = clients;
  await one.type("one");
  assertEquals(await oneToo.line(), "one");
  await other.type("other");
  assertEquals(await otherToo.line(), "other");
});

Deno.test("cores: nobody comes in without a room", async () => {
  await using scene = await roomServers();
  const [{ port }] = scene.proxies;
  for (const auth of [undefined, 7, "", "x".repeat(65)]) {
    await using client = new Client({ port, auth });
    await assertRejects(() => client.start(), HandshakeError, "a room has 1 to 64 characters");
  }
});

Deno.test({
  name: "cores: Ctrl-C ends all servers, and the program with them",
  ignore,
  async fn() {
    await using scene = await roomServers();
    await using stack = new AsyncDisposableStack();
    const goodbyes: Promise<string>[] = [];
    for (const { port } of scene.proxies) {
      const { promise, resolve } = Promise.withResolvers<string>();
      const onDetach = (_connection: unknown, { reason }: CloseInfo) => resolve(reason);
      goodbyes.push(promise);
      await stack.use(new Client({ port, auth: "tea", maxAttempts: 0, onDetach })).start();
    }
    scene.servers.kill("SIGINT");
    assertEquals(await within(Promise.all(goodbyes), "two goodbyes"), [
      "the servers are shutting down",
      "the servers are shutting down",
    ]);
    assertEquals(await scene.servers.end(), { code: 0, lines: [], errors: "" });
  },
});

Deno.test("ship_log: odd lines arrive byte for byte", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const [path, out] = [`${directory}/app.log`, `${directory}/received.log`];
    const { server, port } = await receiver(out);
    await using _server = server;
    const log = new TextEncoder().encode(
      "\ufefffirst\n\n\r\nCRLF\r\n\rCR alone\r\n  \t \n€ 😀 \0 \x1b[31m \u2028 é\n" +
        `{"action":"@close"}\n${"long ".repeat(20_000)}\nno final newline`,
    );
    await Deno.writeFile(path, log);
    assertEquals(await ship(port, path), {
      code: 0,
      lines: ["10 of 10 lines arrived"],
      errors: "",
    });
    assertEquals(await Deno.readFile(out), log);
    assertMatch(await server.line() ?? "", /^10 lines from 127\.0\.0\.1:\d+$/);

    await Deno.writeFile(path, new Uint8Array());
    assertEquals((await ship(port, path)).lines, ["0 of 0 lines arrived"]);
    assertEquals(await Deno.readFile(out), log);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("ship_log: standard input is shipped too, by several at once", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const out = `${directory}/received.log`;
    const { server, port } = await receiver(out);
    await using _server = server;
    const numbers = Array.from({ length: 5_000 }, (_, n) => n);
    const results = await Promise.all(["a", "b"].map((name) => {
      const log = numbers.map((n) => `${name} ${n}${" padding".repeat(20)}\n`).join("");
      return ship(port, "-", new TextEncoder().encode(log));
    }));
    for (const { code, lines, errors } of results) {
      assertEquals({ code, lines, errors }, {
        code: 0,
        lines: ["5000 of 5000 lines arrived"],
        errors: "",
      });
    }
    const lines = (await Deno.readTextFile(out)).trimEnd().split("\n");
    for (const name of ["a", "b"]) {
      const own = lines.filter((line) => line.startsWith(name + " "));
      assertEquals(own.map((line) => Number(line.split(" ")[1])), numbers);
    }
    assertEquals(lines.length, 10_000);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("ship_log: lines survive the cuts of the connection", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const out = `${directory}/received.log`;
    const { server, port } = await receiver(out);
    await using _server = server;
    await using proxy = await FaultyProxy.listen({
      to: port,
      plans: [
        { toServer: { cut: { after: 300_000, by: "reset" } } },
        { toClient: { cut: { after: 2_000, by: "fin" } } },
      ],
    });
    const log = Array.from({ length: 10_000 }, (_, n) => `${n}${" padding".repeat(10)}\n`).join("");
    assertEquals(await ship(proxy.port, "-", new TextEncoder().encode(log)), {
      code: 0,
      lines: ["10000 of 10000 lines arrived"],
      errors: "",
    });
    assertEquals(proxy.links.length, 3);
    assertEquals(await Deno.readTextFile(out), log);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test({
  name: "ship_log: when the receiver was started anew, the shipper stops",
  ignore,
  async fn() {
    const directory = await Deno.makeTempDir();
    try {
      const out = `${directory}/received.log`;
      const { server, port } = await receiver(out);
      await using _server = server;
      await using proxy = await FaultyProxy.listen({ to: port });
      const args = ["--port", `${proxy.port}`];
      await using client = new Example("ship app.log", args, { "app.log": "-" });
      await client.type("one");
      await until(() => Deno.readTextFileSync(out) === "one\n", "the line was written");
      server.kill("SIGINT");
      assertEquals((await server.end()).code, 0);
      const next = await receiver(out);
      await using _next = next.server;
      proxy.to = next.port;
      await until(
        () => proxy.links.length > 1 && proxy.open.length === 0,
        "it came back, and left",
      );
      await client.type("two");
      const { code, errors } = await client.end();
      assertEquals(code, 1);
      assertEquals(errors, "the session could not go on: restarted\n");
      assertEquals(await Deno.readTextFile(out), "one\n");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test("ship_log: what cannot be shipped is an error", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const out = `${directory}/received.log`;
    const { server, port } = await receiver(out);
    await using _server = server;
    const [notText, endless, missing] = await Promise.all([
      ship(port, "-", Uint8Array.of(0x61, 0x0a, 0xff, 0x0a)),
      ship(port, "-", new Uint8Array(300_000).fill(0x61)),
      ship(port, `${directory}/missing.log`),
    ]);
    assertEquals({ code: notText.code, lines: notText.lines }, { code: 1, lines: [] });
    assert(notText.errors !== "");
    assertEquals(endless, {
      code: 1,
      lines: [],
      errors: "a line is too long to be shipped\n",
    });
    assertEquals(missing.code, 1);
    assertStringIncludes(missing.errors, "missing.log");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
