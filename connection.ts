/**
 * What a user holds of one peer.
 *
 * @module
 */

import { ActionTable, type BindFor } from "./actions.ts";
import type {
  ActionsOf,
  CloseInfo,
  CloseOptions,
  ConnectionStats,
  Contract,
  DataOf,
  LoopInfo,
  NameOf,
  PacketTo,
  Peer,
  ReplyOf,
  RequestArguments,
  RequestOptions,
  SendOptions,
  Untyped,
} from "./contract.ts";
import { type ConnectionState, Conversation, type ConversationParts } from "./conversation.ts";
import { keyFingerprint } from "./crypto.ts";
import { RequestError } from "./errors.ts";
import type { Groups } from "./groups.ts";
import {
  checkCloseOptions,
  checkSendOptions,
  type ConnectionLimits,
  DEFAULTS,
  resolveConnectionLimits,
} from "./options.ts";
import { encodeAnyHead, encodeHead, type ReceivedPacket } from "./packet.ts";
import { harmless, rejected } from "./rejections.ts";
import { processSweep } from "./sweep.ts";
import { type StreamPair, StreamTransport } from "./transport.ts";
import type { Undelivered } from "./window.ts";
import { Wire } from "./wire.ts";

/** What a handshake leaves behind for the connection that it made. */
export interface Accepted extends ConversationParts {
  /** The groups of its server, if it has one. */
  groups?: Groups<Connection>;
  /** What `authenticate` attached. */
  attached?: unknown;
  /** Called once, as soon as nothing can be sent any more. */
  onEnd: (info: CloseInfo) => void;
}

// deno-lint-ignore no-explicit-any -- whatever its contract
let engineOf: (connection: Connection<any>) => Conversation;

/** Tells what a handshake left from the streams of a user. */
class AcceptedSource {
  readonly accepted: Accepted;

