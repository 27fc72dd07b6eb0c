// Orderly ends of sessions, and of servers that have them.

import { assert, assertEquals, assertFalse, assertLess, assertRejects } from "@std/assert";
import {
  Client,
  type Connection,
  ConnectionError,
  Server,
  type ServerOptions,
  type SessionLoss,
} from "../../mod.ts";
import { withNetwork } from "../support/network_scene.ts";
import { hello, line, type RawPacket, RawPeer, type RawWelcome } from "../support/raw_peer.ts";
import { GRANT, handedOver, letComeBack, nextNumbered, resumeOf } from "../support/raw_session.ts";
import {
  IMPATIENT,
  onBothSidesOfSession,
  withHostileServer,
  withServer,
} from "../support/scene.ts";
import { pause, settle, until, within } from "../support/wait.ts";
import { DEFAULT_WIRE, WIRES } from "../support/wires.ts";

const WIRE = WIRES[DEFAULT_WIRE];

// server.close()

/** A server, and a raw client with a session. */
async function withSession(
  options: ServerOptions,
  act: (
    scene: { server: Server; peer: RawPeer & RawWelcome; connection: Connection },
  ) => Promise<void>,
): Promise<void> {
  const server = new Server({ ...WIRE.server, port: 0, drainTimeoutMs: 60_000, ...options });
  await server.start();
  await using peer = await RawPeer.register({ port: server.port }, { session: true });
  await act({ server, peer, connection: server.clients.get(peer.token)! });
  await within(server.close({ drainTimeoutMs: 0 }), "the server's end");
  assertEquals([server.state, server.clients.size], ["closed", 0]);
}

Deno.test("close() asks clients to go, lets replies through, and says goodbye last", async () => {
  const gate = Promise.withResolvers<string>();
  await withSession({}, async ({ server, peer }) => {
    server.bindAction("slow", () => gate.promise);
    await using plain = await RawPeer.register({ port: server.port });
    await peer.sendPacket({ action: "slow", id: 1, seq: 1 });
    await handedOver(peer, 1);
    const closing = server.close({ reason: "maintenance" });
    const asked = await peer.packet();
    assertEquals([asked.action, asked.seq], ["@goaway", undefined]);
    const { retryAfterMs } = asked.data as { retryAfterMs: number };
    assert(Number.isInteger(retryAfterMs) && retryAfterMs >= 0 && retryAfterMs <= 10);
    // Nothing new is begun.
    await peer.sendPacket({ action: "slow", id: 2, seq: 2 });
    const refused = await nextNumbered(peer);
    assertEquals([refused["reply-to"], refused.error!.code], [2, "GOING_AWAY"]);
    gate.resolve("done");
    const reply = await nextNumbered(peer);
    assertEquals([reply["reply-to"], reply.data], [1, "done"]);
    await peer.sendPacket({ action: "@ack", ack: 2 });
    const goodbye = await peer.farewell("GOING_AWAY");
    assertEquals((goodbye.data as { reason: string }).reason, "maintenance");
    // One without a session is asked for nothing.
    assertEquals((await plain.toEnd()).map(({ action }) => action), ["@close"]);
    await plain.close();
    await within(closing, "the server's end");
  });
});

Deno.test("close() waits until what was sent is acknowledged, for its drain time at most", async () => {
  for (const isHeeded of [true, false]) {
    const drainTimeoutMs = isHeeded ? 60_000 : 300;
    await withSession(
      { drainTimeoutMs, replayPackets: 2 },
      async ({ server, peer, connection }) => {
        // The last two wait for room.
        const sends = [1, 2, 3, 4].map((n) => connection.sendPacket({ action: "n", data: n }));
        const closing = server.close();
        let isClosed = false;
        closing.then(() => isClosed = true);
        assertEquals((await nextNumbered(peer)).data, 1);
        assertEquals((await nextNumbered(peer)).data, 2);
        if (isHeeded) {
          await peer.ping();
          await pause(50);
          assertFalse(isClosed || peer.ended !== undefined);
          await peer.sendPacket({ action: "@ack", ack: 2 });
          for (const n of [3, 4]) assertEquals((await nextNumbered(peer)).data, n);
          await peer.ping();
          await pause(50);
          assertFalse(isClosed || peer.ended !== undefined);
          await peer.sendPacket({ action: "@ack", ack: 4 });
          await peer.farewell("GOING_AWAY");
        } else {
          // They go out all the same.
          for (const n of [3, 4]) assertEquals((await nextNumbered(peer)).data, n);
          await peer.farewell("GOING_AWAY");
        }
        await within(closing, "the server's end");
        await Promise.all(sends);
        const { unknown, unsent } = connection.undelivered;
        assertEquals(unknown.map(({ data }) => data), isHeeded ? [] : [1, 2, 3, 4]);
        assertEquals(unsent, []);
      },
    );
  }
});

