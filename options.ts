/**
 * Every option and limit, its default, and the one place that checks it.
 *
 * @module
 */

import type { CloseOptions, SendOptions } from "./contract.ts";

/**
 * Limits of one connection. Each names the attack or accident that it stops; `false` turns one off
 * where that makes sense.
 */
export interface ConnectionLimits {
  /**
   * The longest packet that is accepted, in bytes on the wire. Stops a line that never ends from
   * filling the memory.
   *
   * @default {1_048_576}
   */
  maxPacketBytes?: number;
  /**
   * The deepest nesting of arrays and objects, the packet itself among them, in lines over 4,096
   * UTF-16 code units. Stops a line of brackets from overflowing the stack of whatever walks the data.
   *
   * @default {64}
   */
  maxDepth?: number | false;
  /**
   * How long the rest of a line may take to arrive, in milliseconds, while fewer than 1,024 bytes a
   * second do. Stops a peer that feeds one byte at a time; an honest slow link passes.
   *
   * @default {10_000}
   */
  partialLineTimeoutMs?: number | false;
  /**
   * How many packets are read from this peer in a second, after a burst of as many; reading pauses,
   * nothing is dropped. Stops one peer from taking all the time that there is.
   *
   * @default {false}
   */
  maxPacketsPerSecond?: number | false;
  /**
   * How many bytes may wait to be written. Stops a peer that does not read from filling the memory: a
   * `sendPacket()` beyond it rejects with `OVERLOADED`; a reply or a broadcast beyond it ends the
   * connection as `SLOW_CONSUMER`. As much may wait for handlers while a request of ours is pending.
   *
   * @default {8_388_608}
   */
  maxBufferedBytes?: number;
  /**
   * How long a peer may take less than 64 KiB while more than an eighth of `maxBufferedBytes` waits
   * for it, in milliseconds; then it ends as `SLOW_CONSUMER`. Also how long handlers may take no packet
   * while as many wait as may, and a request of ours is pending. Stops a peer that has stalled from
   * holding memory for long.
   *
   * @default {10_000}
   */
  stallTimeoutMs?: number | false;
  /**
   * How many packets to the peer may be unacknowledged within a session, kept to be sent again after a
   * drop: beyond it `sendPacket()` waits, and a broadcast pushes out the oldest. Without a session, how
   * many packets of the peer may wait for a handler, or for `for await`, before reading pauses. Stops
   * whoever sends faster than the other side handles.
   *
   * @default {1_024}
   */
  replayPackets?: number;
  /**
   * The same in bytes on the wire.
   *
   * @default {1_048_576}
   */
  replayBytes?: number;
  /**
   * How many bytes of volatile packets may wait for a peer that is behind. Stops a stream of them from
   * filling the memory: the oldest are dropped, or the peer is, as the sender's policy says.
   *
   * @default {262_144}
   */
  maxVolatileBytes?: number;
  /**
   * How long a peer of a session may be silent before it is asked for a sign of life, in milliseconds;
   * a third of `deadAfterMs` at most.
   *
   * @default {15_000}
   */
  heartbeatMs?: number | false;
  /**
   * How long a peer of a session may be silent before its wire counts as dead, in milliseconds. Stops a
   * peer whose network is gone, without a FIN or RST, from being waited for.
   *
   * @default {45_000}
   */
  deadAfterMs?: number | false;
  /**
   * How many handlers run at once for this peer. Beyond it an arriving request is answered
   * `OVERLOADED` and other packets wait. Stops one peer from starting work without end.
   *
   * @default {1_024}
   */
  maxInFlight?: number;
  /**
   * How many requests of ours may wait for this peer's reply. Stops a peer that never answers from
   * filling the memory: one more rejects with `OVERLOADED`.
   *
   * @default {1_024}
   */
  maxPendingRequests?: number;
  /**
   * How long a request waits for its reply when it names no time of its own, in milliseconds. Stops
   * callers from waiting on a peer that never answers.
   *
   * @default {30_000}
   */
  requestTimeoutMs?: number | false;
  /**
   * How long handlers may go on, in milliseconds, once the peer has ended its side or this side shuts
   * down. Stops a handler that never settles from holding that up.
   *
   * @default {10_000}
   */
  drainTimeoutMs?: number;
  /**
   * How many groups a connection may be in. Stops a peer whose packets name groups from making them
   * without end.
   *
   * @default {128}
   */
  maxGroups?: number;
  /**
   * The longest name of a group, in UTF-16 code units. For the same reason.
   *
   * @default {128}
   */
  maxGroupNameLength?: number;
}

