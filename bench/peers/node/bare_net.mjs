/**
 * The floor on `node:net`: JSON lines written by hand, as [bare.ts](../../bare.ts) is on `Deno.Conn`.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** A flood writes when so much of it waits. */
export const BATCH_LENGTH = 65_536;
/** Replies are written when so much of them waits. */
export const EARLY_LENGTH = 4_096;
const LINE_FEED = 10;

/**
 * Reads until the end, and hands over what came with each read.
 *
 * @param {import("node:net").Socket} socket
 * @param {(packets: any[]) => void} take
 */
export function readPackets(socket, take) {
  /** @type {Buffer | undefined} */
  let partial;
  socket.on("data", (chunk) => {
    if (partial) chunk = Buffer.concat([partial, chunk]);
    const end = chunk.lastIndexOf(LINE_FEED) + 1;
    partial = end < chunk.length ? chunk.subarray(end) : undefined;
    if (end === 0) return;
    const text = chunk.utf8Slice(0, end);
    const packets = [];
    for (let from = 0, to; (to = text.indexOf("\n", from)) >= 0; from = to + 1) {
      packets.push(JSON.parse(text.slice(from, to)));
    }
    take(packets);
  });
}
