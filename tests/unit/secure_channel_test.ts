import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ByteQueue } from "../../byte_queue.ts";
import { ConnectionError, CryptoError, HandshakeError } from "../../errors.ts";
import { createIdentity, type Identity } from "../../identity.ts";
import { type Bytes, CipherState, generateKeyPair } from "../../noise.ts";
import {
  acceptSecurely,
  type CheckServer,
  connectSecurely,
  type Secured,
  SecureTransport,
} from "../../secure_channel.ts";
import {
  cutBefore,
  type MemoryEnd,
  memoryPair,
  type Slice,
  slicesOf,
} from "../support/memory_transport.ts";
import type { Transport } from "../../transport.ts";
import { NoisePeer, OFFER } from "../support/noise_peer.ts";
import { concat } from "../support/bytes.ts";
import { settle, within } from "../support/wait.ts";

const [CLIENT, SERVER] = [await createIdentity(), await createIdentity()];
const MAX_PLAINTEXT = 65_519;
const trusting: CheckServer = () => {};

/** Both sides, joined. */
async function joined(
  left?: Slice,
  right?: Slice,
): Promise<{ client: Secured; server: Secured; ends: [client: MemoryEnd, server: MemoryEnd] }> {
  const ends = memoryPair(left, right);
  const [client, server] = await Promise.all([
    connectSecurely(ends[0], CLIENT, trusting),
    acceptSecurely(ends[1], SERVER),
  ]);
  return { client, server, ends };
}

/** Our server, and a client that is played by hand. */
function withOurServer(): { accepting: Promise<Secured>; peer: MemoryEnd; ours: MemoryEnd } {
  const [peer, ours] = memoryPair();
  const accepting = acceptSecurely(ours, SERVER);
  // What is wrong with it is looked at later.
  accepting.catch(() => {});
  return { accepting, peer, ours };
}

/** Our client, and a server that is played by hand. */
function withOurClient(
  check = trusting,
  identity: Identity = CLIENT,
): { connecting: Promise<Secured>; peer: MemoryEnd; ours: MemoryEnd } {
  const [peer, ours] = memoryPair();
  const connecting = connectSecurely(ours, identity, check);
  connecting.catch(() => {});
  return { connecting, peer, ours };
}

/** It must fail, and say no more than that. */
async function assertFails(promise: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => within(promise, "its failure"), ConnectionError);
  assertEquals(
    [error.code, error.message, error.cause],
    ["CONNECTION_LOST", "the secure channel has failed", undefined],
  );
}

/** So many bytes, no two neighbouring kibibytes of them alike. */
function manyBytes(length: number): Bytes {
  return Uint8Array.from({ length }, (_, index) => index * 7 + (index >> 10));
}

/** Sends all of this from one to the other, and reads it there. */
async function pass(from: Secured, to: Secured, bytes: Uint8Array): Promise<Uint8Array> {
  const writing = (async () => {
    for (let at = 0; at < bytes.length;) at += await from.transport.write(bytes.subarray(at));
  })();
  const parts: Uint8Array[] = [];
  let read = 0;
  while (read < bytes.length) {
    const chunk = await within(to.transport.read(), "the next bytes");
    assert(chunk, "the bytes must not end");
    parts.push(chunk.slice());
    read += chunk.length;
  }
  await writing;
  return concat(parts);
}

function text(written: string): Bytes {
  return new TextEncoder().encode(written);
}

// The handshake

Deno.test("both sides come to a channel, and know each other's fingerprint", async () => {
  const { client, server } = await joined();
  assertEquals(client.fingerprint, SERVER.fingerprint);
  assertEquals(server.fingerprint, CLIENT.fingerprint);
  assertEquals(await pass(client, server, text("to the server")), text("to the server"));
  assertEquals(await pass(server, client, text("to the client")), text("to the client"));
});

Deno.test("the handshake is the offer and a message in one write, the answer, and a last message", async () => {
  const { ends: [client, server] } = await joined();
  const written = (end: MemoryEnd) => end.writes.map((bytes) => new TextDecoder().decode(bytes));
  const [first, last] = written(client);
  assertEquals(first.split("\n")[0], OFFER);
  const base64 = (length: number) => new RegExp(`^[A-Za-z0-9+/]{${length}}={0,2}\n$`);
  assert(base64(43).test(first.split("\n")[1] + "\n"));
  assertEquals(first.split("\n").length, 3);
  assert(base64(86).test(last));
  assert(base64(128).test(written(server)[0]));
  assertEquals([client.writes.length, server.writes.length], [2, 1]);
});

