/**
 * One wire in the service of a conversation.
 *
 * @module
 */

import { encodeClose } from "./close_info.ts";
import type { CloseInfo } from "./contract.ts";
import { ConnectionError } from "./errors.ts";
import { Pulse } from "./pulse.ts";
import { ReadLoop, type ReadLoopParts } from "./read_loop.ts";
import type { Delivery } from "./session.ts";
import type { Wire } from "./wire.ts";

/** How the end of a wire is told: with a goodbye, with what was queued alone, or not at all. */
export type Manner = "goodbye" | "quietly" | "at once";

/** What an attachment works with. */
export interface AttachmentParts extends Omit<ReadLoopParts, "isCurrent" | "batchEnded"> {
  /** Asks the peer for a sign of life. */
  ping: () => void;
  /** Acknowledges what was handed over. */
  acknowledge: () => void;
}

/**
 * Reads a wire, and watches its times, for as long as it counts. Once it was released nothing that comes
 * from it is heard any more, whatever its socket still does: that is the fence between two wires.
 */
export class Attachment {
  /** The wire. */
  readonly wire: Wire;
  /** Its times; only a session has any. */
  readonly pulse: Pulse | undefined;
  readonly #delivery: Delivery | undefined;
  #isCurrent = true;

  constructor(parts: AttachmentParts) {
    const { wire, sweep, limits, session: { delivery }, receive, inputEnded, fault } = parts;
    const { ping, acknowledge } = parts;
    this.wire = wire;
    this.#delivery = delivery;
    const fenced = <Args extends unknown[]>(act: (...args: Args) => void) => (...args: Args) => {
      if (this.#isCurrent) act(...args);
    };
    const faulty = fenced(fault);
    wire.onFault = faulty;
    wire.closed.then(() => faulty(new ConnectionError("CONNECTION_LOST", "the socket was closed")));
    if (delivery) {
      this.pulse = new Pulse({ sweep, limits, wire, delivery, ping, acknowledge, fault: faulty });
    }
    new ReadLoop({
      ...parts,
      isCurrent: () => this.#isCurrent,
      receive,
      batchEnded: () => this.pulse?.check(),
      inputEnded: fenced(inputEnded),
      fault: faulty,
    }).run();
  }

  /**
   * Lets go of the wire.
   *
   * @param flushTimeoutMs How long what is queued may take to be written; a second at least.
   * @returns Resolves when its socket is closed.
   */
  async release(info: CloseInfo, manner: Manner, flushTimeoutMs?: number): Promise<void> {
    this.#isCurrent = false;
    this.pulse?.end();
    if (manner === "at once") this.wire.abort();
    await this.wire.end(manner === "goodbye" ? this.#goodbye(info) : undefined, flushTimeoutMs);
  }

  /** Says how far this side has come as well: it is the last chance to. */
  #goodbye(info: CloseInfo): string {
    const { arrivals } = this.#delivery ?? {};
    return encodeClose(info, arrivals?.isAckOwed ? arrivals.takeAck() : undefined);
  }
}
