/**
 * Chaos: a server and its clients in two processes, a network between them that fails again and again, and
 * a check that nothing was lost, came twice, came out of order or was left unanswered.
 *
 * `deno task chaos --cuts 500 --packets 100000 --seed 1`
 *
 * What is checked besides: every fault is drawn often enough, at least half of them while packets are
 * unacknowledged both ways; every cut connection is resumed; nothing is sent again that the handshake
 * acknowledged; no acknowledgement goes backwards, or comes before its packet was handed over; no connection
 * ends that nothing was done to; and no socket is left.
 *
 * @module
 */

import { Command, CommanderError, InvalidArgumentError } from "commander";
import { pause } from "../../tests/support/wait.ts";
import type { ClientsProcessOptions } from "./clients_process.ts";
import { deal } from "./deck.ts";
import { FaultyNetwork } from "./network.ts";
import { Child } from "./process.ts";
import { Random } from "./random.ts";
import type { ServerProcessOptions } from "./server_process.ts";
import { decide, type Verdict } from "./verdict.ts";

/** What a run is told. */
interface Options {
  cuts: number;
  packets: number;
  seed: number;
}

/** So many that one outage does not stop everything. */
const MAX_CLIENTS = 6;
/** Time is over: a run must not take longer, whatever happens. */
const MAX_RUN_MS = 170_000;
/** Without a fault, or a packet, for so long nothing will come any more. */
const MAX_STILL_MS = 10_000;
/** How long everything may take to settle when it is over. */
const SETTLING_MS = 10_000;
const CLOSING_MS = 8_000;
const POLL_MS = 20;

const START_PATIENCE_MS = 30_000;

async function run({ cuts, packets, seed }: Options): Promise<Verdict> {
  const start = performance.now();
  const hands = deal(cuts, Math.min(MAX_CLIENTS, cuts), new Random(seed));
  const serverOptions: ServerProcessOptions = { seed, clients: hands.length };
  const server = new Child("the server", "server_process.ts", serverOptions);
  let clients: Child | undefined;
  try {
    const { port } = await server.says("ready", START_PATIENCE_MS);
    const sent = () => server.progress.sent + (clients?.progress.sent ?? 0);
    // So that both the packets and the faults come to their end at about the same time.
    const packetsPerFault = () =>
      Math.max(0, packets - sent()) / Math.max(1, network.connectionsToCut);
    await using network = await FaultyNetwork.listen(port!, hands, packetsPerFault);
    const clientsOptions: ClientsProcessOptions = { seed, ports: network.ports };
    clients = new Child("the clients", "clients_process.ts", clientsOptions);
    await clients.says("ready", START_PATIENCE_MS);
    const both = [server, clients];
    for (const child of both) await child.tell("talk");

    const isDone = () => network.happened.length === cuts && sent() >= packets;
    const troubles = () => both.flatMap(({ progress }) => progress.troubles);
    let gaveUp = await watch(isDone, () => network.happened.length + sent(), troubles, both, start);
    for (const child of both) await child.tell("stop");
    if (gaveUp === undefined) {
      try {
        await Promise.all(both.map((child) => child.says("settled", SETTLING_MS)));
      } catch (error) {
        gaveUp = (error as Error).message;
      }
    }
    const reports = await Promise.all(both.map(async (child) => {
      await child.tell("report");
      return (await child.says("report")).notes;
    })).catch(() => undefined);
    let socketsLeft = 0;
    if (gaveUp === undefined) {
      for (const child of [clients, server]) {
        await child.tell("close");
        socketsLeft += Math.max(0, (await child.says("closed", CLOSING_MS)).openSockets);
      }
    }
    const { draws, cutConnections, unacknowledgedBothWays, needlessReplays, acksBackwards } =
      network;
    return decide({
      seed,
      cuts,
      packets,
      durationMs: Math.round(performance.now() - start),
      gaveUp,
      notes: reports && { server: reports[0]!, clients: reports[1]! },
      progress: { server: server.progress, clients: clients.progress },
      socketsLeft,
      network: { draws, cutConnections, unacknowledgedBothWays, needlessReplays, acksBackwards },
    });
  } finally {
    await Promise.all([server.kill(), clients?.kill()]);
  }
}

/** Waits until all is done. Returns why it gave up, if it did. */
async function watch(
  isDone: () => boolean,
  moves: () => number,
  troubles: () => string[],
  children: Child[],
  start: number,
): Promise<string | undefined> {
  let failure: string | undefined;
  for (const { failed } of children) failed.then((why) => failure ??= why);
  let moved = moves();
  let movedAt = performance.now();
  while (!isDone()) {
    const now = performance.now();
    if (failure) return failure;
    if (troubles().length > 0) return "something went wrong";
    if (now - start > MAX_RUN_MS) return `it was not done after ${MAX_RUN_MS / 1_000} seconds`;
    if (moves() !== moved) [moved, movedAt] = [moves(), now];
    else if (now - movedAt > MAX_STILL_MS) return "nothing moves any more";
    await pause(POLL_MS);
  }
}

function parseCount(min: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < min || number > 2 ** 32 - 1) {
      throw new InvalidArgumentError(`It must be an integer from ${min}.`);
    }
    return number;
  };
}

const program = new Command("chaos")
  .description("cut connections at random, and check that nothing is lost")
  .option("--cuts <N>", "how many faults there are to be", parseCount(1), 500)
  .option("--packets <M>", "how many packets are sent at least", parseCount(1), 100_000)
  .option("--seed <S>", "what decides which faults come when (default: any)", parseCount(0))
  .addHelpText(
    "after",
    "\nPrints one line of JSON. Exit codes: 0 all is well, 1 it is not, 2 usage.",
  )
  .exitOverride();

try {
  const { cuts, packets, seed } = program.parse(Deno.args, { from: "user" }).opts<Options>();
  const verdict = await run({
    cuts,
    packets,
    seed: seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!,
  });
  console.log(JSON.stringify(verdict));
  Deno.exitCode = verdict.ok ? 0 : 1;
} catch (error) {
  if (error instanceof CommanderError) {
    Deno.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    console.error(`chaos: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode = 1;
  }
}
