/**
 * What is said over one connection: receiving, answering, asking, ending.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { ActionTable, Run } from "./actions.ts";
import type { CloseInfo, ConnectionStats, LoopInfo, Peer, RequestOptions } from "./contract.ts";
import { ConnectionError, ERROR_CODES, PnetworkError, ProtocolError } from "./errors.ts";
import { Inbox } from "./inbox.ts";
import type { ResolvedLimits } from "./options.ts";
import { Outbox } from "./outbox.ts";
import {
  decodePacket,
  encodeControl,
  errorFromData,
  isErrorData,
  type ReceivedPacket,
} from "./packet.ts";
import { sanitize } from "./sanitize.ts";
import { harmless, rejected } from "./rejections.ts";
import { Questions } from "./questions.ts";
import { Replies } from "./replies.ts";
import { Session } from "./session.ts";
import type { Sweep } from "./sweep.ts";
import { TokenBucket } from "./token_bucket.ts";
import type { Wire } from "./wire.ts";

const log = getLogger(["pnetwork", "connection"]);

/** What a conversation is held with. */
export interface ConversationParts {
  /** The connection's public name. */
  id: string;
  /** Its secret. */
  token: string | null;
  /** The socket of the moment. */
  wire: Wire;
  /** What watches its times. */
  sweep: Sweep;
  /** Its limits. */
  limits: ResolvedLimits;
  /** The longest packet that the peer accepts, in bytes. */
  peerMaxPacketBytes: number;
  /** What runs when packets arrive. */
  actions: ActionTable;
}

/** `open`; `draining` while handlers finish; `closing` while the socket does; `closed`. */
export type ConnectionState = "open" | "draining" | "closing" | "closed";

/** How an end is told: with a goodbye, with what was queued alone, or not at all. */
type Manner = "goodbye" | "quietly" | "at once";

const MAX_REASON_LENGTH = 256;
/** What a waiting packet costs besides its line, roughly: tiny ones must not add up unseen. */
const WAITING_PACKET_BYTES = 256;
const INPUT_ENDED: CloseInfo = {
  code: "CONNECTION_LOST",
  reason: "the other side ended the connection",
};
const DONE: Promise<void> = Promise.resolve();

/**
 * The engine of a connection. It reads its wire from the first moment on: replies and the protocol's own
 * packets are dealt with at once, a user's packets go into the inbox.
 */
export class Conversation {
  /** What arrived and waits for its turn. */
  readonly inbox: Inbox;

  readonly #id: string;
  readonly #token: string | null;
  readonly #wire: Wire;
  readonly #sweep: Sweep;
  readonly #limits: ResolvedLimits;
  readonly #onEnd: (info: CloseInfo) => void;
  readonly #session: Session<unknown>;
  readonly #outbox: Outbox;
  readonly #questions: Questions;
  readonly #replies: Replies;
  readonly #pace: TokenBucket | undefined;
  readonly #closed = Promise.withResolvers<CloseInfo>();

  #state: ConnectionState = "open";
  #info: CloseInfo | undefined;
  #packetsReceived = 0;
  #ignored = 0;
  #refused = 0;

  /**
   * @param parts What it is held with.
   * @param peer What handlers are given.
   * @param onEnd Called once, as soon as nothing can be sent any more.
   */
  constructor(parts: ConversationParts, peer: Peer, onEnd: (info: CloseInfo) => void) {
    const { id, token, wire, sweep, limits, peerMaxPacketBytes, actions } = parts;
    this.#id = id;
    this.#token = token;
    this.#wire = wire;
    this.#sweep = sweep;
    this.#limits = limits;
    this.#onEnd = onEnd;
    this.#session = new Session(limits.maxPendingRequests);
    const { maxBufferedBytes, maxInFlight, maxPacketsPerSecond } = limits;
    this.#outbox = new Outbox(wire, { token, peerMaxPacketBytes, maxBufferedBytes });
    this.inbox = new Inbox({
      prepare: (packet) => actions.prepare(packet),
      run: (run: Run) => run(peer),
      succeeded: (packet, result) => this.reply(packet, result === undefined ? null : result),
      failed: (packet, error) => {
        if (!this.#replies.fail(packet, error)) this.#ignored++;
      },
    }, maxInFlight);
    if (maxPacketsPerSecond !== false) {
      this.#pace = new TokenBucket(maxPacketsPerSecond, sweep.now());
    }
    this.#replies = new Replies(
      id,
      this.#session,
      (head, replyTo) => this.#mustSend(head, { replyTo }),
    );
    this.#questions = new Questions(this.#session, sweep, limits.requestTimeoutMs);
    wire.onFault = (error) => this.#fault(error);
    wire.closed.then(() =>
      this.#fault(new ConnectionError("CONNECTION_LOST", "the socket was closed"))
    );
    this.#listen();
  }

