import { assertEquals } from "@std/assert";
import { Roster } from "../../roster.ts";

/** One with the entries `from`, …, `to`, each kept under its own number. */
function rosterOf(from: number, to: number): Roster<number, string> {
  const roster = new Roster<number, string>();
  add(roster, from, to);
  return roster;
}

function add(roster: Roster<number, string>, from: number, to: number): void {
  for (let n = from; n <= to; n++) roster.set(n, `${n}`);
}

/** Enough for it to begin another map. */
const MANY = 1_000;

Deno.test("what is kept under a key is found, until it is kept no more", () => {
  const roster = rosterOf(1, 3);
  assertEquals([roster.get(2), roster.has(2), roster.size], ["2", true, 3]);
  assertEquals([roster.delete(2), roster.delete(2)], [true, false]);
  assertEquals([roster.get(2), roster.has(2), roster.size], [undefined, false, 2]);
  roster.set(3, "another");
  assertEquals([...roster], [[1, "1"], [3, "another"]]);
});

Deno.test("what comes and goes for long leaves nothing behind", () => {
  const roster = rosterOf(1, 3);
  for (let n = 4; n <= MANY; n++) {
    roster.set(n, `${n}`);
    roster.delete(n - 3);
    assertEquals(roster.size, 3);
  }
  assertEquals([...roster.keys()], [MANY - 2, MANY - 1, MANY]);
  assertEquals([...roster.values()], [`${MANY - 2}`, `${MANY - 1}`, `${MANY}`]);
});

Deno.test("all are there in the order in which they came, however many", () => {
  const roster = rosterOf(1, MANY);
  assertEquals([...roster.keys()], Array.from({ length: MANY }, (_, n) => n + 1));
});

Deno.test("whoever walks over it meets those who come, and not those who have gone", () => {
  const roster = rosterOf(1, 4);
  const met: number[] = [];
  for (const n of roster.keys()) {
    met.push(n);
    if (n === 2) {
      roster.delete(1);
      roster.delete(3);
      roster.set(5, "5");
    }
  }
  assertEquals(met, [1, 2, 4, 5]);
});

Deno.test("the same holds where so many come meanwhile that it begins another map", () => {
  const roster = rosterOf(1, 4);
  const met: number[] = [];
  for (const [n, value] of roster) {
    assertEquals(value, `${n}`);
    met.push(n);
    if (n === 2) {
      roster.delete(1);
      add(roster, 5, MANY);
      roster.delete(3);
      roster.delete(MANY - 1);
    }
    if (n === MANY) {
      // Once more, where the last one has been met.
      add(roster, MANY + 1, 3 * MANY);
      roster.delete(3 * MANY - 1);
    }
  }
  const expected = Array.from({ length: 3 * MANY }, (_, n) => n + 1)
    .filter((n) => ![3, MANY - 1, 3 * MANY - 1].includes(n));
  assertEquals(met, expected);
});
