// `send`: as a real process where streams, signals and cuts matter.

import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { Server } from "../../mod.ts";
import {
  cliCommand,
  CliServer,
  DEAD_PORT,
  finish,
  Process,
  runCli,
  startCli,
} from "../support/cli.ts";
import { callAll, callCli } from "../support/cli_call.ts";
import { FaultyProxy, type Plan } from "../support/faulty_proxy.ts";
import { RawServer } from "../support/raw_peer.ts";
import { pause, until } from "../support/wait.ts";

const HOSTILE = "\x1b]0;owned\x07 \u202Eabc \x9b31m \r\n \u2028";
const MIB = 1_048_576;
/** What a server says that grants a session. */
const SESSION = { session: true, resumed: false, epoch: "this run" };

// On Windows a signal just ends the process.
const ignore = Deno.build.os === "windows";

/** A server of this process, and the data of the notes that it was sent. */
async function serve(act: (to: string[], noted: unknown[], server: Server) => Promise<void>) {
  await using server = new Server({ port: 0, drainTimeoutMs: 1_000 });
  const noted: unknown[] = [];
  server
    .bindAction("echo", (data) => data)
    .bindAction("note", (data) => void noted.push(data))
    .bindAction("never", () => new Promise(() => {}));
  await server.start();
  await act(["--port", String(server.port)], noted, server);
}

/** What a line is to be, by another way than the one under test. */
function valueOf(line: string): unknown {
  try {
    const value = JSON.parse(line);
    return value === Infinity || value === -Infinity ? line : value;
  } catch {
    return line;
  }
}

/** The lines of standard output, after the first one. */
function printedBy(server: CliServer): string[] {
  return server.stdout.split("\n").slice(1, -1);
}

function oneLine(stderr: string): string {
  assertMatch(stderr, /^[^\n]+\n$/);
  return stderr.trimEnd();
}

Deno.test("send --request prints the reply's data as JSON", async () => {
  await serve(async (to) => {
    const replies: [string[], string][] = [
      [['{"a":1}'], '{"a":1}'],
      [[' { "a" : [ 1.0 , null ] } '], '{"a":[1,null]}'],
      [['"text"'], '"text"'],
      [[], "null"],
      [["5", "--text"], '"5"'],
      [["--text"], '""'],
      [["not JSON", "--text"], '"not JSON"'],
      [[JSON.stringify(HOSTILE)], JSON.stringify(HOSTILE)],
      [["7", "--timeout", "20000"], "7"],
      [["8", "--json"], '{"event":"reply","data":8}'],
    ];
    const outcomes = await callAll(
      replies.map(([args]) => ["send", "echo", ...args, "--request", ...to]),
    );
    for (const [at, [, expected]] of replies.entries()) {
      assertEquals(outcomes[at], { code: 0, stdout: expected + "\n", stderr: "" });
    }
  });
});

Deno.test("a request that the other side refuses is told in one line, with exit code 1", async () => {
  await serve(async (to) => {
    const failures: [string[], string, string][] = [
      [["nosuch"], "NO_ACTION", "nothing is bound to that action"],
      [["never", "--timeout", "50"], "REQUEST_TIMEOUT", "no reply came in time"],
    ];
    for (const [args, code, message] of failures) {
      const plain = await callCli(["send", ...args, "--request", ...to]);
      assertEquals(plain, { code: 1, stdout: "", stderr: `${code}: ${message}\n` });
      const json = await callCli(["send", ...args, "--request", "--json", ...to]);
      assertEquals([json.code, json.stdout], [1, ""]);
      assertEquals(JSON.parse(oneLine(json.stderr)), { error: { code, message } });
    }
  });
});

Deno.test("a server that refuses the client is told in one line, with exit code 1", async () => {
  await using server = new Server({ port: 0, authenticate: () => ({ refuse: HOSTILE }) });
  await server.start();
  const { code, stdout, stderr } = await callCli(["send", "note", "--port", String(server.port)]);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(oneLine(stderr), /^REFUSED: [^\p{Cc}\p{Cf}\p{Zl}]+$/u);
});

Deno.test("a packet has arrived when send has ended with exit code 0", async () => {
  await serve(async (to, noted) => {
    const sendings = [[], ['{"a":1}'], ["1"], ["1", "--text"], ["two words", "--text"]];
    for (const args of sendings) {
      const outcome = await callCli(["send", "note", ...args, ...to]);
      assertEquals(outcome, { code: 0, stdout: "", stderr: "" });
    }
    assertEquals(noted, [null, { a: 1 }, 1, "1", "two words"]);
    const json = await runCli(["send", "note", "--json", ...to]);
    assertEquals(json, { code: 0, stdout: '{"event":"sent","count":1}\n', stderr: "" });
  });
});

