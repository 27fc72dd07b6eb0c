/**
 * Socket.IO: its server.
 *
 * @module
 */

import { createServer } from "node:http";
import { argv } from "node:process";
import { Server } from "socket.io";
import { answerAsServer } from "../commands.mjs";

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  // With it, it keeps what it has sent for clients that come back, as a session of ours does.
  ...(argv[2] === "recovery" ? { connectionStateRecovery: {} } : {}),
});
io.engine.on("connection", (rawSocket) => {
  rawSocket.request = null;
});

let handled = 0;
let last;
io.on("connection", (socket) => {
  socket.on("echo", (data, reply) => reply(data));
  socket.on("note", (data) => {
    handled++;
    last = data;
  });
  socket.on("count", (reply) => {
    reply({ handled, last });
    handled = 0;
  });
  socket.on("burst", ({ packets, data }) => {
    for (let n = 0; n < packets; n++) io.emit("tick", data);
  });
});
http.listen(0, "127.0.0.1", () => answerAsServer({ port: http.address().port }));
