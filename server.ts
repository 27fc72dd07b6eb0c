/**
 * The side that listens.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { generate as generateId } from "@std/uuid/v7";
import { type ActionInfo, ActionTable, type BindFor, type BindOptions } from "./actions.ts";
import { addressKey } from "./addresses.ts";
import { Admission, type AdmissionParts, type Newcomer } from "./admission.ts";
import { Changes } from "./changes.ts";
import {
  type AnyBroadcastOptions,
  asksForReplies,
  broadcast,
  type BroadcastOptions,
  type BroadcastOutcome,
  broadcastRequest,
  type BroadcastRequestOptions,
  type BroadcastResult,
} from "./broadcasts.ts";
import { acceptConnection, type Connection, conversationOf } from "./connection.ts";
import type { ConnectionMap } from "./connection_map.ts";
import type {
  ActionsOf,
  CloseInfo,
  CloseOptions,
  Contract,
  DataArguments,
  DataOf,
  LoopInfo,
  NameOf,
  PacketTo,
  Untyped,
} from "./contract.ts";
import {
  type DecryptOptions,
  type EncryptKeys,
  type EncryptKeysOptions,
  encryptPacket,
  type SealedData,
} from "./crypto.ts";
import { ConnectionError } from "./errors.ts";
import { Groups } from "./groups.ts";
import { encodeWelcome, type LossReason, type Resume } from "./handshake.ts";
import { introduce, tell } from "./hooks.ts";
import { checkIdentity } from "./identity.ts";
import { KeyHolder } from "./key_holder.ts";
import { runAction } from "./loopback.ts";
import {
  checkCloseOptions,
  checkFunctions,
  checkOptions,
  checkSignal,
  checkTls,
  type ResolvedEndpoint,
  type ResolvedServerLimits,
  resolveEndpoint,
  resolveServerLimits,
} from "./options.ts";
import { createPacket, describe, type OutgoingPacket, type Packet } from "./packet.ts";
import { loseSession, Registry } from "./registry.ts";
import { ReplayBudget } from "./replay_budget.ts";
import { sanitize } from "./sanitize.ts";
import type { Group, ServerOptions, StartOptions } from "./server_options.ts";
import { processSweep } from "./sweep.ts";
import { type Certificate, tryCertificate } from "./tls_transport.ts";
import { endpointText, listen, type TlsServerOptions } from "./transport.ts";

const log = getLogger(["pnetwork", "server"]);

/** How long a broadcast waits for replies where requests wait for ever. */
const BROADCAST_TIMEOUT_MS = 30_000;
/** Clients that are asked to go come back spread over so much time for each, … */
const SPREAD_MS_PER_CLIENT = 5;
/** … and over so much in all. */
const MAX_SPREAD_MS = 10_000;

/**
 * Listens, registers each client that shakes hands, and runs what is bound for what they send.
 *
 * @example
 * ```ts
 * import { Client, Server } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new Server({ port: 0 });
 * server.bindAction("greet", (name) => `hello ${name}`);
 * await server.start();
 *
 * await using client = new Client({ port: server.port });
 * await client.start();
 * assertEquals(await client.request("greet", "Ada"), "hello Ada");
 * ```
 */
export class Server<C extends Contract = Untyped> implements AsyncDisposable {
  readonly #endpoint: ResolvedEndpoint;
  readonly #limits: ResolvedServerLimits;
  readonly #options: ServerOptions<C>;
  readonly #actions = new ActionTable();
  readonly #keys: KeyHolder;
  readonly #tls: TlsServerOptions | undefined;
  #certificate: Certificate | undefined;
  readonly #groups: Groups<Connection<C>>;
  readonly #changes = new Changes();
  readonly #epoch = crypto.randomUUID();
  readonly #budget: ReplayBudget;
  readonly #registry: Registry<C>;
  readonly #admission: Admission;
  readonly #closed = Promise.withResolvers<void>();

  #state: "idle" | "listening" | "closing" | "closed" = "idle";
  #listener: Deno.Listener | undefined;
  #accepting: Promise<void> = Promise.resolve();
  /** Certificates are replaced one after the other. */
  #replacing: Promise<void> = Promise.resolve();
  /** The same for all connections. */
  readonly #publicKey = () => this.encryptKeys?.publicKey;
  /** How many connections have ended whose sockets have not been closed yet. */
  #ending = 0;

