/**
 * What was sent within a session and not acknowledged. Pure: no socket, no timer, no clock.
 *
 * @module
 */

import { ProtocolError } from "./errors.ts";
import type { Settler } from "./outstanding.ts";
import { maxUtf8Length, utf8Length } from "./packet.ts";
import { Queue } from "./queue.ts";
import type { Holder, ReplayBudget } from "./replay_budget.ts";

/** A number as small as the others: `Infinity` would take memory of its own in each entry. */
const NOT_ON_WIRE = -1;
/** As many as a peer acknowledges at once, unless it reads more of them at once. */
const MAX_SPARE = 64;

/** How much may be unacknowledged. */
export interface WindowLimits {
  /** How many packets. */
  replayPackets: number;
  /** How many bytes on the wire. */
  replayBytes: number;
}

/** What a window is told of a packet. */
export interface Sent {
  /** What `encodeHead` made. */
  readonly head: string;
  /** The sender wants a reply under this number. */
  readonly id?: number;
  /** It is the reply to the request of this number. */
  readonly replyTo?: number;
  /** When it was stamped. See {@linkcode Stamper.age}. */
  readonly age: number;
}

/** What of a packet is kept until the peer has acknowledged it: enough to make its line again. */
export interface Entry extends Sent {
  /** Its number. */
  readonly seq: number;
  /** How long the part of the line is that was stamped on. It is ASCII. */
  readonly tailLength: number;
  /** Its length on the wire; until it was counted, no less than that. */
  bytes: number;
  /** Which line of the wire of the moment it is, from 0; `NOT_ON_WIRE` if it is none. */
  at: number;
  /** Whether an earlier wire may have carried it. */
  wasWritten: boolean;
}

class Kept implements Entry {
  seq = 0;
  head = "";
  id: number | undefined;
  replyTo: number | undefined;
  age = 0;
  tailLength = 0;
  bytes = 0;
  at = NOT_ON_WIRE;
  wasWritten = false;
}

/** A packet of a session that has ended without its acknowledgement. */
export interface LostPacket {
  /** Whether it asked for a reply, or was one. */
  kind: "packet" | "request" | "reply";
  /** Its action. */
  action: string;
  /** Its data. */
  data: unknown;
}

/** What a session left undelivered. */
export interface Undelivered {
  /** Written at least once and not acknowledged: the peer may have handled these. */
  unknown: LostPacket[];
  /** Never written: the peer has certainly not seen these. */
  unsent: LostPacket[];
  /** How many more are unknown that were pushed out of the window, and cannot be listed. */
  forgotten: number;
}

/**
 * Numbers what is sent (1, 2, 3 …) and keeps each line until it is acknowledged, so that it can be
 * sent again on the next wire.
 */
export class Window implements Holder {
  readonly #limits: WindowLimits;
  readonly #budget: ReplayBudget | undefined;
  readonly #entries = new Queue<Kept>();
  /**
   * Entries to be used again. They live as long as an acknowledgement takes: where many clients are sent to,
   * most new ones would outlive a garbage collection or two, and fill the old generation.
   */
  #spare: Kept[] | undefined;
  readonly #awaited = new Queue<{ seq: number; settler: Settler<void> }>();
  /** The sum of what the entries say. */
  #bytes = 0;
  /** Up to which entry the bytes were counted. They are where their bound alone would not do. */
  #countedSeq = 0;
  #lastSeq = 0;
  #lastWritten = 0;
  #acknowledged = 0;
  #evicted = 0;
  #end: { error: unknown } | undefined;

  /**
   * @param limits How much may be unacknowledged.
   * @param budget What it shares with others.
   */
  constructor(limits: WindowLimits, budget?: ReplayBudget) {
    this.#limits = limits;
    this.#budget = budget;
  }

  /** How many bytes it holds. */
  get bytes(): number {
    this.#count();
    return this.#bytes;
  }

  /** No fewer than that, for less than it costs to count them. */
  get maxBytes(): number {
    return this.#bytes;
  }

  /** How many packets it holds. */
  get length(): number {
    return this.#entries.length;
  }

  /** The number of the next packet. */
  get nextSeq(): number {
    return this.#lastSeq + 1;
  }

  /** Up to which number everything was acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Whether everything that was numbered has been acknowledged. */
  get isSettled(): boolean {
    return this.#acknowledged === this.#lastSeq;
  }

  /** Whether someone waits for an acknowledgement. */
  get isAwaited(): boolean {
    return this.#awaited.length > 0;
  }

