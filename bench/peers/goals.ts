/**
 * What the project is held to. Pure.
 *
 * @module
 */

import { FLOORS, PNETWORK } from "./contenders.ts";
import { floorOf, ratiosOf, seriesOf, valuesOf, type WorkloadResult } from "./results.ts";

/** Something to be reached. */
export interface Goal {
  title: string;
  /** At least or at most so much. */
  least?: number;
  most?: number;
  /** What it was in each round; `undefined` if it was not measured. */
  values: (results: Results) => number[] | undefined;
}

/** All that was measured, by workload. */
export type Results = Map<string, WorkloadResult>;

/** All of them. */
export const GOALS: Goal[] = [
  toFloor("requests, 1 × 64 in flight", "requests-64", 0.7),
  toFloor("requests, 50 × 16 in flight", "requests-50x16", 0.7),
  toPeer("requests, 1 × 64 in flight", "requests-64", "Socket.IO", 2),
  toPeer("requests, 50 × 16 in flight", "requests-50x16", "Socket.IO", 2),
  toPeer("requests, 1 × 64 in flight", "requests-64", "jayson", 1),
  toPeer("requests, 50 × 16 in flight", "requests-50x16", "jayson", 1),
  {
    title: "p50 of a request, 1 in flight, to bare Deno.Conn",
    most: 1.25,
    values: (results) => ratios(results, "requests-1", FLOORS[0], "p50"),
  },
  toPeer("broadcast to 100, bursts", "broadcast-100-burst", "Socket.IO", 3),
  toPeer("broadcast to 2,000, bursts", "broadcast-2000-burst", "Socket.IO", 3, 2_000),
  toPeer("broadcast to 100, one at a time", "broadcast-100", "Socket.IO", 1),
  toPeer("broadcast to 2,000, one at a time", "broadcast-2000", "Socket.IO", 1, 2_000),
  toFloor("one way, 100 B", "flood-small", 0.6),
  toFloor("one way, 10 kB", "flood-large", 0.85),
  {
    title: "KiB of an idle connection of 5,000",
    most: 16,
    values: (results) => valuesOf(seriesOf(results.get("idle"), PNETWORK, 5_000), "kib"),
  },
  toPeer("connects", "connects", "Socket.IO", 4),
  growth("one at a time", "growth"),
  growth("bursts", "growth-burst"),
];

function toFloor(what: string, workload: string, least: number): Goal {
  return {
    title: `${what}, to the faster bare loop`,
    least,
    values: (results) => {
      const result = results.get(workload);
      const rate = result?.figures.find(({ name }) => name === "rate");
      if (!result || !rate) return undefined;
      return ratiosOf(seriesOf(result, PNETWORK), floorOf(result, rate), rate.name);
    },
  };
}

function toPeer(
  what: string,
  workload: string,
  peer: string,
  least: number,
  clients?: number,
): Goal {
  return {
    title: `${what}, to ${peer}`,
    least,
    values: (results) => ratios(results, workload, peer, "rate", clients),
  };
}

function growth(how: string, workload: string): Goal {
  return {
    title: `CPU of a delivery at 5,000 clients against 100, ${how}, to bare Deno.Conn`,
    most: 1.15,
    values: (results) => {
      const quotients = (contender: string) => {
        const at = (clients: number) => seriesOf(results.get(workload), contender, clients);
        return ratiosOf(at(5_000), at(100), "cpu");
      };
      const [ours, bare] = [quotients(PNETWORK), quotients(FLOORS[0])];
      return ours && bare && ours.map((quotient, round) => quotient / bare[round]);
    },
  };
}

function ratios(
  results: Results,
  workload: string,
  other: string,
  figure: string,
  clients?: number,
): number[] | undefined {
  const seriesFor = (contender: string) => seriesOf(results.get(workload), contender, clients);
  return ratiosOf(seriesFor(PNETWORK), seriesFor(other), figure);
}