/** Limits that a {@linkcode Server} has besides those of each connection. */
export interface ServerLimits {
  /**
   * The longest first line, in bytes. Stops strangers from using memory.
   *
   * @default {4_096}
   */
  maxHandshakeBytes?: number;
  /**
   * How long a handshake may take in all, in milliseconds, `authenticate` included. Stops strangers
   * from holding a socket that they do not use.
   *
   * @default {5_000}
   */
  handshakeTimeoutMs?: number;
  /**
   * How many handshakes may be under way; then accepting pauses and the system queues. Stops a storm
   * of strangers from using memory.
   *
   * @default {256}
   */
  maxHandshakes?: number;
  /**
   * How many of those may come from one address (IPv6: one /64); a further one is refused with
   * `SERVER_FULL`. Stops one address from keeping all others out.
   *
   * @default {32}
   */
  maxHandshakesPerAddress?: number;
  /**
   * How many clients may be registered; a further one is refused with `SERVER_FULL`. Stops the process
   * from running out of memory and file descriptors.
   *
   * @default {10_000}
   */
  maxConnections?: number;
  /**
   * The same for one address (IPv6: one /64). Stops one address from taking all places.
   *
   * @default {256}
   */
  maxConnectionsPerAddress?: number | false;
  /**
   * How long a session is kept for a client whose wire dropped, in milliseconds; `false` for no
   * sessions at all. Stops clients that never come back from being kept for ever.
   *
   * @default {120_000}
   */
  sessionTtlMs?: number | false;
  /**
   * How many sessions are kept without a wire; beyond it the longest detached of the address that has
   * most of them ends. Stops a flood of clients that come and drop from filling the memory.
   *
   * @default {10_000}
   */
  maxDetached?: number;
  /**
   * The same for one address (IPv6: one /64). Stops one address from ending the sessions of others.
   *
   * @default {256}
   */
  maxDetachedPerAddress?: number | false;
  /**
   * How many bytes all clients together may have unacknowledged; beyond it those with most of them lose
   * their oldest, until a sixteenth is free, and their sessions can no longer be resumed without them.
   * Stops many slow clients from filling the memory together.
   *
   * @default {67_108_864}
   */
  maxReplayBytes?: number;
  /**
   * Whether loopback addresses are free of the limits per address. Unix sockets always are.
   *
   * @default {true}
   */
  exemptLoopback?: boolean;
}

/** Limits that a {@linkcode Client} has besides those of its connection. */
export interface ClientLimits {
  /**
   * The longest answer to the handshake, in bytes. Stops a hostile server from using memory.
   *
   * @default {4_096}
   */
  maxHandshakeBytes?: number;
  /**
   * How long connecting and the handshake may take in all, in milliseconds. Stops a server that
   * accepts and says nothing from holding the client up.
   *
   * @default {5_000}
   */
  handshakeTimeoutMs?: number;
  /**
   * Whether to ask the server for a session, which outlives dropped sockets. Without one the connection
   * ends with its socket.
   *
   * @default {true}
   */
  session?: boolean;
  /**
   * How long to wait before the first attempt to reconnect, at most, in milliseconds. The bound doubles
   * with each attempt, and each wait is drawn anew from 0 to the bound, so that many clients do not come
   * back all at once.
   *
   * @default {100}
   */
  minRetryMs?: number;
  /**
   * The largest such bound, in milliseconds.
   *
   * @default {10_000}
   */
  maxRetryMs?: number;
  /**
   * How many attempts in a row may fail before the connection ends; 0 for none at all, `false` for no
   * bound.
   *
   * @default {false}
   */
  maxAttempts?: number | false;
}

