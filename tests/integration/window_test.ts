// What may be unacknowledged, and who waits for that.

import { assert, assertEquals, assertFalse, assertLess, assertRejects } from "@std/assert";
import { PnetworkError } from "../../mod.ts";
import type { RawPacket, RawPeer } from "../support/raw_peer.ts";
import { acknowledged, handedOver, nextNumbered } from "../support/raw_session.ts";
import { onBothSidesOfSession } from "../support/scene.ts";
import { settle, until, within } from "../support/wait.ts";

/** The `data` of the next numbered packets, which must be there without anything being acknowledged. */
async function next(peer: RawPeer, count: number): Promise<unknown[]> {
  const packets: RawPacket[] = [];
  while (packets.length < count) packets.push(await nextNumbered(peer));
  return packets.map(({ data }) => data);
}

/** A packet comes, and the question for room behind it, which is answered: so that another one goes out. */
async function giveRoom(peer: RawPeer, waiting: Promise<void>): Promise<void> {
  const packets = [await peer.packet(), await peer.packet()];
  assertEquals(packets.map(({ action }) => action), ["n", "@ping"]);
  await peer.sendPacket({ action: "@pong", ack: 1 });
  await within(waiting, "the room");
}

/** Nothing numbered has come that was not looked at. */
async function nothingMore(peer: RawPeer): Promise<void> {
  for (const data of ["anything else?", "really nothing?"]) {
    await peer.sendPacket({ action: "@ping", data });
    let packet = await peer.packet();
    for (; packet.action !== "@pong"; packet = await peer.packet()) {
      // A side that waits for room may ask how far the other one is.
      assertEquals(packet.action, "@ping");
    }
    assertEquals(packet.data, data);
  }
  assertFalse(peer.hasLines);
}

onBothSidesOfSession(
  "a direct send waits for room in the window, and goes out in its order",
  { replayPackets: 4 },
  async ({ peer, connection }) => {
    let resolved = 0;
    for (let n = 1; n <= 9; n++) {
      connection.sendPacket({ action: "n", data: n }).then(() => resolved++);
    }
    assertEquals(await next(peer, 4), [1, 2, 3, 4]);
    await nothingMore(peer);
    assertEquals([resolved, connection.stats.unacknowledged], [4, 4]);
    assert(connection.stats.buffered > 0, "what waits is counted");
    await peer.sendPacket({ action: "@ack", ack: 2 });
    assertEquals(await next(peer, 2), [5, 6]);
    await nothingMore(peer);
    await peer.sendPacket({ action: "@ack", ack: 6 });
    assertEquals(await next(peer, 3), [7, 8, 9]);
    await peer.sendPacket({ action: "@ack", ack: 9 });
    await nothingMore(peer);
    const { unacknowledged, buffered } = connection.stats;
    assertEquals([resolved, unacknowledged, buffered], [9, 0, 0]);
  },
);

onBothSidesOfSession(
  "a window is full of bytes as well, and an empty one takes a packet of any size",
  { replayBytes: 10_000 },
  async ({ peer, connection }) => {
    const send = (n: number, length: number) =>
      connection.sendPacket({ action: "n", data: [n, "x".repeat(length)] });
    send(1, 50_000);
    send(2, 10);
    assertEquals((await next(peer, 1) as [number][])[0][0], 1);
    await nothingMore(peer);
    send(3, 6_000);
    send(4, 6_000);
    await peer.sendPacket({ action: "@ack", ack: 1 });
    assertEquals((await next(peer, 2) as [number][]).map(([n]) => n), [2, 3]);
    await nothingMore(peer);
    await peer.sendPacket({ action: "@ack", ack: 2 });
    await nothingMore(peer);
    await peer.sendPacket({ action: "@ack", ack: 3 });
    assertEquals((await next(peer, 1) as [number][])[0][0], 4);
  },
);

