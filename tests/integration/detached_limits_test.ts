// How many sessions are kept for clients that have dropped, and how much of what was sent to them.

import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { Client, type ServerOptions } from "../../mod.ts";
import type { RawPeer, RawWelcome } from "../support/raw_peer.ts";
import { comeBack, nextNumbered, resumeOf } from "../support/raw_session.ts";
import { type ServerScene, withServer } from "../support/scene.ts";
import { until } from "../support/wait.ts";

/** A server that counts addresses of this machine as well, and clients that come and drop. */
async function withDroppers(
  options: ServerOptions,
  act: (
    scene: ServerScene & {
      /** One comes, and drops. Resolves when the server knows. */
      drop(from?: string): Promise<RawWelcome>;
      /** What the server says to one that comes back: `resumed`, or why not. */
      verdict(earlier: RawWelcome, from?: string): Promise<unknown>;
      /** How each connection ended that did. */
      ended: Map<string, string>;
    },
  ) => Promise<void>,
): Promise<void> {
  const ended = new Map<string, string>();
  const onDisconnect: ServerOptions["onDisconnect"] = ({ id }, { code }) =>
    void ended.set(id, code);
  const all = { exemptLoopback: false, onDisconnect, ...options };
  await withServer(all, async (scene) => {
    const { server, register } = scene;
    await act({
      ...scene,
      ended,
      async drop(from) {
        const peer = await register({ session: true }, from);
        await peer.reset();
        await until(() => server.clients.get(peer.token)?.state !== "open", "it dropped");
        return peer;
      },
      async verdict(earlier, from) {
        const peer = await register({ session: true, resume: resumeOf(earlier) }, from);
        const { resumed, reason } = peer.welcome.data as Record<string, unknown>;
        await peer.reset();
        await until(() => server.clients.get(peer.token)?.state !== "open", "it dropped again");
        return resumed ? "resumed" : reason;
      },
    });
  });
}

Deno.test("of too many that have dropped the longest detached are given up", async () => {
  await withDroppers({ maxDetached: 5, maxDetachedPerAddress: false }, async (scene) => {
    const { server, drop, verdict, ended } = scene;
    const dropped: RawWelcome[] = [];
    for (let n = 0; n < 12; n++) {
      dropped.push(await drop());
      assertEquals(server.clients.size, 1 + Math.min(n + 1, 5));
    }
    assertEquals([...ended.keys()], dropped.slice(0, 7).map(({ id }) => id));
    assertEquals([...new Set(ended.values())], ["SESSION_LOST"]);
    for (const one of dropped.slice(7)) assertEquals(await verdict(one), "resumed");
    assertEquals(await verdict(dropped[0]), "expired");
  });
});

Deno.test("a flood from one address gives up its own sessions, not those of others", async () => {
  await withDroppers({ maxDetached: 6 }, async ({ drop, verdict, server }) => {
    // Longer detached than any of the others.
    const victims = [await drop("127.0.0.2"), await drop("127.0.0.4"), await drop("127.0.0.4")];
    for (let n = 0; n < 30; n++) await drop("127.0.0.3");
    assertEquals(server.clients.size, 7);
    for (const victim of victims) assertEquals(await verdict(victim, "127.0.0.5"), "resumed");
  });
});

Deno.test("one address has no more than its share of dropped sessions", async () => {
  await withDroppers({ maxDetachedPerAddress: 3 }, async ({ drop, verdict, server, ended }) => {
    const other = await drop("127.0.0.2");
    const dropped: RawWelcome[] = [];
    for (let n = 0; n < 10; n++) dropped.push(await drop("127.0.0.3"));
    assertEquals([server.clients.size, ended.size], [5, 7]);
    assertEquals(await verdict(dropped[6], "127.0.0.3"), "expired");
    assertEquals(await verdict(dropped.at(-1)!, "127.0.0.3"), "resumed");
    assertEquals(await verdict(other, "127.0.0.2"), "resumed");
  });
});

Deno.test("a session counts where its client was last", async () => {
  await withDroppers({ maxDetachedPerAddress: 1 }, async ({ drop, verdict, server }) => {
    const first = await drop("127.0.0.2");
    // From there on it is the other address's.
    assertEquals(await verdict(first, "127.0.0.3"), "resumed");
    const second = await drop("127.0.0.2");
    assertEquals([server.clients.has(first.token), server.clients.has(second.token)], [true, true]);
    await drop("127.0.0.3");
    assertEquals([server.clients.has(first.token), server.clients.has(second.token)], [
      false,
      true,
    ]);
  });
});

Deno.test("with maxDetached 0 whoever drops is gone", async () => {
  await withDroppers({ maxDetached: 0 }, async ({ drop, verdict, server, ended }) => {
    const gone = await drop();
    assertEquals([server.clients.size, ended.get(gone.id)], [1, "SESSION_LOST"]);
    assertEquals(await verdict(gone), "expired");
  });
});

