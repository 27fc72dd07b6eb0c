// The command line itself: what it says of itself, and of those who use it wrongly.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { DEAD_PORT, runCli } from "../support/cli.ts";
import { callAll, callCli } from "../support/cli_call.ts";

const FINGERPRINT = `pnet1:${"A".repeat(43)}`;

const WRONG: Record<string, string[][]> = {
  "a command that there is not": [["nosuch"], ["Server"]],
  "an option that there is not": [["--nosuch"], ["server", "--nosuch"], ["client", "--lines"]],
  "a port that is none": [
    ["server", "--port", "65536"],
    ["server", "--port", "-1"],
    ["server", "--port", "abc"],
    ["server", "--port", "1e3"],
    ["server", "--port", ""],
    ["server", "--port"],
    ["client", "--port", "0"],
    ["send", "echo", "--port", "0"],
  ],
  "a place that is none": [
    ["server", "--host", ""],
    ["client", "--unix", ""],
    ["client", "--unix"],
  ],
  "two places at once": [
    ["server", "--unix", "x.sock", "--port", "4000"],
    ["send", "echo", "--unix", "x.sock", "--host", "127.0.0.1"],
  ],
  "too many words": [["server", "extra"], ["send", "echo", "1", "2"]],
  "no action": [["send"], ["send", ""], ["send", "@ping"], ["send", "x".repeat(129)]],
  "data that is not JSON": [["send", "echo", "{bad"], ["send", "echo", "text", "--request"]],
  "a number that cannot be sent": [["send", "echo", "1e400"], ["send", "echo", '{"a":[-1e400]}']],
  "flags that do not go together": [
    ["send", "echo", "--lines", "--request"],
    ["send", "echo", "1", "--lines"],
    ["send", "echo", "--timeout", "100"],
  ],
  "flags of encryption that do not go together": [
    ["server", "--secure", "--tls-cert", "x", "--tls-key", "x"],
    ["client", "--pin", FINGERPRINT],
    ["send", "echo", "--secure", "--ca", "x"],
  ],
  "flags of encryption of the other side": [["server", "--tls"], ["client", "--tls-cert", "x"]],
  "a fingerprint that is none": [["client", "--secure", "--pin", FINGERPRINT, "--pin", "x"]],
  "a file that is not there": [["server", "--secure", "--identity", "/nosuch"]],
  "keys without a file, or with too many": [["keys", "make"], ["keys", "show", "a", "b"]],
  "a number of attempts that is none": [
    ["send", "echo", "--retries", "-1"],
    ["send", "echo", "--retries", "often"],
    ["client", "--retries", "1.5"],
    ["server", "--retries", "1"],
  ],
  "a time that is none": [
    ["send", "echo", "--request", "--timeout", "0"],
    ["send", "echo", "--request", "--timeout", "soon"],
  ],
};

for (const [mistake, lines] of Object.entries(WRONG)) {
  Deno.test(`wrong usage is told in one line, with exit code 2: ${mistake}`, async () => {
    for (const [at, outcome] of (await callAll(lines)).entries()) {
      const { code, stdout, stderr } = outcome;
      assertEquals({ code, stdout }, { code: 2, stdout: "" }, `${lines[at]}: ${stderr}`);
      assertMatch(stderr, /^[^\n]{10,}\n$/);
    }
  });
}

Deno.test("a process says the same, and ends with the same code", async () => {
  const lines = [[], ["--version"], ["nosuch"], ["send", "echo", "--port", DEAD_PORT]];
  const [processes, calls] = await Promise.all([
    Promise.all(lines.map((args) => runCli(args))),
    callAll(lines),
  ]);
  assertEquals(processes, calls);
  assertEquals(processes.map(({ code }) => code), [2, 0, 2, 3]);
});

Deno.test("with --json wrong usage is told in one JSON object", async () => {
  const lines = [["server", "--nosuch"], ["sevrer"], ["send", "echo", "{bad"], ["send"]];
  for (const { code, stdout, stderr } of await callAll(lines.map((args) => [...args, "--json"]))) {
    assertEquals({ code, stdout }, { code: 2, stdout: "" });
    const { error: { message }, ...more } = JSON.parse(stderr);
    assertMatch(message, /^[^\n]{10,}$/);
    assertEquals(more, {});
    assertMatch(stderr, /^[^\n]+\n$/);
  }
});

