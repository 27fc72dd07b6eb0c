/**
 * What a chart of a run shows: the rates of everyone, as shares of the floor. Pure.
 *
 * @module
 */

import { CONTENDERS, FLOORS, PNETWORK, STAMPED_FLOOR, VARIANTS } from "./contenders.ts";
import { median } from "./quantiles.mjs";
import { floorOf, ratiosOf, seriesOf, type WorkloadResult } from "./results.ts";

/** One group of bars for each workload, one bar in each for each contender. */
export interface Chart {
  title: string;
  subtitle: string;
  workloads: string[];
  bars: { name: string; shares: (number | null)[] }[];
}

/** Those whose bars would say nothing new. */
const LEFT_OUT = [...FLOORS, STAMPED_FLOOR, ...VARIANTS, "Socket.IO with recovery"];
const GROWTH = ["growth", "growth-burst"];

/** What there is to draw. */
export function chartOf(results: WorkloadResult[], subtitle: string): Chart {
  const rows = results.flatMap((result) => {
    const rate = result.figures.find(({ name }) => name === "rate");
    const floor = rate && floorOf(result, rate);
    return rate && floor && !GROWTH.includes(result.name) ? [{ result, rate, floor }] : [];
  });
  const names = CONTENDERS.map(({ name }) => name).filter((name) => !LEFT_OUT.includes(name));
  return {
    title: `${PNETWORK} and others, as shares of the better bare loop`,
    subtitle,
    workloads: rows.map(({ rate }) => rate.title.replace(": deliveries", "")),
    bars: names.map((name) => ({
      name,
      shares: rows.map(({ result, floor }) => {
        const shares = ratiosOf(seriesOf(result, name), floor, "rate");
        return shares ? Number(median(shares).toFixed(3)) : null;
      }),
    })).filter(({ shares }) => shares.some((share) => share !== null)),
  };
}