onBothSidesOfSession(
  "a send that is called off while it waits is not sent, and those behind it are",
  { replayPackets: 2 },
  async ({ peer, connection }) => {
    const controller = new AbortController();
    const { signal } = controller;
    for (const n of [1, 2]) connection.sendPacket({ action: "n", data: n });
    const off = [3, 4].map((n) =>
      connection.sendPacket({ action: "n", data: n }, { signal, delivered: n === 4 })
    );
    const last = connection.sendPacket({ action: "n", data: 5 });
    controller.abort("never mind");
    for (const sent of off) assertEquals(await sent.catch((reason) => reason), "never mind");
    assertEquals(await next(peer, 2), [1, 2]);
    await nothingMore(peer);
    await peer.sendPacket({ action: "@ack", ack: 2 });
    const packet = await nextNumbered(peer);
    assertEquals([packet.data, packet.seq], [5, 3]);
    await last;
    await peer.sendPacket({ action: "@ack", ack: 3 });
    await nothingMore(peer);
    const { unacknowledged, buffered } = connection.stats;
    assertEquals([unacknowledged, buffered], [0, 0]);
  },
);

onBothSidesOfSession(
  "what waits behind one that is called off may have room at once",
  { replayBytes: 10_000 },
  async ({ peer, connection }) => {
    const controller = new AbortController();
    const data = "x".repeat(6_000);
    connection.sendPacket({ action: "n", data: "first" + data });
    const off = connection.sendPacket({ action: "n", data }, { signal: controller.signal });
    const small = connection.sendPacket({ action: "n", data: "small" });
    controller.abort("never mind");
    assertEquals(await off.catch((reason) => reason), "never mind");
    await within(small, "room for the small one");
    assertEquals((await next(peer, 2))[1], "small");
  },
);

onBothSidesOfSession(
  "requests and replies do not wait for the window, and overtake nothing",
  { replayPackets: 2 },
  async ({ peer, connection, bindAction }) => {
    bindAction("echo", (data) => data);
    for (const n of [1, 2, 3, 4]) connection.sendPacket({ action: "n", data: n });
    const asked = connection.request("ask", "a");
    assertEquals(await next(peer, 5), [1, 2, 3, 4, "a"]);
    for (const n of [5, 6]) connection.sendPacket({ action: "n", data: n });
    await nothingMore(peer);
    await peer.sendPacket({ action: "echo", data: "b", id: 1, seq: 1 });
    assertEquals(await next(peer, 3), [5, 6, "b"]);
    await peer.sendPacket({ action: "ask", data: "answer", "reply-to": 1, seq: 2 });
    assertEquals(await asked, "answer");
    assertEquals(connection.stats.unacknowledged, 8);
  },
);

onBothSidesOfSession(
  "while the socket is lost sends fill the window, then wait, then are refused",
  { replayBytes: 20_000, maxBufferedBytes: 50_000 },
  async ({ connection, drop, comeBack }) => {
    await drop();
    const data = "x".repeat(4_000);
    const outcomes: string[] = [];
    const sends = Array.from(
      { length: 20 },
      (_, n) =>
        connection.sendPacket({ action: "n", data: [n, data] }).then(
          () => outcomes[n] = "resolved",
          ({ code }) => outcomes[n] = code,
        ),
    );
    await settle();
    const taken = outcomes.filter((outcome) => outcome === "resolved").length;
    const refused = outcomes.filter((outcome) => outcome === "OVERLOADED").length;
    assertEquals([taken, refused], [4, 8]);
    assertLess(connection.stats.buffered, 50_001);
    const error = await assertRejects(
      () => connection.request("ask", [0, "x".repeat(4_000)]),
      PnetworkError,
    );
    assertEquals(error.code, "OVERLOADED");
    const again = await comeBack();
    assertEquals((await next(again, 4) as [number][]).map(([n]) => n), [0, 1, 2, 3]);
    await again.sendPacket({ action: "@ack", ack: 4 });
    assertEquals((await next(again, 4) as [number][]).map(([n]) => n), [4, 5, 6, 7]);
    await again.sendPacket({ action: "@ack", ack: 8 });
    assertEquals((await next(again, 4) as [number][]).map(([n]) => n), [8, 9, 10, 11]);
    await within(Promise.all(sends), "all sends");
    await again.sendPacket({ action: "@ack", ack: 12 });
    await nothingMore(again);
  },
);

// Acknowledgements

