// What holds of delivery, over each wire that there is. More of it runs over another wire with
// PNETWORK_TEST_WIRE in the environment.

import { assert, assertEquals, assertFalse } from "@std/assert";
import { Client, Server, type SessionLoss } from "../../mod.ts";
import type { OnBytes } from "../support/faulty_proxy.ts";
import { acrossNetwork, withNetwork } from "../support/network_scene.ts";
import { IMPATIENT } from "../support/scene.ts";
import { until, within } from "../support/wait.ts";
import { overEachWire, WIRES } from "../support/wires.ts";

overEachWire(
  "packets, requests and broadcasts cross cuts in the middle of traffic",
  async (wire) => {
    await withNetwork({ wire }, async ({ server, client, connection, proxy, told }) => {
      const COUNT = 400;
      const CUTS = 14;
      const seen = { client: [] as unknown[], server: [] as unknown[], news: [] as unknown[] };
      server.bindAction("n", (n) => void seen.server.push(n));
      client.bindAction("n", (n) => void seen.client.push(n));
      client.bindAction("news", (n) => void seen.news.push(n));
      for (const side of [server, client]) side.bindAction("double", (n) => Number(n) * 2);
      let isOver = false;
      const work = async (side: typeof client | typeof connection) => {
        for (let n = 0; n < COUNT; n++) {
          await side.sendPacket({ action: "n", data: n });
          if (side === connection && n % 10 === 0) {
            server.broadcast({ action: "news", data: n / 10 });
          }
          if (n % 20 === 0) {
            assertEquals(await side.request("double", n), n * 2);
          }
        }
        await side.delivered();
      };
      const cutting = (async () => {
        for (let cut = 0; !isOver && cut < CUTS; cut++) {
          await until(() => isOver || client.state === "connected", "it is connected");
          const faults = {
            after: 40 + cut * 157 % 2_000,
            by: cut % 3 === 0 ? "fin" : "reset",
          } as const;
          const before = told.length;
          proxy.last!.apply({ [cut % 2 === 0 ? "toServer" : "toClient"]: { cut: faults } });
          await until(() => isOver || told.length > before, "it was cut");
        }
      })();
      await within(Promise.all([work(client), work(connection)]), "all was delivered", 30_000);
      isOver = true;
      await cutting;
      const all = [...Array(COUNT).keys()];
      assertEquals([seen.server, seen.client], [all, all]);
      assertEquals(seen.news, all.slice(0, COUNT / 10));
      assert(told.filter((what) => what === "server onResume").length >= 5, `it was cut: ${told}`);
      assertFalse(told.some((what) => what.includes("onSessionLost")));
    });
  },
);

overEachWire("packets of many records cross cuts inside them", async (wire) => {
  await withNetwork({ wire }, async ({ server, client, connection, proxy, resumed }) => {
    const seen = { client: [] as number[], server: [] as number[] };
    const take = (list: number[]) => (data: unknown) => {
      const { n, filling } = data as { n: number; filling: string };
      assertEquals(filling, String.fromCharCode(65 + n).repeat(filling.length));
      list.push(n);
    };
    server.bindAction("large", take(seen.server));
    client.bindAction("large", take(seen.client));
    const COUNT = 6;
    for (let n = 0; n < COUNT; n++) {
      const data = { n, filling: String.fromCharCode(65 + n).repeat(300_000) };
      const direction = n % 2 === 0 ? "toServer" : "toClient";
      proxy.last!.apply({ [direction]: { cut: { after: 40_000 + n * 45_678, by: "reset" } } });
      client.sendPacket({ action: "large", data });
      connection.sendPacket({ action: "large", data });
      await resumed(n + 1);
      await Promise.all([client.delivered(), connection.delivered()]);
    }
    const all = [...Array(COUNT).keys()];
    assertEquals([seen.server, seen.client], [all, all]);
  });
});

