import { assert, assertEquals } from "@std/assert";
import { CELLS, isPassable, leastDraws } from "../../tasks/chaos/deck.ts";
import type { Arrived } from "../../tasks/chaos/history.ts";
import type { Draws } from "../../tasks/chaos/network.ts";
import type { ListenerNotes, Progress, SpeakerNotes } from "../../tasks/chaos/speech.ts";
import { decide, type Evidence } from "../../tasks/chaos/verdict.ts";

const CUTS = 500;
const CLIENTS = 2;

/** A run in which all went well; clients and the server have said the same to each other. */
function goodRun(): Evidence {
  const draws: Draws = {};
  let left = CUTS;
  let cutConnections = 0;
  for (const cell of CELLS) {
    const { kind, phase, direction } = cell;
    const times = isPassable(cell) ? 25 : leastDraws(CUTS);
    ((draws[kind] ??= {})[phase] ??= {})[direction] = times;
    if (isPassable(cell)) cutConnections += times;
    left -= times;
  }
  assertEquals(left, 0);
  const silences = 2 * 25;
  const silentAnswers = 20;
  const progress = (sent: number, HEARTBEAT_TIMEOUT: number): Progress => ({
    sent,
    troubles: [],
    resumes: cutConnections,
    sessionsLost: 0,
    detaches: { CONNECTION_LOST: cutConnections - silences, HEARTBEAT_TIMEOUT },
  });
  const notes = () => ({
    speakers: Array.from({ length: CLIENTS }, speakerNotes),
    listeners: Array.from({ length: CLIENTS }, (_, index) => listenerNotes(index)),
  });
  return {
    seed: 7,
    wire: "plain",
    cuts: CUTS,
    durationMs: 1,
    gaveUp: undefined,
    notes: {
      server: {
        ...notes(),
        broadcasts: { sent: [4, 3], volatile: 2, missed: 0, asked: 2, settled: 2, failed: {} },
      },
      clients: notes(),
    },
    progress: {
      server: progress(30, silences + silentAnswers),
      clients: progress(20, silences),
    },
    socketsLeft: 0,
    network: {
      draws,
      cutConnections,
      unacknowledgedBothWays: CUTS,
      needlessReplays: 0,
      acksBackwards: 0,
    },
  };
}

function speakerNotes(): SpeakerNotes {
  return {
    sent: { count: 10, withdrawn: [] },
    volatile: 5,
    asked: 3,
    settled: 3,
    failed: {},
    deliveredAt: [[1, 110], [2, 120]],
  };
}

function listenerNotes(client: number): ListenerNotes {
  return {
    arrived: arrived(10),
    broadcasts: [arrived(4), arrived(client === 0 ? 3 : 0)],
    volatile: [arrived(5), arrived(2)],
    handedOverAt: [[1, 109], [2, 120]],
  };
}

function arrived(last: number): Arrived {
  return { last, missing: [], duplicated: 0, reordered: 0 };
}

Deno.test("a run in which all went well is ok, and says what it came to", () => {
  const { ok, problems, ...verdict } = decide(goodRun());
  assertEquals([ok, problems], [true, []]);
  assertEquals(verdict.resumes, 400);
  assertEquals(verdict.cuts, 500);
  assertEquals(verdict.packets, 50);
  assertEquals(verdict.requests, 2 * CLIENTS * 3 + 2);
  assertEquals(verdict.busyDeaths, 0);
});

Deno.test("where what goes by cannot be read, what was not seen is no reason to fail", () => {
  const run = goodRun();
  run.wire = "secure";
  const { draws, cutConnections } = run.network;
  run.network = { draws, cutConnections };
  const { ok, wire, unacknowledgedBothWays } = decide(run);
  assertEquals([ok, wire, unacknowledgedBothWays], [true, "secure", undefined]);
  // Answers that fell silent may have been no connection yet: here they explain nothing.
  run.progress.clients.detaches.CONNECTION_LOST! += 20;
  assertEquals(decide(run).ok, true);
  run.progress.clients.detaches.CONNECTION_LOST! += 1;
  assertEquals(decide(run).problems, ["1 connections ended that nothing was done to"]);
});

