/**
 * Sealed packets made by hand, from the platform's primitives alone: right in all but what a test gets
 * wrong on purpose.
 *
 * @module
 */

import { assertEquals, assertFalse, assertRejects } from "@std/assert";
import { CryptoError, type EncryptKeys, type Packet, type SealedData } from "../../mod.ts";

const BASE64URL = { alphabet: "base64url", omitPadding: true } as const;
const encoder = new TextEncoder();

/** What a header says that can be opened now. */
export function headerFor(keys: EncryptKeys, action = "vote"): Record<string, unknown> {
  return {
    alg: "RSA-OAEP-256",
    enc: "A256GCM",
    kid: keys.fingerprint,
    action,
    created: Date.now(),
    jti: crypto.randomUUID(),
  };
}

/** Seals these bytes under this header, whatever it says, with the algorithms that there should be. */
export async function forge(
  keys: EncryptKeys,
  changes: Record<string, unknown> = {},
  content: string | Uint8Array<ArrayBuffer> = '"Ada"',
): Promise<Packet<SealedData>> {
  const header = { ...headerFor(keys), ...changes };
  const text = JSON.stringify(header);
  return {
    action: "vote",
    data: await seal(keys, text, typeof content === "string" ? encoder.encode(content) : content),
    "packet-created": Date.now(),
    token: null,
  };
}

/** Seals these bytes under exactly this header. */
export async function seal(
  keys: EncryptKeys,
  header: string,
  content: Uint8Array<ArrayBuffer>,
): Promise<SealedData> {
  const spki = Uint8Array.fromBase64(keys.publicKey.replaceAll(/-----.*-----|\s/g, ""));
  const oaep = { name: "RSA-OAEP", hash: "SHA-256" };
  const publicKey = await crypto.subtle.importKey("spki", spki, oaep, false, ["encrypt"]);
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const key = await crypto.subtle.importKey("raw", secret, "AES-GCM", false, ["encrypt"]);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const protectedHeader = encoder.encode(header).toBase64(BASE64URL);
  const algorithm = { name: "AES-GCM", iv, additionalData: encoder.encode(protectedHeader) };
  const sealed = new Uint8Array(await crypto.subtle.encrypt(algorithm, key, content));
  const wrapped = new Uint8Array(await crypto.subtle.encrypt(oaep, publicKey, secret));
  return {
    protected: protectedHeader,
    encrypted_key: wrapped.toBase64(BASE64URL),
    iv: iv.toBase64(BASE64URL),
    ciphertext: sealed.subarray(0, -16).toBase64(BASE64URL),
    tag: sealed.subarray(-16).toBase64(BASE64URL),
  };
}

/** Checks that this was refused, and that nothing says why. */
export async function assertCannotBeOpened(opening: Promise<unknown>, what = ""): Promise<void> {
  const error = await assertRejects(() => opening, CryptoError, undefined, what);
  assertEquals(
    [error.code, error.name, error.message],
    ["DECRYPT_FAILED", "CryptoError", "the packet cannot be opened"],
  );
  assertEquals(Object.keys(error).toSorted(), ["code", "name"]);
  assertFalse("cause" in error, "why must be told to nobody");
}
