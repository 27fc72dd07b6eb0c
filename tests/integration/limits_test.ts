// The rows are those of the project's list of bad inputs.

import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import {
  Client,
  Connection,
  HandshakeError,
  ProtocolError,
  RequestError,
  Server,
} from "../../mod.ts";
import { bytes } from "../support/bytes.ts";
import { HonestClient } from "../support/honest.ts";
import { pair } from "../support/pair.ts";
import { hello, line, RawPeer } from "../support/raw_peer.ts";
import { onBothSides, withHostileServer, withServer } from "../support/scene.ts";
import { pause, until, within } from "../support/wait.ts";

const MIB = 1_048_576;

/** How much the memory of this process grows at most while something happens. */
async function growthOf(act: () => Promise<void>): Promise<number> {
  const before = Deno.memoryUsage().rss;
  let most = before;
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      most = Math.max(most, Deno.memoryUsage().rss);
      await pause(5);
    }
  })();
  try {
    await act();
  } finally {
    isOver = true;
    await watching;
  }
  return most - before;
}

/** Sends so much without an LF, or as much of it as the other side takes. */
async function sendEndlessLine(peer: RawPeer, size: number): Promise<void> {
  const chunk = bytes("x".repeat(MIB));
  for (let sent = 0; sent < size && !peer.ended; sent += chunk.length) await peer.send(chunk);
}

onBothSides(
  "row 19: 100 MB without an LF end with PACKET_TOO_LARGE, and memory stays flat",
  {},
  async ({ peer, connection }) => {
    const growth = await growthOf(async () => {
      await sendEndlessLine(peer, 100_000_000);
      await peer.farewell("PACKET_TOO_LARGE");
    });
    assertEquals((await connection.closed).code, "PACKET_TOO_LARGE");
    assertLess(growth, 64 * MIB);
  },
);

Deno.test("row 19: 100 MB without an LF before the handshake are refused after 4 KiB", async () => {
  await withServer({}, async ({ connect }) => {
    const peer = await connect();
    const growth = await growthOf(async () => {
      await sendEndlessLine(peer, 100_000_000);
      await peer.refused("PACKET_TOO_LARGE");
    });
    assertLess(growth, 64 * MIB);
  });
});

Deno.test("row 19: whoever goes on sending after the goodbye is cut, and memory stays flat", async () => {
  await withServer({}, async ({ register, server, time }) => {
    const peer = await register();
    const connection = server.clients.get(peer.token)!;
    peer.stopReading();
    const growth = await growthOf(async () => {
      await time.leapUntil(sendEndlessLine(peer, 2_000_000_000), "its being cut");
    });
    assertEquals((await connection.closed).code, "PACKET_TOO_LARGE");
    assertLess(growth, 64 * MIB);
  });
});

Deno.test("row 44: a server's line of 1 GB ends the client, whose memory stays flat", async () => {
  await withHostileServer({}, async ({ start, client }) => {
    const peer = await start();
    const growth = await growthOf(async () => {
      await sendEndlessLine(peer, 1_000_000_000);
      await peer.farewell("PACKET_TOO_LARGE");
    });
    assertEquals((await client.closed).code, "PACKET_TOO_LARGE");
    assertLess(growth, 64 * MIB);
  });
});

Deno.test("row 44: a server's handshake answer of 1 GB is refused after 4 KiB", async () => {
  await withHostileServer({}, async ({ server, client }) => {
    const script = async () => {
      const peer = await server.accept();
      await sendEndlessLine(peer, 1_000_000_000);
      await peer.farewell("PACKET_TOO_LARGE");
    };
    const growth = await growthOf(async () => {
      const [error] = await Promise.all([
        assertRejects(() => client.start(), ProtocolError),
        script(),
      ]);
      assertEquals(error.code, "PACKET_TOO_LARGE");
    });
    assertLess(growth, 64 * MIB);
  });
});