Deno.test("what arrives while the server closes is not acknowledged, unless it is answered", async () => {
  const gate = Promise.withResolvers<void>();
  const heard: unknown[] = [];
  await withSession({}, async ({ server, peer }) => {
    server.bindAction("slow", () => gate.promise);
    server.bindAction("hear", (data) => void heard.push(data));
    await peer.sendPacket({ action: "hear", data: "before", seq: 1 });
    await peer.sendPacket({ action: "slow", id: 1, seq: 2 });
    await handedOver(peer, 2);
    const closing = server.close();
    await peer.packetOf("@goaway");
    await peer.sendPacket({ action: "hear", data: "late", seq: 3 });
    await peer.sendPacket({ action: "hear", id: 2, seq: 4 });
    await handedOver(peer, 2);
    gate.resolve();
    const packets: RawPacket[] = [await nextNumbered(peer)];
    await peer.sendPacket({ action: "@ack", ack: 2 });
    packets.push(...await peer.toEnd());
    await peer.close();
    await within(closing, "the server's end");
    assertEquals(heard, ["before"]);
    assert(packets.every(({ ack = 0 }) => ack as number <= 2), JSON.stringify(packets));
  });
});

Deno.test("the times after which clients may come back are spread", async () => {
  await withSession({}, async ({ server, peer: first }) => {
    const COUNT = 60;
    const peers = await Promise.all(
      Array.from(
        { length: COUNT },
        () => RawPeer.register({ port: server.port }, { session: true }),
      ),
    );
    const closing = server.close();
    const waits: number[] = [];
    for (const peer of peers) {
      waits.push(((await peer.packetOf("@goaway")).data as { retryAfterMs: number }).retryAfterMs);
      await peer.close();
    }
    await first.close();
    await within(closing, "the server's end");
    assert(waits.every((wait) => wait >= 0 && wait <= (COUNT + 1) * 5), String(waits));
    assert(new Set(waits).size > 10, String(waits));
  });
});

Deno.test("close() ends detached sessions, and refuses those that are coming back", async () => {
  let isAsked = false;
  const disconnected: string[] = [];
  const options = {
    authenticate: (_handshake: unknown, held?: Connection) => {
      isAsked ||= held !== undefined;
      return held ? new Promise<boolean>(() => {}) : true;
    },
    onDisconnect: (_connection: unknown, { code }: { code: string }) =>
      void disconnected.push(code),
  };
  await withSession(options, async ({ server, peer, connection }) => {
    connection.sendPacket({ action: "n", data: 1 });
    await nextNumbered(peer);
    await peer.reset();
    await until(() => connection.state === "detached", "it was detached");
    connection.sendPacket({ action: "n", data: 2 });
    await using again = await RawPeer.connect({ port: server.port });
    await again.send(hello({ session: true, resume: resumeOf(peer) }));
    await until(() => isAsked, "it is being decided");
    const start = performance.now();
    const closing = server.close();
    await again.refused("GOING_AWAY");
    await within(closing, "the server's end");
    assertLess(performance.now() - start, 3_000, "nobody is waited for who is not there");
    assertEquals(disconnected, ["GOING_AWAY"]);
    const { unknown, unsent } = connection.undelivered;
    assertEquals([unknown, unsent].map((list) => list.map(({ data }) => data)), [[1], [2]]);
    assertEquals((await connection.closed).code, "GOING_AWAY");
  });
});

