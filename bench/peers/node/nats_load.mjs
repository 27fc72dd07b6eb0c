/**
 * NATS: its clients, each with a connection of its own.
 *
 * @module
 */

import { connect } from "@nats-io/transport-node";
import { PORT, serveLoad } from "../load.mjs";

/** A flood waits for the broker after so many bytes: it cuts a client whose reader is too far behind. */
const MAX_AHEAD_BYTES = 4_194_304;

await serveLoad(async (hear) => {
  const client = await connect({ servers: `127.0.0.1:${PORT}`, noAsyncTraces: true });
  client.subscribe("tick", { callback: (_error, message) => hear(message.json()) });
  await client.flush();
  const request = async (subject, data) => {
    const reply = await client.request(subject, JSON.stringify(data), { timeout: 30_000 });
    return reply.json();
  };
  return {
    request: (data) => request("echo", data),
    flood: async (data, untilMs) => {
      let sent = 0;
      let ahead = 0;
      while (performance.now() < untilMs) {
        for (let n = 0; n < 64; n++) {
          const text = JSON.stringify(data);
          client.publish("note", text);
          ahead += text.length;
        }
        sent += 64;
        if (ahead < MAX_AHEAD_BYTES) continue;
        ahead = 0;
        await client.flush();
      }
      return sent;
    },
    count: () => request("count", null),
    burst: (data) => client.publish("burst", JSON.stringify(data)),
    close: () => client.close(),
  };
});
