import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { Client, ConnectionError, RequestError, Server } from "../../mod.ts";
import { HonestClient, serveHonestly } from "../support/honest.ts";
import { LeapingTime } from "../support/leaping_time.ts";
import { hello, line, RawPeer } from "../support/raw_peer.ts";
import { pause, until, within } from "../support/wait.ts";

// Without sessions, wherever a client is to see the end: one with a session comes back. For those see
// session_shutdown_test.ts.

Deno.test("close() says GOING_AWAY to every client, with the reason, and ends them", async () => {
  const server = new Server({ port: 0 });
  await server.start();
  const clients = Array.from(
    { length: 5 },
    () => new Client({ port: server.port, session: false }),
  );
  await Promise.all(clients.map((client) => client.start()));
  const raw = await RawPeer.register({ port: server.port });
  const closing = server.close({ reason: "maintenance at noon" });
  const goodbye = await raw.farewell("GOING_AWAY");
  assertEquals(goodbye.data, { code: "GOING_AWAY", reason: "maintenance at noon" });
  await within(closing, "the server's end");
  for (const client of clients) {
    assertEquals(await client.closed, { code: "GOING_AWAY", reason: "maintenance at noon" });
    assertEquals(client.state, "closed");
  }
  assertEquals([server.clients.size, server.state], [0, "closed"]);
  const late = new Client({ port: server.port });
  assertEquals((await assertRejects(() => late.start(), ConnectionError)).code, "CONNECT_FAILED");
  await late.close();
});

Deno.test("close() lets running handlers finish and their replies go out", async () => {
  const server = new Server({ port: 0 });
  const gate = Promise.withResolvers<string>();
  let started = 0;
  server.bindAction("slow", () => {
    started++;
    return gate.promise;
  });
  await server.start();
  const client = new Client({ port: server.port, session: false });
  await client.start();
  const replies = [client.request("slow"), client.request("slow")];
  await until(() => started === 2, "the handlers ran");
  const closing = server.close();
  assertEquals(server.state, "closing");
  const refused = await assertRejects(() => client.request("slow"), ConnectionError);
  assertEquals(refused.code, "GOING_AWAY");
  await client.sendPacket({ action: "slow" });
  await client.ping();
  assertEquals(started, 2);
  gate.resolve("done");
  assertEquals(await Promise.all(replies), ["done", "done"]);
  await within(closing, "the server's end");
  assertEquals((await client.closed).code, "GOING_AWAY");
});

Deno.test("handlers that run while the server closes may still ask their clients", async () => {
  const server = new Server({ port: 0 });
  const gate = Promise.withResolvers<void>();
  server.bindAction("greet", async (_data, _packet, peer) => {
    await gate.promise;
    return `hello ${await peer.request("name")}`;
  });
  await server.start();
  const client = new Client({ port: server.port, session: false });
  client.bindAction("name", () => "Ada");
  await client.start();
  const greeted = client.request("greet");
  await client.ping();
  const closing = server.close();
  gate.resolve();
  assertEquals(await greeted, "hello Ada");
  await within(closing, "the server's end");
});

Deno.test("a handler that never settles holds close() up for drainTimeoutMs only", async () => {
  for (const own of [undefined, 100]) {
    const server = new Server({ port: 0, drainTimeoutMs: own === undefined ? 100 : 60_000 });
    server.bindAction("never", () => new Promise(() => {}));
    await server.start();
    const client = new Client({ port: server.port, session: false });
    await client.start();
    const reply = assertRejects(() => client.request("never"), ConnectionError);
    await client.ping();
    await within(server.close({ drainTimeoutMs: own }), "the server's end");
    assertEquals((await reply).code, "GOING_AWAY");
  }
});

