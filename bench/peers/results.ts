/**
 * What was measured, and what it says. Pure.
 *
 * @module
 */

import { FLOORS } from "./contenders.ts";
import { median } from "./quantiles.mjs";

/** What one turn of one contender gave, by name. */
export type Figures = Record<string, number>;

/** What a figure of a workload is. */
export interface FigureInfo {
  /** As contenders call it. */
  name: string;
  /** As readers do. */
  title: string;
  /** All but a rate are costs: less is better. */
  unit: "/s" | "ms" | "µs" | "KiB";
}

/** One contender in one workload. */
export interface Series {
  contender: string;
  clients: number;
  /** One for each round that counts. All series of a workload were measured close together in each of them. */
  rounds: Figures[];
}

/** One workload. */
export interface WorkloadResult {
  name: string;
  figures: FigureInfo[];
  series: Series[];
}

/** The middle of several rounds, and their ends. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** The series of a contender; with so many clients, if there are several. */
export function seriesOf(
  result: WorkloadResult | undefined,
  contender: string,
  clients?: number,
): Series | undefined {
  return result?.series.find((series) =>
    series.contender === contender && (clients === undefined || series.clients === clients)
  );
}

/** One figure in each round; `undefined` if it was not measured. */
export function valuesOf(series: Series | undefined, figure: string): number[] | undefined {
  const values = series?.rounds.map((figures) => figures[figure]);
  return values && values.length > 0 && values.every(Number.isFinite) ? values : undefined;
}

/** The ratio of two series within each round; `undefined` if one of them was not measured. */
export function ratiosOf(
  ours: Series | undefined,
  theirs: Series | undefined,
  figure: string,
): number[] | undefined {
  const [mine, others] = [valuesOf(ours, figure), valuesOf(theirs, figure)];
  return mine && others && mine.map((value, round) => value / others[round]);
}

/** The middle and the ends. */
export function spreadOf(values: number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** The better one of the bare loops; `undefined` if none was measured. */
export function floorOf(result: WorkloadResult, { name, unit }: FigureInfo): Series | undefined {
  const medians = FLOORS.flatMap((floor) => {
    const series = seriesOf(result, floor);
    const values = valuesOf(series, name);
    return series && values ? [{ series, value: median(values) }] : [];
  });
  medians.sort((one, other) => one.value - other.value);
  return medians.at(unit === "/s" ? -1 : 0)?.series;
}
