/**
 * What the two sides say to each other, and what they write down of it.
 *
 * @module
 */

import type { Arrived, Sent } from "./history.ts";

/** What a numbered packet carries. */
export interface Numbered {
  /** Its number among all packets and requests of this sender to this receiver. */
  n: number;
  /** How far the broadcasts were when it was sent. */
  marks: number[];
  /** How long it is held before it is handed over, or answered. */
  ms?: number;
  /** Whether both sides note when it was handed over. */
  isTimed?: boolean;
  /** So that packets are not all of one size. */
  padding?: string;
}

/** What a broadcast carries. */
export interface Announced {
  /** Its number among all broadcasts to the same receivers. */
  n: number;
}

/** A number, and when something became of it, in milliseconds since the Unix epoch. */
export type Timed = [n: number, at: number];

/** What became of requests. */
export interface Answers {
  /** How many were asked. */
  asked: number;
  /** How many got a reply or an error. */
  settled: number;
  /** How many got another one than they should have, by what it was; and sends that failed. */
  failed: Record<string, number>;
}

/** What one sender has written down of one receiver. */
export interface SpeakerNotes extends Answers {
  /** Packets and requests. */
  sent: Sent;
  /** Those that may be lost. */
  volatile: number;
  /** When packets were known to be delivered. */
  deliveredAt: Timed[];
}

/** What one receiver has written down of one sender. */
export interface ListenerNotes {
  /** Packets and requests. */
  arrived: Arrived;
  /** Broadcasts, by stream. */
  broadcasts: Arrived[];
  /** Those that may be lost: sent to this receiver, and to all. */
  volatile: Arrived[];
  /** When packets were handed over. */
  handedOverAt: Timed[];
}

/** The streams of broadcasts: to all, to a group, and those to all that may be lost. */
export interface BroadcastNotes extends Answers {
  /** How many were sent to all, and to the group. */
  sent: number[];
  /** How many went to all that may be lost. */
  volatile: number;
  /** How many receivers were said to miss one. */
  missed: number;
}

/** What one process has written down, by client. */
export interface Notes {
  speakers: SpeakerNotes[];
  listeners: ListenerNotes[];
  /** The server alone broadcasts. */
  broadcasts?: BroadcastNotes;
}

/** What a process says while it works. */
export interface Progress {
  /** Numbered packets, requests and broadcasts, each once for each receiver. */
  sent: number;
  /** What has gone wrong so far. */
  troubles: string[];
  /** How many resumes its side has seen. */
  resumes: number;
  /** How many sessions were lost, or ended. */
  sessionsLost: number;
  /** How many connections dropped, by what was said of it. */
  detaches: Record<string, number>;
}

/** Who is in the group. */
export function isInGroup(client: number): boolean {
  return client % 2 === 0;
}

/** The name of the group. */
export const GROUP = "even";

/** The clock that all processes of one machine share, in milliseconds. */
export function clock(): number {
  return Date.now();
}

/** Counts one more of a kind. */
export function count(counts: Record<string, number>, kind: string): void {
  counts[kind] = (counts[kind] ?? 0) + 1;
}

/** What an error is called in the counts. */
export function codeOf(error: unknown): string {
  return (error as { code?: string } | null)?.code ?? String(error);
}
