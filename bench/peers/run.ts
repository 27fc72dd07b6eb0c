/**
 * Measuring one workload: all contenders in turns, again and again.
 *
 * @module
 */

import type { Contender } from "./contenders.ts";
import { Pair } from "./pair.ts";
import type { Figures, Series, WorkloadResult } from "./results.ts";
import type { Plan, Workload } from "./workloads.ts";

/**
 * Measures those of the contenders that can do it. Each round has another order; the first one warms up
 * and does not count.
 *
 * @param tell Is told what has been done.
 */
export async function run(
  workload: Workload,
  contenders: Contender[],
  plan: Plan,
  tell: (what: string) => void,
): Promise<WorkloadResult> {
  const { name, figures } = workload;
  const series: Series[] = [];
  await using pairs = new AsyncDisposableStack();
  const turns: { series: Series; turn: () => Promise<Figures> }[] = [];

  for (const entry of workload.entries) {
    const contender = contenders.find(({ name }) => name === entry.contender);
    if (!contender) continue;
    const mine: Series = { ...entry, rounds: [] };
    series.push(mine);
    if (workload.isFresh) {
      turns.push({
        series: mine,
        turn: async () => {
          await using pair = await Pair.start(contender);
          return await workload.measure(pair, entry);
        },
      });
      continue;
    }
    const pair = pairs.use(await Pair.start(contender));
    await pair.ask("connect", { clients: entry.clients });
    turns.push({ series: mine, turn: () => workload.measure(pair, entry) });
  }

  const warmUps = workload.isFresh ? 0 : 1;
  const rounds = warmUps + (workload.isFresh ? plan.freshRounds : plan.rounds);
  for (let round = 0; round < rounds; round++) {
    const order = turns.map((turn) => ({ ...turn, at: Math.random() }));
    for (const { series, turn } of order.toSorted((one, other) => one.at - other.at)) {
      const measured = await turn();
      if (round >= warmUps) series.rounds.push(measured);
    }
    tell(`${name}: round ${round + 1} of ${rounds}`);
  }
  return { name, figures, series };
}
