import {
  assertEquals,
  assertFalse,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { createIdentity, fingerprintOf, Identity, isFingerprint, keysOf } from "../../identity.ts";
import { bytes } from "../support/bytes.ts";
import vector from "./vectors/identity_openssl.json" with { type: "json" };

const PEM = /^-----BEGIN PRIVATE KEY-----\n([A-Za-z0-9+/=]+)\n-----END PRIVATE KEY-----\n$/;

/** Everything that is secret of an identity, in the ways that bytes are written. */
async function secretsOf(identity: Identity): Promise<string[]> {
  const pkcs8 = Uint8Array.fromBase64(PEM.exec(await identity.export())![1]);
  const privateKey = pkcs8.slice(-32);
  return [
    pkcs8.toBase64(),
    privateKey.toBase64(),
    privateKey.toBase64({ alphabet: "base64url", omitPadding: true }),
    privateKey.toHex(),
    privateKey.join(","),
  ];
}

Deno.test("an identity that is exported and imported is the same", async () => {
  const identity = await createIdentity();
  const pem = await identity.export();
  assertMatch(pem, PEM);
  const again = await Identity.import(pem);
  assertEquals(again.fingerprint, identity.fingerprint);
  assertEquals(keysOf(again).publicKey, keysOf(identity).publicKey);
  assertEquals(await again.export(), pem);
});

Deno.test("each identity is another one", async () => {
  const [one, other] = [await createIdentity(), await createIdentity()];
  assertNotEquals(one.fingerprint, other.fingerprint);
  assertNotEquals(await one.export(), await other.export());
});

Deno.test("a key that openssl has made is read, and has the fingerprint that openssl computes", async () => {
  const identity = await Identity.import(vector.identity);
  assertEquals(keysOf(identity).publicKey.toBase64(), vector.publicKey);
  assertEquals(identity.fingerprint, vector.fingerprint);
  assertEquals(await identity.export(), vector.identity);
});

Deno.test("the text of a key may be broken into lines of any length, of any system", async () => {
  const [begin, base64, end] = vector.identity.trim().split("\n");
  const lines = base64.match(/.{1,16}/g)!;
  for (const text of [[begin, ...lines, end], [begin, "", base64, "", end, ""]]) {
    for (const newline of ["\n", "\r\n"]) {
      const identity = await Identity.import(text.join(newline));
      assertEquals(identity.fingerprint, vector.fingerprint);
    }
  }
});

const [BEGIN, BASE64, END] = vector.identity.trim().split("\n");
const der = Uint8Array.fromBase64(BASE64);

function pemOf(der: Uint8Array): string {
  return `${BEGIN}\n${der.toBase64()}\n${END}\n`;
}

const NO_IDENTITIES: Record<string, unknown> = {
  ...Object.fromEntries(
    Object.entries(vector.others).map(([kind, pem]) => [`a key of another kind: ${kind}`, pem]),
  ),
  "nothing": undefined,
  "no text": der,
  "an empty text": "",
  "a path": "identity.pem",
  "its base64 alone": BASE64,
  "a text around it": `my key:\n${vector.identity}`,
  "a text after it": vector.identity + "that is all",
  "two of them": vector.identity + vector.identity,
  "its ends swapped": `${END}\n${BASE64}\n${BEGIN}\n`,
  "another label": vector.identity.replaceAll("PRIVATE", "SECRET"),
  "no end": `${BEGIN}\n${BASE64}\n`,
  "no key between its ends": `${BEGIN}\n${END}\n`,
  "base64 that is none": `${BEGIN}\n${BASE64.slice(0, -1)}\n${END}\n`,
  "base64 for URLs": `${BEGIN}\n${BASE64.replaceAll("+", "-")}\n${END}\n`,
  "a byte too few": pemOf(der.slice(0, -1)),
  "a byte too many": pemOf(bytes(...der, 0)),
  "its halves swapped": pemOf(bytes(...der.slice(24), ...der.slice(0, 24))),
  "a wrong length inside": pemOf(der.map((byte, index) => index === 1 ? byte + 1 : byte)),
  "the private bytes alone": pemOf(der.slice(-32)),
};

for (const [what, text] of Object.entries(NO_IDENTITIES)) {
  Deno.test(`no identity is made of ${what}, and the error does not quote it`, async () => {
    const error = await assertRejects(() => Identity.import(text as string), TypeError);
    assertEquals(
      error.message,
      "An identity must be a private key of X25519 in PKCS #8, as PEM",
    );
    assertEquals(error.cause, undefined);
  });
}

Deno.test("nothing of an identity that can be printed, copied or sent holds its private key", async () => {
  const identity = await createIdentity();
  const secrets = await secretsOf(identity);
  const shown = [
    Deno.inspect(identity, { showHidden: true, getters: true, depth: 9 }),
    Deno.inspect({ ...identity }, { showHidden: true, depth: 9 }),
    Deno.inspect(structuredClone(identity), { showHidden: true, depth: 9 }),
    Deno.inspect(Object.getOwnPropertyDescriptors(identity), { depth: 9 }),
    JSON.stringify(identity),
    JSON.stringify({ ...identity }),
    String(identity),
  ];
  for (const text of shown) {
    for (const secret of secrets) assertFalse(text.includes(secret));
    assertFalse(text.includes("CryptoKey"));
  }
  assertEquals(Reflect.ownKeys(identity), ["fingerprint"]);
  assertEquals(JSON.stringify(identity), `{"fingerprint":"${identity.fingerprint}"}`);
  assertEquals(Deno.inspect(identity), `Identity { fingerprint: "${identity.fingerprint}" }`);
});

Deno.test("a fingerprint is pnet1: and the SHA-256 of the public key in base64url", async () => {
  const publicKey = Uint8Array.fromBase64(vector.publicKey);
  assertEquals(await fingerprintOf(publicKey), vector.fingerprint);
  assertEquals((await createIdentity()).fingerprint.length, "pnet1:".length + 43);
});

Deno.test("what is no fingerprint is told from one that is", () => {
  const { fingerprint } = vector;
  assertEquals(isFingerprint(fingerprint), true);
  const others = [
    undefined,
    null,
    [fingerprint],
    "",
    "pnet1:",
    fingerprint.slice(0, -1),
    fingerprint + "A",
    fingerprint + "\n",
    " " + fingerprint,
    fingerprint.replace("pnet1", "pnet2"),
    fingerprint.replace("pnet1", "PNET1"),
    fingerprint.replace("pnet1", "rsa1"),
    fingerprint.replace("_", "/"),
    fingerprint.slice(0, -1) + "=",
  ];
  for (const other of others) assertEquals(isFingerprint(other), false, Deno.inspect(other));
});
