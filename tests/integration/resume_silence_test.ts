import { assertEquals } from "@std/assert";
import type { Link, OnBytes } from "../support/faulty_proxy.ts";
import { LeapingTime } from "../support/leaping_time.ts";
import { withNetwork } from "../support/network_scene.ts";
import { until } from "../support/wait.ts";

Deno.test("a client that gives up on the answer to its resume leaves the session to its next attempt", async () => {
  using time = new LeapingTime();
  let silences = 2;
  const silent: Link[] = [];
  // The server has resumed by then, and is told that the client did not.
  const onBytes: OnBytes = (link, direction, bytes) => {
    if (direction === "toClient" || silences === 0 || link.bytes.toServer > 0) return;
    if (!new TextDecoder().decode(bytes).includes('"resume":')) return;
    silences--;
    silent.push(link);
    link.apply({ toClient: { silenceAfter: 40 } });
  };
  const options = { wire: "plain", client: { handshakeTimeoutMs: 1_000 }, onBytes } as const;
  await withNetwork(options, async ({ server, client, connection, drop, resumed, told }) => {
    const { id, token } = client;
    const seen: unknown[] = [];
    server.bindAction("n", (n) => void seen.push(n));
    client.bindAction("n", (n) => n);
    client.sendPacket({ action: "n", data: 1 });
    await drop();
    const asked = connection.request("n", 2);
    client.sendPacket({ action: "n", data: 3 });
    for (const times of [1, 2]) {
      const detaches = () => told.filter((what) => what === "server onDetach HANDSHAKE_TIMEOUT");
      const toldSo = until(() => detaches().length >= times, "the server was told");
      await time.leapUntil(toldSo, "the server being told");
      // The rest of the answer comes late, and is not listened to.
      silent[times - 1].heal();
    }
    const back = until(() => told.includes("client onResume"), "the client came back");
    await time.leapUntil(back, "the client coming back");
    await resumed(1);
    assertEquals([client.id, client.token, silences], [id, token, 0]);
    assertEquals(await asked, 2);
    await client.delivered();
    assertEquals(seen, [1, 3]);
    assertEquals(told.filter((what) => what === "server onResume").length, 3);
  });
});
