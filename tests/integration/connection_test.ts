import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  Connection,
  ConnectionError,
  PnetworkError,
  ProtocolError,
  type ReceivedPacket,
  RequestError,
} from "../../mod.ts";
import { LeapingTime } from "../support/leaping_time.ts";
import { pair } from "../support/pair.ts";
import { hello, line, type RawPeer } from "../support/raw_peer.ts";
import { onBothSides, withServer } from "../support/scene.ts";
import { pause, settle, turn, until, within } from "../support/wait.ts";

// Requests

onBothSides("a request is answered with what the peer replies", {}, async (encounter) => {
  const { connection, peer } = encounter;
  const replied = connection.request("ask", { deep: [1, null] });
  const asked = await peer.packet();
  assertEquals(asked.action, "ask");
  assertEquals(asked.data, { deep: [1, null] });
  assertEquals(asked.token, peer.token);
  assertEquals(asked.id, 1);
  assertEquals(typeof asked["packet-created"], "number");
  await peer.sendPacket({ action: "ask", "reply-to": 1, data: { ok: true } });
  assertEquals(await replied, { ok: true });

  const empty = connection.request("ask");
  assertEquals(await peer.packet().then(({ id, data }) => [id, data]), [2, null]);
  await peer.sendPacket({ action: "ask", "reply-to": 2 });
  assertEquals(await empty, null);
});

onBothSides("replies may come in any order", {}, async ({ connection, peer }) => {
  const replies = [1, 2, 3].map((n) => connection.request("ask", n));
  const asked = [await peer.packet(), await peer.packet(), await peer.packet()];
  for (const { id, data } of asked.reverse()) {
    await peer.sendPacket({ action: "ask", "reply-to": id, data: Number(data) * 10 });
  }
  assertEquals(await Promise.all(replies), [10, 20, 30]);
});

onBothSides(
  "a request fails with the class and code that the peer names",
  {},
  async (encounter) => {
    const { connection, peer } = encounter;
    const failures: [code: string, type: unknown, expected: string][] = [
      ["NO_ACTION", RequestError, "NO_ACTION"],
      ["ACTION_FAILED", RequestError, "ACTION_FAILED"],
      ["GOING_AWAY", ConnectionError, "GOING_AWAY"],
      ["PACKET_TOO_LARGE", ProtocolError, "PACKET_TOO_LARGE"],
      ["FROM_THE_FUTURE", RequestError, "ACTION_FAILED"],
      ["__proto__", RequestError, "ACTION_FAILED"],
      ["", RequestError, "ACTION_FAILED"],
    ];
    for (const [code, type, expected] of failures) {
      const replied = connection.request("ask");
      const { id } = await peer.packet();
      await peer.sendPacket({ action: "ask", "reply-to": id, error: { code, message: "because" } });
      const error = await assertRejects(() => replied, PnetworkError);
      assertEquals([error.constructor, error.code], [type, expected]);
      assert(error.message.includes("because"));
    }
  },
);

onBothSides("a request gives up at its own timeout, and the limit's without one", {
  requestTimeoutMs: 60,
}, async ({ connection }) => {
  const own = await assertRejects(
    () => connection.request("a", 1, { timeoutMs: 10 }),
    RequestError,
  );
  assertEquals(own.code, "REQUEST_TIMEOUT");
  const common = await assertRejects(() => connection.request("a"), RequestError);
  assertEquals(common.code, "REQUEST_TIMEOUT");
  const none = await assertRejects(
    () => connection.request("a", 1, { timeoutMs: 0 }),
    RequestError,
  );
  assertEquals(none.code, "REQUEST_TIMEOUT");
  assertEquals(connection.stats.pending, 0);
});

onBothSides("timeoutMs: false waits for as long as the connection lives", {
  requestTimeoutMs: 20,
}, async ({ connection, peer }) => {
  const patient = connection.request("a", 1, { timeoutMs: false });
  await assertRejects(() => connection.request("b"), RequestError);
  const { id } = await peer.packet();
  await peer.sendPacket({ action: "a", "reply-to": id, data: "at last" });
  assertEquals(await patient, "at last");
});

onBothSides(
  "an abort ends a request with the signal's reason",
  {},
  async ({ connection, peer }) => {
    const controller = new AbortController();
    const reason = { why: "changed my mind" };
    const aborted = connection.request("a", 1, { signal: controller.signal });
    await peer.packet();
    controller.abort(reason);
    assertStrictEquals(await aborted.catch((error) => error), reason);
    assertEquals(connection.stats.pending, 0);

    // One that was aborted before sends nothing.
    const sent = connection.stats.packetsSent;
    const early = connection.request("a", 1, { signal: controller.signal });
    assertStrictEquals(await early.catch((error) => error), reason);
    const ping = connection.ping({ signal: controller.signal });
    assertStrictEquals(await ping.catch((error) => error), reason);
    assertEquals(connection.stats.packetsSent, sent);

    // And one that is aborted after its reply has its reply.
    const late = new AbortController();
    const replied = connection.request("a", 1, { signal: late.signal });
    const { id } = await peer.packet();
    await peer.sendPacket({ action: "a", "reply-to": id, data: 5 });
    assertEquals(await replied, 5);
    late.abort(reason);
  },
);