Deno.test("row 44: absurdly large limits of a server change nothing for its client", async () => {
  await withHostileServer({ maxBufferedBytes: 100_000 }, async ({ start, client }) => {
    const limits = { maxPacketBytes: Number.MAX_SAFE_INTEGER, maxDepth: -1, more: {} };
    const peer = await start({ limits });
    await client.sendPacket({ action: "a", data: "x".repeat(200_000) });
    assertEquals((await peer.packetOf("a")).action, "a");
  });
});

onBothSides(
  "row 31: one pending request too many is OVERLOADED here, and nothing is sent",
  { maxPendingRequests: 3 },
  async ({ peer, connection }) => {
    const waiting = [1, 2, 3].map((n) => connection.request("ask", n));
    const sent = connection.stats.packetsSent;
    const error = await assertRejects(() => connection.request("ask", 4), RequestError);
    assertEquals([error.code, error.remote], ["OVERLOADED", false]);
    assertEquals(connection.stats.packetsSent, sent);
    for (const n of [1, 2, 3]) {
      const { id } = await peer.packet();
      await peer.sendPacket({ action: "ask", "reply-to": id, data: n });
    }
    assertEquals(await Promise.all(waiting), [1, 2, 3]);

    const again = connection.request("ask", 5);
    const { id, data } = await peer.packet();
    assertEquals(data, 5);
    await peer.sendPacket({ action: "ask", "reply-to": id, data: 5 });
    assertEquals(await again, 5);
  },
);

onBothSides(
  "row 31: a request beyond maxInFlight is answered OVERLOADED, other packets wait",
  { maxInFlight: 2 },
  async ({ peer, connection, bindAction }) => {
    const gates = [0, 1, 2, 3].map(() => Promise.withResolvers<void>());
    const started: unknown[] = [];
    bindAction("work", async (n) => {
      started.push(n);
      await gates[n as number].promise;
      return n;
    });
    await peer.sendPacket(
      { action: "work", data: 0, id: 1 },
      { action: "work", data: 1 },
      { action: "work", data: 2 },
      { action: "work", data: 3, id: 2 },
    );
    const refused = await peer.packet();
    assertEquals([refused["reply-to"], refused.error?.code], [2, "OVERLOADED"]);
    assertEquals(started, [0, 1]);
    assertEquals(connection.stats.waiting, 1);
    gates[1].resolve();
    await until(() => started.length === 3, "the packet that waited had its turn");
    gates[0].resolve();
    assertEquals((await peer.packet())["reply-to"], 1);
    gates[2].resolve();
    gates[3].resolve();
    assertEquals((await peer.request(3, "work", 3)).data, 3);
  },
);

Deno.test("row 31: requests that nobody takes are answered OVERLOADED beyond maxInFlight", async () => {
  const gate = Promise.withResolvers<void>();
  let connected = 0;
  const onConnect = () => ++connected > 1 ? gate.promise : undefined;
  await withServer({ onConnect, maxInFlight: 3 }, async ({ register, server }) => {
    const peer = await register();
    const connection = server.clients.get(peer.token)!;
    await peer.sendPacket(
      ...[1, 2, 3, 4, 5].map((id) => ({ action: "honest-ask", data: id, id })),
    );
    for (const id of [4, 5]) {
      const reply = await peer.packet();
      assertEquals([reply["reply-to"], reply.error?.code], [id, "OVERLOADED"]);
    }
    assertEquals(connection.stats.waiting, 3);
    gate.resolve();
    for (const id of [1, 2, 3]) assertEquals((await peer.packet())["reply-to"], id);
  });
});

// Row 34

Deno.test("row 34: one client too many is refused with SERVER_FULL until another leaves", async () => {
  await withServer({ maxConnections: 3 }, async ({ register, connect, server }) => {
    const first = await register();
    await register();
    const extra = await connect();
    await extra.send(hello());
    await extra.refused("SERVER_FULL");
    await using client = new Client({ port: server.port });
    const error = await assertRejects(() => client.start(), HandshakeError);
    assertEquals(error.code, "SERVER_FULL");

    await first.close();
    await until(() => server.clients.size === 2, "the server forgot the first one");
    await client.start();
    assertEquals(server.clients.size, 3);
    await client.close();
  });
});

