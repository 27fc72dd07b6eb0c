import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import fc from "fast-check";
import {
  decodeProtectedHeader,
  flattenedDecrypt,
  FlattenedEncrypt,
  importPKCS8,
  importSPKI,
} from "jose";
import { deflateRawSync } from "node:zlib";
import {
  decryptPacket,
  EncryptKeys,
  encryptPacket,
  openPacket,
  type SealedData,
} from "../../crypto.ts";
import { type CryptoError, RequestError } from "../../errors.ts";
import { createPacket, type OutgoingPacket, type Packet } from "../../packet.ts";
import { FakeTime } from "../support/fake_time.ts";
import { assertCannotBeOpened, forge, headerFor, seal } from "../support/forge.ts";
import { ADA, EVE } from "../support/rsa_keys.ts";
import vector from "./vectors/sealed_jwcrypto.json" with { type: "json" };

const FIELDS = ["protected", "encrypted_key", "iv", "ciphertext", "tag"] as const;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** The same keys, which remember nothing. */
function fresh(keys = ADA): Promise<EncryptKeys> {
  return EncryptKeys.import(keys.exportPrivateKey());
}

/** Opens it with keys that have opened nothing else. */
async function open(packet: OutgoingPacket, keys = ADA): Promise<Packet> {
  return await decryptPacket(packet, await fresh(keys));
}

function with_(packet: Packet<SealedData>, changes: object): Packet {
  return { ...packet, data: { ...packet.data, ...changes } };
}

Deno.test("any JSON is opened as it was sealed", async () => {
  const anything = fc.jsonValue();
  await fc.assert(
    fc.asyncProperty(anything, async (data) => {
      const packet = await open(await encryptPacket({ action: "vote", data }, ADA.publicKey));
      assertEquals(JSON.stringify(packet.data), JSON.stringify(data));
    }),
    { numRuns: 40 },
  );
});

Deno.test("text of every kind is opened as it was sealed", async () => {
  for (
    const data of ["", "naïve 🗳", "\0\x1b]0;x\x07\u202e", "\ufeffx", "\ud800", "\u2028", '"\\']
  ) {
    assertEquals(
      (await open(await encryptPacket({ action: "a", data }, ADA.publicKey))).data,
      data,
    );
  }
});

Deno.test("data that was left out is null", async () => {
  assertEquals((await open(await encryptPacket({ action: "a" }, ADA.publicKey))).data, null);
});

Deno.test("a packet of 5 MB is sealed and opened", async () => {
  const data = Array.from({ length: 50_000 }, (_, n) => `${n} `.repeat(20).slice(0, 100));
  const sealed = await encryptPacket({ action: "a", data }, ADA.publicKey);
  assert(sealed.data.ciphertext.length > 5_000_000);
  assertEquals((await open(sealed)).data, data);
});

Deno.test("a packet keeps the time of its making, through whatever hands", async () => {
  const packet = { ...createPacket("vote", "Ada"), "packet-created": Date.now() - 60_000 };
  const sealed = await encryptPacket(packet, ADA.publicKey);
  const passedOn = { ...sealed, "packet-created": 5 };
  assertEquals((await open(passedOn))["packet-created"], packet["packet-created"]);
});

Deno.test("a packet without a usable time is sealed with that of its sealing", async () => {
  for (const time of [undefined, 0, -1, 1.5, NaN, "now", null]) {
    const before = Date.now();
    const packet = { action: "vote", data: "Ada", "packet-created": time };
    const opened = await open(await encryptPacket(packet, ADA.publicKey));
    assert(opened["packet-created"] >= before && opened["packet-created"] <= Date.now(), `${time}`);
  }
});

Deno.test("what is sealed is the data alone: no token, and nothing else of the packet", async () => {
  const packet = { ...createPacket("vote", { for: "Ada" }), token: "SECRET", note: "SECRET" };
  const sealed = await encryptPacket(packet, ADA.publicKey);
  assertEquals(Object.keys(sealed).toSorted(), ["action", "data", "packet-created", "token"]);
  assertEquals(Object.keys(sealed.data), [...FIELDS]);
  assertEquals([sealed.action, sealed.token], ["vote", null]);
  assertFalse(JSON.stringify(sealed).includes("SECRET"));
  assertFalse(JSON.stringify(decodeProtectedHeader(sealed.data)).includes("SECRET"));
  const key = await importPKCS8(ADA.exportPrivateKey(), "RSA-OAEP-256");
  const { plaintext } = await flattenedDecrypt({ ...sealed.data }, key);
  assertEquals(new TextDecoder().decode(plaintext), '{"for":"Ada"}');
  assertEquals(
    Object.entries(await open({ ...sealed, token: "SECRET" } as Packet)),
    Object.entries({
      action: "vote",
      data: { for: "Ada" },
      "packet-created": packet["packet-created"],
      token: null,
    }),
  );
});

