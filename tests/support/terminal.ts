/**
 * A terminal with a process in it: keys go in, and what the screen shows can be looked at.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Process } from "./cli.ts";
import { until } from "./wait.ts";

/** What a process does that is told to write to a terminal of this size. */
export class Screen {
  readonly #width: number;
  readonly #height: number;
  #rows: string[][] = [[]];
  #x = 0;
  #y = 0;
  #unread = "";

  constructor(width: number, height: number) {
    this.#width = width;
    this.#height = height;
  }

  /** The rows that are not empty, from the top, those that scrolled out of sight among them. */
  get text(): string[] {
    const rows = this.#rows.map((row) => Array.from(row, (cell) => cell ?? " ").join("").trimEnd());
    while (rows.length > 0 && rows.at(-1) === "") rows.pop();
    return rows;
  }

  /** Where the cursor is: the column, and the row as {@linkcode Screen.text} counts it. */
  get cursor(): { x: number; y: number } {
    return { x: this.#x, y: this.#y };
  }

  /**
   * Shows text.
   *
   * @throws {Error} At a control sequence that no tool here has reason to write.
   */
  write(text: string): void {
    let left = this.#unread + text;
    this.#unread = "";
    while (left !== "") {
      // deno-lint-ignore no-control-regex -- that is what terminals are about
      const sequence = /^\x1b(?:\[([\d;?]*)([A-Za-z]))?/.exec(left);
      if (!sequence) {
        const [character] = left;
        this.#put(character);
        left = left.slice(character.length);
      } else if (sequence[2] === undefined) {
        // The rest of it is yet to come.
        if (left.length > 16) throw new Error(`unexpected escape: ${JSON.stringify(left)}`);
        this.#unread = left;
        return;
      } else {
        this.#control(sequence[2], sequence[1]);
        left = left.slice(sequence[0].length);
      }
    }
  }

  get #top(): number {
    return Math.max(0, this.#rows.length - this.#height);
  }

  #put(character: string): void {
    if (character === "\r") this.#x = 0;
    else if (character === "\n") this.#down();
    else if (character === "\b") this.#x = Math.max(0, this.#x - 1);
    else if (/\p{Cc}|\p{Cf}/u.test(character)) {
      throw new Error(`unexpected control character: ${JSON.stringify(character)}`);
    } else {
      if (this.#x === this.#width) {
        this.#x = 0;
        this.#down();
      }
      this.#rows[this.#y][this.#x++] = character;
    }
  }

  #down(): void {
    this.#y++;
    if (this.#y === this.#rows.length) this.#rows.push([]);
  }

  #control(kind: string, parameters: string): void {
    const count = Number(parameters || 1);
    const x = Math.min(this.#x, this.#width - 1);
    switch (kind) {
      case "A":
        this.#y = Math.max(this.#top, this.#y - count);
        break;
      case "B":
        this.#y = Math.min(this.#rows.length - 1, this.#y + count);
        break;
      case "C":
        this.#x = Math.min(this.#width - 1, x + count);
        break;
      case "D":
        this.#x = Math.max(0, x - count);
        break;
      case "G":
        this.#x = count - 1;
        break;
      case "H":
        assertEquals(parameters, "");
        this.#x = 0;
        this.#y = this.#top;
        break;
      case "J":
        this.#erase(parameters);
        break;
      case "m":
        break;
      default:
        throw new Error(`unexpected control sequence: ${parameters}${kind}`);
    }
  }

  #erase(parameters: string): void {
    switch (parameters) {
      case "":
      case "0":
        this.#rows.length = this.#y + 1;
        this.#rows[this.#y].length = Math.min(this.#rows[this.#y].length, this.#x);
        break;
      case "2":
        for (let y = this.#top; y < this.#rows.length; y++) this.#rows[y] = [];
        break;
      case "3":
        this.#rows.splice(0, this.#top);
        this.#y = Math.min(this.#y, this.#rows.length - 1);
        break;
      default:
        throw new Error(`unexpected way to erase: ${parameters}`);
    }
  }
}

/** Keys that have no character. */
export const Key = {
  Enter: "\r",
  Tab: "\t",
  Up: "\x1b[A",
  Left: "\x1b[D",
  Backspace: "\x7f",
  CtrlA: "\x01",
  CtrlC: "\x03",
  CtrlD: "\x04",
} as const;

/** What runs in a terminal, and how large that is. */
export interface TerminalOptions {
  width?: number;
  height?: number;
  env?: Record<string, string>;
}

const HAS_SCRIPT = hasScript();

/** A terminal, and what runs in it. */
export class Terminal implements AsyncDisposable {
  readonly #process: Process;
  readonly #screen: Screen;
  #seen = 0;

  /** @param command A command and its arguments. */
  constructor(command: string[], { width = 80, height = 24, env }: TerminalOptions = {}) {
    const words = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const shell = `stty cols ${width} rows ${height}; exec ${words}`;
    this.#process = new Process("script", ["-qec", shell, "/dev/null"], { env });
    this.#screen = new Screen(width, height);
  }

  /** All that was written to the terminal. */
  get raw(): string {
    return this.#process.stdout;
  }

  /** What it shows. */
  get screen(): Screen {
    const { stdout } = this.#process;
    this.#screen.write(stdout.slice(this.#seen));
    this.#seen = stdout.length;
    return this.#screen;
  }

  /** Presses keys. Those of one call arrive at once, as what is pasted does. */
  async press(keys: string): Promise<void> {
    await this.#process.write(keys);
  }

  /** Types a line, and presses Enter. */
  async enter(line: string): Promise<void> {
    await this.press(line);
    await this.press(Key.Enter);
  }

  /** Resolves when the screen ends with these rows. */
  async shows(...rows: (string | RegExp)[]): Promise<void> {
    await until(
      () => {
        const shown = this.screen.text.slice(-rows.length);
        return shown.length === rows.length &&
          rows.every((row, at) =>
            typeof row === "string" ? row === shown[at] : row.test(shown[at])
          );
      },
      () =>
        `the screen ended with ${rows.join("\n")}\n, which shows\n${this.screen.text.join("\n")}`,
    );
  }

  /** The exit code of what ran in it. */
  exit(): Promise<number> {
    return this.#process.exit();
  }

  /** Ends it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }
}

/** A test that needs a terminal. Where none can be made its name says so. */
export function testTerminal(behaviour: string, act: () => Promise<void>): void {
  const name = HAS_SCRIPT ? behaviour : `${behaviour} (ignored: needs script of util-linux)`;
  Deno.test({ name, ignore: !HAS_SCRIPT, fn: act });
}

function hasScript(): boolean {
  try {
    const { stdout } = new Deno.Command("script", { args: ["--version"] }).outputSync();
    return new TextDecoder().decode(stdout).includes("util-linux");
  } catch {
    return false;
  }
}
