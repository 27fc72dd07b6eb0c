import { assert, assertEquals, assertFalse, assertRejects, assertStrictEquals } from "@std/assert";
import {
  Client,
  type CloseInfo,
  type Connection,
  ConnectionError,
  type Handshake,
  type HandshakeError,
  sanitize,
  Server,
  type ServerOptions,
  type Verdict,
} from "../../mod.ts";
import { LeapingTime } from "../support/leaping_time.ts";
import { Logs } from "../support/logs.ts";
import { hello, RawPeer } from "../support/raw_peer.ts";
import { withServer } from "../support/scene.ts";
import { pause, settle, until, within } from "../support/wait.ts";

type Authenticate = NonNullable<ServerOptions["authenticate"]>;

/** Starts a client against a server with this check of who comes in. */
async function tryWith(
  authenticate: Authenticate,
  auth?: unknown,
): Promise<{ error?: HandshakeError; attached?: unknown; text: string }> {
  using time = new LeapingTime();
  await using logs = await Logs.capture();
  await using server = new Server({ port: 0, authenticate, handshakeTimeoutMs: 2_000 });
  await server.start();
  await using client = new Client({ port: server.port, auth });
  const starting = client.start().then(() => undefined, (error) => error);
  const error = await time.leapUntil(starting, "an outcome");
  const attached = client.id && server.clients.getById(client.id)!.attached;
  if (error) assertEquals([client.state, server.clients.size], ["idle", 0]);
  await client.close();
  return { error, attached, text: logs.text };
}

// authenticate

Deno.test("authenticate is shown auth, the address and a signal, and decides", async () => {
  const seen: Handshake[] = [];
  const authenticate = (handshake: Handshake): Verdict => {
    seen.push(handshake);
    return handshake.auth === "open sesame";
  };
  assertEquals((await tryWith(authenticate, "open sesame")).error, undefined);
  const { error } = await tryWith(authenticate, { user: "Ali" });
  assertEquals([error?.name, error?.code], ["HandshakeError", "REFUSED"]);
  assertEquals((await tryWith(authenticate)).error?.code, "REFUSED");
  assertEquals(seen.map(({ auth }) => auth), ["open sesame", { user: "Ali" }, null]);
  for (const { address, signal } of seen) {
    assert(/^127\.0\.0\.1:\d+$/.test(address));
    assert(signal instanceof AbortSignal);
  }
});

Deno.test("each verdict of authenticate is kept to, at once or later", async () => {
  const account = { name: "Ada" };
  const verdicts: [Verdict, code: string | undefined, says: string, attached: unknown][] = [
    [true, undefined, "", undefined],
    [false, "REFUSED", "the server refused", undefined],
    [{ refuse: "come back tomorrow" }, "REFUSED", "come back tomorrow", undefined],
    [{ attach: account }, undefined, "", account],
    [{ attach: undefined }, undefined, "", undefined],
    [{ attach: null }, undefined, "", null],
  ];
  for (const [verdict, code, says, attached] of verdicts) {
    for (
      const authenticate of [() => verdict, () => Promise.resolve(verdict), async () => {
        await pause(1);
        return verdict;
      }]
    ) {
      const outcome = await tryWith(authenticate);
      assertEquals(outcome.error?.code, code as HandshakeError["code"]);
      assert((outcome.error?.message ?? "").includes(says));
      assertStrictEquals(outcome.attached, attached);
    }
  }
});

Deno.test("a refusal's words arrive, however long and strange they are", async () => {
  for (const refuse of ["x".repeat(100_000), "\x1b]0;owned\x07\u202e".repeat(10_000)]) {
    const { error, text } = await tryWith(() => ({ refuse }));
    assertEquals(error?.code, "REFUSED");
    assert(error!.message.startsWith(sanitize(refuse.slice(0, 100))));
    assertFalse(text.includes("\x1b]") || text.includes("\u202e"));
  }
});

Deno.test("authenticate fails closed: whatever is no verdict refuses, and says no more", async () => {
  const secret = "the password is swordfish";
  const bad: unknown[] = [
    undefined,
    null,
    0,
    1,
    "",
    "true",
    [],
    {},
    { allow: true },
    () => true,
    Symbol("true"),
    10n,
  ];
  const authenticates: (() => unknown)[] = [
    ...bad.flatMap((verdict) => [() => verdict, () => Promise.resolve(verdict)]),
    () => {
      throw new Error(secret);
    },
    () => {
      throw undefined;
    },
    () => Promise.reject(new Error(secret)),
    () => Promise.reject(),
    () => {
      throw new ConnectionError("CONNECT_FAILED", "the database is away");
    },
  ];
  for (const authenticate of authenticates) {
    const { error } = await tryWith(authenticate as Authenticate, "x");
    assertEquals([error?.name, error?.code], ["HandshakeError", "REFUSED"], String(authenticate));
    assert(!error!.message.includes(secret));
    assertEquals(error!.message, "the server refused");
  }
});

Deno.test("what authenticate throws is logged as an error, with the address", async () => {
  const { text } = await tryWith(() => {
    throw new Error("no database");
  });
  assert(text.includes("error: authenticate failed, 127.0.0.1:"));
  assert(text.includes("no database"));
});

