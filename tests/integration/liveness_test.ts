// Finding out that the other side is gone, and only then. The rows are those of the project's list of bad
// inputs.

import { assert, assertEquals, assertFalse, assertGreater } from "@std/assert";
import { Client, Server } from "../../mod.ts";
import { Process, programCommand } from "../support/cli.ts";
import type { Direction } from "../support/faulty_proxy.ts";
import type { LeapingTime } from "../support/leaping_time.ts";
import { acrossNetwork } from "../support/network_scene.ts";
import type { RawPacket, RawPeer } from "../support/raw_peer.ts";
import { nextNumbered } from "../support/raw_session.ts";
import { onBothSides, onBothSidesOfSession, withServer } from "../support/scene.ts";
import { pause, until, within } from "../support/wait.ts";
import { DEFAULT_WIRE, WIRES } from "../support/wires.ts";

const WIRE = WIRES[DEFAULT_WIRE];

// A network that disappears without a FIN or reset

const TIMES = 10;
const DEAD_AFTER_MS = 200;

/** Makes the network disappear ten times. What is sent meanwhile, if anything, must arrive. */
async function disappear(
  what: Direction | "cable",
  packets: number,
): Promise<void> {
  const limits = { deadAfterMs: DEAD_AFTER_MS };
  await acrossNetwork({ server: limits, client: limits }, async (scene) => {
    const { server, client, connection, proxy, resumed, told } = scene;
    const seen = { client: [] as unknown[], server: [] as unknown[] };
    client.bindAction("n", (n) => void seen.client.push(n));
    server.bindAction("n", (n) => void seen.server.push(n));
    const { token } = client;
    let sent = 0;
    for (let time = 1; time <= TIMES; time++) {
      if (what === "cable") proxy.pull();
      else proxy.last!.silence(what);
      for (let n = 0; n < packets; n++) {
        client.sendPacket({ action: "n", data: sent });
        connection.sendPacket({ action: "n", data: sent++ });
      }
      if (what === "cable") {
        await until(() => client.state === "reconnecting", "the client noticed");
        await until(() => connection.state === "detached", "the server noticed");
        proxy.plugIn();
      }
      await resumed(time);
    }
    await Promise.all([client.delivered(), connection.delivered()]);
    const all = [...Array(sent).keys()];
    assertEquals([seen.client, seen.server, client.token], [all, all, token]);
    const why = told.filter((hook) => hook.startsWith("server onDetach"));
    if (what !== "toClient") {
      assertEquals(why, Array(TIMES).fill("server onDetach HEARTBEAT_TIMEOUT"));
    }
    assertFalse(told.some((hook) => hook.includes("onSessionLost")));
  });
}

Deno.test("a network that disappears and returns ten times loses nothing", async () => {
  await Promise.all([
    disappear("toServer", 3),
    disappear("toClient", 3),
    disappear("cable", 3),
    disappear("toServer", 0),
    disappear("toClient", 0),
    disappear("cable", 0),
  ]);
});

// Signs of life

onBothSidesOfSession(
  "row 30: a peer that falls silent is asked for a sign of life, detached, and may come back",
  { deadAfterMs: 30_000 },
  async ({ peer, connection, comeBack, time }) => {
    connection.sendPacket({ action: "n", data: 1 });
    // Two signs of life are asked for, a third of the time each, and the third comes too late.
    for (let times = 0; times < 3; times++) {
      assertEquals(connection.state, "open");
      await time.pass(10_100);
    }
    const packets = await peer.toEnd();
    const pings = packets.filter(({ action }) => action === "@ping");
    assertEquals(pings.length, 2);
    const last = packets.at(-1)!;
    assertEquals([last.action, (last.data as { code: string }).code], [
      "@close",
      "HEARTBEAT_TIMEOUT",
    ]);
    await peer.close();
    const again = await comeBack();
    assertEquals((await nextNumbered(again)).data, 1);
  },
);

/** Answers each ping, for so long. Returns how many came. */
async function answerPings(peer: RawPeer, ms: number, time: LeapingTime): Promise<number> {
  const end = performance.now() + ms;
  let pings = 0;
  while (performance.now() < end) {
    while (peer.hasLines) {
      const packet: RawPacket = await peer.packet();
      if (packet.action !== "@ping") continue;
      pings++;
      await peer.sendPacket({ action: "@pong", data: packet.data });
    }
    await time.pass(500);
  }
  return pings;
}

onBothSidesOfSession(
  "a peer that gives signs of life is kept",
  { deadAfterMs: 9_000, heartbeatMs: 2_000 },
  async ({ peer, connection, time }) => {
    assertGreater(await answerPings(peer, 20_000, time), 2);
    assertEquals([connection.state, connection.stats.ignored], ["open", 0]);
  },
);

onBothSidesOfSession(
  "a peer that is heard anyway is not asked for a sign of life",
  { heartbeatMs: 10_000 },
  async ({ peer, connection, time }) => {
    for (let n = 0; n < 30; n++) {
      const before = connection.stats.packetsReceived;
      await peer.sendPacket({ action: "unheard-of" });
      await until(() => connection.stats.packetsReceived > before, "it came");
      await time.pass(1_000);
    }
    await peer.ping();
    assertFalse(peer.text.includes("@ping"));
    assertEquals(connection.state, "open");
    await time.pass(10_100);
    await peer.packetOf("@ping");
  },
);

onBothSides(
  "a peer without a session is neither asked for a sign of life nor missed",
  { heartbeatMs: 2_000, deadAfterMs: 6_000 },
  async ({ peer, connection, time }) => {
    await time.pass(20_000);
    assertEquals([connection.state, peer.hasLines], ["open", false]);
  },
);

