/**
 * Who is without a wire, and for whom there is no more room.
 *
 * @module
 */

/** Limits of {@linkcode Detached}. */
export interface DetachedLimits {
  /** How many there may be. */
  maxDetached: number;
  /** How many of one address. */
  maxDetachedPerAddress: number | false;
}

/** Those whose wires have dropped, by address, the longest detached first. */
export class Detached<Member> {
  readonly #limits: DetachedLimits;
  /** Those whose address is not counted are under `undefined`. */
  readonly #byAddress = new Map<string | undefined, Set<Member>>();
  #size = 0;

  constructor(limits: DetachedLimits) {
    this.#limits = limits;
  }

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** One more. Returns the one that has to go for it, if one has: perhaps itself. */
  add(member: Member, from: string | undefined): Member | undefined {
    const { maxDetached, maxDetachedPerAddress } = this.#limits;
    const members = this.#byAddress.get(from) ?? new Set();
    this.#byAddress.set(from, members.add(member));
    this.#size++;
    const isTooMany = from !== undefined && maxDetachedPerAddress !== false &&
      members.size > maxDetachedPerAddress;
    if (isTooMany) return first(members);
    if (this.#size > maxDetached) return first(this.#largest());
  }

  /** One has come back, or its session has ended. */
  delete(member: Member, from: string | undefined): void {
    const members = this.#byAddress.get(from);
    if (!members?.delete(member)) return;
    this.#size--;
    if (members.size === 0) this.#byAddress.delete(from);
  }

  #largest(): Set<Member> {
    let largest = new Set<Member>();
    for (const members of this.#byAddress.values()) {
      if (members.size > largest.size) largest = members;
    }
    return largest;
  }
}

function first<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item;
}
