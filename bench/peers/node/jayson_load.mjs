/**
 * jayson over TCP: clients that are written by hand, since its own opens a connection for each request.
 *
 * @module
 */

import { once } from "node:events";
import { connect } from "node:net";
import { PORT, serveLoad } from "../load.mjs";
import { BATCH_LENGTH, readPackets } from "./bare_net.mjs";

await serveLoad(async () => {
  const socket = connect({ host: "127.0.0.1", port: PORT, noDelay: true });
  await once(socket, "connect");
  const waiting = new Map();
  let lastId = 0;
  let unsent = "";
  readPackets(socket, (replies) => {
    for (const { id, result } of replies) {
      waiting.get(id)(result);
      waiting.delete(id);
    }
  });
  const request = (method, params) => {
    const id = ++lastId;
    if (unsent === "") {
      queueMicrotask(() => {
        socket.write(unsent);
        unsent = "";
      });
    }
    unsent += JSON.stringify({ jsonrpc: "2.0", method, params, id }) + "\n";
    return new Promise((resolve) => waiting.set(id, resolve));
  };
  return {
    request: (data) => request("echo", [data]),
    flood: async (data, untilMs) => {
      let sent = 0;
      let text = "";
      while (performance.now() < untilMs) {
        for (let n = 0; n < 64; n++) {
          text += JSON.stringify({ jsonrpc: "2.0", method: "note", params: [data] }) + "\n";
          if (text.length < BATCH_LENGTH) continue;
          if (!socket.write(text)) await once(socket, "drain");
          text = "";
        }
        sent += 64;
      }
      if (text !== "") socket.write(text);
      return sent;
    },
    count: () => request("count", []),
    burst: () => {
      throw new Error("jayson does not broadcast");
    },
    close: () => new Promise((resolve) => socket.end(resolve)),
  };
});
