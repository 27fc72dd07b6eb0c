import { assertEquals, assertLess } from "@std/assert";
import { Process, programCommand } from "../support/cli.ts";

interface Measured {
  sockets: number;
  descriptors: number;
  heap: number;
}

// Descriptors are counted in /proc.
const ignore = Deno.build.os !== "linux";

Deno.test("sessions that come and go leave no descriptor, no timer and no memory behind", {
  ignore,
}, async () => {
  const CYCLES = 300;
  const [deno, ...args] = programCommand("tests/support/session_cycles.ts");
  args.splice(-1, 0, "--v8-flags=--expose-gc");
  await using process = new Process(deno, [...args, String(CYCLES)]);
  for (let tenth = 1; tenth <= 10; tenth++) {
    assertEquals(await process.line(), String(tenth * CYCLES / 10));
  }
  const { resumes, early, late } = await process.object() as {
    resumes: number;
    early: Measured;
    late: Measured;
  };
  // With a timer or a socket left it would not end.
  assertEquals([await process.exit(), resumes], [0, CYCLES]);
  // That of the server that listens.
  assertEquals([early.sockets, late.sockets], [1, 1]);
  assertLess(late.descriptors - early.descriptors, 10);
  // A session that is kept costs 16 KiB, both sides of it. What the runtime keeps comes and goes by 2 MiB.
  assertLess(late.heap - early.heap, 3 * 2 ** 20);
});
