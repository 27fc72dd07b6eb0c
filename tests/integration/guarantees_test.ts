// What docs/guarantees.md promises, as far as no other test has it.

import { assert, assertEquals, assertRejects } from "@std/assert";
import doc from "../../docs/guarantees.md" with { type: "text" };
import {
  Client,
  ConnectionError,
  DEFAULTS,
  type LostPacket,
  Server,
  type SessionLoss,
} from "../../mod.ts";
import { hello, RawPeer } from "../support/raw_peer.ts";
import { pause, until, within } from "../support/wait.ts";
import { DEFAULT_WIRE, WIRES } from "../support/wires.ts";

const WIRE = WIRES[DEFAULT_WIRE];

Deno.test("the defaults in docs/guarantees.md are those of the options", () => {
  const [, section] = doc.split("## What to turn");
  const rows = [...section.matchAll(/^\| `(\w+)` +\| (server|client|both) +\| ([\w,]+) +\|/gm)];
  assert(rows.length > 12);
  for (const [, name, , value] of rows) {
    const actual = DEFAULTS[name as keyof typeof DEFAULTS];
    assertEquals(typeof actual === "number" ? actual.toLocaleString("en") : `${actual}`, value);
  }
});

Deno.test("a restart is told with what the server handled in neither list, and what it never saw in unsent", async () => {
  const handled: unknown[] = [];
  const first = new Server({ ...WIRE.server, port: 0, drainTimeoutMs: 5_000 });
  const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
  first.bindAction("log", (data) => void handled.push(data));
  first.bindAction("slow", () => finished.then(() => "done"));
  first.bindAction("never", () => new Promise(() => {}));
  await first.start();
  const { port } = first;
  const lost = Promise.withResolvers<SessionLoss>();
  let goesAway = false;
  await using client = new Client({
    ...WIRE.client,
    port,
    minRetryMs: 1,
    maxRetryMs: 20,
    onSessionLost: (_, loss) => lost.resolve(loss),
    onDetach: () => goesAway = true,
  });
  await client.start();

  const slow = client.request("slow");
  client.sendPacket({ action: "log", data: 1 });
  await until(() => handled.length === 1, "the packet was handled");
  const closing = first.close();
  // Its pong comes behind the word that the server goes away.
  await client.ping();
  const held = client.sendPacket({ action: "log", data: 2 });
  const asked = client.request("log", 3);
  await client.ping();
  assertEquals([handled, goesAway], [[1], false]);
  finish();
  assertEquals(await slow, "done");
  await closing;
  await using second = new Server({ ...WIRE.server, port });
  await second.start();

  const loss = await within(lost.promise, "the client found another server");
  const unsent: LostPacket[] = [
    { kind: "packet", action: "log", data: 2 },
    { kind: "request", action: "log", data: 3 },
  ];
  assertEquals(loss, { reason: "restarted", unknown: [], unsent, forgotten: 0 });
  assertEquals(client.connection!.undelivered, { unknown: [], unsent, forgotten: 0 });
  // It was kept, as everything between two sockets is; the lists tell what became of it.
  await held;
  const error = await assertRejects(() => asked, ConnectionError);
  assertEquals(error.code, "SESSION_LOST");
  assertEquals(handled, [1]);
});

Deno.test("a request that was handed over and not answered is in neither list when its session ends", async () => {
  let asked = 0;
  await using server = new Server({ ...WIRE.server, port: 0, drainTimeoutMs: 1 });
  server.bindAction("never", () => {
    asked++;
    return new Promise(() => {});
  });
  await server.start();
  await using client = new Client({ ...WIRE.client, port: server.port });
  await client.start();
  const reply = client.request("never");
  await client.delivered();
  assertEquals(asked, 1);
  await server.clients.get(client.token!)!.close();
  assertEquals((await client.closed).code, "CLOSED");
  assertEquals(client.connection!.undelivered, { unknown: [], unsent: [], forgotten: 0 });
  assertEquals((await assertRejects(() => reply, ConnectionError)).code, "CLOSED");
});

Deno.test("what broadcasts push out of a window is counted as forgotten, unless it was received", async () => {
  const gone = Promise.withResolvers<{ forgotten: number; unknown: LostPacket[] }>();
  await using server = new Server({
    ...WIRE.server,
    port: 0,
    replayPackets: 4,
    onDisconnect: ({ undelivered }) => gone.resolve(undelivered),
  });
  await server.start();
  await using peer = await RawPeer.register(server, { session: true });
  for (let n = 1; n <= 10; n++) {
    const { sent, missed } = server.broadcast({ action: "news", data: n });
    assertEquals([sent, missed.size], [1, 0]);
  }
  await peer.sendPacket({ action: "@ack", ack: 3 }, { action: "@close", data: { code: "CLOSED" } });
  const { forgotten, unknown } = await within(gone.promise, "the server forgot the client");
  assertEquals([forgotten, unknown.map(({ data }) => data)], [3, [7, 8, 9, 10]]);
});

Deno.test("a broadcast reaches those who are away when they come back, in its place", async () => {
  await using server = new Server({ ...WIRE.server, port: 0 });
  await server.start();
  await using peer = await RawPeer.register(server, { session: true });
  const connection = server.clients.get(peer.token)!;
  await peer.reset();
  await until(() => connection.state === "detached", "the client is away");
  connection.sendPacket({ action: "news", data: 1 });
  assertEquals(server.broadcast({ action: "news", data: 2 }).sent, 1);
  connection.sendPacket({ action: "news", data: 3 });
  server.broadcast({ action: "news", data: "lost" }, { volatile: true });
  assertEquals(connection.stats.dropped, 1);

  const { epoch } = peer.welcome.data as { epoch: string };
  await using again = await RawPeer.connect(server);
  await again.send(hello({ session: true, resume: { token: peer.token, epoch, ack: 0 } }));
  await again.welcomed();
  for (const n of [1, 2, 3]) {
    const { data, seq } = await again.packet();
    assertEquals([data, seq], [n, n]);
  }
  await again.ping();
  assertEquals(again.hasLines, false);
});

Deno.test("a client that is cut for a volatile broadcast counts as missed, and keeps its session", async () => {
  await using server = new Server({
    ...WIRE.server,
    port: 0,
    maxVolatileBytes: 1_000,
    stallTimeoutMs: false,
  });
  await server.start();
  await using peer = await RawPeer.register(server, { session: true });
  peer.stopReading();
  const [connection] = server.clients.values();
  const packet = { action: "frame", data: "x".repeat(100_000) };
  for (let rounds = 0; rounds < 1_000; rounds++) {
    const result = server.broadcast(packet, { volatile: true, policy: "disconnect" });
    const codes = [...result.missed.values()].map(({ code }) => code);
    if (connection.state === "open") {
      assertEquals([result.sent, codes], [1, []]);
      await pause(0);
      continue;
    }
    assertEquals([result.sent, codes, connection.state], [0, ["SLOW_CONSUMER"], "detached"]);
    return;
  }
  throw new Error("the client was never too slow");
});
