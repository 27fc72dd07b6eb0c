/**
 * Tables for people.
 *
 * @module
 */

import stringWidth from "string-width";
import { sanitize } from "../sanitize.ts";

/** One row of a table: a value by column. */
export type Row = Record<string, string | number | boolean | null>;

/**
 * A table's lines, its head first.
 *
 * @param rows One at least. The first one's columns are those of the table.
 */
export function formatTable(rows: Row[]): string[] {
  const columns = Object.keys(rows[0]);
  const cells = rows.map((row) => columns.map((column) => cell(row[column])));
  const widths = columns.map((column, at) =>
    cells.reduce((width, row) => Math.max(width, stringWidth(row[at])), stringWidth(column))
  );
  const isNumeric = columns.map((column) => rows.every((row) => typeof row[column] === "number"));
  const align = (row: string[]) =>
    row.map((text, at) => {
      const space = " ".repeat(widths[at] - stringWidth(text));
      return isNumeric[at] ? space + text : text + space;
    }).join("  ").trimEnd();
  return [columns, ...cells].map(align);
}

function cell(value: Row[string]): string {
  return value === null ? "-" : sanitize(String(value), 120);
}
