// A server in a process of its own, to be run with few file descriptors. Says its port, then what it
// logs as a warning, and ends when its input does.

import { configure } from "@logtape/logtape";
import { Server } from "../../mod.ts";
import { serveHonestly } from "./honest.ts";

await configure({
  sinks: { output: ({ rawMessage }) => console.log(rawMessage) },
  loggers: [
    { category: ["logtape", "meta"], lowestLevel: "error" },
    { category: ["pnetwork"], sinks: ["output"], lowestLevel: "warning" },
  ],
});
await using server = new Server({ port: 0, handshakeTimeoutMs: 60_000, drainTimeoutMs: 1_000 });
serveHonestly(server);
await server.start();
console.log(server.port);
for await (const _ of Deno.stdin.readable);
