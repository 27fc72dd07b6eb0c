/**
 * What becomes of sessions where several servers share one port, and the system gives each socket to
 * whichever it likes. This is why no option does that.
 *
 * @module
 */

import { Client, Server } from "../mod.ts";
import { Helper, inputLines, printTable } from "./measure.ts";

const SERVERS = [1, 2, 4];
const CLIENTS = 200;
const CUTS = 5;

if (Deno.args[0] === "serve") await serve(Number(Deno.args[1]));
else await measure();

async function serve(port: number): Promise<void> {
  const { listen } = Deno;
  Deno.listen =
    ((options: Deno.TcpListenOptions) => listen({ ...options, reusePort: true })) as typeof listen;
  await using server = new Server({ port, drainTimeoutMs: 0 });
  server.bindAction("say", () => server.broadcast({ action: "said" }).sent);
  await server.start();
  console.log(JSON.stringify(server.port));
  for await (const _ of inputLines()) console.log(JSON.stringify(server.clients.size));
}

async function measure(): Promise<void> {
  const sockets = recordSockets();
  const rows: string[][] = [];
  for (const count of SERVERS) rows.push(await share(count, sockets));
  printTable(
    ["servers", "clients of each", "a broadcast reaches", "resumed", "lost", "lost, share"],
    rows,
  );
}

/** So many servers at one port, and clients that are cut off again and again. */
async function share(count: number, sockets: Deno.Conn[]): Promise<string[]> {
  await using stack = new AsyncDisposableStack();
  stack.defer(() => void sockets.splice(0));
  const helpers: Helper[] = [];
  let port = 0;
  for (let n = 0; n < count; n++) {
    const helper = new Helper(import.meta.url, ["serve", `${port}`], ["--unstable-net"]);
    helpers.push(stack.use(helper));
    port = await helper.next<number>();
  }

  let [resumed, lost] = [0, 0];
  let allBack = Promise.withResolvers<void>();
  const back = () => {
    if ((resumed + lost) % CLIENTS === 0) allBack.resolve();
  };
  const clients = Array.from({ length: CLIENTS }, () =>
    stack.use(
      new Client({
        port,
        onResume: () => (resumed++, back()),
        onSessionLost: () => (lost++, back()),
      }),
    ));
  await Promise.all(clients.map((client) => client.start()));
  const sizes = await Promise.all(helpers.map((helper) => helper.ask<number>("size")));
  const reach = await clients[0].request("say");
  for (let n = 0; n < CUTS; n++) {
    allBack = Promise.withResolvers();
    // The server sees an end without a goodbye.
    for (const socket of sockets.splice(0)) await socket.closeWrite();
    await allBack.promise;
  }
  return [
    `${count}`,
    sizes.join(" / "),
    `${reach}`,
    `${resumed}`,
    `${lost}`,
    (lost / (CLIENTS * CUTS)).toFixed(2),
  ];
}

/** The sockets of all clients to come. */
function recordSockets(): Deno.Conn[] {
  const { connect } = Deno;
  const sockets: Deno.Conn[] = [];
  Deno.connect = (async (options: Deno.ConnectOptions) => {
    const socket = await connect(options);
    sockets.push(socket);
    return socket;
  }) as typeof connect;
  return sockets;
}
