/**
 * The packets of one peer that have arrived and wait for their turn.
 *
 * @module
 */

import type { Run } from "./actions.ts";
import { Changes } from "./changes.ts";
import type { ReceivedPacket } from "./packet.ts";
import { Queue } from "./queue.ts";

/** What an inbox hands packets to. */
export interface Receiver {
  /** Finds what runs a packet. Where it is a promise, later packets wait for it. */
  prepare(packet: ReceivedPacket): Run | Promise<Run>;
  /** Runs it: the packet is handed over. */
  run(run: Run, packet: ReceivedPacket): unknown;
  /** A `for await` has taken it: the packet is handed over. */
  taken(packet: ReceivedPacket): void;
  /** It came to this. */
  succeeded(packet: ReceivedPacket, result: unknown): void;
  /** It failed. */
  failed(packet: ReceivedPacket, error: unknown): void;
}

/** Who takes the packets out: nobody yet, the bound actions, or a `for await`. */
export type InboxMode = "waiting" | "dispatching" | "iterating";

interface Waiting {
  packet: ReceivedPacket;
  bytes: number;
}

/**
 * Keeps arrived packets in order: handlers start in the order of arrival, their asynchronous parts
 * overlap, and a packet whose data is being checked holds its place.
 */
export class Inbox {
  /** Notified whenever a packet begins to wait or has its turn, or a handler has settled. */
  readonly changes = new Changes();
  readonly #receiver: Receiver;
  readonly #maxInFlight: number;
  readonly #queue = new Queue<Waiting>();
  #bytes = 0;
  #taken = 0;
  #inFlight = 0;
  #mode: InboxMode = "waiting";
  #isHeld = false;
  #isClosed = false;
  #isAbandoned = false;

  constructor(receiver: Receiver, maxInFlight: number) {
    this.#receiver = receiver;
    this.#maxInFlight = maxInFlight;
  }

  /** Who takes the packets out. */
  get mode(): InboxMode {
    return this.#mode;
  }

  /** How many packets wait. */
  get length(): number {
    return this.#queue.length;
  }

  /** How large they are together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many packets were taken out so far. */
  get taken(): number {
    return this.#taken;
  }

  /** How many handlers run. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether no more handlers may start now. */
  get isFull(): boolean {
    return this.#inFlight >= this.#maxInFlight;
  }

  /** Whether everything that will be handled has been. */
  get isIdle(): boolean {
    return this.#inFlight === 0 && (this.length === 0 || this.#mode === "waiting");
  }

  /** Puts a packet at the end. */
  push(packet: ReceivedPacket, bytes: number): void {
    if (this.#isClosed) return;
    // Most are dealt with before the next one is read: they never wait, and no place is made for them.
    if (this.length === 0 && this.#mode === "dispatching" && !this.#isHeld && !this.isFull) {
      this.#taken++;
      this.#begin(packet);
      return;
    }
    this.#queue.push({ packet, bytes });
    this.#bytes += bytes;
    if (this.#mode === "dispatching") this.#dispatch();
    else this.changes.notify();
  }

  /** From now on the bound actions take the packets. */
  startDispatch(): void {
    this.#mode = "dispatching";
    this.#dispatch();
  }

  /** From now on {@linkcode Inbox.take} does. */
  startIteration(): void {
    this.#mode = "iterating";
  }

  /** Takes the first one out, waiting for it if need be; `undefined` when there will be no more. */
  async take(): Promise<ReceivedPacket | undefined> {
    for (;;) {
      const packet = this.#shift();
      if (packet) this.#receiver.taken(packet);
      if (packet || this.#isClosed) return packet;
      // Others may wait as well, and only one of them gets the next.
      await this.changes.next();
    }
  }

  /** Nothing more comes in. What waits still gets its turn: it was sent before the end. */
  close(): void {
    this.#isClosed = true;
    this.changes.notify();
  }

  /** Nothing more comes in, and what waits is dropped. Handlers that run go on. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#queue.clear();
    this.#bytes = 0;
    this.close();
  }

  #shift(): ReceivedPacket | undefined {
    const first = this.#queue.shift();
    if (!first) return undefined;
    this.#taken++;
    this.#bytes -= first.bytes;
    this.changes.notify();
    return first.packet;
  }

  #dispatch(): void {
    while (!this.#isHeld && !this.isFull) {
      const packet = this.#shift();
      if (!packet) return;
      this.#begin(packet);
    }
  }

  #begin(packet: ReceivedPacket): void {
    // Promises only where something waits: most handlers are done before the next packet is read.
    try {
      const run = this.#receiver.prepare(packet);
      if (isPromise(run)) this.#hold(packet, run);
      else this.#start(packet, run);
    } catch (error) {
      this.#receiver.failed(packet, error);
    }
  }

  #hold(packet: ReceivedPacket, preparing: Promise<Run>): void {
    this.#isHeld = true;
    this.#inFlight++;
    const settled = (settle: () => void) => {
      this.#isHeld = false;
      this.#inFlight--;
      settle();
      this.changes.notify();
      this.#dispatch();
    };
    preparing.then(
      (run) => settled(() => !this.#isAbandoned && this.#start(packet, run)),
      (error) => settled(() => this.#receiver.failed(packet, error)),
    );
  }

  #start(packet: ReceivedPacket, run: Run): void {
    let result: unknown;
    try {
      result = this.#receiver.run(run, packet);
      if (!isPromise(result)) {
        this.#receiver.succeeded(packet, result);
        return;
      }
    } catch (error) {
      this.#receiver.failed(packet, error);
      return;
    }
    this.#inFlight++;
    const settled = () => {
      this.#inFlight--;
      this.changes.notify();
      this.#dispatch();
    };
    Promise.resolve(result).then((value) => {
      this.#receiver.succeeded(packet, value);
      settled();
    }, (error) => {
      this.#receiver.failed(packet, error);
      settled();
    });
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return value !== null && typeof value === "object" &&
    typeof (value as { then?: unknown }).then === "function";
}
