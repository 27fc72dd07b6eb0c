/**
 * What a user holds of one peer.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { ActionTable, type BindFor, type Run } from "./actions.ts";
import type {
  ActionsOf,
  CloseInfo,
  CloseOptions,
  Contract,
  DataOf,
  NameOf,
  PacketTo,
  Peer,
  ReplyOf,
  RequestArguments,
  RequestOptions,
  Untyped,
} from "./contract.ts";
import {
  ConnectionError,
  ERROR_CODES,
  PnetworkError,
  ProtocolError,
  RequestError,
} from "./errors.ts";
import type { Groups } from "./groups.ts";
import { Inbox } from "./inbox.ts";
import { Outbox } from "./outbox.ts";
import {
  checkTimeout,
  type ConnectionLimits,
  DEFAULTS,
  resolveConnectionLimits,
  type ResolvedLimits,
} from "./options.ts";
import {
  decodePacket,
  describe,
  encodeControl,
  encodeErrorHead,
  encodeHead,
  type ErrorData,
  errorFromData,
  isErrorData,
  type ReceivedPacket,
} from "./packet.ts";
import { sanitize } from "./sanitize.ts";
import { type Outstanding, Session } from "./session.ts";
import { Sweep, type Sweepable } from "./sweep.ts";
import { TokenBucket } from "./token_bucket.ts";
import { type StreamPair, StreamTransport } from "./transport.ts";
import { Wire } from "./wire.ts";

const log = getLogger(["pnetwork", "connection"]);

/** What a handshake leaves behind for the connection that it made. */
export interface Accepted {
  /** Its public name. */
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
  /** The groups of its server, if it has one. */
  groups?: Groups<Connection>;
  /** What `authenticate` attached. */
  attached?: unknown;
  /** Called once, as soon as nothing can be sent any more. */
  onEnd: (connection: Connection, info: CloseInfo) => void;
}

/** What a connection has done so far. */
export interface ConnectionStats {
  /** Packets received, the protocol's own among them. */
  packetsReceived: number;
  /** Packets sent, the protocol's own among them. */
  packetsSent: number;
  /** Bytes received. */
  bytesReceived: number;
  /** Bytes sent. */
  bytesSent: number;
  /** Packets received that nothing came of: replies to no request, actions that nothing is bound to. */
  ignored: number;
  /** Packets received that were answered with an error, while the connection was kept. */
  refused: number;
  /** Packets that wait for a handler. */
  waiting: number;
  /** Handlers that run. */
  inFlight: number;
  /** Requests of ours that wait for a reply. */
  pending: number;
  /** UTF-16 code units that wait to be written. */
  buffered: number;
}

/** One loop that runs, and what it waits for. */
export interface LoopInfo {
  /** Which loop. */
  loop: string;
  /** What it waits for, for people. */
  waitsFor: string;
}

const MAX_REASON_LENGTH = 256;
const INPUT_ENDED: CloseInfo = {
  code: "CONNECTION_LOST",
  reason: "the other side ended the connection",
};
const DONE: Promise<void> = Promise.resolve();

/**
 * One peer. A server has one for each client, a client has one for its server, and over any pair of
 * byte streams both ends can have one, without a handshake, a token or a role.
 *
 * Typed from the server's side: `C["client"]` is what the other end answers.
 *
 * @example Two ends in one process
 * ```ts
 * import { Connection } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * const there = new TransformStream<Uint8Array, Uint8Array>();
 * const back = new TransformStream<Uint8Array, Uint8Array>();
 * await using left = new Connection({ readable: back.readable, writable: there.writable });
 * await using right = new Connection({ readable: there.readable, writable: back.writable });
 * right.bindAction("double", (n) => Number(n) * 2).startListen();
 * assertEquals(await left.request("double", 21), 42);
 * ```
 */
export class Connection<C extends Contract = Untyped> implements Peer<C>, AsyncDisposable {
  /** Names the connection to anyone; the same on both sides. */
  readonly id: string;
  /** Where the other side is, for people. */
  readonly address: string;
  /** What `authenticate` attached. */
  readonly attached: unknown;
  /** When it began. */
  readonly since: Date = new Date();

