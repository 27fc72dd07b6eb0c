// A person at a terminal who meets a secure server for the first time.

import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { createIdentity, type Identity, Server } from "../../mod.ts";
import { cliCommand, withDirectory } from "../support/cli.ts";
import { Key, Terminal, testTerminal } from "../support/terminal.ts";

const [IDENTITY, OTHER] = await Promise.all([createIdentity(), createIdentity()]);
const { fingerprint } = IDENTITY;

const QUESTION = "Trust this key from now on? (yes/no)";

interface Scene {
  server: Server;
  /** `host:port` of the server. */
  place: string;
  /** The file of known hosts, which is not there at first. */
  file: string;
  /** Runs a command in a terminal of its own. */
  run: (...args: string[]) => Terminal;
  /** The same, with some of its input and output elsewhere. */
  runWith: (redirections: string, ...args: string[]) => Terminal;
}

async function withScene(
  act: (scene: Scene) => Promise<void>,
  secure: Identity = IDENTITY,
): Promise<void> {
  await withDirectory(async (directory) => {
    await using server = new Server({ port: 0, secure });
    server.bindAction("echo", (data) => data);
    await server.start();
    const env = { XDG_CONFIG_HOME: directory };
    const open = (command: string[]) => new Terminal(command, { width: 100, env });
    const to = ["--secure", "--port", String(server.port)];
    await act({
      server,
      place: `127.0.0.1:${server.port}`,
      file: `${directory}/pnetwork/known_hosts`,
      run: (...args) => open(cliCommand([...args, ...to])),
      runWith: (redirections, ...args) => {
        const words = cliCommand([...args, ...to]).map((word) => `"${word}"`).join(" ");
        return open(["sh", "-c", `${words} ${redirections}`]);
      },
    });
  });
}

async function assertNoFile(file: string): Promise<void> {
  await assertRejects(() => Deno.stat(file), Deno.errors.NotFound);
}

testTerminal("a server that is met first is asked about, and known from then on", async () => {
  await withScene(async ({ server, place, file, run }) => {
    await using first = run("client");
    await first.shows(
      `${place} is not known yet. Its key is`,
      `  ${fingerprint}`,
      "Compare that with what the server itself says when it begins to listen.",
      QUESTION,
    );
    // However long it takes: nobody waits for the answer but the client.
    const handshakes = server.loops.find(({ loop }) => loop === "handshakes");
    assertEquals([handshakes?.waitsFor, server.clients.size], ["0 clients to shake hands", 0]);
    await assertNoFile(file);

    await first.enter("yes");
    await first.shows(`${QUESTION} yes`, /^connected to .*, secure$/, "CLIENT>");
    assertEquals(await Deno.readTextFile(file), `${place} ${fingerprint}\n`);
    assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);
    await first.enter('request server echo "still here"');
    await first.shows('"still here"', "CLIENT>");
    await first.press(Key.CtrlD);
    assertEquals(await first.exit(), 0);

    await using second = run("send", "echo", "2", "--request");
    assertEquals(await second.exit(), 0);
    assertEquals(second.raw, "2\r\n");
  });
});

testTerminal("a server that is not trusted is not connected to, and stays unknown", async () => {
  await withScene(async ({ server, place, file, run }) => {
    await Promise.all(["no\r", Key.CtrlD].map(async (answer) => {
      await using terminal = run("send", "echo", "1", "--request");
      await terminal.shows(QUESTION);
      await terminal.press(answer);
      assertEquals(await terminal.exit(), 1);
      assertStringIncludes(terminal.raw, `UNTRUSTED_PEER: ${place} is not trusted`);
      assertFalse(terminal.raw.includes("\n1\r\n"));
    }));
    await using interrupted = run("client");
    await interrupted.shows(QUESTION);
    await interrupted.press(Key.CtrlC);
    assertEquals(await interrupted.exit(), 130);
    assertEquals(server.clients.size, 0);
    await assertNoFile(file);
  });
});

testTerminal("only yes is yes, and what is typed after it is for the console", async () => {
  await withScene(async ({ file, run }) => {
    await using terminal = run("client");
    await terminal.shows(QUESTION);
    await terminal.enter("");
    await terminal.shows("Type yes or no:");
    await terminal.enter("y");
    await terminal.shows("Type yes or no: y", "Type yes or no:");
    await assertNoFile(file);
    await terminal.press("yes\rmode\r");
    await terminal.shows(/^client, connected, /, "CLIENT>");
    assertStringIncludes(await Deno.readTextFile(file), fingerprint);
  });
});

testTerminal("a server whose key has changed is not asked about", async () => {
  await withScene(async ({ place, file, run }) => {
    const text = `${place} ${fingerprint}\n`;
    await Deno.mkdir(file.replace("/known_hosts", ""));
    await Deno.writeTextFile(file, text);
    await using terminal = run("client");
    assertEquals(await terminal.exit(), 1);
    const shown = terminal.raw.replaceAll("\r\n", "");
    for (const part of [fingerprint, OTHER.fingerprint, `(line 1) as in ${file}`, "remove that"]) {
      assertStringIncludes(shown, part);
    }
    assertFalse(shown.includes("yes/no"));
    assertEquals(await Deno.readTextFile(file), text);
  }, OTHER);
});

testTerminal("where input comes from elsewhere, or errors go there, nobody is asked", async () => {
  await withScene(async ({ place, file, runWith }) => {
    await Promise.all(["</dev/null", "2>&1 | cat"].map(async (redirections) => {
      await using terminal = runWith(redirections, "send", "echo", "1");
      const isPiped = redirections.includes("|");
      assertEquals(await terminal.exit(), isPiped ? 0 : 1);
      assertStringIncludes(terminal.raw, `UNTRUSTED_PEER: ${place} is not known yet.`);
      assertFalse(terminal.raw.includes("yes/no"));
    }));
    await assertNoFile(file);
  });
});

testTerminal("what is replied may go elsewhere while a person is asked", async () => {
  await withScene(async ({ file, runWith }) => {
    const reply = file.replace(/[^/]+\/known_hosts$/, "reply.json");
    await using terminal = runWith(`>${reply}`, "send", "echo", "[1]", "--request");
    await terminal.shows(QUESTION);
    await terminal.enter("yes");
    assertEquals(await terminal.exit(), 0);
    assertEquals(await Deno.readTextFile(reply), "[1]\n");
  });
});

testTerminal("with --json nobody is asked", async () => {
  await withScene(async ({ file, run }) => {
    await using terminal = run("client", "--json");
    assertEquals(await terminal.exit(), 1);
    const { error } = JSON.parse(terminal.raw);
    assertEquals(error.code, "UNTRUSTED_PEER");
    assert(!terminal.raw.includes("yes/no"));
    await assertNoFile(file);
  });
});