  /** How far it is from its end. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** Resolves when it has ended. Never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#closed.promise;
  }

  /** What it has done so far. */
  get stats(): ConnectionStats {
    return {
      packetsReceived: this.#packetsReceived,
      packetsSent: this.#outbox.packetsSent,
      bytesReceived: this.#wire.bytesRead,
      bytesSent: this.#wire.bytesWritten,
      ignored: this.#ignored,
      refused: this.#refused,
      waiting: this.inbox.length,
      inFlight: this.inbox.inFlight,
      pending: this.#session.requests.size,
      buffered: this.#wire.buffered,
    };
  }

  /** Its loops, and what each waits for. */
  get loops(): LoopInfo[] {
    const { read, write } = this.#wire.waitsFor;
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
  get ended(): ConnectionError | undefined {
    if (!this.#isEnding()) return undefined;
    return toError(this.#info ?? { code: "CLOSED", reason: "closed" });
  }

  // Receiving

  async #listen(): Promise<void> {
    try {
      for (;;) {
        const lines = await this.#wire.read();
        if (!lines) break;
        for (const line of lines) {
          if (this.#pace) await this.#keepPace(this.#pace);
          if (this.#isEnding()) return;
          this.#receive(line);
        }
        if (this.#isOverfull()) await this.#untilRoom();
      }
      await this.#inputEnded();
    } catch (error) {
      this.#fault(error);
    }
  }

  async #keepPace(pace: TokenBucket): Promise<void> {
    const waitMs = pace.take(this.#sweep.now());
    if (waitMs === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const callOff = this.#sweep.after(waitMs, resolve);
    await Promise.race([promise, this.#wire.closed]);
    callOff();
  }

  /** Too much waits here to read on, unless what comes next may be the reply that all this waits for. */
  #isOverfull(): boolean {
    if (this.#isEnding()) return false;
    const { replayPackets, replayBytes, maxBufferedBytes } = this.#limits;
    const { length, bytes } = this.inbox;
    if (!this.#isAsking()) return length > replayPackets || bytes > replayBytes;
    return bytes + length * WAITING_PACKET_BYTES > maxBufferedBytes;
  }

  #isAsking(): boolean {
    const { requests, pings } = this.#session;
    return requests.size > 0 || pings.size > 0;
  }

  /**
   * Pauses reading until handlers have made room. Where they make none while they may be waiting for a
   * reply that is not read, nothing would ever move again: then the connection ends.
   */
  async #untilRoom(): Promise<void> {
    const { stallTimeoutMs } = this.#limits;
    let callOff = () => {};
    const watch = (takenBefore: number) => {
      if (stallTimeoutMs === false) return;
      callOff = this.#sweep.after(stallTimeoutMs, () => {
        const { taken } = this.inbox;
        if (taken !== takenBefore || !this.#isAsking()) watch(taken);
        else this.#fault(new ConnectionError("SLOW_CONSUMER", "too much waits to be handled"));
      });
    };
    watch(this.inbox.taken);
    await this.inbox.changes.until(() => !this.#isOverfull());
    callOff();
  }

  #receive(line: string): void {
    let packet: ReceivedPacket;
    try {
      packet = decodePacket(line, this.#limits);
    } catch (error) {
      if (error instanceof ProtocolError && error.recoverable) return this.#refuse(error);
      throw error;
    }
    this.#packetsReceived++;
    if (packet.token !== null && packet.token !== this.#token) {
      throw new ProtocolError("BAD_TOKEN", "the packet bears a token of another connection");
    }
    if (packet.isOfSession) {
      throw new ProtocolError(
        "PROTOCOL_ERROR",
        "seq and ack belong to a session, and there is none",
      );
    }
    if (packet.replyTo !== undefined) this.#settle(packet, packet.replyTo);
    else if (packet.action.startsWith("@")) this.#control(packet);
    else this.#accept(packet, line.length);
  }

  /** The packet is refused, the connection kept. */
  #refuse({ code, message }: ProtocolError): void {
    this.#refused++;
    this.#sendControl("@error", { code, message });
  }

  #settle(packet: ReceivedPacket, id: number): void {
    const settler = this.#session.requests.take(id);
    if (!settler) this.#ignored++;
    else if (packet.error) settler.reject(errorFromData(packet.error));
    else settler.resolve(packet.data);
  }

  #control({ action, data }: ReceivedPacket): void {
    switch (action) {
      case "@ping":
        this.#sendControl("@pong", data);
        return;
      case "@pong": {
        const settler = this.#session.pings.take(data as number);
        if (settler) settler.resolve();
        else this.#ignored++;
        return;
      }
      case "@close":
        this.#end(closeInfoOf(data), "quietly");
        return;
      case "@error":
        this.#ignored++;
        log.warn("{id}: the peer refused a packet: {error}", {
          id: this.#id,
          error: isErrorData(data) ? errorFromData(data).message : "no reason given",
        });
        return;
      case "@handshake":
        throw new ProtocolError("UNEXPECTED_PACKET", "the handshake is over");
      default:
        // A newer peer's: it must be able to live without an answer.
        this.#ignored++;
    }
  }

  #accept(packet: ReceivedPacket, bytes: number): void {
    const { id } = packet;
    if (id === undefined) {
      if (this.#state === "draining") {
        this.#ignored++;
        return;
      }
    } else {
      if (!this.#session.beginAnswer(id, packet)) {
        this.#refuse(new ProtocolError("BAD_PACKET", `request ${id} is still being answered`));
        return;
      }
      if (this.#state === "draining") {
        this.#replies.refuse(packet, { code: "GOING_AWAY", message: "this side is shutting down" });
        return;
      }
      if (this.inbox.isFull || this.#session.answering > this.#limits.maxInFlight) {
        this.#replies.refuse(packet, { code: "OVERLOADED", message: "too many requests at once" });
        return;
      }
    }
    this.inbox.push(packet, bytes);
  }

  /** The peer has ended its side. It may still read what it asked for. */
  async #inputEnded(): Promise<void> {
    if (this.#isEnding()) return;
    const { requests, pings } = this.#session;
    for (const { reject } of [...requests.takeAll(), ...pings.takeAll()]) {
      reject(toError(INPUT_ENDED));
    }
    await this.#drain(this.#limits.drainTimeoutMs);
    this.#end(INPUT_ENDED, "quietly");
  }

  // Sending

  /** Sends a packet whose sender may wait. See {@linkcode Connection.sendPacket}. */
  send(head: string): Promise<void> {
    const error = this.ended ?? this.#outbox.send(head);
    if (error) return rejected(error);
    return this.#wire.isCongested ? harmless(this.#room()) : DONE;
  }

  /** Answers a request. `false` if the packet is none, or has been answered. */
  reply(packet: ReceivedPacket, data: unknown): boolean {
    return this.#replies.reply(packet, data);
  }

  /** Sends one that never waits. Returns why this peer does not get it, if it does not. */
  sendNow(head: string): PnetworkError | undefined {
    return this.#mustSend(head);
  }

  /** Asks for a reply. See {@linkcode Connection.request}. */
  request(head: string, options: RequestOptions = {}): Promise<unknown> {
    const { requests } = this.#session;
    const ask = () =>
      this.#questions.ask(requests, options, (id) => this.#outbox.send(head, { id }));
    return this.#ask(ask);
  }

  /** Asks for a pong. See {@linkcode Connection.ping}. */
  ping(options: RequestOptions): Promise<void> {
    const { pings } = this.#session;
    return this.#ask(() =>
      this.#questions.ask(pings, options, (id) => this.#sendControl("@ping", id))
    );
  }

  #ask<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    if (this.ended) return rejected(this.ended);
    if (this.#wire.inputEnded) return rejected(toError(INPUT_ENDED));
    const answer = ask();
    // What was sent and not read yet may hold it.
    this.inbox.changes.notify();
    return answer;
  }

  /** Sends what must go out: a peer that does not take it is too slow to go on with. */
  #mustSend(head: string, stamp: { replyTo?: number } = {}): PnetworkError | undefined {
    if (this.ended) return this.ended;
    return this.#orFault(this.#outbox.mustSend(head, stamp));
  }

  #sendControl(action: `@${string}`, data: unknown): PnetworkError | undefined {
    if (this.ended) return this.ended;
    return this.#orFault(this.#outbox.sendControl(action, data));
  }