  /** Whether a sender that can wait should. */
  get isFull(): boolean {
    const { replayPackets, replayBytes } = this.#limits;
    return this.length >= replayPackets ||
      (this.#bytes >= replayBytes && this.bytes >= replayBytes);
  }

  /** Whether a line may enter without waiting. An empty window takes any. */
  hasRoomFor(line: string): boolean {
    if (this.length === 0) return true;
    const { replayPackets, replayBytes } = this.#limits;
    if (this.length >= replayPackets) return false;
    return this.#bytes + maxBytesOf(line) <= replayBytes ||
      this.bytes + bytesOf(line) <= replayBytes;
  }

  /** Takes the packet of the next number in, whether there is room or not. `line` is what is sent of it. */
  add({ head, id, replyTo, age }: Sent, line: string): Entry {
    const bytes = this.#budget?.isTight ? bytesOf(line) : maxBytesOf(line);
    const entry = this.#spare?.pop() ?? new Kept();
    entry.seq = ++this.#lastSeq;
    entry.head = head;
    entry.id = id;
    entry.replyTo = replyTo;
    entry.age = age;
    entry.tailLength = line.length - head.length;
    entry.bytes = bytes;
    entry.at = NOT_ON_WIRE;
    entry.wasWritten = false;
    this.#entries.push(entry);
    this.#bytes += bytes;
    this.#budget?.add(this, bytes);
    return entry;
  }

  /** An entry went onto the wire of the moment, as this line of it. */
  written(entry: Entry, at: number): void {
    entry.at = at;
    this.#lastWritten = Math.max(this.#lastWritten, entry.seq);
  }

  /** The wire has ended. @param offered How many of its lines may have reached the other side. */
  detach(offered: number): void {
    for (const entry of this.#entries) {
      entry.wasWritten ||= entry.at !== NOT_ON_WIRE && entry.at < offered;
      entry.at = NOT_ON_WIRE;
    }
  }

  /** Pushes out the oldest until the window is within its bounds, or holds the newest alone. */
  trim(): void {
    const { replayPackets, replayBytes } = this.#limits;
    const isOver = () =>
      this.length > replayPackets || (this.#bytes > replayBytes && this.bytes > replayBytes);
    while (this.length > 1 && isOver()) this.#evict();
  }

  /** For the budget. A resume fails then, unless the peer has received what was let go of. */
  giveWay(): void {
    const goal = this.bytes / 2;
    do this.#evict(); while (this.#bytes > goal);
  }

  /**
   * The peer has everything up to this number. One that goes backwards is ignored.
   *
   * @returns Whether anything was new.
   * @throws {ProtocolError} `PROTOCOL_ERROR`, if it was not sent that much, or it is no number.
   */
  acknowledge(ack: unknown): boolean {
    this.#check(ack);
    if (ack <= this.#acknowledged) return false;
    this.#acknowledged = ack;
    while (this.#entries.first && this.#entries.first.seq <= ack) this.#shift();
    while (this.#awaited.first && this.#awaited.first.seq <= ack) {
      this.#awaited.shift()!.settler.resolve();
    }
    return true;
  }

  /**
   * Whether all that comes after this number is still here.
   *
   * @throws {ProtocolError} `PROTOCOL_ERROR`, as {@linkcode Window.acknowledge}.
   */
  reaches(ack: unknown): boolean {
    this.#check(ack);
    return ack >= this.#evicted;
  }

  /** Settles when everything that was numbered so far is acknowledged, or the session has ended. */
  whenDelivered(): Promise<void> {
    if (this.#end) return Promise.reject(this.#end.error);
    if (this.isSettled) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#awaited.push({ seq: this.#lastSeq, settler: { resolve, reject } });
    return promise;
  }

  /** What it holds, in order. */
  [Symbol.iterator](): Iterator<Entry> {
    return this.#entries[Symbol.iterator]();
  }

  /** The session has ended. Returns what it left; call {@linkcode Window.detach} first. */
  end(error: unknown): Undelivered {
    this.#end = { error };
    const undelivered: Undelivered = {
      unknown: [],
      unsent: [],
      forgotten: Math.max(0, this.#evicted - this.#acknowledged),
    };
    for (const entry of this.#entries) {
      (entry.wasWritten ? undelivered.unknown : undelivered.unsent).push(lostPacket(entry));
    }
    for (const { settler } of this.#awaited) settler.reject(error);
    this.#awaited.clear();
    while (this.length > 0) this.#shift();
    return undelivered;
  }

  #check(ack: unknown): asserts ack is number {
    if (!Number.isSafeInteger(ack) || (ack as number) < 0) {
      throw new ProtocolError("PROTOCOL_ERROR", "ack must be an integer from 0");
    }
    if ((ack as number) > this.#lastWritten) {
      throw new ProtocolError("PROTOCOL_ERROR", "ack is above what was sent");
    }
  }

  #count(): void {
    let excess = 0;
    for (let place = this.length - 1; place >= 0; place--) {
      const entry = this.#entries.at(place)!;
      if (entry.seq <= this.#countedSeq) break;
      const bytes = utf8Length(entry.head) + entry.tailLength + 1;
      excess += entry.bytes - bytes;
      entry.bytes = bytes;
    }
    this.#countedSeq = this.#lastSeq;
    this.#bytes -= excess;
    if (excess > 0) this.#budget?.remove(this, excess);
  }

  #evict(): void {
    const entry = this.#shift();
    if (entry) this.#evicted = entry.seq;
  }

  /** What it returns is soon used for another packet. */
  #shift(): Entry | undefined {
    const entry = this.#entries.shift();
    if (!entry) return undefined;
    this.#spare ??= [];
    if (this.#spare.length < MAX_SPARE) this.#spare.push(entry);
    entry.head = "";
    this.#bytes -= entry.bytes;
    this.#budget?.remove(this, entry.bytes);
    return entry;
  }
}

/** With its end. */
function bytesOf(line: string): number {
  return utf8Length(line) + 1;
}

function maxBytesOf(line: string): number {
  return maxUtf8Length(line) + 1;
}

/** What a packet says that was not delivered. */
export function lostPacket({ head, id, replyTo }: Omit<Sent, "age">): LostPacket {
  const { action, data = null } = JSON.parse(head + "}");
  const kind = id !== undefined ? "request" : replyTo !== undefined ? "reply" : "packet";
  return { kind, action, data };
}
