/**
 * jayson over TCP: its server.
 *
 * @module
 */

import jayson from "jayson";
import { answerAsServer } from "../commands.mjs";

let handled = 0;
let last;
const server = new jayson.Server({
  echo: ([data], reply) => reply(null, data),
  note: ([data], reply) => {
    handled++;
    last = data;
    reply(null);
  },
  count: (_none, reply) => {
    reply(null, { handled, last });
    handled = 0;
  },
});
const tcp = server.tcp();
tcp.listen(0, "127.0.0.1", () => answerAsServer({ port: tcp.address().port }));
