/**
 * `ws` with what its users write around it: its clients.
 *
 * @module
 */

import { once } from "node:events";
import { WebSocket } from "ws";
import { PORT, serveLoad } from "../load.mjs";

/** A flood waits when so much has not been taken by the system. */
const MAX_BUFFERED_BYTES = 1_048_576;

await serveLoad(async (hear) => {
  const socket = new WebSocket(`ws://127.0.0.1:${PORT}`, { perMessageDeflate: false });
  await once(socket, "open");
  const waiting = new Map();
  let lastId = 0;
  socket.on("message", (bytes) => {
    const { id, data } = JSON.parse(bytes);
    if (id === undefined) {
      hear(data);
      return;
    }
    waiting.get(id)(data);
    waiting.delete(id);
  });
  const request = (action, data) => {
    const id = ++lastId;
    socket.send(JSON.stringify({ action, data, id }));
    return new Promise((resolve) => waiting.set(id, resolve));
  };
  return {
    request: (data) => request("echo", data),
    flood: async (data, untilMs) => {
      let sent = 0;
      while (performance.now() < untilMs) {
        for (let n = 0; n < 63; n++) socket.send(JSON.stringify({ action: "note", data }));
        const text = JSON.stringify({ action: "note", data });
        if (socket.bufferedAmount < MAX_BUFFERED_BYTES) socket.send(text);
        else await new Promise((resolve) => socket.send(text, resolve));
        sent += 64;
      }
      return sent;
    },
    count: () => request("count", null),
    burst: (data) => socket.send(JSON.stringify({ action: "burst", data })),
    close: async () => {
      socket.close();
      await once(socket, "close");
    },
  };
});
