/**
 * Who is registered with a server, and for how long.
 *
 * @module
 */

import { AddressCounts } from "./addresses.ts";
import { type Connection, conversationOf } from "./connection.ts";
import { ConnectionMap, forgetConnection, keepConnection } from "./connection_map.ts";
import type { Contract, Untyped } from "./contract.ts";
import { Detached } from "./detached.ts";
import { HandshakeError } from "./errors.ts";
import type { ResolvedServerLimits } from "./options.ts";
import { Roster } from "./roster.ts";
import type { Sweep } from "./sweep.ts";

/** What is known of one client besides its connection. */
interface Member<C extends Contract> {
  readonly connection: Connection<C>;
  /** Under which it is kept. */
  readonly token: string;
  /** What counts as its address; `undefined` for one that is not counted. */
  from: string | undefined;
  /** Calls the end of its session off; set while it is detached. */
  callOff: (() => void) | undefined;
}

/** The clients of a server, those among them that have no wire, and the room that there is for either. */
export class Registry<C extends Contract = Untyped> {
  /** All of them, by their secret token. */
  readonly clients: ConnectionMap<C> = new ConnectionMap<C>();

  readonly #limits: ResolvedServerLimits;
  readonly #sweep: Sweep;
  readonly #members = new Roster<Connection<C>, Member<C>>();
  readonly #attached = new AddressCounts();
  readonly #detached: Detached<Member<C>>;

  constructor(limits: ResolvedServerLimits, sweep: Sweep) {
    this.#limits = limits;
    this.#sweep = sweep;
    this.#detached = new Detached(limits);
  }

  /**
   * Whether one more from there may have a wire.
   *
   * @throws {HandshakeError} `SERVER_FULL`.
   */
  checkRoom(from: string | undefined): void {
    const { maxConnections, maxConnectionsPerAddress } = this.#limits;
    if (this.#attached.total >= maxConnections) {
      throw new HandshakeError("SERVER_FULL", "the server has no room for more clients");
    }
    if (
      maxConnectionsPerAddress !== false && this.#attached.of(from) >= maxConnectionsPerAddress
    ) {
      throw new HandshakeError("SERVER_FULL", "too many clients from this address");
    }
  }

  /** Adds one that has a wire. */
  add(connection: Connection<C>, token: string, from: string | undefined): void {
    this.#members.set(connection, { connection, token, from, callOff: undefined });
    keepConnection(this.clients, token, connection);
    this.#attached.add(from);
  }

  /**
   * One has lost its wire: its session waits for another one, for its time, while there is room for it.
   *
   * @returns One whose session has to end for that, if one has.
   */
  detach(connection: Connection<C>): Connection<C> | undefined {
    const member = this.#members.get(connection)!;
    this.#attached.remove(member.from);
    member.callOff = this.#sweep.after(
      this.#limits.sessionTtlMs as number,
      () => loseSession(connection, "the client did not come back in time"),
    );
    return this.#detached.add(member, member.from)?.connection;
  }

  /**
   * One gets another wire, which comes from there.
   *
   * @throws {HandshakeError} `SERVER_FULL`: then nothing has changed.
   */
  reattach(connection: Connection<C>, from: string | undefined): void {
    const member = this.#members.get(connection)!;
    const isTakeover = member.callOff === undefined;
    // It need not find room for what it holds already.
    if (isTakeover) this.#attached.remove(member.from);
    try {
      this.checkRoom(from);
    } catch (error) {
      if (isTakeover) this.#attached.add(member.from);
      throw error;
    }
    this.#comeBack(member);
    member.from = from;
    this.#attached.add(from);
  }

  /** One has ended. */
  delete(connection: Connection<C>): void {
    const member = this.#members.get(connection)!;
    forgetConnection(this.clients, member.token);
    this.#members.delete(connection);
    if (member.callOff) this.#comeBack(member);
    else this.#attached.remove(member.from);
  }

  /** A detached one is none any more. */
  #comeBack(member: Member<C>): void {
    if (!member.callOff) return;
    member.callOff();
    member.callOff = undefined;
    this.#detached.delete(member, member.from);
  }
}

/** Ends a session that cannot go on. */
export function loseSession<C extends Contract>(connection: Connection<C>, reason: string): void {
  conversationOf(connection).abandon({ code: "SESSION_LOST", reason });
}
