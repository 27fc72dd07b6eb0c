// Secure connections between honest sides: what can be seen of them, who may come back, and how they end
// when one side dawdles or leaves.

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  Client,
  type ClientOptions,
  createIdentity,
  type Identity,
  PnetworkError,
  Server,
  type ServerOptions,
} from "../../mod.ts";
import { concat } from "../support/bytes.ts";
import { ONE } from "../support/certs.ts";
import type { Direction } from "../support/faulty_proxy.ts";
import { LeapingTime } from "../support/leaping_time.ts";
import { acrossNetwork, withNetwork } from "../support/network_scene.ts";
import { noiseKeys, NoisePeer, OFFER } from "../support/noise_peer.ts";
import { hello, line, RawPeer, RawServer } from "../support/raw_peer.ts";
import { resumeOf } from "../support/raw_session.ts";
import { withHostileServer, withServer } from "../support/scene.ts";
import { CLIENT, SERVER } from "../support/identities.ts";
import { pause, turn, until, within } from "../support/wait.ts";

const SECURELY = {
  server: { secure: SERVER },
  client: { secure: { pin: SERVER.fingerprint, identity: CLIENT } },
};

// What can be seen

/** Collects every key that is handled while it exists: the platform is asked to tell. */
class Keys implements Disposable {
  /** Symmetric keys, and the secrets that they were made of. */
  readonly secret: Uint8Array[] = [];
  readonly #importKey = crypto.subtle.importKey;
  readonly #deriveBits = crypto.subtle.deriveBits;

  constructor() {
    const { subtle } = crypto;
    const importKey = this.#importKey as (...args: unknown[]) => Promise<CryptoKey>;
    subtle.importKey = ((...args: [format: string, key: Uint8Array, algorithm: unknown]) => {
      const [format, key, algorithm] = args;
      const isSymmetric = algorithm === "AES-GCM" || algorithm === "HKDF";
      if (format === "raw" && isSymmetric) this.secret.push(key.slice());
      return importKey.apply(subtle, args);
    }) as typeof subtle.importKey;
    subtle.deriveBits = async (...args) => {
      const bits = await this.#deriveBits.apply(subtle, args);
      this.secret.push(new Uint8Array(bits));
      return bits;
    };
  }

