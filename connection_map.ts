/**
 * The peers of a server or a client, by token.
 *
 * @module
 */

import type { Connection } from "./connection.ts";
import type { Contract, Untyped } from "./contract.ts";
import { Roster } from "./roster.ts";

// deno-lint-ignore no-explicit-any -- whatever their contract
type AnyMap = ConnectionMap<any>;
// deno-lint-ignore no-explicit-any -- whatever its contract
type AnyConnection = Connection<any>;

let keep: (map: AnyMap, token: string, connection: AnyConnection) => void;
let forget: (map: AnyMap, token: string) => void;

/**
 * Connections by their secret token. Printed or turned into JSON it shows their ids alone. Its keys
 * are secrets all the same: whoever walks over `keys()` or `entries()` holds them.
 *
 * @example
 * ```ts
 * import { Server } from "@pnetwork/pnetwork";
 *
 * const server = new Server();
 * server.bindAction("poke", (token) => {
 *   if (typeof token === "string") server.clients.get(token)?.sendPacket({ action: "poked" });
 * });
 * ```
 */
export class ConnectionMap<C extends Contract = Untyped> extends Map<string, Connection<C>> {
  // Not in the map that this extends: whatever looks into that one, as console.table does, sees nothing.
  readonly #connections = new Roster<string, Connection<C>>();
  readonly #byId = new Roster<string, Connection<C>>();

  static {
    keep = (map, token, connection) => {
      map.#connections.set(token, connection);
      map.#byId.set(connection.id, connection);
    };
    forget = (map, token) => {
      const id = map.#connections.get(token)?.id;
      if (id !== undefined) map.#byId.delete(id);
      map.#connections.delete(token);
    };
  }

  /** Servers and clients make theirs. */
  constructor() {
    super();
  }

  /** The connection of this public id. */
  getById(id: string): Connection<C> | undefined {
    return this.#byId.get(id);
  }

  /** How many there are. */
  override get size(): number {
    // The constructor of Map looks here before there is anything.
    return this.#connections.size;
  }

  /** The connection of this token. */
  override get(token: string): Connection<C> | undefined {
    return this.#connections.get(token);
  }

  /** Whether there is one of this token. */
  override has(token: string): boolean {
    return this.#connections.has(token);
  }

  /** The tokens: secrets. */
  override keys(): MapIterator<string> {
    return this.#connections.keys();
  }

  /** The connections. */
  override values(): MapIterator<Connection<C>> {
    return this.#connections.values();
  }

  /** The connections by token. */
  override entries(): MapIterator<[string, Connection<C>]> {
    return this.#connections[Symbol.iterator]();
  }

  /** The connections by token. */
  override [Symbol.iterator](): MapIterator<[string, Connection<C>]> {
    return this.entries();
  }

  /** Calls back for each. */
  override forEach(
    callback: (connection: Connection<C>, token: string, map: Map<string, Connection<C>>) => void,
    thisArg?: unknown,
  ): void {
    for (const [token, connection] of this.entries()) {
      callback.call(thisArg, connection, token, this);
    }
  }

  /**
   * Not for users.
   *
   * @throws {TypeError} Always: who is in it, its server or client decides.
   */
  override set(_token: string, _connection: Connection<C>): this {
    throw new TypeError("clients cannot be set: a connection is in it while it lives");
  }

  /**
   * Not for users.
   *
   * @throws {TypeError} Always: close the connection instead.
   */
  override delete(_token: string): boolean {
    throw new TypeError("clients cannot be deleted: close the connection instead");
  }

  /**
   * Not for users.
   *
   * @throws {TypeError} Always: close the connections instead.
   */
  override clear(): void {
    throw new TypeError("clients cannot be cleared: close the connections instead");
  }

  /** What may be shown: the connections without their tokens. */
  toJSON(): unknown[] {
    return [...this.values()].map((connection) => connection.toJSON());
  }

  /** For `console.log` and `Deno.inspect`. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `ConnectionMap(${this.size}) [${[...this.#byId.keys()].join(", ")}]`;
  }
}

/** Adds a connection under its token. For the server or client that the map belongs to. */
export function keepConnection(map: AnyMap, token: string, connection: AnyConnection): void {
  keep(map, token, connection);
}

/** Takes one out. */
export function forgetConnection(map: AnyMap, token: string): void {
  forget(map, token);
}
