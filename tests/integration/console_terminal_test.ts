// The console as a person sees it: keys go into a terminal, and the screen is looked at.

import { assert, assertEquals, assertFalse, assertMatch, assertStringIncludes } from "@std/assert";
import { Client, Server } from "../../mod.ts";
import { cliCommand, DEAD_PORT, programCommand, withDirectory } from "../support/cli.ts";
import { FaultyProxy } from "../support/faulty_proxy.ts";
import { hello, RawPeer } from "../support/raw_peer.ts";
import { Key, Terminal, type TerminalOptions, testTerminal } from "../support/terminal.ts";
import { visit, type Visitor } from "../support/visitor.ts";
import { until, within } from "../support/wait.ts";

const HOSTILE = "\x1b]0;owned\x07\u202Eabc\x9b31m\r\n\u2028";
const ESCAPED = "\\u{1b}]0;owned\\u{7}\\u{202e}abc\\u{9b}31m\\u{d}\\u{a}\\u{2028}";
const ID = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/;

/** A program that has a console of its own, and goes on when it is left. */
const GAME = `
import { Server } from "@pnetwork/pnetwork";
import { CLI } from "@pnetwork/pnetwork/coretools";
const server = new Server({ port: 0 });
server.bindAction("greet", (name) => "hello " + name);
await server.start();
const cli = new CLI(server, "GAME");
server.bindAction("shout", (text) => cli.print(text));
console.log(server.port);
await cli.processCommand();
console.log("the program goes on");
await server.close();`;

/** A server of the command line in a terminal, and a client of it in this process. */
async function withServer(
  act: (terminal: Terminal, client: Visitor) => Promise<void>,
  { args = [], ...options }: TerminalOptions & { args?: string[] } = {},
): Promise<void> {
  await using terminal = new Terminal(cliCommand(["server", "--port", "0", ...args]), options);
  await terminal.shows(/./, "SERVER>");
  const [greeting] = terminal.screen.text;
  await using client = await visit({ port: Number(/:(\d+)/.exec(greeting)![1]) });
  await until(() => terminal.raw.includes(client.id!), "the client was announced");
  await terminal.shows("SERVER>");
  await act(terminal, client);
}

/** A client of the command line in a terminal, and a server in this process. */
async function withClient(
  act: (terminal: Terminal, server: Server) => Promise<void>,
  options: TerminalOptions = {},
): Promise<void> {
  const late = Promise.withResolvers<string>();
  await using server = new Server({ port: 0, drainTimeoutMs: 0 });
  server.bindAction("echo", (data) => data).bindAction("late", () => late.promise);
  server.bindAction("hurry", () => late.resolve("late"));
  await server.start();
  const command = cliCommand(["client", "--port", String(server.port)]);
  await using terminal = new Terminal(command, options);
  await terminal.shows("CLIENT>");
  await act(terminal, server);
  late.resolve("too late");
}

testTerminal("a prompt stands where commands are typed, and their answers below", async () => {
  await withServer(async (terminal, client) => {
    const [greeting, connected] = terminal.screen.text;
    assertMatch(greeting, /^listening on 127\.0\.0\.1:\d+$/);
    assertMatch(connected, /^\S{36} connected from 127\.0\.0\.1:\d+$/);
    await terminal.enter("trigger echo [1]");
    await terminal.shows(connected, "SERVER> trigger echo [1]", "[1]", "SERVER>");
    await terminal.enter("");
    await terminal.enter("nosuch");
    await terminal.shows(
      "SERVER>",
      "SERVER> nosuch",
      "there is no command nosuch: help lists them",
      "SERVER>",
    );
    await client.close();
    await terminal.shows(`${client.id} disconnected: CLOSED`, "SERVER>");
    await terminal.enter("stop");
    assertEquals(await terminal.exit(), 0);
    await terminal.shows("SERVER> stop", "stopped");
    assertStringIncludes(terminal.raw, "\x1b[32mlistening on");
    assertStringIncludes(terminal.raw, "\x1b[31mthere is no command");
  });
});

testTerminal("the arrows walk through the history, and the line can be edited", async () => {
  await withServer(async (terminal) => {
    await terminal.enter("trigger echo 1");
    await terminal.shows("1", "SERVER>");
    await terminal.enter("trigger echo 2");
    await terminal.shows("2", "SERVER>");
    await terminal.press(Key.Up);
    await terminal.shows("SERVER> trigger echo 2");
    await terminal.press(Key.Up);
    await terminal.shows("SERVER> trigger echo 1");
    await terminal.press(Key.Backspace + "3" + Key.Left + "4");
    await terminal.shows("SERVER> trigger echo 43");
    await terminal.press(Key.Enter);
    await terminal.shows("SERVER> trigger echo 43", "43", "SERVER>");
  });
});