onBothSides("a request takes its hands off the signal when it is over", {
  maxPendingRequests: 2,
}, async ({ connection, peer }) => {
  const { signal } = new AbortController();
  let listening = 0;
  const { addEventListener, removeEventListener } = signal;
  Object.assign(signal, {
    addEventListener(...args: Parameters<typeof addEventListener>) {
      listening++;
      addEventListener.apply(signal, args);
    },
    removeEventListener(...args: Parameters<typeof removeEventListener>) {
      listening--;
      removeEventListener.apply(signal, args);
    },
  });
  const replied = connection.request("a", 1, { signal });
  const { id } = await peer.packet();
  await peer.sendPacket({ action: "a", "reply-to": id });
  await replied;
  await assertRejects(() => connection.request("a", 1, { signal, timeoutMs: 1 }));
  await assertRejects(() => connection.request("a", "x".repeat(2_000_000), { signal }));
  const lost = [connection.request("a", 1, { signal }), connection.ping({ signal })];
  await connection.request("a", 1, { signal, timeoutMs: 1 }).catch(() => {});
  await assertRejects(() => Promise.all([1, 2].map(() => connection.request("a", 1, { signal }))));
  await peer.reset();
  await Promise.allSettled(lost);
  await connection.closed;
  await settle();
  assertEquals(listening, 0);
});

onBothSides(
  "misuse of a request throws or rejects as documented, and sends nothing",
  {},
  async (encounter) => {
    const { connection } = encounter;
    const sent = connection.stats.packetsSent;
    const request = connection.request.bind(connection) as (...rest: unknown[]) => Promise<unknown>;
    assertThrows(() => request("@ping"), TypeError);
    assertThrows(() => request(""), TypeError);
    assertThrows(() => request(5), TypeError);
    assertThrows(() => request("a", undefined), TypeError);
    assertThrows(() => request("a", 1n), TypeError);
    assertThrows(() => request("a", 1, { timeoutMs: -1 }), RangeError);
    assertThrows(() => request("a", 1, { timeoutMs: NaN }), RangeError);
    assertThrows(() => request("a", 1, { timeoutMs: "1" }), TypeError);
    assertThrows(() => connection.ping({ timeoutMs: 2 ** 31 }), RangeError);
    const send = connection.sendPacket.bind(connection) as (packet: unknown) => Promise<void>;
    for (const packet of [null, undefined, "a", {}, { action: "@a" }, { action: "a", data: 1n }]) {
      assertThrows(() => send(packet), TypeError);
    }
    await settle();
    assertEquals(connection.stats.packetsSent, sent);
    assertEquals(connection.stats.pending, 0);
  },
);

onBothSides("requests that wait when the connection ends fail with why", {}, async (encounter) => {
  const { connection, peer } = encounter;
  const asked = connection.request("a");
  const pinged = connection.ping();
  await peer.reset();
  for (const waiting of [asked, pinged]) {
    assertEquals((await assertRejects(() => waiting, ConnectionError)).code, "CONNECTION_LOST");
  }
  const { code } = await within(connection.closed, "the connection's end");
  assertEquals(code, "CONNECTION_LOST");
  const late = await assertRejects(() => connection.request("a"), ConnectionError);
  assertEquals(late.code, "CONNECTION_LOST");
  await assertRejects(() => connection.sendPacket({ action: "a" }), ConnectionError);
  await assertRejects(() => connection.ping(), ConnectionError);
});

onBothSides("a rejection that nobody looks at is dropped", {}, async ({ connection, peer }) => {
  connection.request("a");
  connection.request("a", 1, { timeoutMs: 1 });
  connection.request("a", 1, { signal: AbortSignal.abort() });
  connection.ping();
  await peer.reset();
  await connection.closed;
  connection.sendPacket({ action: "a" });
  connection.request("a");
  await settle();
});

onBothSides("ping measures the time there and back", {}, async ({ connection, peer }) => {
  const pinged = connection.ping();
  const { data } = await peer.packetOf("@ping");
  await peer.sendPacket({ action: "@pong", data });
  const ms = await pinged;
  assert(ms >= 0 && ms < 10_000);
});

