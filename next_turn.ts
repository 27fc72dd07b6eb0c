/**
 * Waiting for the end of a turn of the event loop.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** Resolves when all that is ready to run has run, and the platform has done what it had put off. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
