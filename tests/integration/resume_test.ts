import { assert, assertEquals, assertFalse, assertRejects, assertStrictEquals } from "@std/assert";
import { ConnectionError, RequestError } from "../../mod.ts";
import type { FaultyProxy, Plan } from "../support/faulty_proxy.ts";
import { acrossNetwork, withNetwork } from "../support/network_scene.ts";
import { pause, until, within } from "../support/wait.ts";
import { DEFAULT_WIRE } from "../support/wires.ts";

Deno.test("packets and requests of both sides cross sixty cuts, once each and in order", async () => {
  await withNetwork({}, async ({ server, client, connection, proxy, told }) => {
    const COUNT = 3_000;
    const seen = { client: [] as unknown[], server: [] as unknown[] };
    server.bindAction("n", (n) => void seen.server.push(n));
    client.bindAction("n", (n) => void seen.client.push(n));
    for (const side of [server, client]) side.bindAction("double", (n) => Number(n) * 2);
    let isOver = false;
    const work = async (side: typeof client | typeof connection) => {
      for (let n = 0; n < COUNT; n++) {
        await side.sendPacket({ action: "n", data: n });
        if (n % 10 === 0) assertEquals(await side.request("double", n), n * 2);
      }
      await side.delivered();
    };
    const cutting = (async () => {
      for (let cut = 0; !isOver && cut < 60; cut++) {
        await until(() => isOver || client.state === "connected", "it is connected");
        const faults = {
          after: 50 + cut * 157 % 3_000,
          by: cut % 3 === 0 ? "fin" : "reset",
        } as const;
        const plan: Plan = { [cut % 2 === 0 ? "toServer" : "toClient"]: { cut: faults } };
        const before = told.length;
        proxy.last!.apply(plan);
        await until(() => isOver || told.length > before, "it was cut");
      }
    })();
    await within(Promise.all([work(client), work(connection)]), "all was delivered", 60_000);
    isOver = true;
    await cutting;
    const all = [...Array(COUNT).keys()];
    assertEquals(seen.server, all);
    assertEquals(seen.client, all);
    const resumes = told.filter((what) => what === "server onResume").length;
    assert(resumes >= 50, `it was resumed ${resumes} times`);
    assertFalse(told.some((what) => what.includes("onSessionLost")));
  });
});

for (const by of ["fin", "reset"] as const) {
  Deno.test(`a session in which no packet was sent survives ten cuts by ${by}`, async () => {
    await withNetwork({}, async ({ server, client, connection, drop, resumed }) => {
      const { id, token } = client;
      for (let time = 1; time <= 10; time++) {
        await drop(by);
        await resumed(time);
      }
      assertEquals([client.id, client.token], [id, token]);
      assertStrictEquals(server.clients.get(token!), connection);
      assertEquals(await client.request("nothing").catch(({ code }) => code), "NO_ACTION");
    });
  });
}

Deno.test("handlers that run while the socket is lost are answered when it is back", async () => {
  await withNetwork({}, async ({ server, client, connection, drop, resumed }) => {
    for (const [asker, answerer] of [[client, server], [connection, client]] as const) {
      const gate = Promise.withResolvers<void>();
      let calls = 0;
      answerer.bindAction("slow", async (n) => {
        calls++;
        await gate.promise;
        return n;
      });
      const before = connection.stats.bytesReceived;
      const replies = Promise.all([1, 2, 3].map((n) => asker.request("slow", n)));
      await until(() => calls === 3, "the handlers run");
      await drop();
      gate.resolve();
      assertEquals(await within(replies, "the replies"), [1, 2, 3]);
      assertEquals(calls, 3);
      await resumed(asker === client ? 1 : 2);
      assert(connection.stats.bytesReceived >= before, "what was counted stays counted");
    }
  });
});