Deno.test("what follows the last message at once is not lost", async () => {
  const { accepting, peer } = withOurServer();
  const client = await NoisePeer.asClient(peer);
  await peer.send(client.offer + "\n" + await client.message());
  await client.take(await client.line());
  const last = text(await client.message());
  await client.begin();
  await peer.send(concat([last, await client.seal("one "), await client.seal("two")]));
  const { transport } = await accepting;
  assertEquals(
    concat([(await transport.read())!.slice(), (await transport.read())!]),
    text("one two"),
  );
});

Deno.test("however the bytes are cut, both sides understand them", async () => {
  const check = async (left?: Slice, right?: Slice) => {
    const { client, server } = await joined(left, right);
    assertEquals(await pass(client, server, text("there")), text("there"));
    assertEquals(await pass(server, client, text("back")), text("back"));
  };
  await check(slicesOf(1), slicesOf(1));
  const { client, server, ends } = await joined();
  await pass(client, server, text("there"));
  await pass(server, client, text("back"));
  const [toServer, toClient] = ends.map(({ writes }) => concat(writes).length);
  assertEquals([toServer, toClient], [OFFER.length + 1 + 45 + 89 + 2 + 16 + 5, 129 + 2 + 16 + 4]);
  const places = (length: number) => Array.from({ length: length - 1 }, (_, at) => at + 1);
  await Promise.all([
    ...places(toServer).map((place) => check(cutBefore(place))),
    ...places(toClient).map((place) => check(undefined, cutBefore(place))),
  ]);
});

Deno.test("a server takes the offer in any words, and both sides must have seen the same", async () => {
  const data = { protocol: "Noise_XX_25519_AESGCM_SHA256", more: 1, version: 1 };
  const offers = [
    JSON.stringify({ data, action: "@secure", "packet-created": 5 }),
    OFFER.replaceAll(",", ", "),
    OFFER + "\r",
    OFFER + " ".repeat(4_096 - OFFER.length),
  ];
  for (const offer of offers) {
    const { accepting, peer } = withOurServer();
    await NoisePeer.connect(peer, { offer });
    await accepting;
  }
  const { accepting, peer } = withOurServer();
  const client = await NoisePeer.asClient(peer, { offer: OFFER });
  await peer.send(OFFER.replace('"version":1', '"version":1.0') + "\n" + await client.message());
  await assertRejects(async () => client.take(await client.line()));
  await peer.send(await client.message().catch(() => "x") + "\n");
  await assertFails(accepting);
});

Deno.test("a client that begins with anything but the offer is told that it is required", async () => {
  const lines = [
    "",
    "GET / HTTP/1.1",
    "null",
    "[]",
    '{"action":"@handshake","data":{"version":1}}',
    '{"action":"@secure"}',
    '{"action":"@secure","data":null}',
    OFFER.replace("@secure", "secure"),
    OFFER.replace('"version":1', '"version":2'),
    OFFER.replace('"version":1', '"version":"1"'),
    OFFER.replace("_XX_", "_NN_"),
    OFFER.replace("AESGCM", "ChaChaPoly"),
    OFFER.slice(0, -1),
    "\ufeff" + OFFER,
    "A".repeat(43) + "=",
  ];
  for (const line of lines) {
    const { accepting, peer } = withOurServer();
    await peer.send(line + "\n");
    const error = await assertRejects(() => accepting, HandshakeError);
    assertEquals(error.code, "SECURE_REQUIRED", line);
    assertEquals(peer.received.length, 0);
  }
});

