/**
 * The times of one wire of a session: acknowledgements, heartbeats, and signs that it is dead.
 *
 * @module
 */

import { ConnectionError, type PnetworkError } from "./errors.ts";
import type { Delivery } from "./session.ts";
import type { Seat, Sweep, Sweepable } from "./sweep.ts";

/** The longest that an acknowledgement waits for traffic to ride on. */
const ACK_DELAY_MS = 1_000;
/** So many signs of life are asked for before silence means death. */
const HEARTBEATS_PER_DEATH = 3;

/** What a pulse is given. */
export interface PulseParts {
  /** What watches the times. */
  sweep: Sweep;
  /** Its limits. */
  limits: {
    heartbeatMs: number | false;
    deadAfterMs: number | false;
    stallTimeoutMs: number | false;
  };
  /** What it listens to. */
  wire: { readonly silentSince: number | undefined };
  /** Asks the peer for a sign of life. */
  ping(): void;
  /** Acknowledges. */
  acknowledge(): void;
  /** The wire is dead, or the peer too slow. */
  fault(error: PnetworkError): void;
}

/** Watches one wire for as long as it carries a session. */
export class Pulse implements Sweepable {
  /** For the sweep. */
  seat: Seat | undefined;
  readonly #parts: PulseParts;
  readonly #delivery: Delivery;
  readonly #heartbeatMs: number;
  readonly #deadAfterMs: number;
  readonly #stallTimeoutMs: number;
  #heardAt: number;
  #pingedAt: number;
  #ackAt = Infinity;
  #fullSince = Infinity;

  /**
   * @param parts What it is given.
   * @param delivery What it speaks for.
   */
  constructor(parts: PulseParts, delivery: Delivery) {
    const { heartbeatMs, deadAfterMs, stallTimeoutMs } = parts.limits;
    this.#parts = parts;
    this.#delivery = delivery;
    this.#deadAfterMs = deadAfterMs === false ? Infinity : deadAfterMs;
    this.#heartbeatMs = Math.min(
      heartbeatMs === false ? Infinity : heartbeatMs,
      this.#deadAfterMs / HEARTBEATS_PER_DEATH,
    );
    this.#stallTimeoutMs = stallTimeoutMs === false ? Infinity : stallTimeoutMs;
    this.#heardAt = this.#pingedAt = parts.sweep.now();
    parts.sweep.add(this);
  }

  /** Looks at what has to be acknowledged now, or soon. */
  check(): void {
    const { arrivals } = this.#delivery;
    if (arrivals.isAckDue) this.#parts.acknowledge();
    else if (this.#ackAt === Infinity && arrivals.isAckOwed) {
      this.#ackAt = this.#parts.sweep.now() + ACK_DELAY_MS;
      this.#parts.sweep.by(this, this.#ackAt);
    }
  }

  /** Something was sent, or acknowledged by the peer: is the window full, and since when? */
  checkWindow({ isProgress = false } = {}): void {
    if (!this.#delivery.window.isFull) {
      this.#fullSince = Infinity;
    } else if (isProgress || this.#fullSince === Infinity) {
      this.#fullSince = this.#parts.sweep.now();
      this.#parts.sweep.by(this, this.#fullSince + this.#stallTimeoutMs);
    }
  }

  /** The wire has ended. */
  end(): void {
    this.#parts.sweep.delete(this);
  }

  /** For the sweep. */
  nextDeadline(): number {
    return Math.min(
      this.#ackAt,
      this.#fullSince + this.#stallTimeoutMs,
      this.#nextPing(),
      this.#heardAt + this.#deadAfterMs,
    );
  }

  /** For the sweep. */
  sweep(now: number): void {
    const parts = this.#parts;
    // While nobody reads, it is this side that does not listen.
    this.#heardAt = Math.max(this.#heardAt, parts.wire.silentSince ?? now);
    if (this.#ackAt <= now) {
      this.#ackAt = Infinity;
      if (this.#delivery.arrivals.isAckOwed) parts.acknowledge();
    }
    if (this.#fullSince + this.#stallTimeoutMs <= now) {
      this.#fullSince = Infinity;
      return parts.fault(new ConnectionError("SLOW_CONSUMER", "the peer acknowledges nothing"));
    }
    if (this.#heardAt + this.#deadAfterMs <= now) {
      return parts.fault(new ConnectionError("HEARTBEAT_TIMEOUT", "nothing is heard of the peer"));
    }
    if (this.#nextPing() <= now) {
      this.#pingedAt = now;
      parts.ping();
    }
  }

  #nextPing(): number {
    return Math.max(this.#heardAt, this.#pingedAt) + this.#heartbeatMs;
  }
}
