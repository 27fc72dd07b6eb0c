// How a client comes back, and when it does not.

import { assert, assertEquals, assertFalse, assertRejects, assertStrictEquals } from "@std/assert";
import {
  Client,
  type ClientOptions,
  ConnectionError,
  HandshakeError,
  type RetryInfo,
  Server,
  type SessionLoss,
} from "../../mod.ts";
import { LeapingTime } from "../support/leaping_time.ts";
import { withNetwork } from "../support/network_scene.ts";
import { line, RawServer } from "../support/raw_peer.ts";
import { GRANT, letComeBack, nextNumbered } from "../support/raw_session.ts";
import { IMPATIENT, withHostileServer } from "../support/scene.ts";
import { pause, until, within } from "../support/wait.ts";
import { DEFAULT_WIRE, WIRES } from "../support/wires.ts";

const WIRE = WIRES[DEFAULT_WIRE];

/** A port of this machine where nobody listens. */
const DEAD_PORT = 1;

// Hooks

Deno.test("hooks tell of every change of state, in order", async () => {
  const states: string[] = [];
  const retries: RetryInfo[] = [];
  const note = (hook: string) => states.push(`${hook} ${client.state}`);
  const options: ClientOptions = {
    onConnect: () => note("onConnect"),
    onDetach: () => note("onDetach"),
    onRetry: (retry) => {
      note("onRetry");
      retries.push(retry);
    },
    onResume: () => note("onResume"),
    onSessionLost: () => note("onSessionLost"),
    onDisconnect: () => note("onDisconnect"),
  };
  await using server = await RawServer.listen();
  const client: Client = new Client({
    ...WIRE.client,
    port: server.port,
    ...IMPATIENT,
    ...options,
  });
  const [first] = await Promise.all([server.register(GRANT), client.start()]);
  await first.reset();
  // One attempt that fails, one that succeeds.
  const failing = await server.accept();
  await failing.packetOf("@handshake");
  await failing.reset();
  const second = await letComeBack(server, first);
  await until(() => client.state === "connected", "it is back");
  await second.reset();
  await server.register({ ...GRANT, epoch: "another", reason: "restarted" });
  await until(() => client.state === "connected", "it is back");
  const closing = client.close();
  server.finAll();
  await within(closing, "the client's end");
  assertEquals(states, [
    "onConnect connected",
    "onDetach reconnecting",
    "onRetry reconnecting",
    "onRetry reconnecting",
    "onResume connected",
    "onDetach reconnecting",
    "onRetry reconnecting",
    "onSessionLost connected",
    "onDisconnect connected",
  ]);
  assertEquals(retries.map(({ attempt }) => attempt), [1, 2, 1]);
  assertEquals(retries.map(({ error }) => (error as ConnectionError)?.code), [
    undefined,
    "CONNECTION_LOST",
    undefined,
  ]);
  assert(retries.every(({ delayMs }) => delayMs >= 0 && delayMs <= IMPATIENT.maxRetryMs));
});

Deno.test("hooks that throw or reject disturb nothing", async () => {
  const fail = () => {
    throw new Error("a hook's own");
  };
  const reject = () => Promise.reject(new Error("a hook's own"));
  const options = {
    server: { onDetach: fail, onResume: reject, onDisconnect: fail, sessionTtlMs: 50 },
    client: { onDetach: reject, onRetry: fail, onResume: fail, onSessionLost: reject },
  };
  await withNetwork(options, async (scene) => {
    const { server, client, proxy, drop, resumed, expectErrors, logs } = scene;
    expectErrors();
    server.bindAction("echo", (data) => data);
    await drop();
    await resumed(1);
    assertEquals(await client.request("echo", 1), 1);
    proxy.pull();
    await drop();
    await until(() => server.clients.size === 0, "the session expired");
    proxy.plugIn();
    assertEquals(await client.request("echo", 2).catch(({ code }) => code), "SESSION_LOST");
    await until(() => client.state === "connected", "it is back");
    assertEquals(await client.request("echo", 3), 3);
    assert(logs.of("error").length >= 6);
  });
});

for (const hook of ["onDetach", "onRetry", "onResume", "onSessionLost"] as const) {
  Deno.test(`a client may be closed in ${hook}`, async () => {
    const closed = Promise.withResolvers<void>();
    let hooked: Client;
    const options = {
      server: { sessionTtlMs: hook === "onSessionLost" ? 1 : 120_000 },
      client: { [hook]: () => hooked.close().then(() => closed.resolve()) },
    };
    await withNetwork(options, async ({ client, server, proxy, drop, told }) => {
      hooked = client;
      const asked = client.request("x").catch(({ code }) => code);
      proxy.pull();
      await drop();
      if (hook === "onSessionLost") {
        await until(() => server.clients.size === 0, "the session expired");
      }
      proxy.plugIn();
      await within(closed.promise, "the client's end");
      assertEquals([client.state, client.clients.size], ["closed", 0]);
      assert(told.includes("client onDisconnect CLOSED"), String(told));
      const code = await asked;
      assert(["CLOSED", "SESSION_LOST", "NO_ACTION"].includes(code as string), String(code));
      for (const connection of server.clients.values()) await connection.close();
    });
  });
}

