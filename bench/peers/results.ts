/**
 * What was measured, and what it says. Pure.
 *
 * @module
 */

import { median } from "./quantiles.mjs";
import { FLOORS } from "./contenders.ts";

/** What one turn of one contender gave, by name. */
export type Figures = Record<string, number>;

/** What a figure of a workload is. */
export interface FigureInfo {
  /** As contenders call it. */
  name: string;
  /** As readers do. */
  title: string;
  unit: "/s" | "ms" | "µs" | "KiB";
}

/** One contender in one workload. */
export interface Series {
  contender: string;
  clients: number;
  /** One for each round that counts. Round by round, all series of a workload were measured close together. */
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

/** Everything that is not a rate is a cost. */
export function isLessBetter({ unit }: FigureInfo): boolean {
  return unit !== "/s";
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

/** One figure over all rounds; `undefined` if it was not measured. */
export function spreadOf(series: Series | undefined, figure: string): Spread | undefined {
  const values = valuesOf(series, figure);
  if (!values) return undefined;
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** The ratio of two series, taken within each round; `undefined` if one of them was not measured. */
export function ratioOf(
  ours: Series | undefined,
  theirs: Series | undefined,
  figure: string,
): Spread | undefined {
  const [mine, others] = [valuesOf(ours, figure), valuesOf(theirs, figure)];
  if (!mine || !others) return undefined;
  const ratios = mine.map((value, round) => value / others[round]);
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}

/** The better one of the bare loops; `undefined` if none was measured. */
export function floorOf(result: WorkloadResult, figure: FigureInfo): Series | undefined {
  const sign = isLessBetter(figure) ? 1 : -1;
  return FLOORS
    .map((name) => seriesOf(result, name))
    .filter((series) => valuesOf(series, figure.name) !== undefined)
    .toSorted((one, other) =>
      sign * (spreadOf(one, figure.name)!.median - spreadOf(other, figure.name)!.median)
    )[0];
}

function valuesOf(series: Series | undefined, figure: string): number[] | undefined {
  const values = series?.rounds.map((figures) => figures[figure]);
  return values && values.length > 0 && values.every(Number.isFinite) ? values : undefined;
}
