// The rows are those of the project's list of bad inputs. See also open_bad_input_test.ts, which tries its
// own on resumed connections.

import { assert, assertEquals, assertFalse, assertLess, assertRejects } from "@std/assert";
import { Client, PnetworkError, type Server } from "../../mod.ts";
import { hello, line, type RawPeer, type RawWelcome } from "../support/raw_peer.ts";
import {
  acknowledged,
  comeBack,
  GRANT,
  handedOver,
  letComeBack,
  nextNumbered,
  resumeOf,
} from "../support/raw_session.ts";
import {
  IMPATIENT,
  onBothSidesOfSession,
  withHostileServer,
  withServer,
} from "../support/scene.ts";
import { until, within } from "../support/wait.ts";

// Numbers

/** What ends a session, in a field of a packet. */
const BAD_NUMBERS: [what: string, fields: string][] = [
  ["row 20: a seq of 0", '"seq":0'],
  ["row 20: a seq of -1", '"seq":-1'],
  ["row 20: a seq of 1.5", '"seq":1.5'],
  ['row 20: a seq of "1"', '"seq":"1"'],
  ["row 20: a seq of null", '"seq":null'],
  ["row 20: a seq of true", '"seq":true'],
  ["row 20: a seq of 2^53", '"seq":9007199254740992'],
  ["row 20: a seq of 1e400", '"seq":1e400'],
  ["row 20: a seq that leaves a gap", '"seq":3'],
  ["row 20: an ack of -1", '"ack":-1'],
  ["row 20: an ack of 0.5", '"ack":0.5'],
  ['row 20: an ack of "0"', '"ack":"0"'],
  ["row 20: an ack of null", '"ack":null'],
  ["row 20: an ack of 2^53", '"ack":9007199254740992'],
  ["row 22: an ack above what was sent", '"ack":2'],
  ["row 22: an ack above what was sent, on a packet that came before", '"seq":1,"ack":2'],
];

for (const [what, fields] of BAD_NUMBERS) {
  onBothSidesOfSession(
    `${what} ends the session with PROTOCOL_ERROR`,
    {},
    async ({ peer, connection, bindAction }) => {
      const heard: unknown[] = [];
      bindAction("hear", (data) => void heard.push(data));
      connection.sendPacket({ action: "n" });
      assertEquals((await nextNumbered(peer)).seq, 1);
      await peer.sendPacket({ action: "hear", data: "before", seq: 1, ack: 1 });
      await peer.send(`{"action":"hear","data":"bad",${fields}}\n`);
      await peer.sendPacket({ action: "hear", data: "after", seq: 2 });
      await peer.farewell("PROTOCOL_ERROR");
      const { code } = await within(connection.closed, "the connection's end");
      assertEquals([code, heard], ["PROTOCOL_ERROR", ["before"]]);
    },
  );
}

for (const action of ["@ack", "@ping", "@pong", "@error", "@unknown"]) {
  onBothSidesOfSession(
    `row 22: an ack above what was sent ends the session on an ${action}, too`,
    {},
    async ({ peer, connection }) => {
      await peer.sendPacket({ action, ack: 0 });
      await peer.sendPacket({ action, ack: 1 });
      await peer.farewell("PROTOCOL_ERROR");
      assertEquals((await connection.closed).code, "PROTOCOL_ERROR");
    },
  );
}

Deno.test("a session that a bad number has ended cannot be resumed", async () => {
  await withServer({}, async ({ server, register }) => {
    const peer = await register({ session: true });
    await peer.sendPacket({ action: "n", seq: 2 });
    await peer.farewell("PROTOCOL_ERROR");
    assertFalse(server.clients.has(peer.token));
    const again = await register({ resume: resumeOf(peer) });
    const { resumed, reason } = again.welcome.data as Record<string, unknown>;
    assertEquals([resumed, reason], [false, "expired"]);
  });
});