Deno.test("row 34: one client too many from one address is refused, other addresses are not", async () => {
  const options = { maxConnectionsPerAddress: 3, exemptLoopback: false };
  await withServer(options, async ({ register, connect, server }) => {
    const first = await register();
    await register();
    const extra = await connect();
    await extra.send(hello());
    const refusal = await extra.refused("SERVER_FULL");
    assert((refusal.data as { message: string }).message.includes("address"));
    const elsewhere = await register({}, "127.0.0.2");
    assertEquals((await elsewhere.request(1, "honest-ask", 1)).data, 1);

    await first.close();
    await until(() => server.clients.size === 3, "the server forgot the first one");
    await register();
    assertEquals(server.clients.size, 4);
  });
});

Deno.test("row 34: loopback addresses are not counted unless told so", async () => {
  const options = { maxConnectionsPerAddress: 1, maxHandshakesPerAddress: 1 };
  await withServer(options, async ({ register, connect, server }) => {
    const silent = [await connect(), await connect(), await connect()];
    await until(() => server.loops[1].waitsFor.startsWith("3 "), "three handshakes were begun");
    await Promise.all([register(), register(), register()]);
    assertEquals(server.clients.size, 4);
    for (const peer of silent) await peer.close();
  });
});

Deno.test("row 34: one handshake too many from one address is turned away at once", async () => {
  const options = { maxHandshakesPerAddress: 2, exemptLoopback: false };
  await withServer(options, async ({ connect, register, server }) => {
    const first = await connect();
    await connect();
    await until(() => server.loops[1].waitsFor.startsWith("2 "), "two handshakes were begun");
    for (let n = 0; n < 20; n++) {
      const extra = await connect();
      if (n % 2) await extra.send(hello());
      const { data } = await extra.packet();
      assertEquals((data as { code: string }).code, "SERVER_FULL");
      await extra.close();
    }
    await register({}, "127.0.0.2");
    await first.close();
    await until(() => server.loops[1].waitsFor.startsWith("1 "), "one is left");
    await register();
  });
});

Deno.test("row 34: who is turned away learns of it, also while still sending", async () => {
  const options = { maxHandshakesPerAddress: 1, exemptLoopback: false };
  await withServer(options, async ({ connect, server }) => {
    await connect();
    await until(() => server.loops[1].waitsFor.startsWith("1 "), "one handshake was begun");
    for (let n = 0; n < 50; n++) {
      const client = new Client({ port: server.port });
      const error = await assertRejects(() => client.start(), HandshakeError);
      assertEquals(error.code, "SERVER_FULL");
      await client.close();
    }
  });
});

Deno.test("row 34: at the bound of handshakes accepting stops, and goes on by itself", async () => {
  const options = { maxHandshakes: 4, handshakeTimeoutMs: 2_000 };
  await withServer(options, async ({ connect, server, honest }) => {
    const storm = await Promise.all(Array.from({ length: 12 }, () => connect()));
    await until(() => server.loops[1].waitsFor.startsWith("4 "), "four handshakes were begun");
    await honest.rounds();
    assertEquals(server.loops[1].waitsFor, "4 clients to shake hands");
    assertEquals(server.loops[0].waitsFor, "a handshake to end");

    // An honest one waits in the system's queue until those before it are gone.
    await using client = new Client({ port: server.port });
    const starting = client.start();
    for (const peer of storm.slice(0, 6)) await peer.close();
    for (const peer of storm.slice(6)) {
      await peer.send("nonsense\n");
      await peer.refused("BAD_JSON");
    }
    await within(starting, "the honest one's turn");
    assertEquals(await client.request("honest-ask", 1), 1);
    await client.close();
  });
});

Deno.test("row 34: silent strangers lose their places at the deadline to those who wait", async () => {
  const options = { maxHandshakes: 2, handshakeTimeoutMs: 1_000 };
  await withServer(options, async ({ connect, server, time }) => {
    const storm = await Promise.all(Array.from({ length: 6 }, () => connect()));
    await using client = new Client({ port: server.port });
    const all = storm.map((peer) => peer.refused("HANDSHAKE_TIMEOUT"));
    await time.leapUntil(Promise.all([client.start(), ...all]), "the end of all");
    await client.close();
  });
});

