import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import type { SecureClientOptions } from "../../client_options.ts";
import { CryptoError } from "../../errors.ts";
import { createIdentity } from "../../identity.ts";
import { resolveSecure } from "../../server_check.ts";

const [RIGHT, WRONG, OTHER] = await Promise.all(
  Array.from({ length: 3 }, async () => (await createIdentity()).fingerprint),
);

/** Resolves to why a server is not trusted; to nothing, if it is. */
async function distrust(pin: SecureClientOptions["pin"], fingerprint: string) {
  const { check } = resolveSecure({ pin })!;
  try {
    await check(fingerprint);
  } catch (error) {
    return error;
  }
}

Deno.test("without options there is nothing to check", () => {
  assertEquals(resolveSecure(undefined), undefined);
});

Deno.test("the pinned server is trusted, and no other; what is said then shows both fingerprints", async () => {
  for (const pin of [RIGHT, [RIGHT], [OTHER, RIGHT]]) {
    assertEquals(await distrust(pin, RIGHT), undefined);
    const error = await distrust(pin, WRONG) as CryptoError;
    assertEquals([error instanceof CryptoError, error.code], [true, "UNTRUSTED_PEER"]);
    const expected = [pin].flat().join(" or ");
    assertEquals(error.message, `the server's key is ${WRONG}, and not ${expected}`);
  }
});

Deno.test("pins that are changed later change nothing", async () => {
  const pin = [RIGHT];
  const { check } = resolveSecure({ pin })!;
  pin[0] = WRONG;
  await check(RIGHT);
  await assertRejects(async () => await check(WRONG), CryptoError);
});

Deno.test("a function decides by saying true, and by nothing else", async () => {
  const seen: string[] = [];
  const answers: unknown[] = [true, Promise.resolve(true)];
  for (const answer of answers) {
    const decide = (fingerprint: string) => (seen.push(fingerprint), answer as boolean);
    assertEquals(await distrust(decide, RIGHT), undefined);
  }
  assertEquals(seen, [RIGHT, RIGHT]);
  for (const answer of [false, undefined, null, 1, "yes", {}, Promise.resolve(false)]) {
    const error = await distrust(() => answer as boolean, WRONG) as CryptoError;
    assertEquals(error.code, "UNTRUSTED_PEER");
    assertEquals(error.message, `the server's key ${WRONG} is not trusted`);
  }
});

Deno.test("what a deciding function throws is thrown on as it is", async () => {
  const mine = new Error("no terminal");
  const throwing = () => {
    throw mine;
  };
  assertStrictEquals(await distrust(throwing, RIGHT), mine);
  assertStrictEquals(await distrust(() => Promise.reject(mine), RIGHT), mine);
});

Deno.test("a client that brings no identity is given one, and keeps it", async () => {
  const secure = resolveSecure({ pin: RIGHT })!;
  const [one, again] = await Promise.all([secure.identity(), secure.identity()]);
  assertStrictEquals(one, again);
  const another = await resolveSecure({ pin: RIGHT })!.identity();
  assertEquals(one.fingerprint === another.fingerprint, false);
  const own = await createIdentity();
  assertStrictEquals(await resolveSecure({ pin: RIGHT, identity: own })!.identity(), own);
});

Deno.test("options that cannot be right are refused at once", () => {
  const wrong: [options: unknown, says: string][] = [
    [null, "options must be an object, got null"],
    [RIGHT, "options must be an object, got string"],
    [{}, "secure.pin must be a fingerprint (pnet1:…), several, or a function"],
    [{ pin: "" }, "secure.pin must be"],
    [{ pin: [] }, "secure.pin must be"],
    [{ pin: [RIGHT, 5] }, "secure.pin must be"],
    [{ pin: RIGHT + " " }, "secure.pin must be"],
    [{ pin: `${RIGHT},${OTHER}` }, "secure.pin must be"],
    [{ pin: true }, "secure.pin must be"],
    [{ pin: /pnet1/ }, "secure.pin must be"],
    [{ pin: RIGHT, identity: {} }, "secure.identity must be an Identity"],
    [
      { pin: RIGHT, identity: "-----BEGIN PRIVATE KEY-----" },
      "secure.identity must be an Identity",
    ],
    [{ pin: RIGHT, identity: null }, "secure.identity must be an Identity"],
  ];
  for (const [options, says] of wrong) {
    assertThrows(() => resolveSecure(options as SecureClientOptions), TypeError, says);
  }
});
