/**
 * What an arriving line means.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { Arrivals } from "./arrivals.ts";
import { readClose } from "./close_info.ts";
import type { CloseInfo } from "./contract.ts";
import { ProtocolError } from "./errors.ts";
import type { Inbox } from "./inbox.ts";
import type { ResolvedLimits } from "./options.ts";
import {
  checkPacket,
  errorFromData,
  isErrorData,
  parseLine,
  type ReceivedPacket,
} from "./packet.ts";
import type { Replies } from "./replies.ts";
import type { Session } from "./session.ts";

const log = getLogger(["pnetwork", "connection"]);

/** What an intake works with. */
export interface IntakeParts {
  /** The connection's limits. */
  limits: ResolvedLimits;
  /** What is outstanding. */
  session: Session<unknown>;
  /** Where a user's packets go. */
  inbox: Inbox;
  /** What answers requests that cannot be handled. */
  replies: Replies;
  /** What becomes of it. */
  host: IntakeHost;
}

/** Whose packets come in. */
export interface IntakeHost {
  /** The connection's public name. */
  readonly id: string;
  /** Its secret. */
  readonly token: string | null;
  /** Whether nothing new is begun any more. */
  readonly isDraining: boolean;
  /** This side's public key for sealed packets. */
  readonly publicKey: string | undefined;
  /** Sends one of the protocol's own packets. */
  sendControl(action: `@${string}`, data?: unknown, ack?: number): unknown;
  /** The peer has acknowledged something. */
  acknowledged(): void;
  /** The peer asks this side to start nothing new. `false` if that means nothing here. */
  goAway(retryAfterMs: number): boolean;
  /** The peer has said goodbye. */
  peerClosed(info: CloseInfo): void;
}

/** Takes lines in, and sees to it that each packet comes to where it belongs. */
export class Intake {
  readonly #parts: IntakeParts;
  #packets = 0;
  #ignored = 0;
  #refused = 0;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** How many packets came. */
  get packets(): number {
    return this.#packets;
  }

  /** How many of them nothing came of. */
  get ignored(): number {
    return this.#ignored;
  }

  /** How many were answered with an error, while the connection was kept. */
  get refused(): number {
    return this.#refused;
  }

  /** Nothing came of one after all. */
  ignore(): void {
    this.#ignored++;
  }

  /**
   * Takes one line in.
   *
   * @throws {ProtocolError} If it ends the connection.
   */
  receive(line: string): void {
    const { limits, session, host } = this.#parts;
    const fields = parseLine(line, limits);
    let packet: ReceivedPacket;
    try {
      packet = checkPacket(fields);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // It uses up its number all the same.
      if (this.#deliver(fields.seq, fields.ack)) {
        session.delivery?.arrivals.pass(line.length);
        this.#refuse(error);
      }
      return;
    }
    this.#packets++;
    if (packet.token !== null && packet.token !== host.token) {
      throw new ProtocolError("BAD_TOKEN", "the packet bears a token of another connection");
    }
    if (!this.#deliver(fields.seq, fields.ack)) {
      this.#ignored++;
      return;
    }
    // What has no number is none of the session's concern.
    const arrivals = fields.seq === undefined ? undefined : session.delivery?.arrivals;
    if (packet.replyTo === undefined && !packet.action.startsWith("@")) {
      this.#accept(packet, line.length, arrivals);
      return;
    }
    arrivals?.pass(line.length);
    if (packet.replyTo !== undefined) this.#settle(packet, packet.replyTo);
    else this.#control(packet);
  }

  /** Takes in what a packet says of delivery. `false` if it came before. */
  #deliver(seq: unknown, ack: unknown): boolean {
    const { session, host } = this.#parts;
    const before = session.delivery?.window.acknowledged;
    const isNew = session.receive(seq, ack);
    if (session.delivery?.window.acknowledged !== before) host.acknowledged();
    return isNew;
  }

  /** The packet is refused, the connection kept. */
  #refuse({ code, message }: ProtocolError): void {
    this.#refused++;
    this.#parts.host.sendControl("@error", { code, message });
  }

  #settle(packet: ReceivedPacket, id: number): void {
    const settler = this.#parts.session.requests.take(id);
    if (!settler) this.#ignored++;
    else if (packet.error) settler.reject(errorFromData(packet.error));
    else settler.resolve(packet.data);
  }

  #control(packet: ReceivedPacket): void {
    const { action, data } = packet;
    const { session, host } = this.#parts;
    switch (action) {
      case "@ping":
        host.sendControl("@pong", data, session.delivery?.arrivals.takeAskedAck());
        return;
      case "@pong": {
        const settler = typeof data === "number" ? session.pings.take(data) : undefined;
        if (settler) settler.resolve();
        // Those without a number were sent for their acknowledgement, or as a sign of life.
        else if (data !== null) this.#ignored++;
        return;
      }
      case "@public-key":
        this.#tellPublicKey(packet);
        return;
      case "@ack":
        // All that it says was taken in already.
        return;
      case "@goaway":
        if (!host.goAway(retryAfterOf(data))) this.#ignored++;
        return;
      case "@close":
        host.peerClosed(readClose(data));
        return;
      case "@error":
        this.#ignored++;
        log.warn("{id}: the peer refused a packet: {error}", {
          id: host.id,
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

  #tellPublicKey(packet: ReceivedPacket): void {
    const { session, replies, host } = this.#parts;
    const { id } = packet;
    if (id === undefined || !session.beginAnswer(id, packet)) this.#ignored++;
    else replies.reply(packet, { publicKey: host.publicKey ?? null });
  }

  #accept(packet: ReceivedPacket, bytes: number, arrivals: Arrivals | undefined): void {
    const { inbox, host } = this.#parts;
    const { id } = packet;
    if (id === undefined && host.isDraining) {
      // It is never handed over, and whoever sent it is not told that it was.
      arrivals?.hold(packet, bytes);
      this.#ignored++;
      return;
    }
    const refuse = id === undefined ? undefined : this.#whyNot(packet, id);
    if (refuse) {
      arrivals?.pass(bytes);
      return refuse();
    }
    arrivals?.hold(packet, bytes);
    inbox.push(packet, bytes);
  }

  /** How a request is refused that cannot be handled, if that is so. */
  #whyNot(packet: ReceivedPacket, id: number): (() => void) | undefined {
    const { limits, session, inbox, replies, host } = this.#parts;
    if (!session.beginAnswer(id, packet)) {
      const message = `request ${id} is still being answered`;
      return () => this.#refuse(new ProtocolError("BAD_PACKET", message));
    }
    if (host.isDraining) {
      const message = "this side is shutting down";
      return () => replies.refuse(packet, { code: "GOING_AWAY", message });
    }
    if (inbox.isFull || session.answering > limits.maxInFlight) {
      const message = "too many requests at once";
      return () => replies.refuse(packet, { code: "OVERLOADED", message });
    }
  }
}

function retryAfterOf(data: unknown): number {
  const { retryAfterMs } = (data ?? {}) as { retryAfterMs?: unknown };
  return typeof retryAfterMs === "number" && retryAfterMs >= 0 ? retryAfterMs : 0;
}
