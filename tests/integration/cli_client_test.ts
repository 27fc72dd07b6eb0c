// `client` as a real process, and this test as its server.

import { assert, assertEquals, assertFalse, assertMatch, assertStringIncludes } from "@std/assert";
import { RequestError, Server } from "../../mod.ts";
import {
  DEAD_PORT,
  finish,
  type Process,
  runCli,
  startCli,
  withDirectory,
} from "../support/cli.ts";
import { FaultyProxy } from "../support/faulty_proxy.ts";
import { RawServer } from "../support/raw_peer.ts";
import { pause, until, within } from "../support/wait.ts";

const HOSTILE = "\x1b]0;owned\x07 \u202Eabc \x9b31m \r\n \u2028";
const ESCAPED = "\\u{1b}]0;owned\\u{7} \\u{202e}abc \\u{9b}31m \\u{d}\\u{a} \\u{2028}";
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

// On Windows a signal just ends the process.
const ignore = Deno.build.os === "windows";

/** A server of this process, and what it was sent. */
async function serve(act: (server: Server, noted: unknown[]) => Promise<void>): Promise<void> {
  await using server = new Server({ port: 0, drainTimeoutMs: 1_000 });
  const noted: unknown[] = [];
  server
    .bindAction("echo", (data) => data)
    .bindAction("note", (data) => void noted.push(data))
    .bindAction("broadcast", (data) => void noted.push({ broadcast: data }))
    .bindAction("refuse", () => {
      throw new RequestError("ACTION_FAILED", HOSTILE);
    })
    .bindAction("never", () => new Promise(() => {}));
  await server.start();
  await act(server, noted);
}

function startClient(server: Server, ...args: string[]): Process {
  return startCli(["client", "--port", String(server.port), ...args]);
}

async function connectionOf(server: Server) {
  await until(() => server.clients.size === 1, "the client was registered");
  return [...server.clients.values()][0];
}

/** The lines of a text that ends with one. */
function linesOf(text: string): string[] {
  assert(text === "" || text.endsWith("\n"), `an unfinished line: ${text}`);
  return text.split("\n").slice(0, -1);
}

Deno.test("the first line of a client says where it is connected, and as whom", async () => {
  await serve(async (server) => {
    await using client = startClient(server);
    const line = await client.line();
    const { id } = await connectionOf(server);
    assertEquals(line, `connected to 127.0.0.1:${server.port} as ${id}`);
    assertEquals(await finish(client), { code: 0, stdout: line + "\n", stderr: "" });

    await using json = startClient(server, "--json");
    const first = await json.object();
    const { id: second } = await connectionOf(server);
    assertEquals(first, {
      event: "connected",
      address: `127.0.0.1:${server.port}`,
      id: second,
    });
    assertEquals((await finish(json)).code, 0);
  });
});