onBothSidesOfSession(
  "row 21: a seq seen before is dropped, and acknowledged again",
  {},
  async ({ peer, connection, bindAction, time }) => {
    const heard: unknown[] = [];
    bindAction("hear", (data) => void heard.push(data));
    await peer.sendPacket({ action: "hear", data: "once", seq: 1 });
    await handedOver(peer, 1);
    await peer.sendPacket({ action: "hear", data: "again", seq: 1 });
    await until(() => connection.stats.ignored === 1, "it was dropped");
    time.leap(2_000);
    await acknowledged(peer, 1);
    await peer.sendPacket({ action: "hear", data: "next", seq: 2 });
    await handedOver(peer, 2);
    assertEquals(heard, ["once", "next"]);
    assertEquals([connection.stats.ignored, connection.stats.refused], [1, 0]);
  },
);

onBothSidesOfSession(
  "row 21: a request that comes twice is answered once",
  {},
  async ({ peer, connection, bindAction }) => {
    const gate = Promise.withResolvers<void>();
    let calls = 0;
    bindAction("ask", async () => {
      calls++;
      await gate.promise;
      return calls;
    });
    const request = { action: "ask", id: 7, seq: 1 };
    await peer.sendPacket(request, request);
    await peer.ping();
    gate.resolve();
    const reply = await nextNumbered(peer);
    assertEquals([reply["reply-to"], reply.data, reply.seq], [7, 1, 1]);
    await peer.sendPacket(request);
    await peer.ping();
    assertFalse(peer.hasLines);
    assertEquals([calls, connection.stats.refused], [1, 0]);
  },
);

onBothSidesOfSession(
  "a refused packet uses up its number, and is refused once",
  {},
  async ({ peer, connection, bindAction }) => {
    const heard: unknown[] = [];
    bindAction("hear", (data) => void heard.push(data));
    await peer.sendPacket({ action: "", seq: 1 }, { action: "", seq: 1 });
    assertEquals((await peer.packetOf("@error")).data instanceof Object, true);
    await peer.sendPacket({ action: "hear", data: 2, seq: 2 }, { id: 0, action: "n", seq: 3 });
    await handedOver(peer, 3);
    assertEquals([heard, connection.stats.refused], [[2], 2]);
  },
);

onBothSidesOfSession(
  "an ack that goes backwards is ignored",
  {},
  async ({ peer, connection }) => {
    for (let n = 1; n <= 3; n++) connection.sendPacket({ action: "n" });
    for (let n = 1; n <= 3; n++) await nextNumbered(peer);
    await peer.sendPacket(...[2, 0, 1].map((ack) => ({ action: "@ack", ack })));
    await peer.ping();
    assertEquals([connection.stats.unacknowledged, connection.state], [1, "open"]);
  },
);

// Resumes that must not be

/** An answer without what differs from one client to the next. */
function shapeOf({ welcome }: RawWelcome): unknown {
  const { id: _id, ...data } = welcome.data as Record<string, unknown>;
  return { ...welcome, data, token: null, "packet-created": 0 };
}

Deno.test("row 25: a token never issued and an expired one are answered alike", async () => {
  await withServer({ sessionTtlMs: 20 }, async ({ server, register, honest }) => {
    const gone = await register({ session: true });
    await gone.reset();
    await until(() => !server.clients.has(gone.token), "its session expired");
    const resume = resumeOf(gone);
    const late = await register({ session: true, resume });
    const { resumed, reason, epoch } = late.welcome.data as Record<string, unknown>;
    assertEquals([resumed, reason, epoch], [false, "expired", resume.epoch]);
    assertFalse(late.token === gone.token);
    for (const token of [crypto.randomUUID(), "", "x", "__proto__", gone.id, honest.id]) {
      const other = await register({ session: true, resume: { ...resume, token } });
      assertEquals(shapeOf(other), shapeOf(late));
    }
  });
});

Deno.test("a connection without a session cannot be resumed, and goes on", async () => {
  await withServer({}, async ({ register }) => {
    const epoch = resumeOf(await register({ session: true })).epoch;
    const plain = await register();
    const thief = await register({ resume: { token: plain.token, epoch, ack: 0 } });
    const { resumed, reason } = thief.welcome.data as Record<string, unknown>;
    assertEquals([resumed, reason], [false, "expired"]);
    await plain.ping();
  });
});

