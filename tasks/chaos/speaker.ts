/**
 * One side of one connection, sending.
 *
 * @module
 */

import type { Client, Connection } from "../../mod.ts";
import { pause } from "../../tests/support/wait.ts";
import type { Random } from "./random.ts";
import { clock, codeOf, count, type Numbered, type SpeakerNotes } from "./speech.ts";

/** The receiver. */
export type Peer = Pick<Connection | Client, "sendPacket" | "request" | "delivered">;

/** How often each kind of packet is sent. */
const WEIGHTS = {
  note: 45,
  "note, awaited": 4,
  "note, withdrawn": 2,
  held: 6,
  "held, delivered": 2,
  ask: 15,
  "ask, answered late": 8,
  "ask, asked back": 4,
  fail: 2,
  volatile: 12,
};
const MAX_BURST = 24;
const MAX_PAUSE_MS = 6;
const MAX_PADDING = 160;
/** Now and then one is so large that it has to wait where smaller ones would not. */
const LARGE_PART = 0.03;
const MAX_LARGE_PADDING = 4_000;
const MAX_HOLD_MS = 3;
const TIMED_HOLD_MS = 8;
const MAX_THOUGHT_MS = 60;
/** While so much is unsettled nothing more is sent: a long outage must not fill the memory. */
const MAX_UNSETTLED = 150;
/** A broadcast to a window that is full pushes out the oldest: this keeps it from becoming so. */
const MAX_UNACKNOWLEDGED = 200;

/** Sends one receiver a mix of everything, and writes down what became of it. */
export class Speaker {
  readonly #peer: Peer;
  readonly #random: Random;
  readonly #marks: () => number[];
  readonly #unacknowledged: () => number;
  readonly #withdrawn: number[] = [];
  readonly #deliveredAt: SpeakerNotes["deliveredAt"] = [];
  readonly #failed: Record<string, number> = {};
  readonly #unsettled = new Set<Promise<void>>();
  #talking: Promise<void> | undefined;
  #sent = 0;
  #volatile = 0;
  #asked = 0;
  #settled = 0;

  /**
   * @param peer The receiver.
   * @param random What decides.
   * @param state How far the broadcasts to this receiver are, and how much it has not acknowledged.
   */
  constructor(
    peer: Peer,
    random: Random,
    state: { marks: () => number[]; unacknowledged: () => number },
  ) {
    this.#peer = peer;
    this.#random = random;
    this.#marks = state.marks;
    this.#unacknowledged = state.unacknowledged;
  }

  /** How many numbers were given. */
  get sent(): number {
    return this.#sent;
  }

  /** What requests or sends came to that they should not have. */
  get failed(): Readonly<Record<string, number>> {
    return this.#failed;
  }

  /** What it has written down. */
  get notes(): SpeakerNotes {
    return {
      sent: { count: this.#sent, withdrawn: this.#withdrawn },
      volatile: this.#volatile,
      asked: this.#asked,
      settled: this.#settled,
      failed: this.#failed,
      deliveredAt: this.#deliveredAt,
    };
  }

  /** Sends in bursts until it is over. */
  talk(isOver: () => boolean): void {
    this.#talking = this.#talk(isOver);
  }

  /** Resolves when it is over, and all that was sent is settled and acknowledged. */
  async settled(): Promise<void> {
    await this.#talking;
    while (this.#unsettled.size > 0) await Promise.all(this.#unsettled);
    await this.#peer.delivered();
  }

  /** Asks, and checks the answer. */
  ask(action: string, extra: Partial<Numbered> = {}): Promise<void> {
    const data = this.#number(extra);
    this.#asked++;
    return this.#watch(async () => {
      const answer = await this.#request(action, data);
      if (answer !== data.n) count(this.#failed, "another answer");
    });
  }

  async #talk(isOver: () => boolean): Promise<void> {
    const random = this.#random;
    while (!isOver()) {
      const burst = 1 + random.below(MAX_BURST);
      for (let turn = 0; turn < burst && this.#mayGoOn(); turn++) {
        await this.#say(random.pick(WEIGHTS));
      }
      await pause(random.below(MAX_PAUSE_MS));
    }
  }

  #mayGoOn(): boolean {
    return this.#unsettled.size < MAX_UNSETTLED && this.#unacknowledged() < MAX_UNACKNOWLEDGED;
  }

  /** Resolves at once, unless this one is awaited. */
  async #say(kind: keyof typeof WEIGHTS): Promise<void> {
    const random = this.#random;
    switch (kind) {
      case "note":
        this.#note("note");
        return;
      case "note, awaited":
        return await this.#note("note");
      case "note, withdrawn":
        this.#withdraw();
        return;
      case "held":
        this.#note("held", { ms: random.below(MAX_HOLD_MS + 1) });
        return;
      case "held, delivered":
        this.#deliver();
        return;
      case "ask":
        this.ask("ask");
        return;
      case "ask, answered late":
        this.ask("ask", { ms: random.below(MAX_THOUGHT_MS) });
        return;
      case "ask, asked back":
        this.ask("ask-back");
        return;
      case "fail":
        this.#askForFailure();
        return;
      case "volatile":
        this.#watch(() =>
          this.#peer.sendPacket({ action: "blip", data: { n: ++this.#volatile } }, {
            volatile: true,
          })
        );
    }
  }

  #note(action: string, extra: Partial<Numbered> = {}): Promise<void> {
    const data = this.#number(extra);
    return this.#watch(() => this.#peer.sendPacket({ action, data }));
  }

  /** One that may be taken back while it waits for room. */
  #withdraw(): void {
    const data = this.#number({});
    const controller = new AbortController();
    const { signal } = controller;
    this.#watch(async () => {
      const entered = this.#peer.sendPacket({ action: "note", data }, { signal });
      setTimeout(() => controller.abort(), this.#random.below(MAX_PAUSE_MS));
      try {
        await entered;
      } catch (error) {
        if (error !== signal.reason) throw error;
        this.#withdrawn.push(data.n);
      }
    });
  }

  /** One of which both sides note when it was handed over. */
  #deliver(): void {
    const data = this.#number({ ms: TIMED_HOLD_MS, isTimed: true });
    this.#watch(async () => {
      await this.#peer.sendPacket({ action: "held", data }, { delivered: true });
      this.#deliveredAt.push([data.n, clock()]);
    });
  }

  /** The answer that is asked for is an error. */
  #askForFailure(): void {
    const data = this.#number({});
    this.#asked++;
    this.#watch(async () => {
      try {
        const answer = await this.#request("fail", data);
        // A `for await` cannot answer with an error.
        if (answer !== null) count(this.#failed, "no failure");
      } catch (error) {
        if (codeOf(error) !== "ACTION_FAILED") throw error;
      }
    });
  }

  async #request(action: string, data: Numbered): Promise<unknown> {
    try {
      return await this.#peer.request(action, data);
    } finally {
      this.#settled++;
    }
  }

  #number(extra: Partial<Numbered>): Numbered {
    const isLarge = this.#random.chance(LARGE_PART);
    const padding = "x".repeat(this.#random.below(isLarge ? MAX_LARGE_PADDING : MAX_PADDING));
    return { n: ++this.#sent, marks: this.#marks(), padding, ...extra };
  }

  /** Never rejects: a failure is counted. */
  #watch(act: () => Promise<void>): Promise<void> {
    const settled: Promise<void> = act()
      .catch((error) => count(this.#failed, codeOf(error)))
      .finally(() => this.#unsettled.delete(settled));
    this.#unsettled.add(settled);
    return settled;
  }
}
