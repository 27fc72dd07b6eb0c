import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { ByteQueue } from "../../byte_queue.ts";
import { bytes, cut } from "../support/bytes.ts";

/** Few values, so that one is looked for where it stands more than once. */
const piece = fc.uint8Array({ max: 3, maxLength: 300 });

Deno.test("any cut of bytes in, and any cut out, gives the same bytes", () => {
  const stream = fc.uint8Array({ maxLength: 5_000 });
  const places = fc.array(fc.nat(5_000), { maxLength: 40 });
  fc.assert(
    fc.property(stream, places, places, (whole, placesIn, placesOut) => {
      const inside = (all: number[]) => all.map((place) => Math.min(place, whole.length));
      const queue = new ByteQueue();
      for (const chunk of cut(Uint8Array.from(whole), inside(placesIn))) queue.push(chunk);
      const lengths = cut(Uint8Array.from(whole), inside(placesOut)).map(({ length }) => length);
      const out = lengths.flatMap((length) => [...queue.take(length)]);
      assertEquals(out, [...whole]);
      assertEquals(queue.length, 0);
    }),
  );
});

Deno.test("whatever goes in and out meanwhile, it holds what a list would", () => {
  const step = fc.oneof(
    fc.record({ push: piece }),
    fc.record({ take: fc.double({ min: 0, max: 1, noNaN: true }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new ByteQueue();
      let list: number[] = [];
      for (const step of steps) {
        if ("push" in step) {
          queue.push(step.push);
          list.push(...step.push);
        } else {
          const length = Math.round(step.take * list.length);
          assertEquals([...queue.take(length)], list.slice(0, length));
          list = list.slice(length);
        }
        assertEquals(queue.length, list.length);
        for (const byte of [0, 3]) assertEquals(queue.indexOf(byte), list.indexOf(byte));
        if (list.length > 0) assertEquals(queue.at(list.length - 1), list.at(-1));
      }
      assertEquals(bytes(...queue.take(list.length)), bytes(...list));
    }),
  );
});
