import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  Client,
  type Connection,
  ConnectionError,
  PnetworkError,
  RequestError,
} from "../../mod.ts";
import { line, type RawPeer } from "../support/raw_peer.ts";
import { onBothSides, type ServerScene, withServer } from "../support/scene.ts";
import { withSocketPath } from "../support/socket_path.ts";
import { pause, settle, turn, until, untilStill, within } from "../support/wait.ts";

const DATA = "x".repeat(10_000);

/** Sends to a peer that does not read until the system takes no more and so much waits here. */
async function fill(peer: RawPeer, connection: Connection, buffered: number): Promise<void> {
  peer.stopReading();
  // What waits for its encryption alone does not wait for long.
  for (let looks = 0; looks < 5; looks++) {
    for (let burst = 0; burst < 10 && connection.stats.buffered < buffered; burst++) {
      connection.sendPacket({ action: "n", data: DATA });
      looks = 0;
    }
    await pause(0);
    // What has ended has nothing waiting, and never will.
    assertEquals(connection.state, "open", "it ended before enough waited");
  }
}

/** Sends this again and again until the other side ends, and then ends as well. */
async function floodToEnd(peer: RawPeer, connection: Connection, flood: string): Promise<void> {
  const hasEnded = until(() => connection.state !== "open", "the connection ended");
  let isOver = false;
  hasEnded.finally(() => isOver = true).catch(() => {});
  while (!isOver) {
    await Promise.race([peer.send(flood), hasEnded]);
    // Where the socket is gone already, nothing else would come to its turn.
    await turn();
  }
  await hasEnded;
  await peer.close();
}

onBothSides(
  "a sender that awaits never has more waiting than may, and a slow reader misses nothing",
  { maxBufferedBytes: 100_000, stallTimeoutMs: false },
  async ({ peer, connection }) => {
    peer.stopReading();
    const COUNT = 2_000;
    let sent = 0;
    let most = 0;
    const sending = (async () => {
      for (let n = 0; n < COUNT; n++) {
        await connection.sendPacket({ action: "n", data: [n, DATA] });
        sent++;
        most = Math.max(most, connection.stats.buffered);
      }
    })();
    await untilStill(() => sent, "the sender waited");
    assertGreater(connection.stats.buffered, 0);
    assertLess(sent, COUNT);
    peer.goOnReading();
    for (let n = 0; n < COUNT; n++) {
      const { data } = await peer.packet();
      assertEquals((data as unknown[])[0], n);
    }
    await sending;
    assertLess(most, 100_001);
  },
);

