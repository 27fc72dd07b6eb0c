// Broadcasts that are put off to the end of their turn, against those that are not.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Broadcast, Outbox } from "../../outbox.ts";
import { encodeHead } from "../../packet.ts";
import { beginDelivery, Session } from "../../session.ts";
import type { Wire } from "../../wire.ts";
import { Clock } from "../support/clock.ts";

const LIMITS = { replayPackets: 6, replayBytes: 2_000 };
const VOLATILE = { policy: "drop-oldest", key: "" } as const;

/** A wire that keeps what is written, and writes nothing before the turn is over. */
class FakeWire {
  readonly lines: string[] = [];
  readonly isCollecting = true;
  readonly isCongested = false;

  get linesQueued(): number {
    return this.lines.length;
  }

  get buffered(): number {
    return this.lines.reduce((sum, line) => sum + line.length + 1, 0);
  }

  get maxBuffered(): number {
    return this.buffered * 3;
  }

  write(line: string): void {
    this.lines.push(line);
  }

  room(): Promise<void> {
    return new Promise(() => {});
  }
}

/** One peer. */
class Peer {
  readonly #mayPutOff: boolean;
  readonly #session = new Session<unknown>(100, beginDelivery(LIMITS, LIMITS));
  readonly outbox: Outbox;
  readonly wires: FakeWire[] = [];
  /** How many broadcasts were put off. */
  putOff = 0;
  /** What each call came to. */
  readonly outcomes: unknown[] = [];

  constructor(mayPutOff: boolean) {
    this.#mayPutOff = mayPutOff;
    this.outbox = new Outbox(this.#session, { token: null, maxPacketBytes: 1_000 }, {
      maxBufferedBytes: 3_000,
      maxVolatileBytes: 1_000,
    });
    this.attach();
  }

  get window() {
    return this.#session.delivery!.window;
  }

  attach(): void {
    const wire = new FakeWire();
    this.wires.push(wire);
    this.outbox.attach(wire as unknown as Wire);
  }

  broadcast(broadcast: Broadcast): void {
    const isLate = this.#mayPutOff && this.outbox.postpone(broadcast);
    if (isLate) this.putOff++;
    this.outcomes.push(isLate ? undefined : this.outbox.broadcast(broadcast)?.code);
  }

  do(step: Exclude<Step, { broadcast: unknown }>): void {
    const { outbox, window } = this;
    const head = encodeHead({ action: step.how, data: "x".repeat(step.length) });
    switch (step.how) {
      case "send":
        void outbox.send(head)?.catch(() => {});
        return;
      case "request":
      case "reply":
        return void this.outcomes.push(outbox[step.how](head, 7)?.code);
      case "volatile":
        return void this.outcomes.push(outbox.sendVolatile(head, VOLATILE)?.code);
      case "control":
        return void this.outcomes.push(outbox.sendControl("@ping")?.code);
      case "count":
        outbox.catchUp();
        return void this.outcomes.push(outbox.packetsSent, outbox.buffered);
      case "turn":
        return void outbox.catchUp();
      case "ack":
        outbox.catchUp();
        window.acknowledge(Math.max(window.acknowledged, window.nextSeq - 2));
        return outbox.admit();
      case "cut":
        // Nothing of this turn was written; if it ends in order, all of it is.
        outbox.detach(step.length % 2 === 0 ? 0 : Infinity);
        return this.attach();
    }
  }

  /** All that can be known of it. */
  get all(): unknown {
    this.outbox.catchUp();
    const { wires, outcomes, outbox, window } = this;
    return [
      wires,
      outcomes,
      outbox.packetsSent,
      outbox.buffered,
      [...window].map(({ seq, wasWritten }) => [seq, wasWritten]),
      window.reaches(0),
    ];
  }
}

const HOW = [
  "send",
  "request",
  "reply",
  "volatile",
  "control",
  "count",
  "turn",
  "ack",
  "cut",
] as const;

type Step =
  | { broadcast: "one" | "other" | "both"; length: number }
  | { how: typeof HOW[number]; length: number };

const lengths = fc.integer({ min: 0, max: 300 });
const steps = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        broadcast: fc.constantFrom("one" as const, "other" as const, "both" as const),
        length: lengths,
      }),
    },
    { weight: 1, arbitrary: fc.record({ how: fc.constantFrom(...HOW), length: lengths }) },
  ),
  { maxLength: 40 },
);

Deno.test("what is put off arrives as what is not: the same packets, in the same order, to the same end", () => {
  using _clock = new Clock();
  let putOff = 0;
  fc.assert(
    fc.property(steps, (steps) => {
      const [late, direct] = [true, false].map((mayPutOff) => {
        const peers = { one: new Peer(mayPutOff), other: new Peer(mayPutOff) };
        let last: Broadcast | undefined;
        for (const step of steps) {
          if (!("broadcast" in step)) {
            if (step.how === "turn") last = undefined;
            for (const peer of Object.values(peers)) peer.do(step);
            continue;
          }
          const head = encodeHead({ action: "b", data: "y".repeat(step.length) });
          const next: Broadcast = { head, created: Date.now(), next: undefined };
          if (last) last.next = next;
          last = next;
          for (const [name, peer] of Object.entries(peers)) {
            if (step.broadcast === name || step.broadcast === "both") peer.broadcast(next);
          }
        }
        return peers;
      });
      putOff += late.one.putOff;
      for (const name of ["one", "other"] as const) assertEquals(late[name].all, direct[name].all);
    }),
    { numRuns: 500 },
  );
  assert(putOff > 500, `${putOff} were put off`);
});
