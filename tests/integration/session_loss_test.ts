// Sessions that cannot go on: why, and what is known of what was under way. Row 28 of the project's list of
// bad inputs.

import { assert, assertEquals, assertFalse, assertStrictEquals } from "@std/assert";
import { type Client, type LostPacket, Server, type SessionLoss } from "../../mod.ts";
import { type NetworkScene, withNetwork } from "../support/network_scene.ts";
import { comeBack, GRANT, nextNumbered, resumeOf } from "../support/raw_session.ts";
import { IMPATIENT, withHostileServer, withServer } from "../support/scene.ts";
import { withSocketPath } from "../support/socket_path.ts";
import { pause, settle, until, within } from "../support/wait.ts";
import { DEFAULT_WIRE, WIRES } from "../support/wires.ts";

const TTL_MS = 150;
const WIRE = WIRES[DEFAULT_WIRE];

/** What a list names: `n 4`, `request r1`, … */
function named(packets: LostPacket[]): string[] {
  return packets.map(({ kind, action, data }) => {
    assertEquals(action, "hear");
    return kind === "packet" ? String(data) : `${kind} ${data}`;
  });
}

/** How a promise ends. */
function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(() => "resolved", ({ code }) => code);
}

/**
 * Has a client send packets of every fate, and loses its session then. What was sent to it is book-kept by
 * the server alike.
 */
async function loseSession(
  scene: NetworkScene,
  losses: SessionLoss[],
  lose: () => Promise<void>,
): Promise<void> {
  const { server, client, connection, proxy, told, drop } = scene;
  const seen = { client: [] as unknown[], server: [] as unknown[] };
  const never = () => new Promise<void>(() => {});
  server.bindAction("hear", (data) => {
    seen.server.push(data);
    if (data === "asked") return never();
  });
  client.bindAction("hear", (data) => void seen.client.push(data));
  connection.join("readers");
  const before = { id: client.id, token: client.token, connection: client.connection! };

  // Delivered.
  for (const n of [1, 2, 3]) client.sendPacket({ action: "hear", data: n });
  await client.sendPacket({ action: "hear", data: 4 }, { delivered: true });
  await connection.sendPacket({ action: "hear", data: 1 }, { delivered: true });
  // They arrive, and nobody is told.
  proxy.last!.silence("toClient");
  const outcomes = [codeOf(client.request("hear", "asked"))];
  for (const n of [5, 6]) client.sendPacket({ action: "hear", data: n });
  await until(() => seen.server.length === 7, "they arrived");
  connection.sendPacket({ action: "hear", data: 2 });
  // They are written, and do not arrive.
  proxy.last!.silence();
  for (const n of [7, 8]) outcomes.push(codeOf(client.sendPacket(hear(n), { delivered: true })));
  await until(() => client.connection!.stats.buffered === 0, "they were written");
  await pause(5);
  proxy.pull();
  await drop();
  // They are not written; and there is no room for the last one.
  for (const n of [9, 10]) outcomes.push(codeOf(client.sendPacket(hear(n))));
  outcomes.push(codeOf(client.request("hear", "never asked")));
  outcomes.push(codeOf(client.sendPacket(hear(11))));
  outcomes.push(codeOf(client.delivered()));
  for (const n of [3, 4]) connection.sendPacket({ action: "hear", data: n });
  assertEquals(losses, []);

  await lose();
  await until(() => losses.length === 1, "the client was told");
  const [{ unknown, unsent, forgotten }] = losses;
  assertEquals(named(unknown), ["request asked", "5", "6", "7", "8"]);
  assertEquals(named(unsent), ["9", "10", "request never asked", "11"]);
  assertEquals(forgotten, 0);
  // Without a doubt: what is unsent was never seen, and what was seen is not unsent.
  assertEquals(seen.server, [1, 2, 3, 4, "asked", 5, 6]);
  const lost = "SESSION_LOST";
  // Those that had room resolved when they took it.
  assertEquals(await within(Promise.all(outcomes), "all outcomes"), [
    lost,
    lost,
    lost,
    "resolved",
    "resolved",
    lost,
    lost,
    lost,
  ]);
  assertEquals(connection.undelivered.forgotten, 0);
  assertEquals(named(connection.undelivered.unknown), ["2"]);
  assertEquals(named(connection.undelivered.unsent), ["3", "4"]);
  assertEquals(seen.client, [1]);

  // The Connection stays, under another name.
  assertStrictEquals(client.connection, before.connection);
  assertFalse(client.id === before.id || client.token === before.token);
  assertFalse(client.clients.has(before.token!));
  assertStrictEquals(client.clients.get(client.token!), before.connection);
  assertEquals([client.state, client.connection!.state], ["connected", "open"]);
  assertEquals(client.connection!.undelivered.unknown, unknown);
  const stats = client.connection!.stats;
  assertEquals([stats.unacknowledged, stats.buffered, stats.pending], [0, 0, 0]);
  const hooks = told.filter((hook) => hook.startsWith("client") && !hook.includes("onRetry"));
  assertEquals(hooks.slice(0, 2), ["client onConnect", "client onDetach CONNECTION_LOST"]);
  assert(hooks[2].startsWith("client onSessionLost"));
  assertEquals(hooks.length, 3);
}

