import { diff } from "node:util";

/** Past this many lines looking for differences takes seconds and more. */
const MAX_LINES = 1000;

/** How many lines come before the first difference in a text that is cut. */
const CONTEXT_LINES = 3;

/**
 * Ends a message's sentence, with what the caller adds to it if anything.
 *
 * @param msg The caller's words.
 * @returns What to append.
 */
export function ending(msg: string | undefined): string {
  return msg ? `: ${msg}` : ".";
}

/**
 * Shows a value whole, keys sorted, so that equal values look alike.
 *
 * @param value What to show.
 * @returns Its text, often of several lines.
 */
export function show(value: unknown): string {
  return Deno.inspect(value, {
    depth: Infinity,
    sorted: true,
    trailingComma: true,
    compact: false,
    iterableLimit: Infinity,
    strAbbreviateSize: Infinity,
    getters: true,
  });
}

/**
 * Shows line by line how two values differ.
 *
 * @param actual The value that there is.
 * @param expected The value that there should be.
 * @returns The lines under a heading.
 */
export function showDifference(actual: unknown, expected: unknown): string {
  const [actualLines, expectedLines] = typeof actual === "string" && typeof expected === "string"
    ? [literalLines(actual), literalLines(expected)]
    : [show(actual).split("\n"), show(expected).split("\n")];
  return [
    "",
    "",
    "    [Diff] Actual / Expected",
    "",
    "",
    ...markedLines(...cutIfLong(actualLines, expectedLines)),
    "",
  ].join("\n");
}

/** A text's lines as literals, in which line endings can be seen. */
function literalLines(text: string): string[] {
  return text.split(/(?<=\n)/).map((line) => JSON.stringify(line));
}

function cutIfLong(
  actual: string[],
  expected: string[],
): [actual: string[], expected: string[]] {
  if (Math.max(actual.length, expected.length) <= MAX_LINES) {
    return [actual, expected];
  }
  const index = actual.findIndex((line, i) => line !== expected[i]);
  const difference = index === -1 ? actual.length : index;
  const from = Math.max(difference - CONTEXT_LINES, 0);
  const cut = (lines: string[]) => [
    `(lines ${from + 1} to ${from + MAX_LINES})`,
    ...lines.slice(from, from + MAX_LINES),
  ];
  return [cut(actual), cut(expected)];
}

function markedLines(actual: string[], expected: string[]): string[] {
  // Of two sides of a difference, the one with more to say goes first.
  const addedFirst = expected.length > actual.length;
  let removed: string[] = [];
  let added: string[] = [];
  const takeDifference = () => {
    const sides = addedFirst ? [added, removed] : [removed, added];
    removed = [];
    added = [];
    return sides.flat();
  };

  const marked: string[] = [];
  for (const [side, line] of diff(actual, expected)) {
    if (side > 0) removed.push(`-   ${line}`);
    else if (side < 0) added.push(`+   ${line}`);
    else marked.push(...takeDifference(), `    ${line}`);
  }
  return [...marked, ...takeDifference()];
}
