import { assertEquals, assertRejects } from "@std/assert";
import {
  type Bytes,
  CipherState,
  generateKeyPair,
  type HandshakeOptions,
  type KeyPair,
  NoiseError,
  NoiseHandshake,
  type Pattern,
  XX,
} from "../../noise.ts";
import cacophony from "./vectors/noise_cacophony.json" with { type: "json" };

/** Every pattern that the tokens can express, of those that public vectors exist for. */
const PATTERNS: Record<string, Pattern> = {
  NN: [["e"], ["e", "ee"]],
  NX: [["e"], ["e", "ee", "s", "es"]],
  NX1: [["e"], ["e", "ee", "s"], ["es"]],
  XN: [["e"], ["e", "ee"], ["s", "se"]],
  X1N: [["e"], ["e", "ee"], ["s"], ["se"]],
  XX,
  X1X: [["e"], ["e", "ee", "s", "es"], ["s"], ["se"]],
  XX1: [["e"], ["e", "ee", "s"], ["es", "s", "se"]],
  X1X1: [["e"], ["e", "ee", "s"], ["es", "s"], ["se"]],
  IN: [["e", "s"], ["e", "ee", "se"]],
  I1N: [["e", "s"], ["e", "ee"], ["se"]],
  IX: [["e", "s"], ["e", "ee", "se", "s", "es"]],
  I1X: [["e", "s"], ["e", "ee", "s", "es"], ["se"]],
  IX1: [["e", "s"], ["e", "ee", "se", "s"], ["es"]],
  I1X1: [["e", "s"], ["e", "ee", "s"], ["se", "es"]],
};

interface Vector {
  protocol_name: string;
  init_prologue: string;
  init_ephemeral: string;
  init_static?: string;
  resp_prologue: string;
  resp_ephemeral: string;
  resp_static?: string;
  handshake_hash: string;
  messages: { payload: string; ciphertext: string }[];
}

function bytesOf(hex: string): Bytes {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

function hexOf(bytes: Bytes): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A key pair from the 32 bytes of its private key. */
async function keyPairOf(hex: string): Promise<KeyPair> {
  const pkcs8 = bytesOf("302e020100300506032b656e04220420" + hex);
  const usages: KeyUsage[] = ["deriveBits"];
  const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, "X25519", true, usages);
  const { x } = await crypto.subtle.exportKey("jwk", privateKey);
  const base64 = x!.replaceAll("-", "+").replaceAll("_", "/");
  return { publicKey: Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)), privateKey };
}

for (const vector of cacophony.vectors as Vector[]) {
  const name = vector.protocol_name;
  Deno.test(`${name} agrees with the public vector`, async () => {
    const pattern = PATTERNS[name.split("_")[1]];
    const side = async (role: "init" | "resp"): Promise<NoiseHandshake> => {
      const ownStatic = vector[`${role}_static`];
      const options: HandshakeOptions = {
        protocolName: name,
        pattern,
        isInitiator: role === "init",
        prologue: bytesOf(vector[`${role}_prologue`]),
        ephemeral: await keyPairOf(vector[`${role}_ephemeral`]),
        static: ownStatic === undefined ? undefined : await keyPairOf(ownStatic),
      };
      return await NoiseHandshake.begin(options);
    };
    const [initiator, responder] = [await side("init"), await side("resp")];
    const [handshake, transport] = [
      vector.messages.slice(0, pattern.length),
      vector.messages.slice(pattern.length),
    ];
    for (const [index, { payload, ciphertext }] of handshake.entries()) {
      const [writer, reader] = index % 2 === 0 ? [initiator, responder] : [responder, initiator];
      const message = await writer.write(bytesOf(payload));
      assertEquals(hexOf(message), ciphertext);
      assertEquals(hexOf(await reader.read(message)), payload);
    }
    assertEquals([initiator.isComplete, responder.isComplete], [true, true]);
    assertEquals(hexOf(initiator.hash), vector.handshake_hash);
    assertEquals(hexOf(responder.hash), vector.handshake_hash);
    const channels = [await initiator.split(), await responder.split()];
    for (const [index, { payload, ciphertext }] of transport.entries()) {
      const writer = (pattern.length + index) % 2;
      const message = await channels[writer].sending.encrypt(bytesOf(payload));
      assertEquals(hexOf(message), ciphertext);
      assertEquals(hexOf(await channels[1 - writer].receiving.decrypt(message)), payload);
    }
  });
}