for (const hook of ["onDetach", "onResume"] as const) {
  Deno.test(`a server may end a connection in ${hook}`, async () => {
    const options = {
      server: { [hook]: (connection: { close(): Promise<void> }) => void connection.close() },
      client: { maxAttempts: 3 },
    };
    await withNetwork(options, async ({ client, connection, proxy, told }) => {
      proxy.cutAll();
      const { code } = await within(connection.closed, "the connection's end");
      assertEquals(code, "CLOSED");
      if (hook === "onResume") {
        assertEquals((await within(client.closed, "the client's end")).code, "CLOSED");
      } else {
        await until(() => client.state === "connected", "the client began anew");
        assert(told.some((one) => one.startsWith("client onSessionLost")), String(told));
      }
    });
  });
}

// Giving up

Deno.test("maxAttempts bounds the attempts in a row, and what was sent is known then", async () => {
  const options = { client: { maxAttempts: 3 } };
  await withNetwork(options, async ({ server, client, proxy, drop, resumed, told }) => {
    const retries = () => told.filter((hook) => hook.includes("onRetry")).length;
    // Those that succeed do not count.
    for (let time = 1; time <= 4; time++) {
      await drop();
      await resumed(time);
    }
    const before = retries();
    proxy.to = DEAD_PORT;
    await drop();
    const sent = client.sendPacket({ action: "n", data: 1 }, { delivered: true });
    const asked = client.request("n", 2);
    const { code, reason } = await within(client.closed, "the client's end");
    assertEquals(code, "SESSION_LOST");
    assert(reason.includes("could not come back"), reason);
    assertEquals(retries() - before, 3);
    for (const promise of [sent, asked]) {
      assertEquals((await assertRejects(() => promise, ConnectionError)).code, "SESSION_LOST");
    }
    const { unknown, unsent, forgotten } = client.connection!.undelivered;
    assertEquals([unknown, unsent.map(({ data }) => data), forgotten], [[], [1, 2], 0]);
    assertEquals(client.state, "closed");
    assertEquals(told.at(-1), "client onDisconnect SESSION_LOST");
    for (const connection of server.clients.values()) await connection.close();
  });
});

Deno.test("with maxAttempts 0 a dropped socket is the end", async () => {
  await withNetwork({ client: { maxAttempts: 0 } }, async ({ client, proxy, told, connection }) => {
    proxy.cutAll();
    assertEquals((await within(client.closed, "the client's end")).code, "SESSION_LOST");
    assertFalse(told.some((hook) => hook.includes("onRetry")));
    assertEquals(proxy.links.length, 1);
    await until(() => connection.state === "detached", "the server saw it");
    await connection.close();
  });
});

Deno.test("a signal calls reconnecting off, whether it waits or dials", async () => {
  using time = new LeapingTime();
  for (const isDialling of [true, false]) {
    const controller = new AbortController();
    const slow = isDialling ? {} : { minRetryMs: 60_000, maxRetryMs: 60_000 };
    const options = { client: { ...slow, signal: controller.signal } };
    await withNetwork(options, async ({ client, proxy, connection, drop }) => {
      proxy.pull();
      await drop();
      const asked = client.request("n").catch(({ code }) => code);
      if (isDialling) await until(() => proxy.links.length > 1, "it dials");
      assertEquals(client.state, "reconnecting");
      controller.abort(new Error("enough"));
      const { code, reason } = await time.leapUntil(client.closed, "the client's end");
      assertEquals([code, await asked], ["SESSION_LOST", "SESSION_LOST"]);
      assert(reason.includes("enough"), reason);
      await connection.close();
    });
  }
});

Deno.test("a signal that is aborted while the client is connected ends it with its socket", async () => {
  const controller = new AbortController();
  const options = { client: { signal: controller.signal } };
  await withNetwork(options, async ({ client, server, proxy, connection }) => {
    server.bindAction("echo", (data) => data);
    controller.abort("enough");
    assertEquals(await client.request("echo", 1), 1);
    proxy.cutAll();
    assertEquals((await within(client.closed, "the client's end")).code, "SESSION_LOST");
    assertEquals(proxy.links.length, 1);
    await until(() => connection.state === "detached", "the server saw it");
    await connection.close();
  });
});

