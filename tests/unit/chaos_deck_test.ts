import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  type Card,
  CELLS,
  deal,
  isPassable,
  leastDraws,
  leastResumes,
} from "../../tasks/chaos/deck.ts";
import { Random } from "../../tasks/chaos/random.ts";

function draws(cards: Card[]): number[] {
  return CELLS.map(({ kind, phase, direction }) =>
    cards.filter((card) =>
      card.kind === kind && card.phase === phase && card.direction === direction
    ).length
  );
}

Deno.test("of 500 faults each comes at least 20 times, and at least 400 are followed by a resume", () => {
  assertEquals([leastDraws(500), leastResumes(500)], [20, 400]);
  for (let seed = 0; seed < 20; seed++) {
    const cards = deal(500, 6, new Random(seed)).flat();
    assertEquals(cards.length, 500);
    for (const number of draws(cards)) assert(number >= 20);
    assert(cards.filter(isPassable).length >= 400);
  }
});

Deno.test("any number of faults is dealt as demanded, and first one that lets a connection come about", () => {
  for (let cuts = 1; cuts <= 120; cuts++) {
    const hands = deal(cuts, Math.min(6, cuts), new Random(cuts));
    const cards = hands.flat();
    assertEquals(cards.length, cuts);
    for (const number of draws(cards)) assert(number >= leastDraws(cuts));
    assert(cards.filter(isPassable).length >= leastResumes(cuts));
    for (const hand of hands) assert(isPassable(hand[0]!));
    for (const { at } of cards) assert(at >= 0 && at < 1);
  }
});

Deno.test("a seed deals the same faults again, and another one others", () => {
  const dealt = (seed: number) => deal(100, 6, new Random(seed));
  assertEquals(dealt(7), dealt(7));
  assertNotEquals(dealt(7), dealt(8));
});
