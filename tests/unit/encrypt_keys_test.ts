import {
  assert,
  assertEquals,
  assertFalse,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { importPKCS8, importSPKI } from "jose";
import { inspect } from "node:util";
import {
  createEncryptKeys,
  decryptPacket,
  EncryptKeys,
  encryptPacket,
  keyFingerprint,
} from "../../crypto.ts";
import { Client, Server } from "../../mod.ts";
import { Logs } from "../support/logs.ts";
import { EVE } from "../support/rsa_keys.ts";
import { settle } from "../support/wait.ts";

const ADA = await createEncryptKeys({ bits: 2_048 });

type Usage = "encrypt" | "decrypt" | "sign" | "deriveBits";

function pem(label: string, der: ArrayBuffer | Uint8Array<ArrayBuffer>): string {
  const base64 = new Uint8Array(der).toBase64().replaceAll(/.{64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----`;
}

function derOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(text.replaceAll(/-----.*-----|\s/g, ""));
}

/** A key pair of any kind, as PEM. */
async function pairOf(
  algorithm: RsaHashedKeyGenParams | EcKeyGenParams | { name: "X25519" },
  usages: Usage[],
): Promise<{ publicKey: string; privateKey: string }> {
  const pair = await crypto.subtle.generateKey(algorithm, true, usages) as CryptoKeyPair;
  return {
    publicKey: pem("PUBLIC KEY", await crypto.subtle.exportKey("spki", pair.publicKey)),
    privateKey: pem("PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", pair.privateKey)),
  };
}

function rsa(modulusLength: number): Promise<{
  publicKey: string;
  privateKey: string;
}> {
  const publicExponent = Uint8Array.of(1, 0, 1);
  const algorithm = { name: "RSA-OAEP", hash: "SHA-256", modulusLength, publicExponent };
  return pairOf(algorithm, ["encrypt", "decrypt"]);
}

/** Each line of a private key, and other ways to write the same. */
function secretsOf(keys: EncryptKeys): string[] {
  const text = keys.exportPrivateKey();
  const lines = text.split("\n").filter((line) => line.length === 64);
  assertLess(20, lines.length);
  const der = derOf(text);
  return [...lines, der.toHex().slice(200, 264), der.toBase64({ alphabet: "base64url" })];
}

/** Runs something on a directory that is gone afterwards. */
async function inDirectory(act: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir();
  try {
    await act(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

Deno.test("keys are of 3,072 bits, or as many as are asked for", async () => {
  for (const [options, bits] of [[{}, 3_072], [{ bits: 2_048 }, 2_048], [{ bits: 2_056 }, 2_056]]) {
    const keys = await createEncryptKeys(options as object);
    const { algorithm } = await importSPKI(keys.publicKey, "RSA-OAEP-256");
    assertEquals((algorithm as RsaHashedKeyAlgorithm).modulusLength, bits);
    assertEquals([...(algorithm as RsaHashedKeyAlgorithm).publicExponent], [1, 0, 1]);
  }
});

Deno.test("keys that are too short, too long or of an odd length are not made", async () => {
  for (const bits of [0, 1_024, 2_047, 2_049, 8_200, 65_536, NaN, "2048", null]) {
    await assertRejects(
      () => createEncryptKeys({ bits: bits as number }),
      RangeError,
      "bits must be a multiple of 8 from 2048 to 8192",
    );
  }
  for (const options of [null, 5, { path: 5 }, { path: null }]) {
    await assertRejects(() => createEncryptKeys(options as object), TypeError, "must be");
  }
});

Deno.test("making keys does not stop the event loop for long", async () => {
  let longestGapMs = 0;
  let turns = 0;
  let isMade = false;
  const start = performance.now();
  const making = createEncryptKeys().finally(() => isMade = true);
  for (let last = start; !isMade; turns++) {
    await settle();
    const now = performance.now();
    longestGapMs = Math.max(longestGapMs, now - last);
    last = now;
  }
  await making;
  const tookMs = performance.now() - start;
  // Others may use this machine: the gap is judged by how long it took in all.
  assertLess(longestGapMs, Math.max(50, tookMs / 4), `${longestGapMs} of ${tookMs} ms`);
  assertLess(10, turns);
});

Deno.test("keys are the same again after export and import", async () => {
  const again = await EncryptKeys.import(ADA.exportPrivateKey());
  assertEquals([again.publicKey, again.fingerprint], [ADA.publicKey, ADA.fingerprint]);
  assertEquals(again.exportPrivateKey(), ADA.exportPrivateKey());
  const sealed = await encryptPacket({ action: "a", data: 1 }, ADA.publicKey);
  assertEquals((await decryptPacket(sealed, again)).data, 1);
});

Deno.test("keys are what every other program takes for such", async () => {
  assertMatch(ADA.publicKey, /^-----BEGIN PUBLIC KEY-----\n/);
  assertMatch(ADA.exportPrivateKey(), /^-----BEGIN PRIVATE KEY-----\n/);
  await importPKCS8(ADA.exportPrivateKey(), "RSA-OAEP-256");
  await importSPKI(ADA.publicKey, "RSA-OAEP-256");
});

Deno.test("a fingerprint is the hash of the public key, however that is written", async () => {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", derOf(ADA.publicKey)));
  const text = "rsa1:" + hash.toBase64({ alphabet: "base64url", omitPadding: true });
  assertEquals(ADA.fingerprint, text);
  const oneLine = ADA.publicKey.split("\n").slice(1, -1).join("");
  const others = [
    ADA.publicKey,
    ADA.publicKey + "\n",
    ADA.publicKey.replaceAll("\n", "\r\n"),
    `subject=/CN=Ada\n${ADA.publicKey}\n`,
    `-----BEGIN PUBLIC KEY-----\n${oneLine}\n-----END PUBLIC KEY-----`,
  ];
  for (const other of others) {
    assertEquals(await keyFingerprint(other), text);
    const sealed = await encryptPacket({ action: "a", data: 1 }, other);
    assertEquals((await decryptPacket(sealed, ADA)).data, 1);
  }
});

Deno.test("what is no key is refused, in either place, and no key is made of it", async () => {
  const { publicKey } = ADA;
  const privateKey = ADA.exportPrivateKey();
  const elliptic = await pairOf({ name: "ECDSA", namedCurve: "P-256" }, ["sign"]);
  const montgomery = await pairOf({ name: "X25519" }, ["deriveBits"]);
  const [pub, priv] = [derOf(publicKey), derOf(privateKey)];
  const neither: unknown[] = [
    undefined,
    null,
    5,
    {},
    { b: 512 },
    [publicKey],
    ADA,
    pub,
    "",
    "x",
    "x".repeat(1_000_000),
    pem("PUBLIC KEY", new Uint8Array(400)),
    pem("PRIVATE KEY", new Uint8Array(1_200)),
    pem("PUBLIC KEY", new Uint8Array(700_000)),
    pem("RSA PRIVATE KEY", priv),
    pem("CERTIFICATE", pub),
    pem("ENCRYPTED PRIVATE KEY", priv),
    elliptic.publicKey,
    elliptic.privateKey,
    montgomery.publicKey,
    montgomery.privateKey,
    pem("PUBLIC KEY", pub.slice(0, 100)),
    pem("PUBLIC KEY", pub.slice(1)),
    ...[30, 300, 1_000].map((length) => pem("PRIVATE KEY", priv.slice(0, length))),
  ];
  const start = performance.now();
  for (const text of [...neither, publicKey] as string[]) {
    await assertRejects(() => EncryptKeys.import(text), TypeError, "an RSA private key (PKCS #8)");
  }
  for (const text of [...neither, privateKey] as string[]) {
    const message = "an RSA public key (SPKI)";
    await assertRejects(() => encryptPacket({ action: "a" }, text), TypeError, message);
    await assertRejects(() => keyFingerprint(text), TypeError, message);
  }
  // The library makes a key of its own from an object, which takes seconds.
  assertLess(performance.now() - start, 1_000);
});

Deno.test("a private key that was changed anywhere is refused", async () => {
  const der = derOf(ADA.exportPrivateKey());
  for (let at = 40; at < der.length; at += 97) {
    const changed = der.slice();
    changed[at] ^= 0x10;
    await assertRejects(
      () => EncryptKeys.import(pem("PRIVATE KEY", changed)),
      TypeError,
      "",
      `${at}`,
    );
  }
});

Deno.test("a key that is too weak, or absurdly long, is refused", async () => {
  for (const bits of [1_024, 1_536]) {
    const { publicKey, privateKey } = await rsa(bits);
    const message = `2048 to 8192 bits, got ${bits}`;
    await assertRejects(() => EncryptKeys.import(privateKey), RangeError, message);
    await assertRejects(() => encryptPacket({ action: "a" }, publicKey), RangeError, message);
    await assertRejects(() => keyFingerprint(publicKey), RangeError, message);
  }
  const long = publicKeyOf(new Uint8Array(1_100).fill(0xff), Uint8Array.of(1, 0, 1));
  await assertRejects(() => encryptPacket({ action: "a" }, long), RangeError, "got 8800");
  // So long that it is not even looked at.
  const endless = publicKeyOf(new Uint8Array(20_000).fill(0xff), Uint8Array.of(1, 0, 1));
  await assertRejects(
    () => encryptPacket({ action: "a" }, endless),
    TypeError,
    "an RSA public key",
  );
});

Deno.test("numbers that are no RSA key are refused", async () => {
  const modulus = derOf(ADA.publicKey).slice(-261, -5);
  const control = publicKeyOf(modulus, Uint8Array.of(1, 0, 1));
  assertEquals(await keyFingerprint(control), ADA.fingerprint);
  const even = modulus.slice();
  even[255] &= 0xfe;
  const odd = [
    publicKeyOf(modulus, Uint8Array.of(0)),
    publicKeyOf(modulus, Uint8Array.of(1)),
    publicKeyOf(modulus, Uint8Array.of(2)),
    publicKeyOf(modulus, modulus),
    publicKeyOf(even, Uint8Array.of(1, 0, 1)),
  ];
  for (const [index, text] of odd.entries()) {
    await assertRejects(() => encryptPacket({ action: "a" }, text), TypeError, "", `${index}`);
  }
});

Deno.test("a key is saved for its owner alone, and never over anything", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/key.pem`;
    await ADA.save(path);
    if (Deno.build.os !== "windows") assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    assertEquals(await Deno.readTextFile(path), ADA.exportPrivateKey() + "\n");
    assertEquals((await EncryptKeys.load(path)).fingerprint, ADA.fingerprint);

    await assertRejects(() => EVE.save(path), Deno.errors.AlreadyExists);
    await assertRejects(
      () => createEncryptKeys({ bits: 2_048, path }),
      Deno.errors.AlreadyExists,
    );
    assertEquals((await EncryptKeys.load(path)).fingerprint, ADA.fingerprint);

    // Nor through a link, to wherever that leads.
    await Deno.symlink(`${directory}/elsewhere`, `${directory}/link`);
    await assertRejects(() => EVE.save(`${directory}/link`), Deno.errors.AlreadyExists);
    assertEquals([...Deno.readDirSync(directory)].length, 2);
  });
});