Deno.test({
  name: "--lines sends each line as its JSON value where it is JSON, else as a text",
  ignore,
}, async () => {
  const lines = [
    "plain text",
    "",
    "1",
    " 2 ",
    "-0",
    "1.50",
    "1e3",
    "1e400",
    "-1e400",
    "12345678901234567890",
    "null",
    "true",
    '"a text"',
    '"\\u00e9 \\" \\\\ \\n"',
    "[1, [2], {}]",
    '{"b": 1, "a": {"c": null}}',
    '{"__proto__": {"a": 1}}',
    "{unfinished",
    "[2026-11-22 10:00:00] INFO {started}",
    "üñï 你好 😀 \u202E",
    "\ttabs\tand spaces ",
    "\x1b[31mred\x1b[0m \x07",
    "\r inside",
    "x".repeat(300_000),
    JSON.stringify({ long: "y".repeat(500_000) }),
    "[".repeat(60) + "]".repeat(60),
    "the last one",
  ];
  await using server = await CliServer.start();
  const expected: string[] = [];
  for (const [ending, last] of [["\n", "\n"], ["\r\n", "\r\n"], ["\n", ""]]) {
    const sent = await callCli(
      ["send", "print", "--lines", ...server.to],
      lines.join(ending) + last,
    );
    assertEquals(sent, { code: 0, stdout: "", stderr: "" });
    expected.push(...lines.map((line) => JSON.stringify(valueOf(line))));
  }
  const text = await runCli(
    ["send", "print", "--lines", "--text", "--json", ...server.to],
    lines.join("\n"),
  );
  assertEquals(text, {
    code: 0,
    stdout: `{"event":"sent","count":${lines.length}}\n`,
    stderr: "",
  });
  expected.push(...lines.map((line) => JSON.stringify(line)));
  server.kill("SIGTERM");
  assertEquals(await server.exit(), 0);
  assertEquals(printedBy(server), expected);
});

Deno.test("--lines of nothing sends nothing, and of one line end one empty text", async () => {
  await serve(async (to, noted) => {
    const send = ["send", "note", "--lines", "--json", ...to];
    const inputs: [string, number][] = [["", 0], ["\n", 1], ["\r\n\n", 2]];
    for (const [input, count] of inputs) {
      const outcome = await callCli(send, input);
      const stdout = `{"event":"sent","count":${count}}\n`;
      assertEquals(outcome, { code: 0, stdout, stderr: "" });
    }
    await using cli = startCli(send, { stdin: "null" });
    assertEquals(await cli.exit(), 0);
    assertEquals([cli.stdout, cli.stderr], ['{"event":"sent","count":0}\n', ""]);
    assertEquals(noted, ["", "", ""]);
  });
});

Deno.test("--lines puts lines together that come in pieces, cut within characters", async () => {
  await serve(async (to, noted) => {
    await using cli = startCli(["send", "note", "--lines", ...to]);
    const bytes = new TextEncoder().encode('你好\r\n😀 1\n{"a":"ü"}\n\xff');
    for (const byte of bytes) await cli.write(Uint8Array.of(byte));
    assertEquals(await finish(cli), { code: 0, stdout: "", stderr: "" });
    assertEquals(noted, ["你好", "😀 1", { a: "ü" }, "\xff"]);
  });
});

Deno.test("--lines takes bytes that are no UTF-8 as replacement characters, and goes on", async () => {
  await serve(async (to, noted) => {
    const input = Uint8Array.of(0x61, 0xff, 0x0a, 0xc3, 0x0a, 0x62, 0x0a, 0xe4, 0xbd);
    const { code } = await callCli(["send", "note", "--lines", ...to], input);
    assertEquals(code, 0);
    assertEquals(noted, ["a\ufffd", "\ufffd", "b", "\ufffd"]);
  });
});

Deno.test({ name: "many lines come out of a server as they went in", ignore }, async () => {
  const lines = Array.from({ length: 10_000 }, (_, n) => {
    if (n % 3 === 0) return `{"n": ${n}, "text": "line ${n}"}`;
    return n % 3 === 1 ? `line ${n} {with} "quotes"` : String(n);
  });
  await using server = await CliServer.start();
  const sent = await runCli(["send", "print", "--lines", ...server.to], lines.join("\n") + "\n");
  assertEquals(sent, { code: 0, stdout: "", stderr: "" });
  server.kill("SIGTERM");
  assertEquals(await server.exit(), 0);
  assertEquals(printedBy(server), lines.map((line) => JSON.stringify(valueOf(line))));
});

