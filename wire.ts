/**
 * One socket's life: lines in, lines out, their limits and their times.
 *
 * @module
 */

import { BufferPool } from "./buffer_pool.ts";
import { Changes } from "./changes.ts";
import { LineDecoder } from "./codec.ts";
import { ConnectionError, type PnetworkError } from "./errors.ts";
import { nextTurn } from "./next_turn.ts";
import { Once } from "./once.ts";
import type { ResolvedLimits } from "./options.ts";
import type { Seat, Sweep, Sweepable } from "./sweep.ts";
import { TextBuffer } from "./text_buffer.ts";
import type { Transport } from "./transport.ts";

/** What a wire is given besides its transport. */
export interface WireOptions {
  /** Its limits. */
  limits: ResolvedLimits;
  /** The longest first line, in bytes. */
  maxFirstLineBytes?: number;
  /** What watches its times. */
  sweep: Sweep;
}

/** Whoever reads a wire. */
export interface WireHolder {
  /** The wire has failed, or the peer is too slow to go on with: the holder ends it. */
  fault(error: PnetworkError): void;
  /** The lines of a turn are about to be written: whatever else is to go with them comes now. */
  beforeWrite(): void;
}

/** Above this much waiting, senders that wait are asked to. It is one large write. */
const HIGH_WATER = 65_536;
/** So much may be written before the turn is over. */
const EARLY_BYTES = 4_096;
/** What all wires of the process write from. */
const buffers = new BufferPool();
/** How long the other side may go on sending once this one has said goodbye. */
const LINGER_MS = 1_000;
/** What keeps a line that is arriving, or a peer that is slow, from counting as stalled. */
const MIN_LINE_BYTES_PER_SECOND = 1_024;
const MIN_TAKEN_BYTES = 65_536;

/** What a wire that has ended has in the place of its own. It asks nothing of them any more. */
const NO_TRANSPORT: Transport = {
  address: "nowhere",
  read: () => Promise.resolve(null),
  write: (bytes) => Promise.resolve(bytes.length),
  closeWrite: () => Promise.resolve(),
  close: () => {},
};
const NO_DECODER = new LineDecoder();

/**
 * A wire is never reset: whoever comes back gets a new one.
 *
 * It reads when it is asked to. It writes by itself, many lines at once.
 */
export class Wire implements Sweepable {
  /** For the sweep. */
  seat: Seat | undefined;
  /** Where the other side is, for people. */
  readonly address: string;
  /** Who is told of faults. Without one they end the wire. */
  holder: WireHolder | undefined;

  #transport: Transport;
  #decoder: LineDecoder;
  readonly #limits: ResolvedLimits;
  readonly #sweep: Sweep;
  readonly #changes = new Changes();
  readonly #closed = new Once<void>();

  #state: "open" | "ending" | "closed" = "open";
  #failure: PnetworkError | undefined;

  #unread: string[] = [];
  /** What was read and not taken. */
  #chunk: Uint8Array | undefined;
  #reading = false;
  #listeningSince = 0;
  #inputEnded = false;
  #bytesRead = 0;
  #bytesWritten = 0;
  #linesQueued = 0;
  #linesOffered = 0;

  /** Two of them, in turn: one is filled while the other is written. */
  #waiting = new TextBuffer(buffers);
  #spare = new TextBuffer(buffers);
  #unwritten = 0;
  #writing: "no" | "soon" | "now" = "no";

  /** What has come of a line, or of whatever the transport makes lines of. */
  #partialBytes = 0;
  readonly #partialLine = new Watch();
  readonly #stall = new Watch();
  /** When a wire that is ending is closed at the latest. */
  #closeBy = Infinity;