onBothSides("a pong that was not asked for, of any shape, is ignored", {}, async (encounter) => {
  const { connection, peer } = encounter;
  const pinged = connection.ping();
  const { data } = await peer.packetOf("@ping");
  // The last one can be made neither a number nor a text.
  const primitiveless = { valueOf: 1, toString: 1 };
  for (const pong of [null, "1", {}, -1, 1e9, [data], primitiveless]) {
    await peer.sendPacket({ action: "@pong", data: pong });
  }
  await peer.sendPacket({ action: "@pong", data });
  await pinged;
  // One without a number answers a sign of life that was asked for.
  assertEquals(connection.stats.ignored, 6);
});

// Order

onBothSides(
  "10,000 packets arrive in order, and so do as many that are sent",
  {},
  async (encounter) => {
    const { connection, peer, bindAction } = encounter;
    const COUNT = 10_000;
    let next = 0;
    let disorder = 0;
    bindAction("n", (n) => {
      if (n !== next++) disorder++;
    });
    let batch = "";
    for (let n = 0; n < COUNT; n++) {
      batch += line({ action: "n", data: n });
      if (batch.length > 50_000) {
        await peer.send(batch);
        batch = "";
      }
    }
    await peer.send(batch);
    await until(() => next === COUNT, () => `all came: ${next} did`);
    assertEquals(disorder, 0);

    for (let n = 0; n < COUNT; n++) await connection.sendPacket({ action: "m", data: n });
    for (let n = 0; n < COUNT; n++) assertEquals((await peer.packet()).data, n);
  },
);

onBothSides(
  "handlers start in order and their asynchronous parts overlap",
  {},
  async (encounter) => {
    const { peer, bindAction } = encounter;
    const gates = [0, 1, 2].map(() => Promise.withResolvers<void>());
    const started: unknown[] = [];
    bindAction("wait", async (n) => {
      started.push(n);
      await gates[n as number].promise;
      return n;
    });
    await peer.sendPacket(...[0, 1, 2].map((n) => ({ action: "wait", data: n, id: n + 1 })));
    await until(() => started.length === 3, "all handlers started");
    assertEquals(started, [0, 1, 2]);
    for (const n of [2, 0, 1]) {
      gates[n].resolve();
      assertEquals((await peer.packet()).data, n);
    }
  },
);

onBothSides(
  "a handler holds the packet as it arrived, and the connection",
  {},
  async (encounter) => {
    const { peer, connection, bindAction } = encounter;
    const seen = Promise.withResolvers<[unknown, ReceivedPacket, unknown]>();
    bindAction("see", (data, packet, from) => seen.resolve([data, packet, from]));
    await peer.sendPacket({ action: "see", data: 1, "packet-created": 7, token: peer.token });
    const [data, packet, from] = await seen.promise;
    assertEquals(data, 1);
    assertEquals([packet.action, packet.data, packet["packet-created"]], ["see", 1, 7]);
    assertEquals(packet.token, peer.token);
    assertStrictEquals(from, connection);
  },
);

// A peer that ends its side

onBothSides("a request before the peer's FIN still gets its reply", {}, async (encounter) => {
  const { peer, connection, bindAction } = encounter;
  bindAction("now", () => "at once");
  bindAction("later", async () => {
    await pause(30);
    return "in a while";
  });
  await peer.sendPacket({ action: "later", id: 1 }, { action: "now", id: 2 });
  peer.fin();
  const packets = await peer.toEnd();
  assertEquals(packets.map((packet) => [packet["reply-to"], packet.data]), [
    [2, "at once"],
    [1, "in a while"],
  ]);
  assertEquals((await connection.closed).code, "CONNECTION_LOST");
});

onBothSides("packets that wait for their turn at the peer's FIN are handled", {
  maxInFlight: 1,
}, async ({ peer, bindAction }) => {
  const handled: unknown[] = [];
  bindAction("work", async (n) => {
    await pause(5);
    handled.push(n);
  });
  await peer.sendPacket(...[1, 2, 3].map((data) => ({ action: "work", data })));
  peer.fin();
  await peer.toEnd();
  assertEquals(handled, [1, 2, 3]);
});

onBothSides("packets that wait for their turn at the peer's goodbye are handled", {
  maxInFlight: 1,
}, async ({ peer, connection, bindAction }) => {
  const handled: unknown[] = [];
  bindAction("work", async (n) => {
    await pause(5);
    handled.push(n);
  });
  await peer.sendPacket(
    ...[1, 2, 3].map((data) => ({ action: "work", data })),
    { action: "@close", data: { code: "CLOSED", reason: "done" } },
  );
  peer.fin();
  assertEquals(await connection.closed, { code: "CLOSED", reason: "done" });
  await until(() => handled.length === 3, () => `all were handled: ${handled}`);
});