Deno.test("a line that is too large is named, with exit code 1, and those before it arrived", async () => {
  await serve(async (to, noted) => {
    const input = `one\n2\n${"x".repeat(MIB)}\nfour\n`;
    const plain = await callCli(["send", "note", "--lines", ...to], input);
    assertEquals([plain.code, plain.stdout], [1, ""]);
    assertMatch(oneLine(plain.stderr), /^PACKET_TOO_LARGE: line 3 cannot be sent: .*1048576 bytes/);
    await until(() => noted.length === 2, "the lines before it arrived");
    assertEquals(noted, ["one", 2]);

    const json = await callCli(["send", "note", "--lines", "--json", ...to], input);
    const { error } = JSON.parse(oneLine(json.stderr));
    assertEquals([json.code, error.code], [1, "PACKET_TOO_LARGE"]);
    assertStringIncludes(error.message, "line 3");
  });
});

Deno.test("a server that refuses a line ends --lines with exit code 1 and why", async () => {
  await serve(async (to) => {
    const deep = "[".repeat(3_000) + "]".repeat(3_000);
    const { code, stdout, stderr } = await callCli(
      ["send", "note", "--lines", ...to],
      `1\n${deep}\n2`,
    );
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(oneLine(stderr), "TOO_DEEP");
  });
});

Deno.test(
  { name: "a server that is killed in the middle ends --lines, with exit code 1", ignore },
  async () => {
    await using server = await CliServer.start();
    await using cli = startCli(["send", "print", "--lines", "--retries", "2", ...server.to]);
    await cli.write("1\n2\n");
    assertEquals([await server.line(), await server.line()], ["1", "2"]);
    const flow = (async () => {
      for (;;) await cli.write("line\n".repeat(1_000));
    })();
    // It ends when the process does.
    flow.catch(() => {});
    await until(() => server.stdout.length > 100_000, "the lines flowed");
    server.kill("SIGKILL");
    assertEquals(await cli.exit(), 1);
    assertEquals(cli.stdout, "");
    const [, arrived] = /^SESSION_LOST: .*nobody listens there; ([\d,]+) lines arrived for certain,/
      .exec(oneLine(cli.stderr))!;
    assert(Number(arrived.replaceAll(",", "")) > 1_000, cli.stderr);
    await flow.catch(() => {});
  },
);

Deno.test("a server that leaves while --lines waits for a line is noticed at once", async () => {
  const leave = (args: string[]) =>
    serve(async (to, noted, server) => {
      await using cli = startCli(["send", "note", "--lines", ...args, ...to]);
      await cli.write("1\n");
      await until(() => noted.length === 1, "the line came");
      const [connection] = server.clients.values();
      await connection.close({ reason: HOSTILE });
      assertEquals([await cli.exit(), cli.stdout], [1, ""]);
      assertMatch(
        oneLine(cli.stderr),
        /CLOSED.*; 1 line arrived for certain, 0 may have, 0 were not/,
      );
      assertMatch(cli.stderr, /^[^\p{Cc}\p{Cf}\p{Zl}]+\n$/u);
    });
  await Promise.all([leave([]), leave(["--json"])]);
});

Deno.test("--lines takes no more than the server does, and ends when the server has read all", async () => {
  await using server = await RawServer.listen();
  await using cli = startCli(["send", "note", "--lines", "--json", "--port", String(server.port)]);
  await using peer = await server.register();
  peer.stopReading();
  const chunk = `${"x".repeat(1_023)}\n`.repeat(1_024);
  let chunks = 0;
  let isHeldUp = false;
  const flow = (async () => {
    while (!isHeldUp) {
      await cli.write(chunk);
      chunks++;
    }
  })();
  // Nothing is taken for a while: neither this process nor the system holds without end what is sent.
  for (let seen = -1; seen !== chunks;) {
    seen = chunks;
    assertLess(seen, 200);
    await pause(200);
  }
  isHeldUp = true;
  peer.goOnReading();
  await flow;
  await cli.endInput();

  let notes = 0;
  let ping;
  for (;;) {
    const packet = await peer.packet();
    if (packet.action === "@ping") {
      ping = packet;
      break;
    }
    assertEquals(packet.action, "note");
    notes++;
  }
  assertEquals(notes, chunks * 1_024);
  assertEquals(cli.stdout, "");
  await peer.sendPacket({ action: "@pong", data: ping.data });
  assertEquals((await peer.packetOf("@close")).data, { code: "CLOSED", reason: "closed" });
  peer.fin();
  assertEquals(await cli.exit(), 0);
  assertEquals([cli.stdout, cli.stderr], [`{"event":"sent","count":${notes}}\n`, ""]);
});

