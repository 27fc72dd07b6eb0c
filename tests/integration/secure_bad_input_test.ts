// The rows of the project's list of bad inputs that need a secure connection, each on both sides.

import { assert, assertEquals, assertFalse, assertGreater, assertRejects } from "@std/assert";
import { Client, createIdentity, HandshakeError, PnetworkError, Server } from "../../mod.ts";
import { concat } from "../support/bytes.ts";
import type { OnBytes } from "../support/faulty_proxy.ts";
import { Logs } from "../support/logs.ts";
import { noiseKeys, NoisePeer, OFFER } from "../support/noise_peer.ts";
import { withNetwork } from "../support/network_scene.ts";
import { hello, line, type RawPeer } from "../support/raw_peer.ts";
import { IMPATIENT, withHostileServer, withServer } from "../support/scene.ts";
import { CLIENT, SERVER } from "../support/identities.ts";
import { onBothSidesSecurely, type SecurePeer } from "../support/secure_scene.ts";
import { pause, until, within } from "../support/wait.ts";

// Row 36: what was touched

function hear(n: number): object {
  return { action: "hear", data: n, seq: n };
}

/** Ways to touch the second of three records. */
const TOUCHES: Record<string, (records: Uint8Array[]) => Uint8Array[]> = {
  "a flipped bit": ([one, two, three]) => [one, flipped(two, 20), three],
  "a flipped bit of the tag": ([one, two, three]) => [one, flipped(two, two.length - 1), three],
  "a flipped bit of the length": ([one, two, three]) => [one, flipped(two, 1), three, MUCH],
  "a cut tag": ([one, two, three]) => [one, two.subarray(0, -1), three, MUCH],
  "a cut tag of a record that says so": ([one, two, three]) => [one, shortened(two), three],
  "a record that was left out": ([one, , three]) => [one, three],
  "a replayed record": ([one, , three]) => [one, one, three],
  "swapped records": ([one, two, three]) => [one, three, two],
  "a record of no bytes": ([one, two, three]) => [one, Uint8Array.of(0, 0), two, three],
  "a record that is too short for a tag": ([one, two, three]) => [
    one,
    Uint8Array.of(0, 15, ...new Uint8Array(15)),
    two,
    three,
  ],
  "bytes between records": ([one, two, three]) => [one, Uint8Array.of(7), two, three, MUCH],
};

/** More than a record can be, so that whatever length was read, its bytes have come. */
const MUCH = new Uint8Array(66_000);

function flipped(record: Uint8Array, index: number): Uint8Array {
  return record.map((byte, at) => at === index ? byte ^ 1 : byte);
}

function shortened(record: Uint8Array): Uint8Array {
  return concat([Uint8Array.of(record[0], record[1] - 1), record.subarray(2, -1)]);
}

for (const [what, touch] of Object.entries(TOUCHES)) {
  onBothSidesSecurely(
    `row 36: ${what} ends the socket before anything that was touched is heard, and the session resumes`,
    { heartbeatMs: false },
    async ({ peer, connection, bindAction, comeBack, logs }) => {
      const heard: unknown[] = [];
      bindAction("hear", (n) => void heard.push(n));
      const records: Uint8Array[] = [];
      for (const n of [1, 2, 3]) records.push(await peer.seal(line(hear(n))));
      const before = peer.stream.bytesReceived;
      await peer.stream.send(concat(touch(records)));
      await until(() => connection.state === "detached", "it was detached");
      assertEquals(heard, [1]);
      await until(() => peer.stream.ended !== undefined, "the socket was closed");
      // Neither what was wrong nor that something was is told.
      assertEquals(peer.stream.bytesReceived, before);
      const again = await comeBack();
      await again.sendPacket(hear(2), hear(3));
      await again.ping();
      assertEquals(heard, [1, 2, 3]);
      assertEquals([connection.state, logs.of("error").length], ["open", 0]);
    },
  );
}

