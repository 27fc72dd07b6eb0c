/**
 * The door of a server: accepting sockets, and the handshake of each.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { abortable } from "./abortable.ts";
import { AddressCounts, addressKey } from "./addresses.ts";
import { Changes } from "./changes.ts";
import type { Connection } from "./connection.ts";
import { HandshakeError, PnetworkError } from "./errors.ts";
import { encodeRefusal, type Handshake, type Hello, readHello } from "./handshake.ts";
import type { Identity } from "./identity.ts";
import type { ResolvedServerLimits } from "./options.ts";
import { describe } from "./packet.ts";
import { sanitize } from "./sanitize.ts";
import { acceptSecurely, type Secured } from "./secure_channel.ts";
import type { Sweep } from "./sweep.ts";
import { acceptTls, type Certificate } from "./tls_transport.ts";
import { SocketTransport, type Transport } from "./transport.ts";
import { Wire } from "./wire.ts";

const log = getLogger(["pnetwork", "server"]);

/**
 * What `authenticate` decides: `true` lets the client in, `false` does not, `{ refuse }` says why not,
 * and `{ attach }` lets it in and puts something on its connection.
 */
export type Verdict = boolean | { refuse: string } | { attach: unknown };

/** A client that has shaken hands and was let in. */
export interface Newcomer {
  /** What it asked for. */
  hello: Hello;
  /** Its socket. */
  wire: Wire;
  /** What counts as its address; `undefined` for one that is not counted. */
  from: string | undefined;
  /** What its key is known by, on a secure connection. */
  fingerprint: string | undefined;
  /** What `authenticate` attached. */
  attached: unknown;
}

/** What an admission works with. */
export interface AdmissionParts {
  /** The server's limits. */
  limits: ResolvedServerLimits;
  /** What watches the times. */
  sweep: Sweep;
  /** The server's key, if it takes secure connections, and no others. */
  identity: Identity | undefined;
  /** What the server shows at the moment, if it takes connections with TLS, and no others. */
  certificate: () => Certificate | undefined;
  /** Decides who may come in. */
  authenticate?: (handshake: Handshake, held?: Connection) => Verdict | Promise<Verdict>;
  /** The connection whose session a client wants to go on with, if there is one. */
  find: (hello: Hello, fingerprint: string | undefined) => Connection | undefined;
  /**
   * Registers a client, or lets it go on.
   *
   * @throws {HandshakeError} `SERVER_FULL`.
   * @throws {ProtocolError} `PROTOCOL_ERROR`, if it wants to go on from where it never was.
   */
  register: (newcomer: Newcomer) => void;
}

const MAX_REFUSAL_LENGTH = 256;
const MIN_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 1_000;

/** Accepts sockets, asks each who it is, and hands over those that may come in. */
export class Admission {
  readonly #parts: AdmissionParts;
  readonly #changes = new Changes();
  readonly #handshakes = new Set<AbortController>();
  readonly #addresses = new AddressCounts();
  #waitsFor = "start()";
  #isClosed = false;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  /** What accepting waits for, for people. */
  get waitsFor(): string {
    return this.#waitsFor;
  }

  /** How many handshakes are under way. */
  get handshakes(): number {
    return this.#handshakes.size;
  }