Deno.test("the header says what it should, and no more", async () => {
  const packet = createPacket("vote", "Ada");
  const { data } = await encryptPacket(packet, ADA.publicKey);
  const { jti, ...header } = decodeProtectedHeader(data) as Record<string, unknown>;
  assertEquals(header, {
    alg: "RSA-OAEP-256",
    enc: "A256GCM",
    kid: ADA.fingerprint,
    action: "vote",
    created: packet["packet-created"],
  });
  assertMatch(jti as string, /^[0-9a-f-]{36}$/);
});

Deno.test("the same packet is never sealed the same way again", async () => {
  const packet = createPacket("vote", "Ada");
  const [one, two] = [
    await encryptPacket(packet, ADA.publicKey),
    await encryptPacket(packet, ADA.publicKey),
  ];
  for (const field of FIELDS) assertNotEquals(one.data[field], two.data[field]);
});

Deno.test("what is sealed here is opened by jose itself", async () => {
  const sealed = await encryptPacket({ action: "vote", data: { for: "Ada" } }, ADA.publicKey);
  const raw = JSON.parse(JSON.stringify(sealed.data));
  const key = await importPKCS8(ADA.exportPrivateKey(), "RSA-OAEP-256");
  const { plaintext, protectedHeader } = await flattenedDecrypt(raw, key);
  assertEquals(JSON.parse(new TextDecoder().decode(plaintext)), { for: "Ada" });
  assertEquals((protectedHeader as Record<string, unknown>).action, "vote");
});

Deno.test("what jose itself seals is opened here", async () => {
  const raw = await new FlattenedEncrypt(new TextEncoder().encode('{"for":"Ada"}'))
    .setProtectedHeader({ ...headerFor(ADA), alg: "RSA-OAEP-256", enc: "A256GCM" })
    .encrypt(await importSPKI(ADA.publicKey, "RSA-OAEP-256"));
  const packet = JSON.parse(JSON.stringify({ action: "vote", data: raw }));
  assertEquals((await open(packet)).data, { for: "Ada" });
});

Deno.test("what an implementation in another language has sealed is opened here", async () => {
  const keys = await EncryptKeys.import(vector.privateKey);
  assertEquals(keys.fingerprint, vector.fingerprint);
  assertEquals(keys.publicKey.replaceAll(/\s/g, ""), vector.publicKey.replaceAll(/\s/g, ""));
  const opened = await decryptPacket(vector.packet, keys, { maxAgeMs: false });
  assertEquals(opened.data, vector.data);
  assertEquals(opened["packet-created"], vector.created);
});

Deno.test("what is made by hand from the platform's primitives is opened", async () => {
  assertEquals((await open(await forge(ADA))).data, "Ada");
});

Deno.test("no character of any field can be changed", async () => {
  // So short that every place can be tried.
  const packet = await encryptPacket({ action: "vote", data: "Ada" }, ADA.publicKey);
  await Promise.all(FIELDS.map(async (field) => {
    const text = packet.data[field];
    for (let at = 0; at < text.length; at++) {
      // The next one but one differs in bits that count, or in spare ones alone.
      for (const step of at === text.length - 1 ? [1, 2, 4, 16, 32] : [1]) {
        const other = ALPHABET[ALPHABET.indexOf(text[at]) ^ step];
        const changed = text.slice(0, at) + other + text.slice(at + 1);
        await assertCannotBeOpened(open(with_(packet, { [field]: changed })), `${field} ${at}`);
      }
    }
  }));
});

Deno.test("no field can be cut, padded, doubled, emptied, left out or made something else", async () => {
  const packet = await encryptPacket({ action: "vote", data: "Ada Ada" }, ADA.publicKey);
  for (const field of FIELDS) {
    const text = packet.data[field];
    const others: unknown[] = [
      "",
      text.slice(1),
      text.slice(0, -1),
      text.slice(0, -2),
      text.slice(0, -4),
      text + text,
      text + "A",
      text + "AA",
      text + "AAAA",
      text + "=",
      text + "==",
      " " + text,
      text + "\n",
      text.slice(0, 4) + " " + text.slice(4),
      text.slice(0, 4) + "+" + text.slice(5),
      text.slice(0, 4) + "/" + text.slice(5),
      text.slice(0, 4) + "é" + text.slice(5),
      undefined,
      null,
      5,
      [text],
      { text },
    ];
    for (const other of others) {
      await assertCannotBeOpened(open(with_(packet, { [field]: other })), `${field} ${other}`);
    }
  }
});

