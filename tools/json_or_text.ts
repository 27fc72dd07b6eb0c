/**
 * Text that may be JSON.
 *
 * @module
 */

// What every JSON text looks like at its ends. A parse that fails costs an error and, in V8, memory
// that only a full collection gives back: too much for each line of a log.
const LIKE_JSON = /^\s*(?:\{.*\}|\[.*\]|".*"|-?\d[\d.eE+-]*|true|false|null)\s*$/s;

/**
 * The value of a text that is JSON, else the text.
 *
 * @param text One line of input, or what a person typed.
 */
export function jsonOrText(text: string): unknown {
  if (!LIKE_JSON.test(text)) return text;
  try {
    const value: unknown = JSON.parse(text);
    // 1e400 is JSON, but no number here could carry it on.
    return typeof value === "number" && !Number.isFinite(value) ? text : value;
  } catch {
    return text;
  }
}
