// Coming back while the socket before is still there, and being let in again. The row is that of the
// project's list of bad inputs.

import { assert, assertEquals, assertFalse, assertStrictEquals } from "@std/assert";
import type { Connection, ServerOptions } from "../../mod.ts";
import type { OnBytes } from "../support/faulty_proxy.ts";
import { withNetwork } from "../support/network_scene.ts";
import { hello, RawPeer, type RawWelcome } from "../support/raw_peer.ts";
import { comeBack, handedOver, nextNumbered, resumeOf } from "../support/raw_session.ts";
import { type ServerScene, withServer } from "../support/scene.ts";
import { pause, until, within } from "../support/wait.ts";

/** A client with a session, and what was heard of it. */
interface Held extends ServerScene {
  peer: RawPeer & RawWelcome;
  connection: Connection;
  heard: unknown[];
  told: string[];
  /** Comes back, as the client that is to be known. */
  back(ack?: number): Promise<RawPeer & RawWelcome>;
}

async function withHeld(options: ServerOptions, act: (held: Held) => Promise<void>): Promise<void> {
  const told: string[] = [];
  let id = "";
  const tell = (what: string) => (connection: Connection) => {
    if (connection.id === id) told.push(what);
  };
  const hooks = {
    onDetach: tell("onDetach"),
    onResume: tell("onResume"),
    onDisconnect: tell("onDisconnect"),
  };
  await withServer({ ...hooks, ...options }, async (scene) => {
    const { server, register, adopt } = scene;
    const heard: unknown[] = [];
    server.bindAction("hear", (data) => void heard.push(data));
    const peer = await register({ session: true });
    id = peer.id;
    const connection = server.clients.get(peer.token)!;
    const back = async (ack?: number) => adopt(await comeBack({ port: server.port }, peer, ack));
    await act({ ...scene, peer, connection, heard, told, back });
  });
}

Deno.test("row 26: a resume takes over from a socket that is half open, which is not heard any more", async () => {
  await withHeld({}, async ({ peer, connection, heard, told, back, server }) => {
    connection.join("all");
    connection.sendPacket({ action: "n", data: 1 });
    connection.sendPacket({ action: "n", data: 2 });
    await peer.sendPacket({ action: "hear", data: "one", seq: 1 });
    await handedOver(peer, 1);
    const newer = await back(1);
    // Well-formed, malformed, orderly, and hostile: all of it is too late.
    await peer.sendPacket(
      { action: "hear", data: "old", seq: 2 },
      { action: "hear", data: "old without a number" },
      { action: "hear", id: 5 },
      { action: "@ack", ack: 2 },
      { action: "@ack", ack: 1_000 },
      { action: "@close", data: { code: "CLOSED", reason: "bye" } },
    );
    await peer.send("nonsense\n");
    assertEquals((newer.welcome.data as { ack: number }).ack, 1);
    assertEquals((await nextNumbered(newer)).data, 2);
    await newer.sendPacket({ action: "hear", data: "new", seq: 2 });
    await handedOver(newer, 2);
    await peer.farewell("TAKEN_OVER");
    await newer.ping();
    assertEquals(heard, ["one", "new"]);
    assertEquals([connection.state, connection.stats.unacknowledged], ["open", 1]);
    assertEquals([told, [...connection.groups]], [["onResume"], ["all"]]);
    assertStrictEquals(server.clients.get(peer.token), connection);
  });
});

