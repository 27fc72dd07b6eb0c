// What may not undo a resume: windows larger than buffers, attempts that come late, sockets that pile up, first
// lines without room, and verdicts on what has ended meanwhile.

import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import type { Connection, ReceivedPacket, ServerOptions, SessionLoss } from "../../mod.ts";
import { withNetwork } from "../support/network_scene.ts";
import { hello, type RawPeer } from "../support/raw_peer.ts";
import { comeBack, GRANT, nextNumbered, resumeOf } from "../support/raw_session.ts";
import { IMPATIENT, withHostileServer, withServer } from "../support/scene.ts";
import { withSocketPath } from "../support/socket_path.ts";
import { pause, settle, until, within } from "../support/wait.ts";

const DATA = "x".repeat(2_000);
const COUNT = 50;
/** Less than a fifth of what all of these come to. */
const MAX_BUFFERED_BYTES = 20_000;

function count(told: string[], what: string): number {
  return told.filter((one) => one === what).length;
}

Deno.test("a window larger than the write buffer goes out on one resume, though its delivery is awaited", async () => {
  const options = { client: { maxBufferedBytes: MAX_BUFFERED_BYTES } };
  await withNetwork(options, async ({ server, client, proxy, drop, told }) => {
    const seen: unknown[] = [];
    server.bindAction("hear", (data) => void seen.push((data as unknown[])[0]));
    proxy.pull();
    await drop();
    const data = (n: number) => [n, DATA];
    for (let n = 0; n < COUNT; n++) client.sendPacket({ action: "hear", data: data(n) });
    const delivered = client.delivered();
    assertEquals(client.connection!.stats.unacknowledged, COUNT);
    proxy.plugIn();
    await within(delivered, "all was delivered");
    assertEquals(seen, Array.from({ length: COUNT }, (_, n) => n));
    assertEquals(told.filter((hook) => hook.startsWith("client") && !hook.includes("onRetry")), [
      "client onConnect",
      "client onDetach CONNECTION_LOST",
      "client onResume",
    ]);
  });
});

Deno.test("a burst of replies beyond the write buffer costs the socket, and not one reply", async () => {
  const options = { server: { maxBufferedBytes: MAX_BUFFERED_BYTES } };
  await withNetwork(options, async ({ server, client, told }) => {
    const gate = Promise.withResolvers<void>();
    let calls = 0;
    server.bindAction("page", async (data) => {
      calls++;
      await gate.promise;
      return [data, DATA];
    });
    const asked = Array.from({ length: COUNT }, (_, n) => client.request("page", n));
    await until(() => calls === COUNT, "the handlers run");
    gate.resolve();
    const replies = await within(Promise.all(asked), "all replies");
    assertEquals(replies, Array.from({ length: COUNT }, (_, n) => [n, DATA]));
    assertEquals(count(told, "server onDetach SLOW_CONSUMER"), 1);
    assertEquals([count(told, "server onResume"), count(told, "client onResume")], [1, 1]);
  });
});

// Attempts

const MALFORMED_ATTEMPTS = [-1, 1.5, "1", null, 2 ** 53];

Deno.test("an attempt to resume that is not above the last one is refused, and the session stays where it is", async () => {
  await withServer({}, async ({ server, register, connect, adopt }) => {
    const peer = await register({ session: true });
    const connection = server.clients.get(peer.token)!;
    const resume = resumeOf(peer);
    const newer = await register({ session: true, resume: { ...resume, attempt: 5 } });
    assertEquals([newer.id, newer.token], [peer.id, peer.token]);
    await peer.farewell("TAKEN_OVER");
    // Recorded, late, and the first of all.
    for (const attempt of [5, 4, 0]) {
      const late = await connect();
      await late.send(hello({ session: true, resume: { ...resume, attempt } }));
      await late.refused("TAKEN_OVER");
    }
    for (const attempt of MALFORMED_ATTEMPTS) {
      const wrong = await connect();
      await wrong.send(hello({ session: true, resume: { ...resume, attempt } }));
      await wrong.refused("BAD_PACKET");
    }
    connection.sendPacket({ action: "n", data: "for the newer one" });
    assertEquals((await nextNumbered(newer)).data, "for the newer one");
    await newer.ping();
    // A client that counts no attempts is let in as ever, and makes none of them valid again.
    const plain = adopt(await comeBack({ port: server.port }, peer, 1));
    await newer.farewell("TAKEN_OVER");
    const late = await connect();
    await late.send(hello({ session: true, resume: { ...resume, attempt: 5 } }));
    await late.refused("TAKEN_OVER");
    await plain.ping();
    const next = await register({ session: true, resume: { ...resume, ack: 1, attempt: 6 } });
    await plain.farewell("TAKEN_OVER");
    await next.ping();
  });
});

