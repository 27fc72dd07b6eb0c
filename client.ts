/**
 * The side that connects.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { type ActionInfo, ActionTable, type BindFor, type BindOptions } from "./actions.ts";
import type { ClientOptions, ClientState, ConnectOptions } from "./client_options.ts";
import { encodeClose } from "./close_info.ts";
import { acceptConnection, type Connection, conversationOf } from "./connection.ts";
import { ConnectionMap, forgetConnection, keepConnection } from "./connection_map.ts";
import type {
  ActionsOf,
  CloseInfo,
  CloseOptions,
  Contract,
  DataArguments,
  DataOf,
  Flipped,
  LoopInfo,
  NameOf,
  PacketTo,
  ReplyOf,
  RequestArguments,
  RequestOptions,
  SendOptions,
  Untyped,
} from "./contract.ts";
import {
  type DecryptOptions,
  type EncryptKeys,
  type EncryptKeysOptions,
  encryptPacket,
  type SealedData,
} from "./crypto.ts";
import { type Dialled, Dialler, isFinal } from "./dial.ts";
import { ConnectionError, PnetworkError } from "./errors.ts";
import type { Hello, Welcome } from "./handshake.ts";
import { introduce, tell } from "./hooks.ts";
import { KeyHolder } from "./key_holder.ts";
import { runAction } from "./loopback.ts";
import { Once } from "./once.ts";
import {
  checkCloseOptions,
  checkFunctions,
  checkOptions,
  checkSignal,
  checkTls,
  DEFAULTS,
  resolveClientLimits,
  type ResolvedClientLimits,
  type ResolvedEndpoint,
  resolveEndpoint,
} from "./options.ts";
import { createPacket, encodeHead, type OutgoingPacket, type Packet } from "./packet.ts";
import { ReplayBudget } from "./replay_budget.ts";
import { sanitize } from "./sanitize.ts";
import { resolveSecure } from "./server_check.ts";
import { processSweep } from "./sweep.ts";
import { endpointText } from "./transport.ts";

const log = getLogger(["pnetwork", "client"]);

/**
 * Connects to a server, shakes hands, and runs what is bound for what the server sends.
 *
 * @example
 * ```ts
 * import { Client, Server } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new Server({ port: 0 });
 * server.bindAction("whoami", (_data, _packet, connection) => connection.id);
 * await server.start();
 *
 * await using client = new Client({ port: server.port });
 * await client.start();
 * assertEquals(await client.request("whoami"), client.id);
 * ```
 */
export class Client<C extends Contract = Untyped> implements AsyncDisposable {
  /** The connection to the server, by token: one, or none. */
  readonly clients: ConnectionMap<Flipped<C>> = new ConnectionMap<Flipped<C>>();

  readonly #endpoint: ResolvedEndpoint;
  readonly #limits: ResolvedClientLimits;
  readonly #options: ClientOptions<C>;
  readonly #actions = new ActionTable();
  readonly #keys: KeyHolder;
  readonly #closed = new Once<CloseInfo>();

  readonly #dialler: Dialler;

  #state: ClientState = "idle";
  #connecting: Promise<void> | undefined;
  #epoch: string | undefined;
  #attempt = 0;
  /** How much had been received when the socket of the moment came. */
  #receivedBefore = 0;
  #connection: Connection<Flipped<C>> | undefined;

  /**
   * Makes a client. It connects when it is started.
   *
   * @param options Where the server is, what to tell it, and limits.
   * @throws {TypeError} If an option has the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(options: ClientOptions<C> = {}) {
    this.#limits = resolveClientLimits(options);
    this.#endpoint = resolveEndpoint(options);
    checkFunctions(options, [
      "onConnect",
      "onDetach",
      "onRetry",
      "onResume",
      "onSessionLost",
      "onDisconnect",
    ]);
    checkSignal(options.signal);
    this.#dialler = new Dialler({
      endpoint: this.#endpoint,
      limits: this.#limits,
      sweep: processSweep,
      tls: checkTls("client", options),
      secure: resolveSecure(options.secure),
      hello: () => this.#hello(),
      onRetry: (retry) => {
        const { error } = retry;
        // What was to be resumed did not fit into the first line beside `auth`, and never will.
        if (error instanceof PnetworkError && error.code === "PACKET_TOO_LARGE") {
          this.#epoch = undefined;
        }
        this.#tell("onRetry", () => this.#options.onRetry?.(retry));
      },
    });
    this.#options = { ...options };
    this.#keys = new KeyHolder(processSweep, options.encryptKeys);
    if (options.auth !== undefined) encodeHead({ action: "auth", data: options.auth });
  }

  /** The server's host; the path, for a Unix socket. */
  get host(): string {
    return "path" in this.#endpoint ? this.#endpoint.path : this.#endpoint.host;
  }