onBothSides("a handler that never settles holds a FIN up for drainTimeoutMs only", {
  drainTimeoutMs: 50,
}, async ({ peer, connection, bindAction }) => {
  bindAction("never", () => new Promise(() => {}));
  await peer.sendPacket({ action: "never", id: 1 });
  peer.fin();
  assertEquals(await peer.toEnd(), []);
  await within(connection.closed, "the connection's end");
});

onBothSides(
  "a handler that asks a peer which has sent its FIN learns at once that no reply will come",
  {
    drainTimeoutMs: 5_000,
  },
  async ({ peer, connection, bindAction }) => {
    const gate = Promise.withResolvers<void>();
    const failures: unknown[] = [];
    const ask = async (question: () => Promise<unknown>) => {
      const error = await assertRejects(question, ConnectionError);
      failures.push(error.code);
    };
    bindAction("work", async () => {
      await ask(() => connection.request("back", null, { timeoutMs: false }));
      await gate.promise;
      await ask(() => connection.request("back", null, { timeoutMs: false }));
      await ask(() => connection.ping());
      return "done";
    });
    await peer.sendPacket({ action: "work", id: 1 });
    await peer.packetOf("back");
    peer.fin();
    await until(() => failures.length === 1, "the first request failed");
    gate.resolve();
    const replies = (await peer.toEnd()).filter((packet) => packet["reply-to"] !== undefined);
    assertEquals(replies.map(({ data }) => data), ["done"]);
    assertEquals(failures, ["CONNECTION_LOST", "CONNECTION_LOST", "CONNECTION_LOST"]);
  },
);

Deno.test("netcat's style: handshake, request and FIN at once get welcome, reply and FIN", async () => {
  await withServer({}, async ({ connect, server }) => {
    server.bindAction("slow", async (data) => {
      await pause(20);
      return data;
    });
    const peer = await connect();
    await peer.send(hello() + line({ action: "slow", data: "x", id: 1 }));
    peer.fin();
    const packets = await peer.toEnd();
    assertEquals(packets.map(({ action }) => action), ["@handshake", "slow"]);
    assertEquals(packets[1].data, "x");
  });
});

Deno.test("netcat's style while onConnect has not returned gets its reply all the same", async () => {
  const gate = Promise.withResolvers<void>();
  let connected = 0;
  const onConnect = () => ++connected > 1 ? gate.promise : undefined;
  await withServer({ onConnect }, async ({ connect }) => {
    const peer = await connect();
    await peer.send(hello() + line({ action: "honest-ask", data: "x", id: 1 }));
    peer.fin();
    await peer.welcomed();
    await pause(20);
    gate.resolve();
    assertEquals((await peer.packet()).data, "x");
    await peer.toEnd();
  });
});

onBothSides(
  "a FIN in the middle of a line ends the connection without that line",
  {},
  async (encounter) => {
    const { peer, connection, bindAction } = encounter;
    bindAction("echo", (data) => data);
    await peer.send(line({ action: "echo", data: 1, id: 1 }), '{"action":"echo","id":2}');
    peer.fin();
    assertEquals((await peer.toEnd()).map(({ data }) => data), [1]);
    assertEquals((await connection.closed).code, "CONNECTION_LOST");
  },
);

// for await

/** Connects a raw peer whose packets nobody takes yet. */
async function withUntaken(
  act: (peer: RawPeer, connection: Connection) => Promise<void>,
  limits: object = {},
): Promise<void> {
  const gate = Promise.withResolvers<void>();
  let connected = 0;
  const onConnect = () => ++connected > 1 ? gate.promise : undefined;
  await withServer({ onConnect, ...limits }, async ({ register, server }) => {
    const peer = await register();
    const connection = server.clients.get(peer.token)!;
    await act(peer, connection);
    gate.resolve();
  });
}

Deno.test("for await takes what arrives in order, and answers requests through reply()", async () => {
  await withUntaken(async (peer, connection) => {
    await peer.sendPacket({ action: "a", data: 1 }, { action: "b", data: 2, id: 7 });
    await peer.sendPacket({ action: "c", data: 3 });
    const seen: unknown[] = [];
    for await (const packet of connection) {
      seen.push([packet.action, packet.data, packet.id]);
      if (packet.id !== undefined) connection.reply(packet, "answer");
      if (packet.action === "c") break;
    }
    assertEquals(seen, [["a", 1, undefined], ["b", 2, 7], ["c", 3, undefined]]);
    const reply = await peer.packet();
    assertEquals([reply["reply-to"], reply.data, reply.action], [7, "answer", "b"]);

    // Leaving the loop ended nothing: a later one goes on.
    await peer.sendPacket({ action: "d" });
    for await (const packet of connection) {
      assertEquals(packet.action, "d");
      break;
    }
    assertEquals(connection.state, "open");
  });
});