Deno.test("row 27: a session in which nothing was ever sent is resumed from 0", async () => {
  await withServer({}, async ({ server, register, adopt }) => {
    let peer = await register({ session: true });
    const connection = server.clients.get(peer.token)!;
    for (let time = 0; time < 10; time++) {
      await peer.reset();
      peer = adopt(await comeBack({ port: server.port }, peer));
      assertEquals((peer.welcome.data as { ack: number }).ack, 0);
      await peer.ping();
    }
    assert(server.clients.get(peer.token) === connection);
  });
});

/** A session with packets of both sides under way: one handled of two that came, none seen of two sent. */
async function withHeldSession(
  isOpen: boolean,
  act: (
    scene: {
      server: Server;
      peer: RawPeer & RawWelcome;
      connect: () => Promise<RawPeer>;
      isUntouched: () => Promise<void>;
    },
  ) => Promise<void>,
): Promise<void> {
  let resumes = 0;
  const options = { onResume: () => void resumes++ };
  await withServer(options, async ({ server, register, connect, adopt }) => {
    const heard: unknown[] = [];
    server.bindAction("hear", (data) => void heard.push(data));
    const peer = await register({ session: true });
    const connection = server.clients.get(peer.token)!;
    for (let n = 1; n <= 2; n++) connection.sendPacket({ action: "n", data: n });
    await peer.sendPacket({ action: "hear", data: 1, seq: 1 });
    await handedOver(peer, 1);
    if (!isOpen) {
      await peer.reset();
      await until(() => connection.state === "detached", "it was detached");
    }
    const isUntouched = async () => {
      assertEquals(connection.state, isOpen ? "open" : "detached");
      assertEquals([resumes, connection.stats.unacknowledged], [0, 2]);
      if (isOpen) await peer.ping();
      assertEquals(heard, [1]);
      const again = adopt(await comeBack({ port: server.port }, peer, 1));
      assertEquals((again.welcome.data as { ack: number }).ack, 1);
      assertEquals((await nextNumbered(again)).data, 2);
      await again.sendPacket({ action: "hear", data: 1, seq: 1 });
      await again.sendPacket({ action: "hear", data: 2, seq: 2 });
      await handedOver(again, 2);
      assertEquals(heard, [1, 2]);
    };
    await act({ server, peer, connect: () => connect(), isUntouched });
  });
}

for (const isOpen of [true, false]) {
  const where = isOpen ? "open" : "detached";

  Deno.test(`malformed resumes leave a session that is ${where} as it was`, async () => {
    await withHeldSession(isOpen, async ({ peer, connect, isUntouched }) => {
      const good = resumeOf(peer);
      const malformed: unknown[] = [null, 5, "x", [], {}, { ...good, token: null }];
      for (const epoch of [undefined, null, 5, "", "x".repeat(65)]) {
        malformed.push({ ...good, epoch });
      }
      for (const ack of [undefined, null, -1, 0.5, "0", 2 ** 53]) malformed.push({ ...good, ack });
      for (const resume of malformed) {
        const stranger = await connect();
        await stranger.send(hello({ session: true, resume }));
        await stranger.refused("BAD_PACKET");
      }
      await isUntouched();
    });
  });

  Deno.test(`a resume with an ack above what was sent is refused, and leaves a session that is ${where} as it was`, async () => {
    await withHeldSession(isOpen, async ({ peer, connect, isUntouched }) => {
      for (const ack of [3, 1_000, Number.MAX_SAFE_INTEGER]) {
        const stranger = await connect();
        await stranger.send(hello({ resume: resumeOf(peer, ack) }));
        await stranger.refused("PROTOCOL_ERROR");
      }
      await isUntouched();
    });
  });

  Deno.test(`forged resumes leave a session that is ${where} as it was`, async () => {
    await withHeldSession(isOpen, async ({ peer, connect, isUntouched }) => {
      const good = resumeOf(peer);
      const forged: [object, string][] = [
        [{ ...good, epoch: "another" }, "restarted"],
        [{ ...good, epoch: good.epoch.toUpperCase() }, "restarted"],
        [{ ...good, token: good.token.toUpperCase() }, "expired"],
        [{ ...good, token: good.token.slice(0, -1) }, "expired"],
        [{ ...good, token: good.token + "\0" }, "expired"],
        [{ ...good, token: peer.id }, "expired"],
        [{ ...good, token: crypto.randomUUID() }, "expired"],
      ];
      for (const [resume, reason] of forged) {
        const stranger = await connect();
        const { welcome, token } = await stranger.shakeHands({ session: true, resume });
        const data = welcome.data as Record<string, unknown>;
        assertEquals([data.resumed, data.reason, data.ack], [false, reason, undefined]);
        assertFalse(token === peer.token);
      }
      await isUntouched();
    });
  });

  Deno.test(`a resume cut at every byte leaves a session that is ${where} as it was`, async () => {
    await withHeldSession(isOpen, async ({ peer, connect, isUntouched }) => {
      const whole = hello({ session: true, resume: resumeOf(peer) });
      const cut = async (length: number) => {
        const stranger = await connect();
        await stranger.send(whole.slice(0, length));
        if (length % 2 === 0) return await stranger.reset();
        stranger.fin();
        // Without its LF it is no line.
        await stranger.toEnd();
        await stranger.close();
      };
      for (let length = 0; length < whole.length;) {
        const batch: Promise<void>[] = [];
        while (batch.length < 16 && length < whole.length) batch.push(cut(length++));
        await Promise.all(batch);
      }
      await isUntouched();
    });
  });
}