Deno.test("row 36: messages of the handshake in base64 that is not canonical are refused, on a server", async () => {
  await withServer({ secure: SERVER }, async ({ connect, server }) => {
    for (const which of [1, 3]) {
      for (
        const spoil of [(text: string) => " " + text, (text: string) => text.replace("\n", "\r\n")]
      ) {
        const peer = await NoisePeer.asClient(await connect());
        const first = await peer.message();
        await peer.stream.send(peer.offer + "\n" + (which === 1 ? spoil(first) : first));
        let answered = 0;
        if (which === 3) {
          await peer.take(await peer.line());
          answered = peer.stream.bytesReceived;
          await peer.stream.send(spoil(await peer.message()));
        }
        await until(() => peer.stream.ended !== undefined, "the socket was closed");
        assertEquals(peer.stream.bytesReceived, answered);
      }
    }
    assertEquals(server.clients.size, 1);
  });
});

Deno.test("row 36: an answer in base64 that is not canonical is refused, on a client", async () => {
  await withHostileServer({ secure: { pin: SERVER.fingerprint } }, async ({ server, client }) => {
    const starting = client.start().catch(({ code }) => code);
    const peer = await NoisePeer.asServer(await server.accept(), { keys: noiseKeys(SERVER) });
    await peer.take(await peer.line());
    const before = peer.stream.bytesReceived;
    await peer.stream.send(" " + await peer.message());
    assertEquals(await starting, "CONNECTION_LOST");
    await until(() => peer.stream.ended !== undefined, "the socket was closed");
    assertEquals(peer.stream.bytesReceived, before);
  });
});

// Row 37: keys that are none

Deno.test("row 37: an all-zero key is refused without a word, on a server", async () => {
  await withServer({ secure: SERVER }, async ({ connect, server }) => {
    const first = await connect();
    await first.send(OFFER + "\n" + new Uint8Array(32).toBase64() + "\n");
    await until(() => first.ended !== undefined, "the socket was closed");
    assertEquals(first.bytesReceived, 0);

    const keys = { ...noiseKeys(CLIENT), publicKey: new Uint8Array(32) };
    const peer = await NoisePeer.asClient(await connect(), { keys });
    await peer.stream.send(peer.offer + "\n" + await peer.message());
    await peer.take(await peer.line());
    const before = peer.stream.bytesReceived;
    await peer.stream.send(await peer.message());
    await until(() => peer.stream.ended !== undefined, "the socket was closed");
    assertEquals([peer.stream.bytesReceived, server.clients.size], [before, 1]);
  });
});

Deno.test("row 37: an all-zero key is refused without a word, on a client", async () => {
  for (const isStatic of [false, true]) {
    await withHostileServer({ secure: { pin: () => true } }, async ({ server, client }) => {
      const starting = client.start().catch(({ code }) => code);
      const keys = { ...noiseKeys(SERVER), publicKey: new Uint8Array(32) };
      const peer = await NoisePeer.asServer(await server.accept(), { keys });
      await peer.take(await peer.line());
      const before = peer.stream.bytesReceived;
      const message = isStatic ? await peer.message() : new Uint8Array(96).toBase64() + "\n";
      await peer.stream.send(message);
      assertEquals(await starting, "CONNECTION_LOST");
      await until(() => peer.stream.ended !== undefined, "the socket was closed");
      assertEquals(peer.stream.bytesReceived, before);
    });
  }
});

// Row 38: the wrong kind of server or client

Deno.test("row 38: a plain client of a secure server is told SECURE_REQUIRED, and was not heard", async () => {
  let asked = 0;
  const authenticate = () => {
    asked++;
    return true;
  };
  await withServer({ secure: SERVER, authenticate }, async ({ server, connect }) => {
    const before = asked;
    await using client = new Client({ port: server.port });
    const error = await assertRejects(() => client.start(), HandshakeError);
    assertEquals([error.code, client.token], ["SECURE_REQUIRED", undefined]);
    for (const said of [hello({ auth: "x" }), line({ action: "hear" }), "GET / HTTP/1.1\r\n"]) {
      const peer = await connect();
      await peer.send(said);
      await peer.refused("SECURE_REQUIRED");
    }
    // A line that has not ended when it is too long for an offer is none.
    const peer = await connect();
    await peer.send("x".repeat(5_000));
    await until(() => peer.ended !== undefined, "the socket was closed");
    assertEquals([peer.bytesReceived, asked, server.clients.size], [0, before, 1]);
  });
});