Deno.test("what is sent and asked while the socket is lost arrives when it is back", async () => {
  await withNetwork({}, async ({ server, client, connection, proxy, drop }) => {
    const seen = { client: [] as unknown[], server: [] as unknown[] };
    server.bindAction("n", (n) => void seen.server.push(n));
    client.bindAction("n", (n) => void seen.client.push(n));
    client.bindAction("name", () => "Ada");
    server.bindAction("name", () => "server");
    proxy.pull();
    await drop();
    for (let n = 0; n < 3; n++) {
      await client.sendPacket({ action: "n", data: n });
      await connection.sendPacket({ action: "n", data: n });
    }
    const names = Promise.all([client.request("name"), connection.request("name")]);
    const delivered = Promise.all([
      client.sendPacket({ action: "n", data: 3 }, { delivered: true }),
      connection.sendPacket({ action: "n", data: 3 }, { delivered: true }),
    ]);
    let isDelivered = false;
    delivered.then(() => isDelivered = true);
    assertEquals(client.connection!.stats.unacknowledged, 5);
    assertEquals(connection.stats.unacknowledged, 5);
    await pause(20);
    assertEquals([isDelivered, seen], [false, { client: [], server: [] }]);
    proxy.plugIn();
    assertEquals(await within(names, "the replies"), ["server", "Ada"]);
    await within(delivered, "the delivery");
    assertEquals(seen, { client: [0, 1, 2, 3], server: [0, 1, 2, 3] });
  });
});

Deno.test("a request keeps its deadline while the socket is lost, and a late reply is ignored", async () => {
  await withNetwork({}, async ({ server, client, connection, proxy, drop, resumed }) => {
    const gate = Promise.withResolvers<void>();
    let calls = 0;
    const slow = async () => {
      calls++;
      await gate.promise;
    };
    server.bindAction("slow", slow);
    client.bindAction("slow", slow);
    const before = [client, connection].map((side) =>
      side.request("slow", null, { timeoutMs: 150 })
    );
    await until(() => calls === 2, "the handlers run");
    proxy.pull();
    await drop();
    const during = [client, connection].map((side) =>
      side.request("slow", null, { timeoutMs: 150 })
    );
    for (const asked of [...before, ...during]) {
      const error = await assertRejects(() => within(asked, "its deadline"), RequestError);
      assertEquals(error.code, "REQUEST_TIMEOUT");
    }
    assertEquals([client.state, connection.state], ["reconnecting", "detached"]);
    gate.resolve();
    proxy.plugIn();
    await resumed(1);
    await Promise.all([client.delivered(), connection.delivered()]);
    // Those of before and those of meanwhile: the other side is not told.
    await until(() => client.connection!.stats.ignored === 2, "the replies came late");
    await until(() => connection.stats.ignored === 2, "the replies came late");
  });
});

Deno.test("a signal calls off a request and a delivery while the socket is lost", async () => {
  await withNetwork({}, async ({ client, proxy, drop }) => {
    proxy.pull();
    await drop();
    const controller = new AbortController();
    const { signal } = controller;
    const asked = client.request("x", null, { signal });
    const delivery = client.sendPacket({ action: "x" }, { delivered: true, signal });
    controller.abort("enough");
    assertEquals(await asked.catch((reason) => reason), "enough");
    assertEquals(await delivery.catch((reason) => reason), "enough");
    proxy.plugIn();
    await client.delivered();
  });
});

Deno.test("a ping does not outlive its socket", async () => {
  await withNetwork({}, async ({ client, connection, proxy, drop, resumed }) => {
    proxy.last!.silence();
    const pings = [client.ping(), connection.ping()].map((ping) => ping.catch(({ code }) => code));
    proxy.pull();
    await drop();
    assertEquals(await Promise.all(pings), ["CONNECTION_LOST", "CONNECTION_LOST"]);
    const error = await assertRejects(() => client.ping(), ConnectionError);
    assertEquals(error.code, "CONNECTION_LOST");
    proxy.plugIn();
    await resumed(1);
    assert(await client.ping() >= 0);
  });
});

Deno.test("groups, what is attached and the Connection itself survive, and broadcasts reach it later", async () => {
  const attached = { name: "Ada" };
  let asked = 0;
  const options = {
    server: { authenticate: () => ({ attach: asked++ === 0 ? attached : { name: "another" } }) },
    client: { auth: { password: "x" } },
  };
  await withNetwork(options, async ({ server, client, connection, proxy, drop, resumed }) => {
    const seen: unknown[] = [];
    client.bindAction("news", (data) => void seen.push(data));
    const clientConnection = client.connection;
    const { id, token } = client;
    connection.join("readers");
    proxy.pull();
    await drop();
    assertEquals([...server.group("readers").members], [connection]);
    assertEquals([...connection.groups], ["readers"]);
    assertEquals(server.broadcast({ action: "news", data: 1 }).sent, 1);
    assertEquals(server.group("readers").broadcast({ action: "news", data: 2 }).sent, 1);
    connection.join("writers");
    proxy.plugIn();
    await resumed(1);
    await connection.delivered();
    assertEquals([seen, asked], [[1, 2], 2]);
    assertStrictEquals(connection.attached, attached);
    assertEquals([...connection.groups], ["readers", "writers"]);
    assertStrictEquals(server.clients.get(token!), connection);
    assertStrictEquals(client.connection, clientConnection);
    assertStrictEquals(client.clients.get(token!), clientConnection);
    assertEquals([client.id, client.token, connection.id], [id, token, id!]);
  });
});