Deno.test("an attempt that a client has given up does not take its session over when it is let in", async () => {
  const gate = Promise.withResolvers<boolean>();
  let asked = 0;
  let decided = 0;
  const server: ServerOptions = {
    authenticate: async (_handshake, held) => {
      const verdict = held && ++asked === 1 ? await gate.promise : true;
      decided++;
      return verdict;
    },
  };
  await withNetwork({ server }, async ({ server, client, proxy, drop, resumed, told }) => {
    server.bindAction("echo", (data) => data);
    await drop();
    await until(() => asked === 1, "the first attempt is being decided");
    // The server does not hear of it.
    proxy.last!.cut("reset", "client");
    await resumed(1);
    assertEquals([asked, decided], [2, 2]);
    gate.resolve(true);
    await until(() => decided === 3, "the first attempt is decided");
    await settle();
    assertEquals(await client.request("echo", 1), 1);
    assertEquals(count(told, "server onResume"), 1);
    assertEquals(count(told, "client onDetach CONNECTION_LOST"), 1);
    assertEquals(told.filter((hook) => hook.includes("onDisconnect")), []);
  });
});

// Sockets

/** Comes back and looks at nothing but the welcome. */
async function comeBackDeaf(peer: RawPeer, resume: object): Promise<RawPeer> {
  await peer.send(hello({ session: true, resume }));
  // What came with the welcome, and no more.
  await peer.take(1);
  await peer.welcomed();
  return peer;
}

/** How many of these the server still holds open, which a write to them shows. */
async function stillOpen(peers: RawPeer[]): Promise<number> {
  for (const peer of peers) if (!peer.ended) await peer.send("\n");
  await settle();
  return peers.filter(({ ended }) => ended !== "reset").length;
}

/** Takes a session over again and again. Resolves to the sockets before the last one, and the last one. */
async function takeOverOften(
  path: string,
  prepare: (connection: Connection) => void,
  act: (scene: { old: RawPeer[]; most: number; last: RawPeer }) => Promise<void>,
): Promise<void> {
  await withServer({ path, drainTimeoutMs: 100 }, async ({ server, register, connect }) => {
    const peer = await register({ session: true });
    const connection = server.clients.get(peer.token)!;
    peer.stopReading();
    prepare(connection);
    await settle();
    const old: RawPeer[] = [];
    let last: RawPeer = peer;
    let most = 0;
    for (let n = 1; n <= 20; n++) {
      old.push(last);
      last = await comeBackDeaf(await connect(), { ...resumeOf(peer), attempt: n });
      most = Math.max(most, await stillOpen(old));
    }
    await act({ old, most, last });
    assertEquals(connection.state, "open");
  });
}

Deno.test("takeovers of a session that takes nothing leave no full socket behind", async () => {
  await withSocketPath(async (path) => {
    const fill = (connection: Connection) => {
      for (let n = 0; n < 400; n++) connection.sendPacket({ action: "n", data: DATA });
    };
    await takeOverOften(path, fill, async ({ old, most, last }) => {
      assertLess(most, 4);
      await pause(5);
      assertEquals(await stillOpen(old), 0);
      assertEquals(last.ended, undefined);
    });
  });
});

Deno.test("takeovers of a session whose sockets nobody closes leave a few of them open at most", async () => {
  await withSocketPath(async (path) => {
    await takeOverOften(path, () => {}, async ({ old, most }) => {
      assert(most > 0 && most <= 9, `so many were open at once: ${most}`);
      for (const peer of old) {
        peer.goOnReading();
        peer.fin();
      }
      await until(() => old.every((peer) => peer.ended), "all are gone");
    });
  });
});

// Verdicts