onBothSidesOfSession(
  "heartbeats and their deadline can be turned off",
  { heartbeatMs: false, deadAfterMs: false },
  async ({ peer, connection, time }) => {
    // By default it would be asked after 15 s, and missed after 45.
    await time.pass(60_000);
    assertEquals([connection.state, peer.hasLines], ["open", false]);
  },
);

onBothSidesOfSession(
  "a peer is not missed while it is this side that does not read",
  { deadAfterMs: 1_000, maxPacketsPerSecond: 100 },
  async ({ peer, connection, bindAction, time }) => {
    let heard = 0;
    bindAction("hear", () => void heard++);
    await peer.sendPacket(...Array(330).fill({ action: "hear" }));
    const all = until(() => heard === 330, "all were handled, at their pace");
    await time.leapUntil(all, "their being handled");
    assertEquals(connection.state, "open");
  },
);

// A window that is full

onBothSidesOfSession(
  "a full window that nothing of is acknowledged ends the socket as SLOW_CONSUMER, not the session",
  { replayPackets: 4, stallTimeoutMs: 10_000 },
  async ({ peer, connection, comeBack, time }) => {
    const sent = [1, 2, 3, 4, 5, 6].map((n) => connection.sendPacket({ action: "n", data: n }));
    await time.pass(9_000);
    assertEquals(connection.state, "open");
    await time.pass(1_100);
    const packets = await peer.toEnd();
    assertEquals(packets.flatMap(({ seq }) => seq ?? []), [1, 2, 3, 4]);
    assertEquals((packets.at(-1)!.data as { code: string }).code, "SLOW_CONSUMER");
    await peer.close();
    const again = await comeBack(2);
    for (const n of [3, 4, 5, 6]) assertEquals((await nextNumbered(again)).data, n);
    await Promise.all(sent);
    await again.sendPacket({ action: "@ack", ack: 6 });
    await again.ping();
    assertEquals([connection.stats.unacknowledged, connection.state], [0, "open"]);
  },
);

onBothSidesOfSession(
  "a full window that is acknowledged bit by bit is kept, however slow that is",
  { replayPackets: 4, stallTimeoutMs: 5_000 },
  async ({ peer, connection, time }) => {
    const COUNT = 25;
    for (let n = 1; n <= COUNT; n++) connection.sendPacket({ action: "n", data: n });
    for (let ack = 1; ack <= COUNT; ack++) {
      assertEquals((await nextNumbered(peer)).seq, ack);
      await time.pass(1_500);
      const before = connection.stats.bytesReceived;
      await peer.sendPacket({ action: "@ack", ack });
      await until(() => connection.stats.bytesReceived > before, "it came");
    }
    await peer.ping();
    assertEquals([connection.state, connection.stats.unacknowledged], ["open", 0]);
  },
);

// Processes that are stopped

function startChild(port: number | "server", limits: object): Process {
  const [deno, ...args] = programCommand("tests/support/session_child.ts");
  return new Process(deno, [...args, String(port), JSON.stringify(limits)]);
}

const NEVER = { heartbeatMs: false, deadAfterMs: false } as const;

Deno.test("row 30: a peer that is stopped is detached, and goes on when it wakes", async () => {
  await withServer({ deadAfterMs: 300 }, async ({ server }) => {
    await using child = startChild(server.port, NEVER);
    const id = JSON.parse(await child.line());
    const connection = server.clients.getById(id)!;
    child.kill("SIGSTOP");
    for (let n = 0; n < 5; n++) connection.sendPacket({ action: "n", data: n });
    await until(() => connection.state === "detached", "it was detached");
    for (let n = 5; n < 10; n++) connection.sendPacket({ action: "n", data: n });
    child.kill("SIGCONT");
    await connection.delivered();
    const said: unknown[] = [];
    while (!said.includes(9)) said.push(JSON.parse(await child.line()));
    assertEquals(said.filter((one) => typeof one === "number"), [...Array(10).keys()]);
    assert(said.includes("onResume"));
    assertEquals(connection.state, "open");
    await child.endInput();
    assertEquals(await child.exit(), 0);
  });
});

Deno.test("row 46: a process that was stopped itself declares nobody dead when it wakes", async () => {
  const limits = { deadAfterMs: 300, heartbeatMs: 50 };
  const stopFor = async (child: Process) => {
    child.kill("SIGSTOP");
    await pause(2 * limits.deadAfterMs);
    child.kill("SIGCONT");
  };
  const stoppedClient = async () => {
    let changes = 0;
    const change = () => void changes++;
    await using server = new Server({
      ...WIRE.server,
      port: 0,
      ...NEVER,
      onDetach: change,
      onResume: change,
    });
    await server.start();
    await using child = startChild(server.port, limits);
    const connection = server.clients.getById(JSON.parse(await child.line()))!;
    assertEquals(await connection.request("echo", 1), 1);
    await stopFor(child);
    const end = performance.now() + 400;
    while (performance.now() < end) assertEquals(await connection.request("echo", 1), 1);
    await child.endInput();
    assertEquals([await child.line(), changes], ['"onDisconnect"', 0]);
    assertEquals(await child.exit(), 0);
  };
  const stoppedServer = async () => {
    let changes = 0;
    const change = () => void changes++;
    await using child = startChild("server", limits);
    const port = JSON.parse(await child.line());
    await using client = new Client({ ...WIRE.client, port, ...NEVER, onDetach: change });
    await client.start();
    await stopFor(child);
    const end = performance.now() + 400;
    while (performance.now() < end) assertEquals(await client.request("echo", 1), 1);
    assertEquals(changes, 0);
    await within(client.close(), "the client's end");
    assertEquals(await child.line(), '"onDisconnect"');
    await child.endInput();
    assertEquals(await child.exit(), 0);
  };
  await Promise.all([stoppedClient(), stoppedServer()]);
});