Deno.test("a socket that drops while the server closes holds nothing up", async () => {
  await withSession({ drainTimeoutMs: 60_000 }, async ({ server, peer, connection }) => {
    server.bindAction("never", () => new Promise(() => {}));
    await peer.sendPacket({ action: "never", id: 1, seq: 1 });
    await handedOver(peer, 1);
    const closing = server.close();
    await peer.packetOf("@goaway");
    await peer.reset();
    await within(closing, "the server's end");
    assertEquals(connection.state, "closed");
  });
});

// @goaway, on a client

Deno.test("a client that is asked to go holds what is new, and lets replies through", async () => {
  await withHostileServer(IMPATIENT, async ({ client, server, start }) => {
    const gate = Promise.withResolvers<void>();
    client.bindAction("slow", async (data) => {
      await gate.promise;
      return data;
    });
    client.bindAction("hear", () => {});
    const peer = await start(GRANT);
    const early = client.request("ask", "early");
    const asked = await nextNumbered(peer);
    await peer.sendPacket({ action: "slow", data: "reply", id: 1, seq: 1 });
    await peer.sendPacket({ action: "@goaway", data: { retryAfterMs: 30 } });
    await peer.ping();
    const outcomes: string[] = [];
    const held = [
      client.sendPacket({ action: "n", data: 1 }),
      client.request("ask", 2),
      client.sendPacket({ action: "n", data: 3 }, { delivered: true }),
    ].map((promise, index) =>
      promise.then(() => outcomes.push(`${index} resolved`), ({ code }) => outcomes.push(code))
    );
    await client.sendPacket({ action: "v" }, { volatile: true });
    gate.resolve();
    const reply = await nextNumbered(peer);
    assertEquals([reply["reply-to"], reply.data, reply.seq], [1, "reply", 2]);
    await peer.sendPacket({ action: "hear", seq: 2 });
    await handedOver(peer, 2);
    await peer.sendPacket({ action: "ask", data: "answer", "reply-to": asked.id, seq: 3, ack: 2 });
    assertEquals(await early, "answer");
    await peer.ping();
    assertFalse(peer.hasLines);
    assertEquals([outcomes, client.state], [[], "connected"]);
    assert(client.connection!.stats.buffered > 0);

    await peer.send(line({ action: "@close", data: { code: "GOING_AWAY", reason: "bye" } }));
    peer.fin();
    // It is the same server after all.
    const again = await letComeBack(server, peer, { ack: 2 });
    const packets = [
      await nextNumbered(again),
      await nextNumbered(again),
      await nextNumbered(again),
    ];
    assertEquals(packets.map(({ seq, data }) => [seq, data]), [[3, 1], [4, 2], [5, 3]]);
    assertFalse(peer.text.includes('"v"') || again.text.includes('"v"'));
    await again.sendPacket({
      action: "ask",
      data: "late",
      "reply-to": packets[1].id,
      seq: 4,
      ack: 5,
    });
    await Promise.all(held);
    assertEquals(outcomes.sort(), ["0 resolved", "1 resolved", "2 resolved"]);
  });
});

Deno.test("a client that is asked to go bounds what it holds", async () => {
  const options = { ...IMPATIENT, maxBufferedBytes: 10_000 };
  await withHostileServer(options, async ({ client, start }) => {
    const peer = await start(GRANT);
    await peer.sendPacket({ action: "@goaway", data: { retryAfterMs: 0 } });
    await peer.ping();
    const data = "x".repeat(3_000);
    const outcomes = Array.from(
      { length: 6 },
      () => client.sendPacket({ action: "n", data }).catch(({ code }) => code),
    );
    assertEquals(await Promise.all(outcomes.slice(3)), Array(3).fill("OVERLOADED"));
    assertEquals(await client.request("ask", data).catch(({ code }) => code), "OVERLOADED");
  });
});