Deno.test("row 26: bytes that come late over the socket before are not handled again", async () => {
  let arrived = 0;
  const onBytes: OnBytes = (_link, direction, bytes) => {
    if (direction === "toServer") arrived += bytes.length;
  };
  await withNetwork({ onBytes }, async ({ server, client, connection, proxy, resumed }) => {
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

Deno.test("row 26: a socket that is not read does not hold up the one that takes over", async () => {
  const options = { replayBytes: 2 ** 24, maxBufferedBytes: 2 ** 24 };
  await withHeld(options, async ({ peer, connection, server, back, honest }) => {
    peer.stopReading();
    const COUNT = 120;
    const data = "x".repeat(100_000);
    const except = server.clients.getById(honest.id)!;
    for (let n = 0; n < COUNT; n++) {
      server.broadcast({ action: "n", data: [n, data] }, { except });
    }
    await until(() => connection.stats.buffered > 1_000_000, "it is not taken");
    const newer = await within(back(), "the resume", 5_000);
    for (let n = 0; n < COUNT; n++) {
      assertEquals(((await nextNumbered(newer)).data as [number])[0], n);
    }
    await newer.sendPacket({ action: "@ack", ack: COUNT });
    await newer.ping();
    assertEquals(connection.stats.unacknowledged, 0);
  });
});

Deno.test("a client whose session another one has taken over does not come back", async () => {
  let answer = "";
  const onBytes = (_link: unknown, direction: string, bytes: Uint8Array) => {
    if (direction === "toClient") answer ||= new TextDecoder().decode(bytes).split("\n")[0];
  };
  // The answer is looked for where it can be read.
  const options = { wire: "plain", onBytes } as const;
  await withNetwork(options, async ({ server, client, connection, proxy, told }) => {
    const welcome = JSON.parse(answer);
    server.bindAction("never", () => new Promise(() => {}));
    const asked = client.request("never").catch(({ code }) => code);
    await until(() => connection.stats.inFlight === 1, "the handler runs");
    const earlier = { id: client.id!, token: client.token!, welcome };
    await using other = await comeBack({ port: server.port, wire: "plain" }, earlier, 0);
    const { code } = await within(client.closed, "the older client's end");
    assertEquals([code, client.state], ["TAKEN_OVER", "closed"]);
    assertEquals(await asked, "TAKEN_OVER");
    assertEquals(told.at(-1), "client onDisconnect TAKEN_OVER");
    await pause(100);
    assertEquals(proxy.links.length, 1);
    await other.ping();
    assertEquals(connection.state, "open");
    const closing = connection.close();
    await other.packetOf("@close");
    other.fin();
    await closing;
  });
});

Deno.test("of many that resume at once one goes on, and the session is whole", async () => {
  for (const isOpen of [true, false]) {
    await withHeld({}, async ({ peer, connection, heard, connect, back }) => {
      for (let n = 1; n <= 3; n++) connection.sendPacket({ action: "n", data: n });
      if (!isOpen) {
        await peer.reset();
        await until(() => connection.state === "detached", "it was detached");
      }
      const peers = await Promise.all(Array.from({ length: 8 }, () => connect()));
      const resume = resumeOf(peer);
      await Promise.all(peers.map((one) => one.send(hello({ session: true, resume }))));
      for (const one of peers) {
        const { resumed } = (await one.welcomed()).welcome.data as { resumed: boolean };
        assert(resumed);
        for (let n = 1; n <= 3; n++) assertEquals((await nextNumbered(one)).data, n);
      }
      await until(() => peers.filter((one) => one.ended === "fin").length === 7, "seven were told");
      const winner = peers.find((one) => one.ended === undefined)!;
      for (const one of peers) if (one !== winner) await one.farewell("TAKEN_OVER");
      await winner.sendPacket({ action: "hear", data: "winner", seq: 1, ack: 3 });
      await handedOver(winner, 1);
      assertEquals([heard, connection.stats.unacknowledged], [["winner"], 0]);
      const good = await back(3);
      await good.ping();
    });
  }
});

// Room

Deno.test("a takeover needs no more room than its predecessor held", async () => {
  const options = { maxConnectionsPerAddress: 1, maxConnections: 2, exemptLoopback: false };
  await withServer(options, async ({ server, register, adopt }) => {
    const peer = await register({ session: true }, "127.0.0.2");
    const data = { session: true, resume: resumeOf(peer) };
    const newer = await register(data, "127.0.0.2");
    assertEquals((newer.welcome.data as { resumed: boolean }).resumed, true);
    await peer.farewell("TAKEN_OVER");
    const moved = await register({ session: true, resume: resumeOf(peer) }, "127.0.0.3");
    await newer.farewell("TAKEN_OVER");
    await moved.ping();
    assertEquals(server.clients.size, 2);
    // Its place at the address before is free again, but there is none in all.
    const stranger = adopt(
      await RawPeer.connect(
        { port: server.port },
        "127.0.0.2",
      ),
    );
    await stranger.send(hello());
    await stranger.refused("SERVER_FULL");
  });
});

Deno.test("a takeover from where there is no room is refused, and its predecessor keeps its place", async () => {
  const options = { maxConnectionsPerAddress: 1, exemptLoopback: false };
  await withServer(options, async ({ register, connect }) => {
    const peer = await register({ session: true }, "127.0.0.2");
    await register({ session: true }, "127.0.0.3");
    for (const from of ["127.0.0.3", "127.0.0.3"]) {
      const other = await connect(from);
      await other.send(hello({ session: true, resume: resumeOf(peer) }));
      await other.refused("SERVER_FULL");
    }
    await peer.ping();
    const stranger = await connect("127.0.0.2");
    await stranger.send(hello());
    await stranger.refused("SERVER_FULL");
  });
});

Deno.test("a resume for which there is no room leaves the session for later", async () => {
  await withServer({ maxConnections: 2 }, async ({ server, register, connect, adopt }) => {
    const peer = await register({ session: true });
    const connection = server.clients.get(peer.token)!;
    await peer.reset();
    await until(() => connection.state === "detached", "it was detached");
    connection.sendPacket({ action: "n", data: 1 });
    const other = await register();
    const early = await connect();
    await early.send(hello({ session: true, resume: resumeOf(peer) }));
    await early.refused("SERVER_FULL");
    assertEquals(connection.state, "detached");
    await other.close();
    await until(() => !server.clients.has(other.token), "the other one left");
    const again = adopt(await comeBack({ port: server.port }, peer));
    assertEquals((await nextNumbered(again)).data, 1);
  });
});

// authenticate

Deno.test("authenticate is asked again on a resume, and sees what would go on", async () => {
  const asked: { auth: unknown; held: Connection | undefined }[] = [];
  const authenticate: ServerOptions["authenticate"] = ({ auth }, held) => {
    if (auth) asked.push({ auth, held });
    return true;
  };
  await withServer({ authenticate }, async ({ server, register, adopt }) => {
    const peer = await register({ session: true, auth: "first" });
    const connection = server.clients.get(peer.token)!;
    const resume = resumeOf(peer);
    const again = await register({ session: true, auth: "second", resume });
    assertEquals((again.welcome.data as { resumed: boolean }).resumed, true);
    await register({ session: true, auth: "wrong epoch", resume: { ...resume, epoch: "x" } });
    await register({ session: true, auth: "no session", resume: { ...resume, token: "x" } });
    const plain = await register({ auth: "plain" });
    await register({ auth: "not held", resume: { ...resume, token: plain.token } });
    assertEquals(asked.map(({ auth, held }) => [auth, held?.id]), [
      ["first", undefined],
      ["second", connection.id],
      ["wrong epoch", undefined],
      ["no session", undefined],
      ["plain", undefined],
      ["not held", undefined],
    ]);
    assertStrictEquals(asked[1].held, connection);
    adopt(again);
  });
});

type Authenticate = NonNullable<ServerOptions["authenticate"]>;

const REFUSALS: [what: string, verdict: () => ReturnType<Authenticate>, code: string][] = [
  ["says false", () => false, "REFUSED"],
  ["says why", () => ({ refuse: "not today" }), "REFUSED"],
  ["takes its time to say no", () => pause(20).then(() => false), "REFUSED"],
  [
    "throws",
    () => {
      throw new Error("oops");
    },
    "REFUSED",
  ],
  ["rejects", () => Promise.reject(new Error("oops")), "REFUSED"],
  ["decides nothing", () => undefined as unknown as boolean, "REFUSED"],
  ["never decides", () => new Promise<never>(() => {}), "HANDSHAKE_TIMEOUT"],
];

for (const isOpen of [true, false]) {
  const where = isOpen ? "open" : "detached";
  Deno.test(`a resume that authenticate refuses leaves a session that is ${where} as it was`, async () => {
    let verdict: (() => ReturnType<Authenticate>) | undefined;
    const authenticate: Authenticate = (_handshake, held) =>
      held && verdict ? verdict() : { attach: "first" };
    const options = { authenticate, handshakeTimeoutMs: 2_000 };
    await withHeld(options, async (held) => {
      const { peer, connection, connect, heard, told, back, time, expectErrors } = held;
      expectErrors();
      connection.join("all");
      connection.sendPacket({ action: "n", data: 1 });
      if (!isOpen) {
        await peer.reset();
        await until(() => connection.state === "detached", "it was detached");
      }
      const before = [...told];
      let seq = 0;
      for (const [what, refusal, code] of REFUSALS) {
        verdict = refusal;
        const other = await connect();
        await other.send(hello({ session: true, resume: resumeOf(peer) }));
        await time.leapUntil(other.refused(code), "a refusal");
        assertEquals(connection.state, where, what);
        if (isOpen) {
          await peer.sendPacket({ action: "hear", data: what, seq: ++seq });
          await handedOver(peer, seq);
        }
      }
      assertEquals(told, before);
      verdict = undefined;
      const again = await back();
      assertEquals((await nextNumbered(again)).data, 1);
      assertEquals(heard, isOpen ? REFUSALS.map(([what]) => what) : []);
      assertEquals([connection.attached, [...connection.groups]], ["first", ["all"]]);
      if (isOpen) await peer.farewell("TAKEN_OVER");
    });
  });
}

Deno.test("a client whose resume is refused ends with REFUSED, and does not try again", async () => {
  let asked = 0;
  const server: ServerOptions = {
    authenticate: (_handshake, held) => {
      asked++;
      return held ? { refuse: "not any more" } : true;
    },
  };
  await withNetwork({ server }, async ({ client, connection, drop, told, proxy }) => {
    const sent = client.sendPacket({ action: "n" }, { delivered: true }).catch(({ code }) => code);
    const request = client.request("n").catch(({ code }) => code);
    proxy.last!.silence();
    await drop();
    const info = await within(client.closed, "the client's end");
    assertEquals(info, { code: "REFUSED", reason: "not any more" });
    assertEquals(asked, 2);
    assertFalse([await sent, await request].includes(undefined));
    assertEquals(told.at(-1), "client onDisconnect REFUSED");
    assertEquals(connection.state, "detached");
    await connection.close();
  });
});

Deno.test("what happens while authenticate decides counts: the session may be gone by then", async () => {
  const gates: PromiseWithResolvers<boolean>[] = [];
  const authenticate: Authenticate = (_handshake, held) => {
    if (!held) return true;
    gates.push(Promise.withResolvers());
    return gates.at(-1)!.promise;
  };
  await withHeld({ authenticate }, async ({ peer, connection, connect, heard, server }) => {
    const first = await connect();
    await first.send(hello({ session: true, resume: resumeOf(peer) }));
    await until(() => gates.length === 1, "it is being decided");
    // The one before goes on meanwhile, beyond what the resume has told.
    connection.sendPacket({ action: "n", data: 1 });
    await nextNumbered(peer);
    await peer.sendPacket({ action: "hear", data: 1, seq: 1, ack: 1 });
    await handedOver(peer, 1);
    gates[0].resolve(true);
    const { welcome } = await first.welcomed();
    const { resumed, ack } = welcome.data as Record<string, unknown>;
    assertEquals([resumed, ack, heard], [true, 1, [1]]);
    await first.ping();
    assertFalse(first.hasLines);

    const second = await connect();
    await second.send(hello({ session: true, resume: resumeOf(peer, 1) }));
    await until(() => gates.length === 2, "it is being decided");
    await first.sendPacket({ action: "@close", data: { code: "CLOSED", reason: "bye" } });
    await until(() => !server.clients.has(peer.token), "the session ended");
    gates[1].resolve(true);
    const fresh = await second.welcomed();
    const { reason } = fresh.welcome.data as Record<string, unknown>;
    assertEquals([reason, fresh.token === peer.token], ["expired", false]);
    await second.ping();
  });
});

Deno.test("authenticate may end the session that it sees, and another one begins", async () => {
  const authenticate: Authenticate = (_handshake, held) => {
    held?.close({ reason: "one place at a time" });
    return true;
  };
  await withHeld({ authenticate }, async ({ peer, connection, register }) => {
    const next = await register({ session: true, resume: resumeOf(peer) });
    const { resumed, reason } = next.welcome.data as Record<string, unknown>;
    assertEquals([resumed, reason], [false, "expired"]);
    await peer.farewell("CLOSED");
    assertEquals((await connection.closed).code, "CLOSED");
    await next.ping();
  });
});

Deno.test("a session that times out while authenticate decides is not resumed", async () => {
  const gate = Promise.withResolvers<boolean>();
  let isAsked = false;
  const authenticate: Authenticate = (_handshake, held) => {
    if (!held) return true;
    isAsked = true;
    return gate.promise;
  };
  await withHeld({ authenticate, sessionTtlMs: 2_000 }, async ({ peer, connect, server, time }) => {
    await peer.reset();
    const late = await connect();
    await late.send(hello({ session: true, resume: resumeOf(peer) }));
    await until(() => isAsked, "it is being decided");
    time.leap(1_000);
    assert(server.clients.has(peer.token));
    time.leap(1_100);
    await until(() => !server.clients.has(peer.token), "its time was over");
    gate.resolve(true);
    const { welcome } = await late.welcomed();
    assertEquals((welcome.data as { reason: string }).reason, "expired");
  });
});
