/**
 * What goes out to one peer: stamped, measured, and held to what may wait.
 *
 * @module
 */

import { ConnectionError, type PnetworkError, ProtocolError, RequestError } from "./errors.ts";
import { encodeControl, maxUtf8Length, utf8Length } from "./packet.ts";
import { Queue } from "./queue.ts";
import { harmless } from "./rejections.ts";
import type { Delivery, Session } from "./session.ts";
import { Stamper } from "./stamp.ts";
import { VolatileQueue, type VolatileTerms } from "./volatile_queue.ts";
import { type Entry, lostPacket, type Undelivered, type Window } from "./window.ts";
import type { Wire } from "./wire.ts";

/** What an outbox is told of the peer. */
export interface Recipient {
  /** The token of the connection. */
  token: string | null;
  /** The longest packet that the peer accepts, in bytes. */
  maxPacketBytes: number;
}

/** A broadcast. */
export interface Broadcast {
  /** What `encodeHead` made. */
  readonly head: string;
  /** When it was made, in milliseconds since the Unix epoch. */
  readonly created: number;
  /** The one after it, in the same turn. */
  next?: Broadcast;
}

/** What an outbox is held to. */
export interface OutboxLimits {
  /** How many bytes may wait to be written. */
  maxBufferedBytes: number;
  /** How many bytes of volatile packets may wait for a peer that is behind. */
  maxVolatileBytes: number;
}

/** A packet that has no number yet. */
interface Waiting {
  head: string;
  bytes: number;
  /** The sender wants a reply under this number. */
  id: number | undefined;
  entered: PromiseWithResolvers<void>;
  state: "waiting" | "called off" | "settled";
}

/** Kept for the fields that a sender adds to a packet after it was measured. */
const TAIL_BYTES = 256;
const DONE: Promise<void> = Promise.resolve();

/** The sending half of a connection. */
export class Outbox {
  readonly #session: Session<unknown>;
  readonly #limits: OutboxLimits;
  #recipient: Recipient;
  #stamper: Stamper;
  #wire: Wire | undefined;
  /** Those that wait for room in the window, or for the next server. */
  readonly #waiting = new Queue<Waiting>();
  /** Those that may be lost; most connections never send one. */
  #volatile: VolatileQueue | undefined;
  /** The wire that volatile packets are written to as it has room. */
  #pumped: Wire | undefined;
  /** Settles with the last of those that wait. */
  #allEntered = DONE;
  #waitingBytes = 0;
  /** How many broadcasts of this turn have no number yet; the ends of their chain. */
  #late = 0;
  #firstLate: Broadcast | undefined;
  #lastLate: Broadcast | undefined;
  /** What they come to, at most. */
  #maxLateBytes = 0;
  /** How much was put onto the wire of the moment at once, when it came. */
  #replayedBytes = 0;
  #isOnHold = false;
  #packetsSent = 0;

  /**
   * @param session Which packets are numbered, and kept until they are acknowledged.
   * @param recipient What the peer is known by.
   * @param limits What may wait.
   */
  constructor(session: Session<unknown>, recipient: Recipient, limits: OutboxLimits) {
    this.#session = session;
    this.#recipient = recipient;
    this.#stamper = new Stamper(recipient.token);
    this.#limits = limits;
  }

  /** How many packets went out. */
  get packetsSent(): number {
    return this.#packetsSent;
  }

  /** How many volatile packets were dropped. */
  get dropped(): number {
    return this.#volatile?.dropped ?? 0;
  }

  /** How many bytes wait to be written, or for a wire. */
  get buffered(): number {
    return this.#kept + this.#waitingBytes;
  }

