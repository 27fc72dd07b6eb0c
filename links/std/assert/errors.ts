import { stripVTControlCharacters } from "node:util";
import { ending } from "./_message.ts";
import { AssertionError } from "./assertion_error.ts";

// deno-lint-ignore no-explicit-any
type ErrorConstructor<E extends Error> = abstract new (...args: any[]) => E;

/** What is expected of an error. */
interface Expectation {
  readonly ErrorClass?: ErrorConstructor<Error> | undefined;
  readonly msgIncludes?: string | undefined;
  readonly msg?: string | undefined;
}

/**
 * Fails unless a function throws.
 *
 * @param fn The function.
 * @param msg Added to the failure's message.
 * @returns What was thrown.
 * @throws {AssertionError} If nothing was.
 */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/**
 * Fails unless a function throws an error of a class.
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(() => JSON.parse("{"), SyntaxError, "JSON");
 * ```
 *
 * @param fn The function.
 * @param ErrorClass The class.
 * @param msgIncludes What the error's message must have in it.
 * @param msg Added to the failure's message.
 * @returns The error.
 * @throws {AssertionError} If nothing or something else was thrown.
 */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  ...rest: (ErrorConstructor<Error> | string | undefined)[]
): unknown {
  const expectation = readArguments(rest);
  try {
    fn();
  } catch (error) {
    check(error, expectation, "thrown");
    return error;
  }
  throw new AssertionError(
    `Expected function to throw${ending(expectation.msg)}`,
  );
}

/**
 * Fails unless a function's promise rejects. A function that throws before it
 * returns a promise fails too.
 *
 * @param fn The function.
 * @param msg Added to the failure's message.
 * @returns What the promise was rejected with.
 * @throws {AssertionError} If it was not, or if there is no promise.
 */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  msg?: string,
): Promise<unknown>;
/**
 * Fails unless a function's promise rejects with an error of a class. A
 * function that throws before it returns a promise fails too.
 *
 * @example
 * ```ts
 * import { assertRejects } from "@std/assert";
 *
 * await assertRejects(() => Promise.reject(new RangeError("far")), RangeError);
 * ```
 *
 * @param fn The function.
 * @param ErrorClass The class.
 * @param msgIncludes What the error's message must have in it.
 * @param msg Added to the failure's message.
 * @returns The error.
 * @throws {AssertionError} If the promise did anything else, or if there is
 * none.
 */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  // deno-lint-ignore no-explicit-any
  ErrorClass: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  ...rest: (ErrorConstructor<Error> | string | undefined)[]
): Promise<unknown> {
  const expectation = readArguments(rest);
  const promise = promiseOf(fn);
  if (!promise) {
    throw new AssertionError(
      `Function throws when expected to reject${ending(expectation.msg)}`,
    );
  }
  try {
    await promise;
  } catch (error) {
    check(error, expectation, "rejected");
    return error;
  }
  throw new AssertionError(
    `Expected function to reject${ending(expectation.msg)}`,
  );
}

/** Tells apart the two ways to call the functions above. */
function readArguments(
  [first, ...rest]: (ErrorConstructor<Error> | string | undefined)[],
): Expectation {
  const [second, third] = rest as (string | undefined)[];
  if (typeof first === "string") return { msg: first };
  if (first === undefined || isErrorClass(first)) {
    return { ErrorClass: first, msgIncludes: second, msg: third };
  }
  return { msg: second };
}

function isErrorClass(value: ErrorConstructor<Error> | null): boolean {
  const prototype = value?.prototype;
  return prototype === Error.prototype || prototype instanceof Error;
}

function promiseOf(
  fn: () => PromiseLike<unknown>,
): PromiseLike<unknown> | undefined {
  try {
    const result = fn();
    return typeof result?.then === "function" ? result : undefined;
  } catch {
    return undefined;
  }
}

function check(
  error: unknown,
  { ErrorClass, msgIncludes, msg }: Expectation,
  how: "thrown" | "rejected",
) {
  if (!ErrorClass) return;
  if (!(error instanceof Error)) {
    throw new AssertionError(`A non-Error object was ${how}${ending(msg)}`);
  }
  const found = error.constructor?.name;
  if (!(error instanceof ErrorClass)) {
    throw new AssertionError(
      `Expected error to be instance of "${ErrorClass.name}", but was "${found}"${ending(msg)}`,
    );
  }
  if (msgIncludes && !plain(error.message).includes(plain(msgIncludes))) {
    throw new AssertionError(
      `Expected error message to include ${JSON.stringify(msgIncludes)}, but got ${
        JSON.stringify(error.message)
      }${ending(msg)}`,
    );
  }
}

/** Messages are compared without the colours that they may be in. */
function plain(text: string): string {
  return stripVTControlCharacters(text);
}
