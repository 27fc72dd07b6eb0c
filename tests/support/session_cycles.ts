// Connects, shakes hands, loses the socket, resumes and closes, so many times, and says what is left of it
// after a tenth of them and in the end: `deno run -A --v8-flags=--expose-gc session_cycles.ts [CYCLES]`. If
// a timer or a socket were left over, it would not end.

import { AsyncLocalStorage } from "node:async_hooks";
import { Client, Server } from "../../mod.ts";
import { pause } from "./wait.ts";
import { DEFAULT_WIRE, WIRES } from "./wires.ts";

const LANES = 8;
const [cycles = "10000"] = Deno.args;

/** The socket of the moment of each cycle. */
const sockets = new AsyncLocalStorage<{ conn?: Deno.Conn }>();
const { connect, startTls } = Deno;
const keep = <Conn extends Deno.Conn>(conn: Conn) => sockets.getStore()!.conn = conn;
Object.assign(Deno, {
  connect: async (options: Deno.ConnectOptions) => keep(await connect(options)),
  startTls: async (conn: Deno.TcpConn, options: Deno.StartTlsOptions) =>
    keep(await startTls(conn, options)),
});

const wire = WIRES[DEFAULT_WIRE];
const server = new Server({ ...wire.server, port: 0 });
server.bindAction("echo", (data) => data);
await server.start();
const atStart = countDescriptors();
let resumes = 0;

async function cycle(): Promise<void> {
  const resumed = Promise.withResolvers<void>();
  const client = new Client({
    ...wire.client,
    port: server.port,
    minRetryMs: 1,
    maxRetryMs: 1,
    onResume: () => resumed.resolve(),
    onSessionLost: (_connection, { reason }) => resumed.reject(new Error(reason)),
  });
  await client.start();
  const asked = client.request("echo", resumes);
  await sockets.getStore()!.conn!.closeWrite();
  await resumed.promise;
  if (await client.request("echo", "again") !== "again") throw new Error("another reply");
  await asked;
  resumes++;
  await client.close();
}

interface Measured {
  sockets: number;
  descriptors: number;
  heap: number;
}

/** The TCP sockets of this process, and all of its descriptors: the runtime has some of its own. */
function countDescriptors(): { sockets: number; descriptors: number } {
  const links = [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`);
    } catch {
      // That of the directory itself is gone by now.
      return [];
    }
  });
  const lines = Deno.readTextFileSync("/proc/net/tcp").trim().split("\n").slice(1);
  const inodes = new Set(lines.map((line) => `socket:[${line.trim().split(/\s+/)[9]}]`));
  return {
    sockets: links.filter((link) => inodes.has(link)).length,
    descriptors: links.length,
  };
}

/** The runtime keeps the socket of a client with TLS for a second after it was closed. */
function isLeaving({ sockets, descriptors }: { sockets: number; descriptors: number }): boolean {
  return sockets > 1 || descriptors > atStart.descriptors + 5;
}

/** What there is when nothing is under way. The last sockets take a while to be closed. */
async function measure(): Promise<Measured> {
  while (server.clients.size > 0) await pause(5);
  for (let wait = 0; isLeaving(countDescriptors()) && wait < 1_000; wait++) await pause(5);
  for (let round = 0; round < 3; round++) {
    await pause(20);
    (globalThis as unknown as { gc: () => void }).gc();
  }
  const heap = Deno.memoryUsage().heapUsed;
  return { ...countDescriptors(), heap };
}

async function run(count: number): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left-- > 0) await sockets.run({}, cycle);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

let early: Measured | undefined;
for (let tenth = 1; tenth <= 10; tenth++) {
  await run(Number(cycles) / 10);
  early ??= await measure();
  // Whoever waits for the end sees that it comes nearer.
  console.log(resumes);
}
const late = await measure();
await server.close();
console.log(JSON.stringify({ resumes, early, late }));
