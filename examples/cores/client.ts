/**
 * One person in a room: goes to the server that has it, and says every line there.
 *
 * @module
 */

import { Client, sanitize } from "@pnetwork/pnetwork";
import { TextLineStream } from "@std/streams";
import { parseArgs } from "node:util";
import { PORTS, type Rooms, serverOf } from "./rooms.ts";

const { values, positionals: [room = "lobby"] } = parseArgs({
  options: { port: { type: "string", multiple: true, default: PORTS } },
  allowPositionals: true,
});

await using client = new Client<Rooms>({
  port: Number(await serverOf(values.port, room)),
  auth: room,
  onResume: () => console.log("* back: nothing was missed"),
  onSessionLost: (_connection, { reason }) => console.log(`* begun anew: ${reason}`),
});
client.bindAction("said", (text) => console.log(sanitize(text)));
await client.start();
console.log(`* in ${sanitize(room)} at ${client.address}`);

const lines = Deno.stdin.readable
  .pipeThrough(new TextDecoderStream())
  .pipeThrough(new TextLineStream());
for await (const line of lines) {
  console.log(`* heard by ${await client.request("say", line)}`);
}
