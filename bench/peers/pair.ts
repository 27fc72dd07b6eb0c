/**
 * The two processes of a contender, and what the system knows of the server's.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { Program } from "../measure.ts";
import type { Contender } from "./contenders.ts";

/** How fast the system's clock of CPU time ticks. The same on every Linux. */
const TICKS_PER_SECOND = 100;

/** What a server says first. */
interface Hello {
  port: number;
  /** Processes that work for it. */
  pids?: number[];
  /** What its clients are to know. */
  forLoad?: string[];
}

/** A server and its load, running. */
export class Pair implements AsyncDisposable {
  readonly #server: Program;
  readonly #load: Program;
  readonly #serverPids: number[];

  private constructor(server: Program, load: Program, serverPids: number[]) {
    this.#server = server;
    this.#load = load;
    this.#serverPids = serverPids;
  }

  /**
   * Starts both.
   *
   * @param command What runs the contender's programs.
   */
  static async start(
    { server: served, load: loaded }: Contender,
    command: string[],
  ): Promise<Pair> {
    const server = start(command, served);
    const { port, pids = [], forLoad = [] } = await server.next<Hello>();
    const [file, ...args] = loaded;
    const load = start(command, [file, String(port), ...args, ...forLoad]);
    await load.next();
    return new Pair(server, load, [server.pid, ...pids]);
  }

  /** Has the load do something. */
  async ask(command: string, options: object): Promise<Record<string, number>> {
    return await ask(this.#load, { command, ...options });
  }

  /** Has the server collect its garbage. */
  async collect(): Promise<void> {
    await ask(this.#server, { command: "collect" });
  }

  /** The same, and what each of what it counts has cost either side in CPU time, in microseconds. */
  async measure(command: string, options: object): Promise<Record<string, number>> {
    const [server, load] = [cpuMs(this.#serverPids), cpuMs([this.#load.pid])];
    const answer = await this.ask(command, options);
    const perCount = (before: number, pids: number[]) =>
      (cpuMs(pids) - before) / answer.count * 1_000;
    return {
      ...answer,
      cpu: perCount(server, this.#serverPids),
      loadCpu: perCount(load, [this.#load.pid]),
    };
  }

  /** How much memory of the server's is resident, in bytes; NaN where that is not known. */
  get serverBytes(): number {
    return total(this.#serverPids, (pid) => {
      const kib = /^VmRSS:\s*(\d+) kB$/m.exec(read(pid, "status"))?.[1];
      return Number(kib) * 1_024;
    });
  }

  /** Ends both. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}

function start([command, ...options]: string[], [file, ...args]: string[]): Program {
  return new Program(command, [...options, fileURLToPath(new URL(file, import.meta.url)), ...args]);
}

async function ask(program: Program, question: object): Promise<Record<string, number>> {
  const answer = await program.ask<Record<string, number> & { failed?: string }>(
    JSON.stringify(question),
  );
  if (answer.failed) throw new Error(answer.failed);
  return answer;
}

/** How long they have been at work on any core, in milliseconds; NaN where that is not known. */
function cpuMs(pids: number[]): number {
  return total(pids, (pid) => {
    // What comes before the last parenthesis is the name of the program, which may hold anything.
    const fields = read(pid, "stat").replace(/^.*\) /s, "").split(" ");
    // Fields 14 and 15 of proc(5), of which the first two are gone.
    return (Number(fields[11]) + Number(fields[12])) * 1_000 / TICKS_PER_SECOND;
  });
}

/** What the system says of a process; nothing, where it has no such file. Only Linux does. */
function read(pid: number, name: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/${name}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

function total(pids: number[], figureOf: (pid: number) => number): number {
  return pids.reduce((sum, pid) => sum + figureOf(pid), 0);
}
