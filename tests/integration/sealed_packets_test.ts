// Packets that are sealed for one side, on their way through another, and what comes of them there.

import { assert, assertEquals, assertFalse, assertLess, assertRejects } from "@std/assert";
import { inspect } from "node:util";
import {
  Client,
  type Connection,
  CryptoError,
  EncryptKeys,
  encryptPacket,
  type Packet,
  type PnetworkError,
  type ReceivedPacket,
  RequestError,
  Server,
} from "../../mod.ts";
import { openPacket } from "../../crypto.ts";
import { concat } from "../support/bytes.ts";
import { FaultyProxy } from "../support/faulty_proxy.ts";
import { Logs } from "../support/logs.ts";
import { withNetwork } from "../support/network_scene.ts";
import { ADA as SERVERS, EVE as OTHERS } from "../support/rsa_keys.ts";
import { withServer } from "../support/scene.ts";
import { settle, until, within } from "../support/wait.ts";

/** The server's keys, which remember nothing. */
function serverKeys(): Promise<EncryptKeys> {
  return EncryptKeys.import(SERVERS.exportPrivateKey());
}

function sealed(action: string, data: unknown, keys = SERVERS): Promise<Packet> {
  return encryptPacket({ action, data }, keys.publicKey);
}

/** Opens nothing until it is told to. */
class HeldOpening implements Disposable {
  readonly #gate = Promise.withResolvers<void>();
  /** How many were to be opened so far. */
  begun = 0;

  constructor() {
    const decrypt = crypto.subtle.decrypt;
    crypto.subtle.decrypt = async (...args) => {
      this.begun++;
      await this.#gate.promise;
      return await decrypt.apply(crypto.subtle, args);
    };
  }

  release(): void {
    this.#gate.resolve();
  }

  [Symbol.dispose](): void {
    this.release();
    // The real one is inherited.
    delete (crypto.subtle as { decrypt?: unknown }).decrypt;
  }
}

/** All that can be seen of something, hidden things and getters among it. */
function allOf(thing: unknown): string {
  const options = { depth: 20, showHidden: true, getters: true };
  return [
    Deno.inspect(thing, options),
    inspect(thing, options),
    inspect(thing, { ...options, customInspect: false }),
    JSON.stringify(thing),
    Deno.inspect({ ...thing as object }, options),
    JSON.stringify({ ...thing as object }),
    inspect(structuredClone(JSON.parse(JSON.stringify(thing))), options),
  ].join("\n");
}

const FORWARDS: [how: string, forward: (to: Connection, packet: ReceivedPacket) => unknown][] = [
  ["as it came", (to, packet) => to.sendPacket(packet)],
  ["as a spread", (to, packet) => to.sendPacket({ ...packet })],
  ["as its data", (to, { action, data }) => to.sendPacket({ action, data })],
  ["as JSON", (to, packet) => to.sendPacket(JSON.parse(JSON.stringify(packet)))],
  ["as a request", (to, { action, data }) => to.request(action, data)],
];

