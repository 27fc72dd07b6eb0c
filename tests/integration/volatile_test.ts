// Packets that may be lost, and what becomes of them where a peer is behind.

import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import type { Connection, Server } from "../../mod.ts";
import type { RawPacket, RawPeer } from "../support/raw_peer.ts";
import { comeBack, nextNumbered } from "../support/raw_session.ts";
import { onBothSides, onBothSidesOfSession, withServer } from "../support/scene.ts";
import { withSocketPath } from "../support/socket_path.ts";
import { until } from "../support/wait.ts";

onBothSidesOfSession(
  "a volatile packet has no number, takes no room in the window, and does not come again",
  { replayPackets: 1 },
  async ({ peer, connection, drop, comeBack }) => {
    connection.sendPacket({ action: "n", data: 1 });
    connection.sendPacket({ action: "n", data: 2 });
    await connection.sendPacket({ action: "v", data: 3 }, { volatile: true });
    assertEquals((await nextNumbered(peer)).data, 1);
    const volatile = await peer.packet();
    assertEquals([volatile.action, volatile.data, volatile.seq], ["v", 3, undefined]);
    assertEquals(volatile.token, peer.token);
    assertEquals(connection.stats.unacknowledged, 1);
    await drop();
    await connection.sendPacket({ action: "v", data: 4 }, { volatile: true });
    assertEquals(connection.stats.dropped, 1);
    const again = await comeBack();
    assertEquals((await nextNumbered(again)).data, 1);
    await again.ping();
    assert(!again.text.includes('"v"'));
  },
);

onBothSides(
  "a volatile packet goes to a peer without a session as well",
  {},
  async ({ peer, connection }) => {
    await connection.sendPacket({ action: "v", data: 1 }, { volatile: true });
    assertEquals((await peer.packet()).data, 1);
  },
);

onBothSidesOfSession(
  "volatile excludes delivered",
  {},
  ({ connection }) => {
    assertThrows(
      () => connection.sendPacket({ action: "v" }, { volatile: true, delivered: true }),
      TypeError,
    );
    return Promise.resolve();
  },
);

Deno.test("policies and keys that mean nothing are refused before anyone is sent anything", async () => {
  await withServer({}, async ({ server, register }) => {
    const peer = await register({ session: true });
    const packet = { action: "v" };
    const wrong: object[] = [
      { policy: "drop-oldest" },
      { policy: "latest" },
      { policy: "latest", volatile: false },
      { policy: "newest", volatile: true },
      { policy: 5, volatile: true },
      { key: "x", volatile: true },
      { key: "x", volatile: true, policy: "drop-oldest" },
      { key: 5, volatile: true, policy: "latest" },
      { volatile: 1 },
      { volatile: true, request: true },
      { request: "yes" },
      { request: true, timeoutMs: false },
      { request: true, signal: {} },
      { except: 5 },
      { except: "x" },
      { except: [{}] },
      { except: null },
    ];
    for (const options of wrong) {
      assertThrows(
        () => server.broadcast(packet, options),
        TypeError,
        undefined,
        JSON.stringify(options),
      );
      assertThrows(() => server.group("none").broadcast(packet, options), TypeError);
    }
    assertThrows(() => server.broadcast(packet, { request: true, timeoutMs: -1 }), RangeError);
    await peer.ping();
    assert(!peer.hasLines);
  });
});

/** A client that does not read, on a socket that holds little, and is behind from the beginning. */
async function withStalled(
  act: (
    scene: {
      server: Server;
      peer: RawPeer;
      connection: Connection;
      /** Sends one. Returns how many missed it. */
      broadcast: (n: number, options: object) => number;
      /** How many were sent. */
      total: () => number;
      back: () => Promise<RawPeer>;
    },
  ) => Promise<void>,
): Promise<void> {
  await withSocketPath(async (path) => {
    const options = { path, maxVolatileBytes: 20_000, stallTimeoutMs: 60_000 };
    await withServer(options, async ({ server, address, register, adopt, honest }) => {
      const peer = await register({ session: true });
      const connection = server.clients.get(peer.token)!;
      const except = server.clients.getById(honest.id)!;
      peer.stopReading();
      let total = 0;
      const broadcast = (n: number, more: object) => {
        total++;
        const packet = { action: "v", data: [n, "x".repeat(1_000)] };
        return server.broadcast(packet, { except, volatile: true, ...more }).missed.size;
      };
      for (let n = -1; connection.stats.dropped === 0; n--) {
        broadcast(n, { policy: "drop-oldest" });
        assertGreater(n, -2_000, "some must have been dropped");
      }
      const back = async () => adopt(await comeBack(address, peer));
      await act({ server, peer, connection, broadcast, total: () => total, back });
    });
  });
}

