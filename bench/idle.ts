/**
 * How much memory a server needs for a client that is connected and says nothing, against a socket
 * with a bare read pending. Its resident memory after a garbage collection, before and after.
 *
 * @module
 */

import { Server } from "../mod.ts";
import { Helper, inputLines, median, printTable } from "./measure.ts";

const CONNECTIONS = 2_000;
const WARM_UP = 200;
const AT_ONCE = 50;
const RUNS = 3;
const BARE_BUFFER_BYTES = 1_024;
const HELLO = '{"action":"@handshake","data":{"version":1}}\n';

/** In bytes. */
type Memory = Pick<Deno.MemoryUsage, "rss" | "heapUsed">;

if (Deno.args[0] === "pnetwork") await serve();
else if (Deno.args[0] === "bare") await serveBare();
else await measure();

async function serve(): Promise<void> {
  await using server = new Server({ port: 0 });
  await server.start();
  await answer(server.port);
}

async function serveBare(): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  acceptBare(listener);
  await answer(listener.addr.port);
}

async function acceptBare(listener: Deno.TcpListener): Promise<void> {
  for await (const conn of listener) readBare(conn);
}

async function readBare(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(BARE_BUFFER_BYTES);
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) break;
    await conn.write(buffer.subarray(0, count));
  }
  conn.close();
}

/** Says the port, then at every line what memory it has. */
async function answer(port: number): Promise<void> {
  const { gc } = globalThis as unknown as { gc: () => void };
  console.log(JSON.stringify(port));
  for await (const _ of inputLines()) {
    gc();
    console.log(JSON.stringify(Deno.memoryUsage()));
  }
}

async function measure(): Promise<void> {
  const rows: string[][] = [];
  for (const [name, mode] of [["pnetwork", "pnetwork"], ["a bare pending read", "bare"]]) {
    const figures: Memory[] = [];
    for (let run = 0; run < RUNS; run++) figures.push(await growth(mode));
    const kib = (part: keyof Memory) =>
      (median(figures.map((memory) => memory[part])) / CONNECTIONS / 1_024).toFixed(1);
    rows.push([name, kib("rss"), kib("heapUsed")]);
  }
  printTable(["KiB per connection", "resident", "of it, used by JavaScript"], rows);
}

/** By how much a server grows when they connect, in bytes. */
async function growth(mode: string): Promise<Memory> {
  await using helper = new Helper(import.meta.url, [mode], ["--v8-flags=--expose-gc"]);
  const port = await helper.next<number>();
  const warm = await connect(port, WARM_UP);
  const before = await helper.ask<Memory>("memory");
  const conns = await connect(port, CONNECTIONS);
  const after = await helper.ask<Memory>("memory");
  for (const conn of [...warm, ...conns]) conn.close();
  return { rss: after.rss - before.rss, heapUsed: after.heapUsed - before.heapUsed };
}

/** Connects so many, each of which says hello and hears the answer. */
async function connect(port: number, count: number): Promise<Deno.Conn[]> {
  const hello = new TextEncoder().encode(HELLO);
  const conns: Deno.Conn[] = [];
  while (conns.length < count) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - conns.length) }, async () => {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(hello);
      await conn.read(new Uint8Array(4_096));
      return conn;
    });
    conns.push(...await Promise.all(some));
  }
  return conns;
}
