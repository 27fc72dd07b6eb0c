/**
 * How fast packets go over loopback to a server in another process and back, against a loop that is
 * written by hand on `Deno.Conn` and does nothing else.
 *
 * @module
 */

import { Client, Server } from "../mod.ts";
import { BareClient, serveBare } from "./bare.ts";
import {
  type Contender,
  Helper,
  inputLines,
  printTable,
  quantile,
  readings,
  takeTurns,
  whole,
} from "./measure.ts";

const DATA = readings(100);
const COUNTS = { one: 8_000, many: 60_000, flood: 150_400 };
const IN_FLIGHT = 64;

if (Deno.args[0] === "serve") await serve();
else await measure();

async function serve(): Promise<void> {
  await using server = new Server({ port: 0 });
  let notes = 0;
  server.bindAction("echo", (data) => data);
  server.bindAction("note", () => void notes++);
  server.bindAction("count", () => notes);
  await server.start();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  serveBare(listener);
  console.log(JSON.stringify({ port: server.port, barePort: listener.addr.port }));
  for await (const _ of inputLines());
}

async function measure(): Promise<void> {
  await using helper = new Helper(import.meta.url, ["serve"]);
  const { port, barePort } = await helper.next<{ port: number; barePort: number }>();
  await using client = new Client({ port });
  await client.start();
  using bare = await BareClient.connect(barePort);

  const row = (
    name: string,
    figure: { ours: number; floor: number; share: number },
    show = whole,
  ) => [name, show(figure.ours), show(figure.floor), figure.share.toFixed(2)];
  const micros = (ms: number) => `${whole(ms * 1_000)} µs`;

  const one = await takeTurns(
    latencies(COUNTS.one, () => client.request("echo", DATA)),
    latencies(COUNTS.one, () => bare.exchange(DATA, 1, () => false)),
  );
  const many = await takeTurns(
    rate(COUNTS.many, async () => {
      let left = COUNTS.many;
      await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
        while (left-- > 0) await client.request("echo", DATA);
      }));
    }),
    rate(COUNTS.many, () => {
      let left = COUNTS.many - IN_FLIGHT;
      return bare.exchange(DATA, IN_FLIGHT, () => left-- > 0);
    }),
  );
  const flood = await takeTurns(
    rate(COUNTS.flood, async () => {
      for (let n = 0; n < COUNTS.flood; n++) {
        await client.sendPacket({ action: "note", data: DATA });
      }
      await client.request("count");
    }),
    rate(COUNTS.flood, async () => {
      await bare.flood(DATA, (sent) => sent >= COUNTS.flood);
      await bare.request("count", null);
    }),
  );
  printTable(["", "pnetwork", "floor", "ratio"], [
    row("requests/s, 1 in flight", one.get("rate")!),
    row("the time of one: p50", one.get("p50")!, micros),
    row("the time of one: p99", one.get("p99")!, micros),
    row(`requests/s, ${IN_FLIGHT} in flight`, many.get("rate")!),
    row("packets/s one way", flood.get("rate")!),
  ]);
}

function latencies(count: number, exchange: () => Promise<unknown>): Contender {
  return async () => {
    const times: number[] = [];
    const start = performance.now();
    for (let n = 0; n < count; n++) {
      const sent = performance.now();
      await exchange();
      times.push(performance.now() - sent);
    }
    const total = performance.now() - start;
    return { rate: count / total * 1_000, p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
  };
}

function rate(count: number, work: () => Promise<unknown>): Contender {
  return async () => {
    const start = performance.now();
    await work();
    return { rate: count / (performance.now() - start) * 1_000 };
  };
}
