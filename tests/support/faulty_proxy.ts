/**
 * A network that fails: a TCP proxy that cuts, goes silent, slices and delays, each connection and each
 * direction by its own plan, or everything at once. It knows nothing of what it carries.
 *
 * To use it from another process see `faulty_proxy_main.ts`.
 *
 * @module
 */

// Deno's own sockets cannot be reset on purpose.
import net from "node:net";
import { pause, turn, within } from "./wait.ts";

/** Which way bytes go. */
export type Direction = "toServer" | "toClient";
/** Whose socket sees something. */
export type Side = "client" | "server" | "both";

/** The end of a connection, in the middle of whatever it carries. */
export interface Cut {
  /** So many bytes still go through in this direction, and none after them in either. */
  after: number;
  /** How it is told. */
  by: "fin" | "reset";
  /**
   * Who is told. The other one's socket stays open and silent: it is half open. What was on its way there
   * waits for {@linkcode Link.heal}.
   *
   * @default {"both"}
   */
  side?: Side;
}

/** What happens to the bytes of one direction. Counts begin where the faults are applied. */
export interface Faults {
  /** Ends the connection. */
  cut?: Cut;
  /** After so many bytes nothing goes through any more: no byte, no FIN, no reset. */
  silenceAfter?: number;
  /** Bytes go through in pieces of this size, up to the byte `until` (default: all). */
  slice?: { bytes: number; until?: number };
  /** How long each chunk is kept, in milliseconds. */
  delayMs?: number;
}

/** What happens to one connection. */
export type Plan = Partial<Record<Direction, Faults>>;

/** Something that a plan has done, or that was asked for. */
export interface Incident {
  /** The number of the connection: 0, 1, 2 … */
  link: number;
  /** What it is. */
  kind: "fin" | "reset" | "silence";
  /** Which direction's bytes it waited for; for something that was asked for at once, any. */
  direction: Direction;
  /** How many bytes had gone through in each direction. */
  bytes: Record<Direction, number>;
}

/** Where a proxy leads, and what it does. */
export interface FaultyProxyOptions {
  /** The port of the server on this machine. */
  to: number;
  /**
   * Where to listen; 0 for any free port.
   *
   * @default {0}
   */
  port?: number;
  /** Plans of the connections to come, the first one's first. Those beyond have none. */
  plans?: Plan[];
  /** Called for each incident. */
  onIncident?: (incident: Incident) => void;
  /**
   * Called with bytes that have arrived, before any of them goes through: what a plan is made of may depend
   * on them. What it returns, if anything, goes through in their place.
   */
  onBytes?: OnBytes;
}

/** See {@linkcode FaultyProxyOptions.onBytes}. */
export type OnBytes = (link: Link, direction: Direction, bytes: Uint8Array) => Uint8Array | void;

/** A proxy between clients and one server, on 127.0.0.1. */
export class FaultyProxy implements AsyncDisposable {
  /** The port of the server; may be set to that of another one, for the connections to come. */
  to: number;
  /** Plans of the connections to come; more may be pushed. */
  readonly plans: Plan[];
  /** All connections so far, those that have ended among them. */
  readonly links: Link[] = [];

  readonly #server: net.Server;
  readonly #onIncident: (incident: Incident) => void;
  readonly #onBytes: OnBytes | undefined;
  #plug: PromiseWithResolvers<void> | undefined;

