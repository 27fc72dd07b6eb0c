import { types } from "node:util";

const { ownKeys, getPrototypeOf } = Reflect;

/** The built-in classes whose instances are told apart by their text alone. */
const TEXT_SAYS_ALL: ReadonlySet<object | null> = new Set([
  RegExp.prototype,
  URL.prototype,
  URLSearchParams.prototype,
  Intl.Locale.prototype,
  ...temporalPrototypes(),
]);

/** The prototypes above which an object holds nothing to compare. */
const PLAIN: ReadonlySet<object | null> = new Set([
  null,
  Object.prototype,
  Array.prototype,
]);

/**
 * Compares two values by what is in them.
 *
 * Zeros are equal whatever their sign, `NaN` equals itself, an object without
 * a prototype equals a plain one, and sets and maps are compared without
 * regard to order. Getters count as properties, those of a class too.
 *
 * @param a A value.
 * @param b Another value.
 * @returns Whether they are equal.
 * @throws {TypeError} If there is a `WeakMap` or a `WeakSet` on both sides,
 * because nobody can look into them.
 *
 * @example
 * ```ts
 * import { assert, equal } from "@std/assert";
 *
 * assert(equal({ a: [1, -0] }, { a: [1, 0] }));
 * ```
 */
export function equal(a: unknown, b: unknown): boolean {
  return new Comparison().equal(a, b);
}

/** One run of {@linkcode equal}: remembers the pairs that it has been to. */
class Comparison {
  /**
   * Pairs that are taken as equal: those being compared, which a circle comes
   * back to, and those found equal while they were.
   */
  readonly #assumed: [object, object][] = [];
  readonly #partners = new Map<object, Set<object>>();

  equal(a: unknown, b: unknown): boolean {
    if (a === b || Object.is(a, b)) return true;
    if (!isObject(a) || !isObject(b)) return false;
    if (types.isDate(a) && types.isDate(b)) {
      return Object.is(a.getTime(), b.getTime());
    }
    if (!sameKind(a, b)) return false;
    if (this.#partners.get(a)?.has(b)) return true;

    const before = this.#assumed.length;
    this.#assume(a, b);
    const result = this.#contents(a, b);
    // What followed from a wrong assumption may be wrong itself.
    if (!result) this.#forgetFrom(before);
    return result;
  }

  #assume(a: object, b: object) {
    this.#assumed.push([a, b]);
    const partners = this.#partners.get(a);
    if (partners) partners.add(b);
    else this.#partners.set(a, new Set([b]));
  }

  #forgetFrom(index: number) {
    for (const [a, b] of this.#assumed.splice(index)) {
      this.#partners.get(a)?.delete(b);
    }
  }

  /** Compares two objects of the same prototype. */
  #contents(a: object, b: object): boolean {
    if (types.isTypedArray(a)) return sameElements(a, b as typeof a);
    if (types.isAnyArrayBuffer(a)) {
      return sameElements(
        new Uint8Array(a),
        new Uint8Array(b as ArrayBufferLike),
      );
    }
    if (types.isWeakMap(a)) {
      throw new TypeError("Cannot compare WeakMap instances");
    }
    if (types.isWeakSet(a)) {
      throw new TypeError("Cannot compare WeakSet instances");
    }
    if (a instanceof WeakRef) {
      return this.equal(a.deref(), (b as typeof a).deref());
    }
    if (Object.keys(a).length !== Object.keys(b).length) return false;
    if (types.isSet(a)) return this.#entries(a, b as Set<unknown>);
    if (types.isMap(a)) return this.#entries(a, b as Map<unknown, unknown>);
    if (TEXT_SAYS_ALL.has(getPrototypeOf(a))) return String(a) === String(b);
    return this.#properties(a, b);
  }

  /** Pairs each entry of the one side off with an equal one of the other. */
  #entries(
    a: Set<unknown> | Map<unknown, unknown>,
    b: Set<unknown> | Map<unknown, unknown>,
  ): boolean {
    if (a.size !== b.size) return false;
    const left = new Map(b.entries());
    for (const [key, value] of a.entries()) {
      const partner = this.#partner(key, value, left);
      if (!partner) return false;
      left.delete(partner.key);
    }
    return true;
  }

  #partner(
    key: unknown,
    value: unknown,
    among: Map<unknown, unknown>,
  ): { key: unknown } | undefined {
    if (among.has(key) && this.equal(value, among.get(key))) return { key };
    // Only an object can be equal to a key that is not the same.
    if (!isObject(key)) return undefined;
    for (const [otherKey, otherValue] of among) {
      if (this.equal(key, otherKey) && this.equal(value, otherValue)) {
        return { key: otherKey };
      }
    }
    return undefined;
  }

  #properties(a: object, b: object): boolean {
    const keys = new Set([...comparedKeys(a), ...comparedKeys(b)]);
    for (const key of keys) {
      if (Reflect.has(a, key) !== Reflect.has(b, key)) return false;
      if (!this.equal(Reflect.get(a, key), Reflect.get(b, key))) return false;
    }
    return true;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function sameKind(a: object, b: object): boolean {
  const kindOf = (object: object) => getPrototypeOf(object) ?? Object.prototype;
  return kindOf(a) === kindOf(b);
}

function sameElements(
  a: ArrayLike<unknown>,
  b: ArrayLike<unknown>,
): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i] && !Object.is(a[i], b[i])) return false;
  }
  return true;
}

/** What to compare: of a plain object what can be listed, else everything. */
function* comparedKeys(object: object): Generator<PropertyKey> {
  if (PLAIN.has(getPrototypeOf(object))) {
    yield* ownKeys({ ...object });
    return;
  }
  let holder: object | null = object;
  while (!PLAIN.has(holder)) {
    yield* ownKeys(holder!);
    holder = getPrototypeOf(holder!);
  }
}

/** Nothing where the runtime has no `Temporal`. */
function temporalPrototypes(): object[] {
  const { Temporal } = globalThis as { Temporal?: object };
  if (!Temporal) return [];
  return ownKeys(Temporal)
    .map((key) => Reflect.get(Temporal, key)?.prototype)
    .filter(isObject);
}