Deno.test("an authenticate that never settles is HANDSHAKE_TIMEOUT, and its signal is aborted", async () => {
  const signals: AbortSignal[] = [];
  const { error } = await tryWith(({ signal }) => {
    signals.push(signal);
    return new Promise(() => {});
  });
  assertEquals([error?.name, error?.code], ["HandshakeError", "HANDSHAKE_TIMEOUT"]);
  assertEquals(signals[0].aborted, true);
  assertEquals(signals[0].reason.code, "HANDSHAKE_TIMEOUT");
});

Deno.test("an authenticate that settles too late, either way, changes nothing any more", async () => {
  for (const late of [() => true, () => Promise.reject(new Error("late"))]) {
    const settled = Promise.withResolvers<void>();
    const { error } = await tryWith(async ({ signal }) => {
      const aborted = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => aborted.resolve());
      await aborted.promise;
      await pause(5);
      settled.resolve();
      return await late();
    });
    assertEquals(error?.code, "HANDSHAKE_TIMEOUT");
    await settled.promise;
    await settle();
  }
});

Deno.test("a client that leaves while authenticate thinks is forgotten", async () => {
  const gate = Promise.withResolvers<void>();
  const authenticate = async ({ auth }: Handshake) => {
    if (auth === "slow") await gate.promise;
    return true;
  };
  const events: string[] = [];
  const onConnect = () => void events.push("connect");
  const onDisconnect = () => void events.push("disconnect");
  await withServer({ authenticate, onConnect, onDisconnect }, async ({ connect, server }) => {
    const peer = await connect();
    await peer.send(hello({ auth: "slow" }));
    await peer.close();
    gate.resolve();
    await until(
      () => server.clients.size === 1 && server.loops[1].waitsFor.startsWith("0 "),
      "it was forgotten",
    );
  });
  // A connection that was made all the same was unmade in order.
  assertEquals(events.filter((event) => event === "connect").length, events.length / 2);
});

// onConnect and onDisconnect

Deno.test("onConnect and onDisconnect come once for every connection, on both sides", async () => {
  const events: string[] = [];
  const infos: CloseInfo[] = [];
  await using server = new Server({
    port: 0,
    onConnect: (connection) => void events.push(`server connect ${connection.id}`),
    onDisconnect: (connection, info) => {
      events.push(`server disconnect ${connection.id}`);
      infos.push(info);
    },
  });
  await server.start();
  const client = new Client({
    port: server.port,
    onConnect: (connection) => void events.push(`client connect ${connection.id}`),
    onDisconnect: (connection, info) => {
      events.push(`client disconnect ${connection.id}`);
      infos.push(info);
    },
  });
  await client.start();
  const { id } = client;
  await client.close({ reason: "enough" });
  await until(() => events.length === 4, () => `all hooks ran: ${events}`);
  assertEquals(
    new Set(events),
    new Set([
      `server connect ${id}`,
      `client connect ${id}`,
      `client disconnect ${id}`,
      `server disconnect ${id}`,
    ]),
  );
  assertEquals(infos, [{ code: "CLOSED", reason: "enough" }, { code: "CLOSED", reason: "enough" }]);
});

Deno.test("onDisconnect is told why, and finds the connection gone", async () => {
  const ends: [Connection, CloseInfo, boolean][] = [];
  let server: Server | undefined;
  const onDisconnect = (connection: Connection, info: CloseInfo) => {
    const isKnown = server?.clients.getById(connection.id) !== undefined;
    ends.push([connection, info, isKnown]);
  };
  await withServer({ onDisconnect }, async (scene) => {
    server = scene.server;
    const acts: [code: string, act: (peer: RawPeer) => unknown][] = [
      ["CONNECTION_LOST", (peer) => peer.fin()],
      ["CONNECTION_LOST", (peer) => peer.reset()],
      ["BAD_JSON", (peer) => peer.send("x\n")],
      ["GOING_AWAY", (peer) => peer.sendPacket({ action: "@close", data: { code: "GOING_AWAY" } })],
    ];
    for (const [code, act] of acts) {
      const peer = await scene.register();
      await act(peer);
      await until(() => ends.length > 0, `onDisconnect for ${code}`);
      const [connection, info, isKnown] = ends.pop()!;
      assertEquals([connection.id, info.code, isKnown], [peer.id, code, false]);
      await assertRejects(() => connection.sendPacket({ action: "a" }), ConnectionError);
      await peer.close();
    }
    ends.length = 0;
  });
});

Deno.test("packets wait until an asynchronous onConnect has returned; its own requests do not", async () => {
  const gate = Promise.withResolvers<void>();
  const names: unknown[] = [];
  const handled: unknown[] = [];
  await using server = new Server({
    port: 0,
    onConnect: async (connection) => {
      names.push(await connection.request("name"));
      await gate.promise;
    },
  });
  server.bindAction("n", (n) => void handled.push(n));
  await server.start();
  await using client = new Client({ port: server.port });
  client.bindAction("name", () => "Ada");
  await client.start();
  for (let n = 0; n < 5; n++) await client.sendPacket({ action: "n", data: n });
  await client.ping();
  await until(() => names.length === 1, "onConnect had its reply");
  assertEquals([names, handled], [["Ada"], []]);
  gate.resolve();
  await until(() => handled.length === 5, "all were handled");
  assertEquals(handled, [0, 1, 2, 3, 4]);
});

