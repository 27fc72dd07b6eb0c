// `server` as a real process, and this test as its clients.

import { assert, assertEquals, assertFalse, assertMatch, assertStringIncludes } from "@std/assert";
import {
  cliCommand,
  CliServer,
  DEAD_PORT,
  finish,
  Process,
  withDirectory,
} from "../support/cli.ts";
import { callCli } from "../support/cli_call.ts";
import { FaultyProxy } from "../support/faulty_proxy.ts";
import { hello, RawPeer } from "../support/raw_peer.ts";
import { visit, type Visitor } from "../support/visitor.ts";
import { pause, until, within } from "../support/wait.ts";

const HOSTILE = "\x1b]0;owned\x07 \u202Eabc \x9b31m \r\n \u2028";
// deno-lint-ignore no-control-regex -- whatever is not the end of a line
const CONTROLS = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/;

// On Windows a signal just ends the process.
const ignore = Deno.build.os === "windows";

/** A client of the server under test. */
async function join(server: CliServer): Promise<Visitor> {
  const [flag, where] = server.to;
  return await visit(flag === "--unix" ? { path: where } : { port: Number(where) });
}

async function stop(server: CliServer, signal: Deno.Signal = "SIGTERM"): Promise<number> {
  server.kill(signal);
  return await server.exit();
}

Deno.test({ name: "the first line of a server says where it listens", ignore }, async () => {
  await using server = await CliServer.start();
  assertMatch(server.greeting, /^listening on 127\.0\.0\.1:[1-9]\d*$/);
  assertEquals(await stop(server), 0);
  assertEquals([server.stdout, server.stderr], [server.greeting + "\n", ""]);
});

Deno.test({ name: "with --json the first line of a server is an object", ignore }, async () => {
  await using server = await CliServer.start(["--json"]);
  const greeting = JSON.parse(server.greeting);
  const { port } = greeting;
  assertEquals(greeting, {
    event: "listening",
    address: `127.0.0.1:${port}`,
    host: "127.0.0.1",
    port,
  });
  assertEquals(await stop(server), 0);
});

Deno.test(
  { name: "a server listens on the Unix socket and the host that it is told", ignore },
  async () => {
    await withDirectory(async (directory) => {
      const path = `${directory}/p.sock`;
      const [server, elsewhere] = await Promise.all([
        CliServer.start(["--unix", path]),
        CliServer.start(["--host", "localhost"]),
      ]);
      await using _ = server, __ = elsewhere;
      assertMatch(elsewhere.greeting, /^listening on localhost:[1-9]\d*$/);
      assertEquals(server.greeting, `listening on unix:${path}`);
      await using client = await join(server);
      assertEquals(await client.request("echo", "over a path"), "over a path");
      await client.close();
      assertEquals(await stop(server), 0);
    });
  },
);

Deno.test(
  { name: "a server runs on at the end of its input, until SIGINT or SIGTERM", ignore },
  async () => {
    await Promise.all((["SIGINT", "SIGTERM"] as const).map(async (signal) => {
      await using server = await CliServer.start();
      await server.endInput();
      await using client = await join(server);
      for (let turn = 0; turn < 3; turn++) assertEquals(await client.request("echo", turn), turn);
      assertEquals(await stop(server, signal), 0);
      assertEquals((await within(client.detached, "the goodbye")).code, "GOING_AWAY");
    }));
  },
);

Deno.test({ name: "a server without any input runs until it is stopped", ignore }, async () => {
  await using server = await CliServer.start([], { stdin: "null" });
  await using client = await join(server);
  assertEquals(await client.request("echo", 1), 1);
  assertEquals(await stop(server), 0);
});

