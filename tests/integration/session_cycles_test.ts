import { assertEquals, assertLess } from "@std/assert";
import { Process, programCommand } from "../support/cli.ts";

interface Measured {
  descriptors: number;
  heap: number;
}

Deno.test("sessions that come and go leave no descriptor, no timer and no memory behind", async () => {
  const CYCLES = 500;
  const [deno, ...args] = programCommand("tests/support/session_cycles.ts");
  args.splice(-1, 0, "--v8-flags=--expose-gc");
  await using process = new Process(deno, [...args, String(CYCLES)]);
  const { resumes, early, late } = await process.object() as {
    resumes: number;
    early: Measured;
    late: Measured;
  };
  // With a timer or a socket left it would not end.
  assertEquals([await process.exit(), resumes], [0, CYCLES]);
  assertEquals(late.descriptors, early.descriptors);
  assertLess(late.heap - early.heap, 2 * 2 ** 20);
});