Deno.test("a client is told what a plain server says, if it may say that", async () => {
  const refusal = (code: string, message = "no") =>
    JSON.stringify({ action: "@handshake", data: { status: "error", code, message } });
  const answers: [line: string, code: string][] = [
    [refusal("SECURE_UNSUPPORTED"), "SECURE_UNSUPPORTED"],
    [refusal("SERVER_FULL"), "SERVER_FULL"],
    [refusal("HANDSHAKE_TIMEOUT"), "HANDSHAKE_TIMEOUT"],
    // Whoever says these is not the server: they would end the client for good.
    [refusal("REFUSED"), "SECURE_UNSUPPORTED"],
    [refusal("UNTRUSTED_PEER"), "SECURE_UNSUPPORTED"],
    [refusal("TAKEN_OVER"), "SECURE_UNSUPPORTED"],
    [refusal("CLOSED"), "SECURE_UNSUPPORTED"],
    [refusal("VERSION_UNSUPPORTED"), "SECURE_UNSUPPORTED"],
    ['{"action":"@handshake","data":{"status":"success"}}', "SECURE_UNSUPPORTED"],
    ['{"action":"@close","data":{"code":"CLOSED","reason":"bye"}}', "SECURE_UNSUPPORTED"],
    [OFFER, "SECURE_UNSUPPORTED"],
    ["{nonsense", "SECURE_UNSUPPORTED"],
  ];
  for (const [line, code] of answers) {
    const { connecting, peer } = withOurClient();
    await peer.send(line + "\n");
    const error = await assertRejects(() => connecting, HandshakeError);
    assertEquals(error.code, code, line);
    await settle();
    // Nothing was said that was not said before.
    assertEquals(peer.received.length, OFFER.length + 1 + 45);
  }
});

Deno.test("what a plain server says is fit to be shown", async () => {
  const { connecting, peer } = withOurClient();
  const data = { status: "error", code: "SERVER_FULL", message: "\x1b]0;x\x07\u202e" };
  await peer.send(JSON.stringify({ action: "@handshake", data }) + "\n");
  const { message } = await assertRejects(() => connecting, HandshakeError);
  // deno-lint-ignore no-control-regex -- that is the question
  assertEquals(/[\x00-\x1f\u202e]/.test(message), false);
});

Deno.test("the server's key is checked before the client tells its own, and what the check throws ends it", async () => {
  const untrusted = new CryptoError("UNTRUSTED_PEER", "another key");
  const throwing: CheckServer = (fingerprint) => {
    assertEquals(fingerprint, SERVER.fingerprint);
    throw untrusted;
  };
  const rejecting: CheckServer = async (fingerprint) => {
    await settle();
    throwing(fingerprint);
  };
  for (const check of [throwing, rejecting]) {
    const ends = memoryPair();
    acceptSecurely(ends[1], SERVER).catch(() => {});
    assertStrictEquals(
      await connectSecurely(ends[0], CLIENT, check).catch((error) => error),
      untrusted,
    );
    await settle();
    assertEquals(ends[0].writes.length, 1);
  }
});

/** Ways to write base64 that say the same, to those who do not look. */
function otherSpellings(line: string): string[] {
  const base64 = line.slice(0, -1);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const last = base64.search(/=*$/) - 1;
  const padding = base64.length - 1 - last;
  const spare = padding === 0 ? [] : Array.from({ length: padding === 1 ? 3 : 15 }, (_, bits) => {
    const letter = alphabet[alphabet.indexOf(base64[last]) + bits + 1];
    return base64.slice(0, last) + letter + "=".repeat(padding);
  });
  for (const one of spare) assertEquals(Uint8Array.fromBase64(one), Uint8Array.fromBase64(base64));
  return [
    ...spare,
    ...padding === 0 ? [] : [base64.slice(0, last + 1)],
    " " + base64,
    base64 + " ",
    base64 + "\r",
    base64.slice(0, 9) + "\t" + base64.slice(9),
    base64 + "====",
    base64 + "AAAA",
    base64.slice(0, -4),
    "",
    "=".repeat(4),
    "é" + base64,
  ];
}

Deno.test("base64 that is not canonical is refused in each message", async () => {
  for (const which of [0, 2]) {
    for (let variant = 0;; variant++) {
      const { accepting, peer } = withOurServer();
      const client = await NoisePeer.asClient(peer);
      const first = await client.message();
      const send = async (line: string, isSpoilt: boolean) => {
        const spellings = otherSpellings(line);
        await peer.send(isSpoilt ? spellings[variant] + "\n" : line);
        return spellings.length;
      };
      await peer.send(client.offer + "\n");
      let variants = await send(first, which === 0);
      if (which === 2) {
        await client.take(await client.line());
        variants = await send(await client.message(), true);
      }
      await assertFails(accepting);
      if (variant + 1 === variants) break;
    }
  }
  for (let variant = 0;; variant++) {
    const { connecting, peer } = withOurClient();
    const server = await NoisePeer.asServer(peer);
    await server.take(await server.line());
    const spellings = otherSpellings(await server.message());
    await peer.send(spellings[variant] + "\n");
    await assertFails(connecting);
    if (variant + 1 === spellings.length) break;
  }
});