Deno.test("a client that drops and comes back again and again takes one place", async () => {
  await withDroppers({ maxDetached: 2 }, async ({ drop, verdict, server, ended }) => {
    const [one, two] = [await drop(), await drop()];
    for (let time = 0; time < 20; time++) {
      assertEquals(await verdict(time % 2 ? one : two), "resumed");
    }
    assertEquals([server.clients.size, ended.size], [3, 0]);
  });
});

Deno.test("a flood of handshakes that drop stays in its bounds, and locks no honest client out", async () => {
  const options = { maxDetached: 50, maxDetachedPerAddress: 20, sessionTtlMs: 60_000 };
  await withDroppers(options, async ({ server, to, connect, drop, verdict, logs }) => {
    const held = await drop("127.0.0.2");
    let isOver = false;
    let came = 0;
    let most = 0;
    const flood = async (from: string) => {
      while (!isOver) {
        const peer = await connect(from);
        await peer.send('{"action":"@handshake","data":{"version":1,"session":true}}\n');
        await until(() => peer.bytesReceived > 0 || peer.ended !== undefined, "an answer");
        await peer.reset();
        came++;
        most = Math.max(most, server.clients.size);
      }
    };
    const floods = ["127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"].map(flood);
    for (let time = 0; time < 5; time++) {
      await using client = new Client(to);
      await client.start();
      assertEquals(await client.request("honest-ask", time), time);
      await client.close();
    }
    await until(() => came > 400, "many came");
    isOver = true;
    await Promise.all(floods);
    // Besides those that are detached: the honest ones, and whoever is just coming or going.
    assertLess(most, 50 + 20);
    assertEquals(await verdict(held, "127.0.0.2"), "resumed");
    logs.assertNoErrors();
  });
});

Deno.test("sessions of clients that never come back end after their time", async () => {
  await withDroppers({ sessionTtlMs: 300 }, async ({ server, drop, verdict, ended }) => {
    const dropped = await Promise.all(Array.from({ length: 20 }, () => drop()));
    const back = dropped[0];
    assertEquals(ended.size, 0);
    await until(() => ended.size > 0 || server.clients.size === 21, "they wait");
    // Its time begins anew with each drop.
    assertEquals(await verdict(back), "resumed");
    await until(() => server.clients.size === 1, "all have ended");
    assertEquals(ended.size, 20);
    assertEquals([...ended.keys()].at(-1), back.id);
    assertEquals([...new Set(ended.values())], ["SESSION_LOST"]);
  });
});

// What is kept for them

Deno.test("what is kept for all together is bounded, and the one with most of it gives way", async () => {
  const options = { maxReplayBytes: 200_000, replayBytes: 150_000 };
  await withServer(options, async ({ server, register, adopt }) => {
    const peers: (RawPeer & RawWelcome)[] = [];
    for (let n = 0; n < 4; n++) peers.push(await register({ session: true }));
    const connections = peers.map(({ token }) => server.clients.get(token)!);
    for (const peer of peers) await peer.reset();
    await until(() => connections.every(({ state }) => state === "detached"), "they dropped");
    const [greedy, ...modest] = connections;
    const held = () => connections.reduce((sum, { stats }) => sum + stats.buffered, 0);
    const data = "x".repeat(1_000);
    for (let n = 0; n < 20; n++) for (const one of modest) one.sendPacket({ action: "n", data });
    // Nobody has to give way yet.
    for (let n = 0; n < 100; n++) greedy.sendPacket({ action: "n", data });
    assertGreater(held(), 160_000);
    assertEquals(greedy.stats.unacknowledged, 100);
    // Now one has.
    let most = 0;
    for (let n = 0; n < 15; n++) {
      for (const one of modest) one.sendPacket({ action: "n", data });
      most = Math.max(most, held());
    }
    assertLess(most, 200_001);
    // What gives way shows when its client comes back.
    const first = await register({ session: true, resume: resumeOf(peers[0]) });
    assertEquals((first.welcome.data as { reason: string }).reason, "overflow");
    assertGreater(greedy.undelivered.forgotten, 0);
    const { forgotten, unsent, unknown } = greedy.undelivered;
    assertEquals([forgotten + unsent.length, unknown], [100, []]);
    for (const peer of peers.slice(1)) {
      const again = adopt(await comeBack({ port: server.port }, peer));
      for (let seq = 1; seq <= 35; seq++) assertEquals((await nextNumbered(again)).seq, seq);
      await again.sendPacket({ action: "@ack", ack: 35 });
      await again.ping();
    }
    // With what those held that are gone there is room again.
    const late = await register({ session: true });
    const connection = server.clients.get(late.token)!;
    await late.reset();
    await until(() => connection.state === "detached", "it dropped");
    for (let n = 0; n < 20; n++) connection.sendPacket({ action: "n", data: n });
    const again = adopt(await comeBack({ port: server.port }, late));
    for (let n = 0; n < 20; n++) assertEquals((await nextNumbered(again)).data, n);
  });
});
