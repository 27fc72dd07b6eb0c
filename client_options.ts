/**
 * What a client may be told, and what it tells.
 *
 * @module
 */

import type { Connection } from "./connection.ts";
import type { CloseInfo, Contract, Flipped, Untyped } from "./contract.ts";
import type { EncryptKeys } from "./crypto.ts";
import type { LossReason } from "./handshake.ts";
import type { Identity } from "./identity.ts";
import type { ClientLimits, ConnectionLimits, Endpoint } from "./options.ts";
import type { TlsClientOptions } from "./transport.ts";
import type { Undelivered } from "./window.ts";

/** What a `Client` may be told. */
export interface ClientOptions<C extends Contract = Untyped>
  extends Endpoint, ClientLimits, ConnectionLimits {
  /**
   * A secure connection, and how to know the server: then plain servers are refused.
   *
   * @default {undefined}
   */
  secure?: SecureClientOptions;
  /**
   * A connection over TLS, where the server has a certificate.
   *
   * @default {undefined}
   */
  tls?: TlsClientOptions;
  /** Keys for sealed packets; `createEncryptKeys()` makes some later. */
  encryptKeys?: EncryptKeys;
  /** What the server's `authenticate` is shown: any JSON, within `maxHandshakeBytes` of the server. */
  auth?: unknown;
  /**
   * The connection has come. Its packets are handled when this has returned (or its promise has
   * resolved), unless a `for await` over the connection began meanwhile. If it throws, the connection
   * is closed.
   */
  onConnect?: (connection: Connection<Flipped<C>>) => unknown;
  /** The connection has lost its socket. The client reconnects by itself. */
  onDetach?: (connection: Connection<Flipped<C>>, info: CloseInfo) => unknown;
  /** Another attempt to connect is about to be made. */
  onRetry?: (attempt: RetryInfo) => unknown;
  /** The client has come back to its session: nothing was lost. */
  onResume?: (connection: Connection<Flipped<C>>) => unknown;
  /**
   * The client is connected again, but its session could not go on: the connection has a new id and a new
   * token, and the server knows nothing of what it was before. Here is what may not have arrived; nothing
   * of it is sent again.
   */
  onSessionLost?: (connection: Connection<Flipped<C>>, loss: SessionLoss) => unknown;
  /**
   * The connection has gone for good. It may have while `onConnect` was still at work. What the server
   * did not acknowledge is in its `undelivered`.
   */
  onDisconnect?: (connection: Connection<Flipped<C>>, info: CloseInfo) => unknown;
  /** Calls reconnecting off: a connection without a socket then ends. */
  signal?: AbortSignal;
}

/** How a client knows its server, and is known to it. */
export interface SecureClientOptions {
  /**
   * The server's fingerprint (`pnet1:…`), several that will do, or a function that decides. Without it
   * anyone could be the server.
   */
  pin: string | readonly string[] | ((fingerprint: string) => boolean | Promise<boolean>);
  /**
   * The client's own key, for servers that know their clients by it.
   *
   * @default A new one for each client.
   */
  identity?: Identity;
}

/** One more attempt to connect. */
export interface RetryInfo {
  /** How many have been made in a row, this one included. */
  attempt: number;
  /** How long it waits first, in milliseconds. */
  delayMs: number;
  /** Why the one before failed; `undefined` at the first. */
  error?: unknown;
}

/** A session that could not go on, and what it left. */
export interface SessionLoss extends Undelivered {
  /** Why: the server is another one than before, too much was missing, or the session's time was over. */
  reason: LossReason;
}

/** How a `Client` starts. */
export interface ConnectOptions {
  /** Calls the start off. */
  signal?: AbortSignal;
  /**
   * Whether to keep trying where the first attempt fails, with the waits and the `maxAttempts` of
   * reconnecting. A refusal is final all the same.
   *
   * @default {false}
   */
  retry?: boolean;
}

/** Where a client is. */
export type ClientState = "idle" | "connecting" | "connected" | "reconnecting" | "closed";
