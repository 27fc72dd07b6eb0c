/**
 * What the benchmarks share: medians, tables, and a server in a process of its own.
 *
 * @module
 */

import { TextLineStream } from "@std/streams";
import { fileURLToPath } from "node:url";
import { median } from "./peers/quantiles.mjs";
import { table } from "./table.ts";

export { median, quantile } from "./peers/quantiles.mjs";

/** How often everything is measured. */
export const ROUNDS = 5;

/** One of several things that are measured in the same run. Resolves to figures by name. */
export type Contender = () => Promise<Record<string, number>>;

/**
 * Lets ours and the floor take turns, so that what else the machine does meets both, and takes the
 * medians. The first round warms up and does not count.
 *
 * @returns By figure: ours, the floor's, and ours as a share of the floor's within one round.
 */
export async function takeTurns(
  ours: Contender,
  floor: Contender,
): Promise<Map<string, { ours: number; floor: number; share: number }>> {
  const rounds: { ours: Record<string, number>; floor: Record<string, number> }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    // Neither is always the one that finds the other's garbage.
    const first = await (round % 2 === 0 ? ours : floor)();
    const second = await (round % 2 === 0 ? floor : ours)();
    const [mine, bare] = round % 2 === 0 ? [first, second] : [second, first];
    if (round > 0) rounds.push({ ours: mine, floor: bare });
  }
  return new Map(
    Object.keys(rounds[0].ours).map((name) => [name, {
      ours: median(rounds.map(({ ours }) => ours[name])),
      floor: median(rounds.map(({ floor }) => floor[name])),
      share: median(rounds.map(({ ours, floor }) => ours[name] / floor[name])),
    }]),
  );
}

/**
 * Lets any number of contenders take turns, in another order each round. The first round warms up and does not
 * count.
 *
 * @param figure Which of the figures is kept.
 * @returns By contender: that of each round.
 */
export async function takeRounds(
  contenders: Record<string, Contender>,
  figure: string,
  rounds = ROUNDS,
): Promise<Record<string, number[]>> {
  const names = Object.keys(contenders);
  const figures: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const name of shuffled(names)) {
      const measured = await contenders[name]();
      if (round > 0) figures[name].push(measured[figure]);
    }
  }
  return figures;
}

/** In another order each time, so that none always finds the garbage of the same other one. */
export function shuffled<Item>(items: Iterable<Item>): Item[] {
  const order = Array.from(items, (item) => ({ item, at: Math.random() }));
  return order.toSorted((one, other) => one.at - other.at).map(({ item }) => item);
}

/** The median of the ratios within each round. */
export function ratio(ours: number[], theirs: number[]): number {
  return median(ours.map((value, round) => value / theirs[round]));
}

/** Prints a table that can be copied into the README. */
export function printTable(header: string[], rows: string[][]): void {
  console.log(table(header, rows) + "\n");
}

/** 12,345 rather than 12345.678. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** A program, running, that answers a line with a line. It ends when its standard input does. */
export class Program implements AsyncDisposable {
  /** Its process. */
  readonly pid: number;
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  constructor(command: string, args: string[]) {
    this.#child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped" }).spawn();
    this.pid = this.#child.pid;
    this.#input = this.#child.stdin.getWriter();
    this.#lines = this.#child.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream())
      .getReader();
  }

  /** What it says next, as JSON. */
  async next<Answer>(): Promise<Answer> {
    const { value } = await this.#lines.read();
    if (value === undefined) throw new Error("the helper has ended");
    return JSON.parse(value);
  }

  /** Asks it for its next line. */
  async ask<Answer>(question: string): Promise<Answer> {
    await this.#input.write(new TextEncoder().encode(question + "\n"));
    return await this.next();
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Whoever has ended by itself has no input any more.
    await this.#input.close().catch(() => {});
    await this.#child.status;
    await this.#lines.cancel();
  }
}

/** A program of ours. */
export class Helper extends Program {
  constructor(url: string, args: string[], runtimeArgs: string[] = []) {
    const permissions = ["--allow-net=127.0.0.1", ...runtimeArgs];
    super(Deno.execPath(), ["run", ...permissions, fileURLToPath(url), ...args]);
  }
}

/** The lines of standard input, for a helper. */
export function inputLines(): ReadableStream<string> {
  return Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
}

/** One of the records that are sent. */
export interface Reading {
  id: number;
  name: string;
  value: number;
  ok: boolean;
}

/** Data of about so many bytes: small records, as most JSON is. */
export function readings(bytes: number): Reading[] {
  const list: Reading[] = [];
  for (let id = 10; JSON.stringify(list).length < bytes - 20; id++) {
    list.push({ id, name: `sensor ${id}`, value: id / 8, ok: true });
  }
  return list;
}
