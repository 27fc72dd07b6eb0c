/**
 * What one client that does not read costs the others: how long a broadcast takes to reach them, with
 * and without it.
 *
 * @module
 */

import { Client, Server } from "../mod.ts";
import { Helper, inputLines, median, printTable, quantile, ROUNDS } from "./measure.ts";

const CLIENTS = 200;
const DATA = "x".repeat(1_000);
const PACKETS = 150;
const INTERVAL_MS = 20;
/** What already waits for the one that does not read: more than the system takes off the server's hands. */
const STUFFING_BYTES = 6_000_000;

if (Deno.args[0] === "serve") await serve();
else await measure();

async function serve(): Promise<void> {
  await using server = new Server({ port: 0 });
  server.bindAction("join", (group, _packet, connection) => connection.join(String(group)));
  await server.start();
  console.log(JSON.stringify({ port: server.port }));
  for await (const command of inputLines()) {
    if (command === "stuff") {
      const stuffing = "x".repeat(10_000);
      for (let sent = 0; sent < STUFFING_BYTES; sent += stuffing.length) {
        server.group("slow").broadcast({ action: "stuffing", data: stuffing });
      }
      // What the system takes is taken at once.
      await pause(200);
      const [slow] = server.group("slow").members;
      console.log(JSON.stringify({ buffered: slow.stats.buffered }));
    } else {
      for (let n = 0; n < PACKETS; n++) {
        server.broadcast({ action: "tick", data: { at: now(), filler: DATA } });
        await pause(INTERVAL_MS);
      }
      const slow = [...server.group("slow").members].map(({ state, stats }) => ({
        state,
        ...stats,
      }));
      console.log(JSON.stringify({ slow }));
    }
  }
}

async function measure(): Promise<void> {
  await using helper = new Helper(import.meta.url, ["serve"]);
  const { port } = await helper.next<{ port: number }>();
  let delays: number[] = [];
  const clients = Array.from({ length: CLIENTS - 1 }, () => {
    const client = new Client({ port });
    return client.bindAction("tick", (data) => {
      delays.push(now() - (data as { at: number }).at);
    });
  });
  for (const client of clients) await client.start();

  const stream = async () => {
    delays = [];
    await helper.ask("stream");
    await Promise.all(clients.map((client) => client.ping()));
    if (delays.length !== PACKETS * clients.length) {
      throw new Error(`${delays.length} of ${PACKETS * clients.length} packets came`);
    }
    return { p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) };
  };
  const withSlowOne = async () => {
    using _slow = await connectSilent(port);
    const { buffered } = await helper.ask<{ buffered: number }>("stuff");
    if (buffered < 1_000_000) throw new Error(`only ${buffered} bytes wait for the slow one`);
    return await stream();
  };

  const pairs: { without: Figures; with: Figures }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const isFirst = round % 2 === 0;
    const before = isFirst ? await withSlowOne() : undefined;
    const without = await stream();
    const pair = { without, with: before ?? await withSlowOne() };
    if (round > 0) pairs.push(pair);
  }
  const row = (name: keyof Figures) => [
    `the others' ${name}`,
    ms(median(pairs.map(({ without }) => without[name]))),
    ms(median(pairs.map((pair) => pair.with[name]))),
    median(pairs.map((pair) => pair.with[name] / pair.without[name])).toFixed(2),
  ];
  printTable(["", "all read", "one does not", "quotient"], [row("p50"), row("p99")]);
  await Promise.all(clients.map((client) => client.close()));
}

interface Figures {
  p50: number;
  p99: number;
}

/** A client of a session that joins the group `slow` and never reads. */
async function connectSilent(port: number): Promise<Deno.Conn> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const lines = [
    { action: "@handshake", data: { version: 1, session: true } },
    { action: "join", data: "slow", id: 1 },
  ];
  const text = lines.map((line) => JSON.stringify(line) + "\n").join("");
  await conn.write(new TextEncoder().encode(text));
  await pause(100);
  return conn;
}

/** The same clock in both processes. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

function ms(value: number): string {
  return `${value.toFixed(2)} ms`;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
