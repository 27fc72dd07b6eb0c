import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { AddressCounts, addressKey } from "../../addresses.ts";

function key(hostname: string): string | undefined {
  return addressKey({ transport: "tcp", hostname, port: 5 }, false);
}

const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
const groups = fc.array(group, { minLength: 8, maxLength: 8 });

/** Every way to write these groups. */
function* spellings(groups: number[]): Generator<string> {
  const plain = groups.map((group) => group.toString(16));
  yield plain.join(":");
  yield plain.join(":").toUpperCase();
  yield plain.map((group) => group.padStart(4, "0")).join(":");
  for (let from = 0; from < 8; from++) {
    for (let to = from + 1; to <= 8 && groups[to - 1] === 0; to++) {
      yield `${plain.slice(0, from).join(":")}::${plain.slice(to).join(":")}`;
    }
  }
}

Deno.test("every way to write an IPv6 address counts as the same /64", () => {
  fc.assert(
    fc.property(groups, (groups) => {
      const expected = groups.slice(0, 4).map((group) => group.toString(16)).join(":") + "::/64";
      for (const address of spellings(groups)) {
        assertEquals(key(address), expected, address);
        assertEquals(key(`${address}%eth0`), expected, address);
      }
    }),
  );
});

Deno.test("an IPv4 address counts as itself in either form", () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      assertEquals([key(address), key(`::ffff:${address}`)], [address, address]);
    }),
  );
});

Deno.test("counts are those of a naive count, and never below none", () => {
  const step = fc.tuple(fc.boolean(), fc.constantFrom("a", "b", "__proto__", undefined));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const counts = new AddressCounts();
      const naive = new Map<string | undefined, number>();
      for (const [isMore, key] of steps) {
        if (isMore) counts.add(key);
        else counts.remove(key);
        const count = Math.max(0, (naive.get(key) ?? 0) + (isMore ? 1 : -1));
        naive.set(key, key === undefined ? 0 : count);
        for (const [key, count] of naive) assertEquals(counts.of(key), count);
      }
    }),
  );
});
