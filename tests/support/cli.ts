/**
 * The command line, and programs with a console, as real processes: read line by line, and gone when
 * the test is over.
 *
 * @module
 */

import { AssertionError } from "@std/assert";
import { until, within } from "./wait.ts";

const ROOT = `${import.meta.dirname}/../..`;
const DENO_RUN = ["run", "--quiet", "--no-prompt"];

/** A port of this machine where nobody listens. */
export const DEAD_PORT = "1";

/** How a process is started. */
export interface ProcessOptions {
  /** Variables besides the test's own. */
  env?: Record<string, string>;
  /** What standard input is. */
  stdin?: "piped" | "null";
}

/** What a process has printed on one of its streams. */
class Printed {
  /** Resolves at the end of the stream. */
  readonly ended: Promise<void>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";
  #partial = "";
  #lines: string[] = [];
  #hasEnded = false;
  #pause: PromiseWithResolvers<void> | undefined;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
    this.ended = this.#read();
  }

  /** All of it so far. */
  get text(): string {
    return this.#text;
  }

  /** The next line that nobody took yet. */
  async line(what: string): Promise<string> {
    await until(
      () => this.#lines.length > 0 || this.#hasEnded,
      () => `${what} printed a line, after ${JSON.stringify(this.#text.slice(-500))}`,
    );
    const line = this.#lines.shift();
    if (line === undefined) {
      throw new AssertionError(`${what} ended after ${JSON.stringify(this.#text.slice(-500))}.`);
    }
    return line;
  }

  /** From now on it is not read. */
  pause(): void {
    this.#pause = Promise.withResolvers();
  }

  /** Reads on. */
  resume(): void {
    this.#pause?.resolve();
    this.#pause = undefined;
  }

  /** From now on nobody is there to read it. */
  async close(): Promise<void> {
    this.resume();
    await this.#reader.cancel();
  }

  async #read(): Promise<void> {
    for (;;) {
      await this.#pause?.promise;
      const { value, done } = await this.#reader.read();
      if (done) break;
      const text = this.#decoder.decode(value, { stream: true });
      this.#text += text;
      const lines = (this.#partial + text).split("\n");
      this.#partial = lines.pop()!;
      this.#lines.push(...lines);
    }
    this.#hasEnded = true;
  }
}

/** One process. */
export class Process implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array> | undefined;
  readonly #output: Printed;
  readonly #errors: Printed;
  #hasExited = false;

  constructor(command: string, args: string[], options: ProcessOptions = {}) {
    const { env, stdin = "piped" } = options;
    this.#child = new Deno.Command(command, {
      args,
      cwd: ROOT,
      env: { NO_COLOR: "", TERM: "xterm-256color", ...env },
      stdin,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = stdin === "piped" ? this.#child.stdin.getWriter() : undefined;
    this.#output = new Printed(this.#child.stdout);
    this.#errors = new Printed(this.#child.stderr);
    this.#child.status.then(() => this.#hasExited = true);
  }

  /** What the system knows it by. */
  get pid(): number {
    return this.#child.pid;
  }

  /** All of its standard output so far. */
  get stdout(): string {
    return this.#output.text;
  }

  /** All of its standard error so far. */
  get stderr(): string {
    return this.#errors.text;
  }

  /** The next line of its standard output. */
  line(): Promise<string> {
    return this.#output.line(`the process (${this.stderr})`);
  }

  /** The next line of its standard error. */
  errorLine(): Promise<string> {
    return this.#errors.line("the standard error");
  }

  /** The next line of its standard output, which must be one JSON object. */
  async object(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.line());
  }

  /** Writes to its standard input. */
  async write(text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    await within(this.#input!.write(bytes), "the process took its input");
  }

  /** Ends its standard input. */
  async endInput(): Promise<void> {
    await within(this.#input!.close(), "the process saw its input end");
  }

  /** From now on its standard output is not read, until it has ended. */
  pauseOutput(): void {
    this.#output.pause();
  }

  /** Closes its standard output, as `head` does. */
  async closeOutput(): Promise<void> {
    await this.#output.close();
  }

  /** Sends it a signal. */
  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Its exit code, once it has ended by itself and all that it printed was read. */
  async exit(): Promise<number> {
    const { code } = await within(
      this.#child.status,
      `the process ended, after ${JSON.stringify(this.stdout.slice(-500) + this.stderr)}`,
    );
    this.#output.resume();
    await within(Promise.all([this.#output.ended, this.#errors.ended]), "its output ended");
    return code;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasExited) this.#child.kill("SIGKILL");
    // It may be gone, or have ended its input, already.
    await this.#input?.abort().catch(() => {});
    await this.exit();
  }
}

/** Starts the command line. */
export function startCli(args: string[], options?: ProcessOptions): Process {
  const [deno, ...words] = cliCommand(args);
  return new Process(deno, words, options);
}

/** A server of the command line that listens. */
export class CliServer extends Process {
  /** Its first line. */
  greeting = "";
  /** Arguments that lead a client to it. */
  to: string[] = [];

  /** Starts one on a free port, unless the arguments say where. */
  static async start(args: string[] = [], options?: ProcessOptions): Promise<CliServer> {
    const where = args.includes("--unix") ? [] : ["--port", "0"];
    const [deno, ...words] = cliCommand(["server", ...where, ...args]);
    const server = new CliServer(deno, words, options);
    try {
      server.greeting = await server.line();
      server.to = where.length > 0
        ? ["--port", /:(\d+)/.exec(server.greeting)![1]]
        : ["--unix", args[args.indexOf("--unix") + 1]];
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }
}

/** What became of a process. */
export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the command line to its end. */
export async function runCli(
  args: string[],
  input: string | Uint8Array = "",
  options?: ProcessOptions,
): Promise<Outcome> {
  await using cli = startCli(args, options);
  return await finish(cli, input);
}

/** Gives a process all of its input, and waits for its end. */
export async function finish(process: Process, input: string | Uint8Array = ""): Promise<Outcome> {
  try {
    if (input.length > 0) await process.write(input);
    await process.endInput();
  } catch (error) {
    // It may have ended before it read all of that.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
  const code = await process.exit();
  return { code, stdout: process.stdout, stderr: process.stderr };
}

/** The command that runs a program file on the package as its users see it, and its arguments. */
export function programCommand(path: string, permissions: string[] = ["-A"]): string[] {
  return [Deno.execPath(), ...DENO_RUN, "--config", `${ROOT}/deno.json`, ...permissions, path];
}

/** The command line as a command and its arguments. */
export function cliCommand(args: string[]): string[] {
  return [Deno.execPath(), ...DENO_RUN, "-A", `${ROOT}/tools/cli.ts`, ...args];
}

/** Makes a directory for the time of a test. */
export async function withDirectory(act: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "pnetwork-test-" });
  try {
    await act(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