/** Two sides of an XX handshake. */
async function twoSides(): Promise<[initiator: NoiseHandshake, responder: NoiseHandshake]> {
  const begin = async (isInitiator: boolean, prologue = "said before") =>
    await NoiseHandshake.begin({
      protocolName: "Noise_XX_25519_AESGCM_SHA256",
      pattern: XX,
      isInitiator,
      prologue: new TextEncoder().encode(prologue),
      static: await generateKeyPair(),
    });
  return [await begin(true), await begin(false)];
}

Deno.test("every flipped bit of a handshake message is noticed by the end of the handshake", async () => {
  for (let message = 0; message < XX.length; message++) {
    const length = [32, 96, 64][message];
    for (let byte = 0; byte < length; byte++) {
      const sides = await twoSides();
      const exchange = async () => {
        for (let index = 0; index < XX.length; index++) {
          const bytes = await sides[index % 2].write();
          assertEquals(bytes.length, [32, 96, 64][index]);
          // The top bit of a public key is the one that X25519 ignores.
          if (index === message) bytes[byte] ^= 1;
          await sides[1 - index % 2].read(bytes);
        }
      };
      await assertRejects(exchange, NoiseError);
    }
  }
});

Deno.test("a key that makes the shared secret zero is refused", async () => {
  // The points of small order that are canonical: RFC 7748, section 6.1.
  const small = ["00".repeat(32), "01" + "00".repeat(31)];
  for (const hex of small) {
    const [, responder] = await twoSides();
    const read = async () => {
      await responder.read(bytesOf(hex));
      await responder.write();
    };
    await assertRejects(read, NoiseError);
  }
});

Deno.test("messages out of turn, cut short, or after the end are refused", async () => {
  const [initiator, responder] = await twoSides();
  await assertRejects(() => responder.write(), NoiseError);
  const first = await initiator.write();
  await assertRejects(() => initiator.write(), NoiseError);
  const [, other] = await twoSides();
  await assertRejects(() => other.read(first.slice(0, 31)), NoiseError);
  await responder.read(first);
  await initiator.read(await responder.write());
  await responder.read(await initiator.write());
  await assertRejects(() => initiator.write(), NoiseError);
  await assertRejects(() => responder.read(first), NoiseError);
});

Deno.test("records are read once, in order, and by the other side alone", async () => {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const [sending, receiving] = [await CipherState.of(key), await CipherState.of(key)];
  const one = await sending.encrypt(new TextEncoder().encode("one"));
  const two = await sending.encrypt(new TextEncoder().encode("two"));
  await assertRejects(() => receiving.decrypt(two), NoiseError);
  const again = await CipherState.of(key);
  assertEquals(new TextDecoder().decode(await again.decrypt(one)), "one");
  await assertRejects(() => again.decrypt(one), NoiseError);
});

Deno.test("after a rekey both sides go on, and the old key opens nothing more", async () => {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const [sending, receiving, old] = [
    await CipherState.of(key),
    await CipherState.of(key),
    await CipherState.of(key),
  ];
  await sending.rekey();
  await receiving.rekey();
  const message = await sending.encrypt(new TextEncoder().encode("new"));
  await assertRejects(() => old.decrypt(message), NoiseError);
  assertEquals(new TextDecoder().decode(await receiving.decrypt(message)), "new");
});