Deno.test("for await ends when the connection does, after what came before", async () => {
  for (const ending of ["fin", "close", "fault"]) {
    await withUntaken(async (peer, connection) => {
      const loop = (async () => {
        const seen: unknown[] = [];
        for await (const packet of connection) {
          seen.push(packet.data);
          await pause(5);
        }
        return seen;
      })();
      await peer.sendPacket(
        ...[1, 2, 3].map((data) => ({ action: "n", data })),
        ...(ending === "close" ? [{ action: "@close", data: { code: "CLOSED" } }] : []),
        ...(ending === "fault" ? [{ action: "n", seq: 1 }] : []),
      );
      peer.fin();
      assertEquals(await within(loop, `the loop's end after ${ending}`), [1, 2, 3]);
      await connection.closed;
    });
  }
});

Deno.test("several readers of one connection share its packets and all end with it", async () => {
  await withUntaken(async (peer, connection) => {
    const seen: unknown[] = [];
    const read = async () => {
      for await (const packet of connection) seen.push(packet.data);
    };
    const iterator = connection[Symbol.asyncIterator]();
    const ahead = [iterator.next(), iterator.next(), iterator.next()];
    const readers = [read(), read()];
    for (let data = 0; data < 20; data++) {
      await peer.sendPacket({ action: "n", data });
      await settle();
    }
    for (const next of ahead) {
      const { value, done } = await within(next, "a packet for who waited first");
      assertEquals(done, false);
      seen.push(value!.data);
    }
    await until(() => seen.length === 20, () => `all packets were taken: ${seen.length} were`);
    assertEquals(new Set(seen).size, 20);
    peer.fin();
    await within(Promise.all(readers), "the readers' end");
    assertEquals(await iterator.next(), { value: undefined, done: true });
  });
});

Deno.test("for await and startListen() exclude each other", async () => {
  await withUntaken(async (peer, connection) => {
    await peer.ping();
    connection[Symbol.asyncIterator]();
    assertThrows(() => connection.startListen(), TypeError, "for await");
    assertEquals(connection.isListening, true);
  });
  await withServer({}, async ({ register, server }) => {
    const peer = await register();
    const connection = server.clients.get(peer.token)!;
    connection.startListen();
    assertThrows(() => connection[Symbol.asyncIterator](), TypeError, "startListen");
    assertEquals((await peer.request(1, "honest-ask", 1)).data, 1);
  });
});

Deno.test("for await in onConnect replaces dispatch", async () => {
  const seen: unknown[] = [];
  let connected = 0;
  const onConnect = async (connection: Connection) => {
    if (++connected === 1) return;
    for await (const packet of connection) {
      seen.push(packet.action);
      connection.reply(packet, "from the loop");
    }
  };
  await withServer({ onConnect }, async ({ register }) => {
    const peer = await register();
    assertEquals((await peer.request(1, "honest-ask", 1)).data, "from the loop");
    assertEquals(seen, ["honest-ask"]);
  });
});

Deno.test("reply() answers once, and only requests", async () => {
  await withUntaken(async (peer, connection) => {
    await peer.sendPacket({ action: "a" }, { action: "b", id: 1 }, { action: "c", id: 2 });
    const iterator = connection[Symbol.asyncIterator]();
    const a = (await iterator.next()).value!;
    const b = (await iterator.next()).value!;
    const c = (await iterator.next()).value!;
    assertThrows(() => connection.reply(a, 1), TypeError);
    assertThrows(() => connection.reply(b, 1n), TypeError);
    connection.reply(b, 1);
    assertThrows(() => connection.reply(b, 2), TypeError);
    connection.reply(c);
    assertEquals(await peer.packet().then((p) => [p["reply-to"], p.data]), [1, 1]);
    assertEquals(await peer.packet().then((p) => [p["reply-to"], p.data]), [2, null]);
    const closing = connection.close();
    await peer.farewell("CLOSED");
    await closing;
    // When the connection is over there is nobody to answer, and nothing to be done about it.
    connection.reply(c, 3);
  });
});