Deno.test("a replayed resume changes nothing for the good one that follows", async () => {
  await withServer({}, async ({ server, register, adopt }) => {
    const heard: unknown[] = [];
    server.bindAction("hear", (data) => void heard.push(data));
    const to = { port: server.port };
    const first = await register({ session: true });
    const connection = server.clients.get(first.token)!;
    for (let n = 1; n <= 4; n++) connection.sendPacket({ action: "n", data: n });
    const second = adopt(await comeBack(to, first, 1));
    await second.sendPacket({ action: "hear", data: 1, seq: 1, ack: 3 });
    await handedOver(second, 1);
    for (let time = 0; time < 3; time++) {
      const replay = adopt(await comeBack(to, first, 1));
      // What was acknowledged already does not come again.
      assertEquals((await nextNumbered(replay)).data, 4);
      await replay.sendPacket({ action: "hear", data: "replayed", seq: 1 });
      await replay.ping();
    }
    const good = adopt(await comeBack(to, first, 3));
    assertEquals((await nextNumbered(good)).data, 4);
    await good.sendPacket({ action: "hear", data: 2, seq: 2, ack: 4 });
    await handedOver(good, 2);
    assertEquals([heard, connection.stats.unacknowledged], [[1, 2], 0]);
  });
});

// Row 44: hostile servers

const BAD_GRANTS: [what: string, grant: object][] = [
  ["a session that is no boolean", { session: "yes", epoch: "x" }],
  ["resumed that is no boolean", { ...GRANT, resumed: 1 }],
  ["a session without an epoch", { session: true }],
  ["an empty epoch", { session: true, epoch: "" }],
  ["an epoch of 65 characters", { session: true, epoch: "x".repeat(65) }],
  ["an epoch that is a number", { session: true, epoch: 5 }],
  ["a resume that nobody asked for", { ...GRANT, resumed: true, ack: 0 }],
  ["a window of no packets", { ...GRANT, limits: { replayPackets: 0 } }],
  ["a window of no bytes", { ...GRANT, limits: { replayBytes: 0 } }],
  ["a window of half a packet", { ...GRANT, limits: { replayPackets: 0.5 } }],
  ["a window that is text", { ...GRANT, limits: { replayBytes: "1" } }],
  ["limits that are a list", { ...GRANT, limits: [] }],
];