Deno.test("close({ drainTimeoutMs: 0 }) waits for no handler", async () => {
  const server = new Server({ port: 0 });
  server.bindAction("never", () => new Promise(() => {}));
  await server.start();
  const client = new Client({ port: server.port, session: false });
  await client.start();
  const reply = assertRejects(() => client.request("never"), ConnectionError);
  await client.ping();
  const start = performance.now();
  await server.close({ drainTimeoutMs: 0 });
  assertLess(performance.now() - start, 5_000);
  assertEquals((await reply).code, "GOING_AWAY");
});

Deno.test("close() refuses options of a wrong type, and the server goes on", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  const close = server.close.bind(server) as (options: unknown) => Promise<void>;
  await assertRejects(() => close({ reason: 5 }), TypeError);
  await assertRejects(() => close({ drainTimeoutMs: "1" }), TypeError);
  await assertRejects(() => close({ drainTimeoutMs: -1 }), RangeError);
  assertEquals(server.state, "listening");
  assert(await client.ping() >= 0);
  const closeClient = client.close.bind(client) as (options: unknown) => Promise<void>;
  await assertRejects(() => closeClient({ reason: 5 }), TypeError);
  assertEquals(client.state, "connected");
});

Deno.test("clients in the middle of the handshake are told GOING_AWAY", async () => {
  using time = new LeapingTime();
  const gate = Promise.withResolvers<boolean>();
  let asked = 0;
  const server = new Server({
    port: 0,
    authenticate: () => {
      asked++;
      return gate.promise;
    },
  });
  await server.start();
  const silent = await RawPeer.connect({ port: server.port });
  // This one never ends its own side.
  const stubborn = await RawPeer.connect({ port: server.port });
  const raw = await RawPeer.connect({ port: server.port });
  await raw.send(hello());
  const client = new Client({ port: server.port });
  const starting = client.start().catch((error) => error);
  await until(() => asked === 2 && server.loops[1].waitsFor.startsWith("4 "), "all had begun");
  const closing = server.close({ reason: "bye" });
  await Promise.all([silent.refused("GOING_AWAY"), raw.refused("GOING_AWAY")]);
  const error = await starting;
  assertEquals([error.name, error.code, error.message], ["ConnectionError", "GOING_AWAY", "bye"]);
  await time.leapUntil(closing, "the server's end");
  assertEquals(server.loops[1].waitsFor, "0 clients to shake hands");
  await stubborn.refused("GOING_AWAY");
  gate.resolve(true);
  assertEquals(server.clients.size, 0);
  await client.close();
});

Deno.test("clients that wait to be accepted when the server closes lose their connection", async () => {
  const server = new Server({ port: 0, maxHandshakes: 1, handshakeTimeoutMs: 60_000 });
  await server.start();
  const first = await RawPeer.connect({ port: server.port });
  await until(() => server.loops[1].waitsFor.startsWith("1 "), "the first one had begun");
  const client = new Client({ port: server.port });
  const starting = client.start().catch((error) => error);
  await pause(20);
  const closing = server.close();
  await first.refused("GOING_AWAY");
  await within(closing, "the server's end");
  const error = await within(starting, "the start to fail");
  assert(error instanceof ConnectionError);
  await client.close();
});

Deno.test("close() waits for connections that are just ending", async () => {
  using time = new LeapingTime();
  const server = new Server({ port: 0 });
  await server.start();
  const peer = await RawPeer.register({ port: server.port });
  const connection = server.clients.get(peer.token)!;
  // It never ends its own side.
  await peer.send("nonsense\n");
  await until(() => server.clients.size === 0, "the server ended it");
  assertEquals(connection.state, "closing");
  const closing = server.close();
  time.leap(500);
  assertEquals(connection.state, "closing");
  await time.leapUntil(closing, "the server's end");
  assertEquals(connection.state, "closed");
  await peer.close();
});

Deno.test("nobody waits for the end of a socket over which the last line has come", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  const peer = await RawPeer.register({ port: server.port });
  const connection = server.clients.get(peer.token)!;
  // It never ends its own side.
  const start = performance.now();
  await peer.send(line({ action: "@close", data: { code: "CLOSED" } }));
  await connection.closed;
  // Others are given a second.
  assertLess(performance.now() - start, 900);
  await peer.close();
});

