/**
 * What was measured, in Markdown. Pure.
 *
 * @module
 */

import { table } from "../table.ts";
import { CONTENDERS, PNETWORK, VARIANTS } from "./contenders.ts";
import type { Environment } from "./environment.ts";
import { type Goal, GOALS, type Results } from "./goals.ts";
import {
  type FigureInfo,
  floorOf,
  ratiosOf,
  type Series,
  seriesOf,
  spreadOf,
  valuesOf,
  type WorkloadResult,
} from "./results.ts";

/** One run. */
export interface Report {
  date: string;
  command: string;
  rounds: number;
  turnMs: number;
  environment: Environment;
  skipped: { name: string; reason: string }[];
  workloads: WorkloadResult[];
}

const GROWTH = ["growth", "growth-burst"];
const NOTHING = "–";

/** All of it. */
export function markdown(report: Report): string {
  const results: Results = new Map(report.workloads.map((result) => [result.name, result]));
  const rows = report.workloads.filter(({ name }) => !GROWTH.includes(name)).flatMap((result) =>
    result.figures.map((figure) => ({ result, figure }))
  );
  const others = CONTENDERS.map(({ name }) => name).filter((name) =>
    ![PNETWORK, ...VARIANTS].includes(name)
  );
  return [
    heading(report),
    "#### Ratios",
    "What pnetwork reaches, and its ratio to the others. Where a row is marked ↓, less is better.",
    ratioTable(rows, others),
    "#### Figures",
    "Medians, and in parentheses the least and the most of all rounds.",
    figureTable(rows, [PNETWORK, ...others]),
    "#### CPU time",
    "What a request, packet, delivery or connect costs the server and the load, in µs: mostly the same " +
    "on a machine that does something else besides, where rates are not.",
    cpuTable(report.workloads, [PNETWORK, ...others]),
    "#### Sessions and wires",
    "In parentheses the ratio to pnetwork as it is by default: with a session, over a plain wire.",
    variantTable(rows),
    ...growthSection(GROWTH.flatMap((name) => growthTables(results.get(name)))),
    "#### Goals",
    goalTable(results),
  ].join("\n\n");
}

/** All of it for programs: what was measured in each round, and what came of it. */
export function json({ workloads, ...rest }: Report): string {
  const results: Results = new Map(workloads.map((result) => [result.name, result]));
  const figuresOf = (result: WorkloadResult, series: Series) => {
    const ours = seriesOf(result, PNETWORK, series.clients);
    // How many there were in a turn is in the rate.
    const names = Object.keys(series.rounds[0] ?? {}).filter((name) => name !== "count");
    return Object.fromEntries(names.flatMap((name) => {
      const values = valuesOf(series, name);
      if (!values) return [];
      const ratios = ratiosOf(ours, series, name);
      const pnetworkToIt = ratios && digits(spreadOf(ratios).median);
      const { median, min, max } = spreadOf(values.map(digits));
      return [[name, { median, min, max, pnetworkToIt, rounds: values.map(digits) }]];
    }));
  };
  const text = JSON.stringify(
    {
      ...rest,
      workloads: workloads.map((result) => ({
        name: result.name,
        figures: result.figures,
        series: result.series.map((series) => ({
          contender: series.contender,
          clients: series.clients,
          figures: figuresOf(result, series),
        })),
      })),
      goals: GOALS.flatMap(({ values, ...goal }) => {
        const measured = values(results);
        return measured ? [{ ...goal, measured: digits(spreadOf(measured).median) }] : [];
      }),
    },
    null,
    2,
  );
  // One line for the rounds of a figure.
  return text.replace(
    /\[[\s\d.,e-]+\]/g,
    (list) => `[${list.slice(1, -1).trim().split(/,\s+/).join(", ")}]`,
  ) +
    "\n";
}

/** Puts it between the two marks of a text. */
export function insert(text: string, inserted: string, begin: string, end: string): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the text has no ${begin} before an ${end}`);
  return `${text.slice(0, from + begin.length)}\n\n${inserted}\n\n${text.slice(to)}`;
}

function digits(value: number): number {
  return Number(value.toPrecision(4));
}

/** Three digits, since more mean nothing. */
export function show(value: number): string {
  const rounded = Number(value.toPrecision(3));
  if (rounded >= 100) return rounded.toLocaleString("en");
  return rounded.toPrecision(rounded < 0.1 ? 2 : 3);
}

interface Row {
  result: WorkloadResult;
  figure: FigureInfo;
}

function heading({ date, command, rounds, turnMs, environment, skipped }: Report): string {
  const { cores, processor, memoryGiB, system, loadBefore, versions } = environment;
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const absent = skipped.map(({ name, reason }) => ` Without ${name}: ${reason}.`).join("");
  return `\`${command}\` on ${date}: ${cores} cores (${processor}), ${memoryGiB} GiB, ${system}, ` +
    `load ${
      loadBefore.toFixed(1)
    } before. ${rounds} rounds of ${turnMs} ms after one that warms up.` +
    `${absent} ${programs.join(", ")}.`;
}