function hear(data: unknown) {
  return { action: "hear", data };
}

/** A window that is full when all but the last packet are in it. */
const CLIENT = { replayPackets: 7 };

Deno.test("row 28: after its time a session is lost as expired, and both lists are exact", async () => {
  const losses: SessionLoss[] = [];
  const options = {
    server: { sessionTtlMs: TTL_MS },
    client: {
      ...CLIENT,
      onSessionLost: (_connection: unknown, loss: SessionLoss) => void losses.push(loss),
    },
  };
  await withNetwork(options, async (scene) => {
    const { server, client, connection, proxy, told } = scene;
    await loseSession(scene, losses, async () => {
      const info = await within(connection.closed, "the session's end");
      assertEquals(info.code, "SESSION_LOST");
      proxy.plugIn();
    });
    assertEquals(losses[0].reason, "expired");
    assertFalse([...server.clients.values()].includes(connection));
    assertEquals([connection.state, server.groups], ["closed", []]);
    assertEquals(await codeOf(connection.sendPacket({ action: "n" })), "SESSION_LOST");
    assertEquals(
      told.filter((hook) => hook.startsWith("server")),
      [
        "server onConnect",
        "server onDetach CONNECTION_LOST",
        "server onDisconnect SESSION_LOST",
        "server onConnect",
      ],
    );
    await goesOn(client, server);
  });
});

Deno.test("row 28: after a restart of the server a session is lost as restarted, and both lists are exact", async () => {
  const losses: SessionLoss[] = [];
  const options = {
    client: {
      ...CLIENT,
      onSessionLost: (_connection: unknown, loss: SessionLoss) => void losses.push(loss),
    },
  };
  await using next = new Server({ port: 0, drainTimeoutMs: 100, ...WIRE.server });
  await next.start();
  await withNetwork(options, async (scene) => {
    const { server, client, proxy } = scene;
    await loseSession(scene, losses, async () => {
      // It never comes back as itself.
      await server.close({ drainTimeoutMs: 0 });
      proxy.to = next.port;
      proxy.plugIn();
    });
    assertEquals(losses[0].reason, "restarted");
    await goesOn(client, next);
    await client.close();
  });
});

/** A session that began anew does what the one before did. */
async function goesOn(client: Client, server: Server): Promise<void> {
  const connection = server.clients.get(client.token!)!;
  assertEquals([...connection.groups], []);
  server.bindAction("echo", (data) => data);
  assertEquals(await client.request("echo", 1), 1);
  await Promise.all([
    client.sendPacket({ action: "echo" }, { delivered: true }),
    connection.sendPacket({ action: "hear" }, { delivered: true }),
  ]);
}

Deno.test("row 28: a session of which too much was pushed out is lost as overflow", async () => {
  const losses: SessionLoss[] = [];
  const options = {
    server: { replayPackets: 4 },
    client: { onSessionLost: (_: unknown, loss: SessionLoss) => void losses.push(loss) },
  };
  await withNetwork(options, async ({ server, client, connection, proxy, drop, told }) => {
    const seen: unknown[] = [];
    client.bindAction("hear", (data) => void seen.push(data));
    server.broadcast(hear(1));
    await connection.delivered();
    proxy.last!.silence();
    server.broadcast(hear(2));
    await until(() => connection.stats.buffered === 0, "it was written");
    client.sendPacket(hear("unknown"));
    await until(() => client.connection!.stats.buffered === 0, "it was written");
    await pause(5);
    proxy.pull();
    await drop();
    client.sendPacket(hear("unsent"));
    for (let n = 3; n <= 9; n++) server.broadcast(hear(n));
    proxy.plugIn();
    await until(() => losses.length === 1, "the client was told");
    assertEquals(losses[0].reason, "overflow");
    assertEquals([named(losses[0].unknown), named(losses[0].unsent)], [["unknown"], ["unsent"]]);
    assertEquals(seen, [1]);
    // 2 to 5 were pushed out.
    const { unknown, unsent, forgotten } = connection.undelivered;
    assertEquals([named(unknown), named(unsent), forgotten], [[], ["6", "7", "8", "9"], 4]);
    assertEquals((await connection.closed).code, "SESSION_LOST");
    assert(told.includes("server onDisconnect SESSION_LOST"));
    await goesOn(client, server);
  });
});