testTerminal("Tab completes commands, ids and actions", async () => {
  await withServer(async (terminal, client) => {
    // Keys that are pasted complete nothing, so each is pressed once the one before shows.
    const typed = async (keys: string, shown: string) => {
      await terminal.press(keys);
      await terminal.shows(shown);
    };
    await typed("coni", "SERVER> coni");
    await typed(Key.Tab, "SERVER> coninfo");
    await typed("01", "SERVER> coninfo 01");
    await typed(Key.Tab, `SERVER> coninfo ${client.id}`);
    await typed(Key.CtrlC, "SERVER>");
    await typed("TRIGGER br", "SERVER> TRIGGER br");
    await typed(Key.Tab, "SERVER> TRIGGER broadcast");
    await typed(Key.CtrlC, "SERVER>");
    await typed("pin", "SERVER> pin");
    await typed(Key.Tab, "SERVER> ping");
    await terminal.press(Key.Tab);
    await terminal.shows("ping      pingall", "", "SERVER> ping");
    await typed(Key.CtrlC, "SERVER>");
    await typed("help tok", "SERVER> help tok");
    await typed(Key.Tab, "SERVER> help token");
  });
});

testTerminal("Ctrl-C clears the line that is typed, however long", async () => {
  await withServer(async (terminal) => {
    await terminal.press("stop" + Key.CtrlC);
    await terminal.shows("SERVER> stop^C", "SERVER>");
    const long = "broadcast " + "x".repeat(60);
    await terminal.press(long);
    await terminal.shows("SERVER> broadcast " + "x".repeat(22), "x".repeat(38));
    // In the middle of it.
    await terminal.press(Key.CtrlA);
    await until(() => terminal.screen.cursor.x === 8, "the cursor went to the line's beginning");
    await terminal.press(Key.CtrlC);
    await terminal.shows(
      "SERVER> stop^C",
      /^SERVER> broadcast x+$/,
      "x".repeat(38) + "^C",
      "SERVER>",
    );
    await terminal.enter("mode");
    await terminal.shows("SERVER> mode", /^server, listening/, /^ions?$|/, "SERVER>");
  }, { width: 40 });
});

testTerminal("Ctrl-C on an empty line asks whether to stop, and only yes does", async () => {
  await withServer(async (terminal, client) => {
    const question = "Stop the server? [y/N]";
    for (const answer of ["n", "", "yess", "Yes please", ...Array(12).fill("no")]) {
      await terminal.press(Key.CtrlC);
      await terminal.shows(question);
      await terminal.enter(answer);
      await terminal.shows(`${question} ${answer}`.trimEnd(), "SERVER>");
    }
    await terminal.press(Key.CtrlC);
    await terminal.shows(question);
    await terminal.press("y");
    await terminal.shows(`${question} y`);
    await terminal.press(Key.CtrlC);
    await terminal.shows(`${question} y^C`, "SERVER>");
    // An answer is nothing to come back to.
    await terminal.press(Key.Up + "mode" + Key.Enter);
    await terminal.shows("SERVER> mode", /^server, listening/, "SERVER>");
    await terminal.press(Key.CtrlC);
    await terminal.shows(question);
    await terminal.enter("y");
    assertEquals(await terminal.exit(), 0);
    await terminal.shows(`${question} y`, `${client.id} disconnected: GOING_AWAY`, "stopped");
  });
});

testTerminal("Ctrl-D leaves the console of a server, which runs on until Ctrl-C", async () => {
  await withServer(async (terminal, client) => {
    await terminal.press(Key.CtrlD);
    await terminal.shows("SERVER>", "the console was left, the server runs on: Ctrl-C stops it");
    assertEquals(await client.request("echo", 1), 1);
    await client.request("print", [1]);
    await terminal.shows("[1]");
    await terminal.press(Key.CtrlC);
    assertEquals(await terminal.exit(), 0);
    assertEquals((await within(client.detached, "the goodbye")).code, "GOING_AWAY");
  });
});