  /** The server's port; 0 for a Unix socket. */
  get port(): number {
    return "port" in this.#endpoint ? this.#endpoint.port : 0;
  }

  /** Where the server is, for people: `127.0.0.1:25565`, or `unix:/run/x.sock`. */
  get address(): string {
    return endpointText(this.#endpoint);
  }

  /**
   * `idle` before `start()` and after it failed, then `connecting`, `connected`, `reconnecting` while the
   * socket is lost, and `closed`.
   */
  get state(): ClientState {
    return this.#state;
  }

  /** The connection to the server; `undefined` before `start()` has resolved. */
  get connection(): Connection<Flipped<C>> | undefined {
    return this.#connection;
  }

  /** The public name that the server gave; `undefined` before `start()` has resolved. */
  get id(): string | undefined {
    return this.#connection?.id;
  }

  /** The secret that the server gave; `undefined` before `start()` has resolved. Never show it. */
  get token(): string | undefined {
    return this.#connection?.token ?? undefined;
  }

  /** Resolves when it has been closed, or its connection has ended. Never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#closed.promise;
  }

  /** What is bound. */
  get actions(): ActionInfo[] {
    return this.#actions.list();
  }

  /** Its own loop, and what it waits for. Its connection has loops of its own. */
  get loops(): LoopInfo[] {
    return [{ loop: "sweep", waitsFor: processSweep.waitsFor }];
  }

  /** Makes a packet for the server. See the function of this name. */
  createPacket<Name extends NameOf<ActionsOf<C, "server">>>(
    name: Name,
    ...data: DataArguments<DataOf<ActionsOf<C, "server">, Name>>
  ): Packet<DataOf<ActionsOf<C, "server">, Name>, Name> {
    return createPacket(name, ...data) as Packet<DataOf<ActionsOf<C, "server">, Name>, Name>;
  }

  /**
   * Binds a name: what runs when the server sends a packet of that name. What was bound to it before
   * no longer is.
   *
   * @param name The action's name; must not start with `@`.
   * @param bind A {@linkcode Bind}, or a function `(data, packet, connection)`.
   * @param options Whether its packets must be sealed.
   * @throws {TypeError} If the name cannot be an action's, `bind` is neither, or sealed packets are to be
   * opened and there are no keys.
   */
  bindAction<Name extends NameOf<ActionsOf<C, "client">>>(
    name: Name,
    bind: BindFor<ActionsOf<C, "client">, Name, Flipped<C>>,
    options: BindOptions = {},
  ): this {
    this.#actions.bind(name, bind, this.#keys.opener(options));
    return this;
  }

  /**
   * Binds every name that nothing else is bound to.
   *
   * @throws {TypeError} If `bind` is neither a {@linkcode Bind} nor a function.
   */
  bindFallback(bind: BindFor<Untyped["client"], string, Flipped<C>>): this {
    this.#actions.bindFallback(bind);
    return this;
  }

  /** This side's keys for sealed packets, once there are any. */
  get encryptKeys(): EncryptKeys | undefined {
    return this.#keys.keys;
  }

  /** Makes keys for sealed packets, and holds them. See the function of this name. */
  createEncryptKeys(options: EncryptKeysOptions = {}): Promise<EncryptKeys> {
    return this.#keys.create(options);
  }

  /** Seals a packet for the holder of a key. See the function of this name. */
  encryptPacket<Name extends string>(
    packet: OutgoingPacket<unknown, Name>,
    publicKey: string,
  ): Promise<Packet<SealedData, Name>> {
    return encryptPacket(packet, publicKey);
  }

  /**
   * Opens a packet that was sealed for this side. See the function of this name.
   *
   * @throws {TypeError} If there are no keys.
   */
  decryptPacket(packet: OutgoingPacket, options: DecryptOptions = {}): Promise<Packet> {
    return this.#keys.decrypt(packet, options);
  }

  /**
   * Runs what is bound to a name here, as if a request of that name had come. The connection that the
   * bind is handed lives as long as the request, and is in no list.
   *
   * @param name The action.
   * @param data Its data; `null` when left out.
   * @returns The reply. Rejects with `NO_ACTION` or `INVALID_DATA`, or with what the bind throws.
   */
  trigger(name: string, data: unknown = null): Promise<unknown> {
    return runAction(this.#actions, this.#limits, name, data);
  }

  /**
   * Connects and shakes hands. After it has failed it may be called again. Once it has succeeded, the
   * client reconnects by itself.
   *
   * @returns Resolves when the client is registered: its `token` is set.
   * @throws {TypeError} If it was started before, or the runtime is not Deno.
   * @throws {ConnectionError} `CONNECT_FAILED` (its `cause` is what the system said),
   * `CONNECTION_LOST` (during the handshake), `CLOSED` (by `close()`), `GOING_AWAY`.
   * @throws {HandshakeError} `REFUSED`, `SERVER_FULL`, `HANDSHAKE_TIMEOUT`.
   * @throws {ProtocolError} If what answers does not speak this protocol, or not this version.
   * @throws {Deno.errors.NotCapable} Without `--allow-net` for the host.
   */
  async start(options: ConnectOptions = {}): Promise<void> {
    checkOptions(options);
    const { signal, retry = false } = options;
    checkSignal(signal);
    if (typeof retry !== "boolean") {
      throw new TypeError(`retry must be a boolean, got ${typeof retry}`);
    }
    signal?.throwIfAborted();
    if (this.#state !== "idle") {
      throw new TypeError(`A client starts once, and this one is ${this.#state}`);
    }
    this.#state = "connecting";
    const { maxAttempts } = this.#limits;
    try {
      this.#connecting = this.#dialler.dial({
        signal,
        maxAttempts: retry ? maxAttempts === 0 ? 1 : maxAttempts : 1,
        take: (dialled) => this.#register(dialled),
      });
      await this.#connecting;
    } catch (error) {
      if (this.#state === "connecting") this.#state = "idle";
      throw error;
    }
  }

  /**
   * Sends a packet to the server. See {@linkcode Connection.sendPacket}.
   *
   * @throws {TypeError} If the packet cannot be sent, or the client was not started.
   */
  sendPacket(packet: PacketTo<ActionsOf<C, "server">>, options: SendOptions = {}): Promise<void> {
    return this.#started().sendPacket(packet, options);
  }

  /**
   * Waits until the server has acknowledged all that was sent so far. See
   * {@linkcode Connection.delivered}.
   *
   * @throws {TypeError} If the client was not started.
   */
  delivered(): Promise<void> {
    return this.#started().delivered();
  }

  /**
   * Asks the server for a reply. See {@linkcode Connection.request}.
   *
   * @throws {TypeError} If the packet cannot be sent, or the client was not started.
   */
  request<Name extends NameOf<ActionsOf<C, "server">>>(
    name: Name,
    ...rest: RequestArguments<DataOf<ActionsOf<C, "server">, Name>>
  ): Promise<ReplyOf<ActionsOf<C, "server">, Name>> {
    return this.#started().request(name, ...rest);
  }

  /**
   * Measures the time to the server and back, in milliseconds. See {@linkcode Connection.ping}.
   *
   * @throws {TypeError} If the client was not started.
   */
  ping(options: RequestOptions = {}): Promise<number> {
    return this.#started().ping(options);
  }

  /** Ends the connection in order. Calling it again waits for the same end. */
  async close(options: CloseOptions = {}): Promise<void> {
    checkCloseOptions(options);
    this.#dialler.end("the client was closed");
    const closing = this.#connection?.close(options);
    // Whoever called start() is told why it failed; here it is enough that it has ended.
    await this.#connecting?.catch(() => {});
    if (this.#connection) {
      await (closing ?? this.#connection.close(options));
    } else {
      this.#state = "closed";
      this.#closed.settle({ code: "CLOSED", reason: options.reason ?? "closed" });
    }
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What may be shown of it: no token. */
  toJSON(): Record<string, unknown> {
    return { address: this.address, state: this.#state, id: this.id };
  }

  /** For `console.log` and `Deno.inspect`. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#inspect();
  }

  #inspect(): string {
    const { address, state, id } = this;
    return `Client { address: "${address}", state: "${state}", id: ${id ? `"${id}"` : id} }`;
  }

  #started(): Connection<Flipped<C>> {
    if (!this.#connection) throw new TypeError("The client must be started first: await start()");
    return this.#connection;
  }

  #hello(): Hello {
    const connection = this.#connection;
    const resume = connection?.token && this.#epoch !== undefined
      ? {
        token: connection.token,
        epoch: this.#epoch,
        ack: conversationOf(connection).handedOver,
        attempt: ++this.#attempt,
      }
      : undefined;
    const { session } = this.#limits;
    return { auth: this.#options.auth, limits: this.#limits, wantsSession: session, resume };
  }

  /** All at once: the connection may end as soon as it exists. */
  #register({ welcome, wire, fingerprint }: Dialled): void {
    const { id, token, limits: peerLimits } = welcome;
    const connection: Connection<Flipped<C>> = acceptConnection<Flipped<C>>({
      id,
      token,
      fingerprint,
      wire,
      peerLimits,
      hasSession: this.#limits.session && welcome.epoch !== undefined,
      sweep: processSweep,
      limits: this.#limits,
      budget: new ReplayBudget(DEFAULTS.maxReplayBytes),
      actions: this.#actions,
      publicKey: () => this.encryptKeys?.publicKey,
      onDetach: (info) => {
        this.#connecting = this.#reconnect(connection, info);
      },
      onGoAway: (retryAfterMs) => this.#dialler.waitNext(retryAfterMs),
      onEnd: (info) => {
        this.#dialler.end("the connection has ended");
        forgetConnection(this.clients, connection.token!);
        this.#disconnected(connection, info);
      },
    });
    this.#connection = connection;
    keepConnection(this.clients, token, connection);
    this.#attached(welcome);
    connection.closed.then((info) => {
      this.#state = "closed";
      this.#keys.end();
      this.#closed.settle(info);
    });
    log.info("connected to {address} as {id}", { address: this.address, id });
    this.#connected(connection);
  }

  #attached({ epoch }: Welcome): void {
    this.#state = "connected";
    this.#epoch = epoch;
    this.#receivedBefore = this.#connection!.stats.packetsReceived;
  }

  /** Comes back after the socket was lost, for as long as it takes. Never rejects. */
  async #reconnect(connection: Connection<Flipped<C>>, info: CloseInfo): Promise<void> {
    const conversation = conversationOf(connection);
    this.#state = "reconnecting";
    this.#tell("onDetach", () => this.#options.onDetach?.(connection, info));
    // Whoever comes back to what was too much at once only makes it more.
    const wasOfUse = info.code !== "SLOW_CONSUMER" &&
      connection.stats.packetsReceived > this.#receivedBefore;
    this.#dialler.dropped({ wasOfUse });
    const { signal } = this.#options;
    const { maxAttempts } = this.#limits;
    try {
      if (maxAttempts === 0) throw new ConnectionError("CONNECTION_LOST", info.reason);
      for (let isBack = false; !isBack;) {
        isBack = await this.#dialler.dial({
          signal,
          maxAttempts,
          waitsFirst: true,
          take: (dialled) => this.#comeBack(connection, dialled),
        });
      }
    } catch (error) {
      // Called off by close(), which says for itself why.
      if (this.#dialler.hasEnded) return;
      conversation.abandon(endOf(error));
    }
  }

