import { ending, show, showDifference } from "./_message.ts";
import { AssertionError } from "./assertion_error.ts";
import { equal } from "./equal.ts";

/** The values that {@linkcode assertFalse} lets through. */
export type Falsy = false | 0 | 0n | "" | null | undefined;

/**
 * Fails unless a value is truthy.
 *
 * @param expr The value.
 * @param msg The failure's whole message.
 * @throws {AssertionError} If it is falsy.
 */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/**
 * Fails unless a value is falsy.
 *
 * @param expr The value.
 * @param msg The failure's whole message.
 * @throws {AssertionError} If it is truthy.
 */
export function assertFalse(expr: unknown, msg = ""): asserts expr is Falsy {
  if (expr) throw new AssertionError(msg);
}

/**
 * Fails always: for a place that must not be reached.
 *
 * @param msg Added to the failure's message.
 * @throws {AssertionError} Always.
 */
export function fail(msg?: string): never {
  throw new AssertionError(`Failed assertion${ending(msg)}`);
}

/**
 * Fails if two values differ in what is in them, see {@linkcode equal}.
 *
 * @param actual The value that there is.
 * @param expected The value that there should be.
 * @param msg Added to the failure's message.
 * @throws {AssertionError} If they are not equal; its message shows where.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals({ list: [1, 2] }, { list: [1, 2] });
 * ```
 */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  const difference = showDifference(actual, expected);
  throw new AssertionError(
    `Values are not equal${ending(msg)}\n${difference}`,
  );
}

/**
 * Fails if two values have the same in them, see {@linkcode equal}.
 *
 * @param actual The value that there is.
 * @param expected The value that it should differ from.
 * @param msg Added to the failure's message.
 * @throws {AssertionError} If they are equal.
 */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  throw new AssertionError(
    `Expected actual: ${show(actual)} not to be: ${show(expected)}${ending(msg)}`,
  );
}

/**
 * Fails unless two values are the same one, as `Object.is` tells.
 *
 * @param actual The value that there is.
 * @param expected The value that there should be.
 * @param msg Added to the failure's message.
 * @throws {AssertionError} If they are two.
 */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  const look = show(expected);
  if (show(actual) === look) {
    const indented = look.replaceAll(/^/gm, "    ");
    throw new AssertionError(
      `Values have the same structure but are not reference-equal${ending(msg)}\n\n${indented}\n`,
    );
  }
  const difference = showDifference(actual, expected);
  throw new AssertionError(
    `Values are not strictly equal${ending(msg)}\n${difference}`,
  );
}

/**
 * Fails if a value is `null` or `undefined`.
 *
 * @param actual The value.
 * @param msg Added to the failure's message.
 * @throws {AssertionError} If there is none.
 */
export function assertExists<T>(
  actual: T,
  msg?: string,
): asserts actual is NonNullable<T> {
  if (actual !== null && actual !== undefined) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to not be null or undefined${ending(msg)}`,
  );
}

/**
 * Fails unless one value is greater than another, as `>` tells.
 *
 * @param actual The value that should be the greater one.
 * @param expected The value that it should exceed.
 * @param msg The failure's whole message.
 * @throws {AssertionError} If it is not greater.
 */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (actual > expected) return;
  throw new AssertionError(msg ?? `Expect ${show(actual)} > ${show(expected)}`);
}

/**
 * Fails unless one value is less than another, as `<` tells.
 *
 * @param actual The value that should be the lesser one.
 * @param expected The value that it should stay below.
 * @param msg The failure's whole message.
 * @throws {AssertionError} If it is not less.
 */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (actual < expected) return;
  throw new AssertionError(msg ?? `Expect ${show(actual)} < ${show(expected)}`);
}

/**
 * Fails unless a pattern is found in a text.
 *
 * @param actual The text.
 * @param expected The pattern.
 * @param msg Added to the failure's message.
 * @throws {AssertionError} If it is not found.
 */
export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  if (expected.test(actual)) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to match: "${expected}"${ending(msg)}`,
  );
}

/**
 * Fails unless a text has another one in it.
 *
 * @param actual The text.
 * @param expected The text to find in it.
 * @param msg Added to the failure's message.
 * @throws {AssertionError} If it is not found.
 */
export function assertStringIncludes(
  actual: string,
  expected: string,
  msg?: string,
): void {
  if (actual.includes(expected)) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to contain: "${expected}"${ending(msg)}`,
  );
}

/**
 * Fails unless a value is an instance of a class, as `instanceof` tells.
 *
 * @param actual The value.
 * @param expectedType The class.
 * @param msg Added to the failure's message.
 * @throws {AssertionError} If it is not.
 */
export function assertInstanceOf<
  // deno-lint-ignore no-explicit-any
  T extends abstract new (...args: any[]) => any,
>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return;
  const wanted = expectedType.name;
  const found = kindOf(actual);
  let but = "";
  if (found === "function") but = " but was not an instanced object";
  else if (found !== wanted) but = ` but was "${found}"`;
  throw new AssertionError(
    `Expected object to be an instance of "${wanted}"${but}${ending(msg)}`,
  );
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  return value.constructor?.name ?? "Object";
}
