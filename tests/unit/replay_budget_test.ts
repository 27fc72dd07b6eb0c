import { assertEquals } from "@std/assert";
import { type Holder, ReplayBudget } from "../../replay_budget.ts";

/** Holds bytes, and lets go of half of them when it is asked to. */
class Half implements Holder {
  bytes = 0;
  asked = 0;
  readonly #budget: ReplayBudget;

  constructor(budget: ReplayBudget) {
    this.#budget = budget;
  }

  add(bytes: number): void {
    this.bytes += bytes;
    this.#budget.add(this, bytes);
  }

  remove(bytes: number): void {
    this.bytes -= bytes;
    this.#budget.remove(this, bytes);
  }

  giveWay(): void {
    this.asked++;
    this.remove(Math.ceil(this.bytes / 2));
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

Deno.test("as many give way as have to, the largest of the moment each time", () => {
  const { budget, all: [a, b, c] } = holders(100, 3);
  a.add(40);
  b.add(35);
  c.add(80);
  // 155: c to 40, a to 20, which leaves 95.
  assertEquals([a.bytes, b.bytes, c.bytes], [20, 35, 40]);
  assertEquals([a.asked, b.asked, c.asked, budget.bytes], [1, 0, 1, 95]);
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