  constructor(accepted: Accepted) {
    this.accepted = accepted;
  }
}

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
  /** What `authenticate` attached when the session began. */
  readonly attached: unknown;
  readonly #conversation: Conversation;
  /** Those of its own, over a pair of streams; elsewhere they belong to the server or the client. */
  readonly #actions: ActionTable | undefined;
  readonly #groups: Groups<Connection> | undefined;
  readonly #since = Date.now();
  #lastGroups: ReadonlySet<string> | undefined;

  static {
    engineOf = (connection) => connection.#conversation;
  }

  /**
   * Makes a connection over two streams. (A `Server` and a `Client` make theirs from a socket.)
   *
   * @param source The two streams.
   * @param options Its limits.
   * @throws {TypeError} If a limit has the wrong type, or the streams are none.
   * @throws {RangeError} If a limit is out of range.
   */
  constructor(source: StreamPair, options: ConnectionLimits = {}) {
    const isAccepted = source instanceof AcceptedSource;
    const accepted = isAccepted ? source.accepted : acceptStreams(source, options);
    const { attached, actions, groups, onEnd } = accepted;
    this.attached = attached;
    this.#groups = groups;
    if (!isAccepted) this.#actions = actions;
    this.#conversation = new Conversation(accepted, this.#untyped, (info) => {
      const joined = groups?.groupsOf(this.#untyped);
      if (joined && joined.size > 0) {
        this.#lastGroups = new Set(joined);
        groups?.leaveAll(this.#untyped);
      }
      onEnd(info);
    });
  }

  /**
   * Names the connection to anyone; the same on both sides, if they shook hands. On a client it changes
   * when a session is lost and another one begins.
   */
  get id(): string {
    return this.#conversation.id;
  }

  /** When it began. */
  get since(): Date {
    return new Date(this.#since);
  }

  /** Where the other side is, for people; where it was last, while it is detached. */
  get address(): string {
    return this.#conversation.address;
  }

  /**
   * The secret that both sides share; `null` without a handshake. Never show it, never pass it on. On a
   * client it changes together with the id.
   */
  get token(): string | null {
    return this.#conversation.token;
  }

  /** What the peer's key is known by, which it has proved to hold; only on a secure connection. */
  get fingerprint(): string | undefined {
    return this.#conversation.fingerprint;
  }

  /** Whether the connection outlives its socket. */
  get hasSession(): boolean {
    return this.#conversation.hasSession;
  }

  /**
   * What the session that ended last left undelivered: that of this connection when it has ended, on a
   * client also the one before the session of now.
   */
  get undelivered(): Undelivered {
    return this.#conversation.undelivered;
  }

  /**
   * `open`; `detached` between two sockets; `draining` while handlers finish; `closing` while the socket
   * does; `closed`.
   */
  get state(): ConnectionState {
    return this.#conversation.state;
  }

  /** Resolves when the connection has ended. Never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#conversation.closed;
  }

  /** The groups that it is in; when it has ended, those that it was in last. */
  get groups(): ReadonlySet<string> {
    if (this.#conversation.ended) return this.#lastGroups ?? new Set();
    return new Set(this.#groups?.groupsOf(this.#untyped));
  }

  /** What it has done so far. */
  get stats(): ConnectionStats {
    return this.#conversation.stats;
  }

  /** Its loops, and what each waits for. */
  get loops(): LoopInfo[] {
    return this.#conversation.loops;
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
    if (!this.#actions) {
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
    if (this.#conversation.inbox.mode === "iterating") {
      throw new TypeError(
        "startListen() and for await exclude each other: for await began already",
      );
    }
    if (this.#conversation.inbox.mode === "waiting") this.#conversation.inbox.startDispatch();
  }

  /** Whether `startListen()` or `for await` took the packets already. */
  get isListening(): boolean {
    return this.#conversation.inbox.mode !== "waiting";
  }

  /**
   * The packets that arrive, in place of the bound actions. Whoever stops pulling stops the peer.
   * Requests among them (those with an `id`) are answered with {@linkcode Connection.reply}. Ends when
   * the connection does; leaving the loop ends nothing, and a later one goes on.
   *
   * @throws {TypeError} If the bound actions run already.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<ReceivedPacket, undefined> {
    if (this.#conversation.inbox.mode === "dispatching") {
      throw new TypeError(
        "for await and startListen() exclude each other: startListen() was called",
      );
    }
    this.#conversation.inbox.startIteration();
    let isDone = false;
    const iterator: AsyncIterableIterator<ReceivedPacket, undefined> = {
      [Symbol.asyncIterator]: () => iterator,
      next: async () => {
        const value = isDone ? undefined : await this.#conversation.inbox.take();
        return value ? { value, done: false } : { value, done: true };
      },
      return: () => {
        isDone = true;
        return Promise.resolve({ value: undefined, done: true });
      },
    };
    return iterator;
  }

  /**
   * Sends a packet to just this peer. What it is sent with besides `action` and `data` is stamped
   * anew, so that a packet that was received may be passed on as it is.
   *
   * Within a session the packet is kept until the peer has acknowledged it, and sent again when the
   * socket drops.
   *
   * @param packet The packet.
   * @param options Whether it may be lost, or whether to wait until it has been delivered.
   * @returns Resolves when there is room for more: whoever awaits it cannot overrun the peer. It need
   * not be awaited; a rejection that nobody looks at is dropped. Rejects with
   * {@linkcode ConnectionError} (the connection has ended; `SESSION_LOST`: it began anew; `NO_SESSION`:
   * `delivered` cannot be known), `PACKET_TOO_LARGE` (for the peer; nothing was sent), `OVERLOADED`
   * (more than `maxBufferedBytes` waits; nothing was sent), or the signal's reason.
   * @throws {TypeError} If the packet cannot be sent, or an option has the wrong type.
   */
  sendPacket(packet: PacketTo<ActionsOf<C, "client">>, options: SendOptions = {}): Promise<void> {
    const head = encodeHead(packet);
    if (!checkSendOptions(options).volatile) return this.#conversation.send(head, options);
    const terms = { policy: "drop-oldest", key: "" } as const;
    const error = this.#conversation.sendVolatile(head, terms);
    return error ? rejected(error) : Promise.resolve();
  }

  /**
   * Waits until this peer has acknowledged all that was sent so far: each packet was handed to its action
   * there, or to its `for await`, and each reply to who asked.
   *
   * @returns Resolves then. Rejects with {@linkcode ConnectionError}: `NO_SESSION`, `SESSION_LOST`, or
   * why the connection has ended.
   */
  delivered(): Promise<void> {
    return this.#conversation.delivered();
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
    const reply = this.#conversation.request(head, options);
    return reply as Promise<ReplyOf<ActionsOf<C, "client">, Name>>;
  }

  /**
   * Measures the time there and back. A peer answers when it has read everything that was sent before.
   *
   * @returns Milliseconds. Rejects like {@linkcode Connection.request}.
   */
  ping(options: RequestOptions = {}): Promise<number> {
    const start = performance.now();
    return harmless(this.#conversation.ping(options).then(() => performance.now() - start));
  }

  /**
   * Asks this peer for its public key, to seal packets for it. Whoever stands between the two could give
   * their own: compare the fingerprint over another way, or use a secure connection.
   *
   * @returns The key (SPKI) as PEM, and its fingerprint; `undefined` if the peer has none. Rejects like
   * {@linkcode Connection.request}, and with `INVALID_DATA` if what it says is no key that packets can be
   * sealed for.
   */
  async fetchPublicKey(
    options: RequestOptions = {},
  ): Promise<{ publicKey: string; fingerprint: string } | undefined> {
    const head = encodeAnyHead("@public-key", null);
    const said = await this.#conversation.request(head, options) as { publicKey?: unknown } | null;
    const publicKey = said?.publicKey as string;
    if (publicKey === null) return undefined;
    try {
      return { publicKey, fingerprint: await keyFingerprint(publicKey) };
    } catch (cause) {
      const message = `the peer's public key cannot be used: ${(cause as Error).message}`;
      throw new RequestError("INVALID_DATA", message, { remote: true });
    }
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
    if (this.#conversation.ended) return;
    encodeHead({ action: "reply", data });
    if (!this.#conversation.reply(packet, data)) {
      throw new TypeError("Only a request that was not answered yet can be answered");
    }
    this.#conversation.inbox.changes.notify();
  }

  /**
   * Adds the connection to a group of its server.
   *
   * @throws {TypeError} If the name is no string, or the connection has no server.
   * @throws {RangeError} If the name is empty or too long, or there are too many groups.
   * @throws {ConnectionError} If the connection has ended.
   */
  join(group: string): void {
    if (this.#conversation.ended) throw this.#conversation.ended;
    this.#groupsOfServer().join(this.#untyped, group);
  }

  /**
   * Takes it out of a group again.
   *
   * @throws {TypeError} If the connection has no server.
   */
  leave(group: string): void {
    this.#groupsOfServer().leave(this.#untyped, group);
  }

  /**
   * Ends the connection in order: what was sent still arrives, if the peer takes it within the
   * connection's `drainTimeoutMs` (or that of the options). Calling it again waits for the end. A handler
   * of this connection that awaits it with a `drainTimeoutMs` waits for itself.
   *
   * @throws {TypeError} If an option has the wrong type.
   * @throws {RangeError} If `drainTimeoutMs` is out of range.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { reason, drainTimeoutMs } = checkCloseOptions(options);
    await this.#conversation.close({ code: "CLOSED", reason: reason ?? "closed" }, drainTimeoutMs);
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
      state: this.state,
      since: this.since.toISOString(),
      groups: [...this.groups],
    };
  }

  /** For `console.log` and `Deno.inspect`. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Connection { id: "${this.id}", address: "${this.address}", state: "${this.state}" }`;
  }

  /** For what treats all connections alike, whatever their contract. */
  get #untyped(): Connection {
    return this as unknown as Connection;
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
  return new Connection<C>(new AcceptedSource(accepted) as unknown as StreamPair);
}

/** The engine of a connection, for the server or client that it belongs to. */
// deno-lint-ignore no-explicit-any -- whatever its contract
export function conversationOf(connection: Connection<any>): Conversation {
  return engineOf(connection);
}

/** A connection over streams is its own server and its own client. */
function acceptStreams(source: StreamPair, options: ConnectionLimits): Accepted {
  if (!(source?.readable instanceof ReadableStream && source.writable instanceof WritableStream)) {
    throw new TypeError("A Connection needs { readable, writable }: two streams of bytes");
  }
  const limits = resolveConnectionLimits(options);
  return {
    id: crypto.randomUUID(),
    token: null,
    wire: new Wire(new StreamTransport(source), { limits, sweep: processSweep }),
    sweep: processSweep,
    limits,
    peerLimits: DEFAULTS,
    hasSession: false,
    actions: new ActionTable(),
    onEnd: () => {},
  };
}