testTerminal("Ctrl-D leaves the console of a client, and the client with it", async () => {
  await withClient(async (terminal, server) => {
    const [connection] = server.clients.values();
    await terminal.press(Key.CtrlD);
    assertEquals(await terminal.exit(), 0);
    assertMatch(terminal.screen.text.join("\n"), /^connected to 127\.0\.0\.1:\d+ as \S+\nCLIENT>$/);
    assertEquals((await within(connection.closed, "the goodbye")).code, "CLOSED");
  });
});

testTerminal("what arrives while one types is printed above the typed line", async () => {
  await withServer(async (terminal, client) => {
    await terminal.press("broadcast abc" + Key.Left + Key.Left);
    await terminal.shows("SERVER> broadcast abc");
    await until(() => terminal.screen.cursor.x === 19, "the cursor went left");
    await client.request("print", "one");
    await terminal.shows('"one"', "SERVER> broadcast abc");
    assertEquals(terminal.screen.cursor.x, 19);
    await client.request("print", "x".repeat(55));
    await terminal.shows(
      '"one"',
      '"' + "x".repeat(39),
      "x".repeat(16) + '"',
      "SERVER> broadcast abc",
    );
    // The line goes on where it was.
    await terminal.press("X");
    await terminal.shows("SERVER> broadcast aXbc");
    await terminal.press(Key.CtrlC);
    await terminal.shows("SERVER> broadcast aXbc^C", "SERVER>");

    // A line that fills several rows, with the cursor at its end, and then in its first row.
    const long = "broadcast " + "y".repeat(100);
    const rows = ["SERVER> broadcast " + "y".repeat(22), "y".repeat(40), "y".repeat(38)];
    await terminal.press(long);
    await terminal.shows(...rows);
    await client.request("print", 2);
    await terminal.shows("SERVER> broadcast aXbc^C", "2", ...rows);
    await terminal.press(Key.CtrlA);
    await until(() => terminal.screen.cursor.x === 8, "the cursor went to the line's beginning");
    await client.request("print", 3);
    await terminal.shows("SERVER> broadcast aXbc^C", "2", "3", ...rows);
    await until(() => terminal.screen.cursor.x === 8, "the cursor is where it was");
    await terminal.press(Key.CtrlC);
    await terminal.shows("2", "3", ...rows.slice(0, 2), rows[2] + "^C", "SERVER>");

    // And a question.
    await terminal.press(Key.CtrlC);
    await terminal.shows("Stop the server? [y/N]");
    await client.request("print", 4);
    await terminal.shows("4", "Stop the server? [y/N]");
    await terminal.enter("n");
    await terminal.shows("4", "Stop the server? [y/N] n", "SERVER>");
  }, { width: 40 });
});

testTerminal("many lines that arrive at once leave the typed line alone, once", async () => {
  await withServer(async (terminal, client) => {
    await terminal.press("broadcast abc");
    await terminal.shows("SERVER> broadcast abc");
    const count = 300;
    for (let n = 0; n < count; n++) await client.sendPacket({ action: "print", data: n });
    await client.ping();
    await terminal.shows(String(count - 2), String(count - 1), "SERVER> broadcast abc");
    const shown = terminal.screen.text;
    assertEquals(shown.filter((row) => row.startsWith("SERVER>")).length, 1);
    assertEquals(shown.slice(-count - 1, -1), Array.from({ length: count }, (_, n) => String(n)));
  });
});

testTerminal("what a peer sends cannot move the cursor or reorder a line", async () => {
  await withServer(async (terminal, client) => {
    await terminal.press("broadcast abc");
    await client.request("print", HOSTILE);
    await terminal.shows(
      '"\\u001b]0;owned\\u0007\\u202eabc\\u009b31m\\r\\n\\u2028"',
      "SERVER> broadcast abc",
    );
    const port = client.port;
    await using peer = await RawPeer.connect({ port });
    await peer.send(hello());
    const { id } = await peer.welcomed();
    await peer.sendPacket({ action: "@error", data: { code: "BAD_PACKET", message: HOSTILE } });
    await until(() => terminal.screen.text.join("").includes(ESCAPED), "the warning shows");
    await terminal.shows("SERVER> broadcast abc");
    await peer.sendPacket({ action: "@close", data: { code: "OWNED", reason: HOSTILE } });
    await terminal.shows(`${id} disconnected: OWNED`, "SERVER> broadcast abc");
    peer.fin();
  }, { width: 120 });
  await withClient(async (terminal, server) => {
    const [connection] = server.clients.values();
    await terminal.press("typed");
    await connection.sendPacket({ action: HOSTILE, data: HOSTILE });
    await terminal.shows(
      `${ESCAPED} "\\u001b]0;owned\\u0007\\u202eabc\\u009b31m\\r\\n\\u2028"`,
      "CLIENT> typed",
    );
    await connection.close({ reason: HOSTILE });
    assertEquals(await terminal.exit(), 1);
    // What was typed stays, and the message has a line of its own.
    await terminal.shows("CLIENT> typed", `the connection has ended: CLOSED: ${ESCAPED}`);
  }, { width: 120 });
});