  /** Of these, how many the peer has yet to take. */
  get #kept(): number {
    return this.#wire ? this.#wire.buffered : this.#session.delivery?.window.bytes ?? 0;
  }

  /** No fewer than that, for less than it costs to count them. */
  get #maxKept(): number {
    return this.#wire ? this.#wire.maxBuffered : this.#session.delivery?.window.maxBytes ?? 0;
  }

  /**
   * Whether one waits for room in a window that is not full: what is in there may be too little for the
   * peer to acknowledge it soon.
   */
  get isShortOfRoom(): boolean {
    return this.#waiting.length > 0 && !this.#isOnHold &&
      this.#session.delivery?.window.isFull === false && this.#wire?.isCongested === false;
  }

  /** Whether anybody waits for a number, or for an acknowledgement. */
  get isAwaited(): boolean {
    return this.#waiting.length > 0 || this.#session.delivery?.window.isAwaited === true;
  }

  /** From now on this wire carries what is sent. What was not acknowledged goes out again first. */
  attach(wire: Wire): void {
    this.#wire = wire;
    const { window } = this.#session.delivery ?? {};
    if (window && window.length > 0) this.#putAgain(window);
    // What makes room may wait for the reply to a request that was held.
    if (this.#waiting.length > 0) {
      this.admit({ isForced: [...this.#waiting].some(({ id }) => id !== undefined) });
    }
  }

  #putAgain(window: Window): void {
    for (const entry of window) {
      const { head, age, id, replyTo, seq } = entry;
      this.#put(entry, head + this.#stamper.tailAgain(age, id, replyTo, seq));
    }
    this.#replayedBytes += window.bytes;
  }

  /** The wire has ended. @param offered How many of its lines may reach the other side. */
  detach(offered: number): void {
    this.catchUp();
    this.#session.delivery?.window.detach(offered);
    this.#volatile?.clear();
    this.#wire = undefined;
    this.#replayedBytes = 0;
    // Between two wires there is nothing to hold back from.
    this.#isOnHold = false;
  }

  /** Starts nothing new on this wire: replies alone still go out. */
  hold(): void {
    this.#isOnHold = true;
  }

  /**
   * The session has ended: gives up what it holds. A next one may begin.
   *
   * @param error What those are told who wait, if anybody does.
   * @returns What was not delivered.
   */
  end(error: PnetworkError | undefined, next?: Recipient): Undelivered {
    const undelivered = this.#session.delivery?.window.end(error) ??
      { unknown: [], unsent: [], forgotten: 0 };
    for (let one = this.#waiting.shift(); one; one = this.#waiting.shift()) {
      if (one.state === "called off") continue;
      one.state = "settled";
      undelivered.unsent.push(lostPacket(one));
      one.entered.reject(error);
    }
    this.#waitingBytes = 0;
    this.#allEntered = DONE;
    if (next) {
      this.#recipient = next;
      this.#stamper = new Stamper(next.token);
    }
    return undelivered;
  }

  /**
   * Sends a packet whose sender can wait: within a session, until the window has room for it.
   *
   * @param head What `encodeHead` made.
   * @param signal Calls the wait off, and with it the packet.
   * @returns `undefined` if it went out at once. Rejects with `PACKET_TOO_LARGE`, `OVERLOADED`, or the
   * signal's reason: then it was not sent.
   */
  send(head: string, signal?: AbortSignal): Promise<void> | undefined {
    if (!this.#fits(head)) return Promise.reject(this.#tooLarge());
    this.catchUp();
    const { delivery } = this.#session;
    const line = this.#stamp(head, delivery);
    const waits = this.#isOnHold || this.#waiting.length > 0 ||
      (delivery !== undefined && !delivery.window.hasRoomFor(line));
    if (waits) return this.#wait(head, utf8Length(line) + 1, undefined, signal);
    if (this.#wire && !this.#hasRoomFor(line, 1)) return Promise.reject(this.#overloaded());
    this.#enter(line, delivery, head);
  }

  /**
   * Sends a request. It does not wait for room in the window, as what makes room may wait for it.
   *
   * @returns Why it was not sent, if it was not: `PACKET_TOO_LARGE` or `OVERLOADED`.
   */
  request(head: string, id: number): PnetworkError | undefined {
    if (!this.#fits(head)) return this.#tooLarge();
    this.catchUp();
    if (!this.#hasRoomFor(head, TAIL_BYTES)) return this.#overloaded();
    if (this.#isOnHold) {
      // It fails with its session, which its sender hears of as the request's failure.
      harmless(this.#wait(head, utf8Length(head) + TAIL_BYTES, id));
      return undefined;
    }
    this.admit({ isForced: true });
    const { delivery } = this.#session;
    this.#enter(this.#stamp(head, delivery, id), delivery, head, id);
  }

  /**
   * Sends a reply. A peer for which there is no room is too slow to go on with.
   *
   * @returns Why it was not sent, if it was not: `PACKET_TOO_LARGE` or `SLOW_CONSUMER`.
   */
  reply(head: string, replyTo: number): PnetworkError | undefined {
    if (!this.#fits(head)) return this.#tooLarge();
    this.catchUp();
    if (!this.#isOnHold) this.admit({ isForced: true });
    return this.#mustEnter(head, replyTo);
  }

  /**
   * Sends one that waits for nobody: it pushes the oldest out of a full window, but goes out itself.
   * Returns like {@linkcode Outbox.reply}.
   */
  broadcast({ head, created }: Broadcast): PnetworkError | undefined {
    if (!this.#fits(head)) return this.#tooLarge();
    this.catchUp();
    this.admit({ isForced: true });
    const error = this.#mustEnter(head, undefined, created);
    this.#session.delivery?.window.trim();
    return error;
  }

  /**
   * Puts a broadcast off for which lines of its turn wait to be written already, until they are: what comes in
   * a burst is dealt with for one peer after the other. All connections share the chain of a turn's
   * broadcasts, and each notes where its part begins and ends.
   *
   * It is put off where nothing can come of it but that it is sent: a packet that waits for its number would
   * have to go before it, and it may not be too much for the peer, however long its line becomes.
   *
   * @returns Whether it did. Then {@linkcode Outbox.catchUp} is to be called before the lines are written.
   */
  postpone(broadcast: Broadcast): boolean {
    if (!this.#wire?.isCollecting || this.#waiting.length > 0) return false;
    const maxBytes = maxUtf8Length(broadcast.head) + TAIL_BYTES;
    if (maxBytes > this.#recipient.maxPacketBytes) return false;
    if (this.#maxKept + this.#maxLateBytes + maxBytes > this.#maxBytes) return false;
    // This peer may not have been sent the one before.
    if (this.#lastLate && this.#lastLate.next !== broadcast) this.catchUp();
    this.#firstLate ??= broadcast;
    this.#lastLate = broadcast;
    this.#late++;
    this.#maxLateBytes += maxBytes;
    return true;
  }

  /**
   * Sends the broadcasts that were put off: what is known of a connection is in the processor's cache for all
   * but the first of them.
   *
   * Whatever sends, or asks what was sent, calls this first. While anything is put off nobody waits for a
   * number, nor is there a session without its wire.
   */
  catchUp(): void {
    if (this.#late === 0) return;
    const { delivery } = this.#session;
    for (let one = this.#firstLate!, left = this.#late; left > 0; left--, one = one.next!) {
      const { head, created } = one;
      this.#enter(this.#stamp(head, delivery, undefined, undefined, created), delivery, head);
      delivery?.window.trim();
    }
    this.#firstLate = this.#lastLate = undefined;
    this.#late = this.#maxLateBytes = 0;
  }

  /**
   * Sends one that may be lost: it is never kept for another wire.
   *
   * @returns Why it was not sent, if that is not just its bad luck: `PACKET_TOO_LARGE` or `SLOW_CONSUMER`.
   */
  sendVolatile(head: string, terms: VolatileTerms): PnetworkError | undefined {
    if (!this.#fits(head)) return this.#tooLarge();
    this.catchUp();
    const wire = this.#wire;
    const queue = this.#volatile ??= new VolatileQueue(this.#limits.maxVolatileBytes);
    if (!wire || this.#isOnHold) {
      queue.drop();
      return undefined;
    }
    const line = head + this.#stamper.tail();
    if (queue.length === 0 && !wire.isCongested) {
      this.#write(line);
      return undefined;
    }
    if (!queue.push(line, utf8Length(line) + 1, terms)) return slowConsumer();
    if (this.#pumped !== wire) this.#pump(wire, queue);
  }

  /** Sends one of the protocol's own packets. Returns like {@linkcode Outbox.reply}. */
  sendControl(action: `@${string}`, data?: unknown, ack?: number): PnetworkError | undefined {
    // Between two wires there is nobody to say it to.
    if (!this.#wire) return undefined;
    this.catchUp();
    const line = encodeControl(action, data, ack);
    if (!this.#mayFollow(line)) return slowConsumer();
    this.#write(line);
  }

  /** Resolves when all that wait now have their numbers, or were called off. */
  entered(): Promise<void> {
    this.catchUp();
    return this.#allEntered;
  }

  /** Gives those that wait their numbers, while the window has room or where something must follow. */
  admit({ isForced = false } = {}): void {
    if (this.#isOnHold || this.#waiting.length === 0) return;
    const { delivery } = this.#session;
    for (let first = this.#waiting.first; first; first = this.#waiting.first) {
      if (first.state === "waiting") {
        const line = this.#stamp(first.head, delivery, first.id);
        if (!isForced && !delivery!.window.hasRoomFor(line)) return;
        this.#enter(line, delivery, first.head, first.id);
        first.state = "settled";
        first.entered.resolve();
        this.#waitingBytes -= first.bytes;
      }
      this.#waiting.shift();
    }
  }

  #wait(
    head: string,
    bytes: number,
    id: number | undefined,
    signal?: AbortSignal,
  ): Promise<void> {
    if (!this.#hasRoomForBytes(bytes)) return Promise.reject(this.#overloaded());
    const entered = Promise.withResolvers<void>();
    const waiting: Waiting = { head, bytes, id, entered, state: "waiting" };
    this.#waiting.push(waiting);
    const before = this.#allEntered;
    this.#allEntered = harmless(entered.promise.catch((error) => {
      if (waiting.state !== "called off") throw error;
      return before;
    }));
    this.#waitingBytes += bytes;
    if (!signal) return entered.promise;
    const abort = () => {
      // It may have its number, or have lost its session, in this very turn.
      if (waiting.state !== "waiting") return;
      waiting.state = "called off";
      // It keeps its place, and no more: what is called off is not counted.
      waiting.head = "";
      this.#waitingBytes -= bytes;
      entered.reject(signal.reason);
      // What waits behind it may be smaller.
      this.admit();
    };
    signal.addEventListener("abort", abort, { once: true });
    return entered.promise.finally(() => signal.removeEventListener("abort", abort));
  }

  #mustEnter(head: string, replyTo?: number, created?: number): PnetworkError | undefined {
    const { delivery } = this.#session;
    const line = this.#stamp(head, delivery, undefined, replyTo, created);
    if (this.#mayFollow(line)) {
      this.#enter(line, delivery, head, undefined, replyTo);
      return undefined;
    }
    if (!delivery) return slowConsumer();
    // The session outlives the wire that this is too much for: nothing is lost.
    delivery.window.add({ head, replyTo, age: this.#stamper.age }, line);
    if (this.#wire) return slowConsumer();
  }

  /** Sends a line that has just been stamped; within a session what it was made of is kept. */
  #enter(
    line: string,
    delivery: Delivery | undefined,
    head: string,
    id?: number,
    replyTo?: number,
  ): void {
    if (!delivery) return this.#write(line);
    const entry = delivery.window.add({ head, id, replyTo, age: this.#stamper.age }, line);
    if (!this.#wire) return;
    delivery.arrivals.takeAck();
    this.#put(entry, line);
  }

  #put(entry: Entry, line: string): void {
    this.#session.delivery!.window.written(entry, this.#wire!.linesQueued);
    this.#write(line);
  }

  #stamp(
    head: string,
    delivery: Delivery | undefined,
    id?: number,
    replyTo?: number,
    created?: number,
  ): string {
    const arrivals = this.#wire && delivery?.arrivals;
    const ack = arrivals?.isAckOwed ? arrivals.handedOver : undefined;
    return head + this.#stamper.tail(id, replyTo, delivery?.window.nextSeq, ack, created);
  }

  #write(line: string): void {
    this.#packetsSent++;
    this.#wire?.write(line);
  }

  /** Writes the volatile ones as the peer takes them. */
  async #pump(wire: Wire, queue: VolatileQueue): Promise<void> {
    this.#pumped = wire;
    while (this.#wire === wire && queue.length > 0) {
      await wire.room();
      while (this.#wire === wire && queue.length > 0 && !wire.isCongested) {
        this.#write(queue.shift()!);
      }
    }
    if (this.#pumped === wire) this.#pumped = undefined;
  }

  /** For this text, and so many bytes besides. They are counted only where it is not clear without. */
  #hasRoomFor(text: string, more: number): boolean {
    return this.#maxKept + this.#waitingBytes + maxUtf8Length(text) + more <= this.#maxBytes ||
      this.#hasRoomForBytes(utf8Length(text) + more);
  }

  /** Whether a line that must go out still may: what waits here for its number is no fault of the peer's. */
  #mayFollow(line: string): boolean {
    if (this.#maxKept + maxUtf8Length(line) + 1 <= this.#maxBytes) return true;
    const kept = this.#kept;
    return kept === 0 || kept + utf8Length(line) + 1 <= this.#maxBytes;
  }

  #hasRoomForBytes(bytes: number): boolean {
    const { buffered } = this;
    return buffered === 0 || buffered + bytes <= this.#maxBytes;
  }

  /** What was kept for a peer is not held against it when it comes back. */
  get #maxBytes(): number {
    return this.#limits.maxBufferedBytes + this.#replayedBytes;
  }

  #fits(head: string): boolean {
    const max = this.#recipient.maxPacketBytes - TAIL_BYTES;
    // What is short needs no counting.
    return maxUtf8Length(head) <= max || (head.length <= max && utf8Length(head) <= max);
  }

  #tooLarge(): ProtocolError {
    return new ProtocolError(
      "PACKET_TOO_LARGE",
      `the peer takes packets of up to ${this.#recipient.maxPacketBytes} bytes, ${TAIL_BYTES} of them kept for what is stamped on`,
    );
  }

  #overloaded(): RequestError {
    return new RequestError(
      "OVERLOADED",
      `${this.#limits.maxBufferedBytes} bytes wait to be written`,
    );
  }
}

function slowConsumer(): ConnectionError {
  return new ConnectionError("SLOW_CONSUMER", "the peer does not take what is sent to it");
}
