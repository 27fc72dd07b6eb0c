/**
 * The connections of a server or client, as a console names and shows them.
 *
 * @module
 */

import { Client } from "../client.ts";
import type { Connection } from "../connection.ts";
import { sanitize } from "../sanitize.ts";
import { Server } from "../server.ts";
import { CommandError } from "./command_error.ts";

/** What a console drives. Whatever its contract is, a person types names and JSON. */
export type Instance = Server | Client;

/** What `list` says of a connection. */
export interface Summary {
  /** Its public name. */
  id: string;
  /** Where the other side is, or was last. */
  address: string;
  /** `open`, `detached` while it has no socket, or on its way to its end. */
  state: string;
  /** What the other side's key is known by, on a secure connection. */
  fingerprint: string | null;
  /** When it began. */
  since: string;
  /** The groups that it is in. */
  groups: string[];
  /** Packets received. */
  received: number;
  /** Packets sent. */
  sent: number;
}

/** The connections of either. */
export function connectionsOf(instance: Instance): Connection[] {
  return [...(instance.clients as Map<string, Connection>).values()];
}

/** Those of them that have no socket at the moment. */
export function detachedOf(instance: Instance): Connection[] {
  return connectionsOf(instance).filter(({ state }) => state === "detached");
}

/** Which of the two it is. */
export function roleOf(instance: Instance): "server" | "client" {
  return instance instanceof Server ? "server" : "client";
}

/**
 * The connection that an id, or as much of it as is unique, means.
 *
 * @throws {CommandError} If none is meant, or several may be.
 */
export function findConnection(instance: Instance, typed: string): Connection {
  const all = connectionsOf(instance);
  if (all.length === 0) throw new CommandError(notConnected(instance));
  if (typed.toLowerCase() === "server" && instance instanceof Client) return all[0];
  const part = typed.toLowerCase();
  const exact = all.filter(({ id }) => id.toLowerCase() === part);
  const found = exact.length > 0 ? exact : all.filter(({ id }) =>
    // Ids made in the same second begin alike; their ends differ.
    id.toLowerCase().startsWith(part) || id.toLowerCase().endsWith(part)
  );
  const shown = sanitize(typed, 40);
  if (found.length === 0) throw new CommandError(`no connection has the id ${shown}: try list`);
  if (found.length > 1) {
    throw new CommandError(`${found.length} connections have an id like ${shown}: type more of it`);
  }
  return found[0];
}

/** What is said where there is no connection at all. */
export function notConnected(instance: Instance): string {
  return instance instanceof Client ? "the client is not connected" : "no client is connected";
}

/** What is said of a connection that has no socket at the moment. */
export function detachedText(instance: Instance): string {
  return instance instanceof Client ? "the client is reconnecting" : "its client is detached";
}

/** What `list` says of this one. */
export function summaryOf(connection: Connection): Summary {
  const { id, address, state, fingerprint = null, since, groups, stats } = connection;
  return {
    id,
    address,
    state,
    fingerprint,
    since: since.toISOString(),
    groups: [...groups],
    received: stats.packetsReceived,
    sent: stats.packetsSent,
  };
}

/** How long ago that was, as short as can be: `5s`, `12m`, `3h`, `40d`. */
export function ageOf(since: string, now: number = Date.now()): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1_000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
