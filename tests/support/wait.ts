/**
 * Waiting in tests: always for something, never for long, and saying for what.
 *
 * @module
 */

import { AssertionError } from "@std/assert";

/** Far longer than anything here takes, so that only what will never come runs into it. */
export const PATIENCE_MS = 10_000;

const POLL_MS = 2;

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
  const deadline = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > deadline) {
      throw new AssertionError(
        `Waited ${ms} ms until ${typeof what === "string" ? what : what()}.`,
      );
    }
    await pause(POLL_MS);
  }
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
