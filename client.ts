/**
 * The side that connects.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { type ActionInfo, ActionTable, type BindFor } from "./actions.ts";
import { acceptConnection, type Connection } from "./connection.ts";
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
  Untyped,
} from "./contract.ts";
import { dial } from "./dial.ts";
import { ConnectionError } from "./errors.ts";
import { encodeHello, type Welcome } from "./handshake.ts";
import { runAction } from "./loopback.ts";
import {
  checkFunctions,
  checkOptions,
  checkSignal,
  type ClientLimits,
  type ConnectionLimits,
  type Endpoint,
  resolveClientLimits,
  type ResolvedClientLimits,
  type ResolvedEndpoint,
  resolveEndpoint,
} from "./options.ts";
import { createPacket, encodeHead, type Packet } from "./packet.ts";
import { sanitize } from "./sanitize.ts";
import { Sweep } from "./sweep.ts";
import { endpointText } from "./transport.ts";
import type { Wire } from "./wire.ts";

const log = getLogger(["pnetwork", "client"]);

/** What a {@linkcode Client} may be told. */
export interface ClientOptions<C extends Contract = Untyped>
  extends Endpoint, ClientLimits, ConnectionLimits {
  /** What the server's `authenticate` is shown: any JSON, within `maxHandshakeBytes` of the server. */
  auth?: unknown;
  /**
   * The connection has come. Its packets are handled when this has returned (or its promise has
   * resolved), unless a `for await` over the connection began meanwhile. If it throws, the connection
   * is closed.
   */
  onConnect?: (connection: Connection<Flipped<C>>) => unknown;
  /** The connection has gone. It may have while `onConnect` was still at work. */
  onDisconnect?: (connection: Connection<Flipped<C>>, info: CloseInfo) => unknown;
}

/** How a {@linkcode Client} starts. */
export interface ConnectOptions {
  /** Calls the start off. */
  signal?: AbortSignal;
}

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
  readonly #sweep = new Sweep();
  readonly #closing = new AbortController();
  readonly #closed = Promise.withResolvers<CloseInfo>();

  #state: "idle" | "connecting" | "connected" | "closed" = "idle";
  #starting: Promise<void> | undefined;
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
    checkFunctions(options, ["onConnect", "onDisconnect"]);
    this.#options = { ...options };
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

  /** `idle` before `start()` and after it failed, then `connecting`, `connected` and `closed`. */
  get state(): "idle" | "connecting" | "connected" | "closed" {
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
    const due = this.#sweep.nextTick;
    const waitsFor = due === Infinity
      ? "a deadline"
      : `${Math.max(0, Math.round(due - this.#sweep.now()))} ms to pass`;
    return [{ loop: "sweep", waitsFor }];
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
   * @throws {TypeError} If the name cannot be an action's, or `bind` is neither.
   */
  bindAction<Name extends NameOf<ActionsOf<C, "client">>>(
    name: Name,
    bind: BindFor<ActionsOf<C, "client">, Name, Flipped<C>>,
  ): this {
    this.#actions.bind(name, bind);
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
   * Connects and shakes hands. After it has failed it may be called again.
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
    const { signal } = options;
    checkSignal(signal);
    signal?.throwIfAborted();
    if (this.#state !== "idle") {
      throw new TypeError(`A client starts once, and this one is ${this.#state}`);
    }
    this.#state = "connecting";
    const signals = [this.#closing.signal, ...(signal ? [signal] : [])];
    try {
      this.#starting = this.#connect(AbortSignal.any(signals));
      await this.#starting;
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
  sendPacket(packet: PacketTo<ActionsOf<C, "server">>): Promise<void> {
    return this.#started().sendPacket(packet);
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
    checkOptions(options);
    this.#closing.abort(new ConnectionError("CLOSED", "the client was closed"));
    // Whoever called start() is told why it failed; here it is enough that it has ended.
    await this.#starting?.catch(() => {});
    if (this.#connection) {
      await this.#connection.close(options);
    } else {
      this.#state = "closed";
      this.#closed.resolve({ code: "CLOSED", reason: options.reason ?? "closed" });
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

  async #connect(signal: AbortSignal): Promise<void> {
    const { maxPacketBytes } = this.#limits;
    const { wire, welcome } = await dial({
      endpoint: this.#endpoint,
      limits: this.#limits,
      sweep: this.#sweep,
      hello: () => encodeHello(this.#options.auth, maxPacketBytes),
      signal,
    });
    this.#register(welcome, wire);
  }

  /** All at once: the connection may end as soon as it exists. */
  #register({ id, token, maxPacketBytes }: Welcome, wire: Wire): void {
    const connection: Connection<Flipped<C>> = acceptConnection<Flipped<C>>({
      id,
      token,
      wire,
      sweep: this.#sweep,
      limits: this.#limits,
      peerMaxPacketBytes: maxPacketBytes,
      actions: this.#actions,
      onEnd: (info) => {
        forgetConnection(this.clients, token);
        this.#disconnected(connection, info);
      },
    });
    keepConnection(this.clients, token, connection);
    this.#connection = connection;
    this.#state = "connected";
    connection.closed.then((info) => {
      this.#state = "closed";
      this.#closed.resolve(info);
    });
    log.info("connected to {address} as {id}", { address: this.address, id });
    this.#connected(connection);
  }

  async #connected(connection: Connection<Flipped<C>>): Promise<void> {
    try {
      // Without a hook at once: packets may have come along with the answer.
      const hook = this.#options.onConnect?.(connection);
      if (hook !== undefined) await hook;
      if (!connection.isListening) connection.startListen();
    } catch (error) {
      log.error("onConnect failed: {error}", { error });
      await connection.close({ reason: "an error on the client" });
    }
  }

  async #disconnected(connection: Connection<Flipped<C>>, info: CloseInfo): Promise<void> {
    // Whoever closes a connection may well quote the other side.
    log.info("disconnected: {code}: {reason}", { code: info.code, reason: sanitize(info.reason) });
    try {
      await this.#options.onDisconnect?.(connection, info);
    } catch (error) {
      log.error("onDisconnect failed: {error}", { error });
    }
  }
}
