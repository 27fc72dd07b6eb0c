/**
 * The faulty proxy as a process: `deno run -A faulty_proxy_main.ts TO [PORT]`.
 *
 * It prints one JSON object a line: first `{ port }`, then its incidents. It reads one command a line, which
 * it prints as `{ did: command }` once it is done, and ends when its input does:
 *
 * - `{ "plans": [plan, …] }`: of the connections to come;
 * - `{ "apply": plan, "link": index }`: to a connection, by default the last one;
 * - `{ "cut": "fin" | "reset", "side": … , "link": index }`: now, by default the last one;
 * - `{ "pull": true }`, `{ "plugIn": true }`, `{ "cutAll": "fin" | "reset" }`, `{ "to": port }`.
 *
 * @module
 */

import { TextLineStream } from "@std/streams/text-line-stream";
import { FaultyProxy, type Plan, type Side } from "./faulty_proxy.ts";

interface Command {
  plans?: Plan[];
  apply?: Plan;
  cut?: "fin" | "reset";
  side?: Side;
  link?: number;
  pull?: boolean;
  plugIn?: boolean;
  cutAll?: "fin" | "reset";
  to?: number;
}

const [to, port = "0"] = Deno.args;
await using proxy = await FaultyProxy.listen({
  to: Number(to),
  port: Number(port),
  onIncident: (incident) => console.log(JSON.stringify(incident)),
});
console.log(JSON.stringify({ port: proxy.port }));
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(
  new TextLineStream(),
);
for await (const text of lines) {
  if (text === "") continue;
  const command: Command = JSON.parse(text);
  const link = proxy.links.at(command.link ?? -1);
  if (command.to !== undefined) proxy.to = command.to;
  if (command.plans) proxy.plans.push(...command.plans);
  if (command.apply) link?.apply(command.apply);
  if (command.cut) link?.cut(command.cut, command.side);
  if (command.cutAll) proxy.cutAll(command.cutAll);
  if (command.pull) proxy.pull();
  if (command.plugIn) proxy.plugIn();
  console.log(JSON.stringify({ did: command }));
}