function ratioTable(rows: Row[], others: string[]): string {
  return table(
    ["", PNETWORK, "to the better floor", ...others.map((name) => `to ${name}`)],
    rows.map(({ result, figure }) => {
      const ours = seriesOf(result, PNETWORK);
      const to = (name: string) => ratio(ratiosOf(ours, seriesOf(result, name), figure.name));
      return [
        titleOf(figure),
        middle(valuesOf(ours, figure.name)),
        ratio(ratiosOf(ours, floorOf(result, figure), figure.name)),
        ...others.map(to),
      ];
    }),
  );
}

function figureTable(rows: Row[], names: string[]): string {
  return table(
    ["", ...names],
    rows.map(({ result, figure }) => [
      titleOf(figure),
      ...names.map((name) => spread(valuesOf(seriesOf(result, name), figure.name))),
    ]),
  );
}

function cpuTable(workloads: WorkloadResult[], names: string[]): string {
  const rows = workloads.filter(({ name, series }) =>
    !GROWTH.includes(name) && valuesOf(series[0], "loadCpu") !== undefined
  );
  return table(
    ["", ...names],
    rows.map((result) => [
      result.name,
      ...names.map((name) => {
        const series = seriesOf(result, name);
        const [server, load] = [valuesOf(series, "cpu"), valuesOf(series, "loadCpu")];
        return server && load ? `${middle(server)} + ${middle(load)}` : NOTHING;
      }),
    ]),
  );
}

function variantTable(rows: Row[]): string {
  return table(
    ["", PNETWORK, ...VARIANTS],
    rows.map(({ result, figure }) => {
      const ours = seriesOf(result, PNETWORK);
      const cell = (name: string) => {
        const series = seriesOf(result, name);
        const values = valuesOf(series, figure.name);
        if (!values) return NOTHING;
        return `${middle(values)} (${ratio(ratiosOf(series, ours, figure.name))})`;
      };
      return [titleOf(figure), middle(valuesOf(ours, figure.name)), ...VARIANTS.map(cell)];
    }),
  );
}

function growthSection(tables: string[]): string[] {
  if (tables.length === 0) return [];
  return [
    "#### Growth",
    "What a delivery costs the server in CPU time, in µs, with so many clients; the last columns are " +
    "the cost with the most of them against that with 100, in CPU time and by the clock.",
    ...tables,
  ];
}

function growthTables(result: WorkloadResult | undefined): string[] {
  if (!result) return [];
  const sizes = [...new Set(result.series.map(({ clients }) => clients))];
  const most = Math.max(...sizes);
  const names = [...new Set(result.series.map(({ contender }) => contender))];
  const against = (name: string, figure: string) =>
    ratiosOf(seriesOf(result, name, most), seriesOf(result, name, 100), figure);
  return [
    result.name === "growth" ? "One broadcast at a time:" : "In bursts of 32:",
    table(
      ["", ...sizes.map((size) => size.toLocaleString("en")), "CPU", "clock"],
      names.map((name) => [
        name,
        ...sizes.map((clients) => spread(valuesOf(seriesOf(result, name, clients), "cpu"))),
        ratio(against(name, "cpu")),
        ratio(against(name, "rate")?.map((quotient) => 1 / quotient)),
      ]),
    ),
  ];
}

function goalTable(results: Results): string {
  return table(
    ["", "goal", "measured", "in all rounds", ""],
    GOALS.flatMap((goal) => {
      const values = goal.values(results);
      if (!values) return [];
      const { title, least, most } = goal;
      const bound = least === undefined ? `at most ${most}` : `at least ${least}`;
      const { median, min, max } = spreadOf(values);
      const ends = `${min.toFixed(2)}–${max.toFixed(2)}`;
      return [[title, bound, median.toFixed(2), ends, isReached(goal, median) ? "yes" : "**no**"]];
    }),
  );
}

function isReached({ least = -Infinity, most = Infinity }: Goal, value: number): boolean {
  return value >= least && value <= most;
}

function titleOf({ title, unit }: FigureInfo): string {
  return unit === "/s" ? `${title} /s` : `${title}, ${unit} ↓`;
}

function middle(values: number[] | undefined): string {
  return values ? show(spreadOf(values).median) : NOTHING;
}

function spread(values: number[] | undefined): string {
  if (!values) return NOTHING;
  const { median, min, max } = spreadOf(values);
  return `${show(median)} (${show(min)}–${show(max)})`;
}

function ratio(values: number[] | undefined): string {
  return values ? spreadOf(values).median.toFixed(2) : NOTHING;
}