const SPOILED: [what: string, problem: string, spoil: (run: Evidence) => void][] = [
  ["a lost packet", "1 lost", ({ notes }) => notes!.server.listeners[1]!.arrived.missing.push(4)],
  ["a lost broadcast", "1 lost", ({ notes }) => notes!.clients.listeners[0]!.broadcasts[1]!.last--],
  [
    "a duplicate",
    "1 duplicated",
    ({ notes }) => notes!.clients.listeners[0]!.arrived.duplicated++,
  ],
  [
    "a volatile duplicate",
    "1 duplicated",
    ({ notes }) => notes!.clients.listeners[0]!.volatile[1]!.duplicated++,
  ],
  ["disorder", "1 reordered", ({ notes }) => notes!.server.listeners[0]!.arrived.reordered++],
  [
    "a packet that was taken back",
    "1 arrived that were not sent",
    ({ notes }) => notes!.clients.speakers[0]!.sent.withdrawn.push(3),
  ],
  ["an open request", "1 unanswered", ({ notes }) => notes!.server.speakers[0]!.settled--],
  ["an open poll", "1 unanswered", ({ notes }) => notes!.server.broadcasts!.settled--],
  [
    "a failed request",
    "1 requests or sends failed: CLOSED",
    ({ notes }) => notes!.clients.speakers[0]!.failed.CLOSED = 1,
  ],
  ["a lost session", "1 sessions lost", ({ progress }) => progress.clients.sessionsLost++],
  ["a missing resume", "399 resumes of 400", ({ progress }) => progress.clients.resumes--],
  ["an open socket", "1 sockets left open", (run) => run.socketsLeft++],
  ["a run that was given up", "for this", (run) => run.gaveUp = "for this"],
  ["a run without notes", "nobody could be asked what arrived", (run) => run.notes = undefined],
  [
    "a fault that was not drawn often enough",
    "drawn less than 20 times: fin traffic toServer",
    ({ network: { draws } }) => {
      draws.fin!.traffic!.toServer! = 19;
      draws.fin!.traffic!.toClient! = 31;
    },
  ],
  [
    "a fault that did not happen",
    "499 of 500 faults happened",
    ({ network: { draws } }) => draws.fin!.traffic!.toServer!--,
  ],
  [
    "faults that met idle connections",
    "only 249 faults met packets unacknowledged both ways",
    ({ network }) => network.unacknowledgedBothWays = 249,
  ],
  [
    "a broadcast that someone was said to miss",
    "1 times a broadcast was said to be missed",
    ({ notes }) => notes!.server.broadcasts!.missed++,
  ],
  [
    "needless replays",
    "1 sent again that were acknowledged",
    ({ network }) => network.needlessReplays = 1,
  ],
  [
    "an ack that went back",
    "1 acknowledgements went backwards",
    ({ network }) => network.acksBackwards = 1,
  ],
  [
    "a connection that ended by itself",
    "1 connections ended that nothing was done to",
    ({ progress }) => progress.clients.detaches.CONNECTION_LOST!++,
  ],
  [
    "acknowledgements before the hand-over",
    "2 acknowledged before they were handed over",
    ({ notes }) => {
      notes!.server.listeners[0]!.handedOverAt[0]![1] += 10;
      notes!.clients.listeners[1]!.handedOverAt[1]![1] += 10;
    },
  ],
  [
    "what a process says",
    "packets came wrongly",
    ({ progress }) => progress.server.troubles.push("packets came wrongly"),
  ],
];

for (const [what, problem, spoil] of SPOILED) {
  Deno.test(`a run is not ok for ${what}`, () => {
    const run = goodRun();
    spoil(run);
    const { ok, problems } = decide(run);
    assertEquals(ok, false);
    assert(problems.includes(problem), problems.join("; "));
  });
}

Deno.test("connections that a busy machine let die are counted, and no reason to fail", () => {
  const run = goodRun();
  // The server found one dead, and what it said of that came too late.
  run.progress.server.detaches.HEARTBEAT_TIMEOUT!++;
  run.progress.clients.detaches.CONNECTION_LOST!++;
  const { ok, busyDeaths } = decide(run);
  assertEquals([ok, busyDeaths], [true, 1]);
});