  /**
   * Goes on over another wire, or begins anew. `false` if the server has let it in for nothing.
   *
   * @throws {ProtocolError} If the server says that it has more than it was sent.
   */
  #comeBack(connection: Connection<Flipped<C>>, dialled: Dialled): boolean {
    const conversation = conversationOf(connection);
    const { wire, welcome } = dialled;
    if (welcome.ack === undefined) {
      this.#beginAnew(connection, dialled);
      return true;
    }
    if (!conversation.canResume(welcome.ack)) {
      // What the server has not received is no longer kept here: the next attempt begins anew.
      this.#epoch = undefined;
      const reason = "what the server has not received is no longer kept";
      wire.end(encodeClose({ code: "SESSION_LOST", reason }));
      return false;
    }
    conversation.resume(wire, { ack: welcome.ack });
    this.#attached(welcome);
    log.info("back at {address} as {id}", { address: this.address, id: connection.id });
    this.#tell("onResume", () => this.#options.onResume?.(connection));
    return true;
  }

  #beginAnew(
    connection: Connection<Flipped<C>>,
    { welcome, wire, fingerprint }: Dialled,
  ): void {
    const { id, token, limits: peerLimits, epoch } = welcome;
    // It was asked for no session where it could not have gone on from its own side.
    const reason = welcome.reason ?? "overflow";
    forgetConnection(this.clients, connection.token!);
    const undelivered = conversationOf(connection).renew(
      { id, token, fingerprint, wire, peerLimits, hasSession: epoch !== undefined },
      `the session could not go on: ${reason}`,
    );
    keepConnection(this.clients, token, connection);
    this.#attached(welcome);
    log.warn("the session at {address} could not go on: {reason}; now it is {id}", {
      address: this.address,
      reason,
      id,
    });
    const loss = { reason, ...undelivered };
    this.#tell("onSessionLost", () => this.#options.onSessionLost?.(connection, loss));
  }

  #connected(connection: Connection<Flipped<C>>): void {
    introduce(connection, this.#options, async (error) => {
      log.error("onConnect failed: {error}", { error });
      await connection.close({ reason: "an error on the client" });
    });
  }

  #disconnected(connection: Connection<Flipped<C>>, info: CloseInfo): void {
    // Whoever closes a connection may well quote the other side.
    log.info("disconnected: {code}: {reason}", { code: info.code, reason: sanitize(info.reason) });
    this.#tell("onDisconnect", () => this.#options.onDisconnect?.(connection, info));
  }

  #tell(hook: keyof ClientOptions, call: () => unknown): void {
    tell(call, (error) => log.error("{hook} failed: {error}", { hook, error }));
  }
}

/** What the end of a connection is said to be that could not come back. */
function endOf(error: unknown): CloseInfo {
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof PnetworkError && isFinal(error)) return { code: error.code, reason };
  return { code: "SESSION_LOST", reason: `the client could not come back: ${reason}` };
}