  readonly #token: string | null;
  readonly #wire: Wire;
  readonly #sweep: Sweep;
  readonly #limits: ResolvedLimits;
  readonly #actions: ActionTable;
  readonly #ownsActions: boolean;
  readonly #groups: Groups<Connection> | undefined;
  readonly #onEnd: (connection: Connection, info: CloseInfo) => void;
  readonly #session: Session<unknown>;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #deadlines: Sweepable;
  readonly #pace: TokenBucket | undefined;
  readonly #closed = Promise.withResolvers<CloseInfo>();

  #state: "open" | "draining" | "closing" | "closed" = "open";
  #info: CloseInfo | undefined;
  #packetsReceived = 0;
  #ignored = 0;
  #refused = 0;

  /**
   * Makes a connection over two streams. (A `Server` and a `Client` make theirs from a socket.)
   *
   * @param source The two streams.
   * @param options Its limits.
   * @throws {TypeError} If a limit has the wrong type, or the streams are none.
   * @throws {RangeError} If a limit is out of range.
   */
  constructor(source: StreamPair, options: ConnectionLimits = {}) {
    const accepted = isAccepted(source) ? source : acceptStreams(source, options);
    const { id, token, wire, sweep, limits, actions, groups } = accepted;
    this.id = id;
    this.address = wire.address;
    this.attached = accepted.attached;
    this.#token = token;
    this.#wire = wire;
    this.#sweep = sweep;
    this.#limits = limits;
    this.#outbox = new Outbox(wire, {
      token,
      peerMaxPacketBytes: accepted.peerMaxPacketBytes,
      maxBufferedBytes: limits.maxBufferedBytes,
    });
    this.#actions = actions;
    this.#ownsActions = !isAccepted(source);
    this.#groups = groups;
    this.#onEnd = accepted.onEnd;
    this.#session = new Session(limits.maxPendingRequests);
    this.#pace = limits.maxPacketsPerSecond === false
      ? undefined
      : new TokenBucket(limits.maxPacketsPerSecond, sweep.now());
    this.#inbox = new Inbox({
      prepare: (packet) => this.#actions.prepare(packet),
      run: (run: Run) => run(this as unknown as Peer),
      succeeded: (packet, result) => this.#reply(packet, result === undefined ? null : result),
      failed: (packet, error) => this.#replyFailure(packet, error),
    }, limits.maxInFlight);
    this.#deadlines = {
      nextDeadline: () => this.#session.nextDeadline(),
      sweep: (now) => this.#expire(now),
    };
    sweep.add(this.#deadlines);
    wire.onFault = (error) => this.#fault(error);
    wire.closed.then(() =>
      this.#fault(new ConnectionError("CONNECTION_LOST", "the socket was closed"))
    );
    this.#listen();
  }

  /** The secret that both sides share; `null` without a handshake. Never show it, never pass it on. */
  get token(): string | null {
    return this.#token;
  }

  /** `open`; `draining` while handlers finish; `closing` while the socket does; `closed`. */
  get state(): "open" | "draining" | "closing" | "closed" {
    return this.#state;
  }

  /** Resolves when the connection has ended. Never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#closed.promise;
  }

  /** The groups that it is in. */
  get groups(): ReadonlySet<string> {
    return new Set(this.#groups?.groupsOf(this as unknown as Connection));
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
      waiting: this.#inbox.length,
      inFlight: this.#inbox.inFlight,
      pending: this.#session.requests.size,
      buffered: this.#wire.buffered,
    };
  }

  /** Its loops, and what each waits for. */
  get loops(): LoopInfo[] {
    const { read, write } = this.#wire.waitsFor;
    const { inFlight, length, mode } = this.#inbox;
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

  /**
   * Binds an action on a connection over a pair of streams. Elsewhere actions are bound on the
   * `Server` or the `Client`, for all its connections.
   *
   * @throws {TypeError} If the name cannot be an action's, or this is not such a connection.
   */
  bindAction<Name extends NameOf<ActionsOf<C, "server">>>(
    name: Name,
    bind: BindFor<ActionsOf<C, "server">, Name, C>,
  ): this {
    if (!this.#ownsActions) {
      throw new TypeError("Actions are bound on the Server or the Client, not on its connections");
    }
    this.#actions.bind(name, bind);
    return this;
  }

  /**
   * Lets the bound actions run for what arrives. A `Server` and a `Client` do so after the connect
   * hook. Calling it again does nothing.
   *
   * @throws {TypeError} If a `for await` takes the packets already.
   */
  startListen(): void {
    if (this.#inbox.mode === "iterating") {
      throw new TypeError(
        "startListen() and for await exclude each other: for await began already",
      );
    }
    if (this.#inbox.mode === "waiting") this.#inbox.startDispatch();
  }

  /** Whether `startListen()` or `for await` took the packets already. */
  get isListening(): boolean {
    return this.#inbox.mode !== "waiting";
  }

  /**
   * The packets that arrive, in place of the bound actions. Whoever stops pulling stops the peer.
   * Requests among them (those with an `id`) are answered with {@linkcode Connection.reply}. Ends when
   * the connection does; leaving the loop ends nothing, and a later one goes on.
   *
   * @throws {TypeError} If the bound actions run already.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<ReceivedPacket, undefined> {
    if (this.#inbox.mode === "dispatching") {
      throw new TypeError(
        "for await and startListen() exclude each other: startListen() was called",
      );
    }
    this.#inbox.startIteration();
    const iterator: AsyncIterableIterator<ReceivedPacket, undefined> = {
      [Symbol.asyncIterator]: () => iterator,
      next: async () => {
        const value = await this.#inbox.take();
        return value ? { value, done: false } : { value, done: true };
      },
      return: () => Promise.resolve({ value: undefined, done: true }),
    };
    return iterator;
  }

  /**
   * Sends a packet to just this peer. What it is sent with besides `action` and `data` is stamped
   * anew, so that a packet that was received may be passed on as it is.
   *
   * @returns Resolves when there is room for more: whoever awaits it cannot overrun the peer. It need
   * not be awaited; a rejection that nobody looks at is dropped. Rejects with
   * {@linkcode ConnectionError} (the connection has ended), `PACKET_TOO_LARGE` (for the peer; nothing
   * was sent) or `OVERLOADED` (more than `maxBufferedBytes` waits; nothing was sent).
   * @throws {TypeError} If the packet cannot be sent.
   */
  sendPacket(packet: PacketTo<ActionsOf<C, "client">>): Promise<void> {
    const head = encodeHead(packet);
    const error = this.#send(head);
    if (error) return rejected(error);
    if (!this.#wire.isCongested) return DONE;
    return harmless(this.#room());
  }

  /**
   * Asks this peer for a reply.
   *
   * @param name The action.
   * @param rest Its data (`null` when left out), and how to wait.
   * @returns The reply. Rejects with {@linkcode RequestError} (`NO_ACTION`, `ACTION_FAILED`,
   * `INVALID_DATA`, `OVERLOADED`, `REQUEST_TIMEOUT`), {@linkcode ConnectionError} (it ended before
   * the reply came), `PACKET_TOO_LARGE`, or the signal's reason.
   * @throws {TypeError} If the packet cannot be sent or an option has the wrong type.
   * @throws {RangeError} If `timeoutMs` is out of range.
   */
  request<Name extends NameOf<ActionsOf<C, "client">>>(
    name: Name,
    ...rest: RequestArguments<DataOf<ActionsOf<C, "client">, Name>>
  ): Promise<ReplyOf<ActionsOf<C, "client">, Name>> {
    const [data, options] = rest.length === 0 ? [null, undefined] : rest;
    const head = encodeHead({ action: name, data });
    const reply = this.#ask(this.#session.requests, options, (id) => this.#send(head, { id }));
    return reply as Promise<ReplyOf<ActionsOf<C, "client">, Name>>;
  }

  /**
   * Measures the time there and back. A peer answers when it has read everything that was sent before.
   *
   * @returns Milliseconds. Rejects like {@linkcode Connection.request}.
   */
  ping(options: RequestOptions = {}): Promise<number> {
    const start = performance.now();
    const { pings } = this.#session;
    const pong = this.#ask(pings, options, (id) => this.#sendControl("@ping", id));
    return harmless(pong.then(() => performance.now() - start));
  }

  /**
   * Answers a request that a `for await` took.
   *
   * @param packet The request.
   * @param data The reply: any JSON; `null` when left out.
   * @throws {TypeError} If it is no request of this connection, or was answered already, or `data`
   * is no JSON.
   */
  reply(packet: ReceivedPacket, data: unknown = null): void {
    if (this.#isEnding()) return;
    encodeHead({ action: "reply", data });
    if (packet.id === undefined || !this.#reply(packet, data)) {
      throw new TypeError("Only a request that was not answered yet can be answered");
    }
    this.#inbox.changes.notify();
  }

  /**
   * Adds the connection to a group of its server.
   *
   * @throws {TypeError} If the name is no string, or the connection has no server.
   * @throws {RangeError} If the name is empty or too long, or there are too many groups.
   * @throws {ConnectionError} If the connection has ended.
   */
  join(group: string): void {
    if (this.#isEnding()) throw this.#endError();
    this.#groupsOfServer().join(this as unknown as Connection, group);
  }

  /**
   * Takes it out of a group again.
   *
   * @throws {TypeError} If the connection has no server.
   */
  leave(group: string): void {
    this.#groupsOfServer().leave(this as unknown as Connection, group);
  }

  /**
   * Ends the connection in order: what was sent still arrives. Calling it again waits for the end.
   *
   * @throws {TypeError} If an option has the wrong type.
   * @throws {RangeError} If `drainTimeoutMs` is out of range.
   */
  close(options: CloseOptions = {}): Promise<void> {
    return this.closeWith("CLOSED", options);
  }

  /** @internal Like {@linkcode Connection.close}, saying why to programs. */
  async closeWith(code: string, options: CloseOptions): Promise<void> {
    const { reason = "closed", drainTimeoutMs = 0 } = options;
    if (typeof reason !== "string") {
      throw new TypeError(`reason must be a string, got ${describe(reason)}`);
    }
    const timeoutMs = checkTimeout("drainTimeoutMs", drainTimeoutMs);
    if (timeoutMs !== 0) await this.#drain(timeoutMs);
    // Whoever closes wants no more handlers started; otherwise what came before the end is handled.
    this.#inbox.abandon();
    this.#end({ code, reason }, "goodbye");
    await this.closed;
  }

  /**
   * @internal Sends what was encoded once for many. It never waits.
   * @returns Why this peer does not get it, if it does not.
   */
  broadcastHead(head: string): PnetworkError | undefined {
    return this.#mustSend(head);
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What may be shown of it: never the token. */
  toJSON(): Record<string, unknown> {
    return {
      id: this.id,
      address: this.address,
      state: this.#state,
      since: this.since.toISOString(),
      groups: [...this.groups],
    };
  }

  /** For `console.log`. */
  [Symbol.for("Deno.customInspect")](): string {
    return `Connection { id: "${this.id}", address: "${this.address}", state: "${this.#state}" }`;
  }

  /** For `console.log` of Node's kind. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Connection { id: "${this.id}", address: "${this.address}", state: "${this.#state}" }`;
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
        if (this.#isOverfull()) await this.#inbox.changes.until(() => !this.#isOverfull());
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
    const { replayPackets, replayBytes } = this.#limits;
    const { requests, pings } = this.#session;
    return !this.#isEnding() && requests.size === 0 && pings.size === 0 &&
      (this.#inbox.length > replayPackets || this.#inbox.bytes > replayBytes);
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
          id: this.id,
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
      if (!this.#session.beginAnswer(id)) {
        this.#refuse(new ProtocolError("BAD_PACKET", `request ${id} is still being answered`));
        return;
      }
      if (this.#state === "draining") {
        this.#replyError(packet, { code: "GOING_AWAY", message: "this side is shutting down" });
        return;
      }
      if (this.#inbox.isFull || this.#session.answering > this.#limits.maxInFlight) {
        this.#replyError(packet, { code: "OVERLOADED", message: "too many requests at once" });
        return;
      }
    }
    this.#inbox.push(packet, bytes);
    if (this.#inbox.bytes > this.#limits.maxBufferedBytes) {
      throw new ConnectionError("SLOW_CONSUMER", "too much waits to be handled");
    }
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

  #send(head: string, stamp: { id?: number } = {}): PnetworkError | undefined {
    return this.#isEnding() ? this.#endError() : this.#outbox.send(head, stamp);
  }

  /** Sends what must go out: a peer that does not take it is too slow to go on with. */
  #mustSend(head: string, stamp: { replyTo?: number } = {}): PnetworkError | undefined {
    if (this.#isEnding()) return this.#endError();
    return this.#orFault(this.#outbox.mustSend(head, stamp));
  }

  #sendControl(action: `@${string}`, data: unknown): PnetworkError | undefined {
    if (this.#isEnding()) return this.#endError();
    return this.#orFault(this.#outbox.sendControl(action, data));
  }

  #orFault(error: PnetworkError | undefined): PnetworkError | undefined {
    if (error?.code === "SLOW_CONSUMER") this.#fault(error);
    return error;
  }

  async #room(): Promise<void> {
    await this.#wire.room();
    if (this.#isEnding()) throw this.#endError();
  }

  /** Opens a numbered question, sends it, and waits for its answer. */
  #ask<Answer>(
    outstanding: Outstanding<Answer>,
    options: RequestOptions = {},
    send: (id: number) => PnetworkError | undefined,
  ): Promise<Answer> {
    const { timeoutMs = this.#limits.requestTimeoutMs, signal } = options;
    const wait = checkTimeout("timeoutMs", timeoutMs);
    if (signal?.aborted) return rejected(signal.reason);
    if (this.#isEnding()) return rejected(this.#endError());
    if (this.#wire.inputEnded) return rejected(toError(INPUT_ENDED));
    const answer = Promise.withResolvers<Answer>();
    const deadline = wait === false ? Infinity : this.#sweep.now() + wait;
    try {
      const id = outstanding.open(deadline, answer);
      const error = send(id);
      if (error) outstanding.take(id)?.reject(error);
      else if (signal) {
        const abort = () => outstanding.take(id)?.reject(signal.reason);
        signal.addEventListener("abort", abort, { once: true });
        const forget = () => signal.removeEventListener("abort", abort);
        answer.promise.then(forget, forget);
      }
      this.#sweep.by(deadline);
      // What was sent and not read yet may hold the answer.
      this.#inbox.changes.notify();
    } catch (error) {
      return rejected(error);
    }
    return harmless(answer.promise);
  }

  #expire(now: number): void {
    for (const { reject } of this.#session.requests.takeExpired(now)) {
      reject(new RequestError("REQUEST_TIMEOUT", "no reply came in time"));
    }
    for (const { reject } of this.#session.pings.takeExpired(now)) {
      reject(new RequestError("REQUEST_TIMEOUT", "no pong came in time"));
    }
  }

  /** Sends the reply that a packet asks for. `false` if it asks for none, or has been answered. */
  #reply(packet: ReceivedPacket, data: unknown): boolean {
    const replyTo = packet.id;
    if (replyTo === undefined || !this.#session.endAnswer(replyTo)) return false;
    let error: PnetworkError | undefined;
    try {
      error = this.#mustSend(encodeHead({ action: packet.action, data }), { replyTo });
    } catch (cause) {
      log.error("{id}: the reply to {action} cannot be sent: {cause}", {
        id: this.id,
        action: sanitize(packet.action),
        cause,
      });
      error = new RequestError("ACTION_FAILED", "the reply is no JSON");
    }
    if (error && !this.#isEnding()) {
      const { code, message } = error;
      this.#mustSend(encodeErrorHead(packet.action, { code, message }), { replyTo });
    }
    return true;
  }

  #replyError(packet: ReceivedPacket, error: ErrorData): void {
    const replyTo = packet.id;
    if (replyTo === undefined || !this.#session.endAnswer(replyTo)) return;
    this.#mustSend(encodeErrorHead(packet.action, error), { replyTo });
  }

  /** What a handler threw stays here, unless it says that it is meant for the other side. */
  #replyFailure(packet: ReceivedPacket, error: unknown): void {
    const isForPeer = error instanceof RequestError && !error.remote &&
      (error.code === "NO_ACTION" || error.code === "INVALID_DATA" ||
        error.code === "ACTION_FAILED");
    const isUnbound = isForPeer && error.code === "NO_ACTION";
    if (isUnbound && packet.id === undefined) this.#ignored++;
    if (!isForPeer) {
      log.error("{id}: the handler of {action} failed: {error}", {
        id: this.id,
        action: sanitize(packet.action),
        error,
      });
    }
    this.#replyError(
      packet,
      isForPeer ? { code: error.code, message: error.message } : {
        code: "ACTION_FAILED",
        message: "the action failed",
      },
    );
  }

  // Ending

  #isEnding(): boolean {
    return this.#state === "closing" || this.#state === "closed";
  }

  #endError(): ConnectionError {
    return toError(this.#info ?? { code: "CLOSED", reason: "closed" });
  }

  #fault(error: unknown): void {
    if (this.#isEnding()) return;
    if (!(error instanceof PnetworkError)) {
      log.error("{id}: {error}", { id: this.id, error });
      this.#end({ code: "CONNECTION_LOST", reason: "an unexpected error" }, "at once");
      return;
    }
    const { code, message: reason } = error;
    log.info("{id}: {code}: {reason}", { id: this.id, code, reason });
    const canHear = code !== "CONNECTION_LOST" && code !== "SLOW_CONSUMER";
    this.#end({ code, reason }, canHear ? "goodbye" : "at once");
  }

  /** Lets running handlers finish, and the replies go out that the peer waits for. */
  async #drain(timeoutMs: number | false): Promise<void> {
    if (this.#isEnding()) return;
    this.#state = "draining";
    let isOver = false;
    const callOff = timeoutMs === false ? () => {} : this.#sweep.after(timeoutMs, () => {
      isOver = true;
      this.#inbox.changes.notify();
    });
    const isDone = () => this.#inbox.isIdle && this.#session.answering === 0;
    await this.#inbox.changes.until(() => isDone() || isOver || this.#isEnding());
    callOff();
  }

  #end(info: CloseInfo, manner: "goodbye" | "quietly" | "at once"): void {
    if (this.#isEnding()) return;
    this.#state = "closing";
    this.#info = info;
    this.#sweep.delete(this.#deadlines);
    this.#session.end(toError(info));
    this.#inbox.close();
    this.#groups?.leaveAll(this as unknown as Connection);
    this.#onEnd(this as unknown as Connection, info);
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
    this.#wire.end(line).then(ended);
  }

  #groupsOfServer(): Groups<Connection> {
    if (!this.#groups) {
      throw new TypeError("Groups belong to a Server: this connection has none");
    }
    return this.#groups;
  }
}

/**
 * Makes the connection that a handshake led to. What a handshake leaves behind is no business of
 * users, so that the constructor's type does not name it.
 */
export function acceptConnection<C extends Contract>(accepted: Accepted): Connection<C> {
  return new Connection<C>(accepted as unknown as StreamPair);
}

function isAccepted(source: object): source is Accepted {
  return "wire" in source;
}

/** A connection over streams is its own server and its own client. */
function acceptStreams(source: StreamPair, options: ConnectionLimits): Accepted {
  if (!(source?.readable instanceof ReadableStream && source.writable instanceof WritableStream)) {
    throw new TypeError("A Connection needs { readable, writable }: two streams of bytes");
  }
  const limits = resolveConnectionLimits(options);
  const sweep = new Sweep();
  return {
    id: crypto.randomUUID(),
    token: null,
    wire: new Wire(new StreamTransport(source), { limits, sweep }),
    sweep,
    limits,
    peerMaxPacketBytes: DEFAULTS.maxPacketBytes,
    actions: new ActionTable(),
    onEnd: () => {},
  };
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

/** Marks a promise as one whose rejection may be ignored. */
function harmless<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

function rejected(error: unknown): Promise<never> {
  return harmless(Promise.reject(error));
}