Deno.test("a reader that stops pulling stops the peer; replies and pongs come until then", async () => {
  await withUntaken(async (peer, connection) => {
    const iterator = connection[Symbol.asyncIterator]();
    await peer.sendPacket(...Array.from({ length: 10 }, (_, data) => ({ action: "n", data })));
    // Ten wait; control packets and replies are handled the moment they are read.
    await peer.ping("while packets wait");
    const asked = connection.request("ask");
    const { id } = await peer.packetOf("ask");
    await peer.sendPacket({ action: "ask", "reply-to": id, data: "yes" });
    assertEquals(await asked, "yes");

    // Now more than may wait.
    const chunk = line({ action: "big", data: "x".repeat(10_000) }).repeat(20);
    let sent = 0;
    let isOver = false;
    const flooding = (async () => {
      while (!isOver) {
        await peer.send(chunk);
        sent += chunk.length;
      }
    })();
    let read = -1;
    try {
      await until(() => {
        const before = read;
        read = connection.stats.bytesReceived;
        return connection.stats.waiting > 16 && read === before;
      }, () => `reading stopped: ${JSON.stringify([connection.stats, connection.loops])}`);
      for (let look = 0; look < 20; look++) {
        await pause(5);
        assertEquals(connection.stats.bytesReceived, read);
      }
      assertLess(read, 100_000 + 20 * chunk.length);
      assertLess(connection.stats.waiting, 200);
    } finally {
      isOver = true;
    }

    // Pulling lets it go on.
    for (let taken = 0; taken < 30; taken++) await iterator.next();
    await until(() => connection.stats.bytesReceived > read, "reading went on");
    const emptying = (async () => {
      while (!(await iterator.next()).done);
    })();
    await flooding;
    assertGreater(sent, 0);
    peer.fin();
    await within(emptying, "the end of all packets");
  }, { replayPackets: 16, replayBytes: 100_000 });
});

Deno.test("a request of ours to a peer whose packets wait gets its reply read", async () => {
  await withUntaken(async (peer, connection) => {
    const iterator = connection[Symbol.asyncIterator]();
    await peer.sendPacket(...Array.from({ length: 50 }, (_, data) => ({ action: "n", data })));
    await until(() => connection.stats.waiting > 16, "more waited than may");
    for (const ask of ["request", "ping"]) {
      const asked = ask === "ping" ? connection.ping() : connection.request("ask");
      const { id, data } = await peer.packet();
      await peer.sendPacket(
        { action: "n", data: "more" },
        ask === "ping" ? { action: "@pong", data } : { action: "ask", "reply-to": id, data: 5 },
      );
      await within(asked, `the answer to a ${ask}`);
    }
    for (let n = 0; n < 50; n++) assertEquals((await iterator.next()).value!.data, n);
    for (let n = 0; n < 2; n++) assertEquals((await iterator.next()).value!.data, "more");
  }, { replayPackets: 16 });
});

Deno.test("a request that a for await took before the peer's FIN still gets its reply", async () => {
  await withUntaken(async (peer, connection) => {
    const answering = (async () => {
      for await (const packet of connection) {
        await pause(20);
        connection.reply(packet, `re: ${packet.data}`);
      }
    })();
    await peer.sendPacket({ action: "a", data: 1, id: 1 }, { action: "a", data: 2, id: 2 });
    peer.fin();
    const packets = await peer.toEnd();
    assertEquals(packets.map(({ data }) => data), ["re: 1", "re: 2"]);
    await within(answering, "the end of the loop");
  });
});

// Ending

onBothSides(
  "close() lets what was sent arrive, then says goodbye and ends",
  {},
  async (encounter) => {
    const { peer, connection } = encounter;
    for (let n = 0; n < 1_000; n++) connection.sendPacket({ action: "n", data: n });
    const closing = connection.close({ reason: "that is all" });
    const packets = await peer.toEnd();
    peer.fin();
    await closing;
    assertEquals(packets.slice(0, -1).map(({ data }) => data), [...Array(1_000).keys()]);
    assertEquals(packets.at(-1)!.action, "@close");
    assertEquals(packets.at(-1)!.data, { code: "CLOSED", reason: "that is all" });
    assertEquals(connection.state, "closed");
    assertEquals(await connection.closed, { code: "CLOSED", reason: "that is all" });
  },
);

onBothSides("close() waits for a peer that takes what was sent slowly", {}, async (encounter) => {
  const { peer, connection } = encounter;
  peer.stopReading();
  const data = "x".repeat(100_000);
  for (let n = 0; n < 70; n++) connection.sendPacket({ action: "n", data });
  const closing = connection.close();
  for (let look = 0; look < 10; look++) {
    peer.goOnReading();
    await pause(1);
    peer.stopReading();
    await pause(10);
  }
  peer.goOnReading();
  assertEquals((await peer.toEnd()).length, 71);
  peer.fin();
  await closing;
});

onBothSides(
  "close() may be called again and again, and closed resolves once",
  {},
  async (encounter) => {
    const { peer, connection } = encounter;
    const closings = [
      connection.close(),
      connection.close({ reason: "other" }),
      connection.close(),
    ];
    await peer.toEnd();
    peer.fin();
    await within(Promise.all(closings), "all closings");
    await connection.close();
    assertEquals((await connection.closed).reason, "closed");
    assertEquals(await peer.toEnd(), []);
  },
);

