/**
 * This project: its clients, each of them a `Client` as users have it.
 *
 * @module
 */

import { Client, type ClientOptions } from "../../mod.ts";
import { ONE } from "../../tests/support/certs.ts";
import { type LoadClient, PORT, serveLoad } from "./load.mjs";

const [, kind, pin] = Deno.args;
const kinds: Record<string, ClientOptions> = {
  plain: {},
  sessionless: { session: false },
  secure: { secure: { pin } },
  tls: { tls: { caCerts: [ONE.cert] } },
};
const options: ClientOptions = {
  ...kinds[kind],
  port: PORT,
  // At a constant rate more of them wait while a process is held up: that is to be seen in their times.
  maxPendingRequests: 1_000_000,
};

await serveLoad(async (hear): Promise<LoadClient> => {
  const client = new Client(options);
  client.bindAction("tick", hear);
  await client.start();
  return {
    request: (data) => client.request("echo", data),
    flood: async (data, untilMs) => {
      let sent = 0;
      while (performance.now() < untilMs) {
        for (let n = 0; n < 64; n++) await client.sendPacket({ action: "note", data });
        sent += 64;
      }
      return sent;
    },
    count: () => client.request("count") as ReturnType<LoadClient["count"]>,
    burst: (data) => client.sendPacket({ action: "burst", data }),
    close: () => client.close(),
  };
});