Deno.test("no field of one packet opens in another", async () => {
  const one = await encryptPacket({ action: "vote", data: "Ada" }, ADA.publicKey);
  const two = await encryptPacket({ action: "vote", data: "Eve" }, ADA.publicKey);
  for (const field of FIELDS) {
    await assertCannotBeOpened(open(with_(one, { [field]: two.data[field] })), field);
  }
  await assertCannotBeOpened(
    open(with_(one, { ciphertext: two.data.ciphertext, tag: two.data.tag })),
  );
});

Deno.test("a header that names another algorithm, none, a compression or a condition is refused", async () => {
  const changes: Record<string, unknown>[] = [
    { alg: "RSA1_5" },
    { alg: "RSA-OAEP" },
    { alg: "RSA-OAEP-512" },
    { alg: "dir" },
    { alg: "none" },
    { alg: "rsa-oaep-256" },
    { alg: ["RSA-OAEP-256"] },
    { alg: null },
    { alg: undefined },
    { enc: "A128GCM" },
    { enc: "A256CBC-HS512" },
    { enc: "none" },
    { enc: undefined },
    { zip: "DEF" },
    { zip: "none" },
    { zip: null },
    { crit: ["exp"], exp: 1 },
    { crit: [] },
    { crit: null },
    { kid: EVE.fingerprint },
    { kid: undefined },
    { kid: 5 },
    { action: "move" },
    { action: "Vote" },
    { action: undefined },
    { created: undefined },
    { created: String(Date.now()) },
    { created: Date.now() + 0.5 },
    { created: null },
    { jti: undefined },
    { jti: "" },
    { jti: 5 },
    { jti: "x".repeat(65) },
  ];
  for (const change of changes) {
    await assertCannotBeOpened(open(await forge(ADA, change)), JSON.stringify(change));
  }
  const compressed = new Uint8Array(deflateRawSync('"Ada"'));
  await assertCannotBeOpened(open(await forge(ADA, { zip: "DEF" }, compressed)));
  assertEquals((await open(await forge(ADA, { jti: "x".repeat(64) }))).data, "Ada");
  assertEquals((await open(await forge(ADA, { unknown: true }))).data, "Ada");
});

Deno.test("a header that is no JSON object is refused", async () => {
  const content = new TextEncoder().encode('"Ada"');
  const good = JSON.stringify(headerFor(ADA));
  for (const header of ["", "null", "[]", "5", '"x"', "{", good.slice(0, -1), `[${good}]`]) {
    const data = header === ""
      ? { ...await seal(ADA, "{}", content), protected: "" }
      : await seal(ADA, header, content);
    await assertCannotBeOpened(open({ action: "vote", data }), header);
  }
});

Deno.test("what stands unprotected beside the fields is not looked at", async () => {
  const packet = await forge(ADA);
  const beside = { header: { alg: "none", kid: "x", zip: "DEF" }, unprotected: { alg: "dir" } };
  assertEquals((await open(with_(packet, beside))).data, "Ada");
  for (const name of ["alg", "enc", "kid", "action", "created", "jti"]) {
    const { [name]: value } = headerFor(ADA);
    const moved = await forge(ADA, { [name]: undefined });
    await assertCannotBeOpened(open(with_(moved, { header: { [name]: value } })), name);
  }
});

Deno.test("a JWE with additional data of its own is refused", async () => {
  const raw = await new FlattenedEncrypt(new TextEncoder().encode('"Ada"'))
    .setProtectedHeader({ ...headerFor(ADA), alg: "RSA-OAEP-256", enc: "A256GCM" })
    .setAdditionalAuthenticatedData(new TextEncoder().encode("more"))
    .encrypt(await importSPKI(ADA.publicKey, "RSA-OAEP-256"));
  await assertCannotBeOpened(open({ action: "vote", data: raw }));
});

Deno.test("what jose seals with other algorithms is refused", async () => {
  for (const [alg, enc] of [["RSA-OAEP", "A256GCM"], ["RSA-OAEP-256", "A128GCM"]]) {
    const raw = await new FlattenedEncrypt(new TextEncoder().encode('"Ada"'))
      .setProtectedHeader({ ...headerFor(ADA), alg, enc })
      .encrypt(await importSPKI(ADA.publicKey, alg));
    await assertCannotBeOpened(open({ action: "vote", data: raw }), `${alg} ${enc}`);
  }
});