/** Every default there is. */
export const DEFAULTS = {
  host: "127.0.0.1",
  port: 25_565,
  maxPacketBytes: 1_048_576,
  maxDepth: 64 as number | false,
  partialLineTimeoutMs: 10_000 as number | false,
  maxPacketsPerSecond: false as number | false,
  maxBufferedBytes: 8_388_608,
  stallTimeoutMs: 10_000 as number | false,
  replayPackets: 1_024,
  replayBytes: 1_048_576,
  maxVolatileBytes: 262_144,
  heartbeatMs: 15_000 as number | false,
  deadAfterMs: 45_000 as number | false,
  maxInFlight: 1_024,
  maxPendingRequests: 1_024,
  requestTimeoutMs: 30_000 as number | false,
  drainTimeoutMs: 10_000,
  maxGroups: 128,
  maxGroupNameLength: 128,
  maxHandshakeBytes: 4_096,
  handshakeTimeoutMs: 5_000,
  maxHandshakes: 256,
  maxHandshakesPerAddress: 32,
  maxConnections: 10_000,
  maxConnectionsPerAddress: 256 as number | false,
  sessionTtlMs: 120_000 as number | false,
  maxDetached: 10_000,
  maxDetachedPerAddress: 256 as number | false,
  maxReplayBytes: 67_108_864,
  exemptLoopback: true,
  session: true,
  minRetryMs: 100,
  maxRetryMs: 10_000,
  maxAttempts: false as number | false,
};

/** {@linkcode ConnectionLimits} with nothing left out. */
export type ResolvedLimits = Required<ConnectionLimits>;
/** {@linkcode ConnectionLimits} and {@linkcode ServerLimits} with nothing left out. */
export type ResolvedServerLimits = Required<ConnectionLimits & ServerLimits>;
/** {@linkcode ConnectionLimits} and {@linkcode ClientLimits} with nothing left out. */
export type ResolvedClientLimits = Required<ConnectionLimits & ClientLimits>;

/** Where a server listens, or where a client finds it. */
export interface Endpoint {
  /**
   * A host name or an IP address.
   *
   * @default {"127.0.0.1"}
   */
  host?: string;
  /**
   * A TCP port, 0 to 65,535. A server that listens on 0 is given a free one.
   *
   * @default {25_565}
   */
  port?: number;
  /** The path of a Unix socket, in place of `host` and `port`. */
  path?: string;
}

/** An {@linkcode Endpoint} with nothing left out. */
export type ResolvedEndpoint = { host: string; port: number } | { path: string };

const CONNECTION_LIMITS = [
  "maxPacketBytes",
  "maxDepth",
  "partialLineTimeoutMs",
  "maxPacketsPerSecond",
  "maxBufferedBytes",
  "stallTimeoutMs",
  "replayPackets",
  "replayBytes",
  "maxVolatileBytes",
  "heartbeatMs",
  "deadAfterMs",
  "maxInFlight",
  "maxPendingRequests",
  "requestTimeoutMs",
  "drainTimeoutMs",
  "maxGroups",
  "maxGroupNameLength",
] as const;

const HANDSHAKE_LIMITS = ["maxHandshakeBytes", "handshakeTimeoutMs"] as const;

const SERVER_LIMITS = [
  ...CONNECTION_LIMITS,
  ...HANDSHAKE_LIMITS,
  "maxHandshakes",
  "maxHandshakesPerAddress",
  "maxConnections",
  "maxConnectionsPerAddress",
  "sessionTtlMs",
  "maxDetached",
  "maxDetachedPerAddress",
  "maxReplayBytes",
] as const;

