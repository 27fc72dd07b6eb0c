/**
 * NATS: its server, and a client of it that does what the servers of the others do.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { connect } from "@nats-io/transport-node";
import { answerAsServer } from "../commands.mjs";

// A free port of the loopback address.
const broker = spawn("nats-server", ["-a", "127.0.0.1", "-p", "-1"], {
  stdio: ["pipe", "ignore", "pipe"],
});
process.on("exit", () => broker.kill());
const port = await new Promise((resolve, reject) => {
  broker.on("error", reject);
  createInterface({ input: broker.stderr }).on("line", (line) => {
    const match = /Listening for client connections on 127\.0\.0\.1:(\d+)/.exec(line);
    if (match) resolve(Number(match[1]));
  });
});

const client = await connect({ servers: `127.0.0.1:${port}`, noAsyncTraces: true });
let handled = 0;
let last;
on("echo", (message) => message.respond(JSON.stringify(message.json())));
on("note", (message) => {
  handled++;
  last = message.json();
});
on("count", (message) => {
  message.respond(JSON.stringify({ handled, last }));
  handled = 0;
});
on("burst", (message) => {
  const { packets, data } = message.json();
  for (let n = 0; n < packets; n++) client.publish("tick", JSON.stringify(data));
});
await client.flush();
await answerAsServer({ port, pids: [broker.pid] });

function on(subject, run) {
  client.subscribe(subject, {
    callback: (error, message) => {
      if (error) throw error;
      run(message);
    },
  });
}
