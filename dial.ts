/**
 * The way of a client to its server: connecting, and the handshake.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { abortable } from "./abortable.ts";
import { Backoff } from "./backoff.ts";
import type { RetryInfo } from "./client_options.ts";
import { encodeClose } from "./close_info.ts";
import { ConnectionError, CryptoError, HandshakeError, PnetworkError } from "./errors.ts";
import { encodeHello, type Hello, readWelcome, type Welcome } from "./handshake.ts";
import type { Identity } from "./identity.ts";
import type { ResolvedClientLimits, ResolvedEndpoint } from "./options.ts";
import { sanitize } from "./sanitize.ts";
import { type CheckServer, connectSecurely, type Secured } from "./secure_channel.ts";
import type { Sweep } from "./sweep.ts";
import {
  connect,
  endpointText,
  SocketTransport,
  startTls,
  type TlsClientOptions,
  type Transport,
} from "./transport.ts";
import { Wire } from "./wire.ts";

const log = getLogger(["pnetwork", "client"]);

/** What is dialled with. */
export interface DialParts {
  /** Where the server is. */
  endpoint: ResolvedEndpoint;
  /** The client's limits. */
  limits: ResolvedClientLimits;
  /** What watches the times. */
  sweep: Sweep;
  /** What makes the connection one of TLS, if it is to be. */
  tls: TlsClientOptions | undefined;
  /** How the server proves its key, if the connection is to be secure. */
  secure: { identity: () => Promise<Identity>; check: CheckServer } | undefined;
  /** What to ask for: looked up as late as can be. */
  hello: () => Hello;
  /** Another attempt is about to be made. */
  onRetry: (retry: RetryInfo) => void;
}

/** How often is tried, and what for. */
export interface DialOptions<Result> {
  /** How many attempts may fail; `false` for no bound. */
  maxAttempts: number | false;
  /**
   * Whether even the first one waits, as those do that come back.
   *
   * @default {false}
   */
  waitsFirst?: boolean;
  /** Calls it off. */
  signal: AbortSignal | undefined;
  /**
   * Takes over what came of it, in the very turn in which it has not been called off yet. What it throws
   * is told to the server.
   */
  take: (dialled: Dialled) => Result;
}

/** The longest that a server may ask for before the next attempt, in milliseconds. */
const MAX_RETRY_AFTER_MS = 60_000;

/** The refusals after which another attempt is no use. */
const FINAL: ReadonlySet<string> = new Set([
  "REFUSED",
  "VERSION_UNSUPPORTED",
  "PROTOCOL_ERROR",
  "TAKEN_OVER",
  "UNTRUSTED_PEER",
  "CLOSED",
]);

/** A server that has let this client in. */
export interface Dialled {
  /** The socket. */
  wire: Wire;
  /** What the server granted. */
  welcome: Welcome;
  /** What the server's key is known by, on a secure connection. */
  fingerprint: string | undefined;
}

/** Whether another attempt would not mend this. */
export function isFinal(error: unknown): boolean {
  return !(error instanceof PnetworkError) || FINAL.has(error.code);
}

/** Connects to one server, again and again, and ever more slowly where it is of no use. */
export class Dialler {
  readonly #parts: DialParts;
  readonly #backoff: Backoff;
  #retryAfterMs: number | undefined;
  #connectedAt = 0;
  /** Calls off what is under way. */
  #attempt: AbortController | undefined;
  /** Why nothing is tried any more. */
  #ended: string | undefined;

  constructor(parts: DialParts) {
    this.#parts = parts;
    this.#backoff = new Backoff(parts.limits.minRetryMs, parts.limits.maxRetryMs);
  }

  /** Whether nothing is tried any more. */
  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** The next attempt is to wait for so long: the server has asked for it. */
  waitNext(ms: number): void {
    this.#retryAfterMs = Math.min(ms, MAX_RETRY_AFTER_MS);
  }

