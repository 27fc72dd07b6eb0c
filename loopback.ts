/**
 * Running an action here, without the other side.
 *
 * @module
 */

import type { ActionTable } from "./actions.ts";
import { acceptConnection, Connection } from "./connection.ts";
import { DEFAULTS, type ResolvedLimits } from "./options.ts";
import { Sweep } from "./sweep.ts";
import { StreamTransport } from "./transport.ts";
import { Wire } from "./wire.ts";

/**
 * Runs what is bound to a name as if a request had come, over a connection in memory that lives as
 * long as the request.
 *
 * @returns The reply. Rejects like {@linkcode Connection.request}.
 */
export async function runAction(
  actions: ActionTable,
  limits: ResolvedLimits,
  name: string,
  data: unknown,
): Promise<unknown> {
  const there = new TransformStream<Uint8Array, Uint8Array>();
  const back = new TransformStream<Uint8Array, Uint8Array>();
  const sweep = new Sweep();
  const far = { readable: there.readable, writable: back.writable };
  await using handler = acceptConnection({
    id: crypto.randomUUID(),
    token: null,
    wire: new Wire(new StreamTransport(far), { limits, sweep }),
    sweep,
    limits,
    peerMaxPacketBytes: DEFAULTS.maxPacketBytes,
    actions,
    onEnd: () => {},
  });
  await using caller = new Connection({ readable: back.readable, writable: there.writable });
  handler.startListen();
  return await caller.request(name, data);
}