Deno.test("clients go on with the next server on the port, and know what the one before did not get", async () => {
  const CLIENTS = 20;
  let server = new Server({ ...WIRE.server, port: 0, drainTimeoutMs: 60_000 });
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const serve = (on: Server) => {
    on.bindAction("slow", (n) => gate.then(() => n));
    on.bindAction("fast", (n) => n);
  };
  serve(server);
  await server.start();
  const { port } = server;
  const losses: SessionLoss[] = [];
  const clients = Array.from({ length: CLIENTS }, () =>
    new Client({
      ...WIRE.client,
      port,
      ...IMPATIENT,
      onSessionLost: (_connection, loss) => void losses.push(loss),
    }));
  await Promise.all(clients.map((client) => client.start()));
  const running = Promise.all(clients.map((client, n) => client.request("slow", n)));
  await until(
    () => [...server.clients.values()].every(({ stats }) => stats.inFlight === 1),
    "all run",
  );
  const closing = server.close({ reason: "a new version" });
  await until(
    () => clients.every((client) => client.connection!.stats.packetsReceived > 0),
    "all know",
  );
  // The first went out before the clients knew, perhaps; these did not.
  await Promise.all(clients.map((client) => client.ping()));
  const held = clients.map((client) => client.request("fast", "held").catch(({ code }) => code));
  open();
  assertEquals(await within(running, "the replies"), [...Array(CLIENTS).keys()]);
  await within(closing, "the server's end");
  await until(() => clients.every(({ state }) => state === "reconnecting"), "all look for another");

  server = new Server({ ...WIRE.server, port });
  serve(server);
  await server.start();
  await until(() => losses.length === CLIENTS, "all have found it");
  assertEquals(await Promise.all(held), Array(CLIENTS).fill("SESSION_LOST"));
  for (const { reason, unknown, unsent, forgotten } of losses) {
    assertEquals([reason, unknown, forgotten], ["restarted", [], 0]);
    assertEquals(unsent, [{ kind: "request", action: "fast", data: "held" }]);
  }
  const replies = await Promise.all(clients.map((client, n) => client.request("fast", n)));
  assertEquals(replies, [...Array(CLIENTS).keys()]);
  await Promise.all(clients.map((client) => client.close()));
  await server.close();
});

Deno.test("a server that is replaced under load leaves no request without an outcome", async () => {
  const CLIENTS = 30;
  let server = new Server({ ...WIRE.server, port: 0, drainTimeoutMs: 60_000 });
  const handled = new Set<unknown>();
  const serve = (on: Server) =>
    on.bindAction("work", async (data) => {
      await pause(1);
      handled.add(data);
      return data;
    });
  serve(server);
  await server.start();
  const { port } = server;
  const clients = Array.from(
    { length: CLIENTS },
    () => new Client({ ...WIRE.client, port, ...IMPATIENT }),
  );
  await Promise.all(clients.map((client) => client.start()));
  let isOver = false;
  const counts: Record<string, number> = {};
  const working = clients.map(async (client, index) => {
    for (let n = 0; !isOver; n++) {
      const data = `${index}.${n}`;
      const outcome = await client.request("work", data).then((reply) => {
        assertEquals(reply, data);
        assert(handled.has(data));
        return "answered";
      }, ({ code }) => code as string);
      counts[outcome] = (counts[outcome] ?? 0) + 1;
    }
  });
  await until(() => counts.answered > 500, "work is done");
  await within(server.close(), "the server's end");
  const before = counts.answered;
  server = new Server({ ...WIRE.server, port });
  serve(server);
  await server.start();
  await until(() => counts.answered > before + 500, "work is done again");
  isOver = true;
  await within(Promise.all(working), "every outcome");
  const { answered: _answered, ...others } = counts;
  assert(
    Object.keys(others).every((code) => ["SESSION_LOST", "GOING_AWAY"].includes(code)),
    JSON.stringify(counts),
  );
  await Promise.all(clients.map((client) => client.close()));
  await server.close();
});

// connection.close()

Deno.test("a client whose connection the server closes does not come back", async () => {
  await withNetwork({}, async ({ client, connection, proxy, told }) => {
    await connection.close({ reason: "go away" });
    const info = await within(client.closed, "the client's end");
    assertEquals(info, { code: "CLOSED", reason: "go away" });
    await pause(50);
    assertEquals(proxy.links.length, 1);
    assertFalse(told.some((hook) => hook.includes("onDetach")));
  });
});

