/**
 * What arrived within a session, and what of it was handed over. Pure: no socket, no timer, no clock.
 *
 * @module
 */

import { ProtocolError } from "./errors.ts";
import { Queue } from "./queue.ts";
import type { WindowLimits } from "./window.ts";

/** An acknowledgement is due after so much, unless a quarter of the sender's window is less. */
const ACK_PACKETS = 64;
const ACK_BYTES = 131_072;

interface Held {
  packet: object;
  seq: number;
  bytes: number;
}

/**
 * Tells new packets from those that came before, and counts what may be acknowledged: everything up
 * to the first packet that was not handed over yet.
 */
export class Arrivals {
  readonly #ackPackets: number;
  readonly #ackBytes: number;
  /** The first packet that is held, and its number: most are handed over before the next one comes. */
  #first: object | undefined;
  #firstSeq = 0;
  #firstBytes = 0;
  /** Those after it. */
  readonly #held = new Queue<Held>();
  #received = 0;
  /** What of that has been passed or held: the last one counts as handed over no sooner. */
  #sorted = 0;
  #told = 0;
  /** Up to where the other side has asked how far this one is. */
  #asked = 0;
  #duplicates = 0;
  #owedBytes = 0;

  /** @param sender How much the other side may have unacknowledged. */
  constructor(sender: WindowLimits) {
    this.#ackPackets = Math.min(ACK_PACKETS, Math.max(1, Math.floor(sender.replayPackets / 4)));
    this.#ackBytes = Math.min(ACK_BYTES, Math.max(1, Math.floor(sender.replayBytes / 4)));
  }

  /** Up to which number everything was handed over: what is acknowledged. */
  get handedOver(): number {
    return this.#first ? this.#firstSeq - 1 : this.#sorted;
  }

  /** Whether there is something to acknowledge. */
  get isAckOwed(): boolean {
    return this.#duplicates > 0 || this.handedOver > this.#told;
  }

  /** Whether that should not wait for traffic to ride on. */
  get isAckDue(): boolean {
    const owed = this.handedOver - this.#told;
    return owed + this.#duplicates >= this.#ackPackets ||
      (owed > 0 && this.#owedBytes >= this.#ackBytes) ||
      (this.#told < this.#asked && this.#asked <= this.handedOver);
  }

  /**
   * A number arrived. Of one that is new it is to be said at once whether it is passed or held.
   *
   * @returns `false` if it came before: its packet is to be dropped.
   * @throws {ProtocolError} `PROTOCOL_ERROR`, if one is missing before it, or it is no number.
   */
  receive(seq: unknown): boolean {
    if (!Number.isSafeInteger(seq) || (seq as number) < 1) {
      throw new ProtocolError("PROTOCOL_ERROR", "seq must be an integer from 1");
    }
    if ((seq as number) > this.#received + 1) {
      throw new ProtocolError("PROTOCOL_ERROR", "seq leaves a gap");
    }
    if ((seq as number) <= this.#received) {
      // Whoever sends it again has not heard that it arrived.
      this.#duplicates++;
      return false;
    }
    this.#received++;
    return true;
  }

  /** The packet that was received last was dealt with at once. */
  pass(bytes: number): void {
    this.#sorted = this.#received;
    this.#owedBytes += bytes;
  }

  /** The packet that was received last waits for its turn. */
  hold(packet: object, bytes: number): void {
    this.#sorted = this.#received;
    if (this.#first) this.#held.push({ packet, seq: this.#received, bytes });
    else this.#setFirst(packet, this.#received, bytes);
  }

  /** A packet that waited has its turn. One of an earlier session is none of this one's. */
  handOver(packet: object): void {
    if (this.#first !== packet) return;
    this.#owedBytes += this.#firstBytes;
    const next = this.#held.shift();
    if (next) this.#setFirst(next.packet, next.seq, next.bytes);
    else this.#first = undefined;
  }

  #setFirst(packet: object, seq: number, bytes: number): void {
    this.#first = packet;
    this.#firstSeq = seq;
    this.#firstBytes = bytes;
  }

  /** What to acknowledge. From now on it counts as told. */
  takeAck(): number {
    this.#duplicates = 0;
    this.#owedBytes = 0;
    return this.#told = this.handedOver;
  }

  /** The same, to a side that asks: what it does not cover yet is due as soon as it is handed over. */
  takeAskedAck(): number {
    this.#asked = this.#received;
    return this.takeAck();
  }
}
