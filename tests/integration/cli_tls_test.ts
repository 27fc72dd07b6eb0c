// `server`, `client` and `send` over TLS, as real processes.

import { assertEquals, assertFalse, assertMatch, assertStringIncludes } from "@std/assert";
import { Client, Server } from "../../mod.ts";
import { CliServer, runCli, startCli, withDirectory } from "../support/cli.ts";
import { callAll, callCli } from "../support/cli_call.ts";
import { FaultyProxy } from "../support/faulty_proxy.ts";

const CERTS = `${import.meta.dirname}/../support/certs`;
const [ONE, TWO] = [`${CERTS}/one.cert.pem`, `${CERTS}/two.cert.pem`];
const [cert, key] = await Promise.all([
  Deno.readTextFile(ONE),
  Deno.readTextFile(`${CERTS}/one.key.pem`),
]);

// On Windows a signal just ends the process.
const ignore = Deno.build.os === "windows";

/** A server of this process with the certificate `one`, and the data of the notes that it was sent. */
async function serve(
  act: (scene: { server: Server; to: string[]; noted: unknown[] }) => Promise<void>,
): Promise<void> {
  await using server = new Server({ port: 0, tls: { cert, key } });
  const noted: unknown[] = [];
  server.bindAction("note", (data) => void noted.push(data)).bindAction("echo", (data) => data);
  await server.start();
  await act({ server, to: ["--port", String(server.port)], noted });
}

Deno.test({ name: "a server with a certificate speaks TLS, and says so", ignore }, async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/key.pem`;
    await Deno.writeTextFile(path, key, { mode: 0o600 });
    const args = ["--tls-cert", ONE, "--tls-key", path];
    const [server, json] = await Promise.all([
      CliServer.start(args),
      CliServer.start([...args, "--json"]),
    ]);
    await using _ = server, __ = json;
    assertMatch(server.greeting, /^listening on 127\.0\.0\.1:\d+, TLS$/);
    assertEquals(JSON.parse(json.greeting).tls, true);
    await using client = new Client({ port: Number(server.to[1]), tls: { caCerts: [cert] } });
    await client.start();
    assertEquals(await client.request("echo", "over TLS"), "over TLS");
    for (const one of [server, json]) {
      one.kill("SIGTERM");
      assertEquals([await one.exit(), one.stderr], [0, ""]);
      assertFalse(one.stdout.includes(key.split("\n")[1]));
    }
  });
});

Deno.test("a client with the authority's certificate connects, by host or by --tls-hostname", async () => {
  await serve(async ({ to, noted }) => {
    await using client = startCli(["client", "--ca", ONE, ...to]);
    assertMatch(await client.line(), /^connected to 127\.0\.0\.1:\d+ as \S+, TLS$/);
    const named = ["--tls", "--ca", ONE, "--tls-hostname", "localhost", ...to];
    const sent = await callCli(["send", "note", "1", ...named]);
    assertEquals(sent, { code: 0, stdout: "", stderr: "" });
    assertEquals(noted, [1]);
    await client.endInput();
    assertEquals(await client.exit(), 0);
  });
});

Deno.test("a certificate that nobody vouches for, or for another name, is not trusted", async () => {
  await serve(async ({ server, to, noted }) => {
    const wrong = [["--ca", TWO], ["--tls"], ["--ca", ONE, "--tls-hostname", "games.example"]];
    const outcomes = await callAll(wrong.flatMap((args) => [
      ["send", "note", "1", ...args, ...to],
      ["client", "--json", ...args, ...to],
    ]));
    for (const { code, stdout, stderr } of outcomes) {
      assertEquals([code, stdout], [1, ""], stderr);
      assertMatch(stderr, /^[^\n]+\n$/);
      assertMatch(stderr, /^(UNTRUSTED_PEER: |{"error":{"code":"UNTRUSTED_PEER",)/);
      assertStringIncludes(stderr, "the server's certificate is not trusted");
    }
    assertEquals([noted, server.clients.size], [[], 0]);
  });
});

Deno.test("a certificate and a key that do not go together are told by their files", async () => {
  const files = ["--tls-cert", ONE, "--tls-key", `${CERTS}/two.key.pem`];
  const [plain, json, none] = await callAll([
    ["server", "--port", "0", ...files],
    ["server", "--port", "0", "--json", ...files],
    ["send", "note", "--ca", `${CERTS}/one.key.pem`],
  ]);
  const message = `${CERTS}/two.key.pem is not the key of the certificate in ${ONE}`;
  assertEquals(plain, { code: 2, stdout: "", stderr: message + "\n" });
  assertEquals([json.code, JSON.parse(json.stderr)], [2, { error: { message } }]);
  const text = `${CERTS}/one.key.pem holds no certificate (PEM)\n`;
  assertEquals(none, { code: 2, stdout: "", stderr: text });
});

Deno.test("--lines over TLS loses nothing when that is cut", async () => {
  await serve(async ({ server, noted }) => {
    const plans = [3_000, 40_000].map((after) => ({
      toServer: { cut: { after, by: "reset" as const } },
    }));
    await using proxy = await FaultyProxy.listen({ to: server.port, plans });
    const lines = Array.from({ length: 3_000 }, (_, n) => `line ${n} ${"x".repeat(n % 100)}`);
    const to = ["--ca", ONE, "--port", String(proxy.port)];
    const sent = await runCli(["send", "note", "--lines", "--json", ...to], lines.join("\n"));
    assertEquals(sent, { code: 0, stdout: '{"event":"sent","count":3000}\n', stderr: "" });
    assertEquals([proxy.plans, noted.length], [[], 3_000]);
    assertEquals(noted, lines);
  });
});
