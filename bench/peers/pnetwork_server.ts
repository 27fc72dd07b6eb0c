/**
 * This project: its server.
 *
 * @module
 */

import { createIdentity, Server } from "../../mod.ts";
import { ONE } from "../../tests/support/certs.ts";
import { answerAsServer } from "./commands.mjs";

const [wire] = Deno.args;
const secure = wire === "secure" ? await createIdentity() : undefined;
const server = new Server({ port: 0, secure, tls: wire === "tls" ? ONE : undefined });
let handled = 0;
let last: unknown;
server.bindAction("echo", (data) => data);
server.bindAction("note", (data) => {
  handled++;
  last = data;
});
server.bindAction("count", () => {
  const answer = { handled, last };
  handled = 0;
  return answer;
});
server.bindAction("burst", (burst) => {
  const { packets, data } = burst as { packets: number; data: unknown };
  for (let n = 0; n < packets; n++) server.broadcast({ action: "tick", data });
});
await server.start();
await answerAsServer({ port: server.port, forLoad: secure ? [secure.fingerprint] : [] });
