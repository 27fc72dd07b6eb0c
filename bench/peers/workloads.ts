/**
 * What is measured.
 *
 * @module
 */

import { readings } from "../measure.ts";
import { CONTENDERS, FLOORS, PNETWORK, STAMPED_FLOOR } from "./contenders.ts";
import type { Pair } from "./pair.ts";
import type { FigureInfo, Figures } from "./results.ts";

/** How thorough a run is. */
export interface Plan {
  rounds: number;
  /** How long each contender is measured in each round. */
  turnMs: number;
  /** How many rounds of those that start new processes each time. */
  freshRounds: number;
  idleClients: number;
  /** How many clients hear the larger broadcasts. */
  manyClients: number;
  growthClients: number[];
}

/** The run that counts. */
export const FULL: Plan = {
  rounds: 5,
  turnMs: 700,
  freshRounds: 3,
  idleClients: 5_000,
  manyClients: 2_000,
  growthClients: [10, 100, 1_000, 5_000],
};

/** One to see whether everything works, and roughly how well. */
export const QUICK: Plan = {
  rounds: 3,
  turnMs: 200,
  freshRounds: 1,
  idleClients: 1_000,
  manyClients: 500,
  growthClients: [10, 100, 1_000],
};

/** Who takes part in a workload, with how many clients. */
export interface Entry {
  contender: string;
  clients: number;
}

/** Something to measure all contenders by. */
export interface Workload {
  /** As it is called on the command line. */
  name: string;
  figures: FigureInfo[];
  entries: Entry[];
  /** Whether each turn has processes of its own, without clients. */
  isFresh?: boolean;
  /** One turn of one contender. */
  measure: (pair: Pair, entry: Entry) => Promise<Figures>;
}

const SMALL = readings(100);
const LARGE = readings(10_000);
const BURST = 32;
/**
 * They are there before, and stay. With the first of them the young generation of the runtime's heap grows to its
 * largest, which belongs to the process and to no connection.
 */
export const WARM_UP_CLIENTS = 3_000;
const KIB = 1_024;

const EVERYONE = without(CONTENDERS.map(({ name }) => name), "Socket.IO with recovery");
/** Over a plain wire. */
const PLAIN = without(EVERYONE, "pnetwork secure", "pnetwork TLS");
const WITH_HANDSHAKE = without(EVERYONE, "jayson", STAMPED_FLOOR);
/** What the server keeps for clients that come back shows only in what it sends by itself. */
const BROADCASTERS = [...without(PLAIN, "jayson"), "Socket.IO with recovery"];
const GROWING = [PNETWORK, ...FLOORS, "Socket.IO"];

/** All of them. */
export function workloads(plan: Plan): Workload[] {
  const { turnMs: ms, idleClients, manyClients, growthClients } = plan;
  return [
    {
      name: "requests-1",
      figures: [
        { name: "p50", title: "request, 1 in flight: p50", unit: "ms" },
        { name: "p99", title: "request, 1 in flight: p99", unit: "ms" },
        { name: "rate", title: "requests, 1 in flight", unit: "/s" },
      ],
      entries: entries(PLAIN, 1),
      measure: (pair) => pair.measure("requests", { data: SMALL, inFlight: 1, ms }),
    },
    {
      name: "requests-64",
      figures: [{ name: "rate", title: "requests, 1 × 64 in flight", unit: "/s" }],
      entries: entries(EVERYONE, 1),
      measure: (pair) => pair.measure("requests", { data: SMALL, inFlight: 64, ms }),
    },
    {
      name: "requests-50x16",
      figures: [{ name: "rate", title: "requests, 50 × 16 in flight", unit: "/s" }],
      entries: entries(PLAIN, 50),
      measure: (pair) => pair.measure("requests", { data: SMALL, inFlight: 16, ms }),
    },
    {
      name: "flood-small",
      figures: [{ name: "rate", title: "one way, 100 B", unit: "/s" }],
      entries: entries(EVERYONE, 1),
      measure: (pair) => pair.measure("flood", { data: SMALL, ms }),
    },
    {
      name: "flood-large",
      figures: [{ name: "rate", title: "one way, 10 kB", unit: "/s" }],
      entries: entries(PLAIN, 1),
      measure: (pair) => pair.measure("flood", { data: LARGE, ms }),
    },
    broadcasts("broadcast-100", 100, 1),
    broadcasts("broadcast-100-burst", 100, BURST),
    broadcasts("broadcast-2000", manyClients, 1),
    broadcasts("broadcast-2000-burst", manyClients, BURST),
    {
      name: "half-load",
      figures: [
        { name: "p50", title: "request at half load: p50", unit: "ms" },
        { name: "p99", title: "request at half load: p99", unit: "ms" },
        { name: "p999", title: "request at half load: p99.9", unit: "ms" },
        { name: "perSecond", title: "the half load", unit: "/s" },
      ],
      entries: entries(PLAIN, 1),
      measure: async (pair) => {
        // Anew each time: what is half a load now need not be one in a minute. And one by one, as they
        // are sent then.
        const full = { data: SMALL, inFlight: 64, ms: ms / 2, byHand: false };
        const { rate } = await pair.ask("requests", full);
        const perSecond = Math.round(rate / 2);
        return { ...await pair.measure("paced", { data: SMALL, perSecond, ms }), perSecond };
      },
    },
    {
      name: "connects",
      figures: [{ name: "rate", title: "connects, 16 at once", unit: "/s" }],
      entries: entries(WITH_HANDSHAKE, 0),
      measure: (pair) => pair.measure("connects", { ms }),
    },
    {
      name: "idle",
      figures: [{
        name: "kib",
        title: `idle connection, of ${idleClients.toLocaleString("en")} more`,
        unit: "KiB",
      }],
      entries: entries(without(PLAIN, "jayson", STAMPED_FLOOR), idleClients),
      isFresh: true,
      measure: async (pair, { clients }) => {
        await pair.ask("connect", { clients: WARM_UP_CLIENTS });
        await pair.collect();
        const before = pair.serverBytes;
        await pair.ask("connect", { clients });
        await pair.collect();
        const after = pair.serverBytes;
        return { kib: (after - before) / clients / KIB };
      },
    },
    growth("growth", 1),
    growth("growth-burst", BURST),
  ];

  function broadcasts(name: string, clients: number, packets: number): Workload {
    const how = `broadcast to ${clients.toLocaleString("en")}, ` +
      (packets === 1 ? "one at a time" : `bursts of ${packets}`);
    return {
      name,
      figures: [
        { name: "rate", title: `${how}: deliveries`, unit: "/s" },
        { name: "cpu", title: `${how}: CPU of the server per delivery`, unit: "µs" },
      ],
      entries: entries(BROADCASTERS, clients),
      measure: (pair) => pair.measure("broadcasts", { data: SMALL, packets, ms }),
    };
  }

  function growth(name: string, packets: number): Workload {
    return {
      name,
      figures: [
        { name: "cpu", title: "CPU of the server per delivery", unit: "µs" },
        { name: "rate", title: "deliveries", unit: "/s" },
      ],
      entries: growthClients.flatMap((clients) => entries(GROWING, clients)),
      measure: (pair) => pair.measure("broadcasts", { data: SMALL, packets, ms }),
    };
  }
}

function without(names: string[], ...others: string[]): string[] {
  return names.filter((name) => !others.includes(name));
}

function entries(contenders: string[], clients: number): Entry[] {
  return contenders.map((contender) => ({ contender, clients }));
}
