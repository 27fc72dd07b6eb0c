/**
 * The library's log, as the command line shows it.
 *
 * @module
 */

import { configure, getTextFormatter, type LogRecord } from "@logtape/logtape";
import { sanitize } from "../sanitize.ts";
import type { Output } from "./output.ts";

/** Shows warnings and errors of the library on standard error, one line each. */
export async function logToStandardError(output: Output): Promise<void> {
  const format = getTextFormatter({ value: shown });
  await configure({
    reset: true,
    sinks: {
      standardError: (record) => {
        const { level, category } = record;
        const log = { level, category: category.join("."), message: messageOf(record) };
        // What a peer sent may be in there.
        output.fail(sanitize(format(record).trimEnd()), { log });
      },
    },
    loggers: [
      { category: "pnetwork", lowestLevel: "warning", sinks: ["standardError"] },
      // What becomes of a session the commands tell in their own words.
      { category: ["pnetwork", "client"], lowestLevel: "error" },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["standardError"] },
    ],
  });
}

function messageOf({ message }: LogRecord): string {
  return message.map((part) => shown(part)).join("");
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : Deno.inspect(value);
}
