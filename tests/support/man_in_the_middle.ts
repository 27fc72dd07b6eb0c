/**
 * Someone in the middle of secure connections who knows how they are made, and has none of their keys: sees
 * each line of the handshake and each record whole, and lets something else through in its place.
 *
 * @module
 */

import type { Direction, Link, OnBytes } from "./faulty_proxy.ts";
import { concat } from "./bytes.ts";

/** What goes through at once, or not: a line of the handshake with its end, or a record with its length. */
export interface Unit {
  /** The connection that it goes over. */
  link: Link;
  direction: Direction;
  /** Its number among all of its connection and direction: 0, 1, 2 … */
  index: number;
  /** Its number among the records; negative for a line of the handshake. */
  record: number;
  /** Where its first byte stands among all of its connection and direction. */
  at: number;
  bytes: Uint8Array;
}

/** What goes through in place of a unit. */
export type Change = (unit: Unit) => Uint8Array;

/** How many lines each side says before its first record. */
export const LINES: Record<Direction, number> = { toServer: 3, toClient: 1 };

const LF = 0x0a;

interface Flow {
  pending: Uint8Array;
  index: number;
  at: number;
}

/** Cuts what goes by into units, and asks of each what is to go through. For a proxy's `onBytes`. */
export function inTheMiddle(change: Change): OnBytes {
  const flows = new WeakMap<Link, Record<Direction, Flow>>();
  return (link, direction, bytes) => {
    if (!flows.has(link)) flows.set(link, { toServer: newFlow(), toClient: newFlow() });
    const flow = flows.get(link)![direction];
    flow.pending = concat([flow.pending, bytes]);
    const passed: Uint8Array[] = [];
    for (let length; (length = wholeLength(flow, direction)) !== undefined;) {
      const { index, at } = flow;
      const record = index - LINES[direction];
      const unit = flow.pending.slice(0, length);
      passed.push(change({ link, direction, index, record, at, bytes: unit }));
      flow.pending = flow.pending.subarray(length);
      flow.index++;
      flow.at += length;
    }
    return concat(passed);
  };
}

/** How long the next unit is; `undefined` if it is not whole yet. */
function wholeLength({ pending, index }: Flow, direction: Direction): number | undefined {
  if (index < LINES[direction]) return pending.indexOf(LF) + 1 || undefined;
  if (pending.length < 2) return undefined;
  const length = 2 + pending[0] * 256 + pending[1];
  return pending.length < length ? undefined : length;
}

function newFlow(): Flow {
  return { pending: new Uint8Array(0), index: 0, at: 0 };
}
