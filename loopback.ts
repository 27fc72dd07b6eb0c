/**
 * Running an action here, without the other side.
 *
 * @module
 */

import type { ActionTable } from "./actions.ts";
import { acceptConnection, Connection } from "./connection.ts";
import { DEFAULTS, type ResolvedLimits } from "./options.ts";
import { decodePacket, encodeHead } from "./packet.ts";
import { encodeTail } from "./stamp.ts";
import { processSweep } from "./sweep.ts";
import { StreamTransport } from "./transport.ts";
import { Wire } from "./wire.ts";

/**
 * Runs what is bound to a name as if a request had come. What the bind is handed is a connection in
 * memory that lives as long as it runs.
 *
 * @returns What it returns. Rejects with what it throws: unlike a peer, whoever calls this may know.
 */
export async function runAction(
  actions: ActionTable,
  limits: ResolvedLimits,
  name: string,
  data: unknown,
): Promise<unknown> {
  const there = new TransformStream<Uint8Array, Uint8Array>();
  const back = new TransformStream<Uint8Array, Uint8Array>();
  const far = { readable: there.readable, writable: back.writable };
  await using handler = acceptConnection({
    id: crypto.randomUUID(),
    token: null,
    wire: new Wire(new StreamTransport(far), { limits, sweep: processSweep }),
    sweep: processSweep,
    limits,
    peerLimits: DEFAULTS,
    hasSession: false,
    actions,
    onEnd: () => {},
  });
  await using _caller = new Connection({ readable: back.readable, writable: there.writable });
  const head = encodeHead({ action: name, data });
  const packet = decodePacket(head + encodeTail({ created: Date.now(), token: null }));
  const run = await actions.prepare(packet);
  return await run(packet, handler) ?? null;
}
