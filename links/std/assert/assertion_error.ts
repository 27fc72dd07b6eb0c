/**
 * The error of a failed assertion.
 *
 * @module
 */

/**
 * Says that an assertion did not hold.
 *
 * @example
 * ```ts
 * import { assert, AssertionError, assertThrows } from "@std/assert";
 *
 * assertThrows(() => assert(false), AssertionError);
 * ```
 */
export class AssertionError extends Error {
  /** Always `"AssertionError"`, also in a minified build. */
  override name = "AssertionError";

  /**
   * Makes one.
   *
   * @param message What was expected and what there was.
   * @param options May hold the error's cause.
   */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
