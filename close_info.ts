/**
 * Why a connection ended, as it is told and as it is read.
 *
 * @module
 */

import type { CloseInfo } from "./contract.ts";
import {
  ConnectionError,
  CryptoError,
  ERROR_CODES,
  HandshakeError,
  type PnetworkError,
  ProtocolError,
} from "./errors.ts";
import { encodeControl } from "./packet.ts";
import { sanitize } from "./sanitize.ts";

const MAX_REASON_LENGTH = 256;

/** The ends of a wire that a session outlives. */
const RESUMABLE: ReadonlySet<string> = new Set([
  "CONNECTION_LOST",
  "HANDSHAKE_TIMEOUT",
  "HEARTBEAT_TIMEOUT",
  "SLOW_CONSUMER",
  "GOING_AWAY",
]);

/** Whether a session goes on when its wire has ended with this code. */
export function isResumable(code: string): boolean {
  return RESUMABLE.has(code);
}

/** The last line before FIN; with an `ack`, if there is one to tell. */
export function encodeClose({ code, reason }: CloseInfo, ack?: number): string {
  return encodeControl("@close", { code, reason: reason.slice(0, MAX_REASON_LENGTH) }, ack);
}

/** What a `@close` says, fit to be shown. */
export function readClose(data: unknown): CloseInfo {
  const { code, reason } = (data ?? {}) as { code?: unknown; reason?: unknown };
  return {
    code: typeof code === "string" && /^[A-Z_]{1,64}$/.test(code) ? code : "CLOSED",
    reason: typeof reason === "string" ? sanitize(reason, MAX_REASON_LENGTH) : "no reason given",
  };
}

/**
 * What those are told who still wait for something: the code of the end, unless that could be taken for
 * something else. `PACKET_TOO_LARGE`, say, is what a sender is told whose own packet was not sent.
 */
export function closeError({ code, reason }: CloseInfo): PnetworkError {
  if (isOf("ConnectionError", code)) return new ConnectionError(code, reason);
  // All that a client may meet when it comes back.
  if (isOf("HandshakeError", code)) return new HandshakeError(code, reason);
  if (code === "UNTRUSTED_PEER") return new CryptoError(code, reason);
  if (code === "VERSION_UNSUPPORTED" || code === "PROTOCOL_ERROR") {
    return new ProtocolError(code, reason);
  }
  return new ConnectionError("CONNECTION_LOST", `the connection ended: ${code}: ${reason}`);
}

function isOf<Class extends keyof typeof ERROR_CODES>(
  name: Class,
  code: string,
): code is typeof ERROR_CODES[Class][number] {
  return (ERROR_CODES[name] as readonly string[]).includes(code);
}