for (const [how, forward] of FORWARDS) {
  Deno.test(`a packet that one client seals for another is forwarded ${how}: only who it is for reads it, and no token goes along`, async () => {
    await using logs = await Logs.capture();
    await using server = new Server({ port: 0 });
    const seen: string[] = [];
    const clients = new Map<string, Connection>();
    server.bindAction("i-am", (name, _packet, connection) => {
      clients.set(name as string, connection as Connection);
    });
    server.bindAction("key-of", async (name) => {
      return (await clients.get(name as string)!.fetchPublicKey())?.publicKey;
    });
    server.bindAction("vote", async (_data, packet) => {
      seen.push(allOf(packet));
      await forward(clients.get("Bob")!, packet);
    });
    await server.start();

    const toBob: Uint8Array[] = [];
    await using proxy = await FaultyProxy.listen({
      to: server.port,
      onBytes: (_link, direction, bytes) => {
        if (direction === "toClient") toBob.push(bytes.slice());
      },
    });
    await using ada = new Client({ port: server.port });
    await using bob = new Client({ port: proxy.port });
    await bob.createEncryptKeys({ bits: 2_048 });
    const got = Promise.withResolvers<ReceivedPacket>();
    bob.bindAction("vote", (_data, packet) => got.resolve(packet));
    for (const [client, name] of [[ada, "Ada"], [bob, "Bob"]] as const) {
      await client.start();
      await client.request("i-am", name);
    }

    const publicKey = await ada.request("key-of", "Bob") as string;
    assertEquals(publicKey, bob.encryptKeys!.publicKey);
    const original = ada.createPacket("vote", { text: "PLAIN TEXT" });
    const careless = { ...original, token: ada.token! };
    await ada.sendPacket(await ada.encryptPacket(careless, publicKey));

    const packet = await within(got.promise, "the forwarded packet");
    const opened = await bob.decryptPacket(packet);
    assertEquals(opened, { ...original, token: null });

    const secret = ada.token!;
    const bobHas = [allOf(packet), allOf(packet.data), allOf(opened), allOf(opened.data)];
    for (const shown of bobHas) assertFalse(shown.includes(secret), "Ada's token reached Bob");
    assertFalse(packet.token === secret);
    const bytes = new TextDecoder().decode(concat(toBob));
    assert(bytes.includes(bob.token!), "these are Bob's bytes");
    assertFalse(bytes.includes(secret), "Ada's token reached Bob's socket");
    assertFalse(bytes.includes("PLAIN TEXT"));
    assertEquals(seen.length, 1);
    assertFalse(seen[0].includes("PLAIN TEXT"), "the server could read it");
    logs.assertLacks(secret, bob.token!, "PLAIN TEXT");
    logs.assertNoErrors();
  });
}

Deno.test("a server takes keys, makes them, seals and opens; so does a client", async () => {
  await using server = new Server({ port: 0 });
  await using client = new Client();
  for (const side of [server, client]) {
    assertEquals(side.encryptKeys, undefined);
    const packet = await sealed("vote", "Ada");
    await assertRejects(async () => await side.decryptPacket(packet), TypeError, "no keys yet");
    const keys = await side.createEncryptKeys({ bits: 2_048 });
    assertEquals(side.encryptKeys, keys);
    const own = await side.encryptPacket({ action: "vote", data: "Ada" }, keys.publicKey);
    assertEquals((await side.decryptPacket(own)).data, "Ada");
    await assertRejects(() => side.decryptPacket(own), CryptoError);
    assertEquals((await side.decryptPacket(own, { allowReplay: true })).data, "Ada");
  }
});

Deno.test("a sealed action takes sealed packets alone; whoever asks is told no more than that", async () => {
  await withServer({ encryptKeys: await serverKeys() }, async ({ server, register, logs }) => {
    const ran: unknown[] = [];
    const run = (data: unknown) => {
      ran.push(data);
      return "done";
    };
    server.bindAction("vote", run, { sealed: true });
    server.bindAction("move", run, { sealed: true });
    const peer = await register();
    const good = await sealed("vote", "SECRET 1");
    const data = good.data as Record<string, string>;
    const failed = { code: "DECRYPT_FAILED", message: "the packet cannot be opened" };
    const refusals: [packet: object, error: { code: string; message?: string }][] = [
      [{ action: "vote", data: "SECRET 2" }, { code: "INVALID_DATA" }],
      [{ action: "vote" }, { code: "INVALID_DATA" }],
      [{ ...good, action: "move" }, failed],
      [{ ...good, data: { ...data, tag: "A".repeat(22) } }, failed],
      [{ ...good, data: { ...data, protected: "e30" } }, failed],
      [await sealed("vote", "SECRET 3", OTHERS), failed],
    ];
    let id = 0;
    for (const [packet, error] of refusals) {
      await peer.sendPacket({ ...packet, token: null, id: ++id });
      const reply = await peer.packetOf((packet as Packet).action);
      assertEquals(reply["reply-to"], id);
      assertEquals(reply.error?.code, error.code);
      if (error.message) assertEquals(reply.error, error);
    }
    // Without a number nobody is told anything, and the connection is kept.
    for (const [packet] of refusals) await peer.sendPacket({ ...packet, token: null });
    const connection = server.clients.get(peer.token)!;
    await until(() => connection.stats.ignored === refusals.length, "they came to nothing");
    assertEquals(ran, []);

    await peer.sendPacket({ ...good, token: null, id: ++id });
    assertEquals((await peer.packetOf("vote")).data, "done");
    assertEquals(ran, ["SECRET 1"]);
    await peer.sendPacket({ ...good, token: null, id: ++id });
    assertEquals((await peer.packetOf("vote")).error, failed);
    logs.assertLacks("SECRET");
  });
});

