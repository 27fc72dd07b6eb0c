/**
 * The floor on `Deno.Conn`: its clients.
 *
 * @module
 */

import { BareClient, stampBare } from "../bare.ts";
import { type LoadClient, PORT, serveLoad } from "./load.mjs";

if (Deno.args[1] === "stamped") stampBare();
await serveLoad(async (hear): Promise<LoadClient> => {
  const client = await BareClient.connect(PORT, hear);
  await client.request("hello", null);
  return {
    request: (data) => client.request("echo", data),
    flood: (data, untilMs) => client.flood(data, () => performance.now() >= untilMs),
    count: () => client.request("count", null) as ReturnType<LoadClient["count"]>,
    burst: (data) => client.send({ action: "burst", data }),
    close: () => client[Symbol.dispose](),
    exchange: (turn) => {
      let sent = performance.now();
      return client.exchange(turn.data, turn.inFlight, (reply) => {
        turn.check(reply);
        if (turn.times) {
          const now = performance.now();
          turn.times.push(now - sent);
          sent = now;
        }
        return !turn.isOver;
      });
    },
  };
});
