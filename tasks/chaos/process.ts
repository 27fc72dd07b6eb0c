/**
 * Two processes that talk over standard input and output: one JSON value a line.
 *
 * @module
 */

import { TextLineStream } from "@std/streams/text-line-stream";
import { within } from "../../tests/support/wait.ts";
import type { Notes, Progress } from "./speech.ts";

/** What a process is told to do. */
export type Command = "talk" | "stop" | "report" | "close";

/** What a process has to say. */
export type Said =
  | { is: "ready"; port?: number }
  | { is: "progress"; progress: Progress }
  | { is: "settled" }
  | { is: "report"; notes: Notes }
  | { is: "closed"; openSockets: number };

const PROGRESS_MS = 100;
/** The column in the table of sockets. */
const INODE = 9;

/** A process that was started, seen from the one that started it. */
export class Child {
  /** What it has said of its work last. */
  progress: Progress = { sent: 0, troubles: [], resumes: 0, sessionsLost: 0, detaches: {} };
  /** Resolves, with why, when it ends before it is told to. */
  readonly failed: Promise<string>;

  readonly #name: string;
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #awaited = new Map<Said["is"], PromiseWithResolvers<Said>>();
  readonly #ended: Promise<void>;

  /**
   * Starts it.
   *
   * @param name What it is called in errors.
   * @param module Its file, in this folder.
   * @param options What it works with.
   */
  constructor(name: string, module: string, options: unknown) {
    this.#name = name;
    const url = new URL(module, import.meta.url);
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", "-A", url.pathname, JSON.stringify(options)],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#ended = this.#read();
    this.failed = this.#whyEnded();
  }

  /** Tells it to do something. What it says to that is waited for with {@linkcode Child.says}. */
  async tell(command: Command): Promise<void> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify(command) + "\n"));
  }

  /** Resolves when it says this. */
  async says<Is extends Said["is"]>(
    is: Is,
    patienceMs?: number,
  ): Promise<Extract<Said, { is: Is }>> {
    const saying = this.#saying(is).promise;
    const failed = this.failed.then((why) => Promise.reject(new Error(why)));
    const said = await within(
      Promise.race([saying, failed]),
      `${this.#name} to say ${is}`,
      patienceMs,
    );
    return said as Extract<Said, { is: Is }>;
  }

  /** Ends it at once, if it has not ended. */
  async kill(): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#process.status;
    await this.#ended;
  }

  #saying(is: Said["is"]): PromiseWithResolvers<Said> {
    const saying = this.#awaited.get(is) ?? Promise.withResolvers<Said>();
    this.#awaited.set(is, saying);
    return saying;
  }

  async #read(): Promise<void> {
    for await (const line of linesOf(this.#process.stdout)) {
      const said: Said = JSON.parse(line);
      if (said.is === "progress") this.progress = said.progress;
      else this.#saying(said.is).resolve(said);
    }
  }

  async #whyEnded(): Promise<string> {
    const errors: string[] = [];
    for await (const line of linesOf(this.#process.stderr)) errors.push(line.trim());
    const { code } = await this.#process.status;
    // deno-lint-ignore no-control-regex -- colours
    const said = errors.filter(Boolean).slice(0, 3).join(" ").replaceAll(/\x1b\[\d*m/g, "");
    return `${this.#name} ended with status ${code}${said && `: ${said}`}`;
  }
}

/** The commands of the process that started this one, and what is said to it. */
export const parent = {
  /** Says something. */
  say(said: Said): void {
    console.log(JSON.stringify(said));
  },

  /** Says again and again how the work goes. Returns what ends that. */
  sayProgress(progress: () => Progress): () => void {
    const say = () => parent.say({ is: "progress", progress: progress() });
    const timer = setInterval(say, PROGRESS_MS);
    return () => {
      clearInterval(timer);
      say();
    };
  },

  /** Begins what it is told to, until the input ends. */
  async obey(acts: Record<Command, () => unknown>): Promise<void> {
    for await (const line of linesOf(Deno.stdin.readable)) acts[JSON.parse(line) as Command]();
    // Whoever started it is gone.
    Deno.exit();
  },
};

/** How many TCP sockets this process holds. */
export function openSockets(): number {
  const sockets = Deno.readTextFileSync("/proc/self/net/tcp").split("\n");
  const inodes = new Set(sockets.map((line) => line.trim().split(/\s+/)[INODE]));
  let open = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(Deno.readLinkSync(`/proc/self/fd/${name}`))?.[1];
      if (inode !== undefined && inodes.has(inode)) open++;
    } catch {
      // The descriptor that the folder itself was read with.
    }
  }
  return open;
}

function linesOf(stream: ReadableStream<Uint8Array>): ReadableStream<string> {
  return stream
    .pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
    .pipeThrough(new TextLineStream());
}
