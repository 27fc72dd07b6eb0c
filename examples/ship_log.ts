/**
 * Ships the lines of a log to a server that appends them to a file, as fast as that file takes them.
 * The text arrives as it was, byte for byte; what is not UTF-8 is not shipped.
 *
 * @module
 */

import { Client, type Connection, Server } from "@pnetwork/pnetwork";
import { parseArgs } from "node:util";

/** What the receiver answers: a line with the LF that ends it, and how many have been written. */
type Ship = {
  server: { line: [text: string]; count: [null, number] };
};

const MAX_LINE_LENGTH = 250_000;

const { values, positionals: [role, path = "-"] } = parseArgs({
  options: { port: { type: "string", default: "25565" } },
  allowPositionals: true,
});
const port = Number(values.port);

try {
  if (role === "receive" && path !== "-") await receive(path);
  else if (role === "ship") await ship(path);
  else throw new Error("usage: ship_log.ts receive OUT | ship [FILE]   [--port PORT]");
} catch (error) {
  console.error((error as Error).message);
  Deno.exitCode = 1;
}

async function receive(out: string): Promise<void> {
  using file = await Deno.open(out, { append: true, create: true });

  // A loop in place of bound actions: one line is written before the next one is taken, and whoever
  // sends faster than that waits.
  async function append(connection: Connection<Ship>): Promise<void> {
    let count = 0;
    for await (const packet of connection) {
      const { action, data } = packet;
      if (action === "line" && typeof data === "string") {
        await writeAll(file, data);
        count++;
      } else if (action === "count" && packet.id !== undefined) {
        connection.reply(packet, count);
      }
    }
    console.log(`${count} lines from ${connection.address}`);
  }

  const server = new Server<Ship>({ port, onConnect: append });
  await server.start();
  console.log(`listening on ${server.address}`);
  Deno.addSignalListener("SIGINT", () => server.close());
  await server.closed;
}

async function writeAll(file: Deno.FsFile, text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(await file.write(bytes));
}

async function ship(path: string): Promise<void> {
  const source = path === "-" ? Deno.stdin.readable : (await Deno.open(path)).readable;
  await using client = new Client<Ship>({
    port,
    maxAttempts: 18, // about a minute
    // What was under way may have been written or not: better stop than leave a gap, or ship it twice.
    onSessionLost: (connection, { reason }) =>
      connection.close({ reason: `the session could not go on: ${reason}` }),
  });
  await client.start();

  let count = 0;
  for await (const line of linesOf(source)) {
    await client.sendPacket(client.createPacket("line", line)); // waits while the receiver is behind
    count++;
  }
  const arrived = await client.request("count");
  console.log(`${arrived} of ${count} lines arrived`);
  if (arrived !== count) Deno.exitCode = 1;
}

/** Lines with the LF that ends them. The last one may have none. */
async function* linesOf(source: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoderStream("utf-8", { fatal: true, ignoreBOM: true });
  for await (const text of source.pipeThrough(decoder)) {
    const lines = (rest + text).split(/(?<=\n)/);
    rest = lines.at(-1)!.endsWith("\n") ? "" : lines.pop()!;
    yield* lines;
    if (rest.length > MAX_LINE_LENGTH) throw new RangeError("a line is too long to be shipped");
  }
  if (rest !== "") yield rest;
}
