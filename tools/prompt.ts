/**
 * Where commands come from: a person at a terminal, or a pipe.
 *
 * @module
 */

import process from "node:process";
import { createInterface, cursorTo, type Interface, moveCursor } from "node:readline";
import { Writable } from "node:stream";
import { TextLineStream } from "@std/streams";
import { sanitize } from "../sanitize.ts";
import { type Output, writeSync } from "./output.ts";
import type { StandardStreams } from "./streams.ts";

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
  /** Called for Ctrl-C on an empty line; then the prompt comes back. */
  onInterrupt: () => Promise<void>;
  /** Called for Ctrl-C while a command runs. */
  onAbandon: () => void;
}

/** A prompt for whatever standard input is. */
export function openPrompt(output: Output, options: TerminalOptions): Prompt {
  const { stdin } = output.streams;
  const isTerminal = stdin.isTerminal() && output.isTerminal && !output.isDumb;
  return isTerminal ? new TerminalPrompt(output, options) : new PipePrompt(stdin);
}

class PipePrompt implements Prompt {
  readonly isTerminal = false;
  readonly #stdin: StandardStreams["stdin"];
  readonly #cancel = new AbortController();

  constructor(stdin: StandardStreams["stdin"]) {
    this.#stdin = stdin;
  }

  async *lines(): AsyncIterable<string> {
    const lines = this.#stdin.readable
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

/** The part of the terminal that readline writes to: nothing, while a command runs. */
class Screen extends Writable {
  isMuted = true;
  readonly #resized = () => this.emit("resize");

  constructor() {
    super({
      decodeStrings: false,
      write: (text, _encoding, done) => {
        if (!this.isMuted) writeSync(Deno.stdout, text);
        done();
      },
    });
    process.stdout.on("resize", this.#resized);
  }

  /** For readline: how wide it is. */
  get columns(): number {
    return process.stdout.columns;
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    process.stdout.off("resize", this.#resized);
    done(error);
  }
}

/** A line that was entered. */
interface Entered {
  line: string;
  /** Whether it stands on the screen; what was typed while a command ran does not. */
  isShown: boolean;
}

class TerminalPrompt implements Prompt {
  readonly isTerminal = true;
  readonly #readline: Interface;
  readonly #screen = new Screen();
  readonly #output: Output;
  readonly #options: TerminalOptions;
  readonly #entered: Entered[] = [];
  #state: "waiting" | "running" | "asking" | "closed" = "running";
  #wasInterrupted = false;
  #question = new AbortController();
  #answer = (_isYes: boolean) => {};
  #wake = () => {};

  constructor(output: Output, options: TerminalOptions) {
    this.#output = output;
    this.#options = options;
    this.#readline = createInterface({
      input: process.stdin,
      output: this.#screen,
      terminal: true,
      prompt: this.#label,
      completer: options.complete,
      historySize: 500,
      removeHistoryDuplicates: true,
    });
    this.#readline.on("line", (line) => this.#enter(line));
    this.#readline.on("history", (history) => {
      // An answer is no command.
      if (this.#state === "asking") history.shift();
    });
    this.#readline.on("SIGINT", () => this.#interrupt());
    this.#readline.on("SIGCONT", () => {
      // Back from Ctrl-Z, readline draws the line anew, and would read nothing.
      this.#forgetRows();
      this.#readline.resume();
    });
    this.#readline.on("close", () => {
      // What comes next begins on a line of its own.
      if (this.#isShown) this.#screen.write("\n");
      this.#become("closed");
      this.#answer(false);
      this.#wake();
    });
    output.aroundPrompt = (print) => this.#printAbove(print);
  }

  async *lines(): AsyncIterable<string> {
    for (;;) {
      const entered = this.#entered.shift();
      if (entered) {
        const { line, isShown } = entered;
        if (!isShown) writeSync(Deno.stdout, `${this.#label}${sanitize(line)}\n`);
        yield line;
      } else if (this.#state === "closed") {
        return;
      } else {
        const woken = new Promise<void>((resolve) => this.#wake = resolve);
        this.#become("waiting");
        this.#redraw();
        await woken;
        if (this.#wasInterrupted) {
          this.#wasInterrupted = false;
          await this.#options.onInterrupt();
        }
      }
    }
  }

  async confirm(question: string): Promise<boolean> {
    if (this.#state === "closed") return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#answer = resolve;
    this.#question = new AbortController();
    const { signal } = this.#question;
    // What was typed before the question is no answer to it.
    this.#dropLine();
    this.#become("asking");
    this.#forgetRows();
    this.#readline.question(`${question} [y/N] `, { signal }, (answer) => {
      this.#become("running");
      resolve(/^y(es)?$/i.test(answer.trim()));
    });
    return await promise;
  }

  close(): void {
    if (this.#state !== "closed") this.#readline.close();
    this.#output.aroundPrompt = (print) => print();
    this.#screen.destroy();
  }

  get #label(): string {
    return `${this.#options.label}> `;
  }

  /** Whether a line that is being typed stands on the screen. */
  get #isShown(): boolean {
    return this.#state === "waiting" || this.#state === "asking";
  }

  #become(state: "waiting" | "running" | "asking" | "closed"): void {
    this.#state = state;
    this.#screen.isMuted = !this.#isShown;
  }

  #enter(line: string): void {
    this.#entered.push({ line, isShown: this.#isShown });
    if (this.#isShown) this.#become("running");
    this.#wake();
  }

  #interrupt(): void {
    switch (this.#state) {
      case "asking":
        this.#screen.write("^C");
        this.#question.abort();
        this.#become("running");
        this.#answer(false);
        break;
      case "running":
        writeSync(Deno.stdout, "^C\n");
        this.#entered.length = 0;
        this.#dropLine();
        this.#options.onAbandon();
        break;
      case "waiting":
        if (this.#readline.line !== "") return this.#clearLine();
        this.#wasInterrupted = true;
        this.#wake();
    }
  }

  #clearLine(): void {
    this.#readline.write(null, { ctrl: true, name: "e" });
    this.#screen.write("^C\n");
    this.#dropLine();
    this.#redraw();
  }

  /** Forgets what has been typed, and leaves the screen as it is. */
  #dropLine(): void {
    const { isMuted } = this.#screen;
    this.#screen.isMuted = true;
    this.#readline.write(null, { ctrl: true, name: "e" });
    this.#readline.write(null, { ctrl: true, name: "u" });
    this.#screen.isMuted = isMuted;
  }

  /** Prints where the typed line is, and puts that line below, as it was. */
  #printAbove(print: () => void): void {
    if (!this.#isShown) return print();
    const { rows } = this.#readline.getCursorPos();
    moveCursor(this.#screen, 0, -rows);
    cursorTo(this.#screen, 0);
    this.#screen.write("\x1b[J");
    print();
    this.#redraw();
  }

  /** Draws the line that is being typed where the cursor is. */
  #redraw(): void {
    this.#forgetRows();
    this.#readline.prompt(true);
  }

  /** Else readline would go up first, by the rows of the line that it drew last. */
  #forgetRows(): void {
    (this.#readline as unknown as { prevRows: number }).prevRows = 0;
  }
}
