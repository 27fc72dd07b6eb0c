/**
 * The peers of a server or a client, by token.
 *
 * @module
 */

import type { Connection } from "./connection.ts";
import type { Contract, Untyped } from "./contract.ts";

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
  readonly #byId = new Map<string, Connection<C>>();

  /** The connection of this public id. */
  getById(id: string): Connection<C> | undefined {
    return this.#byId.get(id);
  }

  /** Adds one under its token. */
  override set(token: string, connection: Connection<C>): this {
    this.#byId.set(connection.id, connection);
    return super.set(token, connection);
  }

  /** Takes one out. */
  override delete(token: string): boolean {
    const connection = this.get(token);
    if (connection) this.#byId.delete(connection.id);
    return super.delete(token);
  }

  /** Takes all of them out. */
  override clear(): void {
    this.#byId.clear();
    super.clear();
  }

  /** What may be shown: the connections without their tokens. */
  toJSON(): unknown[] {
    return [...this.values()].map((connection) => connection.toJSON());
  }

  /** For `console.log`. */
  [Symbol.for("Deno.customInspect")](): string {
    return `ConnectionMap(${this.size}) [${[...this.#byId.keys()].join(", ")}]`;
  }

  /** For `console.log` of Node's kind. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `ConnectionMap(${this.size}) [${[...this.#byId.keys()].join(", ")}]`;
  }
}
