/**
 * What goes out to one peer: stamped, measured, and held to what may wait.
 *
 * @module
 */

import { ConnectionError, type PnetworkError, ProtocolError, RequestError } from "./errors.ts";
import { encodeControl, encodeTail, type Stamp } from "./packet.ts";
import type { Wire } from "./wire.ts";

/** What an outbox is given besides its wire. */
export interface OutboxOptions {
  /** The token of the connection. */
  token: string | null;
  /** The longest packet that the peer accepts, in bytes. */
  peerMaxPacketBytes: number;
  /** How many bytes may wait to be written. */
  maxBufferedBytes: number;
}

/** Kept for the fields that a sender adds to a packet after it was measured. */
const TAIL_BYTES = 256;

const encoder = new TextEncoder();

/** The sending half of a connection. */
export class Outbox {
  readonly #wire: Wire;
  readonly #options: OutboxOptions;
  #packetsSent = 0;

  constructor(wire: Wire, options: OutboxOptions) {
    this.#wire = wire;
    this.#options = options;
  }

  /** How many packets went out. */
  get packetsSent(): number {
    return this.#packetsSent;
  }

  /**
   * Sends one packet whose sender can be told that there is no room.
   *
   * @param head What `encodeHead` made.
   * @returns Why it was not sent, if it was not: `PACKET_TOO_LARGE` or `OVERLOADED`.
   */
  send(head: string, stamp: Partial<Stamp> = {}): PnetworkError | undefined {
    if (!this.#fits(head)) return this.#tooLarge();
    const line = this.#stamp(head, stamp);
    if (!this.#hasRoomFor(line)) {
      const { maxBufferedBytes } = this.#options;
      return new RequestError("OVERLOADED", `${maxBufferedBytes} bytes wait to be written`);
    }
    this.#write(line);
  }

  /**
   * Sends one that must go out, as replies and broadcasts must. A peer for which there is no room is
   * too slow to go on with.
   *
   * @returns Why it was not sent, if it was not: `PACKET_TOO_LARGE` or `SLOW_CONSUMER`.
   */
  mustSend(head: string, stamp: Partial<Stamp> = {}): PnetworkError | undefined {
    if (!this.#fits(head)) return this.#tooLarge();
    return this.#mustWrite(this.#stamp(head, stamp));
  }

  /** Sends one of the protocol's own packets. Returns like {@linkcode Outbox.mustSend}. */
  sendControl(action: `@${string}`, data: unknown): PnetworkError | undefined {
    return this.#mustWrite(encodeControl(action, data));
  }

  #stamp(head: string, stamp: Partial<Stamp>): string {
    return head + encodeTail({ created: Date.now(), token: this.#options.token, ...stamp });
  }

  #mustWrite(line: string): PnetworkError | undefined {
    if (!this.#hasRoomFor(line)) {
      return new ConnectionError("SLOW_CONSUMER", "the peer does not take what is sent to it");
    }
    this.#write(line);
  }

  #write(line: string): void {
    this.#packetsSent++;
    this.#wire.write(line);
  }

  #hasRoomFor(line: string): boolean {
    const { buffered } = this.#wire;
    return buffered === 0 || buffered + line.length <= this.#options.maxBufferedBytes;
  }

  #fits(head: string): boolean {
    const max = this.#options.peerMaxPacketBytes - TAIL_BYTES;
    // A UTF-16 code unit takes three bytes at most: what is short needs no measuring.
    return head.length * 3 <= max || (head.length <= max && encoder.encode(head).length <= max);
  }

  #tooLarge(): ProtocolError {
    const { peerMaxPacketBytes } = this.#options;
    return new ProtocolError(
      "PACKET_TOO_LARGE",
      `the peer takes packets of up to ${peerMaxPacketBytes} bytes, ${TAIL_BYTES} of them kept for what is stamped on`,
    );
  }
}
