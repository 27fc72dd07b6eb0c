/**
 * Stands in for the part of `@std/uuid` that this project uses.
 *
 * @module
 */

import { uuidPattern } from "./_pattern.ts";
import { validate as validateV4 } from "./v4.ts";
import {
  extractTimestamp as extractTimestampV7,
  generate as generateV7,
  validate as validateV7,
} from "./v7.ts";

const NIL = "00000000-0000-0000-0000-000000000000";
const VERSIONS_1_TO_7 = uuidPattern("[1-7]");

/**
 * Tells a UUID of any version, or the nil UUID, from other text.
 *
 * @param uuid The text to look at.
 * @returns Whether it is one.
 *
 * @example
 * ```ts
 * import { assert, assertFalse } from "@std/assert";
 * import { validate } from "@std/uuid";
 *
 * assert(validate(crypto.randomUUID()));
 * assertFalse(validate("me"));
 * ```
 */
export function validate(uuid: string): boolean {
  return uuid === NIL || VERSIONS_1_TO_7.test(uuid);
}

/** What there is for version 4. */
export const v4: {
  validate: (id: string) => id is ReturnType<typeof crypto.randomUUID>;
} = { validate: validateV4 };

/** What there is for version 7. */
export const v7: {
  generate: (timestamp?: number) => string;
  validate: (id: string) => boolean;
  extractTimestamp: (uuid: string) => number;
} = {
  generate: generateV7,
  validate: validateV7,
  extractTimestamp: extractTimestampV7,
};
