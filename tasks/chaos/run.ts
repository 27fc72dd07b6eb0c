/**
 * One run, from the first process to the verdict.
 *
 * @module
 */

import { pause } from "../../tests/support/wait.ts";
import type { WireName } from "../../tests/support/wires.ts";
import type { ClientsProcessOptions } from "./clients_process.ts";
import { deal } from "./deck.ts";
import { FaultyNetwork } from "./network.ts";
import { Child } from "./process.ts";
import { Random } from "./random.ts";
import type { ServerProcessOptions } from "./server_process.ts";
import { decide, type Evidence, type Verdict } from "./verdict.ts";

/** What a run is told. */
export interface RunOptions {
  /** How many faults there are to be. */
  cuts: number;
  /** How many packets are sent at least. */
  packets: number;
  /** What decides. */
  seed: number;
  /** What it goes over. */
  wire: WireName;
  /** Called now and then with how many of both there have been. */
  onProgress?: (cuts: number, packets: number) => void;
}

/** So many that one outage does not stop everything. */
const MAX_CLIENTS = 6;
const START_PATIENCE_MS = 30_000;
/** A run must not take longer, whatever happens. */
const MAX_RUN_MS = 160_000;
/** Without a fault and without a packet for so long nothing will come any more. */
const MAX_STILL_MS = 20_000;
const SETTLE_PATIENCE_MS = 20_000;
const POLL_MS = 20;

/** Runs. */
export async function run(options: RunOptions): Promise<Verdict> {
  const { cuts, packets, seed, wire } = options;
  const start = performance.now();
  const hands = deal(cuts, Math.min(MAX_CLIENTS, cuts), new Random(seed));
  const serverOptions: ServerProcessOptions = { seed, wire, clients: hands.length };
  const server = new Child("the server", "server_process.ts", serverOptions);
  let clients: Child | undefined;
  try {
    const { port } = await server.says("ready", START_PATIENCE_MS);
    // So that the packets and the faults come to their end at about the same time.
    const packetsPerFault = () =>
      Math.max(0, packets - sent(server, clients)) / Math.max(1, network.connectionsToCut);
    await using network = await FaultyNetwork.listen(port!, wire, hands, packetsPerFault);
    const clientsOptions: ClientsProcessOptions = { seed, wire, ports: network.ports };
    clients = new Child("the clients", "clients_process.ts", clientsOptions);
    await clients.says("ready", START_PATIENCE_MS);
    const whole = await talk(server, clients, network, options);
    return decide({
      ...whole,
      seed,
      wire,
      cuts,
      durationMs: Math.round(performance.now() - start),
    });
  } finally {
    await Promise.all([server.kill(), clients?.kill()]);
  }
}

/** Lets both sides talk until there was enough of it, and asks them what they saw. */
async function talk(
  server: Child,
  clients: Child,
  network: FaultyNetwork,
  options: RunOptions,
): Promise<Omit<Evidence, "seed" | "wire" | "cuts" | "durationMs">> {
  const both = [server, clients];
  for (const child of both) await child.tell("talk");
  let gaveUp = await untilDone(server, clients, network, options);
  for (const child of both) await child.tell("stop");
  if (gaveUp === undefined) {
    const settled = both.map((child) => child.says("settled", SETTLE_PATIENCE_MS));
    gaveUp = await Promise.all(settled).then(() => undefined, (error) => error.message);
  }
  const reports = await Promise.all([report(server), report(clients)]).catch(() => undefined);
  // The platform keeps a socket on which TLS is never agreed on until the other side lets go of it.
  if (options.wire === "tls") network.hangUp();
  const socketsLeft = gaveUp === undefined ? await close(clients) + await close(server) : 0;
  const { draws, cutConnections, unacknowledgedBothWays, needlessReplays, acksBackwards } = network;
  return {
    gaveUp,
    notes: reports && { server: reports[0], clients: reports[1] },
    progress: { server: server.progress, clients: clients.progress },
    socketsLeft,
    network: { draws, cutConnections, unacknowledgedBothWays, needlessReplays, acksBackwards },
  };
}

/** Resolves to why it gave up, if it did. */
async function untilDone(
  server: Child,
  clients: Child,
  network: FaultyNetwork,
  { cuts, packets, onProgress }: RunOptions,
): Promise<string | undefined> {
  let failure: string | undefined;
  for (const { failed } of [server, clients]) failed.then((why) => failure ??= why);
  const start = performance.now();
  let movedAt = start;
  for (let moves = 0;;) {
    const now = performance.now();
    const [happened, said] = [network.happened.length, sent(server, clients)];
    onProgress?.(happened, said);
    if (failure !== undefined) return failure;
    const troubles = [...server.progress.troubles, ...clients.progress.troubles];
    if (troubles.length > 0) return "something went wrong";
    if (happened === cuts && said >= packets) return undefined;
    if (now - start > MAX_RUN_MS) return `it was not done after ${MAX_RUN_MS / 1_000} seconds`;
    if (now - movedAt > MAX_STILL_MS) return "nothing moves any more";
    if (happened + said !== moves) movedAt = now;
    moves = happened + said;
    await pause(POLL_MS);
  }
}

function sent(server: Child, clients: Child | undefined): number {
  return server.progress.sent + (clients?.progress.sent ?? 0);
}

async function report(child: Child) {
  await child.tell("report");
  return (await child.says("report")).notes;
}

/** Resolves to how many sockets are left. */
async function close(child: Child): Promise<number> {
  await child.tell("close");
  return Math.max(0, (await child.says("closed")).openSockets);
}
