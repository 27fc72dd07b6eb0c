/**
 * A cable is pulled: a client counts, the program itself cuts its connection in the middle, and every
 * number arrives, once and in order.
 *
 * @module
 */

import { Client, Server } from "@pnetwork/pnetwork";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

type Counting = { server: { count: [n: number] } };

const { values } = parseArgs({ options: { port: { type: "string", default: "25565" } } });

const arrived: number[] = [];
await using server = new Server<Counting>({ port: Number(values.port) });
server.bindAction("count", (n) => void arrived.push(n));
await server.start();
console.log(`listening on ${server.address}`);

using cable = layCable(server.port);
await using client = new Client<Counting>({
  port: cable.port,
  onDetach: (_connection, { code }) => console.log(`the connection is lost: ${code}`),
  onResume: () => console.log("the connection is back"),
});
await client.start();

for (let n = 1; n <= 9; n++) {
  if (n === 4) cable.pull();
  if (n === 7) cable.plugIn();
  // While the cable is out, what is sent is kept.
  await client.sendPacket(client.createPacket("count", n));
  console.log(`sent ${n}`);
  await pause(100);
}
await client.delivered();
console.log(`arrived: ${arrived.join(" ")}`);

/** Carries all bytes between a port of its own and another one, until it is pulled. */
function layCable(to: number) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let plug: AbortController | undefined = new AbortController();
  const carry = async () => {
    for await (const near of listener) {
      if (!plug) {
        near.close();
        continue;
      }
      const { signal } = plug;
      const far = await Deno.connect({ hostname: "127.0.0.1", port: to });
      // How they end is of no interest: each end of the cable sees it.
      near.readable.pipeTo(far.writable, { signal }).catch(() => {});
      far.readable.pipeTo(near.writable, { signal }).catch(() => {});
    }
  };
  carry();
  const pull = () => {
    plug?.abort();
    plug = undefined;
    console.log("the cable is pulled");
  };
  const plugIn = () => {
    plug = new AbortController();
    console.log("the cable is plugged in");
  };
  return { port: listener.addr.port, pull, plugIn, [Symbol.dispose]: () => listener.close() };
}