for (const [what, grant] of BAD_GRANTS) {
  Deno.test(`row 44: a server that grants ${what} is left with BAD_PACKET`, async () => {
    await withHostileServer({}, async ({ client, server }) => {
      const starting = client.start().catch((error) => error);
      const peer = await server.register(grant);
      await peer.farewell("BAD_PACKET");
      const error = await within(starting, "the start to fail");
      assert(error instanceof PnetworkError, String(error));
      assertEquals([error.code, client.state], ["BAD_PACKET", "idle"]);
    });
  });
}

Deno.test("row 44: a client that asked for no session is not given one", async () => {
  await withHostileServer({ session: false }, async ({ client, server }) => {
    const starting = client.start().catch((error) => error);
    const peer = await server.register(GRANT);
    const error = await within(starting, "the start to be over");
    if (error) assertEquals(error.code, "BAD_PACKET");
    else assertFalse(client.connection!.hasSession);
    await peer.close();
  });
});

Deno.test("row 44: a server that resumes something else is left, and the session kept for the next", async () => {
  await withHostileServer(IMPATIENT, async ({ client, server, start }) => {
    const first = await start(GRANT);
    const sent = client.sendPacket({ action: "n", data: 1 }, { delivered: true });
    assertEquals((await nextNumbered(first)).seq, 1);
    const { id, token } = first;
    const data = { status: "success", version: 1, id, ...GRANT, resumed: true, ack: 0 };
    const lies: object[] = [
      { token: crypto.randomUUID(), data },
      { token, data: { ...data, epoch: "another" } },
      { token, data: { ...data, session: false } },
      { token, data: { ...data, ack: undefined } },
      { token, data: { ...data, ack: -1 } },
      { token, data: { ...data, ack: "0" } },
      { token, data: { ...data, limits: { maxPacketBytes: 1 } } },
    ];
    await first.reset();
    for (const lie of lies) {
      const peer = await server.accept();
      await peer.packetOf("@handshake");
      await peer.send(line({ action: "@handshake", ...lie }));
      await peer.farewell("BAD_PACKET");
      assertEquals(client.state, "reconnecting");
    }
    const good = await letComeBack(server, first);
    assertEquals((await nextNumbered(good)).data, 1);
    await good.sendPacket({ action: "@ack", ack: 1 });
    await sent;
    assertEquals([client.token, client.state], [first.token, "connected"]);
  });
});

Deno.test("row 44: a server that says that it has more than it was sent ends the session", async () => {
  await withHostileServer(IMPATIENT, async ({ client, server, start }) => {
    const first = await start(GRANT);
    await first.reset();
    const liar = await letComeBack(server, first, { ack: 1 });
    await liar.farewell("PROTOCOL_ERROR");
    assertEquals((await within(client.closed, "the client's end")).code, "PROTOCOL_ERROR");
  });
});

Deno.test("row 44: a server cannot keep a client away for longer than a minute", async () => {
  for (const [asked, most] of [[1e300, 60_000], [-1, 0], ["1", 0], [null, 0]] as const) {
    const delays: number[] = [];
    const onRetry = ({ delayMs }: { delayMs: number }) => void delays.push(delayMs);
    await withHostileServer({ ...IMPATIENT, onRetry }, async ({ client, start }) => {
      const peer = await start(GRANT);
      await peer.sendPacket({ action: "@goaway", data: { retryAfterMs: asked } });
      await peer.send(line({ action: "@close", data: { code: "GOING_AWAY", reason: "bye" } }));
      peer.fin();
      await until(() => delays.length > 0, "the client means to come back");
      assertEquals(delays[0], most);
      await within(client.close(), "the client's end");
    });
  }
});

Deno.test("a client's @goaway means nothing to a server", async () => {
  await withServer({}, async ({ server, register }) => {
    const peer = await register({ session: true });
    const connection = server.clients.get(peer.token)!;
    await peer.sendPacket({ action: "@goaway", data: { retryAfterMs: 5 } });
    await peer.ping();
    connection.sendPacket({ action: "n", data: 1 });
    assertEquals((await nextNumbered(peer)).data, 1);
    assertEquals(connection.stats.ignored, 1);
  });
});

// Row 45: no poison

