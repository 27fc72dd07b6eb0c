/**
 * Handing arrived packets to what is bound to them.
 *
 * @module
 */

import type { ActionTable, Run } from "./actions.ts";
import type { Peer } from "./contract.ts";
import type { Receiver } from "./inbox.ts";
import type { ReceivedPacket } from "./packet.ts";

/** Whose packets they are. */
export interface HandlingHost {
  /** The packet is acknowledged from now on. */
  handOver(packet: ReceivedPacket): void;
  /** Answers it. `false` if it asks for no reply. */
  reply(packet: ReceivedPacket, data: unknown): boolean;
  /** Answers with what a handler threw. */
  fail(packet: ReceivedPacket, error: unknown): void;
}

/** Runs the bound actions for one peer. */
export class Handling implements Receiver {
  readonly #actions: ActionTable;
  readonly #peer: Peer;
  readonly #host: HandlingHost;

  /**
   * @param actions What is bound.
   * @param peer What handlers are given.
   * @param host Whose packets they are.
   */
  constructor(actions: ActionTable, peer: Peer, host: HandlingHost) {
    this.#actions = actions;
    this.#peer = peer;
    this.#host = host;
  }

  prepare(packet: ReceivedPacket): Run | Promise<Run> {
    return this.#actions.prepare(packet);
  }

  run(run: Run, packet: ReceivedPacket): unknown {
    try {
      return run(packet, this.#peer);
    } finally {
      this.#host.handOver(packet);
    }
  }

  taken(packet: ReceivedPacket): void {
    this.#host.handOver(packet);
  }

  succeeded(packet: ReceivedPacket, result: unknown): void {
    this.#host.reply(packet, result === undefined ? null : result);
  }

  failed(packet: ReceivedPacket, error: unknown): void {
    // What could not even be prepared was not handed over yet.
    this.#host.handOver(packet);
    this.#host.fail(packet, error);
  }
}