Deno.test({ name: "echo, broadcast and print do what the help says", ignore }, async () => {
  await using server = await CliServer.start();
  await using client = await join(server);
  await using other = await join(server);
  const heard: unknown[] = [];
  other.bindAction("broadcast", (data) => void heard.push(data));
  client.bindAction("broadcast", () => void heard.push("my own"));

  const values = [null, 0, "text", [1, { a: [] }], { b: "ü" }, HOSTILE];
  for (const value of values) {
    assertEquals(await client.request("echo", value), value);
    assertEquals(await client.request("broadcast", value), { sent: 1 });
    assertEquals(await client.request("print", value), null);
    assertEquals(await server.line(), JSON.stringify(value));
  }
  await other.ping();
  assertEquals(heard, values);
  assertEquals(await stop(server), 0);
  // Scripts read this: nothing but what was printed.
  assertEquals(server.stdout.split("\n").length, 1 + values.length + 1);
  assertEquals(server.stderr, "");
});

Deno.test(
  { name: "with --json every line of a server is an object, and says what it is", ignore },
  async () => {
    await using server = await CliServer.start(["--json"]);
    await using client = await join(server);
    const { id } = client;
    const connected = await server.object();
    assertEquals(connected, { event: "connected", id, address: connected.address });
    await client.request("print", HOSTILE);
    assertEquals(await server.object(), { event: "print", data: HOSTILE });
    await client.request("print", { event: "listening" });
    assertEquals(await server.object(), { event: "print", data: { event: "listening" } });

    const commands = [
      "help",
      "help list",
      "list",
      `coninfo ${id}`,
      `ping ${id}`,
      "pingall",
      `send ${id} note {"a":1}`,
      "broadcast hello there",
      "actions",
      'trigger echo {"a":[1]}',
      "threads",
      "start",
      "token",
      "mode",
      "clear",
      "nosuch",
      "",
      "dropall",
    ];
    await server.write(commands.join("\n") + "\nmode\n");
    while (!server.stdout.includes('"disconnected":1')) await server.object();
    assertEquals(await stop(server), 0);

    const objects = server.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    for (const object of objects) {
      assertEquals(Object.getPrototypeOf(object), Object.prototype);
      assert("event" in object || "command" in object, JSON.stringify(object));
    }
    assertEquals(
      objects.filter(({ command }) => command).map(({ command }) => command),
      commands.map((line) => line.split(" ")[0])
        .filter((name) => !["", "clear", "nosuch", "start", "token"].includes(name))
        .concat("mode"),
    );
    const errors = server.stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(errors.map(({ command }) => command), ["start", "token", "nosuch"]);
    for (const { error: { message } } of errors) assert(message.length > 10);
  },
);

Deno.test(
  { name: "the results of commands are for programs what they are for people", ignore },
  async () => {
    await using server = await CliServer.start(["--json"]);
    await using client = await join(server);
    const { id } = client;
    await server.object();
    const ask = async (command: string) => {
      await server.write(command + "\n");
      return await server.object();
    };

    const { connections } = await ask("list") as { connections: Record<string, unknown>[] };
    const { address, since } = connections[0];
    assertEquals(connections, [
      { id, address, state: "open", fingerprint: null, since, groups: [], received: 0, sent: 0 },
    ]);
    const info = await ask(`coninfo ${id!.slice(-4)}`);
    assertEquals({ id: info.id, groups: info.groups, pending: info.pending }, {
      id,
      groups: [],
      pending: 0,
    });
    const { pings } = await ask("pingall") as { pings: { id: string; ms: number }[] };
    assertEquals(pings.map(({ id }) => id), [id]);
    assert(pings[0].ms > 0);
    assertEquals(await ask("broadcast 5"), {
      command: "broadcast",
      sent: 1,
      kept: 0,
      missed: [],
    });
    assertEquals(await ask("trigger echo [1]"), { command: "trigger", action: "echo", reply: [1] });
    const { threads } = await ask("threads") as { threads: Record<string, string>[] };
    assertEquals(threads.map(({ of, loop }) => `${of} ${loop}`), [
      "server accept",
      "server handshakes",
      "server sweep",
      `${id} read`,
      `${id} handle`,
      `${id} write`,
    ]);
    for (const { waitsFor } of threads) assert(waitsFor.length > 0);
    const { mode, state, connections: count } = await ask("mode");
    assertEquals({ mode, state, count }, { mode: "server", state: "listening", count: 1 });

    await server.write(`disconnect ${id!.slice(-4)}\n`);
    const told = [await server.object(), await server.object()];
    assertEquals(told.map(({ event, command }) => event ?? command).sort(), [
      "disconnect",
      "disconnected",
    ]);
    assertEquals(told.find(({ command }) => command)?.disconnected, id);
    assertEquals((await client.closed).reason, "disconnected by hand");
    assertEquals(await stop(server), 0);
  },
);

