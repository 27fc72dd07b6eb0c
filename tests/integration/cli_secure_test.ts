// `server`, `client` and `send` with --secure.

import { assert, assertEquals, assertFalse, assertMatch, assertStringIncludes } from "@std/assert";
import { Client, createIdentity, Identity, Server } from "../../mod.ts";
import {
  CliServer,
  finish,
  type Outcome,
  type Process,
  runCli,
  startCli,
  withDirectory,
} from "../support/cli.ts";
import { callAll, callCli } from "../support/cli_call.ts";
import { FaultyProxy } from "../support/faulty_proxy.ts";
import { until } from "../support/wait.ts";

// On Windows a signal just ends the process, and a file has no mode.
const ignore = Deno.build.os === "windows";

const [SERVER, OTHER, MINE] = await Promise.all(
  [0, 1, 2].map(async () => {
    const identity = await createIdentity();
    const pem = await identity.export();
    return { identity, pem, body: pem.split("\n")[1], fingerprint: identity.fingerprint };
  }),
);

/** A server of this process, and the data of the notes that it was sent. */
async function serve(
  act: (scene: { server: Server; to: string[]; place: string; noted: unknown[] }) => Promise<void>,
  secure: Identity | undefined = SERVER.identity,
): Promise<void> {
  await using server = new Server({ port: 0, secure, drainTimeoutMs: 1_000 });
  const noted: unknown[] = [];
  server.bindAction("note", (data) => void noted.push(data)).bindAction("echo", (data) => data);
  await server.start();
  const to = ["--secure", "--port", String(server.port)];
  await act({ server, to, place: `127.0.0.1:${server.port}`, noted });
}

/** A directory that takes the place of the user's own, and what tells a process of it. */
async function withOwn(
  act: (own: { directory: string; env: Record<string, string> }) => Promise<void>,
): Promise<void> {
  await withDirectory((directory) => act({ directory, env: { XDG_CONFIG_HOME: directory } }));
}

async function writeKey(path: string, { pem }: { pem: string }, mode = 0o600): Promise<string> {
  await Deno.writeTextFile(path, pem, { mode });
  return path;
}

function assertNoKeys({ stdout, stderr }: Pick<Outcome, "stdout" | "stderr"> | Process): void {
  for (const { body } of [SERVER, OTHER, MINE]) {
    assertFalse((stdout + stderr).includes(body.slice(24)), stdout + stderr);
  }
  assertFalse((stdout + stderr).includes("-----BEGIN"));
}

async function stop(server: CliServer): Promise<number> {
  server.kill("SIGTERM");
  return await server.exit();
}

Deno.test({ name: "a secure server says its fingerprint in its first line", ignore }, async () => {
  await withOwn(async ({ directory, env }) => {
    const path = await writeKey(`${directory}/key.pem`, SERVER);
    const { fingerprint } = SERVER;
    const args = ["--secure", "--identity", path];
    const [server, json] = await Promise.all([
      CliServer.start(args, { env }),
      CliServer.start([...args, "--json"], { env }),
    ]);
    await using _ = server, __ = json;
    assertMatch(server.greeting, /^listening on 127\.0\.0\.1:\d+, secure, key pnet1:[\w-]{43}$/);
    assert(server.greeting.endsWith(fingerprint));
    await using client = new Client({ port: Number(server.to[1]), secure: { pin: fingerprint } });
    await client.start();
    assertEquals(await client.request("echo", 1), 1);
    const { token } = client;

    const { event, fingerprint: said } = JSON.parse(json.greeting);
    assertEquals([event, said], ["listening", fingerprint]);
    assertEquals([await stop(server), await stop(json)], [0, 0]);
    assertEquals([server.stderr, json.stderr], ["", ""]);
    assertFalse(server.stdout.includes(token!));
    assertNoKeys(server);
    assertNoKeys(json);
    assertEquals([...Deno.readDirSync(directory)].map(({ name }) => name), ["key.pem"]);
  });
});

