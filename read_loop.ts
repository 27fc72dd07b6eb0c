/**
 * Reading one wire, no faster than what is read can be dealt with.
 *
 * @module
 */

import { ConnectionError, type PnetworkError } from "./errors.ts";
import type { Inbox } from "./inbox.ts";
import type { ResolvedLimits } from "./options.ts";
import type { Session } from "./session.ts";
import type { Sweep } from "./sweep.ts";
import { TokenBucket } from "./token_bucket.ts";
import type { Wire } from "./wire.ts";

/** What a loop works with. */
export interface ReadLoopParts {
  /** What it reads. */
  wire: Wire;
  /** What watches its times. */
  sweep: Sweep;
  /** Its limits. */
  limits: ResolvedLimits;
  /** Where packets wait. */
  inbox: Inbox;
  /** Whether replies are waited for. */
  session: Session<unknown>;
  /** Whether the wire is still the one that counts. */
  isCurrent(): boolean;
  /** Takes a line. What it throws ends the loop. */
  receive(line: string): void;
  /** All lines of a batch have been taken. */
  batchEnded(): void;
  /** The other side has ended its bytes. */
  inputEnded(): void;
  /** Reading has failed, or must not go on. */
  fault(error: unknown): void;
}

/** What a waiting packet costs besides its line, roughly: tiny ones must not add up unseen. */
const WAITING_PACKET_BYTES = 256;
const DONE: Promise<void> = Promise.resolve();

/** The loop that reads a wire, from its first line after the handshake to its last. */
export class ReadLoop {
  readonly #parts: ReadLoopParts;
  readonly #pace: TokenBucket | undefined;
  /** Ends the wait of the moment. */
  #goOn = () => {};

  constructor(parts: ReadLoopParts) {
    this.#parts = parts;
    const { limits: { maxPacketsPerSecond }, sweep, wire } = parts;
    if (maxPacketsPerSecond !== false) {
      this.#pace = new TokenBucket(maxPacketsPerSecond, sweep.now());
      // Once: what each wait asked of it would be kept for as long as the wire lives.
      wire.closed.then(() => this.#goOn());
    }
  }

  /** Reads until the wire has ended or no longer counts. Never rejects. */
  async run(): Promise<void> {
    const parts = this.#parts;
    try {
      // The first lines may be there already: whoever begins the loop is not to be interrupted by them.
      await DONE;
      while (parts.isCurrent()) {
        const lines = parts.wire.take();
        if (!lines) return parts.inputEnded();
        if (lines.length === 0) {
          await parts.wire.fill();
          continue;
        }
        for (const line of lines) {
          if (this.#pace) await this.#keepPace(this.#pace);
          if (!parts.isCurrent()) return;
          parts.receive(line);
        }
        if (!parts.isCurrent()) return;
        parts.batchEnded();
        if (this.#isOverfull()) await this.#untilRoom();
      }
    } catch (error) {
      parts.fault(error);
    }
  }

  async #keepPace(pace: TokenBucket): Promise<void> {
    const { sweep } = this.#parts;
    const waitMs = pace.take(sweep.now());
    if (waitMs === 0) return;
    // What came before is not to wait for the rest.
    this.#parts.batchEnded();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#goOn = resolve;
    const callOff = sweep.after(waitMs, resolve);
    await promise;
    callOff();
  }

  /**
   * Whether too much waits here to read on: more than may, or, where what comes next may be the reply
   * that all this waits for, more than there is memory for.
   */
  #isOverfull(): boolean {
    const { limits, inbox, session } = this.#parts;
    if (!this.#parts.isCurrent()) return false;
    const { replayPackets, replayBytes, maxBufferedBytes } = limits;
    const { length, bytes } = inbox;
    if (session.delivery || this.#isAsking()) {
      return bytes + length * WAITING_PACKET_BYTES > maxBufferedBytes;
    }
    return length > replayPackets || bytes > replayBytes;
  }

  #isAsking(): boolean {
    const { requests, pings } = this.#parts.session;
    return requests.size > 0 || pings.size > 0;
  }

  /**
   * Pauses reading until handlers have made room. Where they make none while they may be waiting for a
   * reply that is not read, nothing would ever move again: then the wire ends. That of a session ends at
   * once: its peer has not heeded the window, or broadcasts faster than this side can handle, and keeps
   * what it may.
   */
  async #untilRoom(): Promise<void> {
    const { limits: { stallTimeoutMs }, sweep, inbox, session } = this.#parts;
    if (session.delivery) throw overfull();
    let callOff = () => {};
    const watch = (takenBefore: number) => {
      if (stallTimeoutMs === false) return;
      callOff = sweep.after(stallTimeoutMs, () => {
        const { taken } = inbox;
        if (taken !== takenBefore || !this.#isAsking()) watch(taken);
        else this.#parts.fault(overfull());
      });
    };
    watch(inbox.taken);
    await inbox.changes.until(() => !this.#isOverfull());
    callOff();
  }
}

function overfull(): PnetworkError {
  return new ConnectionError("SLOW_CONSUMER", "too much waits to be handled");
}