onBothSides(
  "close({ drainTimeoutMs }) lets running handlers finish and their replies go out",
  {},
  async (encounter) => {
    const { peer, connection, bindAction } = encounter;
    const gate = Promise.withResolvers<string>();
    bindAction("slow", () => gate.promise);
    bindAction("fast", () => "fast");
    await peer.sendPacket({ action: "slow", id: 1 });
    await until(() => connection.stats.inFlight === 1, "the handler ran");
    const closing = connection.close({ drainTimeoutMs: 5_000 });
    await until(() => connection.state === "draining", "the connection drained");
    assertEquals((await peer.request(2, "fast")).error?.code, "GOING_AWAY");
    await peer.sendPacket({ action: "fast" });
    gate.resolve("slow");
    const packets = await peer.toEnd();
    peer.fin();
    await closing;
    assertEquals(packets.map(({ action, data }) => [action, data]), [
      ["slow", "slow"],
      ["@close", { code: "CLOSED", reason: "closed" }],
    ]);
  },
);

onBothSides(
  "close() from inside a handler ends the connection",
  {},
  async ({ peer, connection, bindAction }) => {
    bindAction("leave", async (_data, _packet, from) => {
      await from.close({ reason: "asked to" });
      return "nobody hears this";
    });
    await peer.sendPacket({ action: "leave", id: 1 });
    await peer.farewell("CLOSED");
    assertEquals((await connection.closed).reason, "asked to");
  },
);

onBothSides(
  "close() does not wait for a peer that does not read",
  { drainTimeoutMs: 50 },
  async (encounter) => {
    const { peer, connection, time } = encounter;
    peer.stopReading();
    const chunk = "x".repeat(100_000);
    for (let n = 0; n < 200; n++) {
      connection.sendPacket({ action: "fill", data: chunk });
      await settle();
      if (connection.stats.buffered > 1_000_000) break;
    }
    assertGreater(connection.stats.buffered, 0, "the system's buffers are full");
    await time.leapUntil(connection.close(), "the connection's end");
    assertEquals(connection.state, "closed");
  },
);

onBothSides("close() refuses options of a wrong type", {}, async ({ connection }) => {
  const close = connection.close.bind(connection) as (options: unknown) => Promise<void>;
  await assertRejects(() => close({ reason: 5 }), TypeError);
  await assertRejects(() => close({ drainTimeoutMs: "1" }), TypeError);
  await assertRejects(() => close({ drainTimeoutMs: -1 }), RangeError);
  assertEquals(connection.state, "open");
});

onBothSides(
  "the peer's goodbye ends the connection with the peer's reason",
  {},
  async (encounter) => {
    const { peer, connection, bindAction } = encounter;
    bindAction("echo", (data) => data);
    await peer.sendPacket(
      { action: "echo", data: 1, id: 1 },
      { action: "@close", data: { code: "GOING_AWAY", reason: "bye" } },
      { action: "echo", data: 2, id: 2 },
    );
    peer.fin();
    assertEquals(await connection.closed, { code: "GOING_AWAY", reason: "bye" });
    const error = await assertRejects(() => connection.request("a"), ConnectionError);
    assertEquals(error.code, "GOING_AWAY");
    assertEquals((await peer.toEnd()).map(({ data }) => data), [1]);
  },
);

// Over streams

Deno.test("two ends in memory talk like two ends of a socket", async () => {
  const [a, b] = pair();
  await using left = new Connection(a);
  await using right = new Connection(b);
  right.bindAction("double", (n) => Number(n) * 2);
  right.bindAction("slow", async (n) => {
    await pause(5);
    return n;
  });
  right.startListen();
  left.bindAction("name", () => "left").startListen();
  assertEquals(left.token, null);
  assertEquals(await left.request("double", 21), 42);
  assertEquals(await right.request("name"), "left");
  assertEquals(
    await Promise.all(Array.from({ length: 100 }, (_, n) => left.request("slow", n))),
    [...Array(100).keys()],
  );
  const failed = await assertRejects(() => left.request("none"), RequestError);
  assertEquals(failed.code, "NO_ACTION");
  assertThrows(() => left.join("g"), TypeError, "Server");
  assertGreater(await left.ping(), 0);
});

Deno.test("10,000 packets in memory arrive in order", async () => {
  const [a, b] = pair();
  await using left = new Connection(a);
  await using right = new Connection(b);
  const reading = (async () => {
    let next = 0;
    for await (const packet of right) {
      assertEquals(packet.data, next++);
      if (next === 10_000) break;
    }
  })();
  for (let data = 0; data < 10_000; data++) await left.sendPacket({ action: "n", data });
  await within(reading, "all packets");
});

