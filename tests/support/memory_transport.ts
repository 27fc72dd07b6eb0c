/**
 * Transports in memory, whose bytes come in whatever pieces a test wants.
 *
 * @module
 */

import { Changes } from "../../changes.ts";
import type { Transport } from "../../transport.ts";
import { concat } from "./bytes.ts";

/** How bytes are cut on their way. `at` is where the first of them stands among all. */
export type Slice = (bytes: Uint8Array, at: number) => Uint8Array[];

/** Pieces of this size. */
export function slicesOf(size: number): Slice {
  return (bytes) => {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
    return pieces;
  };
}

/** A single cut, before this byte of all. */
export function cutBefore(place: number): Slice {
  return (bytes, at) => {
    const inside = Math.max(0, Math.min(place - at, bytes.length));
    return [bytes.subarray(0, inside), bytes.subarray(inside)].filter(({ length }) => length > 0);
  };
}

const WHOLE: Slice = (bytes) => [bytes];

/** One end: a transport for the code under test, and for a script that plays the other side. */
export class MemoryEnd implements Transport {
  readonly address = "memory";
  /** What was written here, write by write. */
  readonly writes: Uint8Array[] = [];
  /** No single write takes more. */
  maxWriteBytes = Infinity;

  readonly #slice: Slice;
  readonly #arrived: Uint8Array<ArrayBuffer>[] = [];
  readonly #changes = new Changes();
  #other!: MemoryEnd;
  #unread: Uint8Array<ArrayBuffer>[] = [];
  #lent: Uint8Array | undefined;
  #sent = 0;
  #end: "fin" | undefined;
  #isClosed = false;

  constructor(slice: Slice) {
    this.#slice = slice;
  }

  /** Joins two of them. */
  static join(left: MemoryEnd, right: MemoryEnd): void {
    [left.#other, right.#other] = [right, left];
  }

  /** All bytes that have come here. */
  get received(): Uint8Array {
    return concat(this.#arrived);
  }

  /** Whether the other side has ended its bytes. */
  get ended(): "fin" | undefined {
    return this.#end;
  }

  /** Whether this side was closed. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  async read(): Promise<Uint8Array | null> {
    // Whoever still looks at the last one finds that it is not theirs any more.
    this.#lent?.fill(0xee);
    await this.#changes.until(() => this.#unread.length > 0 || !!this.#end || this.#isClosed);
    if (this.#isClosed) throw new Deno.errors.Interrupted("closed");
    this.#lent = this.#unread.shift();
    return this.#lent ?? null;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await Promise.resolve();
    if (this.#isClosed) throw new Deno.errors.BadResource("closed");
    const taken = bytes.slice(0, this.maxWriteBytes);
    this.writes.push(taken);
    for (const piece of this.#slice(taken, this.#sent)) this.#other.#arrive(piece);
    this.#sent += taken.length;
    return taken.length;
  }

  /** For scripts: sends all of this. */
  async send(...parts: (string | Uint8Array)[]): Promise<void> {
    for (const part of parts) {
      await this.write(typeof part === "string" ? new TextEncoder().encode(part) : part);
    }
  }

  closeWrite(): Promise<void> {
    this.#other.#finish();
    return Promise.resolve();
  }

  close(): void {
    this.#isClosed = true;
    this.#changes.notify();
    this.#other.#finish();
  }

  #arrive(bytes: Uint8Array): void {
    this.#arrived.push(bytes.slice());
    this.#unread.push(bytes.slice());
    this.#changes.notify();
  }

  #finish(): void {
    this.#end ??= "fin";
    this.#changes.notify();
  }
}

/** Two of them that are joined, and how what each of them writes is cut. */
export function memoryPair(left = WHOLE, right = WHOLE): [left: MemoryEnd, right: MemoryEnd] {
  const ends: [MemoryEnd, MemoryEnd] = [new MemoryEnd(left), new MemoryEnd(right)];
  MemoryEnd.join(...ends);
  return ends;
}
