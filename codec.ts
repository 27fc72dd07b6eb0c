/**
 * Bytes ⇄ lines ⇄ packets.
 *
 * @module
 */

import { Buffer, isAscii } from "node:buffer";
import { ProtocolError } from "./errors.ts";
import {
  type DecodeOptions,
  decodePacket,
  encodeHead,
  type OutgoingPacket,
  type ReceivedPacket,
} from "./packet.ts";
import { encodeTail } from "./stamp.ts";

/** Limits of a {@linkcode LineDecoder}. */
export interface LineDecoderOptions {
  /**
   * The longest line, in bytes, without its end. Stops a peer from filling the memory with a line
   * that never ends: such a line is refused before it is whole.
   *
   * @default {1_048_576}
   */
  maxLineBytes?: number;
  /**
   * The same for the first line, which anyone may send before it was asked who it is.
   *
   * @default {maxLineBytes}
   */
  maxFirstLineBytes?: number;
}

const LF = 0x0a, CR = 0x0d;
const MIN_PARTIAL_BYTES = 256;
const KEPT_PARTIAL_BYTES = 4_096;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Cuts bytes into lines: UTF-8, ended by LF or CRLF, empty ones left out. One batch of lines per
 * chunk, however the bytes were split.
 *
 * It is a standard `Transformer`, so `new TransformStream(new LineDecoder())` is a stream of
 * batches. After a line that it refuses it decodes nothing more.
 *
 * @example
 * ```ts
 * import { LineDecoder } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * const decoder = new LineDecoder();
 * const bytes = new TextEncoder().encode("one\ntwo\r\nthr");
 * assertEquals(decoder.decode(bytes), ["one", "two"]);
 * assertEquals(decoder.decode(new TextEncoder().encode("ee\n")), ["three"]);
 * ```
 */
export class LineDecoder implements Transformer<Uint8Array, string[]> {
  readonly #maxLineBytes: number;
  #limit: number;
  #partial: Uint8Array | undefined;
  #partialBytes = 0;
  #failure: ProtocolError | undefined;

  /**
   * Makes a decoder for one stream of bytes.
   *
   * @throws {RangeError} If a limit is not a positive integer.
   */
  constructor(options: LineDecoderOptions = {}) {
    const { maxLineBytes = 1_048_576, maxFirstLineBytes = maxLineBytes } = options;
    checkLimit("maxLineBytes", maxLineBytes);
    checkLimit("maxFirstLineBytes", maxFirstLineBytes);
    this.#maxLineBytes = maxLineBytes;
    this.#limit = maxFirstLineBytes;
  }

  /** How many bytes of an unfinished line it holds. */
  get partialBytes(): number {
    return this.#partialBytes;
  }

  /** Why it stopped, if it did: `PACKET_TOO_LARGE` or `BAD_UTF8`. */
  get failure(): ProtocolError | undefined {
    return this.#failure;
  }

