/**
 * Answering a peer's requests, each exactly once.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { CryptoError, decryptFailed, type PnetworkError, RequestError } from "./errors.ts";
import { encodeAnyHead, encodeErrorHead, type ErrorData, type ReceivedPacket } from "./packet.ts";
import { sanitize } from "./sanitize.ts";
import type { Session } from "./session.ts";

const log = getLogger(["pnetwork", "connection"]);

/** Whose replies they are. */
export interface RepliesHost {
  /** The connection's public name, for the log. */
  readonly id: string;
  /** Sends one. Returns why it was not sent, if it was not. */
  sendReply(head: string, replyTo: number): PnetworkError | undefined;
}

/** What a handler may say to the other side; whatever else it throws stays here. */
const SAYABLE: ReadonlySet<string> = new Set([
  "NO_ACTION",
  "INVALID_DATA",
  "ACTION_FAILED",
  "OVERLOADED",
]);

/** The replies that are owed to one peer. */
export class Replies {
  readonly #session: Session<unknown>;
  readonly #host: RepliesHost;

  /**
   * @param session Which replies are owed.
   * @param host Whose they are.
   */
  constructor(session: Session<unknown>, host: RepliesHost) {
    this.#session = session;
    this.#host = host;
  }

  /** Sends the reply that a packet asks for. `false` if it asks for none, or has been answered. */
  reply(packet: ReceivedPacket, data: unknown): boolean {
    const { id, action } = packet;
    if (id === undefined || !this.#session.endAnswer(id, packet)) return false;
    let error: PnetworkError | undefined;
    try {
      error = this.#host.sendReply(encodeAnyHead(action, data), id);
    } catch (cause) {
      log.error("{id}: the reply to {action} cannot be sent: {cause}", {
        id: this.#host.id,
        action: sanitize(action),
        cause,
      });
      error = new RequestError("ACTION_FAILED", "the reply is no JSON");
    }
    if (error) {
      this.#host.sendReply(
        encodeErrorHead(action, { code: error.code, message: error.message }),
        id,
      );
    }
    return true;
  }

  /** Sends an error in place of the reply. `false` if no reply was asked for. */
  refuse(packet: ReceivedPacket, error: ErrorData): boolean {
    const { id, action } = packet;
    if (id === undefined || !this.#session.endAnswer(id, packet)) return false;
    this.#host.sendReply(encodeErrorHead(action, error), id);
    return true;
  }

  /** Answers for a handler that threw, or that there is none of. `false` if no reply was asked for. */
  fail(packet: ReceivedPacket, error: unknown): boolean {
    const sayable = toSayable(error);
    if (sayable) return this.refuse(packet, { code: sayable.code, message: sayable.message });
    log.error("{id}: the handler of {action} failed: {error}", {
      id: this.#host.id,
      action: sanitize(packet.action),
      error,
    });
    return this.refuse(packet, { code: "ACTION_FAILED", message: "the action failed" });
  }
}

function toSayable(error: unknown): PnetworkError | undefined {
  if (error instanceof RequestError && !error.remote && SAYABLE.has(error.code)) return error;
  // Whoever has found that out may have said more of it than is good.
  if (error instanceof CryptoError && error.code === "DECRYPT_FAILED") return decryptFailed();
}