onBothSides(
  "a send beyond the bound rejects with OVERLOADED, sends nothing and keeps the connection",
  { maxBufferedBytes: 100_000, stallTimeoutMs: false },
  async ({ peer, connection }) => {
    peer.stopReading();
    const outcomes: Promise<unknown>[] = [];
    const codes = new Map<unknown, number>();
    let refused = 0;
    for (let n = 0; n < 20_000 && refused < 10; n++) {
      const sent = connection.stats.packetsSent;
      const sending = connection.sendPacket({ action: "n", data: [n, DATA] });
      if (connection.stats.packetsSent === sent) refused++;
      outcomes.push(sending.then(() => "sent", (error) => (error as PnetworkError).code));
      assertLess(connection.stats.buffered, 100_001);
      if (n % 50 === 0) await settle();
    }
    assertEquals(refused, 10);
    const asked = await assertRejects(() => connection.request("a", DATA), RequestError);
    assertEquals(asked.code, "OVERLOADED");
    assertEquals(connection.state, "open");

    const sent = connection.stats.packetsSent;
    peer.goOnReading();
    for (const outcome of outcomes) {
      const code = await within(outcome, "every send to come to an end");
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    assertEquals([...codes.keys()].sort(), ["OVERLOADED", "sent"]);
    assertEquals(codes.get("OVERLOADED"), 10);
    const isFirst = connection.stats.packetsSent - sent;
    assertEquals(isFirst, 0);
    let received = 0;
    let last = -1;
    while (received < codes.get("sent")!) {
      const packet = await peer.packet();
      if (packet.action !== "n") continue;
      const n = (packet.data as number[])[0];
      assertGreater(n, last);
      last = n;
      received++;
    }
    await peer.ping();
  },
);

onBothSides(
  "senders that wait for room are told when the connection ends",
  { maxBufferedBytes: 100_000, stallTimeoutMs: false },
  async ({ peer, connection }) => {
    peer.stopReading();
    let waiting: Promise<void> | undefined;
    for (let n = 0; n < 20_000 && !waiting; n++) {
      const sending = connection.sendPacket({ action: "n", data: DATA });
      const outcome = await Promise.race([
        sending.then(() => "sent"),
        pause(50).then(() => "waits"),
      ]);
      if (outcome === "waits") waiting = sending;
    }
    assert(waiting, "a send waited for room");
    await peer.reset();
    const error = await assertRejects(() => within(waiting, "its end"), ConnectionError);
    assertEquals(error.code, "CONNECTION_LOST");
  },
);

onBothSides(
  "sends that wait for room and that nobody looks at are dropped when the connection ends",
  { maxBufferedBytes: 1_000_000, stallTimeoutMs: false },
  async ({ peer, connection }) => {
    await fill(peer, connection, 600_000);
    await peer.reset();
    await connection.closed;
    await settle();
  },
);

onBothSides(
  "a packet larger than all that may wait goes out when nothing else waits",
  { maxBufferedBytes: 2_000 },
  async ({ peer, connection }) => {
    for (let n = 0; n < 5; n++) {
      await connection.sendPacket({ action: "n", data: DATA });
      assertEquals((await peer.packet()).data, DATA);
    }
  },
);

onBothSides(
  "a peer that does not read the replies to its requests ends as SLOW_CONSUMER",
  { maxBufferedBytes: 1_000_000, stallTimeoutMs: false },
  async ({ peer, connection, bindAction }) => {
    bindAction("large", () => DATA.repeat(10));
    peer.stopReading();
    for (let id = 1; connection.state === "open" && id < 1_000; id++) {
      await peer.sendPacket({ action: "large", id });
      await pause(0);
    }
    assertEquals((await within(connection.closed, "its end")).code, "SLOW_CONSUMER");
  },
);

onBothSides(
  "a peer that does not read pongs and refusals ends as SLOW_CONSUMER",
  { maxBufferedBytes: 500_000, stallTimeoutMs: false },
  async ({ peer, connection }) => {
    peer.stopReading();
    const flood = line({ action: "@ping", data: "x".repeat(1_000) }).repeat(50) +
      "{}\n".repeat(500);
    await floodToEnd(peer, connection, flood);
    assertEquals((await connection.closed).code, "SLOW_CONSUMER");
  },
);

onBothSides(
  "a peer that stalls while much waits for it ends as SLOW_CONSUMER after stallTimeoutMs",
  { maxBufferedBytes: 400_000, stallTimeoutMs: 10_000 },
  async ({ peer, connection, time }) => {
    await fill(peer, connection, 100_000);
    await time.pass(5_000);
    assertEquals(connection.state, "open");
    // What the system took meanwhile may have begun the time anew.
    await time.pass(20_000);
    assertEquals((await within(connection.closed, "its end")).code, "SLOW_CONSUMER");
  },
);

onBothSides(
  "a peer that stalls while little waits for it is left alone",
  { maxBufferedBytes: 8_000_000, stallTimeoutMs: 5_000 },
  async ({ peer, connection, time }) => {
    await fill(peer, connection, 50_000);
    await time.pass(20_000);
    assertEquals(connection.state, "open");
    peer.goOnReading();
    await until(() => connection.stats.buffered === 0, "all was taken");
    await peer.ping();
  },
);

// A Unix socket holds little: what such a peer takes shows here at once.
Deno.test("a peer that takes what is sent to it slowly but steadily is left alone", async () => {
  await withSocketPath(async (path) => {
    // Several times shorter than all the taking, and much longer than each pause.
    const limits = { maxBufferedBytes: 8_000_000, stallTimeoutMs: 10_000 };
    await withServer({ path, ...limits }, async ({ register, server, time }) => {
      const peer = await register();
      const connection = server.clients.get(peer.token)!;
      peer.stopReading();
      // All at once: while this waits for anything, nothing is taken.
      const sent = 750;
      for (let n = 0; n < sent; n++) connection.sendPacket({ action: "n", data: DATA });
      const start = performance.now();
      while (connection.stats.buffered > 500_000 && connection.state === "open") {
        await peer.take(100_000);
        time.leap(500);
      }
      assertGreater(performance.now() - start, 2 * limits.stallTimeoutMs, "it was slow enough");
      assertEquals(connection.state, "open");
      peer.goOnReading();
      let received = 0;
      while (received < sent) if ((await peer.packet()).action === "n") received++;
      // Having been behind is not held against it.
      await time.pass(2 * limits.stallTimeoutMs);
      await peer.ping();
    });
  });
});

/** A server's clients, one of which does not read. */
async function withSleeper(
  act: (scene: ServerScene & { sleeperId: string; readerId: string }) => Promise<void>,
): Promise<void> {
  await withServer({ maxBufferedBytes: 500_000 }, async (scene) => {
    const sleeper = await scene.register();
    sleeper.stopReading();
    const received: unknown[] = [];
    await using reader = new Client(scene.to);
    reader.bindAction("news", (data) => void received.push((data as unknown[])[0]));
    await reader.start();
    await act({ ...scene, sleeperId: sleeper.id, readerId: reader.id! });
    await reader.request("honest-ask", 1);
    assertEquals(received, [...received.keys()], "what the reader got is complete and in order");
    assertGreater(received.length, 0);
    await reader.close();
  });
}

Deno.test("row 29: a peer that does not read is cut from a broadcast, the others miss nothing", async () => {
  await withSleeper(async ({ server, honest, sleeperId }) => {
    let slowest = 0;
    const missed = new Map<string, string>();
    for (let n = 0; n < 2_000 && server.clients.getById(sleeperId); n++) {
      const start = performance.now();
      const result = server.broadcast({ action: "news", data: [n, DATA] });
      slowest = Math.max(slowest, performance.now() - start);
      for (const [id, { code }] of result.missed) missed.set(id, code);
      assertEquals(result.sent, 3 - result.missed.size);
      if (n % 10 === 0) await honest.rounds(1);
    }
    assertEquals([...missed], [[sleeperId, "SLOW_CONSUMER"]]);
    assertLess(slowest, 1_000, "a broadcast waits for nobody");
  });
});

Deno.test("a group's broadcast cuts a member that does not read, too", async () => {
  await withSleeper(async ({ server, honest, sleeperId, readerId }) => {
    for (const id of [sleeperId, readerId]) server.clients.getById(id)!.join("all");
    const sleeper = server.clients.getById(sleeperId)!;
    for (let n = 0; n < 2_000 && sleeper.state === "open"; n++) {
      server.group("all").broadcast({ action: "news", data: [n, DATA] });
      if (n % 10 === 0) await honest.rounds(1);
    }
    assertEquals((await sleeper.closed).code, "SLOW_CONSUMER");
    assertEquals([...server.group("all").members].map(({ id }) => id), [readerId]);
  });
});

Deno.test("a client that awaits its sends is slowed down by a server that is busy", async () => {
  const gate = Promise.withResolvers<void>();
  await withServer({ maxInFlight: 1 }, async ({ server, to }) => {
    const handled: number[] = [];
    server.bindAction("work", async (data) => {
      await gate.promise;
      handled.push((data as number[])[0]);
    });
    await using client = new Client({ ...to, replayPackets: 4 });
    await client.start();
    let sent = 0;
    const COUNT = 3_000;
    const sending = (async () => {
      for (let n = 0; n < COUNT; n++) {
        await client.sendPacket({ action: "work", data: [n, DATA] });
        sent++;
      }
    })();
    await untilStill(() => sent, "the sender waited");
    const connection = server.clients.getById(client.id!)!;
    assertLess(connection.stats.waiting, 50);
    gate.resolve();
    await sending;
    await until(() => handled.length === COUNT, "all was handled");
    assertEquals(handled, [...Array(COUNT).keys()]);
    await client.close();
  });
});

Deno.test("broadcast results name each connection that misses out, and why", async () => {
  await withServer({}, async ({ register, server, honest }) => {
    const small = await register({ limits: { maxPacketBytes: 4_096 } });
    const leaving = await register();
    const closing = server.clients.get(leaving.token)!;
    const result = server.broadcast({ action: "news", data: "x".repeat(4_000) });
    assertEquals(result.sent, 2);
    const error = result.missed.get(small.id);
    assert(error instanceof PnetworkError);
    assertStrictEquals(error.code, "PACKET_TOO_LARGE");
    leaving.fin();
    await closing.closed;
    assertEquals(server.broadcast({ action: "news" }).sent, 2);
    assert(server.clients.getById(honest.id));
  });
});

for (
  const limits of [
    { replayPackets: 10, replayBytes: 10_000_000 },
    { replayPackets: 100_000, replayBytes: 20_000 },
  ]
) {
  onBothSides(
    `reading pauses while too much waits for a handler (${JSON.stringify(limits)})`,
    { maxInFlight: 1, ...limits },
    async ({ peer, connection, bindAction }) => {
      const gate = Promise.withResolvers<void>();
      let handled = 0;
      bindAction("work", async () => {
        await gate.promise;
        handled++;
      });
      const COUNT = 3_000;
      const flood = line({ action: "work", data: "x".repeat(2_000) });
      const flooding = peer.send(...Array(COUNT).fill(flood));
      const waiting = await untilStill(() => connection.stats.waiting, "reading paused");
      assertGreater(waiting, 9);
      assertLess(waiting, 100);
      gate.resolve();
      await flooding;
      await until(() => handled === COUNT, () => `all were handled: ${handled} were`);
    },
  );
}

onBothSides(
  "packets that pile up while a request of ours waits end the connection at the bound",
  { maxInFlight: 1, replayPackets: 4, maxBufferedBytes: 200_000, stallTimeoutMs: 200 },
  async ({ peer, connection, bindAction }) => {
    bindAction("work", () => new Promise(() => {}));
    const asked = assertRejects(() => connection.request("never"), ConnectionError);
    const flood = line({ action: "work", data: "x".repeat(1_000) }).repeat(20);
    await floodToEnd(peer, connection, flood);
    assertEquals((await connection.closed).code, "SLOW_CONSUMER");
    assertEquals((await asked).code, "SLOW_CONSUMER");
  },
);

onBothSides(
  "tiny packets that pile up count as more than their bytes",
  { maxInFlight: 1, replayPackets: 4, maxBufferedBytes: 200_000, stallTimeoutMs: 200 },
  async ({ peer, connection, bindAction }) => {
    bindAction("w", () => new Promise(() => {}));
    connection.request("never");
    await floodToEnd(peer, connection, line({ action: "w" }).repeat(500));
    assertEquals((await connection.closed).code, "SLOW_CONSUMER");
    assertLess(connection.stats.packetsReceived, 5_000);
  },
);
