/**
 * Socket.IO: its server on Node.
 *
 * @module
 */

import { createServer } from "node:http";
import { argv } from "node:process";
import { Server } from "socket.io";
import { answerAsServer } from "../commands.mjs";
import { serve } from "./socketio.mjs";

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  // With it, it keeps what it has sent for clients that come back, as a session of ours does.
  connectionStateRecovery: argv[2] === "recovery" ? {} : undefined,
});
// As its documentation says, for less memory.
io.engine.on("connection", (rawSocket) => {
  rawSocket.request = null;
});
serve(io);
http.listen(0, "127.0.0.1", () => answerAsServer({ port: http.address().port }));
