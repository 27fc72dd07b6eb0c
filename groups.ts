/**
 * Sets of connections to broadcast to.
 *
 * @module
 */

import { describe } from "./packet.ts";

/** Limits of {@linkcode Groups}. */
export interface GroupLimits {
  /** How many groups a member may be in. */
  maxGroups: number;
  /** The longest name, in UTF-16 code units. */
  maxGroupNameLength: number;
}

const NONE: ReadonlySet<never> = new Set();

/** Which member is in which groups. A group exists while it has members. */
export class Groups<Member> {
  readonly #limits: GroupLimits;
  readonly #members = new Map<string, Set<Member>>();
  readonly #groups = new Map<Member, Set<string>>();

  constructor(limits: GroupLimits) {
    this.#limits = limits;
  }

  /** The names of the groups that have members. */
  get names(): string[] {
    return [...this.#members.keys()];
  }

  /** The members of a group. */
  membersOf(group: string): ReadonlySet<Member> {
    return this.#members.get(group) ?? NONE;
  }

  /** The groups of a member. */
  groupsOf(member: Member): ReadonlySet<string> {
    return this.#groups.get(member) ?? NONE;
  }

  /**
   * Puts a member into a group.
   *
   * @throws {TypeError} If the name is no string.
   * @throws {RangeError} If the name is empty or too long, or the member is in too many groups.
   */
  join(member: Member, group: string): void {
    const { maxGroups, maxGroupNameLength } = this.#limits;
    if (typeof group !== "string") {
      throw new TypeError(`A group's name must be a string, got ${describe(group)}`);
    }
    if (group === "" || group.length > maxGroupNameLength) {
      throw new RangeError(
        `A group's name must have 1 to ${maxGroupNameLength} UTF-16 code units, got ${group.length}`,
      );
    }
    const groups = this.#groups.get(member) ?? new Set();
    if (groups.has(group)) return;
    if (groups.size >= maxGroups) {
      throw new RangeError(`A connection may be in ${maxGroups} groups, and is`);
    }
    const members = this.#members.get(group) ?? new Set();
    this.#groups.set(member, groups.add(group));
    this.#members.set(group, members.add(member));
  }

  /** Takes a member out of a group. */
  leave(member: Member, group: string): void {
    const groups = this.#groups.get(member);
    const members = this.#members.get(group);
    groups?.delete(group);
    members?.delete(member);
    if (groups?.size === 0) this.#groups.delete(member);
    if (members?.size === 0) this.#members.delete(group);
  }

  /** Takes a member out of all its groups. */
  leaveAll(member: Member): void {
    for (const group of [...this.groupsOf(member)]) this.leave(member, group);
  }
}
