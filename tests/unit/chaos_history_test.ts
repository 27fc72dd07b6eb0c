import { assertEquals } from "@std/assert";
import { type Findings, History, judge, judgeVolatile, sum } from "../../tasks/chaos/history.ts";

/** What is found of these arrivals. */
function found(count: number, arrivals: number[], withdrawn: number[] = []): Findings {
  return judge({ count, withdrawn }, watched(arrivals).arrived());
}

function watched(arrivals: number[]): History {
  const history = new History();
  for (const number of arrivals) history.take(number);
  return history;
}

const FINE: Findings = { lost: 0, duplicated: 0, reordered: 0, unsent: 0 };

Deno.test("a history in which all came once and in order has nothing to say", () => {
  assertEquals(found(0, []), FINE);
  assertEquals(found(3, [1, 2, 3]), FINE);
});

Deno.test("a history counts what never came as lost, at the beginning, in the middle and at the end", () => {
  assertEquals(found(5, [2, 4]), { ...FINE, lost: 3 });
  assertEquals(found(2, []), { ...FINE, lost: 2 });
});

Deno.test("a history counts what came again as duplicated, each time", () => {
  assertEquals(found(3, [1, 2, 2, 3, 1, 1]), { ...FINE, duplicated: 3 });
});

Deno.test("a history counts what came late as reordered, and not as lost or duplicated", () => {
  assertEquals(found(4, [1, 3, 4, 2]), { ...FINE, reordered: 1 });
  assertEquals(found(3, [3, 2, 1]), { ...FINE, reordered: 2 });
  assertEquals(found(3, [1, 3, 2, 2]), { ...FINE, reordered: 1, duplicated: 1 });
});

Deno.test("a history misses nothing that was taken back, and tells when it came all the same", () => {
  assertEquals(found(4, [1, 3], [2, 4]), FINE);
  assertEquals(found(4, [1, 2, 3], [2, 4]), { ...FINE, unsent: 1 });
  assertEquals(found(4, [1], [2]), { ...FINE, lost: 2 });
});

Deno.test("a history tells what came that was never sent", () => {
  assertEquals(found(2, [1, 2, 3, 4]), { ...FINE, unsent: 2 });
  assertEquals(found(2, [1, 4]), { ...FINE, lost: 1, unsent: 2 });
});

Deno.test("a history tells when a packet came at another place among the broadcasts", () => {
  const history = watched([1, 2]);
  history.compareMarks([3, 0], [3, 0]);
  assertEquals(history.troubles, 0);
  history.compareMarks([3, 0], [4, 0]);
  history.compareMarks([3, 1], [3, 0]);
  assertEquals(history.troubles, 2);
  assertEquals(history.arrived().reordered, 2);
});

Deno.test("a history tells of troubles while it goes on", () => {
  assertEquals(watched([1, 2, 5]).troubles, 0);
  assertEquals(watched([1, 2, 5, 3, 3]).troubles, 2);
  assertEquals(watched([1, 2, 5]).last, 5);
});

Deno.test("a volatile stream may lose packets, and nothing else", () => {
  assertEquals(judgeVolatile(9, watched([2, 5]).arrived()), FINE);
  assertEquals(judgeVolatile(9, watched([2, 5, 5, 4]).arrived()), {
    ...FINE,
    duplicated: 1,
    reordered: 1,
  });
  assertEquals(judgeVolatile(2, watched([3]).arrived()), { ...FINE, unsent: 1 });
});

Deno.test("findings add up", () => {
  assertEquals(sum([]), FINE);
  assertEquals(
    sum([{ lost: 1, duplicated: 2, reordered: 3, unsent: 4 }, {
      lost: 10,
      duplicated: 20,
      reordered: 30,
      unsent: 40,
    }]),
    { lost: 11, duplicated: 22, reordered: 33, unsent: 44 },
  );
});
