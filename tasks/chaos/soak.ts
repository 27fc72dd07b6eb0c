/**
 * Soak: clients that connect, shake hands, lose their socket, come back and leave, ten thousand times. What is
 * left of them then must be what was left after the first thousand: nothing.
 *
 * `deno task soak`, `deno task soak CYCLES`
 *
 * Server and clients are in this process. What cuts their sockets is in one of its own.
 *
 * @module
 */

import { TextLineStream } from "@std/streams/text-line-stream";
import { Client, Server } from "../../mod.ts";
import { until } from "../../tests/support/wait.ts";
import { Timers } from "./timers.ts";

const DEFAULT_CYCLES = 10_000;
const WARM_UP_PART = 0.1;
/** So many at once. */
const LANES = 8;
const MAX_HEAP_GROWTH = 2 * 1_024 * 1_024;
const GC_ROUNDS = 5;

/** What there is between two cycles. */
interface Sample {
  cycles: number;
  descriptors: number;
  timers: number;
  heapBytes: number;
}

class Soak {
  readonly #timers = new Timers();
  readonly #server = new Server({ port: 0 });
  #port = 0;
  #begun = 0;
  #done = 0;

  /** Resolves to whether nothing is left. */
  async run(cycles: number): Promise<boolean> {
    const start = performance.now();
    this.#server.bindAction("ask", (n) => n);
    await this.#server.start();
    const cutter = this.#startCutter();
    try {
      for await (const port of cutter.ports) {
        this.#port = Number(port);
        break;
      }
      await this.#runTo(Math.ceil(cycles * WARM_UP_PART));
      const before = await this.#sample();
      await this.#runTo(cycles);
      const after = await this.#sample();
      await this.#server.close();
      const timersAtEnd = this.#timers.running;
      const ok = after.descriptors === before.descriptors && after.timers === 0 &&
        timersAtEnd === 0 && after.heapBytes - before.heapBytes <= MAX_HEAP_GROWTH;
      const heapGrowthKiB = Math.round((after.heapBytes - before.heapBytes) / 1_024);
      const durationMs = Math.round(performance.now() - start);
      console.log(JSON.stringify({ ok, before, after, heapGrowthKiB, timersAtEnd, durationMs }));
      return ok;
    } finally {
      cutter.process.kill();
      await cutter.process.status;
    }
  }

  #startCutter() {
    const { pathname } = new URL("cutter.ts", import.meta.url);
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "-A", pathname, String(this.#server.port)],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const ports = process.stdout
      .pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
      .pipeThrough(new TextLineStream());
    return { process, ports };
  }

  /** Goes on until so many are done, a few at once. */
  async #runTo(cycles: number): Promise<void> {
    const lane = async () => {
      while (this.#begun < cycles) await this.#cycle(++this.#begun);
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  /** One client's life. */
  async #cycle(number: number): Promise<void> {
    const back = Promise.withResolvers<void>();
    await using client = new Client({
      port: this.#port,
      minRetryMs: 1,
      maxRetryMs: 5,
      onResume: () => back.resolve(),
      onDisconnect: (_connection, { code, reason }) =>
        back.reject(new Error(`a client ended too soon: ${code}: ${reason}`)),
    });
    await client.start();
    // It is lost with the socket, and goes out again on the next one.
    const [answer] = await Promise.all([client.request("ask", number), back.promise]);
    if (answer !== number) throw new Error(`${number} was answered with ${answer}`);
    this.#done++;
  }

  async #sample(): Promise<Sample> {
    const isQuiet = () => this.#server.clients.size === 0 && this.#timers.running === 0;
    await until(
      isQuiet,
      () => `${this.#server.clients.size} clients and ${this.#timers.running} timers had gone`,
    );
    const { gc } = globalThis as unknown as { gc?: () => void };
    if (!gc) throw new Error("it needs --v8-flags=--expose-gc");
    for (let round = 0; round < GC_ROUNDS; round++) {
      gc();
      await this.#timers.turn();
    }
    return {
      cycles: this.#done,
      descriptors: [...Deno.readDirSync("/proc/self/fd")].length,
      timers: this.#timers.running,
      heapBytes: Deno.memoryUsage().heapUsed,
    };
  }
}

const HELP = `Usage: deno task soak [CYCLES]

Connects, cuts, resumes and closes that many clients (default: ${DEFAULT_CYCLES}), and checks that no
descriptor, no timer and no memory is left of them. Prints one line of JSON.`;

const [argument = String(DEFAULT_CYCLES)] = Deno.args;
if (argument === "--help" || argument === "-h") {
  console.log(HELP);
} else if (!/^\d{2,6}$/.test(argument)) {
  console.error(`soak: CYCLES must be an integer from 10 to 999999, got ${argument}`);
  Deno.exitCode = 2;
} else {
  try {
    Deno.exitCode = await new Soak().run(Number(argument)) ? 0 : 1;
  } catch (error) {
    console.error(`soak: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode = 1;
  }
}