Deno.test({
  name: "a server tells who lost the connection and who is back, and its commands heed it",
  ignore,
}, async () => {
  await using server = await CliServer.start(["--json"]);
  const port = Number(server.to[1]);
  await using proxy = await FaultyProxy.listen({ to: port });
  await using client = await visit({ port: proxy.port });
  const heard: unknown[] = [];
  client.bindFallback((data) => void heard.push(data)).bindAction("ask", () => "an answer");
  const { id } = client;
  const { address } = await server.object();
  const ask = async (command: string) => {
    await server.write(command + "\n");
    return await server.object();
  };

  proxy.to = Number(DEAD_PORT);
  proxy.cutAll();
  assertEquals(await server.object(), { event: "detached", id, address, code: "CONNECTION_LOST" });
  const { connections } = await ask("list") as { connections: Record<string, unknown>[] };
  assertEquals(connections.map(({ id, state }) => ({ id, state })), [{ id, state: "detached" }]);
  const mode = await ask("mode");
  assertEquals([mode.connections, mode.detached], [1, 1]);
  assertEquals(await ask(`send ${id} note 1`), { command: "send", id, sent: false, kept: true });
  assertEquals(await ask("broadcast 2"), { command: "broadcast", sent: 0, kept: 1, missed: [] });
  const { state, session, unacknowledged, dropped } = await ask(`coninfo ${id}`);
  assertEquals({ state, session, unacknowledged, dropped }, {
    state: "detached",
    session: true,
    unacknowledged: 2,
    dropped: 0,
  });
  assertEquals(await ask("pingall"), {
    command: "pingall",
    pings: [{ id, ms: null, failure: "detached" }],
  });
  await server.write(`ping ${id}\n`);
  assertEquals(JSON.parse(await server.errorLine()), {
    command: "ping",
    error: { message: "nobody is there to be pinged: its client is detached" },
  });

  await server.write(`request ${id} ask\n`);
  proxy.to = port;
  const told = [await server.object(), await server.object()];
  const { address: since } = told.find(({ event }) => event === "resumed")!;
  assertEquals(told.find(({ event }) => event), { event: "resumed", id, address: since });
  assertEquals(told.find(({ command }) => command), {
    command: "request",
    id,
    action: "ask",
    reply: "an answer",
  });
  assertEquals(heard, [1, 2]);

  proxy.to = Number(DEAD_PORT);
  proxy.cutAll();
  assertEquals((await server.object()).event, "detached");
  await server.write(`disconnect ${id}\n`);
  const ends = [await server.object(), await server.object()];
  assertEquals(ends.map(({ event, command }) => event ?? command).sort(), [
    "disconnect",
    "disconnected",
  ]);
  assertEquals(await stop(server), 0);
});

Deno.test({ name: "for people a server says in words who is detached", ignore }, async () => {
  await using server = await CliServer.start();
  const port = Number(server.to[1]);
  await using proxy = await FaultyProxy.listen({ to: port });
  await using client = await visit({ port: proxy.port });
  const { id } = client;
  proxy.to = Number(DEAD_PORT);
  proxy.cutAll();
  await until(() => client.state === "reconnecting", "the client noticed");
  for (let line = ""; !line.includes("detached");) {
    await server.write("mode\n");
    line = await server.line();
  }
  await server.write(`mode\nlist\nsend ${id} note\nbroadcast 1\npingall\n`);
  assertEquals(
    await server.line(),
    `server, listening, 127.0.0.1:${port}, 1 connection (1 detached)`,
  );
  assertMatch(await server.line(), /^id +address +state +age +in +out$/);
  assertMatch(await server.line(), new RegExp(`^${id} +127\\.0\\.0\\.1:\\d+ +detached +\\d+s `));
  assertEquals(await server.line(), "kept until it is back: its client is detached");
  assertEquals(await server.line(), "sent to 0, kept for 1 detached");
  await server.line();
  assertMatch(await server.line(), new RegExp(`^${id} +detached$`));
  assertEquals(await stop(server), 0);
});

