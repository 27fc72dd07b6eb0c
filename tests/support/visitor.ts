/**
 * A client that has come to see how a server ends.
 *
 * @module
 */

import { Client, type ClientOptions, type CloseInfo } from "../../mod.ts";

/** A client that is connected, and tells why it has lost its socket first. */
export interface Visitor extends Client {
  readonly detached: Promise<CloseInfo>;
}

/** Connects one. */
export async function visit(options: ClientOptions): Promise<Visitor> {
  const { promise: detached, resolve } = Promise.withResolvers<CloseInfo>();
  const client = new Client({ ...options, onDetach: (_connection, info) => resolve(info) });
  await client.start();
  return Object.assign(client, { detached });
}