Deno.test("what was pushed out but received does not stand in the way of a resume", async () => {
  await withServer({ replayPackets: 4 }, async ({ server, register, adopt, honest }) => {
    const except = server.clients.getById(honest.id)!;
    const peer = await register({ session: true });
    const connection = server.clients.get(peer.token)!;
    for (let n = 1; n <= 10; n++) server.broadcast(hear(n), { except });
    // All went out, though four at most are kept.
    for (let n = 1; n <= 10; n++) assertEquals((await nextNumbered(peer)).data, n);
    const again = adopt(await comeBack({ port: server.port }, peer, 6));
    for (let n = 7; n <= 10; n++) assertEquals((await nextNumbered(again)).data, n);
    await peer.close();
    await again.reset();
    await until(() => connection.state === "detached", "it was detached");
    const late = await register({ session: true, resume: resumeOf(peer, 5) });
    const { resumed, reason } = late.welcome.data as Record<string, unknown>;
    assertEquals([resumed, reason], [false, "overflow"]);
    assertEquals(connection.undelivered.forgotten, 0);
    assertEquals(named(connection.undelivered.unknown), ["7", "8", "9", "10"]);
  });
});

Deno.test("a client that has much to answer between two sockets loses nothing of it", async () => {
  const options = { client: { maxBufferedBytes: 20_000 } };
  await withNetwork(options, async ({ server, client, connection, proxy, drop }) => {
    const gate = Promise.withResolvers<void>();
    let calls = 0;
    client.bindAction("big", async () => {
      calls++;
      await gate.promise;
      return "x".repeat(2_000);
    });
    const COUNT = 30;
    const asked = Array.from({ length: COUNT }, () => connection.request("big"));
    await until(() => calls === COUNT, "the handlers run");
    proxy.pull();
    await drop();
    gate.resolve();
    await until(() => client.connection!.stats.unacknowledged === COUNT, "all were answered");
    proxy.plugIn();
    assertEquals(await Promise.all(asked), Array(COUNT).fill("x".repeat(2_000)));
    await goesOn(client, server);
  });
});

Deno.test("what waits from a lost session is still handled, and answered and acknowledged to nobody", async () => {
  await withHostileServer({ ...IMPATIENT, maxInFlight: 1 }, async ({ client, server, start }) => {
    const gates: PromiseWithResolvers<string>[] = [];
    const heard: unknown[] = [];
    client.bindAction("hear", (data) => {
      heard.push(data);
      gates.push(Promise.withResolvers());
      return gates.at(-1)!.promise;
    });
    const first = await start(GRANT);
    await first.sendPacket(
      { ...hear("asked before"), seq: 1, id: 1 },
      { ...hear("before"), seq: 2 },
    );
    await until(() => client.connection!.stats.waiting === 1, "one runs, one waits");
    await first.reset();
    const next = await server.register({ ...GRANT, epoch: "the-second-run", reason: "restarted" });
    await until(() => client.token === next.token, "it began anew");
    await next.sendPacket({ ...hear("after"), seq: 1 }, { ...hear("next"), seq: 2 });
    await until(() => client.connection!.stats.waiting === 3, "three wait");
    await next.sendPacket({ action: "@ping" });
    assertEquals((await next.packetOf("@pong")).ack, 0);
    // The request of before has the number of one that may come now, and is not answered in its place.
    gates[0].resolve("too late");
    await until(() => heard.length === 2, "the next one runs");
    gates[1].resolve("");
    await until(() => heard.length === 3, "the next one runs");
    await next.sendPacket({ action: "@ping" });
    assertEquals((await next.packetOf("@pong")).ack, 1);
    gates[2].resolve("");
    await until(() => heard.length === 4, "the last one runs");
    gates[3].resolve("");
    await next.sendPacket({ ...hear("asked now"), seq: 3, id: 1 });
    await until(() => heard.length === 5, "the request runs");
    gates[4].resolve("in time");
    const reply = await nextNumbered(next);
    assertEquals([reply["reply-to"], reply.data, reply.seq], [1, "in time", 1]);
    assertEquals(heard, ["asked before", "before", "after", "next", "asked now"]);
  });
});

