/**
 * What can be told of a session whose bytes cannot be read: how far each of its connections is. Pure: no
 * socket, no timer, no clock.
 *
 * @module
 */

import type { Direction } from "../../tests/support/faulty_proxy.ts";
import { concat } from "../../tests/support/bytes.ts";
import type { WireName } from "../../tests/support/wires.ts";
import type { Phase } from "./deck.ts";

const LINE_FEED = 10;
/** How many lines each side says before there are records. */
const LINES: Record<Direction, number> = { toServer: 3, toClient: 1 };
/** TLS: what is encrypted. The client's first such record ends its handshake, the second is its own. */
const SEALED = 23;
/** TLS: the answer to a handshake is longer, a ticket shorter. */
const MIN_ANSWER_BYTES = 300;
/** The next one may be a little shorter still. */
const MARGIN = 0.9;

/** What one side has said on this connection. */
interface Flow {
  /** What is not whole yet. */
  pending: Uint8Array;
  /** Lines and records that went by. */
  units: number;
  /** Records of TLS that are encrypted. */
  sealed: number;
  bytes: number;
  /** Where its part of the handshake ended. */
  handshakeEnd: number | undefined;
}

/** Tells the parts of a connection by their sizes. */
export class SealedObserver {
  /** Nothing of this can be known. */
  readonly needlessReplays = 0;
  /** Nor this. */
  readonly acksBackwards = 0;
  /** Nor this. */
  readonly isUnacknowledgedBothWays = false;

  readonly #unitLength: (flow: Flow, direction: Direction) => number;
  readonly #wire: WireName;
  #flows: Record<Direction, Flow> = { toServer: newFlow(), toClient: newFlow() };
  #phase: Phase = "handshake";
  /** How long each part of the handshake was at the shortest: what is sent again may come with it. */
  readonly #lengths: Partial<Record<Direction, number>> = {};

  constructor(wire: Exclude<WireName, "plain">) {
    this.#wire = wire;
    this.#unitLength = wire === "secure" ? secureLength : tlsLength;
  }

  /** How far the connection is. In `traffic` the client has read the answer. */
  get phase(): Phase {
    return this.#phase;
  }

  /** Whether the server reads this connection, and no longer the one before. */
  get isTakenOver(): boolean {
    return this.#flows.toClient.handshakeEnd !== undefined;
  }

  /** How long a side's part of the handshake is that begins like this, or a little less. */
  handshakeLength(direction: Direction, bytes: Uint8Array): number {
    return Math.floor((this.#lengths[direction] ?? bytes.length) * MARGIN);
  }

  /** Another connection begins. */
  beginConnection(): void {
    this.#phase = "handshake";
    this.#flows = { toServer: newFlow(), toClient: newFlow() };
  }

  /** These bytes went in, when so many had come out. */
  take(direction: Direction, bytes: Uint8Array, out: Record<Direction, number>): void {
    const { toClient } = this.#flows;
    if (direction === "toClient" && this.#phase === "handshake") this.#phase = "answer";
    else if (direction === "toServer" && out.toClient >= (toClient.handshakeEnd ?? Infinity)) {
      this.#phase = "traffic";
    }
    const flow = this.#flows[direction];
    if (flow.handshakeEnd !== undefined) return;
    flow.pending = concat([flow.pending, bytes]);
    while (flow.handshakeEnd === undefined) {
      const length = this.#unitLength(flow, direction);
      if (flow.pending.length < length) return;
      this.#take(flow, direction, length);
    }
  }

  /** What came out tells nothing more. */
  cameOut(): void {}

  #take(flow: Flow, direction: Direction, length: number): void {
    if (flow.pending[0] === SEALED) flow.sealed++;
    flow.pending = flow.pending.subarray(length);
    flow.units++;
    flow.bytes += length;
    if (!this.#isLast(flow, direction, length)) return;
    flow.handshakeEnd = flow.bytes;
    this.#lengths[direction] = Math.min(this.#lengths[direction] ?? Infinity, flow.bytes);
  }

  /** Whether this was the last unit of a side's part of the handshake. */
  #isLast({ units, sealed }: Flow, direction: Direction, length: number): boolean {
    if (this.#wire === "secure") return units > LINES[direction];
    if (direction === "toServer") return sealed === 2;
    return length > MIN_ANSWER_BYTES && this.#flows.toServer.sealed >= 2;
  }
}

function secureLength({ pending, units }: Flow, direction: Direction): number {
  if (units < LINES[direction]) return pending.indexOf(LINE_FEED) + 1 || Infinity;
  return pending.length < 2 ? Infinity : 2 + pending[0]! * 256 + pending[1]!;
}

function tlsLength({ pending }: Flow): number {
  return pending.length < 5 ? Infinity : 5 + pending[3]! * 256 + pending[4]!;
}

function newFlow(): Flow {
  return { pending: new Uint8Array(0), units: 0, sealed: 0, bytes: 0, handshakeEnd: undefined };
}