  /**
   * Makes a server. It listens when it is started.
   *
   * @param options Where to listen, whom to let in, and limits.
   * @throws {TypeError} If an option has the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(options: ServerOptions<C> = {}) {
    this.#limits = resolveServerLimits(options);
    this.#endpoint = resolveEndpoint(options);
    checkFunctions(options, [
      "authenticate",
      "onConnect",
      "onDetach",
      "onResume",
      "onDisconnect",
    ]);
    this.#options = { ...options };
    this.#keys = new KeyHolder(processSweep, options.encryptKeys);
    this.#tls = checkTls("server", options);
    this.#groups = new Groups(this.#limits);
    this.#budget = new ReplayBudget(this.#limits.maxReplayBytes);
    this.#registry = new Registry(this.#limits, processSweep);
    this.#admission = new Admission({
      limits: this.#limits,
      sweep: processSweep,
      identity: checkIdentity("secure", options.secure),
      certificate: () => this.#certificate,
      authenticate: this.#options.authenticate as AdmissionParts["authenticate"],
      find: ({ resume }, fingerprint) => this.#findResumable(resume, fingerprint),
      register: (newcomer) => this.#admit(newcomer),
    });
  }

  /** The registered clients, by their secret token; those whose socket has dropped among them. */
  get clients(): ConnectionMap<C> {
    return this.#registry.clients;
  }

  /** The host that it was told to listen on; the path, for a Unix socket. */
  get host(): string {
    return "path" in this.#endpoint ? this.#endpoint.path : this.#endpoint.host;
  }

  /** The port that it listens on; before `start()`, the one that it was told. 0 for a Unix socket. */
  get port(): number {
    const addr = this.#listener?.addr;
    if (addr && "port" in addr) return addr.port;
    return "port" in this.#endpoint ? this.#endpoint.port : 0;
  }