Deno.test("row 34: a storm of 300 half-open handshakes leaves nothing behind", async () => {
  await withServer({ maxHandshakes: 16 }, async ({ connect, server }) => {
    for (let round = 0; round < 3; round++) {
      const storm = await Promise.all(Array.from({ length: 100 }, () => connect()));
      for (const [n, peer] of storm.entries()) {
        if (n % 3 === 0) peer.fin();
        if (n % 3 === 1) await peer.reset();
      }
      await Promise.all(storm.map((peer) => peer.close()));
    }
    await until(() => server.loops[1].waitsFor.startsWith("0 "), "the server forgot them all");
  });
});

// Row 35

Deno.test("row 35: a server that runs out of file descriptors serves on, and recovers by itself", async () => {
  const program = new URL("../support/small_server.ts", import.meta.url);
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      'ulimit -n 64; exec "$0" run -A --no-check "$1"',
      Deno.execPath(),
      program.pathname,
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  const hears = async (what: string) => {
    while (!said.includes(what)) {
      const { done, value } = await within(output.read(), `the server to say ${what}`);
      if (done) throw new Error(`The server ended after ${said}`);
      said += value;
    }
  };
  try {
    await hears("\n");
    const port = Number(said.split("\n")[0]);
    const honest = await HonestClient.join({ port });
    await honest.rounds();

    const peers = await Promise.all(Array.from({ length: 100 }, () => RawPeer.connect({ port })));
    await hears("cannot accept");
    await honest.rounds(10);
    for (const peer of peers) await peer.close();

    // By itself: whoever comes now is let in.
    await using client = new Client({ port });
    await client.start();
    assertEquals(await client.request("honest-ask", 1), 1);
    await honest.rounds();
    await honest.leave();
    await client.close();
  } finally {
    await child.stdin.close();
    while (!(await output.read()).done);
    assertEquals((await child.status).code, 0);
  }
});

// Row 45

onBothSides(
  "row 45: a packet too large for the peer is rejected before it is sent",
  {},
  async ({ connection, peer }) => {
    assertEquals(await connection.sendPacket({ action: "a", data: "x" }), undefined);
    await peer.packetOf("a");
    const sent = connection.stats.packetsSent;
    const data = "x".repeat(MIB);
    const error = await assertRejects(
      () => connection.sendPacket({ action: "a", data }),
      ProtocolError,
    );
    assertEquals(error.code, "PACKET_TOO_LARGE");
    const asked = await assertRejects(() => connection.request("a", data), ProtocolError);
    assertEquals(asked.code, "PACKET_TOO_LARGE");
    assertEquals([connection.stats.packetsSent, connection.stats.pending], [sent, 0]);
    await peer.ping();
  },
);

Deno.test("row 45: a client's own limit holds for everything that a server sends it", async () => {
  await withServer({}, async ({ register, server }) => {
    const peer = await register({ limits: { maxPacketBytes: 4_096 } });
    const other = await register();
    const connection = server.clients.get(peer.token)!;
    const fits = { action: "a", data: "€".repeat(1_250) };
    const tooLarge = { action: "a", data: "€".repeat(1_290) };
    await connection.sendPacket(fits);
    assertLess((await peer.line()).length, 4_096);
    await assertRejects(() => connection.sendPacket(tooLarge), ProtocolError);
    await assertRejects(() => connection.request("a", tooLarge.data), ProtocolError);

    const { sent, missed } = server.broadcast(tooLarge);
    assertEquals(sent, 2);
    assertEquals([...missed].map(([id, { code }]) => [id, code]), [[peer.id, "PACKET_TOO_LARGE"]]);
    assertEquals((await other.packet()).data, tooLarge.data);

    const reply = await peer.request(1, "honest-ask", "x".repeat(4_000));
    assertEquals(reply.error?.code, "PACKET_TOO_LARGE");
    assertEquals((await peer.request(2, "honest-ask", "small")).data, "small");
    for (const text of peer.text.trim().split("\n")) assertLess(bytes(text).length, 4_097);
  });
});