Deno.test({
  name: "each line of a server's input is a command, and a wrong one ends nothing",
  ignore,
}, async () => {
  await using server = await CliServer.start();
  await server.write("mode\r\n\n   \nnosuch\ntrigger echo {bad\nping\nmo");
  assertMatch(await server.line(), /^server, listening, 127\.0\.0\.1:\d+, 0 connections$/);
  assertEquals(await server.errorLine(), "there is no command nosuch: help lists them");
  assertMatch(await server.errorLine(), /^not JSON: \{bad/);
  assertEquals(await server.errorLine(), "usage: ping ID");
  // The rest of a line, and the end of the input in place of the line's.
  await server.write("de");
  await server.endInput();
  assertMatch(await server.line(), /^server, listening/);
  assertEquals(await stop(server), 0);
});

Deno.test(
  { name: "stop, and disconnect self, end a server whose input goes on", ignore },
  async () => {
    const ways = [["stop", "stopped"], ["disconnect self", "disconnected"]];
    await Promise.all(ways.map(async ([command, answer]) => {
      await using server = await CliServer.start();
      await using client = await join(server);
      await server.write(command + "\n");
      assertEquals(await server.exit(), 0);
      assertEquals(server.stdout, `${server.greeting}\n${answer}\n`);
      assertEquals((await within(client.detached, "the goodbye")).code, "GOING_AWAY");
    }));
  },
);

Deno.test({ name: "stop stops, and no other word with it does", ignore }, async () => {
  await using server = await CliServer.start();
  await server.write("stop 01a2\ndropall now\n");
  assertEquals(await server.errorLine(), "usage: stop");
  assertEquals(await server.errorLine(), "usage: dropall");
  await server.write("mode\n");
  assertMatch(await server.line(), /^server, listening/);
  assertEquals(await stop(server), 0);
});

Deno.test("a port that is taken is named in one line, with exit code 3", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const { code, stdout, stderr } = await callCli(["server", "--port", String(port)]);
  assertEquals({ code, stdout }, { code: 3, stdout: "" });
  assertEquals(stderr, `LISTEN_FAILED: cannot listen on 127.0.0.1:${port}: it is taken\n`);

  const json = await callCli(["server", "--json", "--port", String(port)]);
  assertEquals([json.code, json.stdout], [3, ""]);
  assertEquals(JSON.parse(json.stderr), {
    error: {
      code: "LISTEN_FAILED",
      message: `cannot listen on 127.0.0.1:${port}: it is taken`,
    },
  });
});