  private constructor(server: net.Server, options: FaultyProxyOptions) {
    const { to, plans = [], onIncident = () => {}, onBytes } = options;
    this.to = to;
    this.plans = plans;
    this.#server = server;
    this.#onIncident = onIncident;
    this.#onBytes = onBytes;
    server.on("connection", (socket: net.Socket) => this.#accept(socket));
  }

  /** Begins to listen. */
  static async listen(options: FaultyProxyOptions): Promise<FaultyProxy> {
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
    const listening = Promise.withResolvers<void>();
    server.once("error", listening.reject);
    server.listen(options.port ?? 0, "127.0.0.1", () => listening.resolve());
    await listening.promise;
    return new FaultyProxy(server, options);
  }

  /** Where it listens. */
  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** The connection that came last. */
  get last(): Link | undefined {
    return this.links.at(-1);
  }

  /** The connections that carry something, or would. */
  get open(): Link[] {
    return this.links.filter(({ isOpen }) => isOpen);
  }

  /**
   * Pulls the cable: every connection goes silent both ways. Those that come while it is out are silent
   * as well.
   */
  pull(): void {
    this.#plug ??= Promise.withResolvers();
    for (const link of this.open) link.silence();
  }

  /** Puts it back: new connections go through, and those that came meanwhile. Older ones stay silent. */
  plugIn(): void {
    this.#plug?.resolve();
    this.#plug = undefined;
  }

  /** Cuts every connection at once. */
  cutAll(by: "fin" | "reset" = "reset"): void {
    for (const link of this.open) link.cut(by);
  }

  /** Ends all of it, by resets. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    for (const link of this.links) link.destroy();
    await within(closed.promise, "the proxy's end");
  }

  async #accept(client: net.Socket): Promise<void> {
    const link = new Link(this.links.length, client, this.#onIncident, this.#onBytes);
    this.links.push(link);
    while (this.#plug) await this.#plug.promise;
    if (link.isOpen) link.start(this.to, this.plans.shift() ?? {});
  }
}

/** One connection through the proxy. */
export class Link {
  /** Its number: 0, 1, 2 … */
  readonly index: number;

  readonly #client: net.Socket;
  #server: net.Socket | undefined;
  readonly #pipes: Partial<Record<Direction, Pipe>> = {};
  readonly #onIncident: (incident: Incident) => void;
  readonly #onBytes: OnBytes | undefined;
  #isOpen = true;

  constructor(
    index: number,
    client: net.Socket,
    onIncident: (incident: Incident) => void,
    onBytes?: OnBytes,
  ) {
    this.index = index;
    this.#client = client;
    this.#onIncident = onIncident;
    this.#onBytes = onBytes;
    // Whatever a socket ends with, it ends the link.
    client.on("error", () => {});
    client.on("close", () => this.#closed(client));
  }

  /** Whether it was not cut, and neither side has closed it. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** How many bytes went through. */
  get bytes(): Record<Direction, number> {
    const { toServer, toClient } = this.#pipes;
    return { toServer: toServer?.bytes ?? 0, toClient: toClient?.bytes ?? 0 };
  }

  /** For the proxy: connects to the server. */
  start(to: number, plan: Plan): void {
    const client = this.#client;
    const server = net.connect({ host: "127.0.0.1", port: to, allowHalfOpen: true });
    this.#server = server;
    server.on("error", () => {});
    server.on("close", () => this.#closed(server));
    client.setNoDelay(true);
    server.setNoDelay(true);
    const pipe = (source: net.Socket, destination: net.Socket, direction: Direction) =>
      new Pipe(source, destination, {
        arrived: (bytes) => this.#onBytes?.(this, direction, bytes),
        silent: () => this.#tell("silence", direction),
        cut: ({ by, side }) => this.cut(by, side, direction),
      });
    this.#pipes.toServer = pipe(client, server, "toServer");
    this.#pipes.toClient = pipe(server, client, "toClient");
    this.apply(plan);
  }

  /** From now on this happens to it. What the plan does not name goes on as it did. */
  apply(plan: Plan): void {
    for (const direction of ["toServer", "toClient"] as const) {
      const faults = plan[direction];
      if (faults) this.#pipes[direction]?.apply(faults);
    }
  }

  /** Cuts it now. What was on its way to whoever is told is lost. */
  cut(by: "fin" | "reset" = "reset", side: Side = "both", direction: Direction = "toServer"): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#tell(by, direction);
    const { toServer, toClient } = this.#pipes;
    if (side === "client") toServer?.keep();
    else toServer?.stop();
    if (side === "server") toClient?.keep();
    else toClient?.stop();
    for (const socket of [this.#client, this.#server]) {
      const isTold = side === "both" || (socket === this.#client) === (side === "client");
      if (!isTold) socket?.once("end", () => socket.end());
      else if (by === "reset") socket?.resetAndDestroy();
      else socket?.end();
      // What it still says is lost, but its end should be seen.
      socket?.resume();
    }
  }

  /** Nothing goes through any more. Bytes, and the ends of the sockets, wait for {@linkcode Link.heal}. */
  silence(...directions: Direction[]): void {
    for (
      const direction of directions.length > 0 ? directions : ["toServer", "toClient"] as const
    ) {
      this.#pipes[direction]?.silence();
    }
  }

  /** What waited goes through, late, and whatever comes. */
  heal(): void {
    for (const pipe of Object.values(this.#pipes)) pipe.heal();
  }

  /** For the proxy: ends it at once. */
  destroy(): void {
    this.#isOpen = false;
    for (const pipe of Object.values(this.#pipes)) pipe.stop();
    for (const socket of [this.#client, this.#server]) {
      if (socket && !socket.destroyed) socket.resetAndDestroy();
    }
  }

  #tell(kind: Incident["kind"], direction: Direction): void {
    this.#onIncident({ link: this.index, kind, direction, bytes: this.bytes });
  }

  /** One socket is gone. The other one's end waits for what is still on its way to it. */
  #closed(socket: net.Socket): void {
    if (!this.#isOpen) return;
    const [pipe, other] = socket === this.#client
      ? [this.#pipes.toServer, this.#server]
      : [this.#pipes.toClient, this.#client];
    if (pipe) pipe.sourceClosed();
    else other?.destroy();
    if (!this.#client.destroyed || !(this.#server?.destroyed ?? true)) return;
    this.#isOpen = false;
    // A cut that is still to come would come for ever.
    for (const pipe of Object.values(this.#pipes)) pipe.stop();
  }
}

interface PipeEvents {
  arrived: (bytes: Uint8Array) => Uint8Array | void;
  silent: () => void;
  cut: (cut: Cut) => void;
}

/** The bytes of one direction. */
class Pipe {
  readonly #source: net.Socket;
  readonly #destination: net.Socket;
  readonly #events: PipeEvents;
  #faults: Faults = {};
  #bytes = 0;
  #appliedAt = 0;
  #chunk: Uint8Array | undefined;
  #end: "fin" | "reset" | undefined;
  #isSilent = false;
  #isKept = false;
  #isStopped = false;
  #wake = Promise.withResolvers<void>();

  constructor(source: net.Socket, destination: net.Socket, events: PipeEvents) {
    this.#source = source;
    this.#destination = destination;
    this.#events = events;
    source.on("data", (chunk: Uint8Array) => {
      if (this.#isStopped || this.#isKept) return;
      const passed = events.arrived(chunk) ?? chunk;
      if (passed.length === 0) return;
      source.pause();
      this.#chunk = passed;
      this.#wake.resolve();
    });
    source.on("end", () => {
      this.#end ??= "fin";
      this.#wake.resolve();
    });
    source.pause();
    this.#run();
  }

  /** How many bytes went through. */
  get bytes(): number {
    return this.#bytes;
  }

  apply(faults: Faults): void {
    this.#faults = faults;
    this.#appliedAt = this.#bytes;
    this.#wake.resolve();
  }

  silence(): void {
    if (this.#isSilent) return;
    this.#isSilent = true;
    this.#events.silent();
  }

  /** The source is lost, but not what is on its way. */
  keep(): void {
    this.#isSilent = true;
    this.#isKept = true;
    this.#faults = {};
  }

  heal(): void {
    this.#isSilent = false;
    this.#faults = { ...this.#faults, silenceAfter: undefined };
    this.#wake.resolve();
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake.resolve();
  }

  sourceClosed(): void {
    this.#end ??= "reset";
    this.#wake.resolve();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      this.#meetFaults();
      if (this.#isStopped) return;
      if (!this.#isSilent) {
        if (this.#chunk) {
          await this.#forward(this.#chunk);
          continue;
        }
        if (this.#end === "fin") return void this.#destination.end();
        if (this.#end === "reset") return void this.#destination.resetAndDestroy();
        this.#source.resume();
      }
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
  }

  /** Does what is due at this byte. */
  #meetFaults(): void {
    const { cut, silenceAfter } = this.#faults;
    if (this.#isSilent) return;
    if (cut && this.#bytes >= this.#appliedAt + cut.after) this.#events.cut(cut);
    else if (silenceAfter !== undefined && this.#bytes >= this.#appliedAt + silenceAfter) {
      this.silence();
    }
  }

  /** Sends as much of a chunk as goes through at once, and keeps the rest. */
  async #forward(chunk: Uint8Array): Promise<void> {
    const { delayMs } = this.#faults;
    if (delayMs) {
      await pause(delayMs);
      // It may have gone silent meanwhile.
      if (this.#isSilent || this.#isStopped) return;
    }
    while (this.#chunk && !this.#isStopped && !this.#isSilent) {
      const piece = chunk.subarray(0, this.#pieceLength());
      chunk = chunk.subarray(piece.length);
      this.#chunk = chunk.length > 0 ? chunk : undefined;
      this.#bytes += piece.length;
      const written = Promise.withResolvers<void>();
      // Whether it still wants them shows at its end.
      const gone = () => written.resolve();
      this.#destination.once("close", gone);
      this.#destination.write(piece, gone);
      if (this.#destination.destroyed) gone();
      await written.promise;
      this.#destination.off("close", gone);
      // Many small writes in a row would keep everything else waiting.
      if (this.#chunk) await turn();
      this.#meetFaults();
    }
  }

  /** How many bytes go through before something happens. */
  #pieceLength(): number {
    const { cut, silenceAfter, slice } = this.#faults;
    const done = this.#bytes - this.#appliedAt;
    const sliceBytes = slice && done < (slice.until ?? Infinity) ? slice.bytes : Infinity;
    return Math.min(sliceBytes, (cut?.after ?? Infinity) - done, (silenceAfter ?? Infinity) - done);
  }
}
