/**
 * What was measured, in Markdown. Pure.
 *
 * @module
 */

import type { FigureInfo } from "./results.ts";

/** Three digits that mean something, and no more. */
export function show(value: number, unit: FigureInfo["unit"]): string {
  if (value >= 100) return Number(value.toPrecision(3)).toLocaleString("en") + suffix(unit);
  return value.toPrecision(value < 0.1 ? 2 : 3) + suffix(unit);
}

function suffix(unit: FigureInfo["unit"]): string {
  return unit === "/s" ? "" : ` ${unit}`;
}