Deno.test("streams that queue what they are given, for a reader that is slow, keep it intact", async () => {
  const queue = { highWaterMark: 64 };
  const there = new TransformStream<Uint8Array, Uint8Array>(undefined, queue, queue);
  const back = new TransformStream<Uint8Array, Uint8Array>(undefined, queue, queue);
  await using left = new Connection({ readable: back.readable, writable: there.writable });
  await using right = new Connection({ readable: there.readable, writable: back.writable }, {
    replayPackets: 2,
  });
  const COUNT = 500;
  const data = (n: number) => [n, "x".repeat(500)];
  const sending = (async () => {
    for (let n = 0; n < COUNT; n++) {
      left.sendPacket({ action: "n", data: data(n) });
      await turn();
    }
  })();
  await until(() => left.stats.buffered > 0, "the queues were full");
  let next = 0;
  for await (const packet of right) {
    assertEquals(packet.data, data(next));
    if (++next === COUNT) break;
  }
  await sending;
});

Deno.test("a connection in memory ends when its other end does, however it does", async () => {
  const endings: [
    string,
    (readable: ReadableStreamDefaultController<Uint8Array>) => void,
    string,
  ][] = [
    ["closed", (readable) => readable.close(), "CONNECTION_LOST"],
    ["failed", (readable) => readable.error(new Error("broken pipe")), "CONNECTION_LOST"],
    [
      "no bytes",
      (readable) => readable.enqueue("text" as unknown as Uint8Array),
      "CONNECTION_LOST",
    ],
    ["no packet", (readable) => {
      readable.enqueue(new TextEncoder().encode("x\n"));
      readable.close();
    }, "BAD_JSON"],
  ];
  for (const [how, end, code] of endings) {
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const readable = new ReadableStream<Uint8Array>({
      start: (given) => void (controller = given),
    });
    const written: string[] = [];
    const writable = new WritableStream<Uint8Array>({
      write: (chunk) => void written.push(new TextDecoder().decode(chunk)),
    });
    await using connection = new Connection({ readable, writable });
    const asked = connection.request("a");
    await settle();
    end(controller);
    assertEquals((await within(connection.closed, how)).code, code, how);
    await assertRejects(() => asked, ConnectionError);
    assertEquals(written.join("").includes("@close"), code === "BAD_JSON", how);
  }
});

Deno.test("a writable that fails ends the connection and is no unhandled rejection", async () => {
  const writable = new WritableStream<Uint8Array>({
    write: () => Promise.reject(new Error("disk full")),
  });
  await using connection = new Connection({ readable: new ReadableStream(), writable });
  const asked = connection.request("a");
  assertEquals((await within(connection.closed, "the end")).code, "CONNECTION_LOST");
  assertInstanceOf(await asked.catch((error) => error), ConnectionError);
});

Deno.test("a writable that never takes anything does not hold close() up", async () => {
  using time = new LeapingTime();
  const writable = new WritableStream<Uint8Array>({ write: () => new Promise(() => {}) });
  const connection = new Connection({ readable: new ReadableStream(), writable }, {
    drainTimeoutMs: 50,
  });
  connection.sendPacket({ action: "a" });
  await time.leapUntil(connection.close(), "the connection's end");
});

Deno.test("a connection needs two streams of bytes and limits within range", () => {
  const make = Connection as unknown as new (source: unknown, limits?: unknown) => Connection;
  for (const source of [{}, { readable: 1, writable: 2 }, { readable: new ReadableStream() }]) {
    assertThrows(() => new make(source), TypeError);
  }
  const [end] = pair();
  assertThrows(() => new make(end, { maxPacketBytes: 1 }), RangeError);
  assertThrows(() => new make(end, { requestTimeoutMs: "x" }), TypeError);
});

Deno.test("streams that fail at being thrown away trouble nobody", async () => {
  using time = new LeapingTime();
  const fail = () => Promise.reject(new Error("no"));
  const readable = new ReadableStream<Uint8Array>({ cancel: fail });
  const writable = new WritableStream<Uint8Array>({
    write: () => new Promise(() => {}),
    close: fail,
    abort: fail,
  });
  const connection = new Connection({ readable, writable }, { drainTimeoutMs: 10 });
  connection.sendPacket({ action: "a" });
  await time.leapUntil(connection.close(), "the connection's end");
  await settle();

  const other = new Connection({
    readable: new ReadableStream<Uint8Array>({ cancel: fail }),
    writable: new WritableStream<Uint8Array>({ close: fail, abort: fail }),
  });
  await within(other.close(), "the connection's end");
  await settle();

  const lost = new Connection({
    readable: new ReadableStream<Uint8Array>({ start: (c) => c.error(new Error("cut")) }),
    writable: new WritableStream<Uint8Array>({ abort: fail }),
  });
  assertEquals((await within(lost.closed, "the connection's end")).code, "CONNECTION_LOST");
  await settle();
});