Deno.test("the client's own onConnect holds its packets back, too", async () => {
  const gate = Promise.withResolvers<void>();
  const handled: unknown[] = [];
  await using server = new Server({
    port: 0,
    onConnect: (connection) => void connection.sendPacket({ action: "welcome", data: 1 }),
  });
  await server.start();
  await using client = new Client({ port: server.port, onConnect: () => gate.promise });
  client.bindAction("welcome", (data) => void handled.push(data));
  await client.start();
  await client.ping();
  assertEquals(handled, []);
  gate.resolve();
  await until(() => handled.length === 1, "it was handled");
});

Deno.test("an onConnect that throws or rejects closes that connection alone", async () => {
  for (
    const fail of [() => {
      throw new Error("no more room");
    }, () => Promise.reject(new Error("no more room"))]
  ) {
    let connected = 0;
    const onConnect = () => ++connected > 1 ? fail() : undefined;
    await withServer({ onConnect }, async ({ server, expectErrors, logs }) => {
      expectErrors();
      await using client = new Client({ port: server.port });
      await client.start().catch(() => {});
      const { code, reason } = await within(client.closed, "the client's end");
      assertEquals(code, "CLOSED");
      assert(!reason.includes("room"), "what was thrown stays here");
      assert(logs.text.includes("no more room"));
    });
  }
});

Deno.test("a client's onConnect that throws closes its connection", async () => {
  await withServer({}, async ({ server, expectErrors }) => {
    expectErrors();
    const onConnect = () => {
      throw new Error("mine");
    };
    await using client = new Client({ port: server.port, onConnect });
    await client.start();
    assertEquals((await within(client.closed, "the client's end")).code, "CLOSED");
  });
});

Deno.test("an onDisconnect that throws or rejects harms nobody", async () => {
  for (
    const onDisconnect of [() => {
      throw new Error("oops");
    }, () => Promise.reject(new Error("oops"))]
  ) {
    await withServer({ onDisconnect }, async ({ server, register, expectErrors, logs }) => {
      expectErrors();
      const peer = await register();
      await peer.close();
      await until(() => server.clients.size === 1, "it was forgotten");
      const client = new Client({ port: server.port, onDisconnect });
      await client.start();
      await client.close();
      await until(() => logs.of("error").length === 3, "each was logged");
    });
  }
});

Deno.test("onConnect may close the connection, and its client is told", async () => {
  let connected = 0;
  const onConnect = (connection: Connection) => {
    if (++connected > 1) return connection.close({ reason: "not today" });
  };
  await withServer({ onConnect }, async ({ server }) => {
    await using client = new Client({ port: server.port });
    await client.start();
    assertEquals(await within(client.closed, "the end"), { code: "CLOSED", reason: "not today" });
  });
});

Deno.test("a connection that ends while onConnect still runs is disconnected once", async () => {
  const gate = Promise.withResolvers<void>();
  const events: string[] = [];
  let connected = 0;
  const onConnect = async () => {
    if (++connected === 1) return;
    events.push("connect");
    await gate.promise;
    events.push("connected");
  };
  const onDisconnect = () => void events.push("disconnect");
  await withServer({ onConnect, onDisconnect }, async ({ register, server }) => {
    const peer = await register();
    await peer.sendPacket({ action: "honest-ask", data: 1 });
    await peer.reset();
    await until(() => server.clients.size === 1, "it was forgotten");
    gate.resolve();
    await until(() => events.length === 3, "onConnect returned");
    await settle();
    assertEquals(events, ["connect", "disconnect", "connected"]);
  });
});

Deno.test("what authenticate attached is there in onConnect and in handlers", async () => {
  const seen: unknown[] = [];
  await using server = new Server({
    port: 0,
    authenticate: ({ auth }) => ({ attach: { user: auth } }),
    onConnect: ({ attached }) => void seen.push(attached),
  });
  server.bindAction("who", (_data, _packet, { attached }) => attached);
  await server.start();
  await using client = new Client({ port: server.port, auth: "Ada" });
  await client.start();
  assertEquals(await client.request("who"), { user: "Ada" });
  assertEquals(seen, [{ user: "Ada" }]);
  assertEquals(client.connection!.attached, undefined);
});

Deno.test("raw strangers and hooks: a refused one never reaches onConnect", async () => {
  let connected = 0;
  const options = {
    authenticate: ({ auth }: Handshake) => auth !== "bad",
    onConnect: () => void connected++,
  };
  await withServer(options, async ({ server, connect }) => {
    const peer = await connect();
    await peer.send(hello({ auth: "bad" }));
    await peer.refused("REFUSED");
    await using other = await RawPeer.connect({ port: server.port });
    await other.send("{}\n");
    await other.refused("BAD_PACKET");
    assertEquals(connected, 1);
  });
});
