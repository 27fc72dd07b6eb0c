/**
 * What is said to one peer, over one wire after the other: receiving, answering, asking, ending.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { abortable } from "./abortable.ts";
import type { ActionTable } from "./actions.ts";
import { Attachment, type AttachmentHost, type Manner } from "./attachment.ts";
import { closeError, isResumable } from "./close_info.ts";
import type {
  CloseInfo,
  ConnectionStats,
  LoopInfo,
  Peer,
  RequestOptions,
  SendOptions,
} from "./contract.ts";
import { ConnectionError, PnetworkError } from "./errors.ts";
import { Handling, type HandlingHost } from "./handling.ts";
import type { PeerLimits } from "./handshake.ts";
import { Inbox } from "./inbox.ts";
import { Intake, type IntakeHost } from "./intake.ts";
import { Once } from "./once.ts";
import type { ResolvedLimits } from "./options.ts";
import { type Broadcast, Outbox } from "./outbox.ts";
import type { Outstanding } from "./outstanding.ts";
import type { ReceivedPacket } from "./packet.ts";
import { Questions } from "./questions.ts";
import { harmless, rejected } from "./rejections.ts";
import { Replies, type RepliesHost } from "./replies.ts";
import type { ReplayBudget } from "./replay_budget.ts";
import { beginDelivery, type Delivery, Session } from "./session.ts";
import type { Sweep } from "./sweep.ts";
import type { VolatileTerms } from "./volatile_queue.ts";
import type { Undelivered } from "./window.ts";
import type { Wire } from "./wire.ts";

const log = getLogger(["pnetwork", "connection"]);

/** What a handshake agrees on. */
export interface Agreement {
  /** The connection's public name. */
  id: string;
  /** Its secret. */
  token: string | null;
  /** The socket of the moment. */
  wire: Wire;
  /** The peer's limits. */
  peerLimits: PeerLimits;
  /** Whether the connection outlives its wire. */
  hasSession: boolean;
  /** What the peer's key is known by, on a secure connection. */
  fingerprint?: string;
}

/** What a conversation is held with. */
export interface ConversationParts extends Agreement {
  /** What watches its times. */
  sweep: Sweep;
  /** Its limits. */
  limits: ResolvedLimits;
  /** What its window shares with others. */
  budget?: ReplayBudget;
  /** What runs when packets arrive. */
  actions: ActionTable;
  /** This side's public key for sealed packets, for a peer that asks for it. */
  publicKey?: () => string | undefined;
  /** The wire has ended, and another one may come. */
  onDetach?: (info: CloseInfo) => void;
  /** The server asks this side to start nothing new, and to come back after so many milliseconds. */
  onGoAway?: (retryAfterMs: number) => void;
}

/**
 * `open`; `detached` between two wires; `draining` while handlers finish; `closing` while the socket
 * does; `closed`.
 */
export type ConnectionState = "open" | "detached" | "draining" | "closing" | "closed";

const INPUT_ENDED: CloseInfo = {
  code: "CONNECTION_LOST",
  reason: "the other side ended the connection",
};
/** More of them than that are cut off. */
const MAX_LEAVING = 8;
const DONE: Promise<void> = Promise.resolve();

/**
 * The engine of a connection. It reads its wire from the first moment on: replies and the protocol's own
 * packets are dealt with at once, a user's packets go into the inbox. Where there is a session, a wire may
 * end and another one take its place; what is said over a wire that no longer counts is not heard.
 */
export class Conversation implements AttachmentHost, IntakeHost, HandlingHost, RepliesHost {
  /** What arrived and waits for its turn. */
  readonly inbox: Inbox;
  /** What is outstanding. */
  readonly session: Session<unknown>;

  readonly #parts: ConversationParts;
  readonly #onEnd: (info: CloseInfo) => void;
  readonly #outbox: Outbox;
  readonly #questions: Questions;
  readonly #replies: Replies;
  readonly #intake: Intake;
  readonly #closed = new Once<CloseInfo>();
  /** Wires that have been let go of, until their sockets are closed. */
  #leaving: Wire[] = [];