const CODES: [code: string, isFinal: boolean][] = [
  ["REFUSED", true],
  ["VERSION_UNSUPPORTED", true],
  ["SERVER_FULL", false],
  ["HANDSHAKE_TIMEOUT", false],
  ["GOING_AWAY", false],
  ["SOMETHING_NEW", true],
];

for (const [code, isFinal] of CODES) {
  Deno.test(`a client that is refused with ${code} ${isFinal ? "gives up" : "tries again"}`, async () => {
    await withHostileServer(IMPATIENT, async ({ client, server, start }) => {
      const first = await start(GRANT);
      await first.reset();
      const refusing = await server.accept();
      const data = { status: "error", code, message: "not now" };
      await refusing.send(line({ action: "@handshake", data }));
      refusing.fin();
      if (isFinal) {
        const info = await within(client.closed, "the client's end");
        assert(info.reason.endsWith("not now"), info.reason);
      } else {
        const again = await letComeBack(server, first);
        client.sendPacket({ action: "n" });
        await nextNumbered(again);
      }
    });
  });
}

// Waiting

Deno.test("a server that lets a client in and drops it at once is left alone for longer and longer", async () => {
  const { random } = Math;
  // Short waits with long bounds: no socket here lives longer than those.
  Math.random = () => 0.01;
  const delays: number[] = [];
  const onRetry = ({ delayMs }: RetryInfo) => void delays.push(delayMs);
  try {
    const options = { minRetryMs: 400, maxRetryMs: 6_400, onRetry };
    await withHostileServer(options, async ({ client, server, start, time }) => {
      let peer = await start(GRANT);
      const first = peer;
      for (let times = 0; times < 7; times++) {
        await peer.reset();
        peer = await time.leapUntil(letComeBack(server, first), "its coming back");
      }
      // Once it is of use the next wait is short again.
      await peer.sendPacket({ action: "@ping" });
      await peer.packetOf("@pong");
      await peer.reset();
      await until(() => delays.length === 8, "it comes back");
      assertEquals(delays.map(Math.round), [4, 8, 16, 32, 64, 64, 64, 4]);
      await within(client.close(), "the client's end");
    });
  } finally {
    Math.random = random;
  }
});

// start({ retry })

Deno.test("start({ retry: true }) keeps trying until the server is there", async () => {
  const retries: RetryInfo[] = [];
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = probe.addr;
  probe.close();
  await using client = new Client({
    ...WIRE.client,
    port,
    ...IMPATIENT,
    onRetry: (retry) => void retries.push(retry),
  });
  const starting = client.start({ retry: true });
  await until(() => retries.length >= 3, "it tries");
  assertEquals(client.state, "connecting");
  await using server = new Server({ ...WIRE.server, port });
  await server.start();
  await within(starting, "the start");
  assertEquals([client.state, retries[0].attempt], ["connected", 2]);
  assertEquals((retries[0].error as ConnectionError).code, "CONNECT_FAILED");
  await client.close();
});

Deno.test("start({ retry: true }) is bounded by maxAttempts, a refusal, a signal and close()", async () => {
  let tried = 0;
  const options = { ...IMPATIENT, onRetry: () => void tried++ };
  const bounded = new Client({ port: DEAD_PORT, ...options, maxAttempts: 3 });
  const error = await assertRejects(() => bounded.start({ retry: true }), ConnectionError);
  assertEquals([error.code, tried, bounded.state], ["CONNECT_FAILED", 2, "idle"]);
  // It may be started again.
  tried = 0;
  await assertRejects(() => bounded.start({ retry: true }), ConnectionError);
  assertEquals(tried, 2);
  await bounded.close();

  await using server = new Server({ ...WIRE.server, port: 0, authenticate: () => false });
  await server.start();
  await using refused = new Client({ ...WIRE.client, port: server.port, ...options });
  const refusal = await assertRejects(() => refused.start({ retry: true }), HandshakeError);
  assertEquals(refusal.code, "REFUSED");

  await using signalled = new Client({ port: DEAD_PORT, ...options });
  const controller = new AbortController();
  const { signal } = controller;
  const calledOff = signalled.start({ retry: true, signal }).catch((reason) => reason);
  tried = 0;
  await until(() => tried > 1, "it tries");
  const reason = { why: "enough" };
  controller.abort(reason);
  assertStrictEquals(await within(calledOff, "the start to be called off"), reason);
  assertEquals(signalled.state, "idle");

  const closed = new Client({ port: DEAD_PORT, ...options, minRetryMs: 60_000 });
  const starting = closed.start({ retry: true }).catch(({ code }) => code);
  await pause(20);
  await within(closed.close(), "the client's end", 5_000);
  assertEquals([await starting, closed.state], ["CLOSED", "closed"]);

  const start = closed.start.bind(closed) as (options: unknown) => Promise<void>;
  await assertRejects(() => start({ retry: "yes" }), TypeError);
});

