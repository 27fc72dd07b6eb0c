/**
 * The process of the server: `deno run -A server_process.ts OPTIONS`.
 *
 * @module
 */

import { type Connection, type Peer, Server } from "../../mod.ts";
import { Announcer } from "./announcer.ts";
import { LIMITS } from "./limits.ts";
import { bindActs, Listener, type Side } from "./listener.ts";
import { openSockets, parent } from "./process.ts";
import { Random } from "./random.ts";
import { Speaker } from "./speaker.ts";
import { count, GROUP, isInGroup } from "./speech.ts";
import { until } from "../../tests/support/wait.ts";
import { type WireName, WIRES } from "../../tests/support/wires.ts";

/** What it works with. */
export interface ServerProcessOptions {
  seed: number;
  wire: WireName;
  clients: number;
}

/** How long sockets may take to be gone. */
const CLOSING_MS = 5_000;

const { seed, wire, clients }: ServerProcessOptions = JSON.parse(Deno.args[0]!);
const sides = new Map<number, Side>();
const troubles: string[] = [];
const detaches: Record<string, number> = {};
let resumes = 0;
let sessionsLost = 0;
let isOver = false;
let isClosing = false;

const server = new Server({
  port: 0,
  ...LIMITS,
  ...WIRES[wire].server,
  authenticate: ({ auth }) => ({ attach: auth }),
  onConnect: (connection) => {
    const client = clientOf(connection);
    if (sides.has(client)) return;
    if (isInGroup(client)) connection.join(GROUP);
    sides.set(client, {
      listener: new Listener(),
      speaker: new Speaker(connection, new Random(seed + 1_000 + client), {
        marks: () => announcer.marksOf(isInGroup(client)),
        unacknowledged: () => connection.stats.unacknowledged,
      }),
    });
  },
  onDetach: (_connection, { code }) => count(detaches, code),
  onResume: () => resumes++,
  onDisconnect: (_connection, { code, reason }) => {
    if (isClosing) return;
    sessionsLost++;
    troubles.push(`the server lost a session: ${code}: ${reason}`);
  },
});
const announcer = new Announcer(server, new Random(seed + 999));
bindActs(server as never, (peer) => sides.get(clientOf(peer))!);
await server.start();
const socketsBefore = openSockets();
parent.say({ is: "ready", port: server.port });

const stopProgress = parent.sayProgress(() => ({
  sent: sent(),
  troubles: [
    ...troubles,
    ...[...sides].flatMap(([client, { listener, speaker }]) => [
      ...listener.troubles > 0 ? [`packets of client ${client} came wrongly`] : [],
      ...Object.keys(speaker.failed).map((what) => `to client ${client}: ${what}`),
    ]),
    ...Object.keys(announcer.notes.failed).map((what) => `a broadcast: ${what}`),
  ],
  resumes,
  sessionsLost,
  detaches,
}));

await parent.obey({
  async talk() {
    await until(() => sides.size === clients, "all clients have come");
    announcer.talk(() => isOver);
    for (const { speaker } of sides.values()) speaker.talk(() => isOver);
  },
  async stop() {
    isOver = true;
    await announcer.settled();
    await Promise.all([...sides.values()].map(({ speaker }) => speaker.settled()));
    parent.say({ is: "settled" });
  },
  report() {
    stopProgress();
    const inOrder = [...sides].sort(([a], [b]) => a - b).map(([, side]) => side);
    parent.say({
      is: "report",
      notes: {
        speakers: inOrder.map(({ speaker }) => speaker.notes),
        listeners: inOrder.map(({ listener }) => listener.notes),
        broadcasts: announcer.notes,
      },
    });
    // From here on the clients leave.
    isClosing = true;
  },
  async close() {
    // All that came must have gone, the halves of connections that the other side had lost among them.
    await until(() => openSockets() <= socketsBefore, "the sockets are closed", CLOSING_MS)
      .catch(() => {});
    const left = openSockets() - socketsBefore;
    await server.close();
    parent.say({ is: "closed", openSockets: left });
  },
});

function clientOf(peer: Peer | Connection): number {
  return (peer.attached as { client: number }).client;
}

function sent(): number {
  const [toAll, toGroup] = announcer.notes.sent;
  const members = [...sides.keys()].filter(isInGroup).length;
  const direct = [...sides.values()].reduce((sum, { speaker }) => sum + speaker.sent, 0);
  return direct + toAll! * sides.size + toGroup! * members;
}
