/**
 * How far a long piece of work is, for whoever watches it.
 *
 * @module
 */

import { writeSync } from "./output.ts";
import type { StandardStreams } from "./streams.ts";

/** How often progress is shown, in packets. */
const PROGRESS_PACKETS = 5_000;

/** One line on standard error that is written over again and again, where a person looks at it. */
export class Progress {
  readonly #stderr: StandardStreams["stderr"];
  readonly #isShown: boolean;
  readonly #counts: boolean;
  readonly #start = performance.now();
  #count = 0;
  #attempt = 0;
  #widest = 0;

  /**
   * @param stderr Where it is shown.
   * @param isShown Whether a person looks at it.
   * @param counts Whether there are many packets to be counted.
   */
  constructor(stderr: StandardStreams["stderr"], isShown: boolean, counts: boolean) {
    this.#stderr = stderr;
    this.#isShown = isShown;
    this.#counts = counts;
  }

  /** So many packets have been sent. */
  sent(count: number): void {
    this.#count = count;
    if (this.#counts && this.#attempt === 0 && count % PROGRESS_PACKETS === 0) this.#draw();
  }

  /** The connection is lost, and is being made again. */
  retry(attempt: number): void {
    this.#attempt = attempt;
    this.#draw();
  }

  /** The connection is back. */
  resumed(): void {
    this.#attempt = 0;
    this.#draw();
  }

  /** Nothing more will come. */
  end(): void {
    this.#attempt = 0;
    if (this.#counts) this.#draw("\n");
    else if (this.#widest > 0) this.#draw("\r");
  }

  #draw(ending = ""): void {
    if (!this.#isShown) return;
    const text = this.#text();
    this.#widest = Math.max(this.#widest, text.length);
    // Blanks, so that nothing is left of what stood there: not every terminal can erase.
    writeSync(this.#stderr, `\r${text.padEnd(this.#widest)}${ending}`);
  }

  #text(): string {
    const packets = `${this.#count.toLocaleString("en")} packet${this.#count === 1 ? "" : "s"}`;
    if (this.#attempt > 0) {
      const reconnecting = `reconnecting, attempt ${this.#attempt}`;
      return this.#counts ? `${packets}, ${reconnecting}` : reconnecting;
    }
    if (!this.#counts) return "";
    const seconds = (performance.now() - this.#start) / 1_000;
    const rate = Math.round(this.#count / Math.max(seconds, 0.001));
    return `${packets}, ${rate.toLocaleString("en")} a second`;
  }
}
