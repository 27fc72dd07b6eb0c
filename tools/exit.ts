/**
 * How the command line ends.
 *
 * @module
 */

import { CryptoError, type ErrorCode, PnetworkError } from "../errors.ts";
import { sanitize } from "../sanitize.ts";
import { FileError } from "./files.ts";
import { complain } from "./output.ts";
import type { StandardStreams } from "./streams.ts";

/** What the exit codes mean to scripts. */
export const ExitCode = { Done: 0, Failed: 1, Usage: 2, NoConnection: 3 } as const;

/** A wrong use of the command line that its parser cannot see. */
export class UsageError extends Error {}

/** The connection was lost for good in the middle of something, of which programs are told how far it came. */
export class UnfinishedError extends PnetworkError {
  /** How far it came. */
  readonly outcome: Record<string, unknown>;

  /** See {@linkcode PnetworkError}. */
  constructor(code: ErrorCode, message: string, outcome: Record<string, unknown>) {
    super(code, message);
    this.outcome = outcome;
  }
}

/** The server is not the one that is known, or none is: of which programs are told more. */
export class UntrustedError extends CryptoError {
  /** The server, its key, and what is known of it. */
  readonly details: Record<string, unknown>;

  /** See {@linkcode PnetworkError}. */
  constructor(message: string, details: Record<string, unknown>) {
    super("UNTRUSTED_PEER", message);
    this.details = details;
  }
}

const NO_CONNECTION = new Set<string>([
  "CONNECT_FAILED",
  "LISTEN_FAILED",
  "HANDSHAKE_TIMEOUT",
]);

/** Says in one line on standard error what went wrong. Returns the exit code. */
export function reportError(
  error: unknown,
  isJson: boolean,
  stderr: StandardStreams["stderr"],
): number {
  const code = error instanceof PnetworkError ? error.code : undefined;
  const message = withoutKeys(error instanceof Error ? error.message : String(error));
  const hint = code === "SECURE_REQUIRED" ? " (--secure)" : "";
  const text = sanitize((code ? `${code}: ${message}` : message) + hint, 1_000);
  const object = { error: { code, message: sanitize(message) }, ...moreOf(error) };
  complain(isJson ? JSON.stringify(object) : text, stderr);
  if (error instanceof UsageError || error instanceof FileError) return ExitCode.Usage;
  // There was a connection, whatever the other side says of its end.
  if (error instanceof UnfinishedError) return ExitCode.Failed;
  return code && NO_CONNECTION.has(code) ? ExitCode.NoConnection : ExitCode.Failed;
}

function moreOf(error: unknown): Record<string, unknown> {
  if (error instanceof UnfinishedError) return error.outcome;
  return error instanceof UntrustedError ? error.details : {};
}

/** A text in which there may be what was taken for the name of a file, and is a key. */
export function withoutKeys(text: string): string {
  return text.replace(/-----BEGIN.*/s, "-----BEGIN…");
}

/**
 * What this makes of the flags.
 *
 * @throws {UsageError} Where it finds one wrong.
 */
export function fromFlags<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) {
      throw new UsageError(error.message, { cause: error });
    }
    throw error;
  }
}

/** Calls back at the first SIGINT or SIGTERM; a second one ends the process at once. */
export function onStopSignal(stop: () => void): () => void {
  // Windows knows no SIGTERM.
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  let isStopping = false;
  const listener = () => {
    if (isStopping) Deno.exit(130);
    isStopping = true;
    stop();
  };
  for (const signal of signals) Deno.addSignalListener(signal, listener);
  return () => {
    for (const signal of signals) Deno.removeSignalListener(signal, listener);
  };
}
