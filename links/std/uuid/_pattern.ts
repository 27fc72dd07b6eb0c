/**
 * A pattern of the whole text of a UUID (RFC 9562, the variant `0b10`).
 *
 * @param version What the version digit may be, as a regular expression.
 * @returns A stateless pattern that takes either case.
 */
export function uuidPattern(version: string): RegExp {
  const hex = (digits: number) => `[0-9a-f]{${digits}}`;
  const groups = [hex(8), hex(4), version + hex(3), `[89ab]${hex(3)}`, hex(12)];
  return new RegExp(`^${groups.join("-")}$`, "i");
}