Deno.test({
  name: "a secure server without an identity makes one, once, in the user's own directory",
  ignore,
}, async () => {
  await withOwn(async ({ directory, env }) => {
    const path = `${directory}/pnetwork/identity.pem`;
    await using first = await CliServer.start(["--secure"], { env });
    const { fingerprint } = await Identity.import(await Deno.readTextFile(path));
    assert(first.greeting.endsWith(`, secure, key ${fingerprint}`));
    assertEquals(await stop(first), 0);
    assertEquals(first.stderr, `made a key for this server and all later ones: ${path}\n`);
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);

    await using second = await CliServer.start(["--secure", "--json"], { env });
    assertEquals(JSON.parse(second.greeting).fingerprint, fingerprint);
    assertEquals(await stop(second), 0);
    assertEquals(second.stderr, "");
  });
  const { code, stdout, stderr } = await runCli(["server", "--secure", "--port", "0"], "", {
    env: { XDG_CONFIG_HOME: "", HOME: "" },
  });
  assertEquals([code, stdout], [2, ""]);
  assertEquals(stderr, "--secure goes with --identity FILE where there is no home directory\n");
});

Deno.test({ name: "a key that everyone can read is warned of, in one line", ignore }, async () => {
  await withOwn(async ({ directory, env }) => {
    const path = await writeKey(`${directory}/key.pem`, MINE, 0o644);
    await serve(async ({ to }) => {
      const args = ["send", "note", "--pin", SERVER.fingerprint, "--identity", path, ...to];
      const [plain, json] = await Promise.all([
        runCli(args, "", { env }),
        runCli([...args, "--json"], "", { env }),
      ]);
      const message = `everyone on this machine can read ${path}: chmod 600 is for keys`;
      assertEquals(plain, { code: 0, stdout: "", stderr: `warning: ${message}\n` });
      assertEquals(JSON.parse(json.stderr), { event: "warning", message, file: path });
    });
  });
});

Deno.test("the pinned server is connected to; another is refused, and both keys are shown", async () => {
  await withOwn(async ({ directory, env }) => {
    await serve(async ({ server, to, noted }) => {
      const pins = ["--pin", OTHER.fingerprint, "--pin", SERVER.fingerprint];
      await using client = startCli(["client", "--json", ...pins, ...to], { env });
      const { event, fingerprint } = await client.object();
      assertEquals([event, fingerprint], ["connected", SERVER.fingerprint]);
      const done = await finish(client, "send server note 1\n");
      assertEquals([done.code, done.stderr, noted], [0, "", [1]]);

      const before = server.clients.size;
      await Promise.all([["send", "note", "2"], ["client"]].map(async (args) => {
        const wrong = await runCli([...args, "--pin", OTHER.fingerprint, ...to], "", { env });
        assertEquals([wrong.code, wrong.stdout], [1, ""]);
        assertEquals(
          wrong.stderr,
          `UNTRUSTED_PEER: the server's key is ${SERVER.fingerprint}, ` +
            `and not ${OTHER.fingerprint}\n`,
        );
      }));
      assertEquals([server.clients.size, noted], [before, [1]]);
    });
    assertEquals([...Deno.readDirSync(directory)], [], "no file was made");
  });
});

