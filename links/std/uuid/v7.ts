/**
 * UUIDs that begin with the time at which they were made (version 7), so that
 * their text sorts by age.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { uuidPattern } from "./_pattern.ts";

const VERSION_7 = uuidPattern("7");

/**
 * Tells a version 7 UUID from other text.
 *
 * @param id The text to look at.
 * @returns Whether it is one.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { generate, validate } from "@std/uuid/v7";
 *
 * assert(validate(generate()));
 * ```
 */
export function validate(id: string): boolean {
  return VERSION_7.test(id);
}

/**
 * Makes a version 7 UUID. Two of the same millisecond are in no given order.
 *
 * @param timestamp Milliseconds since the Unix epoch; the current time if left
 * out. Only the low 48 bits are kept.
 * @returns The UUID in lower case.
 * @throws {RangeError} If the timestamp is negative or not an integer.
 *
 * @example
 * ```ts
 * import { assertLess } from "@std/assert";
 * import { generate } from "@std/uuid/v7";
 *
 * assertLess(generate(0), generate(1));
 * ```
 */
export function generate(timestamp: number = Date.now()): string {
  if (!Number.isInteger(timestamp) || timestamp < 0) {
    throw new RangeError(
      `Cannot generate UUID as timestamp must be a non-negative integer: timestamp ${timestamp}`,
    );
  }
  const time = timestamp.toString(16).padStart(12, "0").slice(-12);

  const random = Buffer.alloc(10);
  crypto.getRandomValues(random);
  random[0] = 0x70 | (random[0]! & 0x0f); // the version
  random[2] = 0x80 | (random[2]! & 0x3f); // the variant
  const rest = random.toString("hex");

  return [
    time.slice(0, 8),
    time.slice(8),
    rest.slice(0, 4),
    rest.slice(4, 8),
    rest.slice(8),
  ].join("-");
}

/**
 * Reads the time that a version 7 UUID begins with.
 *
 * @param uuid The UUID.
 * @returns Milliseconds since the Unix epoch.
 * @throws {TypeError} If the text is not a version 7 UUID.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { extractTimestamp, generate } from "@std/uuid/v7";
 *
 * assertEquals(extractTimestamp(generate(1234)), 1234);
 * ```
 */
export function extractTimestamp(uuid: string): number {
  if (!validate(uuid)) {
    throw new TypeError(
      `Cannot extract timestamp because the UUID is not a valid UUIDv7: uuid is "${uuid}"`,
    );
  }
  return Number(`0x${uuid.slice(0, 13).replace("-", "")}`);
}
