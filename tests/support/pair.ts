/**
 * Two ends of a connection in memory.
 *
 * @module
 */

import type { StreamPair } from "../../mod.ts";

/** What is written to one end is read at the other. */
export function pair(): [left: StreamPair, right: StreamPair] {
  const there = new TransformStream<Uint8Array, Uint8Array>();
  const back = new TransformStream<Uint8Array, Uint8Array>();
  return [
    { readable: back.readable, writable: there.writable },
    { readable: there.readable, writable: back.writable },
  ];
}
