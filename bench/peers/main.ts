/**
 * Measures this project beside others that do the same job, all in one run.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { prepare } from "./environment.ts";
import { run } from "./run.ts";
import { ratioOf, seriesOf, spreadOf, type WorkloadResult } from "./results.ts";
import { show } from "./report.ts";
import { FULL, QUICK, workloads } from "./workloads.ts";

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    peers: { type: "string" },
    rounds: { type: "string" },
    quick: { type: "boolean", default: false },
  },
});

const plan = options.quick ? QUICK : FULL;
if (options.rounds) plan.rounds = Number(options.rounds);
const wanted = options.peers?.split(",").map((name) => name.trim().toLowerCase());
const { contenders, skipped } = await prepare((name) =>
  !wanted || wanted.includes(name.toLowerCase())
);
for (const { name, reason } of skipped) console.error(`SKIPPED: ${name}: ${reason}`);

for (const workload of workloads(plan)) {
  if (options.only && !options.only.split(",").includes(workload.name)) continue;
  const result = await run(workload, contenders, plan, (what) => console.error(what));
  print(result);
}

function print(result: WorkloadResult): void {
  const ours = seriesOf(result, "pnetwork");
  for (const { name, title, unit } of result.figures) {
    console.log(title);
    for (const series of result.series) {
      const figure = spreadOf(series, name)!;
      console.log(
        `  ${series.contender} ${series.clients}: ${show(figure.median, unit)}` +
          ` (${show(figure.min, unit)}–${show(figure.max, unit)}), ours to it ` +
          ratioOf(ours, series, name)?.median.toFixed(2),
      );
    }
  }
}
