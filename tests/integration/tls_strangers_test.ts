// Strangers on a TLS port: what those cost who never agree on TLS, or do and then take nothing.

import { assert, assertEquals, assertLess } from "@std/assert";
import { Client, Server } from "../../mod.ts";
import { ONE, TWO } from "../support/certs.ts";
import { heldSockets, openSockets } from "../support/held_sockets.ts";
import { withNetwork } from "../support/network_scene.ts";
import { type RawPeer, RawServer } from "../support/raw_peer.ts";
import { withServer } from "../support/scene.ts";
import { pause, until, within } from "../support/wait.ts";

const TRUSTING = { tls: { caCerts: [ONE.cert] } };
const DEADLINE_MS = 1_000;
const isLinux = Deno.build.os === "linux";

/** The first thing that a client of ours says over TLS. */
async function clientHello(): Promise<Uint8Array> {
  await using server = await RawServer.listen();
  await using client = new Client({ port: server.port, ...TRUSTING });
  const starting = client.start().catch(() => {});
  const peer = await server.accept();
  await until(() => peer.bytesReceived > 0, "the client said something");
  await peer.close();
  await starting;
  return peer.received;
}

const HELLO = await clientHello();

/** What a stranger says, who says nothing after it. */
const MANNERS: Record<string, Uint8Array[]> = {
  "nothing": [],
  "half of a ClientHello": [HELLO.subarray(0, HELLO.length / 2)],
  "a ClientHello": [HELLO],
  "a byte of one": [HELLO.subarray(0, 1)],
};

for (const [manner, said] of Object.entries(MANNERS)) {
  Deno.test(`strangers who say ${manner} and stay are hung up on at the deadline, and the server holds none of them`, async () => {
    const MANY = 40, AT_ONCE = 10;
    const limits = { maxHandshakes: AT_ONCE, handshakeTimeoutMs: DEADLINE_MS };
    await withServer({ tls: ONE, ...limits }, async ({ server, connect, honest, time }) => {
      const before = openSockets() ?? 0;
      const strangers: RawPeer[] = [];
      let most = 0;
      const watch = () => {
        // None of them leaves, so whatever else is open is the server's.
        const held = (openSockets() ?? 0) - before - strangers.length;
        most = Math.max(most, held);
      };
      for (let n = 0; n < MANY; n++) {
        const stranger = await connect();
        strangers.push(stranger);
        if (said.length > 0) await stranger.send(...said);
        watch();
      }
      const hungUp = until(() => {
        watch();
        return strangers.every(({ ended }) => ended !== undefined);
      }, "all were hung up on");
      await time.leapUntil(hungUp, "their being hung up on");
      // Those that were closed in this very turn may be counted beside those that take their place.
      assertLess(most, 2 * AT_ONCE + 1);
      if (isLinux) {
        assert(most > 0, "they were seen");
        // The honest client has one.
        await until(() => heldSockets(server.port) === 1, "nothing of them is left");
      }
      assert(server.loops[1].waitsFor.startsWith("0 "));
      await honest.rounds();
    });
  });
}

Deno.test("one address never holds more of a TLS server than it may, however long it stays", async () => {
  const from = "127.0.0.9";
  const limits = { exemptLoopback: false, maxHandshakesPerAddress: 3, handshakeTimeoutMs: 200 };
  await withServer({ tls: ONE, ...limits }, async ({ server, connect, honest, logs, time }) => {
    const strangers: RawPeer[] = [];
    for (let wave = 0; wave < 4; wave++) {
      for (let n = 0; n < 8; n++) strangers.push(await connect(from));
      const gone = until(() => strangers.every(({ ended }) => ended !== undefined), "all are gone");
      await time.leapUntil(gone, "their end");
      if (isLinux) await until(() => heldSockets(server.port) === 1, "the server holds none");
      await honest.rounds();
    }
    // Three of each wave were waited for.
    const refused = (why: string) => logs.text.split(`: ${why}`).length - 1;
    assertEquals(refused("too many handshakes at once"), 4 * 5);
    assertEquals(refused("the handshake took too long"), 4 * 3);
  });
});

Deno.test("a client that takes nothing is cut over TLS as well, and its socket is let go of", async () => {
  await using server = new Server({ port: 0, tls: ONE, maxBufferedBytes: 300_000 });
  await server.start();
  const conn = await Deno.connect({ port: server.port });
  const options = { hostname: "127.0.0.1", ...TRUSTING.tls };
  using peer = await Deno.startTls(conn, options);
  const hello = `{"action":"@handshake","data":{"version":1}}\n`;
  await peer.write(new TextEncoder().encode(hello));
  await until(() => server.clients.size === 1, "it is registered");
  const [connection] = server.clients.values();
  const data = "x".repeat(200_000);
  await until(() => {
    server.broadcast({ action: "news", data });
    return server.clients.size === 0;
  }, "it is given up");
  assertEquals((await within(connection.closed, "its end")).code, "SLOW_CONSUMER");
  if (isLinux) await until(() => heldSockets(server.port) === 0, "its socket is closed");
});

Deno.test("nothing of what a server sends over TLS is held back", async () => {
  await withNetwork({ server: { tls: ONE }, client: TRUSTING }, async ({ client, connection }) => {
    client.bindAction("echo", (data) => data);
    // Two writes, and an answer that is waited for: 40 ms each, where they are held back.
    const TIMES = 30;
    const start = performance.now();
    for (let time = 0; time < TIMES; time++) {
      connection.sendPacket({ action: "unheard-of" });
      await pause(0);
      assertEquals(await connection.request("echo", time), time);
    }
    assertLess(performance.now() - start, TIMES * 25);
  });
});

Deno.test("while certificates are replaced the port stays open: no newcomer is refused", async () => {
  await using server = new Server({ port: 0, tls: ONE });
  await server.start();
  const { port } = server;
  const tls = { caCerts: [ONE.cert, TWO.cert] };
  let isOver = false;
  const visiting = Array.from({ length: 3 }, async () => {
    let visits = 0;
    for (; !isOver; visits++) {
      await using client = new Client({ port, tls });
      await client.start();
    }
    return visits;
  });
  const failed = Promise.all(visiting).then(() => undefined, (error) => error);
  for (let time = 1; time <= 30; time++) {
    await server.replaceCertificate(time % 2 === 1 ? TWO : ONE);
    await pause(0);
  }
  isOver = true;
  assertEquals(await failed, undefined);
  for (const visits of await Promise.all(visiting)) assert(visits > 0);
});