Deno.test("row 45: a reply too large for the requester becomes an error reply", async () => {
  await withServer({}, async ({ server }) => {
    server.bindAction("huge", () => "x".repeat(100_000));
    await using client = new Client({ port: server.port, maxPacketBytes: 10_000 });
    await client.start();
    const error = await assertRejects(() => client.request("huge"), ProtocolError);
    assertEquals(error.code, "PACKET_TOO_LARGE");
    assertEquals(await client.request("honest-ask", 1), 1);
    await client.close();
  });
});

// Row 47

Deno.test("row 47: 2,000 handlers on each side, each awaiting the other side, all settle", async () => {
  const COUNT = 2_000;
  const outcomes = new Map<string, number>();
  let settled = 0;
  const back = async (_: unknown, __: unknown, peer: { request: Connection["request"] }) => {
    try {
      await peer.request("inner", "x");
      count("replied");
    } catch (error) {
      assert(error instanceof RequestError, String(error));
      count(error.code);
    }
  };
  const count = (outcome: string) => {
    settled++;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  };
  await withServer({}, async ({ server }) => {
    await using client = new Client({ port: server.port });
    for (const side of [server, client]) {
      side.bindAction("outer", back as () => Promise<void>);
      side.bindAction("inner", async (data) => {
        await pause(0);
        return data;
      });
    }
    await client.start();
    const connection = server.clients.getById(client.id!)!;
    for (let n = 0; n < COUNT; n++) {
      client.sendPacket({ action: "outer" });
      connection.sendPacket({ action: "outer" });
    }
    await until(() => settled === 2 * COUNT, () => `all settled: ${settled} did`);
    assertGreater(outcomes.get("replied") ?? 0, 0);
    assertEquals(
      [...outcomes.keys()].filter((outcome) => outcome !== "replied" && outcome !== "OVERLOADED"),
      [],
    );
    assertEquals(await client.request("inner", "after"), "after");
    assertEquals(await connection.request("inner", "after"), "after");
    for (const { stats } of [client.connection!, connection]) {
      assertEquals([stats.inFlight, stats.pending, stats.waiting], [0, 0, 0]);
    }
    await client.close();
  });
});

Deno.test("row 47: handlers that ask each other beyond every bound settle with small bounds too", async () => {
  const COUNT = 200;
  let settled = 0;
  const limits = { maxInFlight: 4, maxPendingRequests: 4, replayPackets: 8 };
  const ask = async (_: unknown, __: unknown, peer: { request: Connection["request"] }) => {
    await peer.request("inner").catch(() => {});
    settled++;
  };
  await using server = new Server({ port: 0, ...limits });
  await server.start();
  await using client = new Client({ port: server.port, ...limits });
  for (const side of [server, client]) {
    side.bindAction("outer", ask as () => Promise<void>);
    side.bindAction("inner", async () => await pause(0));
  }
  await client.start();
  const connection = server.clients.getById(client.id!)!;
  for (let n = 0; n < COUNT; n++) {
    client.sendPacket({ action: "outer" });
    connection.sendPacket({ action: "outer" });
  }
  await until(() => settled === 2 * COUNT, () => `all settled: ${settled} did`);
});

// Times

onBothSides(
  "a peer that goes silent in the middle of a line is ended",
  { partialLineTimeoutMs: 10_000 },
  async ({ peer, connection, time }) => {
    const before = connection.stats.bytesReceived;
    await peer.send('{"action":');
    await until(() => connection.stats.bytesReceived > before, "it came");
    await time.pass(9_000);
    assertEquals(connection.state, "open");
    await time.pass(1_100);
    await peer.farewell("HEARTBEAT_TIMEOUT");
    assertEquals((await connection.closed).code, "HEARTBEAT_TIMEOUT");
  },
);

onBothSides(
  "a peer that feeds a line byte by byte is ended",
  { partialLineTimeoutMs: 10_000 },
  async ({ peer, connection, time }) => {
    const drip = async () => {
      while (!peer.ended) {
        await peer.send("x");
        await pause(1);
        if (connection.state === "open") time.leap(500);
      }
    };
    await Promise.all([drip(), peer.farewell("HEARTBEAT_TIMEOUT")]);
  },
);