Deno.test("auth that leaves no room for a resume begins a new session, and the client is told", async () => {
  const losses: SessionLoss[] = [];
  const errors: unknown[] = [];
  const options = {
    client: {
      // The first line takes 4,096 bytes.
      auth: "j".repeat(3_860),
      onRetry: ({ error }: { error?: unknown }) => {
        errors.push((error as { code: string } | undefined)?.code);
      },
      onSessionLost: (_: unknown, loss: SessionLoss) => void losses.push(loss),
    },
  };
  await withNetwork(options, async ({ server, client, proxy, drop, told }) => {
    const heard: unknown[] = [];
    server.bindAction("hear", (data) => void heard.push(data));
    const token = client.token;
    proxy.pull();
    await drop();
    client.sendPacket({ action: "hear", data: "unsent" });
    proxy.plugIn();
    await until(() => losses.length === 1, "the client was told");
    const [{ reason, unknown, unsent, forgotten }] = losses;
    assertEquals([reason, unknown, unsent.length, forgotten], ["overflow", [], 1, 0]);
    assertEquals(errors.filter((code) => code === "PACKET_TOO_LARGE").length, 1);
    assertEquals([client.state, client.token === token], ["connected", false]);
    await client.sendPacket({ action: "hear", data: "after" }, { delivered: true });
    assertEquals(heard, ["after"]);
    assertEquals(count(told, "client onResume"), 0);
  });
});

Deno.test("authenticate sees no session of which too much was pushed out", async () => {
  const held: boolean[] = [];
  const losses: string[] = [];
  const options = {
    server: {
      replayPackets: 4,
      authenticate: (_: unknown, one?: Connection) => {
        held.push(one !== undefined);
        return one ? true : { attach: "judged" };
      },
    },
    client: { onSessionLost: (_: unknown, { reason }: SessionLoss) => void losses.push(reason) },
  };
  await withNetwork(options, async ({ server, client, proxy, drop, resumed }) => {
    client.bindAction("hear", () => {});
    await drop();
    await resumed(1);
    assertEquals(held, [false, true]);
    proxy.pull();
    await drop();
    for (let n = 0; n < 10; n++) server.broadcast({ action: "hear", data: n });
    proxy.plugIn();
    await until(() => losses.length === 1, "the client was told");
    assertEquals([losses, held], [["overflow"], [false, true, false]]);
    assertEquals(server.clients.get(client.token!)!.attached, "judged");
  });
});

Deno.test("authenticate is asked again where the session that it let go on has ended meanwhile", async () => {
  const gate = Promise.withResolvers<void>();
  const asked: (string | undefined)[] = [];
  const authenticate: ServerOptions["authenticate"] = async ({ auth }, held) => {
    if (auth !== "ada") return true;
    asked.push(held?.id);
    if (!held) return { attach: "judged anew" };
    await gate.promise;
    return { attach: "let go on" };
  };
  await withServer({ authenticate }, async ({ server, register, connect }) => {
    const peer = await register({ session: true, auth: "ada" });
    const again = await connect();
    await again.send(hello({ session: true, auth: "ada", resume: resumeOf(peer) }));
    await until(() => asked.length === 2, "it is being decided");
    await peer.sendPacket({ action: "@close", data: { code: "CLOSED", reason: "bye" } });
    await until(() => !server.clients.has(peer.token), "the session ended");
    gate.resolve();
    const { token, welcome } = await again.welcomed();
    assertEquals((welcome.data as { reason: string }).reason, "expired");
    assertEquals(asked, [undefined, peer.id, undefined]);
    assertEquals(server.clients.get(token)!.attached, "judged anew");
    await again.ping();
  });
});

// Replies

Deno.test("a reply to a request of a lost session is dropped silently, a second reply is a TypeError", async () => {
  const asked: ReceivedPacket[] = [];
  const onConnect = async (connection: Connection) => {
    for await (const packet of connection) asked.push(packet);
  };
  await withHostileServer({ ...IMPATIENT, onConnect }, async ({ client, server, start }) => {
    const first = await start(GRANT);
    const connection = client.connection!;
    await first.sendPacket(
      { action: "q", id: 1, seq: 1 },
      { action: "q", id: 2, seq: 2 },
    );
    await until(() => asked.length === 2, "both were asked");
    connection.reply(asked[0], "in time");
    assertThrows(() => connection.reply(asked[0], "twice"), TypeError);
    await first.reset();
    const next = await server.register({ ...GRANT, epoch: "the-second-run", reason: "restarted" });
    await until(() => client.token === next.token, "it began anew");
    connection.reply(asked[1], "too late");
    assertThrows(() => connection.reply(asked[0], "twice"), TypeError);
    await next.ping();
    assertEquals(next.hasLines, false);
    await next.sendPacket({ action: "q", id: 1, seq: 1 });
    await until(() => asked.length === 3, "the next one was asked");
    connection.reply(asked[2], "now");
    const reply = await nextNumbered(next);
    assertEquals([reply["reply-to"], reply.data, reply.seq], [1, "now", 1]);
  });
});