Deno.test("keys can be saved as they are made", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/key.pem`;
    const keys = await createEncryptKeys({ bits: 2_048, path });
    assertEquals((await EncryptKeys.load(path)).fingerprint, keys.fingerprint);
    if (Deno.build.os !== "windows") assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
  });
});

Deno.test("a file that holds no key, or is not there, is said to", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/key.pem`;
    await assertRejects(() => EncryptKeys.load(path), Deno.errors.NotFound);
    await Deno.writeTextFile(path, "SECRET");
    const error = await assertRejects(() => EncryptKeys.load(path), TypeError, "private key");
    assertFalse(inspect(error).includes("SECRET"));
  });
});

Deno.test("nothing private shows, however keys or who holds them are looked at", async () => {
  const keys = await EncryptKeys.import(ADA.exportPrivateKey());
  // Opened once, they hold the key in another form as well.
  await decryptPacket(await encryptPacket({ action: "a" }, keys.publicKey), keys);
  await using server = new Server({ port: 0, encryptKeys: keys });
  await using client = new Client({ encryptKeys: keys });
  const secrets = secretsOf(keys);
  for (const thing of [keys, { keys }, [keys], new Map([[keys, keys]]), server, client]) {
    const shown = [
      Deno.inspect(thing, { depth: 20, showHidden: true, getters: true }),
      inspect(thing, { depth: 20, showHidden: true, getters: true, customInspect: false }),
      inspect(thing, { depth: 20, showHidden: true, getters: true }),
      String(thing),
      JSON.stringify(thing),
      Deno.inspect({ ...thing }),
      JSON.stringify({ ...thing }),
      JSON.stringify(Object.getOwnPropertyDescriptors(thing)),
      JSON.stringify(Object.entries(thing)),
    ].join("\n");
    for (const secret of secrets) assertFalse(shown.includes(secret));
  }
  assertEquals(Object.keys(keys).toSorted(), ["fingerprint", "publicKey"]);
  const { fingerprint } = keys;
  assertEquals(JSON.parse(JSON.stringify(keys)), { fingerprint });
  assertEquals(Deno.inspect(keys), `EncryptKeys { fingerprint: "${fingerprint}" }`);
  for (const clone of [structuredClone(keys), Object.assign({}, keys)]) {
    assertThrows(() => keys.exportPrivateKey.call(clone as EncryptKeys), TypeError);
    for (const secret of secrets) assertFalse(inspect(clone, { depth: 9 }).includes(secret));
  }
});