Deno.test("a command that is nearly one is answered with the one", async () => {
  const { code, stderr } = await callCli(["sevrer"]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "server");
});

Deno.test("two places at once are told by their flags", async () => {
  const { stderr } = await callCli(["client", "--port", "4000", "--unix", "x.sock"]);
  assertMatch(stderr, /--unix .*--port/);
});

Deno.test("control characters in a wrong argument do not come back raw", async () => {
  const outcomes = await callAll([["\x1b]0;x\x07"], ["server", "--port", "\x9b31m\u202E"]]);
  for (const { code, stderr } of outcomes) {
    assertEquals(code, 2);
    assertMatch(stderr, /^[^\p{Cc}\p{Cf}]+\n$/u);
  }
});

Deno.test("no command at all is wrong usage, answered with the help", async () => {
  const { code, stdout, stderr } = await callCli([]);
  assertEquals({ code, stdout }, { code: 2, stdout: "" });
  assertMatch(stderr, /^Usage: [^]*server[^]*client[^]*send/);
});

Deno.test("--help of each command says all its options, and has an example", async () => {
  const options = ["--host", "--port", "--unix", "--json", "--help"];
  const secure = ["--secure", "--identity", "--pin"];
  const ofClients = [...secure, "--known-hosts", "--tls", "--ca", "--tls-hostname", "known_hosts"];
  const expected: Record<string, string[]> = {
    "": ["server", "client", "send", "keys", "--version", "Exit codes", "not trusted", "NO_COLOR"],
    server: [
      ...options,
      ...secure,
      "--tls-cert",
      "--tls-key",
      "identity.pem",
      "--name",
      "echo",
      "broadcast",
      "print",
      "SIGINT",
      "10 s",
    ],
    client: [...options, ...ofClients, "--name", "--retries"],
    keys: ["make", "show", "export", "--secure", "--identity", "secret"],
    send: [
      ...options,
      ...ofClients,
      "--request",
      "--lines",
      "--text",
      "--timeout",
      "--retries",
      "<action> [json]",
    ],
  };
  for (const [command, parts] of Object.entries(expected)) {
    const { code, stdout, stderr } = await callCli([...command ? [command] : [], "--help"]);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    for (const part of parts) assertStringIncludes(stdout, part);
    assertMatch(stdout, /\nExample:\n {2}pnetwork/);
    assert(stdout.split("\n").every((line) => line.length <= 100), stdout);
  }
});

Deno.test("--version is that of the package", async () => {
  const { code, stdout, stderr } = await callCli(["--version"]);
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: config.version + "\n", stderr: "" });
});

Deno.test("where nobody listens, a client says where, and has exit code 3 within a second", async () => {
  for (
    const args of [
      ["send", "echo", "1", "--port", DEAD_PORT],
      ["send", "echo", "--lines", "--unix", "/nosuch/socket"],
      ["client", "--port", DEAD_PORT],
    ]
  ) {
    const start = performance.now();
    const { code, stdout, stderr } = await callCli(args, "1\n");
    assert(performance.now() - start < 1_000);
    assertEquals({ code, stdout }, { code: 3, stdout: "" });
    assertMatch(
      stderr,
      /^CONNECT_FAILED: cannot connect to (127\.0\.0\.1:1|unix:\/nosuch\/socket): [^\n]+\n$/,
    );
  }
});

Deno.test("with --json that nobody listens is told in one JSON object", async () => {
  for (const command of [["send", "echo"], ["client"]]) {
    const { code, stdout, stderr } = await callCli([...command, "--json", "--port", DEAD_PORT]);
    assertEquals({ code, stdout }, { code: 3, stdout: "" });
    const { error } = JSON.parse(stderr);
    assertEquals(error.code, "CONNECT_FAILED");
    assertStringIncludes(error.message, "127.0.0.1:1");
  }
});