const CLIENT_LIMITS = [
  ...CONNECTION_LIMITS,
  ...HANDSHAKE_LIMITS,
  "minRetryMs",
  "maxRetryMs",
  "maxAttempts",
] as const;

/** Those that may be 0. */
const MAY_BE_ZERO = new Set<string>(["drainTimeoutMs", "maxGroups", "maxDetached", "maxAttempts"]);
/** The smallest `maxPacketBytes`: any error reply must fit, its stamps included. */
export const MIN_PACKET_BYTES = 4_096;
/** Longer than this, a timer would fire at once. */
const MAX_MS = 2 ** 31 - 1;

/**
 * The limits of one connection.
 *
 * @throws {TypeError} If one has the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export function resolveConnectionLimits(options: ConnectionLimits): ResolvedLimits {
  checkOptions(options);
  return pick(CONNECTION_LIMITS, options);
}

/** The limits of a server and of each of its connections. Throws like {@linkcode resolveConnectionLimits}. */
export function resolveServerLimits(
  options: ConnectionLimits & ServerLimits,
): ResolvedServerLimits {
  checkOptions(options);
  const exemptLoopback = checkBoolean("exemptLoopback", options.exemptLoopback) ??
    DEFAULTS.exemptLoopback;
  return { ...pick(SERVER_LIMITS, options), exemptLoopback };
}

/** The limits of a client and of its connection. Throws like {@linkcode resolveConnectionLimits}. */
export function resolveClientLimits(
  options: ConnectionLimits & ClientLimits,
): ResolvedClientLimits {
  checkOptions(options);
  const session = checkBoolean("session", options.session) ?? DEFAULTS.session;
  return { ...pick(CLIENT_LIMITS, options), session };
}

/** Where to listen or to connect. Throws like {@linkcode resolveConnectionLimits}. */
export function resolveEndpoint(options: Endpoint): ResolvedEndpoint {
  checkOptions(options);
  const { host = DEFAULTS.host, port = DEFAULTS.port, path } = options;
  if (path !== undefined) {
    if (typeof path !== "string" || path === "") {
      throw new TypeError(`path must be the path of a Unix socket, got ${shown(path)}`);
    }
    if (options.host !== undefined || options.port !== undefined) {
      throw new TypeError("path goes without host and port");
    }
    return { path };
  }
  if (typeof host !== "string" || host === "") {
    throw new TypeError(`host must be a host name or an IP address, got ${shown(host)}`);
  }
  if (typeof port !== "number") throw new TypeError(`port must be a number, got ${typeof port}`);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`port must be an integer from 0 to 65535, got ${port}`);
  }
  return { host, port };
}

/** Checks that an option that is called back is a function. */
export function checkFunctions(options: object, names: readonly string[]): void {
  for (const name of names) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined && typeof value !== "function") {
      throw new TypeError(`${name} must be a function, got ${typeof value}`);
    }
  }
}

/** Checks what a caller wants to call something off with. */
export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`signal must be an AbortSignal, got ${typeof signal}`);
  }
}

/** Checks a time to wait that a caller gave. */
export function checkTimeout(name: string, value: number | false): number | false {
  if (value === false) return false;
  if (typeof value !== "number") {
    throw new TypeError(`${name} must be a number of milliseconds or false, got ${typeof value}`);
  }
  if (!(value >= 0 && value <= MAX_MS)) {
    throw new RangeError(`${name} must be from 0 to ${MAX_MS} ms, got ${value}`);
  }
  return value;
}

/** Checks how something is to end. */
export function checkCloseOptions(options: CloseOptions): CloseOptions {
  checkOptions(options);
  const { reason, drainTimeoutMs } = options;
  if (reason !== undefined && typeof reason !== "string") {
    throw new TypeError(`reason must be a string, got ${typeof reason}`);
  }
  if (drainTimeoutMs !== undefined) checkTimeout("drainTimeoutMs", drainTimeoutMs);
  return options;
}

