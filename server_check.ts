/**
 * How a client knows that a server is the right one.
 *
 * @module
 */

import type { SecureClientOptions } from "./client_options.ts";
import { CryptoError } from "./errors.ts";
import { checkIdentity, createIdentity, type Identity, isFingerprint } from "./identity.ts";
import { checkOptions } from "./options.ts";
import { describe } from "./packet.ts";
import type { CheckServer } from "./secure_channel.ts";

/** {@linkcode SecureClientOptions} with nothing left out. */
export interface ResolvedSecure {
  /** The client's key: the same for as long as the client lives, so that its sessions can go on. */
  identity: () => Promise<Identity>;
  /** Throws if a server's fingerprint is not the right one. */
  check: CheckServer;
}

/**
 * Checks what a client was told of secure connections.
 *
 * @throws {TypeError} If an option has the wrong type.
 */
export function resolveSecure(
  options: SecureClientOptions | undefined,
): ResolvedSecure | undefined {
  if (options === undefined) return undefined;
  checkOptions(options);
  const { pin } = options;
  const own = checkIdentity("secure.identity", options.identity);
  let made: Promise<Identity> | undefined;
  return {
    identity: () => made ??= own ? Promise.resolve(own) : createIdentity(),
    check: typeof pin === "function" ? asking(pin) : comparing(pin),
  };
}

function asking(decide: (fingerprint: string) => boolean | Promise<boolean>): CheckServer {
  return async (fingerprint) => {
    if (await decide(fingerprint) === true) return;
    throw untrusted(`the server's key ${fingerprint} is not trusted`);
  };
}

function comparing(pin: string | readonly string[]): CheckServer {
  const pins = typeof pin === "string" ? [pin] : Array.isArray(pin) ? [...pin] : [pin];
  if (pins.length === 0 || !pins.every(isFingerprint)) {
    const got = pins.find((one) => !isFingerprint(one)) ?? pin;
    throw new TypeError(
      `secure.pin must be a fingerprint (pnet1:…), several, or a function, got ${describe(got)}`,
    );
  }
  return (fingerprint) => {
    if (pins.includes(fingerprint)) return;
    throw untrusted(`the server's key is ${fingerprint}, and not ${pins.join(" or ")}`);
  };
}

function untrusted(message: string): CryptoError {
  return new CryptoError("UNTRUSTED_PEER", message);
}
