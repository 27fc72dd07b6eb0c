import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { chartOf } from "../../bench/peers/chart.ts";
import { GOALS } from "../../bench/peers/goals.ts";
import { median, quantiles } from "../../bench/peers/quantiles.mjs";
import { insert, json, markdown, type Report, show } from "../../bench/peers/report.ts";
import {
  type FigureInfo,
  floorOf,
  ratiosOf,
  seriesOf,
  valuesOf,
  type WorkloadResult,
} from "../../bench/peers/results.ts";
import { table } from "../../bench/table.ts";

const RATE: FigureInfo = { name: "rate", title: "requests, 1 × 64 in flight", unit: "/s" };
const CPU: FigureInfo = { name: "cpu", title: "CPU per delivery", unit: "µs" };

function result(rates: Record<string, number[]>, name = "requests-64"): WorkloadResult {
  const series = Object.entries(rates).map(([contender, values]) => ({
    contender,
    clients: 1,
    rounds: values.map((rate) => ({ rate })),
  }));
  return { name, figures: [RATE], series };
}

function report(workloads: WorkloadResult[]): Report {
  return {
    date: "2026-01-31",
    command: "deno task bench:peers",
    rounds: 3,
    turnMs: 700,
    environment: {
      cores: 2,
      processor: "a processor",
      memoryGiB: 4,
      system: "linux",
      loadBefore: 0.5,
      versions: { deno: "2.9.6" },
    },
    skipped: [{ name: "NATS", reason: "nats-server is not installed" }],
    workloads,
  };
}

Deno.test("a median is the one in the middle, whatever the order", () => {
  assertEquals(median([30, 1, 20]), 20);
});

Deno.test("a quantile is not exceeded by its share of the values", () => {
  const values = Array.from({ length: 1_000 }, (_, n) => 999 - n);
  assertEquals(quantiles(values, [0, 0.5, 0.999, 1]), [0, 500, 999, 999]);
});

Deno.test("a ratio is taken within each round, so that a slow moment meets both", () => {
  const { series: [ours, theirs] } = result({ pnetwork: [100, 10, 50], ws: [200, 20, 100] });
  assertEquals(ratiosOf(ours, theirs, "rate"), [0.5, 0.5, 0.5]);
});

Deno.test("what was not measured has neither values nor a ratio", () => {
  const measured = result({ pnetwork: [100], ws: [NaN] });
  const [ours, theirs] = measured.series;
  assertEquals(valuesOf(theirs, "rate"), undefined);
  assertEquals(ratiosOf(ours, theirs, "rate"), undefined);
  assertEquals(ratiosOf(ours, seriesOf(measured, "jayson"), "rate"), undefined);
  assertEquals(ratiosOf(ours, ours, "cpu"), undefined);
});

Deno.test("one contender with several numbers of clients is several series", () => {
  const series = [10, 100].map((clients) => ({ contender: "ws", clients, rounds: [] }));
  assertEquals(seriesOf({ name: "growth", figures: [], series }, "ws", 100), series[1]);
});

Deno.test("the floor is the bare loop with the higher rate, or with the lower cost", () => {
  const measured = result({
    ws: [999],
    "bare Deno.Conn": [10, 30, 500],
    "bare node:net": [20, 40, 50],
  });
  assertEquals(floorOf(measured, RATE)?.contender, "bare node:net");
  for (const { rounds } of measured.series) {
    for (const figures of rounds) figures.cpu = figures.rate;
  }
  assertEquals(floorOf(measured, CPU)?.contender, "bare Deno.Conn");
  assertEquals(floorOf(result({ ws: [1] }), RATE), undefined);
});

Deno.test("figures are shown with three digits", () => {
  const shown = [111_329, 99.96, 12.345, 0.1234, 0.01234].map(show);
  assertEquals(shown, ["111,000", "100", "12.3", "0.123", "0.012"]);
});

Deno.test("a table is Markdown with its numbers to the right", () => {
  assertEquals(table(["", "a"], [["x", "1"]]), "|  | a |\n| --- | ---: |\n| x | 1 |");
});

Deno.test("a report is put between the marks of a text, in place of the one before", () => {
  const text = "before <b> old <e> after";
  assertEquals(insert(text, "new", "<b>", "<e>"), "before <b>\n\nnew\n\n<e> after");
  assertThrows(() => insert("no marks", "new", "<b>", "<e>"));
  assertThrows(() => insert("<e> <b>", "new", "<b>", "<e>"));
});

Deno.test("a report shows medians, spreads, ratios, and who is missing", () => {
  const text = markdown(report([result({
    pnetwork: [300, 100, 200],
    "pnetwork secure": [150, 50, 100],
    "bare Deno.Conn": [600, 200, 400],
    jayson: [100, 50, 200],
  })]));
  assertStringIncludes(text, "| requests, 1 × 64 in flight /s | 200 | 0.50 | 0.50 | – |");
  assertStringIncludes(text, "| 200 (100–300) | 400 (200–600) |");
  assertStringIncludes(text, "| 200 | – | 100 (0.50) |");
  assertStringIncludes(text, "Without NATS: nats-server is not installed.");
  const goal = "| requests, 1 × 64 in flight, to jayson | at least 1 | 2.00 | 1.00–3.00 | yes |";
  assertStringIncludes(text, goal);
});

Deno.test("growth is compared with that of the bare loop", () => {
  const growth = (quotients: Record<string, number>): WorkloadResult => ({
    name: "growth",
    figures: [CPU],
    series: Object.entries(quotients).flatMap(([contender, quotient]) => [
      { contender, clients: 100, rounds: [{ cpu: 2 }] },
      { contender, clients: 5_000, rounds: [{ cpu: 2 * quotient }] },
    ]),
  });
  const goal = GOALS.find(({ title }) => title.startsWith("CPU of a delivery"));
  const results = growth({ pnetwork: 3, "bare Deno.Conn": 2 });
  assertEquals(goal?.values(new Map([["growth", results]])), [1.5]);
});

Deno.test("a chart has a bar for each contender that was measured, and none for what it cannot do", () => {
  const chart = chartOf([
    result({ pnetwork: [50], "bare Deno.Conn": [100], jayson: [25] }),
    result({ pnetwork: [75], "bare node:net": [100] }, "flood-small"),
  ], "");
  assertEquals(chart.bars, [
    { name: "pnetwork", shares: [0.5, 0.75] },
    { name: "jayson", shares: [0.25, null] },
  ]);
  assert(chart.workloads.length === 2);
});

Deno.test("for programs a report has the rounds, their middle and ends, ratios and goals", () => {
  const { workloads: [{ series }], goals } = JSON.parse(json(report([result({
    pnetwork: [300, 100.00001, 200],
    jayson: [100, 50, 200],
  })])));
  const rate = { median: 100, min: 50, max: 200, pnetworkToIt: 2, rounds: [100, 50, 200] };
  assertEquals(series[1], { contender: "jayson", clients: 1, figures: { rate } });
  assertEquals(series[0].figures.rate.rounds, [300, 100, 200]);
  const [goal] = goals;
  assertEquals([goal.title, goal.least, goal.measured], [
    "requests, 1 × 64 in flight, to jayson",
    1,
    2,
  ]);
});