onBothSidesOfSession(
  "a session that the other side closes cannot go on, and what was left is known",
  {},
  async ({ peer, connection }) => {
    connection.sendPacket({ action: "n", data: 1 });
    connection.sendPacket({ action: "n", data: 2 });
    assertEquals((await nextNumbered(peer)).data, 1);
    const asked = assertRejects(() => connection.request("n", 3), ConnectionError);
    const goodbye = { action: "@close", data: { code: "CLOSED", reason: "bye" }, ack: 1 };
    await peer.sendPacket(goodbye);
    peer.fin();
    assertEquals((await within(connection.closed, "its end")).code, "CLOSED");
    assertEquals((await asked).code, "CLOSED");
    const { unknown, unsent } = connection.undelivered;
    assertEquals([unknown.map(({ data }) => data), unsent], [[2, 3], []]);
  },
);

for (const code of ["SESSION_LOST", "TAKEN_OVER", "PROTOCOL_ERROR", "CLOSED", "WHATEVER"]) {
  onBothSidesOfSession(
    `a goodbye with ${code} ends the session`,
    {},
    async ({ peer, connection }) => {
      await peer.sendPacket({ action: "@close", data: { code, reason: "bye" } });
      peer.fin();
      await within(connection.closed, "its end");
    },
  );
}

for (const code of ["CONNECTION_LOST", "HEARTBEAT_TIMEOUT", "SLOW_CONSUMER", "GOING_AWAY"]) {
  onBothSidesOfSession(
    `a goodbye with ${code} ends the socket, and the session goes on`,
    {},
    async ({ peer, connection, comeBack }) => {
      connection.sendPacket({ action: "n", data: 1 });
      await nextNumbered(peer);
      await peer.sendPacket({ action: "@close", data: { code, reason: "bye" } });
      await peer.toEnd();
      await peer.close();
      const again = await comeBack();
      assertEquals((await nextNumbered(again)).data, 1);
    },
  );
}

Deno.test("a connection that is being closed cannot be resumed", async () => {
  await withServer({}, async ({ server, register }) => {
    const gate = Promise.withResolvers<string>();
    server.bindAction("slow", () => gate.promise);
    const peer = await register({ session: true });
    const connection = server.clients.get(peer.token)!;
    await peer.sendPacket({ action: "slow", id: 1, seq: 1 });
    await handedOver(peer, 1);
    const closing = connection.close({ drainTimeoutMs: 60_000 });
    assertEquals(connection.state, "draining");
    const other = await register({ session: true, resume: resumeOf(peer) });
    const { resumed, reason } = other.welcome.data as Record<string, unknown>;
    assertEquals([resumed, reason], [false, "expired"]);
    gate.resolve("done");
    // The one that closes still has its answer.
    assertEquals((await nextNumbered(peer)).data, "done");
    await peer.sendPacket({ action: "@ack", ack: 1 });
    await peer.farewell("CLOSED");
    await within(closing, "its end");
    await other.ping();
    await settle();
    assertFalse(other.hasLines);
  });
});

Deno.test("close({ drainTimeoutMs }) of either side waits for handlers and acknowledgements", async () => {
  for (const closer of ["client", "server"] as const) {
    await withNetwork({}, async ({ server, client, connection }) => {
      const gate = Promise.withResolvers<void>();
      const seen: unknown[] = [];
      for (const side of [server, client]) {
        side.bindAction("slow", (n) => gate.promise.then(() => n));
        side.bindAction("hear", (n) => void seen.push(n));
      }
      const [closing, other] = closer === "client" ? [client, connection] : [connection, client];
      const asked = other.request("slow", 1);
      await until(
        () => connection.stats.inFlight + client.connection!.stats.inFlight === 1,
        "the handler runs",
      );
      for (let n = 0; n < 2_000; n++) closing.sendPacket({ action: "hear", data: n });
      const closed = closing.close({ drainTimeoutMs: 60_000 });
      gate.resolve();
      assertEquals(await within(asked, "the reply"), 1);
      await within(closed, "the end");
      assertEquals(seen, [...Array(2_000).keys()]);
      const { unknown, unsent, forgotten } = (closer === "client" ? client.connection! : connection)
        .undelivered;
      assertEquals([unknown, unsent, forgotten], [[], [], 0]);
      await within(client.closed, "the client's end");
    });
  }
});