Deno.test("row 38: a secure client of a plain server is told SECURE_UNSUPPORTED, and told it nothing", async () => {
  const secure = { pin: SERVER.fingerprint, identity: CLIENT };
  await withServer({}, async ({ server, connect }) => {
    await using client = new Client({ port: server.port, secure, auth: "my-password" });
    const error = await assertRejects(() => client.start(), HandshakeError);
    assertEquals([error.code, client.token], ["SECURE_UNSUPPORTED", undefined]);
    const peer = await connect();
    await peer.send(OFFER + "\n" + new Uint8Array(32).toBase64() + "\n");
    await peer.refused("SECURE_UNSUPPORTED");
    assertEquals(server.clients.size, 1);
  });
});

/** Plays a server with the next client that knows nothing of the key, or pretends to. */
async function pretend(peer: RawPeer, answer: string): Promise<string> {
  assertEquals(await peer.line(), OFFER);
  await peer.line();
  await peer.send(answer);
  await until(() => peer.ended !== undefined, "the client hung up");
  return peer.text;
}

Deno.test("row 38: someone in the middle who plays a plain server is told nothing, and ends nothing for good", async () => {
  const SECRET = "my-password";
  const secure = { pin: SERVER.fingerprint, identity: CLIENT };
  const success = { status: "success", version: 1, id: crypto.randomUUID(), ...{ session: true } };
  const refusals = ["SECURE_UNSUPPORTED", "SERVER_FULL", "REFUSED", "TAKEN_OVER", "CLOSED"];
  const answers = [
    line({ action: "@handshake", data: success, token: crypto.randomUUID() }),
    ...refusals.map((code) =>
      line({ action: "@handshake", data: { status: "error", code, message: "go away" } })
    ),
    line({ action: "@close", data: { code: "TAKEN_OVER", reason: "go away" } }),
    line({ action: "@close", data: { code: "CLOSED", reason: "go away" } }),
    "plainly nonsense\n",
    "\n",
  ];
  await withHostileServer({ ...IMPATIENT, secure, auth: SECRET }, async ({ server, client }) => {
    const keys = noiseKeys(SERVER);
    const starting = client.start();
    let peer: SecurePeer = await NoisePeer.accept(await server.accept(), { keys });
    const welcome = await peer.welcome({ session: true, resumed: false, epoch: "e" });
    await starting;
    const { token, id } = welcome;
    client.sendPacket({ action: "n", data: 1 });
    assertEquals((await peer.packetOf("n")).seq, 1);
    await peer.stream.reset();
    // However it is answered, it says nothing but the same two lines, and comes again.
    for (const answer of answers) {
      const text = await pretend(await server.accept(), answer);
      assertFalse([SECRET, token, id].some((secret) => text.includes(secret)));
      assertEquals(text.length, OFFER.length + 1 + 45);
    }
    peer = await NoisePeer.accept(await server.accept(), { keys });
    const asked = (await peer.packetOf("@handshake")).data as { resume: { token: string } };
    assertEquals(asked.resume.token, token);
    const data = { status: "success", version: 1, id, epoch: "e", resumed: true, ack: 0 };
    await peer.sendPacket({ action: "@handshake", data: { ...data, session: true }, token });
    assertEquals((await peer.packetOf("n")).data, 1);
    assertEquals(client.state, "connected");
  });
});

