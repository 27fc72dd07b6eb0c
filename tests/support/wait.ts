/**
 * Waiting in tests: always for something, never for long, and saying for what.
 *
 * @module
 */

import { AssertionError } from "@std/assert";
import { setImmediate } from "node:timers";

// Who waits for sockets has as much time as ever, also where a test passes the time in.
const { setTimeout, clearTimeout } = globalThis;
const now = performance.now.bind(performance);

/** Far longer than anything here takes, so that only what will never come runs into it. */
export const PATIENCE_MS = 10_000;

/** So often it is looked in turns of the event loop; most waits are over by then. */
const QUICK_LOOKS = 300;
const POLL_MS = 1;
/** Whatever moves has moved by then, most of the time: a test may only fail to see something, otherwise. */
const STILL_MS = 50;

/** Settles like `promise`; fails when that takes too long. */
export async function within<T>(
  promise: PromiseLike<T>,
  what: string,
  ms: number = PATIENCE_MS,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new AssertionError(`Waited ${ms} ms for ${what}.`)),
    ms,
  );
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves when the condition holds, which is looked at again and again; fails when it never does. */
export async function until(
  condition: () => boolean,
  what: string | (() => string),
  ms: number = PATIENCE_MS,
): Promise<void> {
  const deadline = now() + ms;
  for (let look = 0; !condition(); look++) {
    if (now() > deadline) {
      throw new AssertionError(
        `Waited ${ms} ms until ${typeof what === "string" ? what : what()}.`,
      );
    }
    await (look < QUICK_LOOKS ? turn() : pause(POLL_MS));
  }
}

/** Resolves to what a number is when it stands still, above zero. */
export async function untilStill(number: () => number, what: string): Promise<number> {
  let last = 0;
  let since = now();
  await until(() => {
    const isStill = number() === last && last > 0;
    if (!isStill) since = now();
    last = number();
    return now() - since > STILL_MS;
  }, what);
  return last;
}

/** Lets one turn of the event loop pass, sockets included: a timer takes two milliseconds at least. */
export async function turn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  await promise;
}

/** For pacing what a test does in the background; nothing may depend on how long it takes. */
export async function pause(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms);
  await promise;
}

/** Lets everything run that needs no input from outside. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await pause(0);
}
