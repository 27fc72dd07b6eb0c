/**
 * Measuring one workload: all contenders in turns, again and again.
 *
 * @module
 */

import type { Field } from "./environment.ts";
import { Pair } from "./pair.ts";
import type { Figures, Series, WorkloadResult } from "./results.ts";
import type { Plan, Workload } from "./workloads.ts";

/**
 * Measures those of the field that can do it. Each round has another order; the first one warms up and
 * does not count.
 *
 * @param tell Is told what has been done.
 */
export async function run(
  workload: Workload,
  { contenders, commands }: Field,
  plan: Plan,
  tell: (what: string) => void,
): Promise<WorkloadResult> {
  const { name, figures, isFresh = false } = workload;
  const series: Series[] = [];
  const turns: { mine: Series; turn: () => Promise<Figures> }[] = [];
  await using pairs = new AsyncDisposableStack();
  for (const entry of workload.entries) {
    const contender = contenders.find(({ name }) => name === entry.contender);
    if (!contender) continue;
    const start = () => Pair.start(contender, commands[contender.runtime]!);
    const mine: Series = { ...entry, rounds: [] };
    series.push(mine);
    if (isFresh) {
      const turn = async () => {
        await using pair = await start();
        return await workload.measure(pair, entry);
      };
      turns.push({ mine, turn });
    } else {
      const pair = pairs.use(await start());
      await pair.ask("connect", { clients: entry.clients });
      turns.push({ mine, turn: () => workload.measure(pair, entry) });
    }
  }

  // Whoever starts anew each time never gets warm.
  const warmUps = isFresh ? 0 : 1;
  const rounds = isFresh ? plan.freshRounds : plan.rounds + warmUps;
  for (let round = 0; round < rounds; round++) {
    // None is always the one that comes after the same other one.
    const order = turns.map((turn) => ({ ...turn, at: Math.random() }));
    for (const { mine, turn } of order.toSorted((one, other) => one.at - other.at)) {
      const measured = await turn();
      if (round >= warmUps) mine.rounds.push(measured);
    }
    tell(`${name}: round ${round + 1} of ${rounds}`);
  }
  return { name, figures, series };
}
