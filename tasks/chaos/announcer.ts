/**
 * The server, saying things to all clients at once.
 *
 * @module
 */

import type { Server } from "../../mod.ts";
import { pause } from "../../tests/support/wait.ts";
import type { Random } from "./random.ts";
import { type BroadcastNotes, codeOf, count, GROUP } from "./speech.ts";

const WEIGHTS = { news: 5, "group-news": 3, poll: 1, "news-blip": 2 };
const MAX_PAUSE_MS = 10;
/** A broadcast to a full window pushes out the oldest: then a resume could not go on. */
const MAX_UNACKNOWLEDGED = 600;

/** Broadcasts, and writes down what became of it. */
export class Announcer {
  readonly #server: Server;
  readonly #random: Random;
  readonly #sent = [0, 0];
  readonly #failed: Record<string, number> = {};
  readonly #polls = new Set<Promise<void>>();
  #talking: Promise<void> | undefined;
  #volatile = 0;
  #asked = 0;
  #settled = 0;
  #missed = 0;

  constructor(server: Server, random: Random) {
    this.#server = server;
    this.#random = random;
  }

  /** What it has written down. */
  get notes(): BroadcastNotes {
    return {
      sent: this.#sent,
      volatile: this.#volatile,
      missed: this.#missed,
      asked: this.#asked,
      settled: this.#settled,
      failed: this.#failed,
    };
  }

  /** How far the broadcasts are that reach a client. */
  marksOf(isInGroup: boolean): number[] {
    return [this.#sent[0]!, isInGroup ? this.#sent[1]! : 0];
  }

  /** Broadcasts until it is over. */
  talk(isOver: () => boolean): void {
    this.#talking = this.#talk(isOver);
  }

  /** Resolves when it is over and all polls are settled. */
  async settled(): Promise<void> {
    await this.#talking;
    while (this.#polls.size > 0) await Promise.all(this.#polls);
  }

  async #talk(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      if (this.#hasRoom()) this.#say(this.#random.pick(WEIGHTS));
      await pause(this.#random.below(MAX_PAUSE_MS));
    }
  }

  #hasRoom(): boolean {
    return [...this.#server.clients.values()].every(({ stats }) =>
      stats.unacknowledged < MAX_UNACKNOWLEDGED
    );
  }

  #say(kind: keyof typeof WEIGHTS): void {
    const server = this.#server;
    switch (kind) {
      case "news": {
        const packet = { action: "news", data: { n: ++this.#sent[0]! } };
        this.#missed += server.broadcast(packet).missed.size;
        return;
      }
      case "group-news": {
        const packet = { action: "group-news", data: { n: ++this.#sent[1]! } };
        this.#missed += server.group(GROUP).broadcast(packet).missed.size;
        return;
      }
      case "poll": {
        const settled: Promise<void> = this.#poll().finally(() => this.#polls.delete(settled));
        this.#polls.add(settled);
        return;
      }
      case "news-blip": {
        const packet = { action: "news-blip", data: { n: ++this.#volatile } };
        this.#missed += server.broadcast(packet, { volatile: true, policy: "latest" }).missed.size;
      }
    }
  }

  async #poll(): Promise<void> {
    const n = ++this.#sent[0]!;
    this.#asked += this.#server.clients.size;
    const outcomes = await this.#server.broadcast({ action: "poll", data: { n } }, {
      request: true,
    });
    for (const outcome of outcomes.values()) {
      this.#settled++;
      if (outcome.status !== "reply") count(this.#failed, codeOf(outcome.error));
      else if (outcome.data !== n) count(this.#failed, "another answer");
    }
  }
}
