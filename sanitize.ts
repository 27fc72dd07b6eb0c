/**
 * The one door through which remote text reaches a person.
 *
 * @module
 */

// Controls, format characters (bidirectional marks and zero-width ones among them), line and
// paragraph separators, private use, lone surrogates: whatever moves a cursor or reorders a line.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu;

/**
 * Makes text from the other side fit to be printed or logged on one line: control characters,
 * terminal escapes and bidirectional marks come out as `\u{…}`, and what is too long is cut.
 *
 * @param text What arrived.
 * @param maxLength How much of the text is kept, in UTF-16 code units; the mark `…` stands for the
 * rest. What is escaped comes out up to ten times as long.
 * @returns Text that cannot move the cursor, reorder the line or end it.
 *
 * @example
 * ```ts
 * import { sanitize } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(sanitize("a\x1b]0;owned\x07b"), "a\\u{1b}]0;owned\\u{7}b");
 * ```
 */
export function sanitize(text: string, maxLength: number = Infinity): string {
  const cut = text.length > maxLength;
  const kept = cut ? text.slice(0, maxLength) : text;
  const safe = kept.replace(UNSAFE, (unsafe) => `\\u{${unsafe.codePointAt(0)!.toString(16)}}`);
  return cut ? safe + "…" : safe;
}
