// The public key of the other side, and what a hostile one says when it is asked for it.

import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import {
  Client,
  Connection,
  ConnectionError,
  type EncryptKeys,
  keyFingerprint,
  RequestError,
  Server,
} from "../../mod.ts";
import { withNetwork } from "../support/network_scene.ts";
import { pair } from "../support/pair.ts";
import type { RawPacket, RawPeer } from "../support/raw_peer.ts";
import { ADA, EVE as BOB } from "../support/rsa_keys.ts";
import { onBothSides, onBothSidesAndResumed, withServer } from "../support/scene.ts";
import { within } from "../support/wait.ts";

function whatIsKnownOf(keys: EncryptKeys) {
  return { publicKey: keys.publicKey, fingerprint: keys.fingerprint };
}

Deno.test("each side can ask for the key of the other, before a cut and after it", async () => {
  await withNetwork(
    { server: { encryptKeys: ADA }, client: { encryptKeys: BOB } },
    async ({ client, connection, drop, resumed }) => {
      const ask = async () => {
        assertEquals(await client.connection!.fetchPublicKey(), whatIsKnownOf(ADA));
        assertEquals(await connection.fetchPublicKey(), whatIsKnownOf(BOB));
      };
      await ask();
      await drop();
      // What is asked now is answered when the other side is back.
      const asked = ask();
      await resumed(1);
      await within(asked, "the answers");
      await ask();
    },
  );
});

Deno.test("a side without keys has none to tell, until it makes some", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  const connection = server.clients.get(client.token!)!;
  assertEquals(await client.connection!.fetchPublicKey(), undefined);
  assertEquals(await connection.fetchPublicKey(), undefined);
  for (const side of [server, client]) {
    const { fingerprint } = await side.createEncryptKeys({ bits: 2_048 });
    const asking = side === server ? client.connection! : connection;
    const told = await asking.fetchPublicKey();
    assertEquals(told?.fingerprint, fingerprint);
    assertEquals(await keyFingerprint(told!.publicKey), fingerprint);
  }
});

Deno.test("a connection over a pair of streams has no keys", async () => {
  const [left, right] = pair();
  await using one = new Connection(left);
  await using _two = new Connection(right);
  assertEquals(await one.fetchPublicKey(), undefined);
});

/** Answers the next question for the key with this. */
async function answer(peer: RawPeer, reply: Partial<RawPacket>): Promise<void> {
  const { id } = await peer.packetOf("@public-key");
  await peer.sendPacket({ action: "@public-key", "reply-to": id, ...reply });
}

async function weakKey(): Promise<string> {
  const publicExponent = Uint8Array.of(1, 0, 1);
  const algorithm = { name: "RSA-OAEP", hash: "SHA-256", modulusLength: 1_024, publicExponent };
  const { publicKey } = await crypto.subtle.generateKey(algorithm, true, ["encrypt", "decrypt"]);
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", publicKey));
  return `-----BEGIN PUBLIC KEY-----\n${spki.toBase64()}\n-----END PUBLIC KEY-----`;
}

onBothSidesAndResumed(
  "an answer that is no key is an error that says so, and the connection goes on",
  {},
  async ({ peer, connection, bindAction, logs }) => {
    bindAction("echo", (data) => data);
    const weak = await weakKey();
    const answers: unknown[] = [
      {},
      { publicKey: "" },
      { publicKey: "SECRET" },
      { publicKey: 5 },
      { publicKey: true },
      { publicKey: [ADA.publicKey] },
      { publicKey: { toString: "SECRET", length: 5 } },
      { publicKey: { pem: ADA.publicKey } },
      { publicKey: ADA.exportPrivateKey() },
      { publicKey: weak },
      { publicKey: "x".repeat(1_000_000) },
      {
        publicKey: `-----BEGIN PUBLIC KEY-----\n${"A".repeat(1_000_000)}\n-----END PUBLIC KEY-----`,
      },
      { key: ADA.publicKey },
      ADA.publicKey,
      [ADA.publicKey],
      5,
      null,
    ];
    const start = performance.now();
    for (const data of answers) {
      const asking = connection.fetchPublicKey();
      await answer(peer, { data });
      const error = await assertRejects(() => asking, RequestError, "public key cannot be used");
      assertEquals([error.code, error.remote, error.cause], ["INVALID_DATA", true, undefined]);
      assertLess(error.message.length, 200);
      assert(!error.message.includes("SECRET") && !error.message.includes("MII"));
    }
    // No long work is made of what is no key.
    assertLess(performance.now() - start, 5_000);
    const asking = connection.fetchPublicKey();
    await answer(peer, { data: { publicKey: BOB.publicKey, more: "unknown" } });
    assertEquals(await asking, whatIsKnownOf(BOB));
    await peer.sendPacket({ action: "echo", data: 1, id: 1 });
    assertEquals((await peer.packetOf("echo")).data, 1);
    logs.assertLacks("SECRET");
  },
);

onBothSides("a peer that has no key says null", {}, async ({ peer, connection }) => {
  const asking = connection.fetchPublicKey();
  await answer(peer, { data: { publicKey: null } });
  assertEquals(await asking, undefined);
});

onBothSides(
  "a peer that answers with an error, never, or by leaving is no more than that",
  {},
  async ({ peer, connection }) => {
    const refused = connection.fetchPublicKey();
    await answer(peer, { error: { code: "NO_ACTION", message: "no such thing" } });
    assertEquals((await assertRejects(() => refused, RequestError)).code, "NO_ACTION");

    const late = connection.fetchPublicKey({ timeoutMs: 20 });
    assertEquals((await assertRejects(() => late, RequestError)).code, "REQUEST_TIMEOUT");
    await answer(peer, { data: { publicKey: ADA.publicKey } });

    const callOff = new AbortController();
    const calledOff = connection.fetchPublicKey({ signal: callOff.signal });
    callOff.abort(new TypeError("not any more"));
    await assertRejects(() => calledOff, TypeError, "not any more");

    const left = connection.fetchPublicKey();
    await peer.packetOf("@public-key");
    await peer.reset();
    await assertRejects(() => left, ConnectionError);
  },
);

onBothSidesAndResumed(
  "a peer that asks by hand is told, as often as it asks",
  {},
  async ({ peer, connection }) => {
    const ignored = () => connection.stats.ignored;
    const before = ignored();
    await peer.sendPacket({ action: "@public-key" }, { action: "@public-key", data: { x: 1 } });
    await peer.ping();
    assertEquals(ignored() - before, 2);
    for (const id of [7, 8, 7]) {
      await peer.sendPacket({ action: "@public-key", id });
      const reply = await peer.packetOf("@public-key");
      assertEquals([reply["reply-to"], reply.data], [id, { publicKey: null }]);
    }
  },
);

Deno.test("a server tells no one's key but its own, and no private one", async () => {
  await withServer({ encryptKeys: ADA }, async ({ register }) => {
    const peer = await register();
    await peer.sendPacket({ action: "@public-key", id: 1 });
    const { data } = await peer.packetOf("@public-key");
    assertEquals(data, { publicKey: ADA.publicKey });
    assert(!peer.text.includes("PRIVATE"));
  });
});
