/**
 * What a server may be told, and the groups that it has.
 *
 * @module
 */

import type { Verdict } from "./admission.ts";
import type {
  BroadcastOptions,
  BroadcastOutcome,
  BroadcastRequestOptions,
  BroadcastResult,
} from "./broadcasts.ts";
import type { Connection } from "./connection.ts";
import type { ActionsOf, CloseInfo, Contract, PacketTo, Untyped } from "./contract.ts";
import type { EncryptKeys } from "./crypto.ts";
import type { Handshake } from "./handshake.ts";
import type { Identity } from "./identity.ts";
import type { ConnectionLimits, Endpoint, ServerLimits } from "./options.ts";
import type { TlsServerOptions } from "./transport.ts";

/** What a `Server` may be told. */
export interface ServerOptions<C extends Contract = Untyped>
  extends Endpoint, ServerLimits, ConnectionLimits {
  /**
   * The server's key: it takes secure connections then, and no others.
   *
   * @default {undefined}
   */
  secure?: Identity;
  /**
   * The certificate of a server that speaks TLS, and its key.
   *
   * @default {undefined}
   */
  tls?: TlsServerOptions;
  /** Keys for sealed packets; `createEncryptKeys()` makes some later. */
  encryptKeys?: EncryptKeys;
  /**
   * Decides who may come in, within `handshakeTimeoutMs`. If it throws, or decides nothing, the
   * client is refused. It is asked again whenever a client comes back to its session: `held` is then the
   * connection that would go on. A refusal leaves that as it was; what is attached anew is not.
   *
   * @default {() => true}
   */
  authenticate?: (
    handshake: Handshake,
    held?: Connection<C>,
  ) => Verdict | Promise<Verdict>;
  /**
   * A connection has come. Its packets are handled when this has returned (or its promise has
   * resolved), unless a `for await` over the connection began meanwhile. If it throws, the connection
   * is closed.
   */
  onConnect?: (connection: Connection<C>) => unknown;
  /** A connection has lost its socket, and is kept for `sessionTtlMs`. */
  onDetach?: (connection: Connection<C>, info: CloseInfo) => unknown;
  /** A client has come back: nothing was lost. Also when its socket before was not known to be dead. */
  onResume?: (connection: Connection<C>) => unknown;
  /**
   * A connection has gone. It may have while `onConnect` was still at work. What it did not get is in its
   * `undelivered`.
   */
  onDisconnect?: (connection: Connection<C>, info: CloseInfo) => unknown;
}

/** How a `Server` starts. */
export interface StartOptions {
  /** Calls the start off. */
  signal?: AbortSignal;
}

/** A set of connections to broadcast to. It exists while it has members. */
export interface Group<C extends Contract = Untyped> {
  /** Its name. */
  readonly name: string;
  /** Who is in it. */
  readonly members: ReadonlySet<Connection<C>>;
  /** Sends a packet to all members. See `Server.broadcast()`. */
  broadcast(
    packet: PacketTo<ActionsOf<C, "client">>,
    options?: BroadcastOptions,
  ): BroadcastResult;
  /** Asks all members for a reply. See `Server.broadcast()`. */
  broadcast(
    packet: PacketTo<ActionsOf<C, "client">>,
    options: BroadcastRequestOptions,
  ): Promise<Map<string, BroadcastOutcome>>;
}