testTerminal("Ctrl-C gives up waiting for a command that runs", async () => {
  await withClient(async (terminal, server) => {
    await terminal.enter("request server late");
    const [connection] = server.clients.values();
    await until(() => connection.stats.inFlight === 1, "the request came");
    await terminal.press("typed blindly");
    await terminal.press(Key.CtrlC);
    await terminal.shows("CLIENT> request server late", "^C", "CLIENT>");
    await terminal.enter("request server echo 1");
    await terminal.shows("CLIENT> request server echo 1", "1", "CLIENT>");
    // Its answer shows whenever it comes.
    await terminal.press("request server hurry");
    await terminal.shows("CLIENT> request server hurry");
    await terminal.press(Key.Enter);
    await until(() => terminal.screen.text.includes('"late"'), "the late answer shows");
    await terminal.shows("CLIENT>");
  });
});

testTerminal("what is typed while a command runs stands in the next line", async () => {
  await withClient(async (terminal, server) => {
    await terminal.enter("request server late");
    const [connection] = server.clients.values();
    await until(() => connection.stats.inFlight === 1, "the request came");
    await terminal.press("mode" + Key.Enter + "list");
    assertEquals(await connection.request("news", 1), null);
    await terminal.shows("CLIENT> request server late", "news 1");
    await terminal.press("s");
    server.trigger("hurry");
    await terminal.shows(
      "CLIENT> request server late",
      "news 1",
      '"late"',
      "CLIENT> mode",
      /^client, connected, /,
      "CLIENT> lists",
    );
    assertEquals(terminal.screen.cursor.x, "CLIENT> lists".length);
  });
});

testTerminal("lines that are pasted run one after the other, each below its prompt", async () => {
  await withServer(async (terminal) => {
    await terminal.press("trigger echo 1\rtrigger echo 2\r\rnosuch\rtrigger echo 3");
    await terminal.shows(
      "SERVER> trigger echo 1",
      "1",
      "SERVER> trigger echo 2",
      "2",
      "SERVER>",
      "SERVER> nosuch",
      "there is no command nosuch: help lists them",
      "SERVER> trigger echo 3",
    );
    await terminal.press(Key.Enter);
    await terminal.shows("SERVER> trigger echo 3", "3", "SERVER>");
    // The last key ends the input, after the commands before it.
    await terminal.press("trigger echo 4\rtrigger echo 5\rstop\r" + Key.CtrlD);
    assertEquals(await terminal.exit(), 0);
    await terminal.shows(
      "4",
      "SERVER> trigger echo 5",
      "5",
      "SERVER> stop",
      /GOING_AWAY/,
      "stopped",
    );
  });
});

testTerminal("the token is shown after a question that was answered with yes, alone", async () => {
  await withClient(async (terminal, server) => {
    const [{ token }] = server.clients.values();
    const question = "Whoever reads the token can act as this client. Show it? [y/N]";
    await terminal.enter("token");
    await terminal.shows("CLIENT> token", question);
    await terminal.enter("n");
    await terminal.shows(`${question} n`, "not shown", "CLIENT>");
    await terminal.enter("token");
    await terminal.shows(question);
    await terminal.press(Key.CtrlC);
    await terminal.shows(`${question} ^C`, "not shown", "CLIENT>");
    // What was there before the question is no answer to it.
    await terminal.press("token\ry\rY");
    await terminal.shows("CLIENT> token", question);
    await terminal.press(Key.Enter);
    await terminal.shows(
      question,
      "not shown",
      "CLIENT> y",
      /^there is no command y: /,
      "CLIENT>",
    );
    assertFalse(terminal.raw.includes(token!), "the token was shown");
    await terminal.enter("token");
    await terminal.shows(question);
    await terminal.enter("y");
    await terminal.shows(`${question} y`, token!, "CLIENT>");
    await terminal.enter("token");
    await terminal.shows(question);
    await terminal.press(Key.CtrlD);
    assertEquals(await terminal.exit(), 0);
    assertEquals(terminal.raw.split(token!).length, 2);
  });
});

