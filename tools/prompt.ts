/**
 * Where commands come from: a person at a terminal, or a pipe.
 *
 * @module
 */

import process from "node:process";
import { createInterface, cursorTo, type Interface, moveCursor } from "node:readline";
import { TextLineStream } from "@std/streams";
import type { Output } from "./output.ts";

/** Commands, one after the other, and questions in between. */
export interface Prompt {
  /** Whether a person is there to be asked. */
  readonly isTerminal: boolean;
  /** The commands as they come; ends when no more will. */
  lines(): AsyncIterable<string>;
  /** Asks yes or no. Nobody there is a no. */
  confirm(question: string): Promise<boolean>;
  /** Lets go of standard input. */
  close(): void;
}

/** What a terminal's prompt is told. */
export interface TerminalOptions {
  /** What stands before the line that is typed. */
  label: string;
  /** What a beginning of a line may become. */
  complete: (line: string) => [completions: string[], typed: string];
  /** Called for Ctrl-C on an empty line, or while a command runs; then the prompt comes back. */
  onInterrupt: () => Promise<void>;
}

/** A prompt for whatever standard input is. */
export function openPrompt(output: Output, options: TerminalOptions): Prompt {
  const isTerminal = Deno.stdin.isTerminal() && output.isTerminal;
  return isTerminal ? new TerminalPrompt(output, options) : new PipePrompt();
}

class PipePrompt implements Prompt {
  readonly isTerminal = false;
  readonly #cancel = new AbortController();

  async *lines(): AsyncIterable<string> {
    const lines = Deno.stdin.readable
      .pipeThrough(new TextDecoderStream(), { signal: this.#cancel.signal })
      .pipeThrough(new TextLineStream());
    try {
      yield* lines;
    } catch (error) {
      if (!this.#cancel.signal.aborted) throw error;
    }
  }

  confirm(): Promise<boolean> {
    return Promise.resolve(false);
  }

  close(): void {
    this.#cancel.abort();
  }
}

class TerminalPrompt implements Prompt {
  readonly isTerminal = true;
  readonly #readline: Interface;
  readonly #output: Output;
  /** Whether the prompt stands there, waiting for a command. */
  #isWaiting = false;
  #isClosed = false;
  #question: AbortController | undefined;

  constructor(output: Output, { label, complete, onInterrupt }: TerminalOptions) {
    this.#output = output;
    this.#readline = createInterface({
      input: process.stdin,
      output: process.stdout,
      prompt: `${label}> `,
      completer: complete,
      historySize: 500,
      removeHistoryDuplicates: true,
    });
    this.#readline.on("SIGINT", () => this.#interrupt(onInterrupt));
    this.#readline.on("close", () => {
      // By Ctrl-D: what comes next begins on a line of its own.
      if (this.#isWaiting) process.stdout.write("\n");
      this.#isWaiting = false;
      this.#isClosed = true;
    });
    output.aroundPrompt = (print) => this.#printAbove(print);
  }

  async *lines(): AsyncIterable<string> {
    const waiting: string[] = [];
    let wake = () => {};
    this.#readline.on("line", (line) => {
      this.#isWaiting = false;
      waiting.push(line);
      wake();
    });
    this.#readline.on("close", () => wake());
    while (!this.#isClosed) {
      const line = waiting.shift();
      if (line !== undefined) {
        yield line;
        continue;
      }
      const woken = new Promise<void>((resolve) => wake = resolve);
      this.#isWaiting = true;
      this.#readline.prompt();
      await woken;
    }
  }

  async confirm(question: string): Promise<boolean> {
    if (this.#isClosed) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#question = new AbortController();
    const { signal } = this.#question;
    signal.addEventListener("abort", () => resolve(false));
    this.#readline.once("close", () => resolve(false));
    this.#readline.question(`${question} [y/N] `, { signal }, (answer) => {
      resolve(/^y(es)?$/i.test(answer.trim()));
    });
    const isYes = await promise;
    this.#question = undefined;
    return isYes;
  }

  close(): void {
    this.#output.aroundPrompt = (print) => print();
    this.#isWaiting = false;
    if (!this.#isClosed) this.#readline.close();
  }

  /** Ctrl-C: no to a question, else an end to the typed line, else a question. */
  async #interrupt(onInterrupt: () => Promise<void>): Promise<void> {
    if (this.#question) {
      process.stdout.write("^C\n");
      this.#question.abort();
    } else if (this.#readline.line !== "") {
      this.#clearLine();
    } else if (this.#isWaiting) {
      this.#isWaiting = false;
      await onInterrupt();
      if (this.#isClosed) return;
      this.#isWaiting = true;
      this.#readline.prompt();
    } else {
      process.stdout.write("^C\n");
      await onInterrupt();
    }
  }

  #clearLine(): void {
    process.stdout.write("^C\n");
    this.#readline.write(null, { ctrl: true, name: "e" });
    this.#readline.write(null, { ctrl: true, name: "u" });
    this.#readline.prompt();
  }

  /** Prints where the typed line is, and puts that line below, as it was. */
  #printAbove(print: () => void): void {
    if (!this.#isWaiting || this.#isClosed) return print();
    const { rows } = this.#readline.getCursorPos();
    moveCursor(process.stdout, 0, -rows);
    cursorTo(process.stdout, 0);
    process.stdout.write("\x1b[J");
    print();
    this.#readline.prompt(true);
  }
}