Deno.test({ name: "a client connects to the Unix socket that it is told", ignore }, async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/p.sock`;
    await using server = new Server({ path });
    server.bindAction("echo", (data) => data);
    await server.start();
    const { code, stdout } = await runCli(
      ["client", "--unix", path],
      "request server echo 1\n",
    );
    assertEquals(code, 0);
    assertMatch(stdout, new RegExp(`^connected to unix:${path} as [0-9a-f-]{36}\n1\n$`));
  });
});

Deno.test("each line of a client's input is a command, and at its end the client closes", async () => {
  await serve(async (server, noted) => {
    const closings: string[] = [];
    const { code, stdout, stderr } = await (async () => {
      await using client = startClient(server);
      const connection = await connectionOf(server);
      connection.closed.then(({ code }) => closings.push(code));
      return await finish(
        client,
        [
          'request server echo {"a": [1, 2]}',
          `REQUEST ${connection.id.slice(-6)} echo "text"\r`,
          "send server note 1",
          `send ${connection.id} note`,
          "",
          "broadcast 1e400",
          'broadcast {"b":1}',
          "mode",
          "request server nosuch",
          "request server echo {bad",
          "request nobody echo",
          "send server @ping 1",
          "nosuch",
          "request server echo 5",
        ].join("\n"),
      );
    })();
    assertEquals(code, 0);
    assertEquals(linesOf(stdout).slice(1), [
      '{"a":[1,2]}',
      '"text"',
      "sent",
      "sent",
      "sent to the server",
      "sent to the server",
      `client, connected, 127.0.0.1:${server.port}, 1 connection`,
      "5",
    ]);
    const errors = linesOf(stderr);
    assertEquals(errors[0], "NO_ACTION: nothing is bound to that action");
    assertMatch(errors[1], /^not JSON: \{bad/);
    assertEquals(errors[2], "no connection has the id nobody: try list");
    assertMatch(errors[3], /@/);
    assertEquals(errors[4], "there is no command nosuch: help lists them");
    assertEquals(errors.length, 5);
    assertEquals(noted, [1, null, { broadcast: "1e400" }, { broadcast: { b: 1 } }]);
    await until(() => closings.length === 1, "the server saw the client leave");
    assertEquals(closings, ["CLOSED"]);
  });
});

Deno.test("what a server sends is printed as it comes, one safe line each", async () => {
  await serve(async (server) => {
    await using client = startClient(server);
    await client.line();
    const connection = await connectionOf(server);
    await connection.sendPacket({ action: "news", data: { a: [1] } });
    assertEquals(await client.line(), 'news {"a":[1]}');
    await connection.sendPacket({ action: HOSTILE, data: HOSTILE });
    const line = await client.line();
    assertEquals(line.slice(0, ESCAPED.length), ESCAPED);
    assertEquals(JSON.parse(line.slice(ESCAPED.length)), HOSTILE);
    assertFalse(UNSAFE.test(line), line);
    // A request is told, and answered by nobody's leave but the client's.
    assertEquals(await connection.request("question", 5), null);
    assertEquals(await client.line(), "question 5");

    await client.write("request server refuse\n");
    assertEquals(await client.errorLine(), `ACTION_FAILED: ${ESCAPED}`);
    await connection.close({ reason: HOSTILE });
    assertEquals(await client.errorLine(), `the connection has ended: CLOSED: ${ESCAPED}`);
    assertEquals(await client.exit(), 1);
  });
});

Deno.test("with --json every line of a client is an object, and says what it is", async () => {
  await serve(async (server) => {
    await using client = startClient(server, "--json");
    await client.line();
    const connection = await connectionOf(server);
    const { id } = connection;
    await connection.sendPacket({ action: HOSTILE, data: HOSTILE });
    assertEquals(await client.object(), { event: "packet", action: HOSTILE, data: HOSTILE });
    await client.write("request server echo [1]\nsend server note\nrequest server nosuch\n");
    assertEquals(await client.object(), { command: "request", id, action: "echo", reply: [1] });
    assertEquals(await client.object(), { command: "send", id, sent: true, kept: false });
    assertEquals(JSON.parse(await client.errorLine()), {
      command: "request",
      error: { code: "NO_ACTION", message: "nothing is bound to that action" },
    });
    await connection.close({ reason: "enough" });
    assertEquals(JSON.parse(await client.errorLine()), {
      event: "disconnected",
      code: "CLOSED",
      reason: "enough",
      unknown: 0,
      unsent: 0,
    });
    assertEquals(await client.exit(), 1);
  });
});

Deno.test("a client that is sent away says why, in one line, with exit code 1", async () => {
  await serve(async (server) => {
    await using client = startClient(server);
    await client.line();
    await client.write("request server never\n");
    const connection = await connectionOf(server);
    await until(() => connection.stats.inFlight === 1, "the request came");
    await connection.close({ reason: "enough" });
    assertEquals(await client.exit(), 1);
    assertEquals(linesOf(client.stderr), [
      "CLOSED: enough",
      "the connection has ended: CLOSED: enough",
    ]);
  });
});

Deno.test("a client ends by SIGINT, SIGTERM, stop and disconnect, with exit code 0", async () => {
  const ways = [
    ...ignore ? [] : ["SIGINT", "SIGTERM"] as const,
    "stop",
    "disconnect self",
    "disconnect server",
    "dropall",
  ];
  await Promise.all(ways.map((way) =>
    serve(async (server) => {
      await using client = startClient(server);
      await client.line();
      const connection = await connectionOf(server);
      if (way === "SIGINT" || way === "SIGTERM") client.kill(way);
      else await client.write(way + "\n");
      assertEquals(await client.exit(), 0, way);
      assertEquals(client.stderr, "", way);
      assertEquals((await within(connection.closed, "the goodbye")).code, "CLOSED");
    })
  ));
});

Deno.test("a client prints its token for `token --yes` alone", async () => {
  await serve(async (server) => {
    await using client = startClient(server);
    await client.line();
    const { token } = await connectionOf(server);
    await client.write("token\n");
    assertMatch(await client.errorLine(), /--yes/);
    await client.write("token --no\n");
    assertEquals(await client.errorLine(), "usage: token [--yes]");
    await client.write("list\nconinfo server\nping server\nthreads\nmode\nhelp\nhelp token\n");
    await client.write("request server echo 1\n");
    while (await client.line() !== "1");
    assertFalse((client.stdout + client.stderr).includes(token!), "the token was printed");
    await client.write("token --yes\n");
    assertEquals(await client.line(), token);
    assertEquals((await finish(client)).code, 0);
  });
});

Deno.test(
  { name: "a client whose output nobody reads any more ends, and says goodbye", ignore },
  async () => {
    await serve(async (server) => {
      await using client = startClient(server);
      await client.line();
      const connection = await connectionOf(server);
      await client.closeOutput();
      while (connection.state === "open") {
        await client.write("mode\n").catch(() => {});
        await pause(10);
      }
      assertEquals(await client.exit(), 0);
      assertEquals(client.stderr, "");
      assertEquals((await within(connection.closed, "the goodbye")).code, "CLOSED");
    });
  },
);

Deno.test("what a hostile server says of its refusal is shown as one safe line", async () => {
  await using server = await RawServer.listen();
  await using client = startCli(["client", "--port", String(server.port)]);
  await using peer = await server.accept();
  await peer.packet();
  await peer.sendPacket({
    action: "@handshake",
    data: { status: "error", code: "REFUSED", message: HOSTILE },
  });
  peer.fin();
  assertEquals(await client.exit(), 1);
  assertEquals([client.stdout, client.stderr], ["", `REFUSED: ${ESCAPED}\n`]);
});

Deno.test("a server that is none of ours is told from one that is not there", async () => {
  await using server = await RawServer.listen();
  await using client = startCli(["client", "--json", "--port", String(server.port)]);
  await using peer = await server.accept();
  await peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  peer.fin();
  assertEquals(await client.exit(), 1);
  const { error } = JSON.parse(client.stderr);
  assertEquals([client.stdout, error.code], ["", "BAD_JSON"]);
  assertStringIncludes(error.message, "JSON");
});

/** A server behind a network that fails, and a client that is connected to it. */
async function withCable(
  args: string[],
  act: (client: Process, proxy: FaultyProxy, server: Server, noted: unknown[]) => Promise<void>,
): Promise<void> {
  await serve(async (server, noted) => {
    await using proxy = await FaultyProxy.listen({ to: server.port });
    await using client = startCli(["client", "--port", String(proxy.port), ...args]);
    await client.line();
    await act(client, proxy, server, noted);
  });
}

Deno.test("a client comes back when its connection is cut, and loses nothing", async () => {
  await withCable([], async (client, proxy, server, noted) => {
    const connection = await connectionOf(server);
    for (const by of ["fin", "reset"] as const) {
      // Nobody listens there for a while.
      proxy.to = Number(DEAD_PORT);
      proxy.cutAll(by);
      assertMatch(
        await client.errorLine(),
        /^the connection is lost, reconnecting: CONNECTION_LOST: [^\n]+$/,
      );
      await until(() => connection.state === "detached", "the server noticed");
      await connection.sendPacket({ action: "news", data: by });
      await client.write(
        `threads\nmode\nsend server note "${by}"\nbroadcast "${by}"\nping server\n`,
      );
      const threads = [];
      while (threads.length < 5) threads.push(await client.line());
      assertMatch(threads[2], /read +another socket$/);
      assertEquals([await client.line(), await client.line(), await client.line()], [
        `client, reconnecting, 127.0.0.1:${proxy.port}, 1 connection`,
        "kept until it is back: the client is reconnecting",
        "kept until it is back: the client is reconnecting",
      ]);
      assertEquals(
        await client.errorLine(),
        "nobody is there to be pinged: the client is reconnecting",
      );
      await client.write("request server echo 5\n");
      proxy.to = server.port;
      assertEquals(await client.errorLine(), "reconnected, nothing was lost");
      const lines = [await client.line(), await client.line()];
      assertEquals(lines.sort(), ["5", `news "${by}"`]);
      assertEquals(noted.splice(0), [by, { broadcast: by }]);
    }
    assertEquals((await finish(client)).code, 0);
    await until(() => server.clients.size === 0, "the server saw it leave");
  });
});

Deno.test("with --json a client tells a cut and its return as events", async () => {
  await withCable(["--json"], async (client, proxy, server, noted) => {
    const { id } = await connectionOf(server);
    proxy.to = Number(DEAD_PORT);
    proxy.cutAll();
    const { reason, ...event } = await client.object();
    assertEquals(event, { event: "detached", code: "CONNECTION_LOST" });
    assert((reason as string).length > 5);
    await client.write("list\nsend server note 1\nping server\n");
    const { connections } = await client.object() as { connections: { state: string }[] };
    assertEquals(connections.map(({ state }) => state), ["detached"]);
    assertEquals(await client.object(), { command: "send", id, sent: false, kept: true });
    assertEquals(JSON.parse(await client.errorLine()).command, "ping");
    proxy.to = server.port;
    assertEquals(await client.object(), { event: "resumed", id });
    await until(() => noted.length === 1, "what was kept came");
    assertEquals((await finish(client)).code, 0);
  });
});

Deno.test("a client comes to the next server, and says what the last one may not have got", async () => {
  await Promise.all(
    [[], ["--json"]].map((args) =>
      withCable(args, async (client, proxy, server, noted) => {
        await using next = new Server({ port: 0 });
        next.bindAction("echo", (data) => data);
        await next.start();
        proxy.to = Number(DEAD_PORT);
        await server.close();
        const isJson = args.length > 0;
        const say = () => isJson ? client.line() : client.errorLine();
        const lost = await say();
        assertEquals(
          isJson ? JSON.parse(lost) : lost,
          isJson
            ? { event: "detached", code: "GOING_AWAY", reason: "the server is shutting down" }
            : "the connection is lost, reconnecting: GOING_AWAY: the server is shutting down",
        );
        await client.write("send server note 1\nsend server note 2\n");
        await client.line();
        await client.line();
        proxy.to = next.port;
        const anew = await say();
        const { id } = await connectionOf(next);
        assertEquals(
          isJson ? JSON.parse(anew) : anew,
          isJson
            ? { event: "session-lost", id, reason: "restarted", unknown: 0, unsent: 2 }
            : `reconnected as ${id} in a new session, the server was started anew: ` +
              "0 packets may have arrived, 2 packets were not sent",
        );
        await client.write("request server echo 7\n");
        const reply = await client.line();
        assertEquals(isJson ? JSON.parse(reply).reply : Number(reply), 7);
        assertEquals((await finish(client)).code, 0);
        assertEquals(noted, []);
      })
    ),
  );
});

Deno.test("a client that cannot come back says why and what is lost, with exit code 1", async () => {
  await withCable(["--retries", "2"], async (client, proxy) => {
    const { port } = proxy;
    await proxy[Symbol.asyncDispose]();
    await client.errorLine();
    assertEquals(
      await client.errorLine(),
      "the connection has ended: SESSION_LOST: the client could not come back: " +
        `cannot connect to 127.0.0.1:${port}: nobody listens there`,
    );
    assertEquals(await client.exit(), 1);
  });

  let isWelcome = true;
  await using server = new Server({ port: 0, authenticate: () => isWelcome });
  await server.start();
  await using proxy = await FaultyProxy.listen({ to: server.port });
  await using client = startCli(["client", "--json", "--port", String(proxy.port)]);
  await client.line();
  isWelcome = false;
  proxy.to = Number(DEAD_PORT);
  proxy.cutAll();
  await client.object();
  await client.write("send server note 1\n");
  await client.object();
  proxy.to = server.port;
  assertEquals(JSON.parse(await client.errorLine()), {
    event: "disconnected",
    code: "REFUSED",
    reason: "the server refused",
    unknown: 0,
    unsent: 1,
  });
  assertEquals(await client.exit(), 1);
});

Deno.test({ name: "a client can be ended while it reconnects", ignore }, async () => {
  const ways = ["SIGINT", "SIGTERM", "stop", "disconnect self", "end"];
  await Promise.all(ways.flatMap((way) =>
    [false, true].map(async (isPending) => {
      await withCable([], async (client, proxy) => {
        proxy.to = Number(DEAD_PORT);
        proxy.cutAll();
        await client.errorLine();
        if (isPending) {
          await client.write("send server note 1\n");
          await client.line();
        }
        if (way === "SIGINT" || way === "SIGTERM") client.kill(way);
        else if (way === "end") await client.endInput();
        else await client.write(way + "\n");
        assertEquals(await client.exit(), isPending ? 1 : 0, way);
        assertEquals(
          linesOf(client.stderr).slice(1),
          isPending ? ["0 packets may have arrived, 1 packet was not sent"] : [],
        );
      });
    })
  ));
});

Deno.test(
  { name: "a signal ends a client whose request waits for the server to be back", ignore },
  async () => {
    await withCable([], async (client, proxy) => {
      proxy.to = Number(DEAD_PORT);
      proxy.cutAll();
      await client.errorLine();
      await client.write("mode\nrequest server echo 1\n");
      await client.line();
      client.kill("SIGINT");
      assertEquals(await client.exit(), 1);
      assertEquals(linesOf(client.stderr).slice(1), [
        "CLOSED: closed",
        "0 packets may have arrived, 1 packet was not sent",
      ]);
    });
  },
);