Deno.test("a message with anything more or less in it is refused", async () => {
  const spoil = (line: string, change: (bytes: Uint8Array) => Uint8Array) =>
    change(Uint8Array.fromBase64(line.trim())).toBase64() + "\n";
  const changes = [
    (bytes: Uint8Array) => bytes.subarray(0, -1),
    (bytes: Uint8Array) => bytes.subarray(1),
    (bytes: Uint8Array) => Uint8Array.of(...bytes.subarray(1), bytes[0]),
  ];
  for (const change of changes) {
    const { accepting, peer } = withOurServer();
    const client = await NoisePeer.asClient(peer);
    await peer.send(client.offer + "\n" + await client.message());
    await client.take(await client.line());
    await peer.send(spoil(await client.message(), change));
    await assertFails(accepting);

    const ours = withOurClient();
    const server = await NoisePeer.asServer(ours.peer);
    await server.take(await server.line());
    await ours.peer.send(spoil(await server.message(), change));
    await assertFails(ours.connecting);
  }
});

Deno.test("a line that grows too long is refused before it is whole", async () => {
  for (const end of ["", "\n"]) {
    const server = withOurServer();
    await server.peer.send("x".repeat(4_097) + end);
    await assertFails(server.accepting);

    const later = withOurServer();
    await later.peer.send(OFFER + "\n" + "A".repeat(4_097) + end);
    await assertFails(later.accepting);

    const client = withOurClient();
    await client.peer.send("A".repeat(4_097) + end);
    await assertFails(client.connecting);
  }
  const { accepting, peer } = withOurServer();
  await peer.send("x".repeat(4_096));
  assertEquals(await Promise.race([accepting, settle()]), undefined);
  await peer.send("\n");
  await assertRejects(() => accepting, HandshakeError, "secure connections only");
});

Deno.test("a side that leaves in the middle of the handshake is no more than that", async () => {
  for (const said of ["", OFFER, OFFER + "\n", OFFER + "\nAAAA"]) {
    const { accepting, peer } = withOurServer();
    await peer.send(said);
    await peer.closeWrite();
    await assertFails(accepting);
  }
  for (const said of ["", "AAAA"]) {
    const { connecting, peer } = withOurClient();
    await peer.send(said);
    await peer.closeWrite();
    await assertFails(connecting);
  }
});