Deno.test("only who it was sealed for can open it", async () => {
  const packet = await encryptPacket({ action: "vote", data: "Ada" }, ADA.publicKey);
  await assertCannotBeOpened(open(packet, EVE));
  // Nor does it help to claim that it was sealed for another one.
  const claimed = await forge(ADA, { kid: EVE.fingerprint });
  await assertCannotBeOpened(open(claimed, EVE));
});

Deno.test("a packet that was given another action is not opened", async () => {
  const packet = await encryptPacket({ action: "vote", data: "Ada" }, ADA.publicKey);
  await assertCannotBeOpened(open({ ...packet, action: "move" }));
});

Deno.test("what is sealed must be JSON in UTF-8, and no deeper than a packet may be", async () => {
  const contents: (string | Uint8Array<ArrayBuffer>)[] = [
    "",
    "{",
    "undefined",
    "NaN",
    "\ufeff1",
    Uint8Array.of(0x22, 0xff, 0x22),
    "[".repeat(3_000) + "]".repeat(3_000),
    "[".repeat(1_000_000),
  ];
  for (const content of contents) await assertCannotBeOpened(open(await forge(ADA, {}, content)));
});

Deno.test("what is not sealed cannot be opened", async () => {
  const packets: unknown[] = [null, undefined, 5, {}, { action: "vote" }];
  for (const data of [null, "x", 5, [], {}, { protected: "x" }]) {
    packets.push({ action: "vote", data });
  }
  for (const packet of packets) await assertCannotBeOpened(open(packet as Packet));
});

Deno.test("a packet that is old, or from the future, is refused", async () => {
  const ages: [ageMs: number, maxAgeMs: number | false | undefined, isOpened: boolean][] = [
    [299_000, undefined, true],
    [301_000, undefined, false],
    [-299_000, undefined, true],
    [-301_000, undefined, false],
    [3_000, 5_000, true],
    [6_000, 5_000, false],
    [-6_000, 5_000, false],
    [1_000, 0, false],
    [3_600_000, 7_200_000, true],
    [Date.now(), false, true],
    [-1e12, false, true],
  ];
  for (const [ageMs, maxAgeMs, isOpened] of ages) {
    const packet = await forge(ADA, { created: Date.now() - ageMs });
    const opening = decryptPacket(packet, await fresh(), { maxAgeMs });
    if (isOpened) assertEquals((await opening).data, "Ada");
    else await assertCannotBeOpened(opening, `${ageMs} ${maxAgeMs}`);
  }
});

Deno.test("a packet is opened once, unless it is said to be all right", async () => {
  const keys = await fresh();
  const packet = await encryptPacket({ action: "vote", data: "Ada" }, keys.publicKey);
  assertEquals((await decryptPacket(packet, keys)).data, "Ada");
  for (const maxAgeMs of [undefined, false, 1_000_000] as const) {
    await assertCannotBeOpened(decryptPacket(packet, keys, { maxAgeMs }));
  }
  assertEquals((await decryptPacket(packet, keys, { allowReplay: true })).data, "Ada");
  await assertCannotBeOpened(decryptPacket(packet, keys));
});

Deno.test("opening with replays allowed uses nothing up", async () => {
  const keys = await fresh();
  const packet = await encryptPacket({ action: "vote", data: "Ada" }, keys.publicKey);
  for (let time = 0; time < 3; time++) await decryptPacket(packet, keys, { allowReplay: true });
  assertEquals((await decryptPacket(packet, keys)).data, "Ada");
});

Deno.test("of one packet that comes twice at once, one is opened", async () => {
  const keys = await fresh();
  const packet = await encryptPacket({ action: "vote", data: "Ada" }, keys.publicKey);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 5 }, () => decryptPacket(packet, keys)),
  );
  assertEquals(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") await assertCannotBeOpened(Promise.reject(outcome.reason));
  }
});

Deno.test("a forgery does not use up the packet that it was made from", async () => {
  const keys = await fresh();
  const packet = await encryptPacket({ action: "vote", data: "Ada" }, keys.publicKey);
  const tag = "A".repeat(21) + "A";
  await assertCannotBeOpened(decryptPacket(with_(packet, { tag }), keys));
  assertEquals((await decryptPacket(packet, keys)).data, "Ada");
});

