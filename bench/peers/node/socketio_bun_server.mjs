/**
 * Socket.IO: its server on Bun, with the engine that it has for that.
 *
 * @module
 */

import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { answerAsServer } from "../commands.mjs";
import { serve } from "./socketio.mjs";

const io = new Server();
const engine = new Engine({ path: "/socket.io/" });
io.bind(engine);
serve(io);
const http = globalThis.Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  ...engine.handler(),
  // Longer than the time between two pings.
  idleTimeout: 30,
});
await answerAsServer({ port: http.port });