/** The numbers of all that has come until now. */
async function numbers(peer: RawPeer): Promise<number[]> {
  await peer.sendPacket({ action: "@ping", data: "all" });
  peer.goOnReading();
  const seen: number[] = [];
  for (;;) {
    const packet: RawPacket = await peer.packet();
    if (packet.action === "@pong") return seen;
    seen.push((packet.data as [number])[0]);
  }
}

Deno.test("drop-oldest keeps the newest for a client that is behind, in order", async () => {
  await withStalled(async ({ peer, connection, broadcast, total }) => {
    const COUNT = 500;
    const before = connection.stats.dropped;
    for (let n = 0; n < COUNT; n++) assertEquals(broadcast(n, {}), 0);
    assertGreater(connection.stats.dropped - before, COUNT - 50);
    assertLess(connection.stats.buffered, 200_000);
    const all = await untilEmpty(peer, connection);
    assertEquals(all.length + connection.stats.dropped, total());
    const seen = all.filter((n) => n >= 0);
    assertEquals(connection.state, "open");
    assertEquals(seen, Array.from({ length: seen.length }, (_, n) => COUNT - seen.length + n));
    assertGreater(seen.length, 5);
    assertLess(seen.length, 30);
  });
});

/** Reads on until nothing volatile waits for it any more. */
async function untilEmpty(peer: RawPeer, connection: Connection): Promise<number[]> {
  const seen = await numbers(peer);
  await until(() => connection.stats.buffered === 0, "all was written");
  return [...seen, ...await numbers(peer)];
}

Deno.test("latest keeps the newest of each key for a client that is behind", async () => {
  await withStalled(async ({ peer, connection, broadcast, total }) => {
    for (let n = 0; n < 300; n++) {
      assertEquals(broadcast(n, { policy: "latest", key: `player ${n % 3}` }), 0);
    }
    // Whatever is replaced goes to the end.
    broadcast(300, { policy: "latest", key: "player 0" });
    const all = await untilEmpty(peer, connection);
    assertEquals(all.length + connection.stats.dropped, total());
    assertEquals(all.filter((n) => n >= 0), [298, 299, 300]);
    // For one that is not behind any more each is the latest.
    for (let n = 301; n < 304; n++) broadcast(n, { policy: "latest" });
    assertEquals(await numbers(peer), [301, 302, 303]);
  });
});

Deno.test("latest goes by the action where there is no key", async () => {
  await withStalled(async ({ peer, connection, broadcast }) => {
    for (let n = 0; n < 100; n++) broadcast(n, { policy: "latest" });
    assertEquals((await untilEmpty(peer, connection)).filter((n) => n >= 0), [99]);
  });
});

Deno.test("disconnect cuts a client that is behind, and keeps its session", async () => {
  await withStalled(async ({ connection, broadcast, back, server }) => {
    connection.sendPacket({ action: "n", data: "kept" });
    let n = 0;
    while (n < 100 && broadcast(n++, { policy: "disconnect" }) === 0) {
      assertEquals(connection.state, "open");
    }
    assertEquals(connection.state, "detached");
    assertLess(n, 30);
    // Nobody is there now: it is just lost.
    assertEquals(broadcast(n, { policy: "disconnect" }), 0);
    const again = await back();
    assertEquals((await nextNumbered(again)).data, "kept");
    assertEquals(await numbers(again), []);
    broadcast(1_000, { policy: "disconnect" });
    assertEquals(await numbers(again), [1_000]);
    assertEquals(server.clients.size, 2);
  });
});

Deno.test("one volatile packet of any size waits for a client that is behind", async () => {
  await withStalled(async ({ peer, connection, server }) => {
    for (const n of [0, 1]) {
      const packet = { action: "v", data: [n, "x".repeat(100_000)] };
      server.clients.getById(connection.id)!.sendPacket(packet, { volatile: true });
    }
    assertEquals((await untilEmpty(peer, connection)).filter((n) => n >= 0), [1]);
  });
});
