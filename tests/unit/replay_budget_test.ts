import { assert, assertEquals } from "@std/assert";
import { type Holder, ReplayBudget } from "../../replay_budget.ts";

/** Holds one thing after the other, and lets go of half of their bytes when it is asked to. */
class Half implements Holder {
  length = 0;
  asked = 0;
  /** How often it was counted. */
  counts = 0;
  #bytes = 0;
  readonly #budget: ReplayBudget;

  constructor(budget: ReplayBudget) {
    this.#budget = budget;
  }

  get bytes(): number {
    this.counts++;
    return this.#bytes;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    this.length++;
    this.#budget.add(this, bytes);
  }

  /** Lets go of so many bytes; what is left counts as no fewer things, while anything is. */
  remove(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes === 0) this.length = 0;
    this.#budget.remove(this, bytes);
  }

  giveWay(): void {
    this.asked++;
    this.remove(Math.ceil(this.#bytes / 2));
  }
}

/** Holds one thing, of which the budget knows a bound until somebody asks. */
class Bounded implements Holder {
  length = 1;
  counts = 0;
  asked = 0;
  readonly #budget: ReplayBudget;
  readonly #bytes: number;
  #bound: number;

  constructor(budget: ReplayBudget, bytes: number, bound: number) {
    this.#budget = budget;
    this.#bytes = bytes;
    this.#bound = bound;
    budget.add(this, bound);
  }

  get bytes(): number {
    this.counts++;
    if (this.length === 0) return 0;
    const excess = this.#bound - this.#bytes;
    this.#bound = this.#bytes;
    if (excess > 0) this.#budget.remove(this, excess);
    return this.#bytes;
  }

  giveWay(): void {
    this.asked++;
    this.length = 0;
    this.#budget.remove(this, this.#bound);
  }
}

function holders(maxBytes: number, count: number) {
  const budget = new ReplayBudget(maxBytes);
  return { budget, all: Array.from({ length: count }, () => new Half(budget)) };
}

Deno.test("what all hold together is their sum", () => {
  const { budget, all: [a, b] } = holders(100, 2);
  a.add(30);
  b.add(50);
  a.remove(10);
  assertEquals([budget.bytes, a.bytes, b.bytes], [70, 20, 50]);
  a.remove(20);
  b.remove(50);
  assertEquals(budget.bytes, 0);
});

Deno.test("up to the bound nobody gives way, one byte more and the largest does", () => {
  const { budget, all: [a, b, c] } = holders(100, 3);
  a.add(20);
  b.add(50);
  c.add(30);
  assertEquals([a.asked, b.asked, c.asked], [0, 0, 0]);
  a.add(1);
  assertEquals([a.asked, b.asked, c.asked], [0, 1, 0]);
  assertEquals([budget.bytes, b.bytes], [76, 25]);
});

Deno.test("as many give way as have to, from the largest on, until a sixteenth is free", () => {
  const { budget, all: [a, b, c] } = holders(160, 3);
  a.add(40);
  b.add(35);
  c.add(80);
  assertEquals([a.asked, b.asked, c.asked], [0, 0, 0]);
  a.add(10);
  // 165: c to 40 leaves 125.
  assertEquals([a.bytes, b.bytes, c.bytes, budget.bytes], [50, 35, 40, 125]);
  b.add(100);
  // 225: b to 67 is not enough, and a to 25 leaves 132.
  assertEquals([a.bytes, b.bytes, c.bytes, budget.bytes], [25, 67, 40, 132]);
  assertEquals([a.asked, b.asked, c.asked], [1, 1, 1]);
});

Deno.test("whoever alone holds more than all may gives way until it does not", () => {
  const { budget, all: [a] } = holders(100, 1);
  a.add(1_000);
  assertEquals([a.bytes, a.asked, budget.bytes], [62, 4, 62]);
});

Deno.test("whoever holds nothing any more is never asked, and is known again when it does", () => {
  const { budget, all: [a, b] } = holders(100, 2);
  a.add(90);
  a.remove(90);
  b.add(80);
  b.add(30);
  assertEquals([a.asked, b.asked, budget.bytes], [0, 1, 55]);
  a.add(60);
  assertEquals([a.asked, b.asked, budget.bytes], [1, 1, 85]);
});

Deno.test("whoever has held much, and holds one thing alone, is asked as long as it holds that", () => {
  const { budget, all: [a, b] } = holders(100, 2);
  for (let n = 0; n < 3; n++) a.add(20);
  a.remove(20);
  // Back to one, and to more again.
  a.length = 1;
  b.add(30);
  b.add(30);
  b.add(5);
  assertEquals([a.asked, b.asked, budget.bytes], [0, 1, 72]);
  a.add(40);
  assertEquals([a.asked, b.asked, budget.bytes], [1, 1, 72]);
});

Deno.test("while the bounds alone keep within it nobody is counted", () => {
  const budget = new ReplayBudget(100);
  const all = [60, 40].map((bound) => new Bounded(budget, 10, bound));
  assertEquals([budget.bytes, all.map(({ counts }) => counts)], [100, [0, 0]]);
  all[0].giveWay();
  assertEquals([budget.bytes, all.map(({ counts }) => counts)], [40, [0, 0]]);
});

Deno.test("nobody gives way for a bound, only for what was counted", () => {
  for (let count = 1; count <= 3; count++) {
    const budget = new ReplayBudget(100);
    const each = Math.floor(100 / count);
    const all = Array.from({ length: count }, () => new Bounded(budget, each, 300));
    assertEquals(all.map(({ asked }) => asked), Array(count).fill(0));
    assertEquals(budget.bytes, count * each);
    // One byte that is there is one too many.
    const last = new Bounded(budget, 101 - count * each, 300);
    assertEquals([...all, last].reduce((sum, { asked }) => sum + asked, 0), 1);
    assert(budget.bytes <= 100);
  }
});

Deno.test("the largest is the one that holds most, not the one whose bound is highest", () => {
  const budget = new ReplayBudget(100);
  const [high, large] = [new Bounded(budget, 30, 90), new Bounded(budget, 60, 61)];
  new Bounded(budget, 20, 20);
  assertEquals([high.asked, large.asked, budget.bytes], [0, 1, 50]);
});

Deno.test("whoever turns out to hold less than its bound is still known to hold something", () => {
  const budget = new ReplayBudget(100);
  const holder = new Bounded(budget, 50, 90);
  // Told of the difference while it holds on, the budget does not forget it.
  assertEquals([holder.bytes, budget.bytes], [50, 50]);
  new Bounded(budget, 40, 40);
  new Bounded(budget, 11, 11);
  assertEquals([holder.asked, budget.bytes], [1, 51]);
});

Deno.test("where all is used up not everyone is looked at for each packet", () => {
  const { budget, all } = holders(16_000, 100);
  const rounds = 200;
  for (let round = 0; round < rounds; round++) {
    for (const holder of all) {
      holder.add(10);
      assert(budget.bytes <= 16_000);
    }
  }
  const sum = (of: (holder: Half) => number) => all.reduce((total, one) => total + of(one), 0);
  const adds = rounds * all.length;
  assert(sum(({ asked }) => asked) > 100, "they gave way again and again");
  assert(sum(({ counts }) => counts) < adds * 2, `${sum(({ counts }) => counts)} looks`);
});

Deno.test("once all had to be counted what comes is, until no more than half is held", () => {
  const budget = new ReplayBudget(100);
  assertEquals(budget.isTight, false);
  const all = [90, 90].map((bound) => new Bounded(budget, 40, bound));
  assertEquals([budget.bytes, budget.isTight], [80, true]);
  all[0].giveWay();
  assertEquals([budget.bytes, budget.isTight], [40, false]);
  // Counted, they turned out to be few.
  new Bounded(budget, 5, 70);
  assertEquals([budget.bytes, budget.isTight], [45, false]);
});