  #orFault(error: PnetworkError | undefined): PnetworkError | undefined {
    if (error?.code === "SLOW_CONSUMER") this.#fault(error);
    return error;
  }

  async #room(): Promise<void> {
    await this.#wire.room();
    if (this.ended) throw this.ended;
  }

  // Ending

  #isEnding(): boolean {
    return this.#state === "closing" || this.#state === "closed";
  }

  #fault(error: unknown): void {
    if (this.#isEnding()) return;
    if (!(error instanceof PnetworkError)) {
      log.error("{id}: {error}", { id: this.#id, error });
      this.#end({ code: "CONNECTION_LOST", reason: "an unexpected error" }, "at once");
      return;
    }
    const { code, message: reason } = error;
    log.info("{id}: {code}: {reason}", { id: this.#id, code, reason });
    const isDeaf = code === "SLOW_CONSUMER" && this.#wire.isCongested;
    const canHear = code !== "CONNECTION_LOST" && !isDeaf;
    this.#end({ code, reason }, canHear ? "goodbye" : "at once");
  }

  /** Ends it in order: nothing new is handled, and what was sent still arrives. */
  async close(info: CloseInfo, drainTimeoutMs?: number | false): Promise<void> {
    if (drainTimeoutMs) await this.#drain(drainTimeoutMs);
    // Whoever closes wants no more handlers started; otherwise what came before the end is handled.
    this.inbox.abandon();
    this.#end(info, "goodbye", drainTimeoutMs);
    await this.closed;
  }

  /** Lets running handlers finish, and the replies go out that the peer waits for. */
  async #drain(timeoutMs: number | false): Promise<void> {
    if (this.#isEnding()) return;
    this.#state = "draining";
    let isOver = false;
    const callOff = timeoutMs === false ? () => {} : this.#sweep.after(timeoutMs, () => {
      isOver = true;
      this.inbox.changes.notify();
    });
    const isDone = () => this.inbox.isIdle && this.#session.answering === 0;
    await this.inbox.changes.until(() => isDone() || isOver || this.#isEnding());
    callOff();
  }

  #end(info: CloseInfo, manner: Manner, flushTimeoutMs?: number | false): void {
    if (this.#isEnding()) return;
    this.#state = "closing";
    this.#info = info;
    this.#questions.end(toError(info));
    this.inbox.close();
    this.#onEnd(info);
    const ended = () => {
      this.#state = "closed";
      this.#closed.resolve(info);
    };
    if (manner === "at once") this.#wire.abort();
    const line = manner === "goodbye"
      ? encodeControl("@close", {
        code: info.code,
        reason: info.reason.slice(0, MAX_REASON_LENGTH),
      })
      : undefined;
    this.#wire.end(line, flushTimeoutMs === false ? undefined : flushTimeoutMs).then(ended);
  }
}

/** What a goodbye says, fit to be shown. */
function closeInfoOf(data: unknown): CloseInfo {
  const { code, reason } = (data ?? {}) as { code?: unknown; reason?: unknown };
  return {
    code: typeof code === "string" && /^[A-Z_]{1,64}$/.test(code) ? code : "CLOSED",
    reason: typeof reason === "string" ? sanitize(reason, MAX_REASON_LENGTH) : "no reason given",
  };
}

/** What those are told who still wait for something. */
function toError({ code, reason }: CloseInfo): ConnectionError {
  const codes: readonly string[] = ERROR_CODES.ConnectionError;
  if (codes.includes(code)) return new ConnectionError(code as "CLOSED", reason);
  return new ConnectionError("CONNECTION_LOST", `the connection ended: ${code}: ${reason}`);
}
