/**
 * A chat on the terminal, the side that talks. A line is said to the room; `/join ROOM`, `/members`
 * and `/quit` are commands.
 *
 * @module
 */

import { Client, sanitize } from "@pnetwork/pnetwork";
import { TextLineStream } from "@std/streams";
import { parseArgs } from "node:util";
import type { Chat } from "./contract.ts";

const { values, positionals: [name = ""] } = parseArgs({
  options: { port: { type: "string", default: "25565" } },
  allowPositionals: true,
});
// What others typed may hold what moves the cursor.
const print = (line: string) => console.log(sanitize(line));

const client = new Client<Chat>({
  port: Number(values.port),
  auth: name,
  maxRetryMs: 1_000, // there is not much time to come back
  onDetach: (_connection, { reason }) => print(`* reconnecting: ${reason}`),
  onResume: () => print("* back: nothing was missed"),
  // Whoever was away for too long enters anew.
  onSessionLost: enter,
});
client
  .bindAction("said", ({ who, text }) => print(`${who}: ${text}`))
  .bindAction("joined", ({ who, room }) => print(`* ${who} joined ${room}`))
  .bindAction("left", ({ who, room }) => print(`* ${who} left ${room}`));

try {
  await client.start();
  await enter();
} catch (error) {
  console.error(`cannot join: ${(error as Error).message}`);
  Deno.exit(1);
}
let isLeaving = false;
client.closed.then(({ reason }) => {
  if (isLeaving) return;
  print(`* disconnected: ${reason}`);
  Deno.exit(1); // or standard input would be waited for
});

const lines = Deno.stdin.readable
  .pipeThrough(new TextDecoderStream())
  .pipeThrough(new TextLineStream());
for await (const line of lines) {
  if (line === "/quit") break;
  try {
    await obey(line);
  } catch (error) {
    print(`* ${(error as Error).message}`);
  }
}
isLeaving = true;
await client.close();

async function enter(): Promise<void> {
  print(`* in lobby: ${(await client.request("members")).join(", ")}`);
}

async function obey(line: string): Promise<void> {
  const [, command, rest = ""] = /^\/(\w+) ?(.*)/.exec(line) ?? [];
  switch (command) {
    case undefined:
      if (line !== "") await client.request("say", line);
      break;
    case "join":
      print(`* in ${rest}: ${(await client.request("join", rest)).join(", ")}`);
      break;
    case "members":
      print(`* here: ${(await client.request("members")).join(", ")}`);
      break;
    default:
      print(`* no such command: /${command}`);
  }
}