Deno.test("a for await goes on over the next socket", async () => {
  const seen: unknown[] = [];
  let reading: Promise<void> | undefined;
  const options = {
    server: {
      onConnect: (connection: AsyncIterable<{ data: unknown }>) => {
        reading = (async () => {
          for await (const { data } of connection) seen.push(data);
        })();
      },
    },
  };
  await withNetwork(options, async ({ client, drop, resumed }) => {
    await client.sendPacket({ action: "n", data: 1 });
    await until(() => seen.length === 1, "it was read");
    await drop();
    await client.sendPacket({ action: "n", data: 2 });
    await resumed(1);
    await client.sendPacket({ action: "n", data: 3 }, { delivered: true });
    assertEquals(seen, [1, 2, 3]);
    await client.close();
    await within(reading!, "the end of the packets");
  });
});

Deno.test("what was not handed over when the socket was lost is not received twice", async () => {
  const gate = Promise.withResolvers<void>();
  await withNetwork({ server: { maxInFlight: 1 } }, async (scene) => {
    const { server, client, connection, drop, resumed } = scene;
    const seen: unknown[] = [];
    server.bindAction("n", async (n) => {
      seen.push(n);
      await gate.promise;
    });
    for (let n = 0; n < 10; n++) client.sendPacket({ action: "n", data: n });
    await until(() => connection.stats.waiting === 9, "nine wait");
    await drop();
    await resumed(1);
    // All that were not acknowledged come again, and are known.
    await until(() => connection.stats.ignored >= 9, "they came again");
    assertEquals([connection.stats.waiting, seen], [9, [0]]);
    gate.resolve();
    await client.delivered();
    assertEquals(seen, [...Array(10).keys()]);
  });
});

for (const by of ["fin", "reset"] as const) {
  Deno.test(`a resume whose answer is cut by ${by} at any byte leaves nothing used up`, async () => {
    // Several at once, so that all of it takes less time.
    const LANES = 16;
    const length = await lengthOfAnswer();
    const lane = async (first: number) =>
      await acrossNetwork({}, async ({ client, connection, server, proxy, told }) => {
        const seen = { client: [] as unknown[], server: [] as unknown[] };
        server.bindAction("n", (n) => void seen.server.push(n));
        client.bindAction("n", (n) => void seen.client.push(n));
        for (const side of [server, client]) side.bindAction("echo", (data) => data);
        const { token } = client;
        let sent = 0;
        // Beyond the answer comes what is sent again.
        for (let after = first; after <= length + 50; after += LANES * STEP) {
          const before = proxy.links.length;
          proxy.plans.push({ toClient: { cut: { after, by } } });
          proxy.cutAll();
          await client.sendPacket({ action: "n", data: sent });
          await connection.sendPacket({ action: "n", data: sent++ });
          const asked = [client, connection].map((side) => side.request("echo", after));
          assertEquals(await within(Promise.all(asked), "the replies"), [after, after]);
          assert(proxy.links.length >= before + 2, "it took two attempts");
        }
        const all = [...Array(sent).keys()];
        assertEquals([seen.client, seen.server, client.token], [all, all, token]);
        assertFalse(told.some((what) => what.includes("onSessionLost")));
      });
    await Promise.all(Array.from({ length: LANES }, (_, first) => lane(first * STEP)));
    assert(length > 200, `the answer has ${length} bytes`);
  });
}

/** Over a wire that says more before, not every byte is tried. */
const STEP = DEFAULT_WIRE === "plain" ? 1 : 11;

/** How many bytes a server says until a client that comes back is connected. */
async function lengthOfAnswer(): Promise<number> {
  let length = 0;
  let proxy: FaultyProxy | undefined;
  const onResume = () => void (length = proxy!.last!.bytes.toClient);
  await acrossNetwork({ client: { onResume } }, async (scene) => {
    proxy = scene.proxy;
    await scene.drop();
    await scene.resumed(1);
  });
  return length;
}