Deno.test("without a terminal a server that is not known is refused, and what to do is said", async () => {
  await withOwn(async ({ directory, env }) => {
    await serve(async ({ to, place, noted }) => {
      const file = `${directory}/pnetwork/known_hosts`;
      const [plain, json, client] = await Promise.all([
        runCli(["send", "note", ...to], "", { env }),
        runCli(["send", "note", "--json", ...to], "", { env }),
        runCli(["client", ...to], "yes\nyes\n", { env }),
      ]);
      const message = `${place} is not known yet. If this is its key, use --pin, or add the ` +
        `line to ${file}: ${place} ${SERVER.fingerprint}`;
      for (const outcome of [plain, client]) {
        assertEquals(outcome, { code: 1, stdout: "", stderr: `UNTRUSTED_PEER: ${message}\n` });
      }
      assertEquals([json.code, json.stdout], [1, ""]);
      assertEquals(JSON.parse(json.stderr), {
        error: { code: "UNTRUSTED_PEER", message },
        server: place,
        fingerprint: SERVER.fingerprint,
        known: [],
        file,
      });
      assertEquals(noted, []);
      assertEquals([...Deno.readDirSync(directory)], [], "no file was made");

      // And when that is done, it is connected to.
      await Deno.mkdir(`${directory}/pnetwork`);
      await Deno.writeTextFile(file, `# mine\n${place} ${SERVER.fingerprint}\n`);
      const sent = await runCli(["send", "note", "1", ...to], "", { env });
      assertEquals(sent, { code: 0, stdout: "", stderr: "" });
      assertEquals(noted, [1]);
    });
  });
});

Deno.test("a server whose key has changed is refused, and the file stays as it was", async () => {
  await withDirectory(async (directory) => {
    await serve(async ({ to, place, noted }) => {
      const file = `${directory}/hosts`;
      const text = `# mine\n${place} ${OTHER.fingerprint}\n`;
      await Deno.writeTextFile(file, text);
      const args = ["--known-hosts", file, ...to];
      const plain = await callCli(["client", ...args], "yes\n");
      const json = await callCli(["send", "note", "--json", ...args]);
      const message = `the key of ${place} has changed: it is ${SERVER.fingerprint}, and not ` +
        `${OTHER.fingerprint} (line 2) as in ${file}. Someone may be in between! ` +
        "If the server has a new key, remove that line";
      assertEquals(plain, { code: 1, stdout: "", stderr: `UNTRUSTED_PEER: ${message}\n` });
      assertEquals([json.code, json.stdout], [1, ""]);
      assertEquals(JSON.parse(json.stderr), {
        error: { code: "UNTRUSTED_PEER", message },
        server: place,
        fingerprint: SERVER.fingerprint,
        known: [{ fingerprint: OTHER.fingerprint, line: 2 }],
        file,
      });
      assertEquals([await Deno.readTextFile(file), noted], [text, []]);
    });
  });
});

Deno.test("a file of known servers with a malformed line is not used, and nothing of it is said", async () => {
  await withDirectory(async (directory) => {
    await serve(async ({ to, place, noted }) => {
      const file = `${directory}/hosts`;
      await Deno.writeTextFile(file, `${place} ${SERVER.fingerprint}\nSECRET\n`);
      const outcome = await callCli(["send", "note", "--known-hosts", file, ...to]);
      assertEquals(outcome, {
        code: 2,
        stdout: "",
        stderr: `${file}, line 2: it must be host:port and a fingerprint (pnet1:…), ` +
          "or a comment (#)\n",
      });
      assertEquals(noted, []);
    });
  });
});