  /** Accepts until it is closed. Never rejects. */
  async acceptAll(listener: Deno.Listener): Promise<void> {
    const { maxHandshakes } = this.#parts.limits;
    let backoffMs = MIN_BACKOFF_MS;
    while (!this.#isClosed) {
      this.#waitsFor = "a handshake to end";
      await this.#changes.until(() => this.#handshakes.size < maxHandshakes || this.#isClosed);
      if (this.#isClosed) return;
      try {
        this.#waitsFor = "a client";
        this.#admit(await listener.accept());
        backoffMs = MIN_BACKOFF_MS;
      } catch (error) {
        if (this.#isClosed) return;
        // Out of file descriptors, most likely. Whoever is connected is served on meanwhile.
        log.warn("cannot accept, trying again in {backoffMs} ms: {error}", { backoffMs, error });
        this.#waitsFor = `${backoffMs} ms to pass: the last accept failed`;
        await this.#pause(backoffMs);
        backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS);
      }
    }
  }

  /** Lets nobody in any more: handshakes that are under way are refused with this. */
  close(error: PnetworkError): void {
    this.#isClosed = true;
    this.#waitsFor = "nothing: it has ended";
    this.#changes.notify();
    for (const handshake of this.#handshakes) handshake.abort(error);
  }

  /** Resolves when it is closed and no handshake is under way. */
  ended(): Promise<void> {
    return this.#changes.until(() => this.#isClosed && this.#handshakes.size === 0);
  }

  async #pause(ms: number): Promise<void> {
    let isOver = false;
    const callOff = this.#parts.sweep.after(ms, () => {
      isOver = true;
      this.#changes.notify();
    });
    await this.#changes.until(() => isOver || this.#isClosed);
    callOff();
  }

  /** Lets a socket try to shake hands, unless too many from its address do. */
  #admit(conn: Deno.Conn): void {
    const { exemptLoopback, maxHandshakesPerAddress } = this.#parts.limits;
    let transport: SocketTransport;
    try {
      transport = new SocketTransport(conn);
    } catch (error) {
      // It was gone before it was looked at.
      log.debug("a socket was lost at once: {error}", { error });
      conn.close();
      return;
    }
    const from = addressKey(conn.remoteAddr, exemptLoopback);
    if (this.#addresses.of(from) >= maxHandshakesPerAddress) {
      this.#turnAway(transport, new HandshakeError("SERVER_FULL", "too many handshakes at once"));
      return;
    }
    this.#shakeHands(transport, from);
  }

  /** From the first byte to the registered connection. Never rejects. */
  async #shakeHands(transport: SocketTransport, from: string | undefined): Promise<void> {
    const handshake = new AbortController();
    const callOff = this.#parts.sweep.after(
      this.#parts.limits.handshakeTimeoutMs,
      () => handshake.abort(new HandshakeError("HANDSHAKE_TIMEOUT", "the handshake took too long")),
    );
    this.#handshakes.add(handshake);
    this.#addresses.add(from);
    try {
      const secured = await this.#secure(transport, handshake);
      if (secured) await this.#welcome(secured, from, handshake);
    } finally {
      callOff();
      this.#handshakes.delete(handshake);
      this.#addresses.remove(from);
      this.#changes.notify();
    }
  }

  /** Resolves to what the rest goes through; `undefined` if there will be no rest. */
  async #secure(
    transport: SocketTransport,
    handshake: AbortController,
  ): Promise<Partial<Secured> & { transport: Transport } | undefined> {
    const { identity } = this.#parts;
    const certificate = this.#parts.certificate();
    const { signal } = handshake;
    try {
      if (certificate) {
        return { transport: await abortable(acceptTls(transport, certificate), signal) };
      }
      if (!identity) return { transport };
      return await abortable(acceptSecurely(transport, identity), signal);
    } catch (error) {
      handshake.abort(error);
      // Whatever has failed, it is told to nobody.
      if (error instanceof HandshakeError) this.#turnAway(transport, error);
      else transport.close();
    }
  }

  /** Tells a socket why it is not wanted, without spending more on it than one write. */
  #turnAway(transport: SocketTransport, error: PnetworkError): void {
    const { address } = transport;
    log.warn("refused {address}: {message}", { address, message: error.message });
    // Where TLS has not been agreed on nothing can be said.
    if (this.#parts.certificate()) return transport.close();
    transport.write(new TextEncoder().encode(encodeRefusal(error) + "\n"))
      // Whether it was still there to read that is all the same.
      .catch(() => {}).finally(() => transport.close());
  }

  async #welcome(
    { transport, fingerprint }: Partial<Secured> & { transport: Transport },
    from: string | undefined,
    handshake: AbortController,
  ): Promise<void> {
    const { limits, sweep, register } = this.#parts;
    const maxFirstLineBytes = limits.maxHandshakeBytes;
    const wire = new Wire(transport, { limits, maxFirstLineBytes, sweep });
    const { signal } = handshake;
    try {
      const hello = await abortable(readHello(wire), signal);
      if (hello) {
        const attached = this.#parts.authenticate &&
          await this.#letIn(hello, { address: wire.address, fingerprint, signal });
        // It may have been called off since that was settled.
        signal.throwIfAborted();
        register({ hello, wire, from, fingerprint, attached });
      } else {
        wire.abort();
      }
    } catch (error) {
      handshake.abort(error);
      await refuse(wire, error);
    }
  }

  /**
   * Resolves to what is attached to the connection. Whoever was let in to go on with a session that has
   * ended meanwhile is judged anew.
   */
  async #letIn(hello: Hello, who: Omit<Handshake, "auth">): Promise<unknown> {
    const find = () => this.#parts.find(hello, who.fingerprint);
    for (;;) {
      const held = find();
      const attached = await abortable(this.#authenticate(hello, held, who), who.signal);
      if (!held || held === find()) return attached;
    }
  }

  /** Asks `authenticate`. */
  async #authenticate(
    hello: Hello,
    held: Connection | undefined,
    who: Omit<Handshake, "auth">,
  ): Promise<unknown> {
    const authenticate = this.#parts.authenticate!;
    let verdict: Verdict;
    try {
      verdict = await authenticate({ auth: hello.auth, ...who }, held);
    } catch (cause) {
      // One of this module's own errors is no word to the client either.
      throw new Error("authenticate threw", { cause });
    }
    if (verdict === true) return undefined;
    if (verdict === false) throw new HandshakeError("REFUSED", "the server refused");
    if (verdict !== null && typeof verdict === "object") {
      if ("refuse" in verdict) {
        // It is logged, and must fit into the answer.
        const why = sanitize(String(verdict.refuse), MAX_REFUSAL_LENGTH);
        throw new HandshakeError("REFUSED", why);
      }
      if ("attach" in verdict) return verdict.attach;
    }
    throw new TypeError(
      `authenticate must decide: true, false, { refuse } or { attach }, got ${describe(verdict)}`,
    );
  }
}

async function refuse(wire: Wire, error: unknown): Promise<void> {
  const refusal = error instanceof PnetworkError
    ? error
    : new HandshakeError("REFUSED", "the server refused", { cause: error });
  if (refusal === error) {
    const { code, message } = refusal;
    log.info("refused {address}: {code}: {message}", { address: wire.address, code, message });
  } else {
    log.error("authenticate failed, {address} is refused: {error}", {
      address: wire.address,
      error,
    });
  }
  if (refusal.code === "CONNECTION_LOST") wire.abort();
  else await wire.end(encodeRefusal(refusal));
}
