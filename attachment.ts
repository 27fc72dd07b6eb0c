/**
 * One wire in the service of a conversation.
 *
 * @module
 */

import { encodeClose } from "./close_info.ts";
import type { CloseInfo } from "./contract.ts";
import type { Inbox } from "./inbox.ts";
import type { ResolvedLimits } from "./options.ts";
import { Pulse, type PulseParts } from "./pulse.ts";
import { ReadLoop, type ReadLoopParts } from "./read_loop.ts";
import type { Delivery, Session } from "./session.ts";
import type { Sweep } from "./sweep.ts";
import type { Wire, WireHolder } from "./wire.ts";

/** How the end of a wire is told: with a goodbye, with what was queued alone, or not at all. */
export type Manner = "goodbye" | "quietly" | "at once";

/** Whose wire it is. */
export interface AttachmentHost {
  /** What watches its times. */
  readonly sweep: Sweep;
  /** Its limits. */
  readonly limits: ResolvedLimits;
  /** Where packets wait. */
  readonly inbox: Inbox;
  /** What is outstanding. */
  readonly session: Session<unknown>;
  /** Takes a line. What it throws is a fault. */
  receive(line: string): void;
  /** The other side has ended its bytes. */
  inputEnded(): void;
  /** The wire has failed, or must not go on. */
  fault(error: unknown): void;
  /** The wire is about to write. */
  beforeWrite(): void;
  /** Sends one of the protocol's own packets. */
  sendControl(action: `@${string}`, data?: unknown, ack?: number): unknown;
}

/**
 * Reads a wire, and watches its times, for as long as it counts. Once it was released nothing that comes
 * from it is heard any more, whatever its socket still does: that is the fence between two wires.
 */
export class Attachment implements ReadLoopParts, PulseParts, WireHolder {
  /** The wire. */
  readonly wire: Wire;
  /** What watches its times. */
  readonly sweep: Sweep;
  /** Its limits. */
  readonly limits: ResolvedLimits;
  /** Where packets wait. */
  readonly inbox: Inbox;
  /** What is outstanding. */
  readonly session: Session<unknown>;
  /** Its times; only a session has any. */
  readonly pulse: Pulse | undefined;
  readonly #host: AttachmentHost;
  readonly #delivery: Delivery | undefined;
  #isCurrent = true;
  #isReceiving = false;

  /**
   * @param wire What is read.
   * @param host Whose it is.
   */
  constructor(wire: Wire, host: AttachmentHost) {
    this.wire = wire;
    this.sweep = host.sweep;
    this.limits = host.limits;
    this.inbox = host.inbox;
    this.session = host.session;
    this.#host = host;
    // That of now: it is another one when the session is.
    this.#delivery = host.session.delivery;
    wire.holder = this;
    if (this.#delivery) this.pulse = new Pulse(this, this.#delivery);
    new ReadLoop(this).run();
  }

  /** Whether the wire still counts. */
  isCurrent(): boolean {
    return this.#isCurrent;
  }

  /** For the loop. */
  receive(line: string): void {
    this.#isReceiving = true;
    try {
      this.#host.receive(line);
      // So that it goes on while the rest of what it has sent is handled.
      this.wire.writeEarly();
    } finally {
      this.#isReceiving = false;
    }
  }

  /** A packet was handed over. Those of a batch are acknowledged together, at its end. */
  handedOver(): void {
    if (!this.#isReceiving) this.pulse?.check();
  }

  /** For the loop. */
  batchEnded(): void {
    this.pulse?.check();
  }

  /** For the loop. */
  inputEnded(): void {
    if (this.#isCurrent) this.#host.inputEnded();
  }

  /** For the loop, the wire and the pulse. */
  fault(error: unknown): void {
    if (this.#isCurrent) this.#host.fault(error);
  }

  /** For the wire. */
  beforeWrite(): void {
    if (this.#isCurrent) this.#host.beforeWrite();
  }

  /** For the pulse. */
  ping(): void {
    this.#host.sendControl("@ping");
  }

  /** For the pulse. */
  acknowledge(): void {
    // What was put off to the end of the turn says it as well.
    this.beforeWrite();
    const { arrivals } = this.#delivery!;
    if (arrivals.isAckOwed) this.#host.sendControl("@ack", undefined, arrivals.takeAck());
  }

  /**
   * Lets go of the wire.
   *
   * @param flushTimeoutMs How long what is queued may take to be written; a second at least.
   * @returns Resolves when its socket is closed.
   */
  release(info: CloseInfo, manner: Manner, flushTimeoutMs?: number): Promise<void> {
    this.#isCurrent = false;
    if (manner === "at once") this.wire.abort();
    const left = this.wire.end(
      manner === "goodbye" ? this.#goodbye(info) : undefined,
      flushTimeoutMs,
    );
    // Behind that, which may have a deadline of its own: the sweep's timer need not be stopped for it.
    this.pulse?.end();
    return left;
  }

  /** Says how far this side has come as well: it is the last chance to. */
  #goodbye(info: CloseInfo): string {
    const { arrivals } = this.#delivery ?? {};
    return encodeClose(info, arrivals?.isAckOwed ? arrivals.takeAck() : undefined);
  }
}