Deno.test("row 38: someone in the middle who strips the offer gets neither side to speak plainly", async () => {
  const SECRET = "my-password";
  // To the server it says what a plain client would, and to the client what a plain server would.
  let isStripping = false;
  const passed: Uint8Array[] = [];
  const onBytes: OnBytes = (_link, direction, bytes) => {
    passed.push(bytes.slice());
    if (!isStripping) return;
    if (direction === "toServer") return new TextEncoder().encode(hello({ session: true }));
    const answer = JSON.parse(new TextDecoder().decode(bytes));
    assertEquals(answer.data.code, "SECURE_REQUIRED");
    const data = { status: "success", version: 1, id: crypto.randomUUID(), session: true };
    const token = crypto.randomUUID();
    isStripping = false;
    return new TextEncoder().encode(line({ action: "@handshake", data, token }));
  };
  const options = {
    server: { secure: SERVER },
    client: { secure: { pin: SERVER.fingerprint }, auth: SECRET },
    onBytes,
  };
  await withNetwork(options, async ({ server, client, proxy, drop, resumed, told }) => {
    const seen: unknown[] = [];
    server.bindAction("n", (n) => void seen.push(n));
    const { token } = client;
    for (let time = 1; time <= 3; time++) {
      isStripping = true;
      await drop();
      await client.sendPacket({ action: "n", data: time });
      await resumed(time);
      await client.delivered();
      assertEquals(proxy.links.length, 1 + 2 * time);
    }
    assertEquals([seen, client.token, server.clients.size], [[1, 2, 3], token, 1]);
    assertFalse(told.some((what) => what.includes("onSessionLost")));
    const bytes = new TextDecoder("latin1").decode(concat(passed));
    assertFalse([SECRET, token!, client.id!].some((secret) => bytes.includes(secret)));
  });
});

// Row 39: another key

Deno.test("row 39: a client whose server has another key stops hard, and shows both fingerprints", async () => {
  await using logs = await Logs.capture();
  const SECRET = "my-password";
  const passed: Uint8Array[] = [];
  const options = {
    server: { secure: SERVER },
    client: { secure: { pin: SERVER.fingerprint }, auth: SECRET },
    onBytes: ((_link, _direction, bytes) => void passed.push(bytes.slice())) satisfies OnBytes,
  };
  const impostor = await createIdentity();
  let asked = 0;
  await using other = new Server({ port: 0, secure: impostor, authenticate: () => !!++asked });
  await other.start();
  await withNetwork(options, async ({ client, connection, proxy, drop, told, server }) => {
    const { token } = client;
    proxy.to = other.port;
    passed.length = 0;
    const waiting = client.request("never").catch(({ message }) => message);
    await drop();
    const { code, reason } = await within(client.closed, "the client's end");
    assertEquals(code, "UNTRUSTED_PEER");
    assertEquals(
      reason,
      `the server's key is ${impostor.fingerprint}, and not ${SERVER.fingerprint}`,
    );
    assertEquals(await waiting, reason);
    assertEquals(told.at(-1), "client onDisconnect UNTRUSTED_PEER");
    const links = proxy.links.length;
    await pause(100);
    assertEquals([proxy.links.length, client.state, asked], [links, "closed", 0]);
    const bytes = new TextDecoder("latin1").decode(concat(passed));
    // Nothing but the offer and one message went to it: not even this side's own key.
    assertEquals(proxy.last!.bytes.toServer, OFFER.length + 1 + 45);
    assertFalse([SECRET, token!].some((secret) => bytes.includes(secret)));
    assertEquals([connection.state, other.clients.size], ["detached", 0]);
    await server.clients.get(token!)!.close();
  });
  logs.assertLacks(SECRET);
});

Deno.test("row 39: a client that meets another key at once says so, and which", async () => {
  await using server = new Server({ port: 0, secure: SERVER });
  await server.start();
  await using client = new Client({ port: server.port, secure: { pin: CLIENT.fingerprint } });
  const starting = client.start({ retry: true });
  const error = await assertRejects(() => within(starting, "the client"), PnetworkError);
  assertEquals(error.code, "UNTRUSTED_PEER");
  assertEquals(
    error.message,
    `the server's key is ${SERVER.fingerprint}, and not ${CLIENT.fingerprint}`,
  );
  assertEquals([client.state, server.clients.size], ["idle", 0]);
});

