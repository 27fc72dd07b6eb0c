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
