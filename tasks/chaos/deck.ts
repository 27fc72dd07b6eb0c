/**
 * Which faults there are, and drawing them so that each kind comes often enough.
 *
 * @module
 */

import type { Direction } from "../../tests/support/faulty_proxy.ts";
import type { Random } from "./random.ts";

/**
 * `fin`, `reset`: both sides are told. `silence`: nothing goes through any more in one direction, and nobody
 * is told. `slices`, `delay`: of all bytes, before a cut. `takeover`: the client alone is told, so that its
 * next connection meets the half that is still open; what was on its way arrives there late.
 */
export type Kind = "fin" | "reset" | "silence" | "slices" | "delay" | "takeover";
/** Where the fault begins: inside the client's first line, inside the answer to it, or after both. */
export type Phase = "handshake" | "answer" | "traffic";

/** A kind of fault at one place. */
export interface Cell {
  kind: Kind;
  phase: Phase;
  direction: Direction;
}

/** A fault that will happen. */
export interface Card extends Cell {
  /** At which of the bytes in question: from 0 to below 1. */
  at: number;
  /** How a cut is told where the kind does not say so. */
  by: "fin" | "reset";
  /** How long bytes are kept, where they are. */
  delayMs: number;
}

/** Those that keep a connection from coming about. All others are followed by a resume each. */
const FATAL: readonly Cell[] = [
  { kind: "reset", phase: "handshake", direction: "toServer" },
  { kind: "fin", phase: "answer", direction: "toClient" },
  { kind: "reset", phase: "answer", direction: "toClient" },
  { kind: "silence", phase: "answer", direction: "toClient" },
  { kind: "takeover", phase: "answer", direction: "toClient" },
];

const KINDS: readonly Kind[] = ["fin", "reset", "silence", "slices", "delay", "takeover"];
const PASSABLE: readonly Cell[] = [
  { kind: "slices", phase: "handshake", direction: "toServer" },
  { kind: "delay", phase: "handshake", direction: "toServer" },
  { kind: "slices", phase: "answer", direction: "toClient" },
  { kind: "delay", phase: "answer", direction: "toClient" },
  ...KINDS.flatMap((kind): Cell[] => [
    { kind, phase: "traffic", direction: "toServer" },
    { kind, phase: "traffic", direction: "toClient" },
  ]),
];

/** All there are. */
export const CELLS: readonly Cell[] = [...FATAL, ...PASSABLE];

const MIN_DELAY_MS = 10;
const MAX_DELAY_MS = 80;

/** How often each cell is drawn at least, in a run of so many cuts: 20 times in one of 500. */
export function leastDraws(cuts: number): number {
  return Math.floor(cuts / 25);
}

/** How many resumes there are at least, in a run of so many cuts: 400 in one of 500. */
export function leastResumes(cuts: number): number {
  return cuts - FATAL.length * leastDraws(cuts);
}

/** Whether a fault lets its connection come about. */
export function isPassable({ phase, kind }: Cell): boolean {
  return phase === "traffic" || kind === "slices" || kind === "delay";
}

/** Shuffles as many faults as there are to be, and deals them out. The first of each hand is passable. */
export function deal(cuts: number, hands: number, random: Random): Card[][] {
  const least = leastDraws(cuts);
  const cells: Cell[] = FATAL.flatMap((cell) => Array<Cell>(least).fill(cell));
  while (cells.length < cuts) {
    cells.push(...random.shuffle([...PASSABLE]).slice(0, cuts - cells.length));
  }
  random.shuffle(cells);
  const first: Cell[] = [];
  for (let hand = 0; hand < hands && cells.length > 0; hand++) {
    first.push(...cells.splice(cells.findIndex(isPassable), 1));
  }
  const dealt = Array.from({ length: hands }, (): Card[] => []);
  for (const [index, cell] of [...first, ...cells].entries()) {
    dealt[index % hands]!.push({
      ...cell,
      at: random.next(),
      by: random.chance(0.5) ? "fin" : "reset",
      delayMs: MIN_DELAY_MS + random.below(MAX_DELAY_MS - MIN_DELAY_MS),
    });
  }
  return dealt;
}
