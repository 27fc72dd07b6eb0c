/**
 * Measuring one workload: all contenders in turns, again and again.
 *
 * @module
 */

import { shuffled } from "../measure.ts";
import type { Field } from "./environment.ts";
import { Pair } from "./pair.ts";
import type { Figures, Series, WorkloadResult } from "./results.ts";
import type { Plan, Workload } from "./workloads.ts";

/** What came of a workload, and who failed at it. */
export interface Outcome {
  result: WorkloadResult;
  failures: { name: string; reason: string }[];
}

/**
 * Measures those of the field that can do it. Each round has another order; the first one warms up and
 * does not count. Whoever fails is out, and the others go on.
 *
 * @param tell Is told what has been done.
 */
export async function run(
  workload: Workload,
  { contenders, commands }: Field,
  plan: Plan,
  tell: (what: string) => void,
): Promise<Outcome> {
  const { name, figures, isFresh = false } = workload;
  const turns = new Map<Series, () => Promise<Figures>>();
  const failures: Outcome["failures"] = [];
  const attempt = async (mine: Series, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      turns.delete(mine);
      failures.push({ name: `${name}, ${mine.contender}`, reason: String(error) });
    }
  };

  await using pairs = new AsyncDisposableStack();
  for (const entry of workload.entries) {
    const contender = contenders.find(({ name }) => name === entry.contender);
    if (!contender) continue;
    const start = () => Pair.start(contender, commands[contender.runtime]!);
    const mine: Series = { ...entry, rounds: [] };
    await attempt(mine, async () => {
      if (isFresh) {
        turns.set(mine, async () => {
          await using pair = await start();
          return await workload.measure(pair, entry);
        });
      } else {
        const pair = pairs.use(await start());
        await pair.ask("connect", { clients: entry.clients });
        turns.set(mine, () => workload.measure(pair, entry));
      }
    });
  }

  // Whoever starts anew each time never gets warm.
  const warmUps = isFresh ? 0 : 1;
  const rounds = isFresh ? plan.freshRounds : plan.rounds + warmUps;
  for (let round = 0; round < rounds; round++) {
    for (const [mine, turn] of shuffled(turns)) {
      await attempt(mine, async () => {
        const measured = await turn();
        if (round >= warmUps) mine.rounds.push(measured);
      });
    }
    tell(`${name}: round ${round + 1} of ${rounds}`);
  }
  return { result: { name, figures, series: [...turns.keys()] }, failures };
}
