/**
 * Splits a stream of text into lines.
 *
 * @module
 */

/** Settings of a {@linkcode TextLineStream}. */
export interface TextLineStreamOptions {
  /**
   * Whether a `\r` that no `\n` follows ends a line too.
   *
   * @default {false}
   */
  allowCR?: boolean;
}

/**
 * Turns chunks of text, cut anywhere, into one chunk per line without its line
 * ending. Text after the last line ending is a line of its own.
 *
 * The length of a line is not limited: use it only on input that is trusted.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { TextLineStream } from "@std/streams";
 *
 * const lines = ReadableStream.from(["one\r", "\ntw", "o"])
 *   .pipeThrough(new TextLineStream());
 * assertEquals(await Array.fromAsync(lines), ["one", "two"]);
 * ```
 */
export class TextLineStream extends TransformStream<string, string> {
  // An array, so that a line cut into many chunks is joined only once.
  #line: string[] = [];
  // Whether a "\r" waits for the next chunk: a "\n" may come first in it.
  #heldCR = false;

  /**
   * Makes a splitter with nothing held back.
   *
   * @param options What counts as a line ending.
   */
  constructor(options: TextLineStreamOptions = {}) {
    const allowCR = options.allowCR ?? false;
    const ending = allowCR ? /\r\n|\n|\r/ : /\r?\n/;
    super({
      transform: (chunk, controller) => {
        let text = this.#heldCR ? `\r${chunk}` : chunk;
        this.#heldCR = text.endsWith("\r");
        if (this.#heldCR) text = text.slice(0, -1);

        const pieces = text.split(ending);
        const unfinished = pieces.pop();
        for (const piece of pieces) {
          this.#line.push(piece);
          controller.enqueue(this.#line.join(""));
          this.#line = [];
        }
        if (unfinished) this.#line.push(unfinished);
      },
      flush: (controller) => {
        if (this.#line.length === 0 && !this.#heldCR) return;
        if (this.#heldCR && !allowCR) this.#line.push("\r");
        controller.enqueue(this.#line.join(""));
      },
    });
  }
}
