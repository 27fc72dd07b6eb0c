/**
 * What was sent against what arrived. Pure: no socket, no timer, no clock.
 *
 * @module
 */

/** What one side saw of a stream of numbers. */
export interface Arrived {
  /** The highest number. */
  last: number;
  /** Those below it that did not come. */
  missing: number[];
  /** How many came again. */
  duplicated: number;
  /** How many came after a higher one, or at another place among other streams than they were sent. */
  reordered: number;
}

/** What one side has sent of a stream. */
export interface Sent {
  /** How many numbers were given. */
  count: number;
  /** Those that were taken back before they were sent. */
  withdrawn: number[];
}

/** What became of a stream, or of several together. */
export interface Findings {
  /** Sent, and never arrived. */
  lost: number;
  /** Arrived once more. */
  duplicated: number;
  /** Arrived too late. */
  reordered: number;
  /** Arrived, and had never been sent, or had been taken back. */
  unsent: number;
}

/** Watches the numbers 1, 2, 3 … arrive. */
export class History {
  readonly #missing = new Set<number>();
  #last = 0;
  #duplicated = 0;
  #reordered = 0;

  /** The highest number so far. */
  get last(): number {
    return this.#last;
  }

  /** How many numbers came that should not have, or not then. */
  get troubles(): number {
    return this.#duplicated + this.#reordered;
  }

  /** One has arrived. */
  take(number: number): void {
    if (number > this.#last) {
      for (let skipped = this.#last + 1; skipped < number; skipped++) this.#missing.add(skipped);
      this.#last = number;
    } else if (this.#missing.delete(number)) {
      this.#reordered++;
    } else {
      this.#duplicated++;
    }
  }

  /** One arrived that was sent when other streams were this far, which are now that far. */
  compareMarks(sent: readonly number[], now: readonly number[]): void {
    if (sent.some((mark, index) => mark !== now[index])) this.#reordered++;
  }

  /** What was seen. */
  arrived(): Arrived {
    return {
      last: this.#last,
      missing: [...this.#missing],
      duplicated: this.#duplicated,
      reordered: this.#reordered,
    };
  }
}

/** Compares both ends of a stream, when all is over. */
export function judge({ count, withdrawn }: Sent, arrived: Arrived): Findings {
  const { last, missing, duplicated, reordered } = arrived;
  const withheld = new Set(withdrawn);
  const absent = new Set(missing);
  for (let number = last + 1; number <= count; number++) absent.add(number);
  const isLost = (number: number) => number <= count && !withheld.has(number);
  return {
    lost: [...absent].filter(isLost).length,
    duplicated,
    reordered,
    unsent: [...withheld].filter((number) => !absent.has(number)).length +
      Math.max(0, last - count),
  };
}

/** Compares a stream whose packets may be lost. */
export function judgeVolatile(count: number, arrived: Arrived): Findings {
  return { ...judge({ count, withdrawn: [] }, arrived), lost: 0 };
}

/** All of them together. */
export function sum(findings: Iterable<Findings>): Findings {
  const all: Findings = { lost: 0, duplicated: 0, reordered: 0, unsent: 0 };
  for (const one of findings) {
    for (const name of Object.keys(all) as (keyof Findings)[]) all[name] += one[name];
  }
  return all;
}