Deno.test("--lines survives the cuts of its connection: every line arrives once and in order", async () => {
  const allCuts: Plan[][] = [
    [
      { toServer: { cut: { after: 200_000, by: "reset" } } },
      // The answer to the handshake, and a few acknowledgements.
      { toClient: { cut: { after: 500, by: "fin" } } },
      // In the middle of what is sent again.
      { toServer: { cut: { after: 2_001, by: "fin" } } },
      { toClient: { cut: { after: 100, by: "reset" } } },
    ],
    [
      { toServer: { cut: { after: 100_001, by: "fin" } } },
      { toServer: { cut: { after: 100_002, by: "reset", side: "client" } } },
      { toClient: { cut: { after: 450, by: "reset" } } },
    ],
  ];
  // Not all to one: who is cut off again and again waits for longer and longer.
  await Promise.all(allCuts.map((cuts) =>
    serve(async (_to, noted, server) => {
      await using proxy = await FaultyProxy.listen({ to: server.port, plans: [...cuts] });
      const lines = Array.from({ length: 10_000 }, (_, n) => `line ${n} ${"x".repeat(n % 100)}`);
      const send = ["send", "note", "--lines", "--json", "--port", String(proxy.port)];
      const sent = await runCli(send, lines.join("\n"));
      assertEquals(sent, { code: 0, stdout: '{"event":"sent","count":10000}\n', stderr: "" });
      assertEquals(proxy.plans, [], "all cuts were made");
      assertEquals(proxy.links.length, cuts.length + 1);
      assertEquals(noted, lines);
    })
  ));
});

Deno.test("one packet survives the cut of its connection before it was acknowledged", async () => {
  await using server = await RawServer.listen();
  await using cli = startCli(["send", "note", "1", "--port", String(server.port)]);
  await using first = await server.register(SESSION);
  const packet = await first.packetOf("note");
  assertEquals([packet.seq, packet.data], [1, 1]);
  await first.reset();
  await using again = await server.accept();
  const { data: { resume } } = await again.packet() as { data: { resume?: object } };
  assertEquals(resume, { token: first.token, epoch: SESSION.epoch, ack: 0, attempt: 1 });
  const data = { ...first.welcome.data as object, resumed: true, ack: 0 };
  await again.sendPacket({ action: "@handshake", data, token: first.token });
  assertEquals((await again.packetOf("note")).seq, 1);
  assertEquals(cli.stderr, "");
  await again.sendPacket({ action: "@ack", ack: 1 });
  assertEquals((await again.packetOf("@close")).data, { code: "CLOSED", reason: "closed" });
  again.fin();
  assertEquals(await cli.exit(), 0);
  assertEquals([cli.stdout, cli.stderr], ["", ""]);
});

Deno.test("a request survives the cut of its connection before the reply", async () => {
  await using server = new Server({ port: 0 });
  const late = Promise.withResolvers<string>();
  server.bindAction("late", () => late.promise);
  await server.start();
  await using proxy = await FaultyProxy.listen({ to: server.port });
  await using cli = startCli(["send", "late", "--request", "--port", String(proxy.port)]);
  await until(
    () => [...server.clients.values()].some(({ stats }) => stats.inFlight === 1),
    "the request came",
  );
  proxy.cutAll();
  late.resolve("better than never");
  assertEquals(await cli.exit(), 0);
  assertEquals([cli.stdout, cli.stderr], ['"better than never"\n', ""]);
  assertEquals(proxy.links.length, 2);
});

Deno.test("when the server stays away --lines gives up, and says what has become of each line", async () => {
  await Promise.all([[], ["--json"]].map(async (args) => {
    await using server = await RawServer.listen();
    const to = ["--port", String(server.port)];
    await using cli = startCli(["send", "note", "--lines", "--retries", "2", ...args, ...to]);
    await using peer = await server.register(SESSION);
    await cli.write("1\n2\n3\n4\n5\n");
    while ((await peer.packet()).seq !== 5);
    await peer.sendPacket({ action: "@ack", ack: 3 });
    await peer.reset();
    // It knows that the socket is gone: whatever comes now is not sent.
    await server.accept();
    await cli.write("6\n7\n");
    await server[Symbol.asyncDispose]();
    assertEquals([await cli.exit(), cli.stdout], [1, ""]);
    const message = "the client could not come back: " +
      `cannot connect to 127.0.0.1:${to[1]}: nobody listens there; ` +
      "3 lines arrived for certain, 2 may have, 2 were not sent";
    if (args.length === 0) {
      assertEquals(oneLine(cli.stderr), `SESSION_LOST: ${message}`);
    } else {
      assertEquals(JSON.parse(oneLine(cli.stderr)), {
        error: { code: "SESSION_LOST", message },
        acknowledged: 3,
        unknown: 2,
        unsent: 2,
      });
    }
  }));
});