Deno.test("what a handler throws on of a packet that it could not open says nothing else", async () => {
  await using _logs = await Logs.capture();
  await using server = new Server({ port: 0, encryptKeys: await serverKeys() });
  const thrown: Record<string, () => unknown> = {
    forged: () => server.decryptPacket({ action: "forged", data: "no" }),
    worded: () => {
      throw new CryptoError("DECRYPT_FAILED", "SECRET: the tag was wrong");
    },
    remote: () => other.request("away"),
    elsewhere: () => {
      throw new CryptoError("UNTRUSTED_PEER", "SECRET: the key is pnet1:x");
    },
  };
  for (const [name, run] of Object.entries(thrown)) server.bindAction(name, run);
  await server.start();
  await using elsewhere = new Server({ port: 0 });
  elsewhere.bindAction("away", () => {
    throw new CryptoError("DECRYPT_FAILED", "SECRET");
  });
  await elsewhere.start();
  await using other = new Client({ port: elsewhere.port });
  await other.start();
  await using client = new Client({ port: server.port });
  await client.start();
  for (const name of ["forged", "worded", "remote"]) {
    const error = await assertRejects(() => client.request(name), CryptoError);
    assertEquals([error.code, error.message], ["DECRYPT_FAILED", "the packet cannot be opened"]);
  }
  const error = await assertRejects(() => client.request("elsewhere"), RequestError);
  assertEquals([error.code, error.message], ["ACTION_FAILED", "the action failed"]);
});

Deno.test("opened data comes in the order of arrival, and nothing else waits for it", async () => {
  await using logs = await Logs.capture();
  await using server = new Server({ port: 0, encryptKeys: await serverKeys() });
  const ran: unknown[] = [];
  server.bindAction("vote", (data) => ran.push(data), { sealed: true });
  server.bindAction("note", (data) => void ran.push(data));
  server.bindAction("elsewhere", (data) => data);
  await server.start();
  await using client = new Client({ port: server.port });
  client.bindAction("ask", () => "answered");
  await client.start();
  await using other = new Client({ port: server.port });
  await other.start();
  const connection = server.clients.get(client.token!)!;
  const packets = [
    await sealed("vote", "x".repeat(500_000)),
    { action: "note", data: "plain" },
    await sealed("vote", "second"),
    { action: "note", data: "plain again" },
  ];
  {
    using held = new HeldOpening();
    for (const packet of packets) client.sendPacket(packet);
    const last = client.request("note", "asked");
    await until(() => held.begun === 1, "the first is being opened");

    // Signs of life, replies and other connections do not wait.
    await within(client.ping(), "a pong");
    assertEquals(await within(connection.request("ask"), "the client's reply"), "answered");
    assertEquals(await within(other.request("elsewhere", 1), "the reply to another one"), 1);
    await settle();
    assertEquals([ran, held.begun, connection.stats.waiting], [[], 1, 4]);

    held.release();
    await within(last, "the last reply");
    assertEquals(ran, ["x".repeat(500_000), "plain", "second", "plain again", "asked"]);
  }
  logs.assertNoErrors();
});

Deno.test("a packet that cannot be opened does not hold up those behind it", async () => {
  await using server = new Server({ port: 0, encryptKeys: await serverKeys() });
  const ran: unknown[] = [];
  server.bindAction("vote", (data) => ran.push(data), { sealed: true });
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  const outcomes = await Promise.allSettled([
    client.request("vote", (await sealed("vote", 1)).data),
    client.request("vote", (await sealed("vote", 2, OTHERS)).data),
    client.request("vote", 3),
    client.request("vote", (await sealed("vote", 4)).data),
  ]);
  assertEquals(
    outcomes.map((one) => one.status === "fulfilled" ? "ran" : (one.reason as PnetworkError).code),
    ["ran", "DECRYPT_FAILED", "INVALID_DATA", "ran"],
  );
  assertEquals(ran, [1, 4]);
});

