/**
 * Several servers in one program, for as many cores: each on a thread and a port of its own.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { PORTS } from "./rooms.ts";

const { values } = parseArgs({
  options: { port: { type: "string", multiple: true, default: PORTS } },
});

const workers: Worker[] = [];
for (const port of values.port) {
  const worker = new Worker(new URL("./server.ts", import.meta.url), {
    type: "module",
    name: port,
  });
  const address = await new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
  console.log(`listening on ${address}`);
  workers.push(worker);
}
// The program ends when the last of them has.
Deno.addSignalListener("SIGINT", () => workers.forEach((worker) => worker.postMessage("close")));
