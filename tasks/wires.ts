/**
 * Runs the tests of delivery over secure connections, and over TLS: `deno test` runs them over plain ones.
 *
 * Not among them, and plain whatever the environment says: tests of what stands on the plain wire itself
 * (bytes, the first line, refusals), of what comes before a session (handshakes, addresses, tokens), of the
 * tools, and those that choose their wires themselves. The chaos has a wire of its own: `--wire`.
 *
 * @module
 */

const WIRES = ["secure", "tls"];

/** What must hold over each wire, in `tests/integration`. */
const FILES = [
  "backpressure",
  "broadcast_request",
  "connection",
  "deadlock",
  "detached_limits",
  "groups",
  "guarantees",
  "liveness",
  "reconnect",
  "resume",
  "resume_bounds",
  "session_bad_input",
  "session_cycles",
  "session_loss",
  "session_shutdown",
  "slow_reader",
  "takeover",
  "volatile",
  "window",
].map((name) => `tests/integration/${name}_test.ts`);

let failures = 0;
for (const wire of WIRES) {
  console.log(`${FILES.length} files over ${wire}:\n  ${FILES.join("\n  ")}`);
  const start = performance.now();
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", ...FILES],
    cwd: `${import.meta.dirname}/..`,
    env: { PNETWORK_TEST_WIRE: wire },
  }).spawn().status;
  if (!success) failures++;
  const seconds = Math.round((performance.now() - start) / 1_000);
  console.log(`${wire}: ${success ? "passed" : "FAILED"} in ${seconds} s`);
}
if (failures > 0) Deno.exit(1);