  /**
   * The socket was lost again. A server that lets clients in and drops them at once is left in peace for
   * longer and longer.
   */
  dropped({ wasOfUse }: { wasOfUse: boolean }): void {
    const lifetimeMs = this.#parts.sweep.now() - this.#connectedAt;
    if (wasOfUse || lifetimeMs > this.#backoff.boundMs) this.#backoff.reset();
  }

  /** Calls off what is under way, and all that would come after it: no more is tried. */
  end(message: string): void {
    this.#ended ??= message;
    this.#attempt?.abort(this.#whyEnded());
  }

  /** Tries until it succeeds, has tried often enough, or has failed for good. Throws like `Client.start()`. */
  async dial<Result>(options: DialOptions<Result>): Promise<Result> {
    const { signal } = options;
    // Where the user has a signal it aborts the attempt of the moment: to join the two would cost more.
    const abort = () => this.#attempt?.abort(signal!.reason);
    signal?.addEventListener("abort", abort);
    try {
      return await this.#dial(options);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  async #dial<Result>(options: DialOptions<Result>): Promise<Result> {
    const { sweep, onRetry } = this.#parts;
    const { maxAttempts, waitsFirst, signal } = options;
    for (let attempt = 1, error: unknown;; attempt++) {
      signal?.throwIfAborted();
      if (this.hasEnded) throw this.#whyEnded();
      this.#attempt = new AbortController();
      if (waitsFirst || attempt > 1) {
        const delayMs = this.#retryAfterMs ?? this.#backoff.next();
        onRetry({ attempt, delayMs, error });
        await sweep.pause(delayMs, this.#attempt.signal);
      }
      try {
        return await this.#dialOnce(this.#attempt, options.take);
      } catch (failure) {
        const isCalledOff = this.hasEnded || signal?.aborted;
        if (isCalledOff || isFinal(failure) || attempt === maxAttempts) throw failure;
        this.#retryAfterMs = undefined;
        log.info("attempt {attempt} to connect failed: {error}", { attempt, error: failure });
        error = failure;
      }
    }
  }

  /** Within `handshakeTimeoutMs`. */
  async #dialOnce<Result>(
    attempt: AbortController,
    take: (dialled: Dialled) => Result,
  ): Promise<Result> {
    const { limits, sweep } = this.#parts;
    const callOff = sweep.after(
      limits.handshakeTimeoutMs,
      () => attempt.abort(new HandshakeError("HANDSHAKE_TIMEOUT", "the handshake took too long")),
    );
    try {
      return await shakeHands(this.#parts, attempt.signal, (dialled) => {
        this.#retryAfterMs = undefined;
        this.#connectedAt = sweep.now();
        return take(dialled);
      });
    } finally {
      callOff();
      // What was taken may have been lost already, and the next attempt be under way.
      if (this.#attempt === attempt) this.#attempt = undefined;
    }
  }

  #whyEnded(): ConnectionError {
    return new ConnectionError("CLOSED", this.#ended!);
  }
}

async function shakeHands<Result>(
  parts: DialParts,
  signal: AbortSignal,
  take: (dialled: Dialled) => Result,
): Promise<Result> {
  const { endpoint, limits, sweep, tls, secure, hello } = parts;
  const conn = await open(endpoint, signal);
  const { transport, fingerprint }: Partial<Secured> & { transport: Transport } = tls || secure
    ? await protect(parts, conn, signal)
    : { transport: transportOf(conn) };
  const wire = new Wire(transport, {
    limits,
    maxFirstLineBytes: limits.maxHandshakeBytes,
    sweep,
  });
  try {
    const asked = hello();
    wire.write(encodeHello(asked));
    const welcome = await abortable(readWelcome(wire, asked.resume), signal);
    if (welcome instanceof PnetworkError) {
      await wire.end();
      throw welcome;
    }
    // It may have been called off since that was settled.
    signal.throwIfAborted();
    return take({ wire, welcome, fingerprint });
  } catch (error) {
    // The server may have let it in already.
    const { code, message: reason } = error instanceof PnetworkError
      ? error
      : { code: "CLOSED", message: "called off" };
    if (code === "CONNECTION_LOST") wire.abort();
    else await wire.end(encodeClose({ code, reason }));
    throw error;
  }
}

/** What the rest goes through, where others are to be kept out. */
async function protect(
  parts: DialParts,
  conn: Deno.Conn,
  signal: AbortSignal,
): Promise<Partial<Secured> & { transport: Transport }> {
  const { tls, secure } = parts;
  if (tls) return { transport: transportOf(await withTls(parts, tls, conn, signal)) };
  return await secured(secure!, transportOf(conn), signal);
}

async function withTls(
  { endpoint }: DialParts,
  tls: TlsClientOptions,
  conn: Deno.Conn,
  signal: AbortSignal,
): Promise<Deno.Conn> {
  const hostname = tls.hostname ?? ("host" in endpoint ? endpoint.host : undefined);
  try {
    return await startTls(conn, { ...tls, hostname }, signal);
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    const why = sanitize(String(cause));
    // The platform has one class for all that can be wrong; only its text says what it was. What the other
    // side says of certificates is no such thing: anyone could have said it.
    if (/invalid peer certificate/i.test(why)) {
      const message = `the server's certificate is not trusted: ${why}`;
      throw new CryptoError("UNTRUSTED_PEER", message, { cause });
    }
    throw new ConnectionError("CONNECTION_LOST", `TLS could not be agreed on: ${why}`, { cause });
  }
}

async function secured(
  { identity, check }: NonNullable<DialParts["secure"]>,
  transport: Transport,
  signal: AbortSignal,
): Promise<Secured> {
  try {
    const securing = identity().then((identity) => connectSecurely(transport, identity, check));
    return await abortable(securing, signal);
  } catch (error) {
    transport.close();
    throw error;
  }
}

function transportOf(conn: Deno.Conn): SocketTransport {
  try {
    return new SocketTransport(conn);
  } catch (cause) {
    // It was gone before it was looked at.
    conn.close();
    throw new ConnectionError("CONNECTION_LOST", "the socket was lost at once", { cause });
  }
}

async function open(endpoint: ResolvedEndpoint, signal: AbortSignal): Promise<Deno.Conn> {
  try {
    return await connect(endpoint, signal);
  } catch (cause) {
    const isTimeout = cause instanceof HandshakeError;
    if (signal.aborted && !isTimeout) throw signal.reason;
    if (cause instanceof TypeError || cause instanceof Deno.errors.NotCapable) throw cause;
    const why = cause instanceof Deno.errors.ConnectionRefused
      ? "nobody listens there"
      : isTimeout
      ? "nothing answered in time"
      : String(cause);
    const where = endpointText(endpoint);
    throw new ConnectionError("CONNECT_FAILED", `cannot connect to ${where}: ${why}`, { cause });
  }
}
