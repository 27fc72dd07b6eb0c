/**
 * Why a connection ended, as it is told and as it is read.
 *
 * @module
 */

import type { CloseInfo } from "./contract.ts";
import { ConnectionError, ERROR_CODES } from "./errors.ts";
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

/** What those are told who still wait for something. */
export function closeError({ code, reason }: CloseInfo): ConnectionError {
  const codes: readonly string[] = ERROR_CODES.ConnectionError;
  if (codes.includes(code)) return new ConnectionError(code as "CLOSED", reason);
  return new ConnectionError("CONNECTION_LOST", `the connection ended: ${code}: ${reason}`);
}
