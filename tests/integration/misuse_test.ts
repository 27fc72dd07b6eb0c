import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import {
  Client,
  type ClientOptions,
  type Connection,
  type ReceivedPacket,
  Server,
  type ServerOptions,
} from "../../mod.ts";
import { LeapingTime } from "../support/leaping_time.ts";
import { RawServer } from "../support/raw_peer.ts";
import { until, within } from "../support/wait.ts";

async function withPair(
  options: ServerOptions,
  act: (server: Server, client: Client) => Promise<void>,
  clientOptions: ClientOptions = {},
): Promise<void> {
  await using server = new Server({ port: 0, ...options });
  await server.start();
  await using client = new Client({ port: server.port, ...clientOptions });
  await client.start();
  await act(server, client);
}

/** Whatever stands where something else must. */
// deno-lint-ignore no-explicit-any -- that is the point
const wrong = (value: unknown): any => value;

Deno.test("a signal that is none is refused before anything is sent", async () => {
  await withPair({}, async (server, client) => {
    let ran = 0;
    server.bindAction("run", () => ++ran);
    const connection = client.connection!;
    for (const signal of [5, {}, null, { aborted: false }]) {
      const options = { signal: wrong(signal) };
      assertThrows(() => client.request("run", null, options), TypeError, "AbortSignal");
      assertThrows(() => connection.ping(options), TypeError, "AbortSignal");
      await assertRejects(() => new Server().start(options), TypeError, "AbortSignal");
      await assertRejects(() => new Client().start(options), TypeError, "AbortSignal");
    }
    assertEquals([connection.stats.pending, ran], [0, 0]);
  });
});

Deno.test("options that are none are refused with what was required", async () => {
  await withPair({}, async (server, client) => {
    const none = wrong(null);
    assertThrows(() => client.request("a", null, none), TypeError, "options must be an object");
    assertThrows(() => client.ping(none), TypeError, "options must be an object");
    assertThrows(() => server.broadcast({ action: "a" }, none), TypeError, "must be an object");
    await assertRejects(() => client.close(none), TypeError, "options must be an object");
    await assertRejects(() => server.close(none), TypeError, "options must be an object");
    for (const except of [null, 5, "abc", {}, [5]]) {
      const options = { except: wrong(except) };
      assertThrows(() => server.broadcast({ action: "a" }, options), TypeError, "except must be");
    }
    assertEquals([server.state, client.state], ["listening", "connected"]);
  });
});

Deno.test("reply() answers the request that it is given, not another peer's of the same number", async () => {
  const taken: [Connection, ReceivedPacket][] = [];
  const onConnect = async (connection: Connection) => {
    for await (const packet of connection) taken.push([connection, packet]);
  };
  await withPair({ onConnect }, async (server, client) => {
    await using other = new Client({ port: server.port });
    await other.start();
    const asked = [client.request("who"), other.request("who")];
    await until(() => taken.length === 2, "both requests were taken");
    const [[a, packetOfA], [b, packetOfB]] = taken;
    assertEquals(packetOfA.id, packetOfB.id);
    assertThrows(() => b.reply(packetOfA, "for a alone"), TypeError, "not answered yet");
    a.reply(packetOfA, a.id);
    b.reply(packetOfB, b.id);
    assertEquals((await Promise.all(asked)).sort(), [a.id, b.id].sort());
    assertThrows(() => a.reply(packetOfA, "again"), TypeError, "not answered yet");
  });
});

Deno.test("a loop that was left takes nothing from the next one", async () => {
  const first = Promise.withResolvers<Connection>();
  const onConnect = (connection: Connection) => {
    connection[Symbol.asyncIterator]().return!();
    first.resolve(connection);
  };
  await withPair({ onConnect }, async (_server, client) => {
    const connection = await first.promise;
    const left = connection[Symbol.asyncIterator]();
    await left.return!();
    await client.sendPacket({ action: "late" });
    assertEquals(await left.next(), { value: undefined, done: true });
    const { value } = await connection[Symbol.asyncIterator]().next();
    assertEquals(value?.action, "late");
  });
});

Deno.test("server.close({ drainTimeoutMs: 0 }) does not wait for a client that does not read", async () => {
  using time = new LeapingTime();
  await using server = new Server({ port: 0 });
  await server.start();
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const hello = '{"action":"@handshake","data":{"version":1}}\n';
  await conn.write(new TextEncoder().encode(hello));
  await until(() => server.clients.size === 1, "it was registered");
  const [connection] = server.clients.values();
  // More than the system takes on behalf of a client that does not read.
  for (let n = 0; n < 15; n++) connection.sendPacket({ action: "a", data: "x".repeat(500_000) });
  await until(() => connection.stats.buffered > 1_000_000, "the system took no more");
  const start = performance.now();
  await time.leapUntil(server.close({ drainTimeoutMs: 0 }), "the server's end");
  assertLess(performance.now() - start, 8_000);
  conn.close();
});

Deno.test("close() while a client starts resolves when its socket is closed", async () => {
  await using silent = await RawServer.listen();
  const client = new Client({ port: silent.port });
  const starting = client.start().then(() => undefined, (error) => error);
  // It reads, and does not end its side: the client gives it its time.
  const peer = await silent.accept();
  let hasFailed = false;
  starting.then(() => hasFailed = true);
  await within(client.close(), "the end");
  await Promise.resolve();
  assert(hasFailed, "close() resolved before the start was over");
  await peer.close();
  assertEquals((await starting)?.code, "CLOSED");
  assertEquals([client.state, client.clients.size], ["closed", 0]);
});

Deno.test("trigger() rejects with what the bind threw, and with nothing of the wire", async () => {
  const server = new Server();
  const thrown = new Error("the database is gone");
  server.bindAction("fail", () => {
    throw thrown;
  });
  server.bindAction("echo", (data) => data);
  const error = await assertRejects(() => server.trigger("fail"), Error);
  assert(error === thrown);
  assertEquals(await server.trigger("echo", { a: [1] }), { a: [1] });
  assertEquals(await server.trigger("echo"), null);
});

Deno.test("a busy peer is not cut because it is pinged", async () => {
  const options = { maxInFlight: 4, replayPackets: 8, maxBufferedBytes: 20_000 };
  await withPair(options, async (server, client) => {
    let handled = 0;
    const gate = Promise.withResolvers<void>();
    server.bindAction("work", async () => {
      await gate.promise;
      handled++;
    });
    const [connection] = server.clients.values();
    const sending = (async () => {
      for (let n = 0; n < 2_000; n++) await client.sendPacket({ action: "work", data: n });
    })();
    await until(() => connection.stats.waiting > 8, "reading paused");
    const pong = connection.ping();
    await until(() => connection.stats.waiting > 20, "it read on for the pong");
    gate.resolve();
    await within(pong, "the pong");
    await sending;
    await until(() => handled === 2_000, "all was handled");
    assertEquals(connection.state, "open");
    // Within a session reading does not pause.
  }, { session: false });
});
