/**
 * The way of a client to its server: connecting, and the handshake.
 *
 * @module
 */

import { abortable } from "./abortable.ts";
import { ConnectionError, HandshakeError, PnetworkError } from "./errors.ts";
import { encodeHello, type Hello, readWelcome, type Welcome } from "./handshake.ts";
import type { ResolvedClientLimits, ResolvedEndpoint } from "./options.ts";
import { encodeControl } from "./packet.ts";
import type { Sweep } from "./sweep.ts";
import { connect, endpointText, SocketTransport } from "./transport.ts";
import { Wire } from "./wire.ts";

/** What is dialled with. */
export interface DialParts {
  /** Where the server is. */
  endpoint: ResolvedEndpoint;
  /** The client's limits. */
  limits: ResolvedClientLimits;
  /** What watches the times. */
  sweep: Sweep;
  /** What to ask for: looked up as late as can be. */
  hello: () => Hello;
  /** Calls it off. */
  signal: AbortSignal;
}

/** A server that has let this client in. */
export interface Dialled {
  /** The socket. */
  wire: Wire;
  /** What the server granted. */
  welcome: Welcome;
}

/**
 * Connects and shakes hands, within `handshakeTimeoutMs`. Throws like `Client.start()`.
 */
export async function dial(parts: DialParts): Promise<Dialled> {
  const { limits, sweep } = parts;
  const timeout = new AbortController();
  const callOff = sweep.after(
    limits.handshakeTimeoutMs,
    () => timeout.abort(new HandshakeError("HANDSHAKE_TIMEOUT", "the handshake took too long")),
  );
  try {
    return await shakeHands(parts, AbortSignal.any([parts.signal, timeout.signal]));
  } finally {
    callOff();
  }
}

async function shakeHands(parts: DialParts, signal: AbortSignal): Promise<Dialled> {
  const { endpoint, limits, sweep, hello } = parts;
  const conn = await open(endpoint, signal);
  const wire = new Wire(new SocketTransport(conn), {
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
    return { wire, welcome };
  } catch (error) {
    if (error instanceof PnetworkError && error.code !== "CONNECTION_LOST") {
      const { code, message } = error;
      await wire.end(encodeControl("@close", { code, reason: message }));
    } else {
      wire.abort();
    }
    throw error;
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