Deno.test("sealed packets cross cuts: each is opened once, and in order", async () => {
  const keys = await serverKeys();
  await withNetwork(
    { server: { encryptKeys: keys } },
    async ({ server, client, drop, resumed }) => {
      const ran: unknown[] = [];
      server.bindAction("vote", (data) => ran.push(data), { sealed: true });
      const packets = await Promise.all(Array.from({ length: 30 }, (_, n) => sealed("vote", n)));
      {
        using held = new HeldOpening();
        for (const packet of packets.slice(0, 10)) client.sendPacket(packet);
        await until(() => held.begun === 1, "the first is being opened");
        // None was acknowledged: all of them come once more.
        await drop();
        await resumed(1);
        for (const packet of packets.slice(10, 20)) client.sendPacket(packet);
        await drop("fin");
      }
      await resumed(2);
      for (const packet of packets.slice(20)) client.sendPacket(packet);
      await within(client.delivered(), "all of them to be handed over");
      assertEquals(ran, [...packets.keys()]);
    },
  );
});

Deno.test("more sealed packets than may be opened in a second all arrive, in order", async () => {
  await withServer({ encryptKeys: await serverKeys() }, async ({ server, honest, time }) => {
    const ran: unknown[] = [];
    server.bindAction("vote", (data) => ran.push(data), { sealed: true });
    const packets = await Promise.all(Array.from({ length: 160 }, (_, n) => sealed("vote", n)));
    await using client = new Client({ port: server.port });
    await client.start();
    const start = performance.now();
    for (const packet of packets) await client.sendPacket(packet);
    await honest.rounds(3);
    await time.leapUntil(client.delivered(), "all of them being handed over");
    assertEquals(ran, [...packets.keys()]);
    // A burst of a hundred, and then a hundred a second.
    assertLess(450, performance.now() - start);
  });
});

Deno.test("a flood of forgeries costs its sender its turn, and no one else more than a wait", async () => {
  const options = { encryptKeys: await serverKeys() };
  await withServer(options, async ({ server, register, honest, time }) => {
    const ran: unknown[] = [];
    server.bindAction("vote", (data) => ran.push(data), { sealed: true });
    const forged = await sealed("vote", "forged");
    (forged.data as Record<string, string>).tag = "A".repeat(22);
    const flooder = await register();
    const line = JSON.stringify({ ...forged, token: null }) + "\n";
    await flooder.send(line.repeat(160));
    await using client = new Client({ port: server.port });
    await client.start();
    const delivered = client.sendPacket(await sealed("vote", "honest"), { delivered: true });
    await time.leapUntil(delivered, "its being handed over");
    assertEquals(ran, ["honest"]);
    await honest.rounds();
    const connection = server.clients.get(flooder.token)!;
    const over = until(() => connection.stats.waiting === 0, "the flood is over");
    await time.leapUntil(over, "the end of the flood");
    const again = client.sendPacket(await sealed("vote", "and again"), { delivered: true });
    await time.leapUntil(again, "its being handed over");
    assertEquals(ran, ["honest", "and again"]);
  });
});

Deno.test("a side that closes does not wait for what it may not open yet, and leaves no timer", async () => {
  const forged = await sealed("vote", "forged");
  (forged.data as Record<string, string>).tag = "A".repeat(22);
  for (const closesFirst of ["server", "client"]) {
    const keys = await serverKeys();
    // So many wait already that the next one's turn is far away.
    const giveUp = () => Promise.reject(new Error("not that long"));
    await Promise.allSettled(
      Array.from({ length: 2_000 }, () => openPacket(forged, keys, {}, giveUp)),
    );
    await using server = new Server({ port: 0, encryptKeys: keys });
    await server.start();
    await using client = new Client({ port: server.port, maxAttempts: 0, encryptKeys: keys });
    let runs = 0;
    for (const side of [server, client]) {
      side.bindAction("vote", () => void runs++, { sealed: true });
    }
    await client.start();
    const connection = server.clients.get(client.token!)!;
    client.sendPacket(await sealed("vote", 1));
    connection.sendPacket(await sealed("vote", 2));
    const both = [connection, client.connection!];
    await until(() => both.every(({ stats }) => stats.inFlight === 1), "both wait");
    const sides = closesFirst === "server" ? [server, client] : [client, server];
    for (const side of sides) await within(side.close({ drainTimeoutMs: 20 }), "its end", 3_000);
    assertEquals(runs, 0);
  }
});
