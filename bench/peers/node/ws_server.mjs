/**
 * `ws` with what its users write around it: its server.
 *
 * @module
 */

import { WebSocket, WebSocketServer } from "ws";
import { answerAsServer } from "../commands.mjs";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
let handled = 0;
let last;
server.on("connection", (socket) => {
  socket.on("error", console.error);
  socket.on("message", (bytes) => {
    const { action, data, id } = JSON.parse(bytes);
    switch (action) {
      case "echo":
        socket.send(JSON.stringify({ data, id }));
        break;
      case "note":
        handled++;
        last = data;
        break;
      case "count":
        socket.send(JSON.stringify({ data: { handled, last }, id }));
        handled = 0;
        break;
      case "burst":
        for (let n = 0; n < data.packets; n++) {
          broadcast(JSON.stringify({ action: "tick", data: data.data }));
        }
    }
  });
});
server.on("listening", () => answerAsServer({ port: server.address().port }));

function broadcast(text) {
  for (const client of server.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(text);
  }
}
