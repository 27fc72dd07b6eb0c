/**
 * Random UUIDs (version 4). `crypto.randomUUID()` makes them.
 *
 * @module
 */

import { uuidPattern } from "./_pattern.ts";

const VERSION_4 = uuidPattern("4");

/**
 * Tells a version 4 UUID from other text.
 *
 * @param id The text to look at.
 * @returns Whether it is one.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { validate } from "@std/uuid/v4";
 *
 * assert(validate(crypto.randomUUID()));
 * ```
 */
export function validate(
  id: string,
): id is ReturnType<typeof crypto.randomUUID> {
  return VERSION_4.test(id);
}
