/**
 * Packets that may be lost, waiting for a peer that is behind. Pure.
 *
 * @module
 */

/**
 * What becomes of volatile packets that a peer is too slow for: the oldest are dropped; only the newest
 * of each key is kept, and the oldest of those dropped; or the peer is.
 */
export type VolatilePolicy = "drop-oldest" | "latest" | "disconnect";

/** How a volatile packet waits. */
export interface VolatileTerms {
  /** What becomes of it if the peer is too slow. */
  policy: VolatilePolicy;
  /** For `latest`: which ones it replaces. */
  key: string;
}

interface Waiting {
  line: string;
  bytes: number;
}

/** Holds so many bytes at most, or one packet of any size. */
export class VolatileQueue {
  readonly #maxBytes: number;
  // In the order of arrival; a packet that nothing replaces has a key of its own.
  readonly #waiting = new Map<string | symbol, Waiting>();
  #bytes = 0;
  #dropped = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** How many packets wait. */
  get length(): number {
    return this.#waiting.size;
  }

  /** How many were dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Puts one at the end. `false` if the peer is to be dropped instead. */
  push(line: string, bytes: number, { policy, key }: VolatileTerms): boolean {
    if (policy === "latest") this.#drop(key);
    const isOver = () => this.length > 0 && this.#bytes + bytes > this.#maxBytes;
    if (policy === "disconnect" && isOver()) return false;
    while (isOver()) this.#drop(this.#waiting.keys().next().value!);
    this.#waiting.set(policy === "latest" ? key : Symbol(), { line, bytes });
    this.#bytes += bytes;
    return true;
  }

  /** Takes the first one out. */
  shift(): string | undefined {
    for (const [key, { line, bytes }] of this.#waiting) {
      this.#waiting.delete(key);
      this.#bytes -= bytes;
      return line;
    }
  }

  /** One was dropped that never waited. */
  drop(): void {
    this.#dropped++;
  }

  /** Drops all. */
  clear(): void {
    this.#dropped += this.length;
    this.#waiting.clear();
    this.#bytes = 0;
  }

  #drop(key: string | symbol): void {
    const waiting = this.#waiting.get(key);
    if (!waiting) return;
    this.#waiting.delete(key);
    this.#bytes -= waiting.bytes;
    this.#dropped++;
  }
}
