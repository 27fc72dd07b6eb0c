/**
 * What the tools print, and where.
 *
 * @module
 */

import { styleText } from "node:util";
import { BufferPool } from "../buffer_pool.ts";
import { TextBuffer } from "../text_buffer.ts";
import type { StandardStreams } from "./streams.ts";
import type { Row } from "./table.ts";

/** How something is meant. */
export type Tone = "plain" | "good" | "bad" | "faint";

const STYLES = { good: "green", bad: "red", faint: "dim" } as const;
const HIGH_WATER = 1_048_576;
const CLEAR_SCREEN = "\x1b[H\x1b[2J\x1b[3J";

const encoder = new TextEncoder();

/** Lines to standard output, in order, and as fast as whoever reads them. */
export class Output {
  /** Whether each line is one JSON object. */
  readonly isJson: boolean;
  /** Where it goes, and where answers come from. */
  readonly streams: StandardStreams;
  /** Whether a person is looking. */
  readonly isTerminal: boolean;
  /** Whether the terminal understands lines of text and nothing else. */
  readonly isDumb: boolean = isDumb();
  /** Set by a prompt, so that what is printed leaves the line that is being typed alone. */
  aroundPrompt: (print: () => void) => void = (print) => print();
  /** Called once, when standard output cannot be written any more: its reader left, as `head` does. */
  onBroken: () => void = () => {};

  #state: "open" | "broken" = "open";
  #failure: unknown;
  /** Two of them, in turn: one is filled while the other is written. */
  #waiting: TextBuffer;
  #spare: TextBuffer;
  #writing: Promise<void> | undefined;

  /** @param streams Those of the process, unless it says otherwise. */
  constructor(options: { json?: boolean } = {}, streams: StandardStreams = Deno) {
    this.isJson = options.json ?? false;
    this.streams = streams;
    this.isTerminal = streams.stdout.isTerminal();
    const buffers = new BufferPool();
    this.#waiting = new TextBuffer(buffers);
    this.#spare = new TextBuffer(buffers);
  }

  /**
   * Prints text, which is fit to be shown already, as one or more lines.
   *
   * @returns Resolves when there is room for more; nothing, where there is.
   */
  line(text: string): Promise<void> | undefined {
    if (this.#state === "broken") return;
    if (this.isTerminal) {
      this.aroundPrompt(() => this.#writeToTerminal(text + "\n"));
      return;
    }
    this.#waiting.pushLine(text);
    this.#writing ??= this.#writeAll();
    return this.#waiting.length > HIGH_WATER ? this.#writing : undefined;
  }

  /** Prints one line for people, or one object for programs. */
  say(
    text: string,
    object: Record<string, unknown>,
    tone: Tone = "plain",
  ): Promise<void> | undefined {
    return this.line(this.isJson ? this.json(object) : this.paint(text, tone));
  }

  /** Prints a table for people, or one object for programs. */
  async table(rows: Row[], object: Record<string, unknown>, none: string): Promise<void> {
    if (this.isJson) return await this.line(this.json(object));
    if (rows.length === 0) return await this.line(this.paint(none, "faint"));
    // What it takes to know widths is a quarter of the time that a command takes to start.
    const { formatTable } = await import("./table.ts");
    const [head, ...body] = formatTable(rows);
    await this.line([this.paint(head, "faint"), ...body].join("\n"));
  }

  /** Prints one line for people, or one object for programs, to standard error. */
  fail(text: string, object: Record<string, unknown>, tone: Tone = "bad"): void {
    const { stderr } = this.streams;
    const isTerminal = stderr.isTerminal();
    const line = this.isJson ? toJson(object, isTerminal) : this.#colour(text, tone, isTerminal);
    // It may be the same terminal as that of the prompt.
    if (isTerminal) this.aroundPrompt(() => complain(line, stderr));
    else complain(line, stderr);
  }

  /** Clears the screen, where there is one. */
  clear(): void {
    if (!this.isTerminal || this.isDumb || this.isJson) return;
    this.aroundPrompt(() => this.#writeToTerminal(CLEAR_SCREEN));
  }

  /**
   * A value as JSON. Where a person is looking, whatever could move the cursor or reorder the line is
   * escaped, and it is still the same JSON; where a program is, it is what `JSON.stringify` gives.
   */
  json(value: unknown): string {
    return toJson(value, this.isTerminal);
  }

  /** Colours text, on a terminal that wants colours. */
  paint(text: string, tone: Tone): string {
    return this.#colour(text, tone, this.isTerminal);
  }

  /** Resolves when all that was printed is written. Rejects if some of it could not be. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#failure) throw this.#failure;
  }

  #colour(text: string, tone: Tone, isTerminal: boolean): string {
    if (!isTerminal || tone === "plain" || Deno.noColor || this.isDumb) return text;
    // Asked to look at the stream itself, it would want leave to read the environment.
    return styleText(STYLES[tone], text, { validateStream: false });
  }

  #writeToTerminal(text: string): void {
    try {
      writeSync(this.streams.stdout, text);
    } catch (error) {
      this.#break(error);
    }
  }

  async #writeAll(): Promise<void> {
    // One write for all that is printed in a turn.
    await Promise.resolve();
    try {
      while (this.#waiting.length > 0) {
        const full = this.#waiting;
        this.#waiting = this.#spare;
        this.#spare = full;
        for (let written = 0; written < full.length;) {
          written += await this.streams.stdout.write(full.bytes.subarray(written));
        }
        full.clear();
      }
    } catch (error) {
      this.#break(error);
    }
    this.#writing = undefined;
  }

  /** Nothing can be said to anyone any more. */
  #break(error: unknown): void {
    if (this.#state === "broken") return;
    this.#state = "broken";
    this.#waiting.clear();
    if (!(error instanceof Deno.errors.BrokenPipe)) this.#failure = error;
    this.onBroken();
  }
}

/** Writes all of a text, however long the other end takes for it. */
export function writeSync(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = encoder.encode(text);
  for (let written = 0; written < bytes.length;) written += to.writeSync(bytes.subarray(written));
}

/** Says one line on standard error. */
export function complain(line: string, stderr: StandardStreams["stderr"]): void {
  try {
    writeSync(stderr, line + "\n");
  } catch {
    // Nobody is listening.
  }
}

function isDumb(): boolean {
  // Without leave to look, it is not worth asking for.
  const { state } = Deno.permissions.querySync({ name: "env", variable: "TERM" });
  return state === "granted" && Deno.env.get("TERM") === "dumb";
}

function toJson(value: unknown, isForTerminal: boolean): string {
  return isForTerminal ? safeJson(value) : JSON.stringify(value) ?? "null";
}

/** A value as JSON that cannot move the cursor or reorder the line. */
export function safeJson(value: unknown): string {
  const json = JSON.stringify(value) ?? "null";
  return json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu, escapeForJson);
}

function escapeForJson(unsafe: string): string {
  return Array.from(
    { length: unsafe.length },
    (_, at) => "\\u" + unsafe.charCodeAt(at).toString(16).padStart(4, "0"),
  ).join("");
}