onBothSidesOfSession(
  "what was handed over is acknowledged after 64 packets, and the rest a little later",
  {},
  async ({ peer, connection, bindAction, time }) => {
    bindAction("hear", () => {});
    const packets = Array.from({ length: 72 }, (_, n) => ({ action: "hear", seq: n + 1 }));
    await peer.sendPacket(...packets.slice(0, 64));
    assertEquals((await peer.packet()).ack, 64);
    await peer.sendPacket(...packets.slice(64));
    await until(() => connection.stats.packetsReceived === 72, "they came");
    await settle();
    assertFalse(peer.hasLines);
    time.leap(2_000);
    assertEquals((await peer.packet()).ack, 72);
  },
);

onBothSidesOfSession(
  "what comes at once is acknowledged at once, not by every 64 packets",
  {},
  async ({ peer, bindAction }) => {
    bindAction("hear", () => {});
    const packets = Array.from({ length: 960 }, (_, n) => ({ action: "hear", seq: n + 1 }));
    await peer.sendPacket(...packets);
    let acks = 0;
    for (let ack: unknown = 0; ack !== 960; acks++) ack = (await peer.packet()).ack;
    assertLess(acks, 15);
  },
);

onBothSidesOfSession(
  "a small window is acknowledged by the quarter",
  {},
  async ({ peer, bindAction }) => {
    bindAction("hear", () => {});
    for (const ack of [2, 4, 6, 8]) {
      await peer.sendPacket({ action: "hear", seq: ack - 1 }, { action: "hear", seq: ack });
      assertEquals((await peer.packet()).ack, ack);
    }
    const data = "x".repeat(11_000);
    for (const ack of [9, 10]) {
      await peer.sendPacket({ action: "hear", seq: ack, data });
      assertEquals((await peer.packet()).ack, ack);
    }
  },
  { limits: { replayPackets: 8, replayBytes: 40_000 } },
);

onBothSidesOfSession(
  "an acknowledgement rides on what is sent anyway",
  {},
  async ({ peer, connection, bindAction, time }) => {
    bindAction("hear", () => {});
    bindAction("echo", (data) => data);
    await peer.sendPacket({ action: "hear", seq: 1 }, { action: "echo", id: 1, seq: 2 });
    const reply = await peer.packet();
    assertEquals([reply["reply-to"], reply.ack], [1, 2]);
    await peer.sendPacket({ action: "hear", seq: 3 });
    await until(() => connection.stats.packetsReceived === 3, "it came");
    connection.sendPacket({ action: "n" });
    assertEquals((await peer.packet()).ack, 3);
    await peer.sendPacket({ action: "hear", seq: 4 });
    await until(() => connection.stats.packetsReceived === 4, "it came");
    time.leap(2_000);
    assertEquals(await acknowledged(peer, 4).then(({ action }) => action), "@ack");
  },
);

onBothSidesOfSession(
  "what waits for its turn is not acknowledged, nor what came after it",
  { maxInFlight: 1 },
  async ({ peer, connection, bindAction }) => {
    const gate = Promise.withResolvers<void>();
    bindAction("hear", () => gate.promise);
    for (let seq = 1; seq <= 3; seq++) await peer.sendPacket({ action: "hear", seq });
    await peer.sendPacket({ action: "n", "reply-to": 99, seq: 4 });
    await until(() => connection.stats.packetsReceived === 4, "all came");
    // The first one runs: it was handed over.
    await handedOver(peer, 1);
    gate.resolve();
    await handedOver(peer, 4);
  },
);

onBothSidesOfSession(
  "delivered() waits for the acknowledgement of all that was sent, and asks for it",
  {},
  async ({ peer, connection }) => {
    await connection.delivered();
    let isDelivered = false;
    connection.sendPacket({ action: "n" });
    const delivered = connection.delivered().then(() => isDelivered = true);
    assertEquals((await peer.packet()).action, "n");
    assertEquals((await peer.packet()).action, "@ping");
    await peer.sendPacket({ action: "@pong", ack: 0 });
    await nothingMore(peer);
    assertEquals(isDelivered, false);
    // What is sent later is none of its concern.
    connection.sendPacket({ action: "n" });
    await peer.sendPacket({ action: "@ack", ack: 0 }, { action: "@ack", ack: 1 });
    await within(delivered, "the delivery");
    assertEquals(connection.stats.unacknowledged, 1);
  },
);

