/**
 * One side of one connection, receiving.
 *
 * @module
 */

import { Bind, type Connection, type Peer, RequestError } from "../../mod.ts";
import { pause } from "../../tests/support/wait.ts";
import { History } from "./history.ts";
import type { Speaker } from "./speaker.ts";
import { type Announced, clock, type ListenerNotes, type Numbered } from "./speech.ts";

/** Writes down what arrives from one sender. */
export class Listener {
  readonly #packets = new History();
  /** To all, and to the group. */
  readonly #broadcasts = [new History(), new History()];
  /** To this one, and to all. */
  readonly #volatile = [new History(), new History()];
  readonly #handedOverAt: ListenerNotes["handedOverAt"] = [];

  /** How many numbers came that should not have, or not then. */
  get troubles(): number {
    return [this.#packets, ...this.#broadcasts, ...this.#volatile]
      .reduce((sum, { troubles }) => sum + troubles, 0);
  }

  /** What it has written down. */
  get notes(): ListenerNotes {
    return {
      arrived: this.#packets.arrived(),
      broadcasts: this.#broadcasts.map((history) => history.arrived()),
      volatile: this.#volatile.map((history) => history.arrived()),
      handedOverAt: this.#handedOverAt,
    };
  }

  /** A numbered packet was handed over. */
  hear({ n, marks, isTimed }: Numbered): void {
    this.#packets.take(n);
    this.#packets.compareMarks(marks, this.#broadcasts.map(({ last }) => last));
    if (isTimed) this.#handedOverAt.push([n, clock()]);
  }

  /** A broadcast was. */
  hearBroadcast(stream: number, { n }: Announced): void {
    this.#broadcasts[stream]!.take(n);
  }

  /** One that might have been lost was. */
  hearVolatile(stream: number, { n }: Announced): void {
    this.#volatile[stream]!.take(n);
  }
}

/** What actions are bound on. */
interface Bindable {
  bindAction(name: string, bind: unknown): unknown;
}

/** Both halves of this side of a connection. */
export interface Side {
  listener: Listener;
  speaker: Speaker;
}

/** What becomes of a packet, and what is answered. */
type Act = (data: Numbered, side: Side) => unknown;

const ACTS: Record<string, Act> = {
  note: (data, { listener }) => listener.hear(data),
  held: (data, { listener }) => listener.hear(data),
  ask: async (data, { listener }) => {
    listener.hear(data);
    if (data.ms) await pause(data.ms);
    return data.n;
  },
  "ask-back": async (data, { listener, speaker }) => {
    listener.hear(data);
    await speaker.ask("ask");
    return data.n;
  },
  fail: (data, { listener }) => {
    listener.hear(data);
    throw new RequestError("ACTION_FAILED", "as it was asked to");
  },
  news: (data, { listener }) => listener.hearBroadcast(0, data),
  "group-news": (data, { listener }) => listener.hearBroadcast(1, data),
  poll: (data, { listener }) => {
    listener.hearBroadcast(0, data);
    return data.n;
  },
  blip: (data, { listener }) => listener.hearVolatile(0, data),
  "news-blip": (data, { listener }) => listener.hearVolatile(1, data),
};

/** Held before it is handed over, by a check that takes its time. */
class Held extends Bind<Numbered> {
  override readonly schema = {
    "~standard": {
      version: 1 as const,
      vendor: "chaos",
      validate: async (value: unknown) => {
        await pause((value as Numbered).ms ?? 0);
        return { value: value as Numbered };
      },
    },
  };
  readonly #sideOf: (peer: Peer) => Side;

  constructor(sideOf: (peer: Peer) => Side) {
    super("held");
    this.#sideOf = sideOf;
  }

  run(data: Numbered, _packet: unknown, peer: Peer): void {
    this.#sideOf(peer).listener.hear(data);
  }
}

/** Binds all that is said. */
export function bindActs(endpoint: Bindable, sideOf: (peer: Peer) => Side): void {
  for (const [name, act] of Object.entries(ACTS)) {
    endpoint.bindAction(
      name,
      (data: Numbered, _packet: unknown, peer: Peer) => act(data, sideOf(peer)),
    );
  }
  endpoint.bindAction("held", new Held(sideOf));
}

/** Takes packets by `for await` in place of bound actions. */
export async function takePackets(connection: Connection, side: Side): Promise<void> {
  for await (const packet of connection) {
    const data = packet.data as Numbered;
    const answer = answerOf(packet.action, data, side);
    if (packet.id !== undefined) answer.then((value) => connection.reply(packet, value ?? null));
    if (packet.action === "held") await pause(data.ms ?? 0);
  }
}

/** An error cannot be answered that way: it is `null`. */
async function answerOf(action: string, data: Numbered, side: Side): Promise<unknown> {
  try {
    return await ACTS[action]!(data, side);
  } catch {
    return null;
  }
}