  constructor(transport: Transport, { limits, maxFirstLineBytes, sweep }: WireOptions) {
    this.address = transport.address;
    this.#transport = transport;
    this.#limits = limits;
    this.#sweep = sweep;
    this.#decoder = new LineDecoder({
      maxLineBytes: limits.maxPacketBytes,
      maxFirstLineBytes: maxFirstLineBytes ?? limits.maxPacketBytes,
    });
    sweep.add(this);
  }

  /** Resolves when the socket is closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Whether the other side has ended its bytes. */
  get inputEnded(): boolean {
    return this.#inputEnded;
  }

  /** How many bytes wait to be written. */
  get buffered(): number {
    return this.#isClosed() ? 0 : this.#unwritten + this.#waiting.length;
  }

  /** No fewer than that, for less than it costs to count them. */
  get maxBuffered(): number {
    return this.#isClosed() ? 0 : this.#unwritten + this.#waiting.maxLength;
  }

  /** Whether a sender that can wait should. */
  get isCongested(): boolean {
    return this.#isAbove(Math.min(HIGH_WATER, this.#limits.maxBufferedBytes / 2));
  }

  /** Bytes read so far. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes written so far. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** How many lines were queued so far. */
  get linesQueued(): number {
    return this.#linesQueued;
  }

  /** How many of them may have reached the other side: written, or being written now. */
  get linesOffered(): number {
    return this.#linesOffered;
  }

  /**
   * Since when it has waited for bytes, on the sweep's clock; `undefined` while nobody asks for any, and
   * the other side's silence means nothing.
   */
  get silentSince(): number | undefined {
    return this.#reading ? this.#listeningSince : undefined;
  }

  /** What the wire waits for, for people. */
  get waitsFor(): { read: string; write: string } {
    return {
      read: this.#reading ? "bytes" : this.#inputEnded ? "nothing: the input has ended" : "room",
      write: this.#writing !== "no"
        ? `the peer to take ${this.buffered} bytes`
        : "something to send",
    };
  }

  /**
   * The next lines. Reads only when it is called, so that whoever stops calling stops the peer.
   *
   * @returns At least one line; `undefined` at the end of the bytes.
   * @throws {ProtocolError} `PACKET_TOO_LARGE`, `BAD_UTF8`, after the lines that came before.
   * @throws {ConnectionError} `CONNECTION_LOST`, if the socket failed.
   */
  async read(): Promise<string[] | undefined> {
    for (;;) {
      const lines = this.take();
      if (lines?.length !== 0) return lines;
      await this.fill();
    }
  }

  /**
   * The lines of what was read: {@linkcode Wire.read} for those who call {@linkcode Wire.fill} themselves.
   * Where many wires have something to read, all are filled before whoever waits for them goes on: what they
   * hold as bytes until then costs nothing, and lines would survive a garbage collection.
   *
   * @returns None, if there are none yet; `undefined` at the end of the bytes. Throws as it does.
   */
  take(): string[] | undefined {
    if (this.#unread.length > 0) return this.#unread.splice(0);
    const chunk = this.#chunk;
    this.#chunk = undefined;
    // After a goodbye nothing more is of interest, and end() reads the rest.
    if (chunk && this.#state === "open") {
      const lines = this.#decoder.decode(chunk);
      this.#watchPartialLine(lines.length > 0);
      if (lines.length > 0) return lines;
    }
    if (this.#state === "open" && this.#decoder.failure) throw this.#decoder.failure;
    if (this.#failure) throw this.#failure;
    if (this.#inputEnded || this.#state !== "open") return undefined;
    return [];
  }

  /** Resolves when something was read, or nothing will be. What was read before is to be taken first. */
  async fill(): Promise<void> {
    this.#reading = true;
    this.#listeningSince = this.#sweep.recent;
    let chunk: Uint8Array | null = null;
    try {
      chunk = await this.#transport.read();
    } catch (cause) {
      // A read that fails while this side is leaving is the end that it waits for.
      if (this.#state === "open") this.#failure ??= lost(cause);
    }
    this.#reading = false;
    if (chunk) {
      this.#bytesRead += chunk.length;
      this.#chunk = chunk;
    } else {
      this.#inputEnded = true;
    }
    this.#changes.notify();
  }

  /** Reads a single line and leaves the others to {@linkcode Wire.read}. */
  async readLine(): Promise<string | undefined> {
    const lines = await this.read();
    if (!lines) return undefined;
    this.#unread = lines.slice(1);
    return lines[0];
  }

  /**
   * Queues a line. All of a turn's lines are written at once, at its end, unless
   * {@linkcode Wire.writeEarly} is called before; what comes while a write is under way goes out together.
   */
  write(line: string): void {
    if (this.#state !== "open") return;
    this.#push(line);
  }

  /** Writes before the end of the turn what makes a write of its own: the other side waits for it. */
  writeEarly(): void {
    if (this.#writing === "soon" && this.#waiting.minLength >= EARLY_BYTES) this.#writeAll();
  }

  /** Whether lines wait for the end of the turn. */
  get isCollecting(): boolean {
    return this.#writing === "soon";
  }

  /** Resolves when a sender that can wait need not any more, or when the wire has ended. */
  room(): Promise<void> {
    return this.#changes.until(() => !this.isCongested || this.#state === "closed");
  }

  /**
   * Ends the wire so that the last line arrives: writes what waits, then this line, ends the output,
   * and closes when the other side has ended too, or has had its time.
   *
   * @param lastLine What to say last. Without one the other side has said its own: nothing more comes
   * from there that would have to be waited for.
   * @param flushTimeoutMs How long what waits may take to be written; a second at least.
   * @returns Resolves when the socket is closed.
   */
  end(lastLine?: string, flushTimeoutMs: number = this.#limits.drainTimeoutMs): Promise<void> {
    if (this.#state === "open") {
      if (lastLine !== undefined) this.#push(lastLine);
      this.#state = "ending";
      this.#leave({ isAnswer: lastLine === undefined, flushTimeoutMs });
    }
    return this.closed;
  }

  /** Ends the wire at once. What waits is lost. */
  abort(failure?: PnetworkError): void {
    if (this.#isClosed()) return;
    this.#failure ??= failure;
    this.#close();
  }

  /** For the sweep. */
  nextDeadline(): number {
    return Math.min(this.#partialLine.deadline, this.#stall.deadline, this.#closeBy);
  }

  /** For the sweep. */
  sweep(now: number): void {
    if (this.#closeBy <= now) return this.#close();
    if (this.#partialLine.deadline <= now) {
      const seconds = this.#partialLine.timeoutMs / 1_000;
      // While nobody reads it is this side that is slow.
      const isAlive = !this.#reading || this.#state !== "open" ||
        this.#partialLine.progress >= MIN_LINE_BYTES_PER_SECOND * seconds;
      if (isAlive) this.#partialLine.restart(now);
      else this.#fault("HEARTBEAT_TIMEOUT", "the peer went silent in the middle of a line");
    }
    if (this.#stall.deadline <= now) {
      if (!this.#isBehind()) this.#stall.stop();
      else if (this.#stall.progress >= MIN_TAKEN_BYTES) this.#stall.restart(now);
      else this.#fault("SLOW_CONSUMER", "the peer does not take what is sent to it");
    }
  }

  #fault(code: "HEARTBEAT_TIMEOUT" | "SLOW_CONSUMER", message: string): void {
    this.#partialLine.stop();
    this.#stall.stop();
    this.#tell(new ConnectionError(code, message));
  }

  #tell(error: ConnectionError): void {
    if (this.holder) this.holder.fault(error);
    else this.abort(error);
  }

  #isClosed(): boolean {
    return this.#state === "closed";
  }

  #watchPartialLine(isNewLine: boolean): void {
    const { partialLineTimeoutMs } = this.#limits;
    if (partialLineTimeoutMs === false) return;
    const before = this.#partialBytes;
    this.#partialBytes = this.#decoder.partialBytes + (this.#transport.partialBytes ?? 0);
    if (this.#partialBytes === 0) {
      this.#partialLine.stop();
    } else if (isNewLine || !this.#partialLine.isRunning) {
      this.#partialLine.start(this.#sweep.now(), partialLineTimeoutMs);
      this.#sweep.by(this, this.#partialLine.deadline);
    } else {
      this.#partialLine.progress += this.#partialBytes - before;
    }
  }

  /** More than an eighth of what may wait: worth watching whether the peer takes it. */
  #isBehind(): boolean {
    return this.#isAbove(this.#limits.maxBufferedBytes / 8);
  }

  /** Whether more than so many bytes wait: they are counted only where it is not clear that they do not. */
  #isAbove(bytes: number): boolean {
    return this.maxBuffered > bytes && this.buffered > bytes;
  }

  #push(line: string): void {
    this.#linesQueued++;
    this.#waiting.pushLine(line);
    if (this.#writing === "no") {
      this.#writing = "soon";
      queueMicrotask(() => this.#writeAll());
    }
    const { stallTimeoutMs } = this.#limits;
    if (stallTimeoutMs !== false && !this.#stall.isRunning && this.#isBehind()) {
      this.#stall.start(this.#sweep.now(), stallTimeoutMs);
      this.#sweep.by(this, this.#stall.deadline);
    }
  }

  async #writeAll(): Promise<void> {
    if (this.#writing !== "soon") return;
    try {
      this.holder?.beforeWrite();
      this.#writing = "now";
      while (!this.#waiting.isEmpty) {
        const full = this.#waiting;
        this.#waiting = this.#spare;
        this.#spare = full;
        this.#linesOffered = this.#linesQueued;
        const { bytes } = full;
        for (this.#unwritten = bytes.length; this.#unwritten > 0;) {
          const isFirst = this.#unwritten === bytes.length;
          const rest = isFirst ? bytes : bytes.subarray(bytes.length - this.#unwritten);
          this.#wrote(await this.#transport.write(rest));
          if (this.#isClosed()) return;
        }
        full.clear();
        this.#changes.notify();
        // Whoever awaits each packet goes on while it is written: the rest of theirs goes out together.
        if (!this.#waiting.isEmpty) await nextTurn();
      }
    } catch (cause) {
      const error = lost(cause);
      const isTold = this.#state === "open";
      this.abort(error);
      if (isTold) this.#tell(error);
    } finally {
      this.#writing = "no";
    }
  }

  #wrote(bytes: number): void {
    this.#unwritten -= bytes;
    this.#bytesWritten += bytes;
    this.#stall.progress += bytes;
  }

  async #leave(
    { isAnswer, flushTimeoutMs }: { isAnswer: boolean; flushTimeoutMs: number },
  ): Promise<void> {
    if (this.buffered > 0) {
      this.#closeIn(Math.max(LINGER_MS, flushTimeoutMs));
      await this.#changes.until(() => this.buffered === 0 || this.#isClosed());
    }
    const isOver = isAnswer && this.#transport.closesInOrder === true;
    if (!isOver && !this.#isClosed()) {
      this.#closeIn(LINGER_MS);
      await this.#linger();
    }
    this.#close();
  }

  #closeIn(ms: number): void {
    this.#closeBy = this.#sweep.now() + ms;
    this.#sweep.by(this, this.#closeBy);
  }

  /** Ends this side's bytes and waits for the end of the other's. */
  async #linger(): Promise<void> {
    try {
      await this.#transport.closeWrite();
      while (!this.#inputEnded && !this.#isClosed()) {
        if (this.#reading) await this.#changes.next();
        else await this.fill();
      }
    } catch {
      // The other side is gone already: there is nobody left to be polite to.
    }
  }

  #close(): void {
    if (this.#isClosed()) return;
    this.#state = "closed";
    const transport = this.#transport;
    // Whoever holds a wire that has ended holds no memory by it.
    this.#waiting = this.#spare = new TextBuffer(buffers);
    this.#transport = NO_TRANSPORT;
    this.#decoder = NO_DECODER;
    this.#chunk = undefined;
    this.#sweep.delete(this);
    transport.close();
    this.#changes.notify();
    this.#closed.settle();
  }
}

/** Something that has to make progress by a deadline. */
class Watch {
  deadline = Infinity;
  timeoutMs = 0;
  progress = 0;

  get isRunning(): boolean {
    return this.deadline !== Infinity;
  }

  start(now: number, timeoutMs: number): void {
    this.timeoutMs = timeoutMs;
    this.restart(now);
  }

  restart(now: number): void {
    this.deadline = now + this.timeoutMs;
    this.progress = 0;
  }

  stop(): void {
    this.deadline = Infinity;
  }
}

function lost(cause: unknown): ConnectionError {
  return new ConnectionError("CONNECTION_LOST", "the socket failed", { cause });
}