onBothSidesOfSession(
  "a delivery that is waited for is asked for again over the next socket",
  {},
  async ({ peer, connection, drop, comeBack }) => {
    const before = connection.sendPacket({ action: "n", data: 1 }, { delivered: true });
    assertEquals((await peer.packet()).data, 1);
    assertEquals((await peer.packet()).action, "@ping");
    await drop();
    const meanwhile = connection.sendPacket({ action: "n", data: 2 }, { delivered: true });
    const again = await comeBack();
    const packets = [await again.packet(), await again.packet(), await again.packet()];
    assertEquals(packets.map(({ action }) => action), ["n", "n", "@ping"]);
    await again.sendPacket({ action: "@pong", ack: 2 });
    await within(Promise.all([before, meanwhile]), "the deliveries");
  },
);

onBothSidesOfSession(
  "room that is waited for is asked for again over the next socket",
  { replayBytes: 10_000 },
  async ({ peer, connection, drop, comeBack }) => {
    connection.sendPacket({ action: "n", data: "x".repeat(6_000) });
    const waiting = connection.sendPacket({ action: "n", data: "y".repeat(6_000) });
    assertEquals((await peer.packet()).action, "n");
    assertEquals((await peer.packet()).action, "@ping");
    await drop();
    await giveRoom(await comeBack(), waiting);
  },
);

onBothSidesOfSession(
  "room that is waited for behind much is asked for when the peer has taken that",
  {},
  async ({ peer, connection }) => {
    // More than makes a sender wait for the socket, and less than is acknowledged at once.
    connection.sendPacket({ action: "n", data: "x".repeat(100_000) });
    const waiting = connection.sendPacket({ action: "n", data: "y".repeat(1_000_000) });
    await giveRoom(peer, waiting);
  },
);

onBothSidesOfSession(
  "room that is waited for behind much is asked for again over the next socket",
  {},
  async ({ peer, connection, drop, comeBack }) => {
    connection.sendPacket({ action: "n", data: "x".repeat(100_000) });
    const waiting = connection.sendPacket({ action: "n", data: "y".repeat(1_000_000) });
    await drop();
    await giveRoom(await comeBack(), waiting);
    assertEquals(peer.hasLines, false);
  },
);

// Slow handlers

onBothSidesOfSession(
  "reading does not pause for slow handlers",
  { maxInFlight: 1, replayPackets: 4, replayBytes: 4_096 },
  async ({ peer, connection, bindAction }) => {
    const gate = Promise.withResolvers<void>();
    let handled = 0;
    bindAction("work", async () => {
      await gate.promise;
      handled++;
    });
    const packets = Array.from({ length: 500 }, (_, n) => ({ action: "work", seq: n + 1 }));
    await peer.sendPacket(...packets);
    await until(() => connection.stats.waiting === 499, "all were read");
    await peer.ping();
    gate.resolve();
    await until(() => handled === 500, "all were handled");
  },
);

onBothSidesOfSession(
  "more than there is memory for ends the socket as SLOW_CONSUMER, and what was read stays",
  { maxInFlight: 1, maxBufferedBytes: 100_000 },
  async ({ peer, connection, bindAction, comeBack }) => {
    const gate = Promise.withResolvers<void>();
    const heard: unknown[] = [];
    bindAction("hear", async (data) => {
      heard.push((data as [number])[0]);
      await gate.promise;
    });
    const packet = (seq: number) => ({ action: "hear", seq, data: [seq, "x".repeat(1_000)] });
    const COUNT = 200;
    for (let seq = 1; seq <= COUNT && peer.ended === undefined; seq++) {
      await peer.sendPacket(packet(seq));
    }
    const goodbye = (await peer.toEnd()).at(-1)!;
    assertEquals((goodbye.data as { code: string }).code, "SLOW_CONSUMER");
    await peer.close();
    const again = await comeBack();
    assertLess(connection.stats.waiting, COUNT);
    assert(connection.stats.waiting > 50, `${connection.stats.waiting} wait`);
    gate.resolve();
    await until(() => connection.stats.waiting === 0, "what was read was handled");
    // It does not know how much was received: what was handed over it was told.
    for (let seq = 2; seq <= COUNT; seq++) {
      await again.sendPacket(packet(seq));
      // Now it heeds its window.
      if (seq % 20 === 0) await again.ping();
    }
    await until(() => heard.length === COUNT, () => `all were handled: ${heard.length} were`);
    assertEquals(heard, Array.from({ length: COUNT }, (_, n) => n + 1));
  },
);