Deno.test("what is said of a bad key does not quote it, and nothing is logged", async () => {
  await using logs = await Logs.capture();
  const secrets = secretsOf(ADA);
  const text = ADA.exportPrivateKey();
  const bad = [
    text.slice(0, -40),
    text.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
    text.slice(100),
    text.replace(/\n.{20}/, "\n"),
    `${text}${text}`,
    "x" + text.repeat(20),
  ];
  for (const one of bad) {
    for (const use of [EncryptKeys.import, keyFingerprint]) {
      const error = await use(one).then(() => undefined, (error) => error);
      if (!error) continue;
      const shown = inspect(error, { depth: 9, showHidden: true }) + error.stack;
      for (const secret of secrets) assertFalse(shown.includes(secret));
    }
    await assertRejects(() => encryptPacket({ action: "a" }, one), TypeError);
  }
  logs.assertLacks(...secrets);
  assertEquals(logs.records, []);
});

Deno.test("two pairs of keys are not the same", async () => {
  const other = await createEncryptKeys({ bits: 2_048 });
  assertNotEquals(other.fingerprint, ADA.fingerprint);
  assert(other.publicKey !== ADA.publicKey);
});

/** A public key (SPKI) with these numbers. */
function publicKeyOf(modulus: Uint8Array, exponent: Uint8Array): string {
  const algorithm = Uint8Array.fromHex("300d06092a864886f70d0101010500");
  const numbers = value(0x30, integer(modulus), integer(exponent));
  return pem("PUBLIC KEY", value(0x30, algorithm, value(0x03, Uint8Array.of(0), numbers)));
}

function integer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return value(0x02, Uint8Array.of(...(bytes[0] & 0x80 ? [0] : []), ...bytes));
}

function value(tag: number, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const content = parts.flatMap((part) => [...part]);
  const { length } = content;
  const size = length < 128 ? [length] : [0x82, length >> 8, length & 0xff];
  return Uint8Array.of(tag, ...size, ...content);
}