  [Symbol.dispose](): void {
    Object.assign(crypto.subtle, { importKey: this.#importKey, deriveBits: this.#deriveBits });
  }
}

/** The ways in which bytes may show up in others. */
function spellings(secret: Uint8Array): string[] {
  return [
    new TextDecoder("latin1").decode(secret),
    secret.toBase64({ omitPadding: true }),
    secret.toBase64({ alphabet: "base64url", omitPadding: true }),
    secret.toHex(),
  ];
}

async function privateKeyOf(identity: Identity): Promise<Uint8Array> {
  const base64 = (await identity.export()).split("\n")[1];
  return Uint8Array.fromBase64(base64).slice(-32);
}

Deno.test("of a secure session of a thousand packets nobody on the way sees a text, a token, an id or a key", async () => {
  using keys = new Keys();
  const passed: Record<Direction, Uint8Array[]> = { toServer: [], toClient: [] };
  const options = {
    ...SECURELY,
    server: {
      ...SECURELY.server,
      authenticate: ({ auth }: { auth: unknown }) => auth === "my-password",
    },
    client: { ...SECURELY.client, auth: "my-password" },
    onBytes: (_link: unknown, direction: Direction, bytes: Uint8Array) => {
      passed[direction].push(bytes.slice());
    },
  };
  let token = "";
  let id = "";
  const COUNT = 1_000;
  await withNetwork(options, async ({ server, client, connection, drop, resumed }) => {
    token = client.token!;
    id = client.id!;
    const seen: unknown[] = [];
    server.bindAction("whisper", (data) => void seen.push(data));
    client.bindAction("whisper-back", (data) => void seen.push(data));
    for (const side of [server, client]) side.bindAction("confide", (data) => ({ secretly: data }));
    for (let n = 0; n < COUNT / 4; n++) {
      await client.sendPacket({ action: "whisper", data: `the text of packet ${n}` });
      await connection.sendPacket({ action: "whisper-back", data: `the text of packet ${n}` });
      await client.request("confide", `the text of packet ${n}`);
      await connection.request("confide", `the text of packet ${n}`);
      if (n === 100) {
        await drop();
        await resumed(1);
      }
    }
    await Promise.all([client.delivered(), connection.delivered()]);
    assertEquals(seen.length, COUNT / 2);
  });
  const secrets = [
    ...keys.secret,
    await privateKeyOf(CLIENT),
    await privateKeyOf(SERVER),
    noiseKeys(CLIENT).publicKey,
    noiseKeys(SERVER).publicKey,
  ].filter(({ length }) => length >= 16);
  // Keys of two directions, twice, and what they were made of.
  assertGreater(secrets.length, 20);
  const words = [
    ...[
      "whisper",
      "confide",
      "secretly",
      "the text of",
      "my-password",
      "@handshake",
      "@ack",
      "packet-created",
    ],
    ...[token, id, token.replaceAll("-", ""), CLIENT.fingerprint, SERVER.fingerprint],
    ...[CLIENT, SERVER].map(({ fingerprint }) => fingerprint.slice("pnet1:".length)),
  ];
  const forbidden = [
    ...words.flatMap((word) => [word, btoa(word).replaceAll("=", "")]),
    ...secrets.flatMap(spellings),
  ];
  for (const direction of ["toServer", "toClient"] as const) {
    const bytes = new TextDecoder("latin1").decode(concat(passed[direction]));
    assertGreater(bytes.length, 50_000);
    for (const [index, one] of forbidden.entries()) {
      assertFalse(bytes.includes(one), `secret ${index} went ${direction}`);
    }
  }
});

Deno.test("the handshake takes one round trip more than a plain one, and as many as that of TLS", async () => {
  const turns = async (options: object) => {
    const directions: Direction[] = [];
    const onBytes = (_link: unknown, direction: Direction) => {
      if (directions.at(-1) !== direction) directions.push(direction);
    };
    let counted = 0;
    await acrossNetwork({ ...options, onBytes }, async () => {
      counted = await Promise.resolve(directions.length);
    });
    return counted;
  };
  assertEquals(await turns({}), 2);
  assertEquals(await turns(SECURELY), 4);
  const tls = { server: { tls: ONE }, client: { tls: { caCerts: [ONE.cert] } } };
  assertEquals(await turns(tls), 4);
});

// Who is who

Deno.test("authenticate and the connection know the client's key, and a plain client has none", async () => {
  const seen: (string | undefined)[] = [];
  const authenticate: ServerOptions["authenticate"] = ({ fingerprint }, held) => {
    seen.push(fingerprint, held?.fingerprint);
    return true;
  };
  await withNetwork(
    { ...SECURELY, server: { secure: SERVER, authenticate } },
    async ({ connection, drop, resumed }) => {
      assertEquals(connection.fingerprint, CLIENT.fingerprint);
      await drop();
      await resumed(1);
      assertEquals(connection.fingerprint, CLIENT.fingerprint);
    },
  );
  assertEquals(seen, [CLIENT.fingerprint, undefined, CLIENT.fingerprint, CLIENT.fingerprint]);
  seen.length = 0;
  await withNetwork({ server: { authenticate } }, async ({ connection }) => {
    assertEquals(await Promise.resolve(connection.fingerprint), undefined);
  });
  assertEquals(seen, [undefined, undefined]);
});

Deno.test("a server lets in those whose key it knows, and no others", async () => {
  const authenticate: ServerOptions["authenticate"] = ({ fingerprint }) =>
    fingerprint === CLIENT.fingerprint ? { attach: "Ada" } : { refuse: "I do not know you" };
  await using server = new Server({ port: 0, secure: SERVER, authenticate });
  await server.start();
  const { port } = server;
  const pin = SERVER.fingerprint;
  await using known = new Client({ port, secure: { pin, identity: CLIENT } });
  await known.start();
  assertEquals([...server.clients.values()].map(({ attached }) => attached), ["Ada"]);
  for (const identity of [await createIdentity(), undefined]) {
    await using stranger = new Client({ port, secure: { pin, identity } });
    const error = await assertRejects(() => stranger.start(), PnetworkError, "I do not know you");
    assertEquals(error.code, "REFUSED");
  }
});

Deno.test("a client without an identity of its own has one key for as long as it lives", async () => {
  const seen: (string | undefined)[] = [];
  const authenticate: ServerOptions["authenticate"] = ({ fingerprint }) => !!seen.push(fingerprint);
  const options = {
    server: { secure: SERVER, authenticate },
    client: { secure: { pin: SERVER.fingerprint } },
  };
  await withNetwork(options, async ({ drop, resumed }) => {
    await drop();
    await resumed(1);
  });
  await withNetwork(options, () => Promise.resolve());
  assertEquals(seen.length, 3);
  assertStrictEquals(seen[0], seen[1]);
  assertNotEquals(seen[1], seen[2]);
});

Deno.test("a token is of no use to whoever has another key, and the session stays its owner's", async () => {
  const held: (string | undefined)[] = [];
  const authenticate: ServerOptions["authenticate"] = (_handshake, connection) => {
    held.push(connection?.id);
    return true;
  };
  await withServer({ secure: SERVER, authenticate }, async ({ server, connect }) => {
    const open = async (identity: Identity) =>
      await NoisePeer.connect(await connect(), { keys: noiseKeys(identity) });
    const thief = await createIdentity();
    const owner = await open(CLIENT);
    const welcome = await owner.register({ session: true });
    const connection = server.clients.get(welcome.token)!;
    const resume = resumeOf(welcome);
    const unknown = { ...resume, token: crypto.randomUUID() };
    // While the owner is there, and when it is not.
    for (const state of ["open", "detached"]) {
      if (state === "detached") {
        await owner.stream.reset();
        await until(() => connection.state === "detached", "the server saw it drop");
      }
      const answers = [];
      for (const asked of [resume, unknown]) {
        const peer = await open(thief);
        const again = await peer.register({ session: true, resume: asked });
        assertNotEquals([again.id, again.token], [welcome.id, welcome.token]);
        const { id: _id, ...data } = again.welcome.data as Record<string, unknown>;
        answers.push(data);
        assertEquals(held.at(-1), undefined);
      }
      // Whether it is somebody's token is not told either.
      assertEquals(answers[0], answers[1]);
      assertEquals([answers[0].resumed, answers[0].reason], [false, "expired"]);
      assertEquals([connection.state, connection.id], [state, welcome.id]);
    }
    const again = await open(CLIENT);
    const { data } = (await again.register({ session: true, resume })).welcome;
    assertEquals((data as { resumed: boolean }).resumed, true);
    assertEquals([connection.state, held.at(-1)], ["open", welcome.id]);
    const earlierRun = { ...resume, epoch: "another run" };
    const another = await (await open(CLIENT)).register({ session: true, resume: earlierRun });
    assertEquals((another.welcome.data as { reason: string }).reason, "restarted");
  });
});

Deno.test("someone in the middle with a key of his own is found out before he is told anything", async () => {
  const SECRET = "my-password";
  const impostor = await createIdentity();
  await using server = new Server({ port: 0, secure: SERVER });
  await server.start();
  const secure = { pin: SERVER.fingerprint, identity: CLIENT };
  await withHostileServer({ secure, auth: SECRET }, async ({ server: middle, client }) => {
    const starting = client.start({ retry: true });
    starting.catch(() => {});
    const keys = noiseKeys(impostor);
    const toClient = await NoisePeer.asServer(await middle.accept(), { keys });
    // What he hears from the server helps him nothing: the answer has to be of his own key.
    await using raw = await RawPeer.connect({ port: server.port });
    const toServer = await upToAnswer(raw);
    assertEquals(await toServer.theirFingerprint(), SERVER.fingerprint);
    await toClient.take(await toClient.line());
    const before = toClient.stream.bytesReceived;
    await toClient.stream.send(await toClient.message());
    const error = await assertRejects(() => within(starting, "the client"), PnetworkError);
    assertEquals(error.code, "UNTRUSTED_PEER");
    assertEquals(
      error.message,
      `the server's key is ${impostor.fingerprint}, and not ${SERVER.fingerprint}`,
    );
    await until(() => toClient.stream.ended !== undefined, "the client hung up");
    assertEquals(toClient.stream.bytesReceived, before);
    assertFalse(toClient.stream.text.includes(SECRET));
    assertEquals([client.state, client.token, server.clients.size], ["idle", undefined, 0]);
  });
});

Deno.test("what a pin decides may take its time, and an error of its own is passed on", async () => {
  await using server = new Server({ port: 0, secure: SERVER });
  await server.start();
  const { port } = server;
  const gate = Promise.withResolvers<boolean>();
  const asked: string[] = [];
  const pin = (fingerprint: string) => (asked.push(fingerprint), gate.promise);
  await using client = new Client({ port, secure: { pin } });
  const starting = client.start();
  await until(() => asked.length === 1, "it was asked");
  assertEquals([asked, client.state, server.clients.size], [[SERVER.fingerprint], "connecting", 0]);
  gate.resolve(true);
  await starting;
  const mine = new Error("no terminal");
  await using other = new Client({ port, secure: { pin: () => Promise.reject(mine) } });
  assertStrictEquals(await other.start({ retry: true }).catch((error) => error), mine);
});

// Ends

Deno.test("a secure client without a session is answered though it has ended its side", async () => {
  await withServer({ secure: SERVER }, async ({ server, connect }) => {
    const gate = Promise.withResolvers<void>();
    server.bindAction("slow", async () => {
      await gate.promise;
      return "done";
    });
    const peer = await NoisePeer.connect(await connect());
    const { token } = await peer.register();
    await peer.sendPacket({ action: "slow", id: 1 });
    await until(() => server.clients.get(token)!.stats.inFlight === 1, "the handler runs");
    peer.stream.fin();
    await pause(20);
    gate.resolve();
    assertEquals((await peer.packetOf("slow")).data, "done");
    await until(() => peer.stream.ended === "fin", "the server ended it");
  });
});

Deno.test("both sides say goodbye within the channel", async () => {
  await withNetwork(SECURELY, async ({ server, client, told }) => {
    await client.close({ reason: "the day is over" });
    await until(() => server.clients.size === 0, "the server knows");
    assertEquals(told.at(-1), "server onDisconnect CLOSED");
  });
});

// Those who dawdle

/** What a side says before it says no more. Resolves to what would come next. */
type Stage = [name: string, say: (raw: RawPeer) => Promise<string | Uint8Array>];

async function upToAnswer(raw: RawPeer): Promise<NoisePeer<RawPeer>> {
  const peer = await NoisePeer.asClient(raw);
  await raw.send(peer.offer + "\n" + await peer.message());
  await peer.take(await peer.line());
  return peer;
}

const MESSAGE = new Uint8Array(32).fill(9).toBase64() + "\n";

const CLIENT_STAGES: Stage[] = [
  ["nothing", () => Promise.resolve(OFFER + "\n" + MESSAGE)],
  ["half of the offer", async (raw) => {
    await raw.send(OFFER.slice(0, 40));
    return OFFER.slice(40) + "\n" + MESSAGE;
  }],
  ["the offer alone", async (raw) => {
    await raw.send(OFFER + "\n");
    return MESSAGE;
  }],
  ["half of its first message", async (raw) => {
    await raw.send(OFFER + "\n" + MESSAGE.slice(0, 20));
    return MESSAGE.slice(20);
  }],
  ["nothing to the answer", async (raw) => await (await upToAnswer(raw)).message()],
  ["half of its last message", async (raw) => {
    const message = await (await upToAnswer(raw)).message();
    await raw.send(message.slice(0, 40));
    return message.slice(40);
  }],
  ["nothing in the channel", async (raw) => await (await NoisePeer.connect(raw)).seal(hello())],
  ["half a record", async (raw) => {
    const record = await (await NoisePeer.connect(raw)).seal(hello());
    await raw.send(record.subarray(0, 30));
    return record.subarray(30);
  }],
  ["half a line in a record", async (raw) => {
    const peer = await NoisePeer.connect(raw);
    await peer.send(hello().slice(0, 20));
    return await peer.seal(hello().slice(20));
  }],
];

const WELCOME = line({
  action: "@handshake",
  data: { status: "success", version: 1, id: crypto.randomUUID() },
  token: crypto.randomUUID(),
});

async function answerTo(raw: RawPeer): Promise<string> {
  const peer = await NoisePeer.asServer(raw);
  await peer.take(await peer.line());
  return await peer.message();
}

const SERVER_STAGES: Stage[] = [
  ["nothing", answerTo],
  ["half of its answer", async (raw) => {
    const answer = await answerTo(raw);
    await raw.send(answer.slice(0, 60));
    return answer.slice(60);
  }],
  ["nothing in the channel", async (raw) => await (await NoisePeer.accept(raw)).seal(WELCOME)],
  ["half a record", async (raw) => {
    const record = await (await NoisePeer.accept(raw)).seal(WELCOME);
    await raw.send(record.subarray(0, 60));
    return record.subarray(60);
  }],
  ["half a line in a record", async (raw) => {
    const peer = await NoisePeer.accept(raw);
    await peer.send(WELCOME.slice(0, 20));
    return await peer.seal(WELCOME.slice(20));
  }],
];

const DEADLINE_MS = 5_000;
/** The last bytes of the other side are read for a second more. */
const SLACK_MS = 4_000;

/** Ends its side when the other one has: nobody has to wait for that here. */
async function leaveToo(raw: RawPeer, what: string): Promise<void> {
  await until(() => raw.ended !== undefined, what);
  await raw.close();
}

/** Says the rest one byte at a time, so slowly that it never comes to an end. */
async function drip(raw: RawPeer, rest: string | Uint8Array): Promise<void> {
  const bytes = typeof rest === "string" ? new TextEncoder().encode(rest) : rest;
  for (const byte of bytes) {
    if (raw.ended !== undefined) return;
    await raw.send(Uint8Array.of(byte));
    const next = performance.now() + DEADLINE_MS / 15;
    await until(() => performance.now() >= next, "it was time for the next byte");
  }
}

/** A client of ours that trusts everyone, and a raw server. */
async function withRawServer(
  options: ClientOptions,
  act: (server: RawServer, client: Client) => Promise<void>,
): Promise<void> {
  await using server = await RawServer.listen();
  const secure = { pin: () => true };
  await using client = new Client({ port: server.port, secure, ...options });
  await act(server, client);
}

for (const isDripping of [false, true]) {
  const how = isDripping ? "goes on byte by byte" : "falls silent";

  Deno.test(`one deadline covers every stage: a client that ${how} is cut off, others are served`, async () => {
    const options = { secure: SERVER, handshakeTimeoutMs: DEADLINE_MS };
    await withServer(options, async ({ server, connect, honest, time }) => {
      const start = performance.now();
      const said = await Promise.all(CLIENT_STAGES.map(async ([name, say]) => {
        const raw = await connect();
        return { name, raw, rest: await say(raw) };
      }));
      const ends = said.map(async ({ name, raw, rest }) => {
        if (isDripping) await drip(raw, rest);
        await leaveToo(raw, `it was cut off that said ${name}`);
        const ms = performance.now() - start;
        assert(ms > DEADLINE_MS - 50 && ms < DEADLINE_MS + SLACK_MS, `${name}: ${ms} ms`);
      });
      await time.leapUntil(Promise.all(ends), "their being cut off");
      await until(() => server.loops[1].waitsFor.startsWith("0 "), "all were given up");
      assertEquals(server.clients.size, 1);
      await honest.rounds();
    });
  });

  Deno.test(`one deadline covers every stage: a server that ${how} is given up`, async () => {
    using time = new LeapingTime();
    const start = performance.now();
    const stages = SERVER_STAGES.map(([name, say]) => {
      const hasSaid = Promise.withResolvers<void>();
      const isOver = withRawServer({ handshakeTimeoutMs: DEADLINE_MS }, async (server, client) => {
        const starting = client.start().catch(({ code }) => code);
        const raw = await server.accept();
        const rest = await say(raw);
        hasSaid.resolve();
        const dripping = isDripping ? drip(raw, rest) : undefined;
        const leaving = leaveToo(raw, "the client hung up");
        assertEquals(await within(starting, "the client"), "HANDSHAKE_TIMEOUT", name);
        const ms = performance.now() - start;
        assert(ms > DEADLINE_MS - 50 && ms < DEADLINE_MS + SLACK_MS, `${name}: ${ms} ms`);
        await leaving;
        await dripping;
        assertEquals([client.state, client.clients.size], ["idle", 0]);
      });
      return { isOver, hasSaid: Promise.race([hasSaid.promise, isOver]) };
    });
    await Promise.all(stages.map(({ hasSaid }) => hasSaid));
    const allOver = Promise.all(stages.map(({ isOver }) => isOver));
    await time.leapUntil(allOver, "their being given up");
  });
}

// Those who leave

/** What is being computed while it is called off comes to its end by itself, sooner than a whole handshake. */
async function outlast(): Promise<void> {
  await acrossNetwork(SECURELY, () => Promise.resolve());
}

for (const how of ["close()", "a signal"]) {
  Deno.test(`${how} calls off a client at every stage`, async () => {
    await Promise.all(SERVER_STAGES.map(async ([name, say]) => {
      await withRawServer({ handshakeTimeoutMs: 60_000 }, async (server, client) => {
        const controller = new AbortController();
        const { signal } = controller;
        const starting = client.start({ signal, retry: true }).catch((error) =>
          error.code ?? error
        );
        const raw = await server.accept();
        await say(raw);
        const leaving = leaveToo(raw, `it hung up after ${name}`);
        if (how === "close()") await within(client.close(), "its end");
        else controller.abort("enough");
        const expected = how === "close()" ? "CLOSED" : "enough";
        assertEquals(await within(starting, "the client"), expected, name);
        await leaving;
      });
    }));
    await outlast();
  });
}

Deno.test("close() of the server ends clients at every stage", async () => {
  await using server = new Server({ port: 0, secure: SERVER, handshakeTimeoutMs: 60_000 });
  await server.start();
  const raws = await Promise.all(CLIENT_STAGES.map(async ([, say]) => {
    const raw = await RawPeer.connect({ port: server.port });
    await say(raw);
    return raw;
  }));
  await until(
    () => server.loops[1].waitsFor.startsWith(`${raws.length} `),
    "all are shaking hands",
  );
  const leaving = raws.map((raw, index) =>
    leaveToo(raw, `it was hung up on: ${CLIENT_STAGES[index][0]}`)
  );
  await within(server.close(), "the server's end", 5_000);
  await Promise.all(leaving);
  await outlast();
  assertEquals([server.state, server.clients.size], ["closed", 0]);
});

Deno.test("a pin that never decides is called off by close(), and by the deadline", async () => {
  await using server = new Server({ port: 0, secure: SERVER });
  await server.start();
  const never = new Promise<boolean>(() => {});
  let asked = 0;
  const pin = () => (asked++, never);
  await using one = new Client({ port: server.port, secure: { pin } });
  const starting = one.start().catch(({ code }) => code);
  await until(() => asked === 1, "it was asked");
  await within(one.close(), "its end");
  assertEquals(await starting, "CLOSED");
  await using other = new Client({ port: server.port, secure: { pin }, handshakeTimeoutMs: 100 });
  const error = await assertRejects(() => within(other.start(), "the deadline"), PnetworkError);
  assertEquals([error.code, server.clients.size], ["HANDSHAKE_TIMEOUT", 0]);
});

/** Thirty of these are longer than a handshake. */
const TURNS_PER_PAUSE = 20;

/** Starts a client, and closes one of both after so many turns. */
async function closeAfter(
  who: "client" | "server",
  turns: number,
  pauses: number,
): Promise<string> {
  await using server = new Server({ port: 0, secure: SERVER, drainTimeoutMs: 500 });
  await server.start();
  const secure = { pin: SERVER.fingerprint, identity: CLIENT };
  await using client = new Client({ port: server.port, secure, session: false });
  const starting = client.start().then(() => "connected", ({ code }) => code);
  for (let n = 0; n < pauses * TURNS_PER_PAUSE; n++) await turn();
  for (let n = 0; n < turns; n++) await Promise.resolve();
  const closing = who === "client" ? client.close() : server.close();
  const outcome = await within(starting, "the start");
  await within(closing, `the end of the ${who}`);
  if (outcome === "connected") await within(client.closed, "the end of the connection");
  else assertEquals(client.clients.size, 0);
  await until(() => server.clients.size === 0, "the server has forgotten it");
  return outcome;
}

for (const who of ["client", "server"] as const) {
  Deno.test(`close() of the ${who} in any turn of the handshake leaves nothing behind`, async () => {
    const seen = new Set<string>();
    for (let turns = 0; turns < 20; turns++) seen.add(await closeAfter(who, turns, 0));
    // Some are too early for it, and some are not.
    for (let pauses = 1; pauses < 30 || !seen.has("connected"); pauses++) {
      assert(pauses < 1_000, `it was ${[...seen]}`);
      seen.add(await closeAfter(who, pauses % 5, pauses));
    }
    const called = who === "client"
      ? ["CLOSED"]
      : ["GOING_AWAY", "CONNECTION_LOST", "CONNECT_FAILED"];
    await outlast();
    const others = [...seen].filter((one) => one !== "connected");
    assert(others.length > 0 && others.every((one) => called.includes(one)), `it was ${others}`);
  });
}
