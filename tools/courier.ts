/**
 * A client that sends, and can say in the end what has become of it.
 *
 * @module
 */

import { Client } from "../client.ts";
import type { ClientOptions } from "../client_options.ts";
import type { CloseInfo } from "../contract.ts";
import type { ErrorCode } from "../errors.ts";
import type { OutgoingPacket } from "../packet.ts";
import { sanitize } from "../sanitize.ts";
import type { Undelivered } from "../window.ts";
import { UnfinishedError } from "./exit.ts";
import type { Progress } from "./progress.ts";

/** What is sent: many lines, one packet, or one request. */
export type Load = "lines" | "packet" | "request";

/** What became of what was sent. */
export interface Outcome {
  /** How many arrived for certain. */
  acknowledged: number;
  /** How many may have. */
  unknown: number;
  /** How many have certainly not. */
  unsent: number;
}

/** How its server is reached. */
export type CourierOptions =
  & Pick<ClientOptions, "host" | "port" | "path" | "secure" | "tls">
  & { maxAttempts: number };

/** Why nothing more is sent, and what was not acknowledged by then. */
interface Loss extends CloseInfo {
  undelivered: Undelivered;
}

/** How much is said of a reason. */
const MAX_REASON_LENGTH = 300;

/**
 * Sends to a server over a session, which outlives the cuts of its sockets; where the server grants none,
 * over one socket. When that is lost it sends nothing more: what may have arrived is not for it to send
 * again.
 */
export class Courier implements AsyncDisposable {
  readonly #client: Client;
  readonly #load: Load;
  readonly #lost = new AbortController();
  #loss: Loss | undefined;
  #hasSession = false;
  #sent = 0;

  /**
   * @param load What it is to send.
   * @param options Where and who the server is, and how many attempts to come back may fail in a row.
   * @param progress Where it is shown that the connection is lost, and back.
   * @throws {TypeError} If an option has the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(load: Load, options: CourierOptions, progress: Progress) {
    this.#load = load;
    this.#client = new Client({
      ...options,
      onRetry: ({ attempt }) => progress.retry(attempt),
      onResume: () => progress.resumed(),
      onSessionLost: (_connection, { reason, ...undelivered }) => {
        const why = `the session could not go on: ${reason}`;
        this.#lose({ code: "SESSION_LOST", reason: why, undelivered });
      },
      onDisconnect: ({ undelivered }, info) => this.#lose({ ...info, undelivered }),
    });
  }

  /** Aborted when nothing can be sent any more. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Connects. Throws like `Client.start()`: before the first connection there is no second attempt. */
  async start(): Promise<void> {
    await this.#client.start();
    this.#hasSession = this.#client.connection!.hasSession;
  }

  /**
   * Sends a packet. Resolves when there is room for more.
   *
   * @throws {UnfinishedError} If the connection is lost for good.
   * @throws {PnetworkError} If this packet cannot be sent.
   */
  async send(packet: OutgoingPacket): Promise<void> {
    this.#throwIfLost();
    this.#sent++;
    try {
      await this.#client.sendPacket(packet);
    } catch (error) {
      this.#throwIfLost();
      this.#sent--;
      throw error;
    }
  }

  /**
   * Waits until all has arrived: the server has handed it over. Without a session that it has read it.
   *
   * @throws {UnfinishedError} If the connection is lost for good.
   */
  async arrived(): Promise<void> {
    this.#throwIfLost();
    try {
      if (this.#hasSession) await this.#client.delivered();
      // A pong comes when the server has read everything before the ping, however long that takes.
      else await this.#client.ping({ timeoutMs: false });
    } catch (error) {
      this.#throwIfLost();
      throw error;
    }
  }

  /**
   * Asks for a reply.
   *
   * @throws {UnfinishedError} If the connection is lost for good.
   * @throws {PnetworkError} If the request fails.
   */
  async request(action: string, data: unknown, timeoutMs: number | undefined): Promise<unknown> {
    this.#sent++;
    try {
      return await this.#client.request(action, data, { timeoutMs });
    } catch (error) {
      this.#throwIfLost();
      throw error;
    }
  }

  /** Ends the connection. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#client.close();
  }

  #lose(loss: Loss): void {
    this.#loss ??= loss;
    this.#lost.abort();
  }

  #throwIfLost(): void {
    if (!this.#loss) return;
    const { code, reason } = this.#loss;
    const outcome = this.#outcome(this.#loss);
    const message = `${sanitize(reason, MAX_REASON_LENGTH)}; ${describe(this.#load, outcome)}`;
    // What the other side says of its end may be a code that is not ours.
    throw new UnfinishedError(code as ErrorCode, message, { ...outcome });
  }

  #outcome({ undelivered }: Loss): Outcome {
    const kind = this.#load === "request" ? "request" : "packet";
    const count = (packets: Undelivered["unsent"]) =>
      packets.filter((packet) => packet.kind === kind).length;
    const unsent = count(undelivered.unsent);
    // A request whose reply has not come may have been carried out, even if it was acknowledged.
    const isKnown = this.#hasSession && this.#load !== "request";
    const unknown = isKnown
      ? count(undelivered.unknown) + undelivered.forgotten
      : this.#sent - unsent;
    return { acknowledged: this.#sent - unknown - unsent, unknown, unsent };
  }
}

function describe(load: Load, { acknowledged, unknown, unsent }: Outcome): string {
  if (load === "request") {
    return unsent > 0 ? "the request was not sent" : "the request may have been carried out";
  }
  if (load === "packet") {
    return unsent > 0 ? "the packet was not sent" : "the packet may have arrived";
  }
  const [arrived, may, not] = [acknowledged, unknown, unsent].map((n) => n.toLocaleString("en"));
  const lines = acknowledged === 1 ? "line" : "lines";
  return `${arrived} ${lines} arrived for certain, ${may} may have, ${not} ${
    unsent === 1 ? "was" : "were"
  } not sent`;
}
