import { assert, assertEquals, assertFalse, assertMatch, assertRejects } from "@std/assert";
import { createIdentity, Identity } from "../../../mod.ts";
import { FileError } from "../../../tools/files.ts";
import {
  readCertificates,
  readIdentity,
  readKey,
  readOrMakeIdentity,
  readPair,
} from "../../../tools/key_files.ts";
import { withDirectory } from "../../support/cli.ts";
import { ADA } from "../../support/rsa_keys.ts";

const CERTS = `${import.meta.dirname}/../../support/certs`;
const [ONE_CERT, ONE_KEY, TWO_CERT, TWO_KEY] = await Promise.all(
  ["one.cert", "one.key", "two.cert", "two.key"].map((name) =>
    Deno.readTextFile(`${CERTS}/${name}.pem`)
  ),
);
const IDENTITY = await (await createIdentity()).export();
const RSA_KEY = ADA.exportPrivateKey();

/** A key of 1,024 bits, made with `openssl genrsa` for this test. */
const WEAK = `-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDKHAflSnIs8PTiwKeuym2gJE3n
ya7FQCein4SJs3OBHUiOJ/WHC/cWrldmXK2ZrVSL2PaXgsQWYtZyRrVz2oJAY60B
dP+eTkpcBewuAHqQkSHHa6+rp8hFQWuoUClxrkZX4o6bljGT9Cdp6zmA/oce3CBb
sZu/7uqUcrED9Ox9kwIDAQAB
-----END PUBLIC KEY-----
`;

/** Asserts that reading a file of this text fails, in one line that says nothing of the text. */
async function assertUnusable(
  text: string,
  read: (path: string) => Promise<unknown>,
  expected: RegExp,
): Promise<void> {
  await withFile(text, async (path) => {
    const { message } = await assertRejects(() => read(path), FileError);
    assertMatch(message, expected);
    assertMatch(message, /^[^\n]+$/);
    const lines = text.split("\n").filter((line) => line.length >= 12);
    for (const line of lines) assertFalse(message.includes(line.slice(0, 12)), message);
  });
}

async function withFile(text: string, act: (path: string) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/file`, text);
    await act(`${directory}/file`);
  });
}

/** The same PEM with some of its bytes gone. */
function cut(pem: string): string {
  const lines = pem.split("\n");
  lines[1] = lines[1].slice(0, -8);
  return lines.join("\n");
}

Deno.test("of each kind of key that there is a file is read", async () => {
  const { fingerprint } = await Identity.import(IDENTITY);
  await withFile(IDENTITY, async (path) => {
    assertEquals(await readKey(path), { kind: "identity", fingerprint });
    assertEquals((await readIdentity(path)).fingerprint, fingerprint);
  });
  const { publicKey } = ADA;
  for (const text of [RSA_KEY, RSA_KEY + "\n", RSA_KEY + "\r\n\r\n"]) {
    await withFile(text, async (path) => {
      const key = { kind: "rsa", fingerprint: ADA.fingerprint, publicKey };
      assertEquals<unknown>(await readKey(path), key);
    });
  }
  await withFile(`${publicKey}\n`, async (path) => {
    const key = { kind: "rsa-public", fingerprint: ADA.fingerprint, publicKey };
    assertEquals<unknown>(await readKey(path), key);
  });
});

Deno.test("a file that holds no key, or none that can be used, is said to be so", async () => {
  const texts = [
    "",
    "SECRET SECRET SECRET",
    "{}",
    cut(IDENTITY),
    IDENTITY.replaceAll("PRIVATE KEY", "EC PRIVATE KEY"),
    IDENTITY + IDENTITY,
    RSA_KEY.slice(0, 800),
    cut(ADA.publicKey),
    ONE_CERT,
    ONE_KEY,
  ];
  for (const text of texts) await assertUnusable(text, readKey, / holds no key: /);
  await assertUnusable(WEAK, readKey, /: A key must have 2048 to 8192 bits, got 1024$/);
  await assertUnusable("x".repeat(65_537), readKey, / cannot be read: it is too large$/);
});

Deno.test("what is no identity is said to be none, and how one is made", async () => {
  const hint = / holds no identity: `pnetwork keys make FILE` makes one$/;
  for (const text of ["", "text", cut(IDENTITY), RSA_KEY, ONE_KEY, ADA.publicKey]) {
    await assertUnusable(text, readIdentity, hint);
  }
});

Deno.test("an identity that is not there is made once; what stands in its place stays", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/own/identity.pem`;
    const first = await readOrMakeIdentity(path);
    const second = await readOrMakeIdentity(path);
    assertEquals([first.isNew, second.isNew], [true, false]);
    assertEquals(second.identity.fingerprint, first.identity.fingerprint);
    assertEquals((await readIdentity(path)).fingerprint, first.identity.fingerprint);

    await Deno.writeTextFile(path, "mine");
    await assertRejects(() => readOrMakeIdentity(path), FileError, "holds no identity");
    assertEquals(await Deno.readTextFile(path), "mine");
  });
});

Deno.test("certificates are read out of what stands around them", async () => {
  const text = `subject=CN = localhost\n${ONE_CERT}\nissuer=-----\n${TWO_CERT}`;
  await withFile(text, async (path) => {
    const read = await readCertificates(path);
    assertEquals(read, ONE_CERT.trim() + "\n" + TWO_CERT.trim() + "\n");
  });
});

Deno.test("what holds no certificate, or a damaged one, is said to be so", async () => {
  for (const text of ["", "text", ONE_KEY, ADA.publicKey, ONE_CERT.slice(0, 300)]) {
    await assertUnusable(text, readCertificates, / holds no certificate \(PEM\)$/);
  }
  await assertUnusable(cut(ONE_CERT), readCertificates, /^the certificate in .* is damaged$/);
  const second = ONE_CERT + cut(TWO_CERT);
  await assertUnusable(second, readCertificates, /^the certificate 2 in .* is damaged$/);
});

Deno.test("a certificate goes with its own key, and with no other", async () => {
  const pair = await readPair(`${CERTS}/one.cert.pem`, `${CERTS}/one.key.pem`);
  assertEquals(pair, { cert: ONE_CERT, key: ONE_KEY });
  const withKey = (path: string) => readPair(`${CERTS}/one.cert.pem`, path);
  await assertUnusable(TWO_KEY, withKey, / is not the key of the certificate in .*one\.cert\.pem$/);
  await assertUnusable(RSA_KEY, withKey, / is not the key of the certificate in /);
  for (const text of ["", "text", ONE_CERT, cut(ONE_KEY)]) {
    await assertUnusable(text, withKey, / holds no private key that can be used \(PEM\)$/);
  }
  const encrypted = ONE_KEY.replaceAll("PRIVATE", "ENCRYPTED PRIVATE");
  await assertUnusable(encrypted, withKey, / is encrypted, /);
  assert(ONE_KEY.includes("BEGIN PRIVATE KEY"));
});