  /** Where it listens, for people: `127.0.0.1:25565`, or `unix:/run/x.sock`. */
  get address(): string {
    if ("path" in this.#endpoint) return endpointText(this.#endpoint);
    return endpointText({ host: this.#endpoint.host, port: this.port });
  }

  /** `idle` before `start()`, then `listening`, `closing` and `closed`. */
  get state(): "idle" | "listening" | "closing" | "closed" {
    return this.#state;
  }

  /** Resolves when it has been closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** What is bound. */
  get actions(): ActionInfo[] {
    return this.#actions.list();
  }

  /** The names of the groups that have members. */
  get groups(): string[] {
    return this.#groups.names;
  }

  /** Its own loop, and what it waits for. Each connection has loops of its own. */
  get loops(): LoopInfo[] {
    return [
      { loop: "accept", waitsFor: this.#admission.waitsFor },
      { loop: "handshakes", waitsFor: `${this.#admission.handshakes} clients to shake hands` },
      { loop: "sweep", waitsFor: processSweep.waitsFor },
    ];
  }

  /** Makes a packet for a client. See the function of this name. */
  createPacket<Name extends NameOf<ActionsOf<C, "client">>>(
    name: Name,
    ...data: DataArguments<DataOf<ActionsOf<C, "client">, Name>>
  ): Packet<DataOf<ActionsOf<C, "client">, Name>, Name> {
    return createPacket(name, ...data) as Packet<DataOf<ActionsOf<C, "client">, Name>, Name>;
  }

  /**
   * Binds a name: what runs when a packet of that name arrives. What was bound to it before no longer
   * is.
   *
   * @param name The action's name; must not start with `@`.
   * @param bind A {@linkcode Bind}, or a function `(data, packet, connection)`.
   * @param options Whether its packets must be sealed.
   * @throws {TypeError} If the name cannot be an action's, `bind` is neither, or sealed packets are to be
   * opened and there are no keys.
   */
  bindAction<Name extends NameOf<ActionsOf<C, "server">>>(
    name: Name,
    bind: BindFor<ActionsOf<C, "server">, Name, C>,
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
  bindFallback(bind: BindFor<Untyped["server"], string, C>): this {
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
   * Starts to listen.
   *
   * @returns Resolves when it listens.
   * @throws {TypeError} If it was started before, or the runtime is not Deno.
   * @throws {ConnectionError} `LISTEN_FAILED`: the port is taken, the host is not of this machine, … Its
   * `cause` is what the system said. `CLOSED` (by `close()`).
   * @throws {Deno.errors.NotCapable} Without `--allow-net` for the host.
   */
  async start(options: StartOptions = {}): Promise<void> {
    checkOptions(options);
    const { signal } = options;
    checkSignal(signal);
    signal?.throwIfAborted();
    if (this.#state !== "idle") {
      throw new TypeError(`A server starts once, and this one is ${this.#state}`);
    }
    this.#state = "listening";
    const listener = await this.#listen();
    // It may have been called off meanwhile.
    if (this.#isClosing()) {
      listener.close();
      throw new ConnectionError("CLOSED", "the server was closed");
    }
    if (signal?.aborted) {
      listener.close();
      this.#state = "idle";
      throw signal.reason;
    }
    this.#listener = listener;
    this.#accepting = this.#admission.acceptAll(listener);
    log.info("listening on {address}", { address: this.address });
    if (this.#isOpenToOthers(listener.addr)) {
      log.warn("{address} is not only of this machine, and nothing is encrypted there", {
        address: this.address,
      });
    }
  }

  /**
   * Shows another certificate from now on. Connections that there are go on as they are.
   *
   * @throws {TypeError} If the server does not listen with TLS, or an option has the wrong type.
   * @throws {ConnectionError} `LISTEN_FAILED`, if this is no certificate, or not of this key: then the one
   * before is shown on. `CLOSED` (by `close()`).
   */
  async replaceCertificate(tls: TlsServerOptions): Promise<void> {
    checkOptions(tls);
    const next = checkTls("server", { tls })!;
    if (!this.#certificate || this.#state !== "listening") {
      throw new TypeError("Only a server that listens with TLS has a certificate to replace");
    }
    const replacing = this.#replacing.then(() => this.#replaceCertificate(next));
    // Whoever asked for it is told.
    this.#replacing = replacing.catch(() => {});
    await replacing;
  }

  /**
   * Sends a packet to all clients: stringified once, and without waiting for anyone.
   *
   * @returns Who was sent it, and who was not. With `request: true` what each client replied, by its id:
   * a reply, an error, that its time was over, or that it is gone. Nobody can hold that up for longer
   * than `timeoutMs`.
   * @throws {TypeError} If the packet cannot be sent, or options do not go together.
   * @throws {RangeError} If `timeoutMs` is out of range.
   */
  broadcast(
    packet: PacketTo<ActionsOf<C, "client">>,
    options?: BroadcastOptions,
  ): BroadcastResult;
  /** Asks all clients for a reply. */
  broadcast(
    packet: PacketTo<ActionsOf<C, "client">>,
    options: BroadcastRequestOptions,
  ): Promise<Map<string, BroadcastOutcome>>;
  broadcast(
    packet: PacketTo<ActionsOf<C, "client">>,
    options: AnyBroadcastOptions = {},
  ): BroadcastResult | Promise<Map<string, BroadcastOutcome>> {
    return this.#broadcast(this.clients.values(), packet, options);
  }

  /** The connections that joined this group. */
  group(name: string): Group<C> {
    if (typeof name !== "string") {
      throw new TypeError(`A group's name must be a string, got ${describe(name)}`);
    }
    const members = () => this.#groups.membersOf(name);
    const broadcast = (
      packet: PacketTo<ActionsOf<C, "client">>,
      options: AnyBroadcastOptions = {},
    ) => this.#broadcast(members(), packet, options);
    return {
      name,
      get members() {
        return new Set(members());
      },
      broadcast: broadcast as Group<C>["broadcast"],
    };
  }

  /**
   * Stops listening, asks the clients to start nothing new here, lets running handlers finish and their
   * replies go out, waits for what was sent to be acknowledged, and closes all connections with
   * `GOING_AWAY`. Clients of a session then come back to whoever listens there next, not all at once.
   * Calling it again waits for the same end. A handler that awaits it waits for itself, until
   * `drainTimeoutMs` is over.
   *
   * @param options How long handlers may go on (default: the server's `drainTimeoutMs`), and why, for
   * the people on the other side.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { reason = "the server is shutting down", drainTimeoutMs = this.#limits.drainTimeoutMs } =
      checkCloseOptions(options);
    if (this.#isClosing()) return await this.closed;
    this.#state = "closing";
    this.#listener?.close();
    this.#admission.close(new ConnectionError("GOING_AWAY", reason));
    const spreadMs = Math.min(MAX_SPREAD_MS, this.clients.size * SPREAD_MS_PER_CLIENT);
    const goodbyes = [...this.clients.values()].map((connection) => {
      const conversation = conversationOf(connection);
      conversation.askToGo(Math.round(Math.random() * spreadMs));
      return conversation.close({ code: "GOING_AWAY", reason }, drainTimeoutMs);
    });
    await Promise.all([...goodbyes, this.#replacing, this.#accepting, this.#admission.ended()]);
    this.#keys.end();
    await this.#changes.until(() => this.#ending === 0);
    this.#state = "closed";
    this.#closed.resolve();
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What may be shown of it: no token. */
  toJSON(): Record<string, unknown> {
    return { address: this.address, state: this.#state, clients: this.clients.toJSON() };
  }

  /** For `console.log` and `Deno.inspect`. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#inspect();
  }

  #inspect(): string {
    const { address, state, clients } = this;
    return `Server { address: "${address}", state: "${state}", clients: ${clients.size} }`;
  }

  async #replaceCertificate(tls: TlsServerOptions): Promise<void> {
    const certificate = await tryCertificate(tls).catch((cause) => {
      throw new ConnectionError("LISTEN_FAILED", `nothing has changed: ${cause.message}`, {
        cause,
      });
    });
    if (this.#isClosing()) throw new ConnectionError("CLOSED", "the server was closed");
    this.#certificate = certificate;
  }

  async #listen(): Promise<Deno.Listener> {
    try {
      if (this.#tls) this.#certificate = await tryCertificate(this.#tls);
      return await listen(this.#endpoint);
    } catch (cause) {
      if (!this.#isClosing()) this.#state = "idle";
      throw listenError(this.#endpoint, cause);
    }
  }

  /** Whether others than this machine can come in, and read what is said. */
  #isOpenToOthers(addr: Deno.Addr): boolean {
    const isProtected = this.#options.secure !== undefined || this.#tls !== undefined;
    return !isProtected && addressKey(addr, true) !== undefined;
  }

  #isClosing(): boolean {
    return this.#state === "closing" || this.#state === "closed";
  }

  /** The connection whose session this is, while it can go on. */
  #find(resume: Resume | undefined, fingerprint?: string): Connection<C> | undefined {
    if (resume?.epoch !== this.#epoch) return undefined;
    const connection = this.clients.get(resume.token);
    if (!connection?.hasSession || connection.state === "draining") return undefined;
    // A token alone is not enough where its owner has a key.
    return connection.fingerprint === fingerprint ? connection : undefined;
  }

  /** The same, for `authenticate`: only if the client would go on with it as things stand. */
  #findResumable(resume: Resume | undefined, fingerprint?: string): Connection | undefined {
    const connection = this.#find(resume, fingerprint);
    if (!connection || !resume) return undefined;
    try {
      const canGoOn = conversationOf(connection).canResume(resume.ack);
      return canGoOn ? connection as unknown as Connection : undefined;
    } catch {
      // It will be refused for that.
      return undefined;
    }
  }

  /** Lets a client go on with its session, or begin one. All in one turn: nothing comes in between. */
  #admit(newcomer: Newcomer): void {
    const { resume } = newcomer.hello;
    if (!resume) return this.#register(newcomer);
    const connection = this.#find(resume, newcomer.fingerprint);
    if (!connection) {
      return this.#register(newcomer, resume.epoch === this.#epoch ? "expired" : "restarted");
    }
    const conversation = conversationOf(connection);
    if (conversation.isLate(resume.attempt)) {
      throw new ConnectionError("TAKEN_OVER", "the session has gone on over another socket");
    }
    if (conversation.canResume(resume.ack)) return this.#resume(connection, newcomer, resume);
    // What cannot be replaced is not given up. One that has a wire makes room itself.
    if (connection.state === "detached") this.#registry.checkRoom(newcomer.from);
    loseSession(connection, "what the client has not received is no longer kept");
    this.#register(newcomer, "overflow");
  }

  /** Puts a client onto its new wire. The one before, if it is still there, no longer counts. */
  #resume(connection: Connection<C>, { wire, from }: Newcomer, resume: Resume): void {
    this.#registry.reattach(connection, from);
    const { id } = connection;
    const token = connection.token!;
    const conversation = conversationOf(connection);
    const { handedOver } = conversation;
    const { epoch } = resume;
    const limits = this.#limits;
    wire.write(encodeWelcome({ id, token, limits, epoch, ack: handedOver, reason: undefined }));
    conversation.resume(wire, resume);
    log.info("{id} has come back from {address}", { id, address: wire.address });
    this.#tell("onResume", connection, () => this.#options.onResume?.(connection));
  }

  #register(newcomer: Newcomer, reason?: LossReason): void {
    const { hello, wire, from, fingerprint, attached } = newcomer;
    this.#registry.checkRoom(from);
    const id = generateId();
    const token = crypto.randomUUID();
    const limits = this.#limits;
    const hasSession = hello.wantsSession && limits.sessionTtlMs !== false;
    const epoch = hasSession ? this.#epoch : undefined;
    wire.write(encodeWelcome({ id, token, limits, epoch, ack: undefined, reason }));
    const connection: Connection<C> = acceptConnection<C>({
      id,
      token,
      wire,
      attached,
      fingerprint,
      hasSession,
      limits,
      sweep: processSweep,
      peerLimits: hello.limits,
      budget: this.#budget,
      actions: this.#actions,
      publicKey: this.#publicKey,
      groups: this.#groups as unknown as Groups<Connection>,
      onDetach: (info) => this.#detached(connection, info),
      onEnd: (info) => this.#disconnected(connection, info),
    });
    this.#registry.add(connection, token, from);
    log.info("{id} connected from {address}", { id, address: wire.address });
    this.#connected(connection);
  }

  #detached(connection: Connection<C>, info: CloseInfo): void {
    const tooMany = this.#registry.detach(connection);
    this.#tell("onDetach", connection, () => this.#options.onDetach?.(connection, info));
    if (tooMany) loseSession(tooMany, "too many clients have dropped");
  }

