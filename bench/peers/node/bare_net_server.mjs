/**
 * The floor on `node:net`: its server.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createServer } from "node:net";
import { answerAsServer } from "../commands.mjs";
import { EARLY_LENGTH, readPackets } from "./bare_net.mjs";

const sockets = new Set();

const server = createServer({ noDelay: true }, (socket) => {
  sockets.add(socket);
  let handled = 0;
  let last;
  readPackets(socket, (packets) => {
    let replies = "";
    for (const { action, data, id } of packets) {
      if (action === "note") {
        handled++;
        last = data;
      } else if (action === "burst") {
        broadcast(data);
      } else if (action === "count") {
        replies += JSON.stringify({ data: { handled, last }, id }) + "\n";
        handled = 0;
      } else {
        replies += JSON.stringify({ data, id }) + "\n";
      }
      if (replies.length < EARLY_LENGTH) continue;
      socket.write(replies);
      replies = "";
    }
    if (replies !== "") socket.write(replies);
  });
  socket.on("close", () => sockets.delete(socket));
});
server.listen(0, "127.0.0.1", () => answerAsServer({ port: server.address().port }));

/** Each packet stringified once, and all of them in one write for each client. */
function broadcast({ packets, data }) {
  let text = "";
  for (let n = 0; n < packets; n++) text += JSON.stringify({ action: "tick", data }) + "\n";
  const bytes = Buffer.from(text);
  for (const socket of sockets) socket.write(bytes);
}