onBothSidesOfSession(
  "row 45: a packet that the peer would refuse takes no number, and no resume replays it",
  {},
  async ({ peer, connection, drop, comeBack }) => {
    const huge = "x".repeat(4_096);
    const tooLarge = async (send: () => Promise<unknown>) =>
      assertEquals((await assertRejects(send, PnetworkError)).code, "PACKET_TOO_LARGE");
    await tooLarge(() => connection.sendPacket({ action: "n", data: huge }));
    await tooLarge(() => connection.sendPacket({ action: "n", data: huge }, { delivered: true }));
    await tooLarge(() => connection.sendPacket({ action: "n", data: huge }, { volatile: true }));
    await tooLarge(() => connection.request("n", huge));
    assertEquals([connection.stats.unacknowledged, connection.stats.pending], [0, 0]);
    connection.sendPacket({ action: "n", data: "small" });
    const first = await nextNumbered(peer);
    assertEquals([first.seq, first.data], [1, "small"]);
    await drop();
    await tooLarge(() => connection.sendPacket({ action: "n", data: huge }));
    connection.sendPacket({ action: "n", data: "meanwhile" });
    const again = await comeBack();
    const replayed = [await nextNumbered(again), await nextNumbered(again)];
    assertEquals(replayed.map(({ seq, data }) => [seq, data]), [[1, "small"], [2, "meanwhile"]]);
    await again.ping();
    assertFalse(again.hasLines);
  },
  { limits: { maxPacketBytes: 4_096 } },
);

onBothSidesOfSession(
  "row 45: a reply that is too large, or no JSON, becomes an error reply that crosses a resume",
  {},
  async ({ peer, connection, bindAction, drop, comeBack, expectErrors }) => {
    expectErrors();
    const gate = Promise.withResolvers<void>();
    bindAction("big", () => gate.promise.then(() => "x".repeat(4_096)));
    bindAction("odd", () => gate.promise.then(() => 1n));
    await peer.sendPacket({ action: "big", id: 1, seq: 1 }, { action: "odd", id: 2, seq: 2 });
    await handedOver(peer, 2);
    await drop();
    gate.resolve();
    await until(() => connection.stats.unacknowledged === 2, "both were answered");
    for (let time = 0; time < 2; time++) {
      const again = await comeBack();
      const replies = [await nextNumbered(again), await nextNumbered(again)];
      assertEquals(
        replies.map((reply) => [reply.seq, reply["reply-to"], reply.error?.code]),
        [[1, 1, "PACKET_TOO_LARGE"], [2, 2, "ACTION_FAILED"]],
      );
      await drop();
    }
  },
  { limits: { maxPacketBytes: 4_096 } },
);

Deno.test("row 45: around the limit a packet is refused to its sender or arrives, stamps and all", async () => {
  const limits = { maxPacketBytes: 4_096 };
  await withServer(limits, async ({ server, to }) => {
    const lengths: number[] = [];
    server.bindAction("n", (text) => void lengths.push(String(text).length));
    server.bindAction("echo", (text) => text);
    await using client = new Client({ ...to, ...limits });
    await client.start();
    const sent: number[] = [];
    const asked: number[] = [];
    // High numbers make long stamps.
    for (let n = 0; n < 1_000; n++) await client.request("echo", "");
    for (let length = 3_600; length < 4_000; length++) {
      const text = "x".repeat(length);
      const ok = await client.sendPacket({ action: "n", data: text }).then(() => true, (error) => {
        assertEquals(error.code, "PACKET_TOO_LARGE");
        return false;
      });
      if (ok) sent.push(length);
      const echoed = await client.request("echo", text).then(() => true, (error) => {
        assertEquals(error.code, "PACKET_TOO_LARGE");
        return false;
      });
      if (echoed) asked.push(length);
    }
    await client.delivered();
    assertEquals(lengths, sent);
    assertEquals(sent[0], 3_600);
    assertLess(sent.length, 400);
    assertLess(sent.length - asked.length, 20);
    assertEquals(client.state, "connected");
    await client.close();
  });
});
