/**
 * What the tools print, and where.
 *
 * @module
 */

import process from "node:process";
import { styleText } from "node:util";
import stringWidth from "string-width";
import { sanitize } from "../sanitize.ts";

/** One row of a table: a value by column. */
export type Row = Record<string, string | number | boolean | null>;

/** How something is meant. */
export type Tone = "plain" | "good" | "bad" | "faint";

const STYLES = { good: "green", bad: "red", faint: "dim" } as const;
const HIGH_WATER = 262_144;

/** Lines to standard output, in order, and as fast as whoever reads them. */
export class Output {
  /** Whether each line is one JSON object. */
  readonly isJson: boolean;
  /** Whether a person is looking. */
  readonly isTerminal: boolean = Deno.stdout.isTerminal();
  /** Set by a prompt, so that what is printed leaves the line that is being typed alone. */
  aroundPrompt: (print: () => void) => void = (print) => print();

  #queue: string[] = [];
  #queued = 0;
  #writing: Promise<void> | undefined;
  readonly #encoder = new TextEncoder();

  constructor(options: { json?: boolean } = {}) {
    this.isJson = options.json ?? false;
  }

  /**
   * Prints text, which is fit to be shown already, as one or more lines.
   *
   * @returns Resolves when there is room for more; nothing, where there is.
   */
  line(text: string): Promise<void> | undefined {
    if (this.isTerminal) {
      this.aroundPrompt(() => process.stdout.write(text + "\n"));
      return;
    }
    this.#queue.push(text);
    this.#queued += text.length + 1;
    this.#writing ??= this.#writeAll();
    return this.#queued > HIGH_WATER ? this.#writing : undefined;
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
  table(rows: Row[], object: Record<string, unknown>, none: string): Promise<void> | undefined {
    if (this.isJson) return this.line(this.json(object));
    return this.line(rows.length === 0 ? this.paint(none, "faint") : this.#format(rows));
  }

  /** Prints one line for people, or one object for programs, to standard error. */
  fail(text: string, object: Record<string, unknown>): void {
    const line = this.isJson ? this.json(object) : text;
    this.aroundPrompt(() => process.stderr.write(line + "\n"));
  }

  /**
   * A value as JSON. Where a person is looking, whatever could move the cursor or reorder the line is
   * escaped, and it is still the same JSON; where a program is, it is what `JSON.stringify` gives.
   */
  json(value: unknown): string {
    const json = JSON.stringify(value) ?? "null";
    if (!this.isTerminal) return json;
    return json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu, escapeForJson);
  }

  /** Colours text, on a terminal that wants colours. */
  paint(text: string, tone: Tone): string {
    if (tone === "plain") return text;
    return styleText(STYLES[tone], text, { stream: process.stdout, validateStream: true });
  }

  /** Resolves when all that was printed is written. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    // One write for all that is printed in a turn.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const bytes = this.#encoder.encode(this.#queue.join("\n") + "\n");
      this.#queue = [];
      this.#queued = 0;
      try {
        for (let written = 0; written < bytes.length;) {
          written += await Deno.stdout.write(bytes.subarray(written));
        }
      } catch (error) {
        // Whoever read this has left, as `head` does: there is nothing more to say to anyone.
        if (error instanceof Deno.errors.BrokenPipe) Deno.exit(0);
        throw error;
      }
    }
    this.#writing = undefined;
  }

  #format(rows: Row[]): string {
    const columns = Object.keys(rows[0]);
    const cells = rows.map((row) => columns.map((column) => cell(row[column])));
    const widths = columns.map((column, at) =>
      Math.max(stringWidth(column), ...cells.map((row) => stringWidth(row[at])))
    );
    const isNumeric = columns.map((column) => rows.every((row) => typeof row[column] === "number"));
    const align = (row: string[]) =>
      row.map((text, at) => {
        const space = " ".repeat(widths[at] - stringWidth(text));
        return isNumeric[at] ? space + text : text + space;
      }).join("  ").trimEnd();
    return [this.paint(align(columns), "faint"), ...cells.map(align)].join("\n");
  }
}

function cell(value: Row[string]): string {
  return value === null ? "-" : sanitize(String(value), 120);
}

function escapeForJson(unsafe: string): string {
  return Array.from(
    { length: unsafe.length },
    (_, at) => "\\u" + unsafe.charCodeAt(at).toString(16).padStart(4, "0"),
  ).join("");
}
