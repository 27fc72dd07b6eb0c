/**
 * How the command line ends.
 *
 * @module
 */

import { type ErrorCode, PnetworkError } from "../errors.ts";
import { sanitize } from "../sanitize.ts";
import { complain } from "./output.ts";

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

const NO_CONNECTION = new Set<string>([
  "CONNECT_FAILED",
  "LISTEN_FAILED",
  "HANDSHAKE_TIMEOUT",
]);

/** Says in one line on standard error what went wrong. Returns the exit code. */
export function reportError(error: unknown, isJson = false): number {
  const code = error instanceof PnetworkError ? error.code : undefined;
  const message = error instanceof Error ? error.message : String(error);
  const text = sanitize(code ? `${code}: ${message}` : message, 1_000);
  const outcome = error instanceof UnfinishedError ? error.outcome : {};
  const object = { error: { code, message: sanitize(message) }, ...outcome };
  complain(isJson ? JSON.stringify(object) : text);
  if (error instanceof UsageError) return ExitCode.Usage;
  // There was a connection, whatever the other side says of its end.
  if (error instanceof UnfinishedError) return ExitCode.Failed;
  return code && NO_CONNECTION.has(code) ? ExitCode.NoConnection : ExitCode.Failed;
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
