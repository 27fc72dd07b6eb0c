/**
 * Stands in for the part of `@std/assert` that this project uses.
 *
 * @module
 */

export { AssertionError } from "./assertion_error.ts";
export { equal } from "./equal.ts";
export { assertRejects, assertThrows } from "./errors.ts";
export {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertStrictEquals,
  assertStringIncludes,
  fail,
  type Falsy,
} from "./values.ts";
