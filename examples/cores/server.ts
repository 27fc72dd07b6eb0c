/**
 * One of the servers, on a thread and a port of its own. It knows nothing of the others.
 *
 * @module
 */

/// <reference lib="deno.worker" />

import { Server } from "@pnetwork/pnetwork";
import type { Rooms } from "./rooms.ts";

declare const self: DedicatedWorkerGlobalScope;

const server = new Server<Rooms>({
  port: Number(self.name),
  authenticate: ({ auth: room }) =>
    typeof room === "string" && room !== "" && room.length <= 64
      ? { attach: room }
      : { refuse: "a room has 1 to 64 characters" },
  onConnect: (connection) => connection.join(connection.attached as string),
});
server.bindAction("say", (text, _packet, connection) => {
  const room = server.group(connection.attached as string);
  return room.broadcast(server.createPacket("said", String(text)), { except: connection }).sent;
});

await server.start();
self.postMessage(server.address);
self.onmessage = async () => {
  await server.close({ reason: "the servers are shutting down" });
  self.close();
};