  #id: string;
  #token: string | null;
  #fingerprint: string | undefined;
  /** The wire that counts; the last one, while there is none. */
  #attachment: Attachment;
  #state: ConnectionState = "open";
  #info: CloseInfo | undefined;
  #undelivered: Undelivered | undefined;
  #pingsAfterTurn = false;
  /** The wire that is to have room before one who waits asks for an acknowledgement. */
  #asksAfter: Wire | undefined;
  #lastAttempt = 0;
  #earlierBytesReceived = 0;
  #earlierBytesSent = 0;

  /**
   * @param parts What it is held with.
   * @param peer What handlers are given.
   * @param onEnd Called once, as soon as nothing can be sent any more.
   */
  constructor(parts: ConversationParts, peer: Peer, onEnd: (info: CloseInfo) => void) {
    const { id, token, fingerprint, wire, sweep, limits, peerLimits, actions } = parts;
    this.#parts = parts;
    this.#onEnd = onEnd;
    this.#id = id;
    this.#token = token;
    this.#fingerprint = fingerprint;
    this.session = new Session(limits.maxPendingRequests, this.#newDelivery(parts));
    const recipient = { token, maxPacketBytes: peerLimits.maxPacketBytes };
    this.#outbox = new Outbox(this.session, recipient, limits);
    this.inbox = new Inbox(new Handling(actions, peer, this), limits.maxInFlight);
    this.#replies = new Replies(this.session, this);
    this.#questions = new Questions(this.session, sweep, limits.requestTimeoutMs);
    this.#intake = new Intake({
      limits,
      session: this.session,
      inbox: this.inbox,
      replies: this.#replies,
      host: this,
    });
    this.#attachment = this.#attach(wire);
  }

  /** The connection's public name. */
  get id(): string {
    return this.#id;
  }

  /** Its secret. */
  get token(): string | null {
    return this.#token;
  }

  /** What the peer's key is known by, on a secure connection. */
  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  /** Where the other side is, for people; where it was last, while there is no wire. */
  get address(): string {
    return this.#wire.address;
  }

  /** How far it is from its end. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** Resolves when it has ended. Never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#closed.promise;
  }

  /** Whether nothing new is begun any more. */
  get isDraining(): boolean {
    return this.#state === "draining";
  }

  /** Whether it outlives its wire. */
  get hasSession(): boolean {
    return this.session.delivery !== undefined;
  }

  /** Up to which number the peer's packets were handed over. */
  get handedOver(): number {
    return this.session.delivery?.arrivals.handedOver ?? 0;
  }

  get #wire(): Wire {
    return this.#attachment.wire;
  }

  /** What the session that ended last left undelivered. */
  get undelivered(): Undelivered {
    // Whoever asks may do with it what they like.
    return this.#undelivered ??= { unknown: [], unsent: [], forgotten: 0 };
  }

  /** What it has done so far. */
  get stats(): ConnectionStats {
    // What was sent in this turn counts.
    this.#outbox.catchUp();
    const { delivery } = this.session;
    return {
      packetsReceived: this.#intake.packets,
      packetsSent: this.#outbox.packetsSent,
      bytesReceived: this.#earlierBytesReceived + this.#wire.bytesRead,
      bytesSent: this.#earlierBytesSent + this.#wire.bytesWritten,
      ignored: this.#intake.ignored,
      refused: this.#intake.refused,
      dropped: this.#outbox.dropped,
      waiting: this.inbox.length,
      inFlight: this.inbox.inFlight,
      pending: this.session.requests.size,
      buffered: this.#outbox.buffered,
      unacknowledged: delivery ? delivery.window.nextSeq - 1 - delivery.window.acknowledged : 0,
    };
  }

  /** Its loops, and what each waits for. */
  get loops(): LoopInfo[] {
    this.#outbox.catchUp();
    const isDetached = this.#state === "detached";
    const { read, write } = isDetached
      ? { read: "another socket", write: "another socket" }
      : this.#wire.waitsFor;
    const { inFlight, length, mode } = this.inbox;
    const handling = mode === "waiting"
      ? `startListen() or for await; ${length} waiting`
      : mode === "iterating"
      ? `for await; ${length} waiting`
      : inFlight === 0
      ? "packets"
      : `${inFlight} handlers to settle; ${length} waiting`;
    return [
      { loop: "read", waitsFor: read },
      { loop: "handle", waitsFor: handling },
      { loop: "write", waitsFor: write },
    ];
  }

  /** Why nothing can be sent any more, if that is so. */
  get ended(): PnetworkError | undefined {
    if (!this.#isEnding()) return undefined;
    return closeError(this.#info ?? { code: "CLOSED", reason: "closed" });
  }

  // Wires

  /**
   * Whether the session can go on for a peer that has handed over this much.
   *
   * @throws {ProtocolError} `PROTOCOL_ERROR`, if it was never sent so much.
   */
  canResume(ack: number): boolean {
    // Broadcasts of this turn may push out what it lacks.
    this.#outbox.catchUp();
    return this.session.delivery?.window.reaches(ack) ?? false;
  }

  /** Whether an attempt to resume is older than the one that the session has gone on with. */
  isLate(attempt: number | undefined): boolean {
    return attempt !== undefined && attempt <= this.#lastAttempt;
  }

  /** Goes on over another wire, from what the peer has handed over. The one before it is fenced off. */
  resume(wire: Wire, { ack, attempt }: { ack: number; attempt?: number }): void {
    this.#lastAttempt = attempt ?? this.#lastAttempt;
    if (this.#state === "open") {
      const info = { code: "TAKEN_OVER", reason: "the client has come back" };
      // All that waits for the old one goes out again.
      this.#release(info, this.#wire.isCongested ? "at once" : "goodbye", 0);
    }
    this.session.delivery!.window.acknowledge(ack);
    this.#reattach(wire);
  }

  /**
   * Begins anew, under another name: the session before is gone, and what it left undelivered is known
   * from here on.
   */
  renew(agreement: Agreement, reason: string): Undelivered {
    const { id, token, fingerprint, wire, peerLimits } = agreement;
    const error = new ConnectionError("SESSION_LOST", reason);
    const undelivered = this.#outbox.end(error, {
      token,
      maxPacketBytes: peerLimits.maxPacketBytes,
    });
    this.#undelivered = undelivered;
    this.session.end(error, this.#newDelivery(agreement));
    this.#id = id;
    this.#token = token;
    this.#fingerprint = fingerprint;
    this.#reattach(wire);
    return undelivered;
  }

  #newDelivery({ hasSession, peerLimits }: Agreement): Delivery | undefined {
    const { limits, budget } = this.#parts;
    return hasSession ? beginDelivery(limits, peerLimits, budget) : undefined;
  }

  #attach(wire: Wire): Attachment {
    // Each side said in the handshake how far it is.
    this.session.delivery?.arrivals.takeAck();
    this.#outbox.attach(wire);
    return new Attachment(wire, this);
  }

  /** Puts another wire in the place of the last one. */
  #reattach(wire: Wire): void {
    this.#earlierBytesReceived += this.#wire.bytesRead;
    this.#earlierBytesSent += this.#wire.bytesWritten;
    this.#state = "open";
    this.#attachment = this.#attach(wire);
    // What was sent meanwhile may have filled it.
    this.#attachment.pulse?.checkWindow();
    if (this.session.delivery?.window.isAwaited) this.#askForAck();
    else this.#askForRoom();
  }

  /** Lets go of the wire. What was said over it is no longer heard. */
  #release(info: CloseInfo, manner: Manner, flushTimeoutMs?: number): void {
    // Where it ends in order, all that was queued may still arrive.
    this.#outbox.detach(manner === "at once" ? this.#wire.linesOffered : Infinity);
    const wire = this.#wire;
    this.#leaving.push(wire);
    this.#attachment.release(info, manner, flushTimeoutMs).then(() => this.#left(wire));
    // A peer that comes and comes again has no more than so many that are on their way out.
    if (this.#leaving.length > MAX_LEAVING) this.#leaving[0].abort();
  }

  #left(wire: Wire): void {
    this.#leaving.splice(this.#leaving.indexOf(wire), 1);
    if (this.#state === "closing") this.#closeIfLeft();
  }

  #closeIfLeft(): void {
    if (this.#leaving.length > 0) return;
    this.#state = "closed";
    this.#closed.settle(this.#info!);
  }

  #detach(info: CloseInfo, manner: Manner): void {
    this.#state = "detached";
    this.#release(info, manner, 0);
    this.#outbox.admit();
    for (const { reject } of this.session.pings.takeAll()) reject(closeError(info));
    log.info("{id} is detached: {code}: {reason}", { id: this.#id, ...info });
    this.#parts.onDetach?.(info);
  }

  // Receiving

  /** For the intake. */
  get publicKey(): string | undefined {
    return this.#parts.publicKey?.();
  }

  /** For the attachment. */
  get sweep(): Sweep {
    return this.#parts.sweep;
  }

  /** For the attachment. */
  get limits(): ResolvedLimits {
    return this.#parts.limits;
  }

  /** For the attachment: a line came. */
  receive(line: string): void {
    this.#intake.receive(line);
  }

  /** For what handles packets: this one has its turn, and is acknowledged. */
  handOver(packet: ReceivedPacket): void {
    const { delivery } = this.session;
    if (!delivery) return;
    delivery.arrivals.handOver(packet);
    this.#attachment.handedOver();
  }

  /** For what handles packets: answers with what a handler threw. */
  fail(packet: ReceivedPacket, error: unknown): void {
    if (!this.#replies.fail(packet, error)) this.#intake.ignore();
  }

  /** For the intake: the window may have room again. */
  acknowledged(): void {
    this.#outbox.admit();
    this.#askForRoom();
    this.#attachment.pulse?.checkWindow({ isProgress: true });
    if (this.#state === "draining") this.inbox.changes.notify();
  }

  /** For the intake: the server asks to start nothing new. */
  goAway(retryAfterMs: number): boolean {
    const { onGoAway } = this.#parts;
    if (!onGoAway || !this.hasSession) return false;
    this.#outbox.hold();
    onGoAway(retryAfterMs);
    return true;
  }

  /** For the intake: the peer has said goodbye. */
  peerClosed(info: CloseInfo): void {
    if (this.#canDetach(info.code)) this.#detach(info, "quietly");
    else this.#end(info, "quietly");
  }

  /** For the attachment: the peer has ended its side. A plain one may still read what it asked for. */
  async inputEnded(): Promise<void> {
    if (this.#canDetach(INPUT_ENDED.code)) return this.#detach(INPUT_ENDED, "quietly");
    const { requests, pings } = this.session;
    for (const { reject } of [...requests.takeAll(), ...pings.takeAll()]) {
      reject(closeError(INPUT_ENDED));
    }
    if (!this.hasSession) await this.#drain(this.#parts.limits.drainTimeoutMs);
    this.#end(INPUT_ENDED, "quietly");
  }

  // Sending

  /** Sends a packet whose sender may wait. See {@linkcode Connection.sendPacket}. */
  send(head: string, { delivered, signal }: SendOptions = {}): Promise<void> {
    if (this.ended) return rejected(this.ended);
    if (delivered && !this.hasSession) return rejected(noSession());
    if (signal?.aborted) return rejected(signal.reason);
    const entered = this.#outbox.send(head, signal);
    this.#attachment.pulse?.checkWindow();
    this.#askForRoom();
    if (delivered) {
      const arrived = this.#delivered(entered ?? DONE);
      return harmless(signal ? abortable(arrived, signal) : arrived);
    }
    if (entered) return harmless(entered);
    return this.#state === "open" && this.#wire.isCongested ? harmless(this.#room()) : DONE;
  }

  /** Sends one that may be lost. Returns why it cannot be sent at all, if that is so. */
  sendVolatile(head: string, terms: VolatileTerms): PnetworkError | undefined {
    const error = this.ended ?? this.#outbox.sendVolatile(head, terms);
    // It is lost, whether the session goes on or not.
    this.#orFault(error);
    return error;
  }

  /** Resolves when the peer has handed over all that was sent so far. */
  delivered(): Promise<void> {
    if (this.ended) return rejected(this.ended);
    if (!this.hasSession) return rejected(noSession());
    return harmless(this.#delivered(this.#outbox.entered()));
  }

  async #delivered(entered: Promise<void>): Promise<void> {
    const delivery = this.session.delivery!;
    await entered;
    if (this.ended) throw this.ended;
    if (!delivery.window.isSettled) this.#askForAck();
    await delivery.window.whenDelivered();
  }

  /** So that an acknowledgement need not wait for its time. One is enough for all of a turn. */
  #askForAck(): void {
    if (this.#pingsAfterTurn) return;
    this.#pingsAfterTurn = true;
    queueMicrotask(() => {
      this.#pingsAfterTurn = false;
      this.sendControl("@ping");
    });
  }

  /** The same where one waits for room: once the peer has taken what it was sent before. */
  #askForRoom(): void {
    if (!this.#outbox.isAwaited) return;
    const wire = this.#wire;
    if (this.#outbox.isShortOfRoom) this.#askForAck();
    else if (wire.isCongested && this.#asksAfter !== wire) {
      this.#asksAfter = wire;
      wire.room().then(() => {
        if (this.#asksAfter === wire) this.#asksAfter = undefined;
        this.#askForRoom();
      });
    }
  }

  /** Answers a request. `false` if the packet is none, or has been answered. */
  reply(packet: ReceivedPacket, data: unknown): boolean {
    // Nobody waits any more for what an earlier session asked.
    return this.#replies.reply(packet, data) || this.session.wasLost(packet);
  }

  /** For the replies. */
  sendReply(head: string, replyTo: number): PnetworkError | undefined {
    return this.ended ?? this.#sent(this.#outbox.reply(head, replyTo));
  }

  /**
   * Sends one that never waits. Returns why this peer does not get it, if it does not.
   *
   * Where lines of the turn wait to be written already, it joins them when they are: a burst goes to one peer
   * and then to the next, so that the first reads while the last is sent to.
   */
  broadcast(broadcast: Broadcast): PnetworkError | undefined {
    if (this.#isEnding()) return this.ended;
    if (this.#outbox.postpone(broadcast)) return undefined;
    return this.#sent(this.#outbox.broadcast(broadcast));
  }

  /** For the attachment: what was sent in this turn is about to be written. */
  beforeWrite(): void {
    this.#outbox.catchUp();
    // Whoever else caught up did not look.
    this.#attachment.pulse?.checkWindow();
  }

  /** Asks for a reply. See {@linkcode Connection.request}. */
  request(head: string, options: RequestOptions = {}): Promise<unknown> {
    const { requests } = this.session;
    return this.#ask(requests, options, (id) => this.#sent(this.#outbox.request(head, id)));
  }

  /** Asks for a pong. See {@linkcode Connection.ping}. */
  ping(options: RequestOptions): Promise<void> {
    const { pings } = this.session;
    if (this.#state === "detached") {
      return rejected(new ConnectionError("CONNECTION_LOST", "nobody is there at the moment"));
    }
    return this.#ask(pings, options, (id) => this.sendControl("@ping", id));
  }

  #ask<Answer>(
    outstanding: Outstanding<Answer>,
    options: RequestOptions,
    send: (id: number) => PnetworkError | undefined,
  ): Promise<Answer> {
    if (this.ended) return rejected(this.ended);
    if (!this.hasSession && this.#wire.inputEnded) return rejected(closeError(INPUT_ENDED));
    const answer = this.#questions.ask(outstanding, options, send);
    // What was sent and not read yet may hold it.
    this.inbox.changes.notify();
    return answer;
  }

  /** Sends one of the protocol's own packets. */
  sendControl(action: `@${string}`, data?: unknown, ack?: number): PnetworkError | undefined {
    return this.ended ?? this.#orFault(this.#outbox.sendControl(action, data, ack));
  }

  #sent(error: PnetworkError | undefined): PnetworkError | undefined {
    this.#attachment.pulse?.checkWindow();
    return this.#orFault(error);
  }

  /** A peer that does not take what must go out is too slow to go on with. */
  #orFault(error: PnetworkError | undefined): PnetworkError | undefined {
    if (error?.code !== "SLOW_CONSUMER") return error;
    this.fault(error);
    // What the session keeps is not lost to it.
    return this.ended ? error : undefined;
  }

  async #room(): Promise<void> {
    await this.#wire.room();
    if (this.ended) throw this.ended;
  }

  // Ending

  #isEnding(): boolean {
    return this.#state === "closing" || this.#state === "closed";
  }

  /** Whether anybody waits for something that fails with its end. */
  #isAwaited(): boolean {
    const { requests, pings } = this.session;
    return requests.size > 0 || pings.size > 0 || this.#outbox.isAwaited;
  }

  /** Whether the session goes on after such an end of its wire. */
  #canDetach(code: string): boolean {
    return this.hasSession && this.#state === "open" && isResumable(code);
  }

  /** For the attachment: the wire has failed, or must not go on. */
  fault(error: unknown): void {
    if (this.#isEnding() || this.#state === "detached") return;
    if (!(error instanceof PnetworkError)) {
      log.error("{id}: {error}", { id: this.#id, error });
      this.#end({ code: "CONNECTION_LOST", reason: "an unexpected error" }, "at once");
      return;
    }
    const { code, message: reason } = error;
    log.info("{id}: {code}: {reason}", { id: this.#id, code, reason });
    const isDeaf = code === "SLOW_CONSUMER" && this.#wire.isCongested;
    const manner = code !== "CONNECTION_LOST" && !isDeaf ? "goodbye" : "at once";
    if (this.#canDetach(code)) this.#detach({ code, reason }, manner);
    else this.#end({ code, reason }, manner);
  }

  /** Asks the peer to start nothing new here, and to come back after so many milliseconds. */
  askToGo(retryAfterMs: number): void {
    if (this.hasSession) this.sendControl("@goaway", { retryAfterMs });
  }

  /** Ends it in order: nothing new is handled, and what was sent still arrives. */
  async close(info: CloseInfo, drainTimeoutMs?: number): Promise<void> {
    if (drainTimeoutMs) await this.#drain(drainTimeoutMs);
    // Whoever closes wants no more handlers started; otherwise what came before the end is handled.
    this.inbox.abandon();
    // Nor does what was sent have to wait for room in the window of a session that ends.
    if (this.#state === "open" || this.isDraining) this.#outbox.admit({ isForced: true });
    this.#end(info, "goodbye", drainTimeoutMs);
    await this.closed;
  }

  /** Lets running handlers finish, the replies go out that the peer waits for, and all of it arrive. */
  async #drain(timeoutMs: number): Promise<void> {
    if (this.#isEnding() || this.#state === "detached") return;
    this.#state = "draining";
    let isOver = false;
    const callOff = this.#parts.sweep.after(timeoutMs, () => {
      isOver = true;
      this.inbox.changes.notify();
    });
    const isStopped = () => isOver || this.#isEnding();
    const isDone = () => this.inbox.isIdle && this.session.answering === 0;
    await this.inbox.changes.until(() => isDone() || isStopped());
    const { window } = this.session.delivery ?? {};
    if (window && !window.isSettled && !isStopped()) {
      this.sendControl("@ping");
      await this.inbox.changes.until(() => window.isSettled || isStopped());
    }
    callOff();
  }

  #end(info: CloseInfo, manner: Manner, flushTimeoutMs?: number): void {
    if (this.#isEnding()) return;
    const wasDetached = this.#state === "detached";
    this.#state = "closing";
    this.#info = info;
    // An error comes with its stack, and most connections end while nobody waits for anything.
    const error = this.#isAwaited() ? closeError(info) : undefined;
    if (!wasDetached) this.#release(info, manner, flushTimeoutMs);
    this.#undelivered = this.#outbox.end(error);
    this.#questions.end(error);
    this.inbox.close();
    this.#onEnd(info);
    this.#closeIfLeft();
  }

  /** Ends it at once, whatever is under way. */
  abandon(info: CloseInfo): void {
    this.#end(info, "goodbye", 0);
  }
}

function noSession(): ConnectionError {
  return new ConnectionError("NO_SESSION", "without a session nothing is acknowledged");
}
