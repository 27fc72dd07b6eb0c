/** Collecting garbage on demand, for tests of what is let go of. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { settle } from "./wait.ts";

/** Collects what nothing holds any more. */
export async function collectGarbage(): Promise<void> {
  // A weak reference holds what was made in this turn.
  await settle();
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}
