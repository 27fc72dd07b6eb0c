/**
 * Stands in for the part of `@std/streams` that this project uses.
 *
 * @module
 */

export { TextLineStream, type TextLineStreamOptions } from "./text_line_stream.ts";
