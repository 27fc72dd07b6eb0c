/**
 * What a run came to, and whether that is good enough. Pure: no socket, no timer, no clock.
 *
 * @module
 */

import { leastDraws, leastResumes, type Phase } from "./deck.ts";
import type { WireName } from "../../tests/support/wires.ts";
import { type Findings, judge, judgeVolatile, sum } from "./history.ts";
import type { Draws } from "./network.ts";
import { type Answers, isInGroup, type Notes, type Progress, type Timed } from "./speech.ts";

/** All that is known of a run. */
export interface Evidence {
  seed: number;
  wire: WireName;
  cuts: number;
  durationMs: number;
  /** Why it was given up, if it was. */
  gaveUp: string | undefined;
  /** What both sides have written down; nothing if they could not be asked. */
  notes: { server: Notes; clients: Notes } | undefined;
  /** What both sides have said last. */
  progress: { server: Progress; clients: Progress };
  /** Sockets that were still open when all clients had left. */
  socketsLeft: number;
  network: {
    draws: Draws;
    /** Connections that were cut after they had come about. */
    cutConnections: number;
    /** This and what follows is known only where what goes by can be read. */
    unacknowledgedBothWays?: number;
    needlessReplays?: number;
    acksBackwards?: number;
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
  /** What it went over. */
  wire: WireName;
  resumes: number;
  sessionsLost: number;
  /** How many faults happened. */
  cuts: number;
  /** So many of them while packets were unacknowledged in both directions, where that can be known. */
  unacknowledgedBothWays?: number;
  /** Numbered packets, requests and broadcasts, each once for each receiver. */
  packets: number;
  requests: number;
  broadcasts: number;
  durationMs: number;
  /** How often each fault happened, by kind, phase and direction. */
  faults: Draws;
  /** Connections that were found dead though nothing was done to them: the machine was too busy. */
  busyDeaths: number;
}

/** The clock that two processes share counts whole milliseconds, and may be set meanwhile. */
const CLOCK_TOLERANCE_MS = 2;
const MAX_EARLY_PART = 0.02;

/** Decides. */
export function decide(evidence: Evidence): Verdict {
  const { seed, wire, cuts, durationMs, gaveUp, notes, progress, socketsLeft, network } = evidence;
  const findings = notes ? compare(notes) : sum([]);
  const answers = notes ? answersOf(notes) : [];
  const unanswered = addUp(answers.map(({ asked, settled }) => asked - settled));
  const sessionsLost = Math.max(progress.clients.sessionsLost, progress.server.sessionsLost);
  const { resumes } = progress.clients;
  const missed = notes?.server.broadcasts?.missed ?? 0;
  const problems = [
    ...gaveUp === undefined ? [] : [gaveUp],
    ...notes ? [] : ["nobody could be asked what arrived"],
    ...unless(findings.lost === 0, `${findings.lost} lost`),
    ...unless(findings.duplicated === 0, `${findings.duplicated} duplicated`),
    ...unless(findings.reordered === 0, `${findings.reordered} reordered`),
    ...unless(findings.unsent === 0, `${findings.unsent} arrived that were not sent`),
    ...unless(unanswered === 0, `${unanswered} unanswered`),
    ...unless(sessionsLost === 0, `${sessionsLost} sessions lost`),
    ...unless(resumes >= leastResumes(cuts), `${resumes} resumes of ${leastResumes(cuts)}`),
    ...unless(socketsLeft === 0, `${socketsLeft} sockets left open`),
    ...unless(missed === 0, `${missed} times a broadcast was said to be missed`),
    ...problemsOfNetwork(evidence),
    ...notes ? problemsOfTime(notes) : [],
    ...answers.flatMap(({ failed }) => Object.entries(failed))
      .map(([what, number]) => `${number} requests or sends failed: ${what}`),
    ...new Set([...progress.clients.troubles, ...progress.server.troubles]),
  ];
  return {
    ok: problems.length === 0,
    problems,
    lost: findings.lost,
    duplicated: findings.duplicated,
    reordered: findings.reordered,
    unanswered,
    seed,
    wire,
    resumes,
    sessionsLost,
    cuts: countOf(network.draws),
    unacknowledgedBothWays: network.unacknowledgedBothWays,
    packets: progress.clients.sent + progress.server.sent,
    requests: addUp(answers.map(({ asked }) => asked)),
    broadcasts: addUp(notes?.server.broadcasts?.sent ?? []),
    durationMs,
    faults: network.draws,
    busyDeaths: Math.max(0, dropsOf(progress.clients) - network.cutConnections),
  };
}

function unless(isFine: boolean, problem: string): string[] {
  return isFine ? [] : [problem];
}

/** What the network saw that should not be, and what it should have done and has not. */
function problemsOfNetwork({ cuts, wire, network, progress }: Evidence): string[] {
  const { draws, cutConnections } = network;
  const happened = countOf(draws);
  const { unacknowledgedBothWays = happened, needlessReplays = 0, acksBackwards = 0 } = network;
  const least = leastDraws(cuts);
  const rare = drawsOf(draws).filter(({ number }) => number < least).map(({ name }) => name);
  // A silence shows by nothing. Every other cut shows at once.
  const silences = (phase: Phase) => addUp(Object.values(draws.silence?.[phase] ?? {}));
  const told = cutConnections - silences("traffic");
  // Where the server was too busy to hear a client, what it says of that may come too late.
  const { HEARTBEAT_TIMEOUT = 0, HANDSHAKE_TIMEOUT = 0 } = progress.server.detaches;
  const deaths = HEARTBEAT_TIMEOUT + HANDSHAKE_TIMEOUT;
  // What answers are made of may fall silent before there is a connection that could be missed.
  const silentAnswers = wire === "plain" ? silences("answer") : 0;
  const busyDeaths = Math.max(0, deaths - silences("traffic") - silentAnswers);
  const ended = progress.clients.detaches.CONNECTION_LOST ?? 0;
  const unexplained = Math.max(0, ended - told - busyDeaths);
  return [
    ...unless(happened === cuts, `${happened} of ${cuts} faults happened`),
    ...unless(rare.length === 0, `drawn less than ${least} times: ${rare.join(", ")}`),
    ...unless(
      unacknowledgedBothWays * 2 >= happened,
      `only ${unacknowledgedBothWays} faults met packets unacknowledged both ways`,
    ),
    ...unless(needlessReplays === 0, `${needlessReplays} sent again that were acknowledged`),
    ...unless(acksBackwards === 0, `${acksBackwards} acknowledgements went backwards`),
    ...unless(unexplained === 0, `${unexplained} connections ended that nothing was done to`),
  ];
}

/** Compares what each side has sent with what the other one saw. */
function compare({ server, clients }: { server: Notes; clients: Notes }): Findings {
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

function answersOf({ server, clients }: { server: Notes; clients: Notes }): Answers[] {
  return [...server.speakers, ...clients.speakers, server.broadcasts!];
}

/** Packets that their sender knew to be delivered before they were handed over. */
function problemsOfTime({ server, clients }: { server: Notes; clients: Notes }): string[] {
  const pairs = [
    ...clients.speakers.map((speaker, index) => [speaker, server.listeners[index]!] as const),
    ...server.speakers.map((speaker, index) => [speaker, clients.listeners[index]!] as const),
  ];
  const all = addUp(pairs.map(([{ deliveredAt }]) => deliveredAt.length));
  const early = addUp(
    pairs.map(([speaker, listener]) => countEarly(speaker.deliveredAt, listener.handedOverAt)),
  );
  return unless(
    early <= all * MAX_EARLY_PART,
    `${early} acknowledged before they were handed over`,
  );
}

function countEarly(deliveredAt: Timed[], handedOverAt: Timed[]): number {
  const handedOver = new Map(handedOverAt);
  return deliveredAt.filter(([n, at]) => at < (handedOver.get(n) ?? Infinity) - CLOCK_TOLERANCE_MS)
    .length;
}

function dropsOf({ detaches }: Progress): number {
  return addUp(Object.values(detaches));
}

function drawsOf(draws: Draws): { name: string; number: number }[] {
  return Object.entries(draws).flatMap(([kind, phases]) =>
    Object.entries(phases).flatMap(([phase, directions]) =>
      Object.entries(directions).map(([direction, number]) => ({
        name: `${kind} ${phase} ${direction}`,
        number,
      }))
    )
  );
}

function countOf(draws: Draws): number {
  return addUp(drawsOf(draws).map(({ number }) => number));
}

function addUp(numbers: number[]): number {
  return numbers.reduce((all, number) => all + number, 0);
}