overEachWire(
  "a network that goes silent is noticed, and what was sent meanwhile arrives",
  async (wire) => {
    const limits = { deadAfterMs: 300 };
    await Promise.all((["toServer", "toClient", "cable"] as const).map(async (what) => {
      const options = { wire, server: limits, client: limits };
      await acrossNetwork(options, async ({ server, client, connection, proxy, resumed, told }) => {
        const seen = { client: [] as unknown[], server: [] as unknown[] };
        client.bindAction("n", (n) => void seen.client.push(n));
        server.bindAction("n", (n) => void seen.server.push(n));
        if (what === "cable") proxy.pull();
        else proxy.last!.silence(what);
        for (let n = 0; n < 5; n++) {
          client.sendPacket({ action: "n", data: n });
          connection.sendPacket({ action: "n", data: n });
        }
        if (what === "cable") {
          await until(() => client.state === "reconnecting", "the client noticed");
          await until(() => connection.state === "detached", "the server noticed");
          proxy.plugIn();
        }
        await resumed(1);
        await Promise.all([client.delivered(), connection.delivered()]);
        const all = [0, 1, 2, 3, 4];
        assertEquals([seen.client, seen.server], [all, all]);
        assertFalse(told.some((hook) => hook.includes("onSessionLost")));
      });
    }));
  },
);

overEachWire("bytes that come late over the socket before are not handled again", async (wire) => {
  let arrived = 0;
  const onBytes: OnBytes = (_link, direction, bytes) => {
    if (direction === "toServer") arrived += bytes.length;
  };
  await withNetwork({ wire, onBytes }, async ({ server, client, connection, proxy, resumed }) => {
    const seen: unknown[] = [];
    server.bindAction("n", (n) => void seen.push(n));
    const older = proxy.last!;
    older.silence("toServer");
    const beforeSilence = arrived;
    for (let n = 0; n < 50; n++) client.sendPacket({ action: "n", data: n });
    await until(() => arrived > beforeSilence, "some are on their way");
    older.cut("reset", "client");
    await resumed(1);
    await client.delivered();
    const before = older.bytes.toServer;
    older.heal();
    await until(() => older.bytes.toServer > before, "the late bytes came");
    for (let n = 50; n < 100; n++) client.sendPacket({ action: "n", data: n });
    await client.delivered();
    assertEquals(seen, [...Array(100).keys()]);
    assertEquals([connection.state, connection.stats.ignored], ["open", 0]);
  });
});

overEachWire(
  "a client that comes back while its old socket is half open takes over",
  async (wire) => {
    await withNetwork({ wire }, async ({ server, client, connection, proxy, resumed, told }) => {
      for (const side of [server, client]) side.bindAction("echo", (data) => data);
      for (let time = 1; time <= 3; time++) {
        proxy.last!.cut("reset", "client");
        await resumed(time);
        assertEquals(await client.request("echo", time), time);
        assertEquals(await connection.request("echo", time), time);
      }
      // The server never saw one drop.
      assertFalse(told.some((what) => what.startsWith("server onDetach")));
    });
  },
);

overEachWire(
  "a server that goes away answers what it has begun, and its clients find the next one",
  async (wire) => {
    const { server: serverOptions, client: clientOptions } = WIRES[wire];
    const first = new Server({ port: 0, drainTimeoutMs: 5_000, ...serverOptions });
    const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
    first.bindAction("slow", () => finished.then(() => "done"));
    await first.start();
    const { port } = first;
    const lost = Promise.withResolvers<SessionLoss>();
    await using client = new Client({
      port,
      ...IMPATIENT,
      ...clientOptions,
      onSessionLost: (_connection, loss) => lost.resolve(loss),
    });
    await client.start();
    const slow = client.request("slow");
    await client.ping();
    const closing = first.close();
    await client.ping();
    const held = client.sendPacket({ action: "log", data: 2 }, { delivered: true })
      .catch(({ code }) => code);
    finish();
    assertEquals(await slow, "done");
    await within(closing, "the first server's end");
    await using second = new Server({ port, ...serverOptions });
    second.bindAction("echo", (data) => data);
    await second.start();
    const { reason, unknown, unsent } = await within(lost.promise, "the client found the next one");
    assertEquals([reason, unknown, unsent], ["restarted", [], [{
      kind: "packet",
      action: "log" as const,
      data: 2,
    }]]);
    assertEquals([await held, await client.request("echo", 3)], ["SESSION_LOST", 3]);
  },
);