Deno.test("a handler that a lost session left running does not answer for one of the next", async () => {
  await withHostileServer(IMPATIENT, async ({ client, server, start }) => {
    const gates = new Map<unknown, PromiseWithResolvers<string>>();
    client.bindAction("hear", (data) => {
      const gate = Promise.withResolvers<string>();
      gates.set(data, gate);
      return gate.promise;
    });
    const first = await start(GRANT);
    await first.sendPacket({ ...hear("before"), seq: 1, id: 1 });
    await until(() => gates.has("before"), "it runs");
    await first.reset();
    const next = await server.register({ ...GRANT, epoch: "the-second-run", reason: "restarted" });
    await next.sendPacket({ ...hear("now"), seq: 1, id: 1 });
    await until(() => gates.has("now"), "it runs");
    gates.get("before")!.resolve("too late");
    await settle();
    await next.ping();
    assertFalse(next.hasLines);
    gates.get("now")!.resolve("in time");
    const reply = await nextNumbered(next);
    assertEquals([reply["reply-to"], reply.data], [1, "in time"]);
  });
});

Deno.test("what was queued for a socket that took no more is unsent", async () => {
  await withSocketPath(async (path) => {
    await withServer({ path }, async ({ server, register }) => {
      const peer = await register({ session: true });
      const connection = server.clients.get(peer.token)!;
      peer.stopReading();
      // More than the socket holds is being written, …
      for (let n = 0; n < 30; n++) connection.sendPacket(hear("x".repeat(20_000)));
      await settle();
      // … and these wait behind it.
      for (let n = 0; n < 5; n++) connection.sendPacket(hear(n));
      await settle();
      await peer.reset();
      await until(() => connection.state === "detached", "it was detached");
      connection.sendPacket(hear(5));
      await connection.close();
      const { unknown, unsent, forgotten } = connection.undelivered;
      assertEquals([unknown.length, named(unsent), forgotten], [
        30,
        ["0", "1", "2", "3", "4", "5"],
        0,
      ]);
    });
  });
});

Deno.test("a session can be lost again and again", async () => {
  const losses: SessionLoss[] = [];
  const options = {
    server: { sessionTtlMs: 20 },
    client: { onSessionLost: (_: unknown, loss: SessionLoss) => void losses.push(loss) },
  };
  await withNetwork(options, async ({ server, client, proxy, drop }) => {
    for (let time = 1; time <= 3; time++) {
      proxy.pull();
      await drop();
      client.sendPacket(hear(time));
      await until(() => server.clients.size === 0, "the server gave it up");
      proxy.plugIn();
      await until(() => losses.length === time, "the client was told");
      assertEquals([losses.at(-1)!.reason, named(losses.at(-1)!.unsent)], ["expired", [`${time}`]]);
      await goesOn(client, server);
    }
  });
});

// No sessions

Deno.test("a server without sessions grants none, and a dropped socket is the end", async () => {
  const options = { server: { sessionTtlMs: false as const } };
  await withNetwork(options, async ({ client, connection, proxy, told }) => {
    assertEquals([client.connection!.hasSession, connection.hasSession], [false, false]);
    for (const side of [client, connection]) {
      assertEquals(await codeOf(side.delivered()), "NO_SESSION");
      assertEquals(await codeOf(side.sendPacket(hear(1), { delivered: true })), "NO_SESSION");
    }
    proxy.cutAll();
    assertEquals((await within(client.closed, "the client's end")).code, "CONNECTION_LOST");
    assertEquals((await within(connection.closed, "the end")).code, "CONNECTION_LOST");
    assertFalse(told.some((hook) => hook.includes("onDetach")));
    assertEquals(connection.undelivered, { unknown: [], unsent: [], forgotten: 0 });
  });
});

Deno.test("a client that comes back to a server without sessions goes on without one", async () => {
  await using plain = new Server({ port: 0, sessionTtlMs: false, ...WIRE.server });
  await plain.start();
  await withNetwork({}, async ({ client, proxy, drop, told }) => {
    proxy.to = plain.port;
    await drop();
    await until(() => client.state === "connected", "it is back");
    assertEquals(client.connection!.hasSession, false);
    assert(told.at(-1)!.startsWith("client onSessionLost"));
    assertEquals(await codeOf(client.request("nothing")), "NO_ACTION");
    assertEquals(await codeOf(client.delivered()), "NO_SESSION");
    proxy.cutAll();
    assertEquals((await within(client.closed, "the client's end")).code, "CONNECTION_LOST");
  });
});