onBothSides(
  "a peer that is slow but steady gets its long line through",
  { partialLineTimeoutMs: 10_000 },
  async ({ peer, connection, bindAction, time }) => {
    bindAction("length", (data) => (data as string).length);
    const all = line({ action: "length", data: "x".repeat(40_000), id: 1 });
    for (let at = 0; at < all.length; at += 2_000) {
      const before = connection.stats.bytesReceived;
      await peer.send(all.slice(at, at + 2_000));
      await until(() => connection.stats.bytesReceived > before, "it came");
      time.leap(1_500);
    }
    assertEquals((await peer.packet()).data, 40_000);
  },
);

onBothSides(
  "a peer that sends whole lines and pauses between them is left alone",
  { partialLineTimeoutMs: 3_000 },
  async ({ peer, connection, bindAction, time }) => {
    bindAction("echo", (data) => data);
    for (let id = 1; id <= 3; id++) {
      const text = line({ action: "echo", data: id, id });
      await peer.send(text.slice(0, 5));
      await peer.send(text.slice(5));
      assertEquals((await peer.packet()).data, id);
      await time.pass(6_000);
    }
    assertEquals(connection.state, "open");
  },
);

onBothSides(
  "a peer whose every chunk ends one line and begins the next is left alone",
  { partialLineTimeoutMs: 10_000 },
  async ({ peer, bindAction, time }) => {
    const seen: unknown[] = [];
    bindAction("n", (n) => void seen.push(n));
    await peer.send('{"action":');
    for (let n = 0; n < 10; n++) {
      await time.pass(2_000);
      await peer.send(`"n","data":${n}}\n{"action":`);
      await until(() => seen.length === n + 1, "it came");
    }
    await peer.send('"n","data":10}\n');
    await until(() => seen.length === 11, "all came");
  },
);

Deno.test("the rest of a line may wait as long as it is this side that does not read", async () => {
  const gate = Promise.withResolvers<void>();
  let connected = 0;
  const onConnect = () => ++connected > 1 ? gate.promise : undefined;
  const options = { onConnect, partialLineTimeoutMs: 5_000, replayPackets: 1 };
  await withServer(options, async ({ register, server, time }) => {
    const peer = await register();
    const connection = server.clients.get(peer.token)!;
    const text = line({ action: "honest-note", data: 1 }).repeat(3);
    await peer.send(text + text.slice(0, 9));
    await until(() => connection.stats.waiting === 3, "reading stopped");
    await time.pass(20_000);
    assertEquals(connection.state, "open");
    await peer.send(text.slice(9));
    gate.resolve();
    for (let n = 0; n < 6; n++) assertEquals((await peer.packet()).action, "honest-echo");
  });
});

onBothSides(
  "maxPacketsPerSecond slows a peer down, drops nothing and keeps the order",
  { maxPacketsPerSecond: 200 },
  async ({ peer, bindAction, time }) => {
    const seen: unknown[] = [];
    bindAction("n", (n) => void seen.push(n));
    const start = performance.now();
    await peer.sendPacket(...Array.from({ length: 260 }, (_, data) => ({ action: "n", data })));
    await time.leapUntil(until(() => seen.length === 260, "all came"), "all of them");
    assertGreater(performance.now() - start, 200);
    assertEquals(seen, [...Array(260).keys()]);
  },
);

Deno.test("a connection that is being slowed down ends at once all the same", async () => {
  const [a, b] = pair();
  await using fast = new Connection(a);
  const slow = new Connection(b, { maxPacketsPerSecond: 1 });
  for (let n = 0; n < 100; n++) fast.sendPacket({ action: "n", data: n });
  await until(() => slow.stats.packetsReceived > 0, "the first one came");
  const start = performance.now();
  await slow.close();
  assertLess(performance.now() - start, 10_000);
  assertLess(slow.stats.packetsReceived, 50);
});