/** Points that make the shared secret zero whoever multiplies them. RFC 7748, section 6.1, and multiples. */
const SMALL_POINTS = [
  "00".repeat(32),
  "01" + "00".repeat(31),
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

Deno.test("a key that would make the shared secret zero is refused, ephemeral or static, on both sides", async () => {
  const { privateKey } = await generateKeyPair();
  for (const point of SMALL_POINTS) {
    const keys = { privateKey, publicKey: Uint8Array.fromHex(point) };

    const first = withOurServer();
    await first.peer.send(OFFER + "\n" + keys.publicKey.toBase64() + "\n");
    await assertFails(first.accepting);
    assertEquals(first.peer.received.length, 0);

    const second = withOurServer();
    const client = await NoisePeer.asClient(second.peer, { keys });
    await second.peer.send(OFFER + "\n" + await client.message());
    await client.take(await client.line());
    await second.peer.send(await client.message());
    await assertFails(second.accepting);

    const third = withOurClient();
    await third.peer.send(concat([keys.publicKey, new Uint8Array(64)]).toBase64() + "\n");
    await assertFails(third.connecting);

    let isChecked = false;
    const fourth = withOurClient(() => void (isChecked = true));
    const server = await NoisePeer.asServer(fourth.peer, { keys });
    await server.take(await server.line());
    await fourth.peer.send(await server.message());
    await assertFails(fourth.connecting);
    assertEquals(isChecked, false);
  }
});

// Records

Deno.test("a flush becomes as few records as can be, the largest of 65,519 bytes", async () => {
  const { client, server, ends: [end] } = await joined();
  const sizes: [flush: number, records: number[]][] = [
    [1, [1]],
    [MAX_PLAINTEXT, [MAX_PLAINTEXT]],
    [MAX_PLAINTEXT + 1, [MAX_PLAINTEXT, 1]],
    [3 * MAX_PLAINTEXT + 5, [MAX_PLAINTEXT, MAX_PLAINTEXT, MAX_PLAINTEXT, 5]],
  ];
  for (const [flush, records] of sizes) {
    end.writes.length = 0;
    const bytes = manyBytes(flush);
    assertEquals(await pass(client, server, bytes), bytes);
    assertEquals(end.writes.map(({ length }) => length - 2 - 16), records);
    const lengths = end.writes.map(([high, low]) => high * 256 + low);
    assertEquals(lengths, records.map((size) => size + 16));
  }
});

Deno.test("a record is written whole, however little of it is taken at once", async () => {
  const { client, server, ends: [end] } = await joined();
  end.maxWriteBytes = 7;
  const bytes = manyBytes(1_000);
  assertEquals(await pass(client, server, bytes), bytes);
});

Deno.test("records of both sides cross each other", async () => {
  const { client, server } = await joined(slicesOf(1_000), slicesOf(333));
  const [there, back] = [manyBytes(300_000), manyBytes(200_000).reverse()];
  assertEquals(
    await Promise.all([pass(client, server, there), pass(server, client, back)]),
    [there, back],
  );
});

/** A transport of ours, and whoever is at its other end, played by hand. */
async function withRecords(): Promise<{ transport: SecureTransport; peer: NoisePeer<MemoryEnd> }> {
  const [peer, ours] = memoryPair();
  const keys = [0, 1].map(() => crypto.getRandomValues(new Uint8Array(32)));
  const channel = async (sends: number) => ({
    sending: await CipherState.of(keys[sends]),
    receiving: await CipherState.of(keys[1 - sends]),
  });
  return {
    transport: new SecureTransport(ours, await channel(0), new ByteQueue()),
    peer: NoisePeer.withChannel(peer, await channel(1)),
  };
}

/** What can be read until it fails or ends. */
async function readAll(transport: Transport): Promise<[text: string, end: string]> {
  const parts: Uint8Array[] = [];
  try {
    for (;;) {
      const chunk = await within(transport.read(), "bytes, or their end");
      if (chunk === null) return [new TextDecoder().decode(concat(parts)), "end"];
      parts.push(chunk.slice());
    }
  } catch (error) {
    assert(error instanceof ConnectionError, String(error));
    return [new TextDecoder().decode(concat(parts)), error.message];
  }
}

const FAILED = "the secure channel has failed";

Deno.test("an empty record says nothing, and is one all the same", async () => {
  const { transport, peer } = await withRecords();
  await peer.send("");
  await peer.send("one");
  await peer.send("");
  await peer.stream.closeWrite();
  assertEquals(await readAll(transport), ["one", "end"]);
});

Deno.test("a record with no room for its tag is refused", async () => {
  for (let length = 0; length < 16; length++) {
    const { transport, peer } = await withRecords();
    const before = await peer.seal("before");
    await peer.stream.send(concat([before, Uint8Array.of(0, length), new Uint8Array(40)]));
    assertEquals(await readAll(transport), ["before", FAILED]);
  }
});

Deno.test("a cut record is never read, wherever it was cut", async () => {
  const { length } = await (await withRecords()).peer.seal("record");
  for (let kept = 0; kept < length; kept++) {
    const { transport, peer } = await withRecords();
    const [before, record] = [await peer.seal("before"), await peer.seal("record")];
    await peer.stream.send(concat([before, record.subarray(0, kept)]));
    await peer.stream.closeWrite();
    assertEquals(await readAll(transport), ["before", "end"]);
  }
});

Deno.test("a flip anywhere in a record is noticed, and nothing after it is read", async () => {
  const { length } = await (await withRecords()).peer.seal("record");
  for (let bit = 0; bit < length * 8; bit++) {
    const { transport, peer } = await withRecords();
    const record = await peer.seal("record");
    record[bit >> 3] ^= 1 << (bit & 7);
    const after = await peer.seal("after");
    // A length that has grown needs bytes to be seen.
    await peer.stream.send(concat([record, after, new Uint8Array(66_000)]));
    await peer.stream.closeWrite();
    assertEquals(await readAll(transport), ["", FAILED], `bit ${bit}`);
  }
});

Deno.test("records that are repeated, swapped, left out or sent back are refused", async () => {
  const touches: ((records: Bytes[], own: Bytes) => Bytes[])[] = [
    ([a, b]) => [a, a, b],
    ([a, b, c]) => [a, b, a, c],
    ([a, b, c]) => [a, c, b],
    ([a, , c]) => [a, c],
    ([a, b], own) => [a, own, b],
  ];
  const expected = ["a", "ab", "a", "a", "a"];
  for (const [index, touch] of touches.entries()) {
    const { transport, peer } = await withRecords();
    await transport.write(text("b"));
    await settle();
    const own = Uint8Array.from(peer.stream.received);
    const records = [await peer.seal("a"), await peer.seal("b"), await peer.seal("c")];
    await peer.stream.send(...touch(records, own));
    await peer.stream.closeWrite();
    assertEquals(await readAll(transport), [expected[index], FAILED]);
  }
});

Deno.test("a channel that has failed once reads nothing more, whoever asks", async () => {
  const { transport, peer } = await withRecords();
  const touched = await peer.seal("touched");
  touched[5] ^= 1;
  await peer.stream.send(touched, await peer.seal("after"), await peer.seal("much later"));
  for (let time = 0; time < 3; time++) await assertFails(transport.read());
});

Deno.test("a record of another channel between the same two is refused", async () => {
  const [one, other] = [await withRecords(), await withRecords()];
  await one.peer.stream.send(await other.peer.seal("from elsewhere"));
  assertEquals(await readAll(one.transport), ["", FAILED]);
});

/** A cipher that has seen many messages already, and keeps book of its rekeys. */
class OldCipher {
  readonly rekeyedAt: bigint[] = [];
  readonly #cipher: CipherState;
  readonly #earlier: bigint;

  constructor(cipher: CipherState, earlier: bigint) {
    this.#cipher = cipher;
    this.#earlier = earlier;
  }

  get nonce(): bigint {
    return this.#earlier + this.#cipher.nonce;
  }

  encrypt(plaintext: Bytes): Promise<Bytes> {
    return this.#cipher.encrypt(plaintext);
  }

  decrypt(message: Bytes): Promise<Bytes> {
    return this.#cipher.decrypt(message);
  }

  async rekey(): Promise<void> {
    this.rekeyedAt.push(this.nonce);
    await this.#cipher.rekey();
  }
}

Deno.test("both sides go on with another key after 65,536 records, and after as many again", async () => {
  const SECOND = 131_072n;
  for (const boundary of [65_536n, SECOND]) {
    const keys = [0, 1].map(() => crypto.getRandomValues(new Uint8Array(32)));
    const cipher = async (key: Bytes) => new OldCipher(await CipherState.of(key), boundary - 3n);
    const ends = memoryPair();
    const sides = await Promise.all([[0, 1], [1, 0]].map(async ([sends, receives], side) => {
      const channel = {
        sending: await cipher(keys[sends]),
        receiving: await cipher(keys[receives]),
      };
      const transport = new SecureTransport(ends[side], channel as never, new ByteQueue());
      return { transport, fingerprint: "", channel };
    }));
    for (let n = 1; n <= 6; n++) {
      assertEquals(await pass(sides[0], sides[1], text(`there ${n}`)), text(`there ${n}`));
      assertEquals(await pass(sides[1], sides[0], text(`back ${n}`)), text(`back ${n}`));
    }
    for (const { channel } of sides) {
      assertEquals(channel.sending.rekeyedAt, [boundary]);
      assertEquals(channel.receiving.rekeyedAt, [boundary]);
    }
    // The key of before opens what was sent before, and nothing of what came after.
    const old = await CipherState.of(keys[0]);
    for (const [index, record] of ends[0].writes.entries()) {
      const opened = await old.decrypt(Uint8Array.from(record.subarray(2))).catch(() => undefined);
      assertEquals(opened !== undefined, index < 3, `record ${index}`);
    }
  }
});

Deno.test("closing it closes what carries it, and ends a read that waits", async () => {
  const { client, server, ends } = await joined();
  const reading = client.transport.read().catch((error) => error);
  client.transport.close();
  assert(await within(reading, "the end of the read") instanceof Error);
  assertEquals(ends[0].isClosed, true);
  assertEquals(await server.transport.read(), null);
  await assertRejects(() => client.transport.write(text("x")));
});

Deno.test("ending its bytes leaves those of the other side", async () => {
  const { client, server } = await joined();
  await client.transport.closeWrite();
  assertEquals(await server.transport.read(), null);
  assertEquals(await pass(server, client, text("still")), text("still"));
  assertEquals(client.transport.address, "memory");
});
