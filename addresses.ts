/**
 * How many connections come from where.
 *
 * @module
 */

/**
 * What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which is what one
 * customer is given.
 *
 * @param addr Where a socket comes from.
 * @param exemptLoopback Whether loopback addresses are not counted.
 * @returns `undefined` for what is not counted. Unix sockets never are.
 */
export function addressKey(addr: Deno.Addr, exemptLoopback: boolean): string | undefined {
  if (!("hostname" in addr)) return undefined;
  const address = addr.hostname.replace(/^::ffff:(?=\d+\.)/i, "");
  const isLoopback = address === "::1" || /^127\.\d+\.\d+\.\d+$/.test(address);
  if (isLoopback && exemptLoopback) return undefined;
  return address.includes(":") ? network64(address) : address;
}

/** The first four of the eight groups of an IPv6 address, of which `::` stands for as many as lack. */
function network64(address: string): string {
  const [before, after] = address.replace(/%.*$/, "").split("::");
  const head = before === "" ? [] : before.split(":");
  const tail = after === undefined || after === "" ? [] : after.split(":");
  const zeros = after === undefined ? 0 : 8 - head.length - tail.length;
  const groups = [...head, ...Array(Math.max(0, zeros)).fill("0"), ...tail];
  return groups.slice(0, 4).map((group) => parseInt(group, 16).toString(16)).join(":") + "::/64";
}

/** Counts per address. */
export class AddressCounts {
  readonly #counts = new Map<string, number>();
  #total = 0;

  /** How many there are in all, those that are not counted by address among them. */
  get total(): number {
    return this.#total;
  }

  /** How many come from there. What is not counted is none. */
  of(key: string | undefined): number {
    return key === undefined ? 0 : this.#counts.get(key) ?? 0;
  }

  /** One more. */
  add(key: string | undefined): void {
    this.#total++;
    if (key !== undefined) this.#counts.set(key, this.of(key) + 1);
  }

  /** One less. An address that nothing comes from any more is forgotten. */
  remove(key: string | undefined): void {
    this.#total--;
    if (key === undefined) return;
    const count = this.of(key) - 1;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}
