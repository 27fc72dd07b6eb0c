/**
 * The process of the clients: `deno run -A clients_process.ts OPTIONS`.
 *
 * @module
 */

import { Client } from "../../mod.ts";
import { until } from "../../tests/support/wait.ts";
import { type WireName, WIRES } from "../../tests/support/wires.ts";
import { limitsOf } from "./limits.ts";
import { bindActs, Listener, type Side, takePackets } from "./listener.ts";
import { openSockets, parent } from "./process.ts";
import { Random } from "./random.ts";
import { Speaker } from "./speaker.ts";
import { count } from "./speech.ts";

/** What it works with. */
export interface ClientsProcessOptions {
  seed: number;
  wire: WireName;
  /** Where each client connects to. */
  ports: number[];
}

/** How long sockets may take to be gone. */
const CLOSING_MS = 5_000;
/** This one takes its packets by `for await`. */
const ITERATING_CLIENT = 0;

const { seed, wire, ports }: ClientsProcessOptions = JSON.parse(Deno.args[0]!);
const troubles: string[] = [];
const detaches: Record<string, number> = {};
let resumes = 0;
let sessionsLost = 0;
let isOver = false;
let isClosing = false;

const clients = ports.map((port, index) => {
  const client: Client = new Client({
    port,
    auth: { client: index },
    ...limitsOf(index),
    ...WIRES[wire].client,
    onConnect: (connection) => {
      if (index === ITERATING_CLIENT) takePackets(connection, side);
    },
    onDetach: (_connection, { code }) => count(detaches, code),
    onResume: () => resumes++,
    onSessionLost: (_connection, { reason }) => lost(`client ${index} lost its session: ${reason}`),
    onDisconnect: (_connection, { code, reason }) => {
      if (!isClosing) lost(`client ${index} was disconnected: ${code}: ${reason}`);
    },
  });
  const side: Side = {
    listener: new Listener(),
    speaker: new Speaker(client, new Random(seed + 2_000 + index), {
      marks: () => [0, 0],
      unacknowledged: () => client.connection?.stats.unacknowledged ?? 0,
    }),
  };
  bindActs(client as never, () => side);
  return { client, ...side };
});

const socketsBefore = openSockets();
await Promise.all(clients.map(({ client }) => client.start()));
parent.say({ is: "ready" });

const stopProgress = parent.sayProgress(() => ({
  sent: clients.reduce((sum, { speaker }) => sum + speaker.sent, 0),
  troubles: [
    ...troubles,
    ...clients.flatMap(({ listener, speaker }, index) => [
      ...listener.troubles > 0 ? [`packets to client ${index} came wrongly`] : [],
      ...Object.keys(speaker.failed).map((what) => `of client ${index}: ${what}`),
    ]),
  ],
  resumes,
  sessionsLost,
  detaches,
}));

await parent.obey({
  talk() {
    for (const { speaker } of clients) speaker.talk(() => isOver);
  },
  async stop() {
    isOver = true;
    await Promise.all(clients.map(({ speaker }) => speaker.settled()));
    parent.say({ is: "settled" });
  },
  report() {
    stopProgress();
    parent.say({
      is: "report",
      notes: {
        speakers: clients.map(({ speaker }) => speaker.notes),
        listeners: clients.map(({ listener }) => listener.notes),
      },
    });
  },
  async close() {
    isClosing = true;
    await Promise.all(clients.map(({ client }) => client.close()));
    await until(() => openSockets() <= socketsBefore, "the sockets are closed", CLOSING_MS)
      .catch(() => {});
    parent.say({ is: "closed", openSockets: openSockets() - socketsBefore });
  },
});

function lost(why: string): void {
  sessionsLost++;
  troubles.push(why);
}