Deno.test("when the server was started anew send says what is in doubt, and sends nothing again", async () => {
  const loads: [string[], string][] = [
    [["--lines"], "0 lines arrived for certain, 1 may have, 0 were not sent"],
    [["1"], "the packet may have arrived"],
    [["1", "--request"], "the request may have been carried out"],
  ];
  await Promise.all(loads.map(async ([args, outcome]) => {
    await using server = await RawServer.listen();
    await using cli = startCli(["send", "note", ...args, "--port", String(server.port)]);
    await using peer = await server.register(SESSION);
    await cli.write("1\n");
    assertEquals((await peer.packetOf("note")).data, 1);
    await peer.reset();
    await using next = await server.register({ ...SESSION, epoch: "next", reason: "restarted" });
    const [last] = await next.toEnd();
    assertEquals(last.action, "@close");
    next.fin();
    assertEquals([await cli.exit(), cli.stdout], [1, ""]);
    const reason = "the session could not go on: restarted";
    assertEquals(oneLine(cli.stderr), `SESSION_LOST: ${reason}; ${outcome}`);
  }));
});

Deno.test("without a session send knows no more than that the connection was lost", async () => {
  await using server = await RawServer.listen();
  await using cli = startCli(["send", "note", "--lines", "--port", String(server.port)]);
  await using peer = await server.register();
  await cli.write("1\n2\n");
  assertEquals([(await peer.packet()).data, (await peer.packet()).data], [1, 2]);
  await peer.reset();
  assertEquals([await cli.exit(), cli.stdout], [1, ""]);
  assertMatch(
    oneLine(cli.stderr),
    /^CONNECTION_LOST: .*; 0 lines arrived for certain, 2 may have, 0 were not sent$/,
  );
});

Deno.test("what the other side says of its end never makes the exit code that of no connection", async () => {
  await Promise.all(["CONNECT_FAILED", "REFUSED"].map(async (code) => {
    await using server = await RawServer.listen();
    await using cli = startCli(["send", "note", "--port", String(server.port)]);
    await using peer = await server.register(SESSION);
    await peer.packetOf("note");
    await peer.sendPacket({ action: "@close", data: { code, reason: HOSTILE } });
    peer.fin();
    assertEquals([await cli.exit(), cli.stdout], [1, ""]);
    assertMatch(
      oneLine(cli.stderr),
      /^[A-Z_]+: [^\p{Cc}\p{Cf}\p{Zl}]+; the packet may have arrived$/u,
    );
  }));
});

Deno.test("whatever reads the output may leave", async () => {
  await serve(async (to) => {
    await Promise.all(["--request", "--json"].map(async (flag) => {
      await using cli = startCli(["send", "echo", "1", flag, ...to], { stdin: "null" });
      await cli.closeOutput();
      assertEquals([await cli.exit(), cli.stderr], [0, ""]);
    }));
  });
});

Deno.test({
  name: "output that cannot be written is a failure",
  ignore: Deno.build.os !== "linux",
}, async () => {
  await serve(async (to) => {
    const command = cliCommand(["send", "echo", "1", "--request", ...to]);
    await using cli = new Process("sh", ["-c", 'exec "$0" "$@" >/dev/full', ...command]);
    const { code, stderr } = await finish(cli);
    assertEquals(code, 1);
    assertStringIncludes(oneLine(stderr), "space");
  });
});

Deno.test({ name: "whatever reads the errors may leave, too", ignore }, async () => {
  const command = cliCommand(["send", "echo", "--port", DEAD_PORT]);
  await using cli = new Process("sh", ["-c", 'exec "$0" "$@" 2>/dev/full', ...command]);
  assertEquals((await finish(cli)).code, 3);
});

Deno.test("nothing is coloured that no terminal shows, whatever the environment says", async () => {
  await serve(async (to) => {
    const env = { FORCE_COLOR: "1", CLICOLOR_FORCE: "1", NO_COLOR: "" };
    const outcomes = await Promise.all([
      runCli(["send", "nosuch", "--request", ...to], "", { env }),
      runCli(["client", ...to], "nosuch\nlist\nmode\nsend server note 1\nhelp\n", { env }),
      runCli(["send", "--nosuch"], "", { env }),
      runCli(["send", "--help"], "", { env }),
    ]);
    for (const { stdout, stderr } of outcomes) assert(!(stdout + stderr).includes("\x1b"));
  });
});