  /**
   * The lines that this chunk completes. Those before a refused line are still returned;
   * {@linkcode LineDecoder.failure} then says why there will be no more.
   *
   * @param chunk Bytes as they were read. They are not kept, so that the buffer may be used again.
   */
  decode(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let start = 0;
    // The line that an earlier chunk began, and the first line with its limit of its own, go alone.
    while (!this.#failure && (this.#partialBytes > 0 || this.#limit !== this.#maxLineBytes)) {
      const end = chunk.indexOf(LF, start);
      if (end === -1) break;
      this.#endLine(chunk.subarray(start, end), lines);
      start = end + 1;
    }
    if (this.#failure) return lines;
    const end = this.#partialBytes > 0 ? -1 : chunk.lastIndexOf(LF);
    if (end >= start) {
      this.#decodeWhole(chunk.subarray(start, end), lines);
      start = end + 1;
    }
    if (!this.#failure && start < chunk.length) this.#keep(chunk.subarray(start));
    return lines;
  }

  /** For `TransformStream`: one batch per chunk. */
  transform(chunk: Uint8Array, controller: TransformStreamDefaultController<string[]>): void {
    const lines = this.decode(chunk);
    if (lines.length > 0) controller.enqueue(lines);
    if (this.#failure) throw this.#failure;
  }

  /**
   * For `TransformStream`: the end of the bytes.
   *
   * @throws {ProtocolError} `BAD_PACKET`, if they end inside a line.
   */
  flush(): void {
    if (this.#partialBytes > 0) {
      throw new ProtocolError("BAD_PACKET", "the stream ended in the middle of a line");
    }
  }

  /** Decodes a run of lines that no earlier chunk began, the last one without its LF. */
  #decodeWhole(bytes: Uint8Array, lines: string[]): void {
    if (bytes.length <= this.#limit) {
      try {
        // One call for all of them: most of the time in here is the price of a call.
        for (const line of decodeText(bytes).split("\n")) pushLine(line, lines);
        return;
      } catch {
        // One of the lines is not UTF-8. Which one, shows when they are taken one by one.
      }
    }
    for (let start = 0; start <= bytes.length && !this.#failure;) {
      const lf = bytes.indexOf(LF, start);
      const end = lf === -1 ? bytes.length : lf;
      this.#endLine(bytes.subarray(start, end), lines);
      start = end + 1;
    }
  }

  /** Ends the line that was begun, if any, with these bytes. */
  #endLine(bytes: Uint8Array, lines: string[]): void {
    // Strangers may send these before they say anything.
    if (bytes.length === 0 && this.#partialBytes === 0) return;
    let line = bytes;
    if (this.#partialBytes > 0) {
      this.#keep(bytes);
      if (this.#failure) return;
      line = this.#partial!.subarray(0, this.#partialBytes);
      this.#partialBytes = 0;
      if (this.#partial!.length > KEPT_PARTIAL_BYTES) this.#partial = undefined;
    } else if (this.#isTooLong(bytes, bytes.length)) {
      this.#refuseLength();
      return;
    }
    const before = lines.length;
    try {
      pushLine(decodeText(line), lines);
    } catch {
      // The platform's error says no more than this one.
      this.#fail(new ProtocolError("BAD_UTF8", "the line is not UTF-8"));
    }
    // Empty lines do not count as the first one.
    if (lines.length > before) this.#limit = this.#maxLineBytes;
  }

  /** Keeps the beginning of a line. The buffer doubles, so that tiny chunks cost no more than big ones. */
  #keep(bytes: Uint8Array): void {
    const length = this.#partialBytes + bytes.length;
    if (this.#isTooLong(bytes, length)) {
      this.#refuseLength();
      return;
    }
    if (!this.#partial || this.#partial.length < length) {
      const roomy = new Uint8Array(
        Math.max(length, MIN_PARTIAL_BYTES, (this.#partial?.length ?? 0) * 2),
      );
      if (this.#partial) roomy.set(this.#partial.subarray(0, this.#partialBytes));
      this.#partial = roomy;
    }
    this.#partial.set(bytes, this.#partialBytes);
    this.#partialBytes = length;
  }

  /** A CR at the end may belong to the line's end, which does not count. */
  #isTooLong(bytes: Uint8Array, length: number): boolean {
    const last = bytes.length > 0 ? bytes.at(-1) : this.#partial?.[this.#partialBytes - 1];
    return length - (last === CR ? 1 : 0) > this.#limit;
  }

  #refuseLength(): void {
    this.#fail(
      new ProtocolError("PACKET_TOO_LARGE", `the line is longer than ${this.#limit} bytes`),
    );
  }

  #fail(failure: ProtocolError): void {
    this.#failure = failure;
    this.#partial = undefined;
    this.#partialBytes = 0;
  }
}

function checkLimit(name: string, limit: number): void {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new RangeError(`${name} must be a positive integer, got ${limit}`);
  }
}

/** Most text is ASCII, which needs no decoding: a copy is several times as fast. */
function decodeText(bytes: Uint8Array): string {
  if (!isAscii(bytes)) return utf8.decode(bytes);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function pushLine(line: string, lines: string[]): void {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  if (text !== "") lines.push(text);
}

/**
 * A stream from bytes to packets.
 *
 * It fails with a {@linkcode ProtocolError} at the first line that is not a packet.
 *
 * @example
 * ```ts
 * import { PacketDecoderStream } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new Blob(['{"action":"a"}\n{"action":"b"}\n']).stream();
 * const packets = await Array.fromAsync(bytes.pipeThrough(new PacketDecoderStream()));
 * assertEquals(packets.map((packet) => packet.action), ["a", "b"]);
 * ```
 */
export class PacketDecoderStream implements TransformStream<Uint8Array, ReceivedPacket> {
  /** The packets. */
  readonly readable: ReadableStream<ReceivedPacket>;
  /** The bytes. */
  readonly writable: WritableStream<Uint8Array>;

  /**
   * Makes a stream.
   *
   * @throws {RangeError} If a limit is not a positive integer.
   */
  constructor(options: LineDecoderOptions & DecodeOptions = {}) {
    const { readable, writable } = new TransformStream(new LineDecoder(options));
    const batches = readable.getReader();
    let lines: string[] = [];
    let next = 0;
    this.writable = writable;
    this.readable = new ReadableStream<ReceivedPacket>({
      // One packet for each read: a stream that fails drops what it holds, and all packets before a
      // bad line are good ones.
      async pull(controller) {
        while (next === lines.length) {
          const { value, done } = await batches.read();
          if (done) return controller.close();
          lines = value;
          next = 0;
        }
        try {
          controller.enqueue(decodePacket(lines[next++], options));
        } catch (error) {
          await batches.cancel(error);
          throw error;
        }
      },
      cancel: (reason) => batches.cancel(reason),
    }, { highWaterMark: 0 });
  }
}

/**
 * A stream from packets to bytes: one line each, stamped with the time and no token.
 *
 * @example
 * ```ts
 * import { createPacket, PacketDecoderStream, PacketEncoderStream } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * const packets = ReadableStream.from([createPacket("greet", "Ada")]);
 * const there = packets.pipeThrough(new PacketEncoderStream());
 * const [packet] = await Array.fromAsync(there.pipeThrough(new PacketDecoderStream()));
 * assertEquals(packet.data, "Ada");
 * ```
 */
export class PacketEncoderStream extends TransformStream<OutgoingPacket, Uint8Array<ArrayBuffer>> {
  /** Takes no options: what is sent is limited by whoever receives it. */
  constructor() {
    const encoder = new TextEncoder();
    super({
      transform(packet, controller) {
        const tail = encodeTail({ created: Date.now(), token: null });
        controller.enqueue(encoder.encode(encodeHead(packet) + tail + "\n"));
      },
    });
  }
}
