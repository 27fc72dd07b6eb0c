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
  readonly #tokens = new Map<string, string>();

  /**
   * Makes a map.
   *
   * @param connections What is in it, by token.
   */
  constructor(connections?: Iterable<readonly [string, Connection<C>]> | null) {
    // A Map that is handed its entries would set them before it has its own fields.
    super();
    for (const [token, connection] of connections ?? []) this.set(token, connection);
  }

  /** The connection of this public id. */
  getById(id: string): Connection<C> | undefined {
    const token = this.#tokens.get(id);
    return token === undefined ? undefined : this.get(token);
  }

  /** Adds one under its token. */
  override set(token: string, connection: Connection<C>): this {
    this.#forget(token);
    this.#tokens.set(connection.id, token);
    return super.set(token, connection);
  }

  /** Takes one out. */
  override delete(token: string): boolean {
    this.#forget(token);
    return super.delete(token);
  }

  /** Takes all of them out. */
  override clear(): void {
    this.#tokens.clear();
    super.clear();
  }

  /** What may be shown: the connections without their tokens. */
  toJSON(): unknown[] {
    return [...this.values()].map((connection) => connection.toJSON());
  }

  /** For `console.log`. */
  [Symbol.for("Deno.customInspect")](): string {
    return `ConnectionMap(${this.size}) [${[...this.#tokens.keys()].join(", ")}]`;
  }

  /** For `console.log` of Node's kind. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `ConnectionMap(${this.size}) [${[...this.#tokens.keys()].join(", ")}]`;
  }

  /** The id of whoever has this token leads there no more. It may have moved to another one. */
  #forget(token: string): void {
    const id = this.get(token)?.id;
    if (id !== undefined && this.#tokens.get(id) === token) this.#tokens.delete(id);
  }
}