function checkBoolean(name: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  throw new TypeError(`${name} must be a boolean, got ${typeof value}`);
}

/** Checks how a packet is to be sent. */
export function checkSendOptions(options: SendOptions): SendOptions {
  checkOptions(options);
  const { delivered, volatile, signal } = options;
  checkBoolean("delivered", delivered);
  checkBoolean("volatile", volatile);
  if (delivered && volatile) {
    throw new TypeError(
      "delivered and volatile exclude each other: what may be lost is not waited for",
    );
  }
  checkSignal(signal);
  return options;
}

/** What may be said of the ways to keep others out. */
interface Protection<Tls> {
  path?: string;
  secure?: unknown;
  tls?: Tls;
}

/** Checks what is said of TLS, and that it goes with the rest. Returns a copy. */
export function checkTls<Tls extends object>(
  role: "server" | "client",
  { path, secure, tls }: Protection<Tls>,
): Tls | undefined {
  if (tls === undefined) return undefined;
  checkOptions(tls);
  if (secure !== undefined || path !== undefined) {
    throw new TypeError("tls goes without secure, and without path");
  }
  const { cert, key, caCerts, hostname } = tls as Record<string, unknown>;
  const texts = role === "server" ? { cert, key } : hostname === undefined ? {} : { hostname };
  for (const [name, value] of Object.entries(texts)) {
    if (typeof value !== "string") {
      throw new TypeError(`tls.${name} must be a string, got ${typeof value}`);
    }
  }
  // One that is none would be passed over in silence, and nobody trusted.
  const isList = Array.isArray(caCerts) && caCerts.every(isCertificate);
  if (caCerts !== undefined && !isList) {
    throw new TypeError("tls.caCerts must be a list of certificates, as PEM");
  }
  return { ...tls, ...isList && { caCerts: [...caCerts] } };
}

function isCertificate(value: unknown): boolean {
  return typeof value === "string" && value.includes("-----BEGIN CERTIFICATE-----");
}

/** Checks that options are an object. */
export function checkOptions(options: unknown): void {
  if (options === null || typeof options !== "object") {
    throw new TypeError(
      `options must be an object, got ${options === null ? null : typeof options}`,
    );
  }
}

function pick<Name extends keyof typeof DEFAULTS>(
  names: readonly Name[],
  options: { [name in Name]?: unknown },
): Pick<typeof DEFAULTS, Name> {
  const limits: { [name in Name]?: unknown } = {};
  for (const name of names) limits[name] = checkLimit(name, options[name]);
  return limits as Pick<typeof DEFAULTS, Name>;
}

function checkLimit(name: keyof typeof DEFAULTS, value: unknown): unknown {
  if (value === undefined) return DEFAULTS[name];
  // Only a limit whose type allows it can be turned off.
  if (value === false && CAN_BE_OFF.has(name)) return false;
  if (typeof value !== "number") {
    const off = CAN_BE_OFF.has(name) ? " or false" : "";
    throw new TypeError(`${name} must be a number${off}, got ${typeof value}`);
  }
  const min = MAY_BE_ZERO.has(name) ? 0 : name === "maxPacketBytes" ? MIN_PACKET_BYTES : 1;
  const max = name.endsWith("Ms") ? MAX_MS : Number.MAX_SAFE_INTEGER;
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be an integer from ${min} to ${max}, got ${value}`);
  }
  return value;
}

const CAN_BE_OFF = new Set<string>([
  "maxDepth",
  "partialLineTimeoutMs",
  "maxPacketsPerSecond",
  "stallTimeoutMs",
  "requestTimeoutMs",
  "maxConnectionsPerAddress",
  "heartbeatMs",
  "deadAfterMs",
  "sessionTtlMs",
  "maxDetachedPerAddress",
  "maxAttempts",
]);

function shown(value: unknown): string {
  return value === "" ? "an empty string" : typeof value;
}