// close()

Deno.test("close() ends a client that waits for its next attempt, with what was under way", async () => {
  const options = { client: { minRetryMs: 60_000, maxRetryMs: 60_000 } };
  await withNetwork(options, async ({ client, connection, drop, told }) => {
    await drop();
    const asked = client.request("n", 1).catch(({ code }) => code);
    const sent = client.sendPacket({ action: "n", data: 2 }, { delivered: true });
    const delivery = sent.catch(({ code }) => code);
    await within(Promise.all([client.close(), client.close()]), "the client's end", 5_000);
    assertEquals((await client.closed).code, "CLOSED");
    assertEquals([await asked, await delivery], ["CLOSED", "CLOSED"]);
    const { unknown, unsent } = client.connection!.undelivered;
    assertEquals([unknown, unsent.map(({ data }) => data)], [[], [1, 2]]);
    assertEquals(told.filter((hook) => hook.includes("client onDisconnect")).length, 1);
    await assertRejects(() => client.sendPacket({ action: "n" }), ConnectionError);
    await assertRejects(() => client.start(), TypeError);
    assertEquals(connection.state, "detached");
    await connection.close();
  });
});

Deno.test("close() ends a client in the middle of coming back, at whatever point", async () => {
  await using server = await RawServer.listen();
  for (const stage of ["accepted", "asked", "answered"] as const) {
    const client = new Client({ ...WIRE.client, port: server.port, ...IMPATIENT });
    const [first] = await Promise.all([server.register(GRANT), client.start()]);
    await first.reset();
    const peer = await server.accept();
    if (stage !== "accepted") await peer.packetOf("@handshake");
    const { id, token } = first;
    const data = { status: "success", version: 1, id, ...GRANT, resumed: true, ack: 0 };
    const answered = stage === "answered"
      ? peer.send(line({ action: "@handshake", data, token }))
      : undefined;
    const closing = client.close();
    await answered;
    await until(() => peer.ended !== undefined, "the client left");
    peer.fin();
    await within(closing, "the client's end");
    assertEquals([client.state, (await client.closed).code], ["closed", "CLOSED"]);
    assertEquals(client.clients.size, 0);
    // Whoever had been let in, or would be, is told. A socket that was accepted may still be dialled
    // on the client's side, and is then dropped before anything was said.
    const asked = peer.text.includes('"@handshake"');
    assert(asked || stage === "accepted", stage);
    assertEquals(peer.text.includes('"@close"'), asked, `${stage}: ${peer.text}`);
    await pause(50);
  }
});

Deno.test("a client that closes leaves no session behind", async () => {
  await withNetwork({}, async ({ server, client, connection, drop, resumed, told }) => {
    await drop();
    await resumed(1);
    await client.close();
    await until(() => server.clients.size === 0, "the server forgot it");
    assertEquals((await connection.closed).code, "CLOSED");
    assertEquals(told.at(-1), "server onDisconnect CLOSED");
  });
});

Deno.test("a client that is closed in the moment that it resumes leaves no session behind", async () => {
  for (let turns = 0; turns < 12; turns++) {
    await withNetwork({}, async ({ server, client, proxy, told }) => {
      proxy.cutAll();
      await until(() => told.includes("server onResume"), "the server resumed it");
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await within(client.close(), "the client's end");
      await until(() => server.clients.size === 0, "the server forgot it");
    });
  }
});

Deno.test("what onSessionLost reports may be sent again there", async () => {
  let hooked: Client;
  const again = (_connection: unknown, { unsent }: SessionLoss) => {
    for (const { action, data } of unsent) hooked.sendPacket({ action, data });
  };
  const options = { server: { sessionTtlMs: 20 }, client: { onSessionLost: again } };
  await withNetwork(options, async ({ server, client, proxy, drop }) => {
    hooked = client;
    const seen: unknown[] = [];
    server.bindAction("n", (n) => void seen.push(n));
    proxy.pull();
    await drop();
    for (const n of [1, 2, 3]) client.sendPacket({ action: "n", data: n });
    await until(() => server.clients.size === 0, "the session expired");
    proxy.plugIn();
    await until(() => client.state === "connected", "it is back");
    await client.delivered();
    assertEquals(seen, [1, 2, 3]);
  });
});