Deno.test({
  name: "a Unix socket that is taken or cannot be is named in one line, with exit code 3",
  ignore,
}, async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/p.sock`;
    using _listener = Deno.listen({ transport: "unix", path });
    for (const taken of [path, `${directory}/no/such/place`, directory]) {
      const { code, stdout, stderr } = await callCli(["server", "--unix", taken]);
      assertEquals({ code, stdout }, { code: 3, stdout: "" });
      assertMatch(stderr, /^LISTEN_FAILED: [^\n]+\n$/);
      assertStringIncludes(stderr, `unix:${taken}:`);
    }
  });
});

Deno.test({
  name: "what clients send reaches no terminal raw, and the log stays one line each",
  ignore,
}, async () => {
  await using server = await CliServer.start();
  const [, port] = server.to;
  await using client = await join(server);
  for (const action of [HOSTILE, "\u202Eoohce"]) {
    await client.sendPacket({ action, data: HOSTILE });
    await client.request(action, HOSTILE).catch(() => {});
  }
  // What the log has to say of the other side is logged as a warning.
  await using peer = await RawPeer.connect({ port: Number(port) });
  await peer.send(hello());
  await peer.welcomed();
  await peer.sendPacket({
    action: "@error",
    data: { code: "BAD_PACKET", message: HOSTILE },
  });
  const warning = await server.errorLine();
  await peer.close();
  assertStringIncludes(warning, ": the peer refused a packet: \\u{1b}]0;owned\\u{7} ");
  assertEquals(await stop(server), 0);
  assertFalse(CONTROLS.test(server.stdout + server.stderr), server.stdout + server.stderr);
  assertEquals(server.stderr, warning + "\n");
});

Deno.test({ name: "with --json the log is one object a line as well", ignore }, async () => {
  await using server = await CliServer.start(["--json"]);
  await using peer = await RawPeer.connect({ port: Number(JSON.parse(server.greeting).port) });
  await peer.shakeHands();
  await peer.sendPacket({ action: "@error", data: { code: "BAD_PACKET", message: HOSTILE } });
  const { log } = JSON.parse(await server.errorLine());
  await peer.close();
  assertEquals([log.level, log.category], ["warning", "pnetwork.connection"]);
  assertStringIncludes(log.message, "the peer refused a packet");
  assertEquals(await stop(server), 0);
});

Deno.test({ name: "no command shows a token of anyone", ignore }, async () => {
  await using server = await CliServer.start(["--json"]);
  await using client = await join(server);
  const { id, token } = client;
  await server.write(
    `list\nconinfo ${id}\nping ${id}\nthreads\nmode\ntoken --yes\ntoken\nhelp\n`,
  );
  await until(() => server.stdout.includes('"command":"help"'), "all was answered");
  assertEquals(await stop(server), 0);
  assertFalse((server.stdout + server.stderr).includes(token!), "a token was shown");
});

Deno.test({
  name: "a signal in the middle of traffic ends a server in order: what it took on is answered",
  ignore,
}, async () => {
  await using server = await CliServer.start();
  await using client = await join(server);
  let answered = 0;
  let failed = 0;
  const traffic = async () => {
    while (failed === 0) {
      const batch = Array.from({ length: 50 }, () => client.request("echo", "x".repeat(1_000)));
      for (const { status } of await Promise.allSettled(batch)) {
        if (status === "fulfilled") answered++;
        else failed++;
      }
    }
  };
  const running = traffic();
  await until(() => answered > 500, "there was traffic");
  server.kill("SIGTERM");
  assertEquals((await within(client.detached, "the goodbye")).code, "GOING_AWAY");
  // Nobody comes after this server.
  await client.close();
  await running;
  assertEquals(await server.exit(), 0);
  assert(failed <= 100, `${failed} requests failed`);
  assertEquals(server.stderr, "");
});

Deno.test({ name: "a second signal ends a server that waits for something", ignore }, async () => {
  await using server = await CliServer.start();
  await using client = await join(server);
  // Its handlers wait for someone to read what they print.
  server.pauseOutput();
  for (let turn = 0; turn < 4; turn++) {
    await client.sendPacket({ action: "print", data: "x".repeat(900_000) });
  }
  await client.ping();
  server.kill("SIGTERM");
  server.kill("SIGINT");
  assertEquals(await server.exit(), 130);
  await within(client.detached, "the end");
});

Deno.test(
  { name: "a server whose output nobody reads any more ends in order", ignore },
  async () => {
    await using server = await CliServer.start();
    await using client = await join(server);
    await server.closeOutput();
    // The system may take what comes first.
    while (client.state === "connected") {
      await client.sendPacket({ action: "print", data: 1 }).catch(() => {});
      await pause(10);
    }
    assertEquals((await within(client.detached, "the goodbye")).code, "GOING_AWAY");
    assertEquals(await server.exit(), 0);
    assertEquals(server.stderr, "");
  },
);

Deno.test({
  name: "a server whose output cannot be written says so",
  ignore: Deno.build.os !== "linux",
}, async () => {
  const command = cliCommand(["server", "--port", "0"]);
  await using server = new Process("sh", ["-c", 'exec "$0" "$@" >/dev/full', ...command]);
  const { code, stdout, stderr } = await finish(server);
  assertEquals({ code, stdout }, { code: 1, stdout: "" });
  assertMatch(stderr, /^[^\n]*space[^\n]*\n$/);
});