Deno.test({ name: "a server on a Unix socket is known by the path of it", ignore }, async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/a b.sock`;
    const identity = await writeKey(`${directory}/key.pem`, SERVER);
    const hosts = `${directory}/hosts`;
    const place = `unix:${directory}/a%20b.sock`;
    await using server = await CliServer.start([
      "--secure",
      "--identity",
      identity,
      "--unix",
      path,
    ]);
    const args = ["send", "echo", "1", "--request", "--secure", "--known-hosts", hosts];
    const unknown = await callCli([...args, "--unix", path]);
    assertStringIncludes(unknown.stderr, ` to ${hosts}: ${place} ${SERVER.fingerprint}\n`);
    await Deno.writeTextFile(hosts, `${place} ${SERVER.fingerprint}\n`);
    // However the path is written.
    const same = `${directory}/../${directory.split("/").at(-1)}/./a b.sock`;
    const known = await callCli([...args, "--unix", same]);
    assertEquals(known, { code: 0, stdout: "1\n", stderr: "" });
    assertEquals(await stop(server), 0);
  });
});

Deno.test("a plain and a secure side tell each other apart, with exit code 1", async () => {
  const atSecure = serve(async ({ to, noted }) => {
    const plain = await runCli(["send", "note", ...to.slice(1)]);
    assertEquals([plain.code, plain.stdout, noted], [1, "", []]);
    assertEquals(
      plain.stderr,
      "SECURE_REQUIRED: this server takes secure connections only (--secure)\n",
    );
  });
  await using server = new Server({ port: 0 });
  await server.start();
  const args = ["--secure", "--pin", SERVER.fingerprint, "--port", String(server.port)];
  const secure = await runCli(["send", "note", ...args]);
  assertEquals([secure.code, secure.stdout], [1, ""]);
  assertMatch(secure.stderr, /^SECURE_UNSUPPORTED: [^\n]+\n$/);
  await atSecure;
});

Deno.test({ name: "a server lets in whom it is told to by the key alone", ignore }, async () => {
  await withDirectory(async (directory) => {
    const [own, mine, other] = await Promise.all([
      writeKey(`${directory}/own.pem`, SERVER),
      writeKey(`${directory}/mine.pem`, MINE),
      writeKey(`${directory}/other.pem`, OTHER),
    ]);
    const who = ["--secure", "--identity", own, "--pin", MINE.fingerprint];
    await using server = await CliServer.start([...who, "--json"]);
    const args = ["send", "echo", "1", "--request", "--secure", "--pin", SERVER.fingerprint];
    const to = JSON.parse(server.greeting).port;
    server.to = ["--port", String(to)];
    const [let_in, stranger, nobody] = await callAll(
      [["--identity", mine], ["--identity", other], []].map((more) => [
        ...args,
        ...more,
        ...server.to,
      ]),
    );
    assertEquals(let_in, { code: 0, stdout: "1\n", stderr: "" });
    assertEquals([stranger.code, stranger.stdout], [1, ""]);
    assertEquals(stranger.stderr, `REFUSED: the key ${OTHER.fingerprint} is not let in here\n`);
    assertEquals(nobody.code, 1);
    assertMatch(nobody.stderr, /^REFUSED: the key pnet1:[\w-]{43} is not let in here\n$/);
    const connected = await server.object();
    assertEquals([connected.event, connected.fingerprint], ["connected", MINE.fingerprint]);
    assertEquals(await stop(server), 0);
    for (const outcome of [server, let_in, stranger, nobody]) assertNoKeys(outcome);
  });
});

Deno.test({ name: "the console shows whose key the other side has", ignore }, async () => {
  await withDirectory(async (directory) => {
    const path = await writeKey(`${directory}/own.pem`, SERVER);
    await using server = await CliServer.start(["--secure", "--identity", path]);
    const secure = { pin: SERVER.fingerprint, identity: MINE.identity };
    await using client = new Client({ port: Number(server.to[1]), secure });
    await client.start();
    await server.write(`list\nconinfo ${client.id}\nactions\n`);
    const [head, row] = [await server.line(), await server.line()];
    assertMatch(head, /^id +address +state +age +key +in +out$/);
    assertStringIncludes(row, `  ${MINE.fingerprint.slice(0, 14)}…  `);
    await until(() => server.stdout.includes("sealed"), "all was answered");
    assertMatch(server.stdout, new RegExp(`\nfingerprint +${MINE.fingerprint}\n`));
    assertEquals(await stop(server), 0);
  });
  await serve(async ({ to }) => {
    const args = ["client", "--json", "--pin", SERVER.fingerprint, ...to];
    const { code, stdout } = await callCli(args, "coninfo server\nlist\n");
    const [connected, coninfo, { connections }] = stdout.trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    assertEquals(code, 0);
    for (const { fingerprint } of [connected, coninfo, connections[0]]) {
      assertEquals(fingerprint, SERVER.fingerprint);
    }
  });
});

Deno.test("--lines over a secure connection loses nothing when that is cut again and again", async () => {
  await serve(async ({ server, noted }) => {
    const cuts = [3_000, 20_000, 90_000].map((after) => ({
      toServer: { cut: { after, by: "reset" as const } },
    }));
    await using proxy = await FaultyProxy.listen({ to: server.port, plans: [...cuts] });
    const lines = Array.from({ length: 5_000 }, (_, n) => `line ${n} ${"x".repeat(n % 100)}`);
    const args = ["--secure", "--pin", SERVER.fingerprint, "--port", String(proxy.port)];
    const sent = await runCli(["send", "note", "--lines", "--json", ...args], lines.join("\n"));
    assertEquals(sent, { code: 0, stdout: '{"event":"sent","count":5000}\n', stderr: "" });
    assertEquals([proxy.plans, proxy.links.length], [[], 4]);
    assertEquals(noted, lines);
  });
});

Deno.test("a client that comes back to another key ends there, and says so", async () => {
  await withDirectory(async (directory) => {
    await serve(async ({ server: first, noted: before }) => {
      await serve(async ({ server: impostor, noted }) => {
        await using proxy = await FaultyProxy.listen({ to: first.port });
        const place = `127.0.0.1:${proxy.port}`;
        const file = `${directory}/hosts`;
        await Deno.writeTextFile(file, `${place} ${SERVER.fingerprint}\n`);
        const args = ["--secure", "--known-hosts", file, "--port", String(proxy.port)];
        await using client = startCli(["client", ...args]);
        assertMatch(await client.line(), /^connected to .*, secure$/);
        proxy.to = impostor.port;
        proxy.cutAll();
        assertEquals(await client.exit(), 1);
        const ended = client.stderr.trimEnd().split("\n").at(-1)!;
        assertStringIncludes(ended, "the connection has ended: UNTRUSTED_PEER: the key of");
        for (const { fingerprint } of [SERVER, OTHER]) assertStringIncludes(ended, fingerprint);
        assertEquals([before, noted, impostor.clients.size], [[], [], 0]);
      }, OTHER.identity);
    });
  });
});

Deno.test({
  name: "no key is among the arguments or the variables of a process",
  ignore: Deno.build.os !== "linux",
}, async () => {
  await withOwn(async ({ directory, env }) => {
    const path = await writeKey(`${directory}/key.pem`, SERVER);
    await using server = await CliServer.start(["--secure", "--identity", path], { env });
    const files = ["cmdline", "environ"].map((name) => `/proc/${server.pid}/${name}`);
    for (const shown of await Promise.all(files.map((file) => Deno.readTextFile(file)))) {
      assert(shown.includes(directory));
      assertFalse(shown.includes(SERVER.body.slice(24)) || shown.includes("PRIVATE"));
    }
    assertEquals(await stop(server), 0);
  });
});

Deno.test({
  name: "a server that others can reach says in one line that nothing is encrypted, unless it is",
  ignore,
}, async () => {
  await withOwn(async ({ env }) => {
    const [plain, json, secure] = await Promise.all([
      CliServer.start(["--host", "0.0.0.0"]),
      CliServer.start(["--host", "0.0.0.0", "--json"]),
      CliServer.start(["--host", "0.0.0.0", "--secure"], { env }),
    ]);
    await using _ = plain, __ = json, ___ = secure;
    for (const server of [plain, json, secure]) assertEquals(await stop(server), 0);
    const warning = / 0\.0\.0\.0:\d+ is not only of this machine, and nothing is encrypted there$/;
    const lines = plain.stderr.trimEnd().split("\n");
    assertEquals(lines.length, 1);
    assertMatch(lines[0], warning);
    const { log } = JSON.parse(json.stderr);
    assertMatch(` ${log.message}`, warning);
    assertMatch(secure.stderr, /^made a key [^\n]+\n$/);
  });
});
