/**
 * Tables. Pure.
 *
 * @module
 */

/** A Markdown table; all columns but the first are numbers. */
export function table(header: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const marks = header.map((_, column) => column === 0 ? "---" : "---:");
  return [header, marks, ...rows].map(line).join("\n");
}
