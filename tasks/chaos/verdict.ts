/**
 * What a run came to, and whether that is good enough. Pure: no socket, no timer, no clock.
 *
 * @module
 */

import { leastDraws, leastResumes } from "./deck.ts";
import { type Findings, judge, judgeVolatile, sum } from "./history.ts";
import type { Draws } from "./network.ts";
import { type Answers, isInGroup, type Notes, type Progress, type Timed } from "./speech.ts";

/** All that is known of a run. */
export interface Evidence {
  seed: number;
  cuts: number;
  packets: number;
  durationMs: number;
  /** Why it was given up, if it was. */
  gaveUp: string | undefined;
  /** What both sides have written down; nothing if they could not be asked. */
  notes: { server: Notes; clients: Notes } | undefined;
  progress: { server: Progress; clients: Progress };
  /** Sockets that were still open when all clients had left. */
  socketsLeft: number;
  network: {
    draws: Draws;
    /** Connections that were cut after they had come about. */
    cutConnections: number;
    unacknowledgedBothWays: number;
    needlessReplays: number;
    acksBackwards: number;
  };
}

/** What is printed. */
export interface Verdict {
  ok: boolean;
  /** Why not. */
  problems: string[];
  lost: number;
  duplicated: number;
  reordered: number;
  /** Requests that got neither a reply nor an error. */
  unanswered: number;
  seed: number;
  resumes: number;
  sessionsLost: number;
  cuts: number;
  /** Of them so many while packets were unacknowledged in both directions. */
  unacknowledgedBothWays: number;
  /** Numbered packets, requests and broadcasts, each once for each receiver. */
  packets: number;
  requests: number;
  broadcasts: number;
  durationMs: number;
  /** How often each fault happened, by kind, phase and direction. */
  faults: Draws;
  /** Connections that were found dead though nothing was done to them: the machine was too busy. */
  deathsByBusyness: number;
}

/** Two processes read one clock, and not at the same time. */
const CLOCK_TOLERANCE_MS = 2;

/** Decides. */
export function decide(evidence: Evidence): Verdict {
  const { seed, cuts, durationMs, gaveUp, notes, progress, socketsLeft, network } = evidence;
  const { needlessReplays, acksBackwards, cutConnections, draws } = network;
  const findings = notes ? compare(notes.server, notes.clients) : sum([]);
  const answers = notes ? answersOf(notes.server, notes.clients) : [];
  const total = (pick: (one: Answers) => number) =>
    answers.reduce((all, one) => all + pick(one), 0);
  const failures = answers.flatMap(({ failed }) => Object.entries(failed));
  const unanswered = total(({ asked, answered }) => asked - answered) -
    total(({ failed }) => Object.values(failed).reduce((all, number) => all + number, 0));
  const happened = total_(draws);
  const { resumes, detaches } = progress.clients;
  const sessionsLost = Math.max(progress.clients.sessionsLost, progress.server.sessionsLost);
  const drops = Object.values(detaches).reduce((all, number) => all + number, 0);
  const deaths = Math.max(0, drops - cutConnections);
  const least = leastDraws(cuts);
  const tooRare = Object.entries(draws).flatMap(([kind, phases]) =>
    Object.entries(phases).flatMap(([phase, directions]) =>
      Object.entries(directions).filter(([, number]) => number < least)
        .map(([direction]) => `${kind}/${phase}/${direction}`)
    )
  );
  const silences = Object.values(draws.silence?.traffic ?? {}).reduce((a, b) => a + b, 0);
  const unexplained = Math.max(0, (detaches.CONNECTION_LOST ?? 0) - (cutConnections - silences));
  const checks: [isProblem: boolean, problem: string][] = [
    [gaveUp !== undefined, gaveUp!],
    [!notes, "nobody could be asked what arrived"],
    [findings.lost > 0, `${findings.lost} lost`],
    [findings.duplicated > 0, `${findings.duplicated} duplicated`],
    [findings.reordered > 0, `${findings.reordered} reordered`],
    [findings.unsent > 0, `${findings.unsent} arrived that were not sent`],
    [unanswered !== 0, `${unanswered} unanswered`],
    [sessionsLost > 0, `${sessionsLost} sessions lost`],
    [happened !== cuts, `${happened} of ${cuts} faults happened`],
    [resumes < leastResumes(cuts), `${resumes} resumes, and there must be ${leastResumes(cuts)}`],
    [tooRare.length > 0, `drawn less than ${least} times: ${tooRare.join(", ")}`],
    [
      network.unacknowledgedBothWays * 2 < cuts,
      "fewer than half of the faults met packets unacknowledged both ways",
    ],
    [needlessReplays > 0, `${needlessReplays} sent again that were acknowledged`],
    [acksBackwards > 0, `${acksBackwards} acknowledgements went backwards`],
    [unexplained > 0, `${unexplained} connections ended though nothing was done to them`],
    [socketsLeft > 0, `${socketsLeft} sockets left open`],
    ...notes ? earlyChecks(notes.server, notes.clients) : [],
    ...failures.map(([what, number]): [boolean, string] => [true, `${number} requests: ${what}`]),
    ...[...new Set([...progress.clients.troubles, ...progress.server.troubles])]
      .map((trouble): [boolean, string] => [true, trouble]),
  ];
  const problems = checks.filter(([isProblem]) => isProblem).map(([, problem]) => problem);
  return {
    ok: problems.length === 0,
    problems,
    lost: findings.lost,
    duplicated: findings.duplicated,
    reordered: findings.reordered,
    unanswered,
    seed,
    resumes,
    sessionsLost,
    cuts: happened,
    unacknowledgedBothWays: network.unacknowledgedBothWays,
    packets: progress.clients.sent + progress.server.sent,
    requests: total(({ asked }) => asked),
    broadcasts: notes?.server.broadcasts?.sent.reduce((a, b) => a + b, 0) ?? 0,
    durationMs,
    faults: draws,
    deathsByBusyness: deaths,
  };
}