  #disconnected(connection: Connection<C>, info: CloseInfo): void {
    this.#registry.delete(connection);
    this.#ending++;
    connection.closed.then(() => {
      this.#ending--;
      this.#changes.notify();
    });
    const { code, reason } = info;
    // Whoever closes a connection may well quote the other side.
    log.info("{id} disconnected: {code}: {reason}", {
      id: connection.id,
      code,
      reason: sanitize(reason),
    });
    this.#tell("onDisconnect", connection, () => this.#options.onDisconnect?.(connection, info));
  }

  #connected(connection: Connection<C>): void {
    introduce(connection, this.#options, async (error) => {
      log.error("{id}: onConnect failed: {error}", { id: connection.id, error });
      await connection.close({ reason: "an error on the server" });
    });
  }

  #broadcast(
    connections: Iterable<Connection<C>>,
    packet: PacketTo<ActionsOf<C, "client">>,
    options: AnyBroadcastOptions,
  ): BroadcastResult | Promise<Map<string, BroadcastOutcome>> {
    if (!asksForReplies(options)) return broadcast(connections, packet, options);
    const { timeoutMs = this.#limits.requestTimeoutMs || BROADCAST_TIMEOUT_MS } = options;
    return broadcastRequest(connections, packet, { ...options, timeoutMs });
  }

  #tell(hook: keyof ServerOptions, { id }: Connection<C>, call: () => unknown): void {
    tell(call, (error) => log.error("{id}: {hook} failed: {error}", { id, hook, error }));
  }
}

function listenError(endpoint: ResolvedEndpoint, cause: unknown): unknown {
  if (cause instanceof TypeError || cause instanceof Deno.errors.NotCapable) return cause;
  const why = cause instanceof Deno.errors.AddrInUse ? "it is taken" : String(cause);
  const where = endpointText(endpoint);
  return new ConnectionError("LISTEN_FAILED", `cannot listen on ${where}: ${why}`, { cause });
}