testTerminal(
  "a program with a console of its own works in a terminal, without leave to read the environment",
  async () => {
    await withDirectory(async (directory) => {
      const path = `${directory}/game.ts`;
      await Deno.writeTextFile(path, GAME);
      const command = programCommand(path, ["--allow-net=127.0.0.1"]);
      await using terminal = new Terminal(command);
      await terminal.shows(/^\d+$/, "GAME>");
      await using client = new Client({ port: Number(terminal.screen.text[0]) });
      await client.start();
      await terminal.enter("list");
      await terminal.shows("GAME> list", /^id +address/, ID, "GAME>");
      await terminal.press("gre");
      await client.request("shout", HOSTILE);
      await terminal.shows(ESCAPED, "GAME> gre");
      await terminal.press(Key.CtrlC + "trigger greet 1" + Key.Enter);
      await terminal.shows("GAME> gre^C", "GAME> trigger greet 1", '"hello 1"', "GAME>");
      await terminal.enter("nosuch");
      await terminal.shows("there is no command nosuch: help lists them", "GAME>");
      await terminal.press(Key.CtrlD);
      assertEquals(await terminal.exit(), 0);
      await terminal.shows("GAME>", "the program goes on");
    });
  },
);

testTerminal("a console that was stopped by Ctrl-Z goes on when it is brought back", async () => {
  const [deno, ...words] = cliCommand(["server", "--port", "0"]);
  const shell = [
    "sh",
    "-c",
    'set -m; "$0" "$@"; echo "was stopped"; fg >/dev/null',
    deno,
    ...words,
  ];
  await using terminal = new Terminal(shell);
  await terminal.shows("SERVER>");
  await terminal.press("trigger echo 1");
  await terminal.shows("SERVER> trigger echo 1");
  await terminal.press("\x1a");
  await until(() => terminal.raw.includes("was stopped"), "it was stopped");
  await terminal.shows("SERVER> trigger echo 1");
  await terminal.press("2" + Key.Enter);
  await terminal.shows("SERVER> trigger echo 12", "12", "SERVER>");
});

testTerminal(
  "a console tells of connections that are lost and come back, above the typed line",
  async () => {
    await withServer(async (terminal) => {
      const port = Number(/:(\d+)$/.exec(terminal.screen.text[0])![1]);
      await using proxy = await FaultyProxy.listen({ to: port });
      await using client = await visit({ port: proxy.port });
      client.bindAction("ask", () => "an answer");
      const { id } = client;
      await terminal.shows(/connected from/, "SERVER>");
      await terminal.press("typed");
      proxy.to = Number(DEAD_PORT);
      proxy.cutAll();
      await terminal.shows(`${id} detached: CONNECTION_LOST`, "SERVER> typed");
      await terminal.press(Key.CtrlC);
      await terminal.enter(`request ${id} ask`);
      await terminal.shows(`SERVER> request ${id} ask`, "waiting: its client is detached");
      proxy.to = port;
      await terminal.shows(
        "waiting: its client is detached",
        new RegExp(`^${id} resumed from 127\\.0\\.0\\.1:\\d+$`),
        '"an answer"',
        "SERVER>",
      );
    });
  },
);

testTerminal("a client's console goes on while the client reconnects", async () => {
  await using server = new Server({ port: 0 });
  server.bindAction("echo", (data) => data);
  await server.start();
  await using proxy = await FaultyProxy.listen({ to: server.port });
  await using terminal = new Terminal(cliCommand(["client", "--port", String(proxy.port)]));
  await terminal.shows("CLIENT>");
  const rows = (pattern: RegExp) => terminal.screen.text.filter((row) => pattern.test(row)).length;
  const lost = /^the connection is lost, reconnecting: CONNECTION_LOST: /;
  proxy.to = Number(DEAD_PORT);
  proxy.cutAll();
  await until(() => rows(lost) === 1, "the loss shows");
  await terminal.shows("CLIENT>");
  await terminal.enter("request server echo 1");
  await terminal.shows("waiting: the client is reconnecting");
  await terminal.press(Key.CtrlC);
  await terminal.shows("^C", "CLIENT>");
  // It is asked all the same.
  proxy.to = server.port;
  await until(() => rows(/^1$/) === 1, "the reply shows");
  await until(() => rows(/^reconnected, nothing was lost$/) === 1, "the return shows");
  await terminal.shows("CLIENT>");

  proxy.to = Number(DEAD_PORT);
  proxy.cutAll();
  await until(() => rows(lost) === 2, "the second loss shows");
  await terminal.press(Key.CtrlC);
  await terminal.shows("Stop the client? [y/N]");
  await terminal.enter("y");
  assertEquals(await terminal.exit(), 0);
  await terminal.shows("Stop the client? [y/N] y", "stopped");
});

