/**
 * Socket.IO: its clients.
 *
 * @module
 */

import { io } from "socket.io-client";
import { PORT, serveLoad } from "../load.mjs";

/** After so many packets a flood waits until they are on their way: as fast as more or fewer, or faster. */
const BATCH = 256;

await serveLoad(async (hear) => {
  const socket = io(`http://127.0.0.1:${PORT}`, {
    transports: ["websocket"],
    // A connection of its own for each client.
    forceNew: true,
  });
  socket.on("tick", hear);
  await new Promise((resolve, reject) => socket.on("connect", resolve).on("connect_error", reject));
  return {
    request: (data) => socket.emitWithAck("echo", data),
    flood: async (data, untilMs) => {
      let sent = 0;
      while (performance.now() < untilMs) {
        for (let n = 0; n < BATCH; n++) socket.emit("note", data);
        sent += BATCH;
        await new Promise((resolve) => socket.io.engine.once("drain", resolve));
      }
      return sent;
    },
    count: () => socket.emitWithAck("count"),
    burst: (data) => socket.emit("burst", data),
    close: async () => {
      const closed = new Promise((resolve) => socket.io.engine.once("close", resolve));
      socket.disconnect();
      await closed;
    },
  };
});
