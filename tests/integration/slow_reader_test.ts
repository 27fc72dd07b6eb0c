// One of many that does not read: what it costs, and whom.

import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { Client, type Connection, type Server, type VolatilePolicy } from "../../mod.ts";
import { resumeOf } from "../support/raw_session.ts";
import { withServer } from "../support/scene.ts";
import { withSocketPath } from "../support/socket_path.ts";
import { until } from "../support/wait.ts";

const DATA = "x".repeat(900);
/** More than the sockets and the bounds hold together. */
const COUNT = 760;
const LIMITS = {
  maxBufferedBytes: 300_000,
  replayBytes: 200_000,
  maxVolatileBytes: 100_000,
  stallTimeoutMs: 60_000,
};

interface Stream {
  server: Server;
  /** The server's connection to the one that does not read. */
  sleeper: Connection;
  /** What the other ones received. */
  readers: number[][];
  /** Broadcasts the next numbers, at a pace that readers can follow. */
  stream(count: number, options?: { volatile?: boolean; policy?: VolatilePolicy }): Promise<void>;
  /** The most that ever waited for the sleeper. */
  most(): number;
  /** The sleeper reads what is still there for it, and comes back. Resolves to the server's verdict. */
  wakeUp(): Promise<{ received: number; reason: unknown }>;
}

async function withStream(
  readerCount: number,
  act: (stream: Stream) => Promise<void>,
): Promise<void> {
  await withSocketPath(async (path) => {
    await withServer({ path, ...LIMITS }, async ({ server, to, register, honest }) => {
      const readers: number[][] = [];
      const clients = await Promise.all(Array.from({ length: readerCount }, async (_, index) => {
        const client = new Client(to);
        readers[index] = [];
        client.bindAction("news", (data) => void readers[index].push((data as [number])[0]));
        await client.start();
        return client;
      }));
      const peer = await register({ session: true });
      peer.stopReading();
      const sleeper = server.clients.get(peer.token)!;
      const except = server.clients.getById(honest.id)!;
      let sent = 0;
      let most = 0;
      await using _closing = {
        async [Symbol.asyncDispose]() {
          await Promise.all(clients.map((client) => client.close()));
        },
      };
      await act({
        server,
        sleeper,
        readers,
        most: () => most,
        async stream(count, options = {}) {
          for (const end = sent + count; sent < end;) {
            for (let n = 0; n < 20; n++) {
              server.broadcast({ action: "news", data: [sent++, DATA] }, { except, ...options });
              most = Math.max(most, sleeper.stats.buffered);
            }
            await until(() => readers.every(({ length }) => length >= sent - 40), "they follow");
          }
          await until(() => readers.every(({ length }) => length >= sent), "they have all of it");
        },
        async wakeUp() {
          peer.goOnReading();
          await until(() => peer.ended !== undefined, "it was cut");
          let received = 0;
          while (peer.hasLines) received += (await peer.packet()).seq === undefined ? 0 : 1;
          const resume = resumeOf(peer, received);
          const { welcome } = await register({ session: true, resume });
          return { received, reason: (welcome.data as { reason: unknown }).reason };
        },
      });
      for (const client of clients) assertEquals(client.state, "connected");
    });
  });
}

Deno.test("200 clients are sent a stream, and one that does not read costs no more than its bounds", async () => {
  await withStream(199, async ({ server, sleeper, readers, stream, most, wakeUp }) => {
    await stream(COUNT);
    assertEquals(sleeper.state, "detached");
    assertGreater(most(), LIMITS.replayBytes);
    assertLess(most(), LIMITS.maxBufferedBytes + 1);
    // From then on it is the window alone that is kept.
    assertLess(sleeper.stats.buffered, LIMITS.replayBytes + 1);
    const all = [...Array(COUNT).keys()];
    for (const received of readers) assertEquals(received, all);
    assertEquals(server.clients.size, 201);
    // It is told that there is a gap, and so is the server.
    const { received, reason } = await wakeUp();
    assertEquals(reason, "overflow");
    const { unknown, unsent, forgotten } = sleeper.undelivered;
    assertEquals(forgotten + unknown.length + unsent.length, COUNT);
    assertGreater(forgotten + unknown.length, received - 1);
    assertEquals((unsent.at(-1)!.data as [number])[0], COUNT - 1);
  });
});

for (const policy of ["drop-oldest", "latest"] as const) {
  Deno.test(`a volatile stream to many: ${policy} bounds one that does not read`, async () => {
    await withStream(50, async ({ sleeper, readers, stream, most }) => {
      await stream(COUNT, { volatile: true, policy });
      assertEquals(sleeper.state, "open");
      assertLess(most(), LIMITS.maxBufferedBytes);
      assertGreater(sleeper.stats.dropped, 100);
      const all = [...Array(COUNT).keys()];
      for (const received of readers) assertEquals(received, all);
    });
  });
}

Deno.test("a volatile stream to many: disconnect drops one that does not read", async () => {
  await withStream(50, async ({ sleeper, readers, stream, most }) => {
    await stream(COUNT, { volatile: true, policy: "disconnect" });
    assertEquals([sleeper.state, sleeper.stats.buffered], ["detached", 0]);
    assertLess(most(), LIMITS.maxBufferedBytes);
    const all = [...Array(COUNT).keys()];
    for (const received of readers) assertEquals(received, all);
  });
});