testTerminal("clear clears the screen", async () => {
  await withServer(async (terminal) => {
    await terminal.enter("help");
    await terminal.shows("SERVER>");
    await terminal.enter("clear");
    await until(() => terminal.screen.text.join() === "SERVER>", "the screen is clear");
    assertEquals(terminal.screen.cursor, { x: 8, y: 0 });
  });
});

testTerminal("NO_COLOR turns colours off", async () => {
  await withServer(async (terminal) => {
    await terminal.enter("nosuch");
    await terminal.enter("list");
    await terminal.shows(/^id +address/, ID, "SERVER>");
    assertStringIncludes(terminal.raw, "\x1b[0J");
    assertFalse(/\[\d*m/.test(terminal.raw));
  }, { env: { NO_COLOR: "1" } });
});

testTerminal("a terminal that understands lines alone is written lines alone", async () => {
  await using terminal = new Terminal(cliCommand(["server", "--port", "0"]), {
    env: { TERM: "dumb" },
  });
  await terminal.shows(/^listening on/);
  await terminal.enter("nosuch");
  await terminal.enter("mode");
  await terminal.shows(/^server, listening/);
  await terminal.enter("stop");
  assertEquals(await terminal.exit(), 0);
  assertFalse(terminal.raw.includes("\x1b"));
});

testTerminal("with --json a terminal shows JSON that is safe to show", async () => {
  await withServer(async (terminal, client) => {
    await client.request("print", HOSTILE);
    await terminal.shows(
      '{"event":"print","data":"\\u001b]0;owned\\u0007\\u202eabc\\u009b31m\\r\\n\\u2028"}',
      "SERVER>",
    );
    await terminal.enter("clear");
    await terminal.enter("nosuch");
    await terminal.shows(
      '{"event":"print","data":"\\u001b]0;owned\\u0007\\u202eabc\\u009b31m\\r\\n\\u2028"}',
      "SERVER> clear",
      "SERVER> nosuch",
      '{"command":"nosuch","error":{"message":"there is no command nosuch: help lists them"}}',
      "SERVER>",
    );
    await terminal.press(Key.CtrlD);
    await terminal.shows("SERVER>", '{"event":"console-left"}');
  }, { args: ["--json"], width: 120 });
});

testTerminal(
  "--lines shows its progress on a terminal, and nothing of it with --json",
  async () => {
    await using server = new Server({ port: 0 });
    await server.start();
    for (const args of [[], ["--json"]]) {
      const [deno, ...words] = cliCommand([
        "send",
        "note",
        "--lines",
        "--port",
        String(server.port),
      ]);
      const shell = `n=0; while [ $n -lt 6000 ]; do n=$((n+1)); echo $n; done | "$0" "$@"`;
      await using terminal = new Terminal(["sh", "-c", shell, deno, ...words, ...args]);
      assertEquals(await terminal.exit(), 0);
      if (args.length === 0) {
        await terminal.shows(/^6,000 packets, [\d,]+ a second$/);
        assertMatch(terminal.raw, /\r5,000 packets, /);
      } else {
        assertEquals(terminal.screen.text, ['{"event":"sent","count":6000}']);
      }
      assert(!terminal.raw.includes("\x1b"));
    }
  },
);

testTerminal("--lines shows on a terminal that it is reconnecting", async () => {
  await using server = new Server({ port: 0 });
  const noted: unknown[] = [];
  server.bindAction("note", (data) => void noted.push(data));
  await server.start();
  await using proxy = await FaultyProxy.listen({ to: server.port });
  const command = cliCommand(["send", "note", "--lines", "--port", String(proxy.port)]);
  await using terminal = new Terminal(command);
  await terminal.enter("one");
  await until(() => noted.length === 1, "the line came");
  proxy.to = Number(DEAD_PORT);
  proxy.cutAll();
  await terminal.shows(/^1 packet, reconnecting, attempt \d+$/);
  proxy.to = server.port;
  await terminal.shows(/^1 packet, \d+ a second$/);
  await terminal.press(Key.CtrlD);
  assertEquals(await terminal.exit(), 0);
  assert(!terminal.raw.includes("\x1b"));
  assertEquals(noted, ["one"]);
});