Deno.test("a flood is refused, costs no more RSA than it may, and passes: then honest ones are opened", async () => {
  const keys = await fresh();
  const flood = await forge(keys);
  flood.data.tag = "A".repeat(22);
  const honest = await encryptPacket({ action: "vote", data: "Ada" }, keys.publicKey);
  using time = new FakeTime();
  time.now = performance.timeOrigin;
  const codes = new Map<string, number>();
  await Promise.all(Array.from({ length: 400 }, async () => {
    const error = await assertRejects(() => decryptPacket(flood, keys));
    const { code } = error as CryptoError;
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }));
  assertEquals(codes, new Map([["OVERLOADED", 300], ["DECRYPT_FAILED", 100]]));
  const refusal = await assertRejects(() => decryptPacket(honest, keys), RequestError);
  assertEquals(refusal.code, "OVERLOADED");
  time.advance(10);
  assertEquals((await decryptPacket(honest, keys)).data, "Ada");
});

Deno.test("what can be refused without RSA does not count", async () => {
  const keys = await fresh();
  const honest = await encryptPacket({ action: "vote", data: "Ada" }, keys.publicKey);
  using _time = new FakeTime();
  const changes = [{ alg: "dir" }, { enc: "A128GCM" }, { crit: ["x"] }, { kid: "x" }, {
    created: 1,
  }];
  const forged = await Promise.all(changes.map((change) => forge(keys, change)));
  for (let count = 0; count < 200; count++) {
    await assertCannotBeOpened(decryptPacket({ ...honest, action: "move" }, keys));
    for (const packet of forged) await assertCannotBeOpened(decryptPacket(packet, keys));
  }
  assertEquals((await decryptPacket(honest, keys)).data, "Ada");
  for (let count = 0; count < 1_000; count++) {
    await assertCannotBeOpened(decryptPacket(honest, keys));
  }
  const next = await encryptPacket({ action: "vote", data: "Eve" }, keys.publicKey);
  assertEquals((await decryptPacket(next, keys)).data, "Eve");
});

Deno.test("those that may wait are opened one after the other, at the rate; not after half a minute", async () => {
  const keys = await fresh();
  const packet = await encryptPacket({ action: "vote", data: "Ada" }, keys.publicKey);
  using _time = new FakeTime();
  const waits: number[] = [];
  const wait = (ms: number) => {
    waits.push(Math.round(ms));
    return ms < 100 ? Promise.resolve() : Promise.reject(new Error("it was called off"));
  };
  const outcomes = await Promise.allSettled(
    Array.from(
      { length: 3_200 },
      () => openPacket(packet, keys, { allowReplay: true }, wait),
    ),
  );
  const codes = outcomes.map((one) => one.status === "fulfilled" ? "opened" : one.reason.code);
  const count = (code: string) => codes.filter((one) => one === code).length;
  assertEquals(count("opened"), 109);
  assertEquals(count("DECRYPT_FAILED"), 2_991);
  assertEquals(count("OVERLOADED"), 100);
  assertEquals(waits, Array.from({ length: 3_000 }, (_, n) => (n + 1) * 10));
});

Deno.test("what cannot be sealed or opened by mistake is said to be a mistake", async () => {
  const packet = await encryptPacket({ action: "vote", data: "Ada" }, ADA.publicKey);
  const wrong: unknown[] = [undefined, null, {}, ADA.publicKey, ADA.exportPrivateKey()];
  for (const keys of wrong) {
    await assertRejects(
      () => decryptPacket(packet, keys as EncryptKeys),
      TypeError,
      "keys must be",
    );
  }
  for (const options of [null, 5, { maxAgeMs: "5" }, { allowReplay: 1 }, { allowReplay: null }]) {
    await assertRejects(() => decryptPacket(packet, ADA, options as object), TypeError, "must be");
  }
  for (const maxAgeMs of [NaN, -1, Infinity]) {
    await assertRejects(() => decryptPacket(packet, ADA, { maxAgeMs }), RangeError, "maxAgeMs");
  }
  for (const data of [undefined, 1n, () => {}, NaN, new Map(), new Uint8Array(1)]) {
    await assertRejects(
      () => encryptPacket({ action: "a", data }, ADA.publicKey),
      TypeError,
      "data",
    );
  }
  for (const action of ["", "@secure", 5, "x".repeat(129)]) {
    const odd = { action: action as string, data: 1 };
    await assertRejects(() => encryptPacket(odd, ADA.publicKey), TypeError, "action");
  }
});