Deno.test("close() does not wait for a client that neither reads nor ends", async () => {
  using time = new LeapingTime();
  const server = new Server({ port: 0, drainTimeoutMs: 100 });
  await server.start();
  const peer = await RawPeer.register({ port: server.port });
  peer.stopReading();
  const connection = server.clients.get(peer.token)!;
  while (connection.stats.buffered < 100_000) {
    connection.sendPacket({ action: "n", data: "x".repeat(50_000) });
    await pause(0);
  }
  await time.leapUntil(server.close(), "the server's end");
  await peer.close();
});

Deno.test("await using closes both sides, in the order that scopes do", async () => {
  let kept: Server;
  {
    await using server = new Server({ port: 0 });
    kept = server;
    server.bindAction("echo", (data) => data);
    await server.start();
    await using client = new Client({ port: server.port });
    await client.start();
    assertEquals(await client.request("echo", 1), 1);
  }
  assertEquals(kept.state, "closed");
  assertEquals(kept.clients.size, 0);
});

Deno.test("closing from inside a handler and from inside a hook ends in order", async () => {
  const server: Server = new Server({ port: 0, drainTimeoutMs: 50 });
  server.bindAction("shut-down", async () => {
    await server.close();
  });
  await server.start();
  const client = new Client({ port: server.port, session: false });
  await client.start();
  const asked = assertRejects(() => client.request("shut-down"), ConnectionError);
  await within(server.closed, "the server's end");
  assertEquals((await asked).code, "GOING_AWAY");

  const other: Server = new Server({ port: 0, onDisconnect: () => other.close() });
  await other.start();
  const one = new Client({ port: other.port, session: false });
  const two = new Client({ port: other.port, session: false });
  await Promise.all([one.start(), two.start()]);
  await one.close();
  await within(other.closed, "the other server's end");
  assertEquals((await two.closed).code, "GOING_AWAY");
});

Deno.test("a client that closes lets what it sent arrive", async () => {
  const seen: unknown[] = [];
  await using server = new Server({ port: 0 });
  server.bindAction("n", (n) => void seen.push(n));
  await server.start();
  const client = new Client({ port: server.port });
  await client.start();
  for (let n = 0; n < 5_000; n++) client.sendPacket({ action: "n", data: n });
  await client.close();
  await until(() => seen.length === 5_000, () => `all came: ${seen.length} did`);
  assertEquals(seen, [...Array(5_000).keys()]);
});

Deno.test("a client's closed says how its connection ended", async () => {
  const server = new Server({ port: 0 });
  await server.start();
  const client = new Client({ port: server.port, session: false });
  await client.start();
  const asked = client.request("nobody", null).catch((error) => error);
  assert(await asked instanceof RequestError);
  await Promise.all([server.close(), client.closed]);
  assertEquals(client.state, "closed");
  assertEquals([client.token, client.id].every((shown) => typeof shown === "string"), true);
  await client.close();
});

Deno.test("many clients that come and go while a server closes leave nothing behind", async () => {
  const server = new Server({ port: 0, drainTimeoutMs: 200 });
  serveHonestly(server);
  await server.start();
  const { port } = server;
  const honest = await HonestClient.join({ port });
  await honest.rounds();
  await honest.leave();
  let isOver = false;
  let came = 0;
  const visit = async () => {
    while (!isOver) {
      const client = new Client({ port, session: false });
      try {
        await client.start();
        came++;
        await client.request("honest-ask", came);
      } catch (error) {
        assert(error instanceof ConnectionError, String(error));
      }
      await client.close();
      assertEquals(client.clients.size, 0);
    }
  };
  const visitors = Array.from({ length: 10 }, visit);
  await until(() => came > 50, "visitors came");
  await within(server.close(), "the server's end");
  isOver = true;
  await Promise.all(visitors);
  assertEquals(server.clients.size, 0);
  assertGreater(came, 50);
});
