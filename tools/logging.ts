/**
 * The library's log, as the command line shows it.
 *
 * @module
 */

import { configure, getTextFormatter } from "@logtape/logtape";
import { sanitize } from "../sanitize.ts";

/** Shows warnings and errors of the library on standard error, one line each. */
export async function logToStandardError(): Promise<void> {
  const format = getTextFormatter();
  await configure({
    reset: true,
    sinks: {
      // What a peer sent may be in there.
      standardError: (record) => console.error(sanitize(format(record).trimEnd())),
    },
    loggers: [
      { category: "pnetwork", lowestLevel: "warning", sinks: ["standardError"] },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["standardError"] },
    ],
  });
}
