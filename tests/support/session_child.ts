// One side of a session in a process of its own, which a test may stop. As a server it says its port, as a
// client it is told one. Then it says what its hooks and its handlers are told, a JSON value a line, and
// ends when its input does.

import { Client, type ConnectionLimits, Server } from "../../mod.ts";
import { DEFAULT_WIRE, WIRES } from "./wires.ts";

const wire = WIRES[DEFAULT_WIRE];
const [port, limits = "{}"] = Deno.args;
const options: ConnectionLimits = JSON.parse(limits);
const say = (value: unknown) => console.log(JSON.stringify(value));
const hooks = {
  onDetach: () => say("onDetach"),
  onResume: () => say("onResume"),
  onDisconnect: () => say("onDisconnect"),
};
const side = port === undefined || port === "server"
  ? new Server({ ...wire.server, port: 0, ...options, ...hooks })
  : new Client({
    ...wire.client,
    port: Number(port),
    minRetryMs: 1,
    maxRetryMs: 20,
    ...options,
    ...hooks,
  });
side.bindAction("n", (n) => say(n));
side.bindAction("echo", (data) => data);
await side.start();
say(side instanceof Server ? side.port : side.id);
for await (const _ of Deno.stdin.readable);
await side.close({ drainTimeoutMs: 0 });