/** Compares what each side has sent with what the other one saw. */
function compare(server: Notes, clients: Notes): Findings {
  const all: Findings[] = [];
  for (const [index, client] of clients.speakers.entries()) {
    const { arrived, volatile } = server.listeners[index]!;
    all.push(judge(client.sent, arrived), judgeVolatile(client.volatile, volatile[0]!));
  }
  const { sent, volatile: volatileToAll } = server.broadcasts!;
  for (const [index, speaker] of server.speakers.entries()) {
    const { arrived, broadcasts, volatile } = clients.listeners[index]!;
    const toGroup = isInGroup(index) ? sent[1]! : 0;
    all.push(
      judge(speaker.sent, arrived),
      judge({ count: sent[0]!, withdrawn: [] }, broadcasts[0]!),
      judge({ count: toGroup, withdrawn: [] }, broadcasts[1]!),
      judgeVolatile(speaker.volatile, volatile[0]!),
      judgeVolatile(volatileToAll, volatile[1]!),
    );
  }
  return sum(all);
}

function answersOf(server: Notes, clients: Notes): Answers[] {
  return [...server.speakers, ...clients.speakers, server.broadcasts!];
}

/** Packets that their sender knew to be delivered before they were handed over. */
function earlyChecks(server: Notes, clients: Notes): [boolean, string][] {
  const pairs = [
    ...clients.speakers.map((speaker, index) => [speaker, server.listeners[index]!] as const),
    ...server.speakers.map((speaker, index) => [speaker, clients.listeners[index]!] as const),
  ];
  const early =
    pairs.flatMap(([{ deliveredAt }, { handedOverAt }]) => earlyOnes(deliveredAt, handedOverAt))
      .length;
  return [[early > 0, `${early} acknowledged before they were handed over`]];
}

function earlyOnes(deliveredAt: Timed[], handedOverAt: Timed[]): Timed[] {
  const handedOver = new Map(handedOverAt);
  return deliveredAt.filter(([n, at]) => at < (handedOver.get(n) ?? Infinity) - CLOCK_TOLERANCE_MS);
}

function total_(draws: Draws): number {
  return Object.values(draws)
    .flatMap((phases) => Object.values(phases))
    .flatMap((directions) => Object.values(directions))
    .reduce((all, number) => all + number, 0);
}