// Row 40: plain text where records must be

onBothSidesSecurely(
  "row 40: a plain line after the channel is up closes it",
  { partialLineTimeoutMs: 2_000, heartbeatMs: false, deadAfterMs: false },
  async ({ peer, connection, bindAction, time, comeBack }) => {
    let heard = 0;
    bindAction("hear", () => void heard++);
    await peer.stream.send(line({ action: "hear", seq: 1 }));
    const detached = until(() => connection.state === "detached", "it was detached");
    await time.leapUntil(detached, "its being detached");
    await until(() => peer.stream.ended !== undefined, "the socket was closed");
    const again = await comeBack();
    // As many as the first two characters say, when they are taken for a length.
    await again.stream.send(line({ action: "hear", seq: 1 }).repeat(1_500));
    await until(() => connection.state === "detached", "it was detached");
    const last = await comeBack();
    await last.sendPacket(hear(1));
    await last.ping();
    assertEquals(heard, 1);
  },
);

onBothSidesSecurely(
  "a record that comes slowly but steadily is waited for, one that stands still is not",
  { partialLineTimeoutMs: 2_000, heartbeatMs: false, deadAfterMs: false },
  async ({ peer, connection, bindAction, time }) => {
    let heard = 0;
    bindAction("hear", () => void heard++);
    const record = await peer.seal(line({ ...hear(1), data: "x".repeat(20_000) }));
    const start = performance.now();
    for (let at = 0; at < record.length; at += 1_000) {
      await peer.stream.send(record.subarray(at, at + 1_000));
      await pause(1);
      time.leap(300);
    }
    await peer.ping();
    assertGreater(performance.now() - start, 6_000, "it was slow enough");
    assertEquals([connection.state, heard], ["open", 1]);
    await peer.stream.send((await peer.seal(line(hear(2)))).subarray(0, 30));
    const detached = until(() => connection.state === "detached", "it was detached");
    await time.leapUntil(detached, "its being detached");
    assertEquals(heard, 1);
  },
);

Deno.test("row 40: plain text in place of the first record, or of the last message, is never heard", async () => {
  await withServer({ secure: SERVER, handshakeTimeoutMs: 300 }, async ({ connect, server }) => {
    const keys = noiseKeys(CLIENT);
    const peer = await NoisePeer.connect(await connect(), { keys });
    await peer.stream.send(hello());
    await until(() => peer.stream.ended !== undefined, "the socket was closed");
    const other = await NoisePeer.asClient(await connect(), { keys });
    await other.stream.send(other.offer + "\n" + await other.message());
    await other.line();
    const before = other.stream.bytesReceived;
    await other.stream.send(hello());
    await until(() => other.stream.ended !== undefined, "the socket was closed");
    assertEquals([other.stream.bytesReceived, server.clients.size], [before, 1]);
  });
});

// The clause of a refusal within the channel

Deno.test("a refusal is told within the channel, and is final there", async () => {
  const seen: (string | undefined)[] = [];
  const authenticate = ({ fingerprint, auth }: { fingerprint?: string; auth: unknown }) => {
    seen.push(fingerprint);
    return auth === null ? true : { refuse: "not you" };
  };
  await withServer({ secure: SERVER, authenticate }, async ({ server }) => {
    const secure = { pin: SERVER.fingerprint, identity: CLIENT };
    await using client = new Client({ port: server.port, secure, auth: "x" });
    const error = await assertRejects(() => client.start({ retry: true }), HandshakeError);
    assertEquals([error.code, error.message], ["REFUSED", "not you"]);
    assertEquals(seen.at(-1), CLIENT.fingerprint);
    assert(seen[0] !== CLIENT.fingerprint && seen[0] !== undefined);
  });
});
