/**
 * The command `send`.
 *
 * @module
 */

import { TextLineStream } from "@std/streams";
import { Client } from "../client.ts";
import { ConnectionError, PnetworkError } from "../errors.ts";
import { createPacket } from "../packet.ts";
import type { EndpointFlags } from "./cli_server.ts";
import { ExitCode, fromFlags, UsageError } from "./exit.ts";
import { jsonOrText } from "./json_or_text.ts";
import { logToStandardError } from "./logging.ts";
import { Output, writeSync } from "./output.ts";

/** What `send` was told. */
export interface SendFlags extends EndpointFlags {
  /** Whether to wait for the reply. */
  request?: boolean;
  /** Whether each line of standard input is one packet. */
  lines?: boolean;
  /** Whether data is a text even where it is JSON. */
  text?: boolean;
  /** How long to wait for the reply, in milliseconds. */
  timeout?: number;
}

/** How often progress is shown, in packets. */
const PROGRESS_PACKETS = 5_000;

/** Sends, and resolves to the exit code when all has arrived. */
export async function runSend(
  action: string,
  json: string | undefined,
  flags: SendFlags,
): Promise<number> {
  const { host, port, unix, request, lines, text, timeout } = flags;
  if (lines && request) throw new UsageError("--lines and --request exclude each other");
  if (lines && json !== undefined) {
    throw new UsageError("--lines takes its data from standard input");
  }
  if (timeout !== undefined && !request) throw new UsageError("--timeout goes with --request");
  const data = text ? json ?? "" : parseData(json);
  const packet = fromFlags(() => createPacket(action, data));

  const output = new Output({ json: flags.json });
  await logToStandardError(output);
  const client = fromFlags(() => new Client({ host, port, path: unix }));
  await client.start();
  try {
    if (request) {
      const reply = await client.request(action, data, { timeoutMs: timeout });
      await output.line(
        output.isJson ? output.json({ event: "reply", data: reply }) : output.json(reply),
      );
      await output.flush();
    } else {
      let count = 1;
      if (lines) count = await sendLines(client, action, flags);
      else await client.sendPacket(packet);
      await arrived(client);
      if (output.isJson) await output.line(output.json({ event: "sent", count }));
      await output.flush();
    }
  } finally {
    await client.close();
  }
  return ExitCode.Done;
}

/** A pong comes when the server has read everything before the ping, however long that takes. */
async function arrived(client: Client): Promise<void> {
  await client.ping({ timeoutMs: false });
}

async function sendLines(client: Client, action: string, flags: SendFlags): Promise<number> {
  const progress = new Progress(Deno.stderr.isTerminal() && !flags.json);
  // Whoever waits for a line that may be long in coming need not, once nobody can be sent it.
  const lost = new AbortController();
  client.closed.then(() => lost.abort());
  const lines = Deno.stdin.readable
    .pipeThrough(new TextDecoderStream(), lost)
    .pipeThrough(new TextLineStream());
  let count = 0;
  try {
    for await (const line of lines) {
      count++;
      await client.sendPacket({ action, data: flags.text ? line : jsonOrText(line) });
      progress.show(count);
    }
  } catch (error) {
    // The failure of a ping says why nobody can be reached any more.
    if (lost.signal.aborted) await arrived(client);
    if (!(error instanceof PnetworkError) || error instanceof ConnectionError) throw error;
    const text = `line ${count} cannot be sent: ${error.message}`;
    throw new PnetworkError(error.code, text, { cause: error });
  } finally {
    progress.end(count);
  }
  return count;
}

/** How far it is, on standard error, where a person looks at it. */
class Progress {
  readonly #isShown: boolean;
  readonly #start = performance.now();

  constructor(isShown: boolean) {
    this.#isShown = isShown;
  }

  show(count: number): void {
    if (!this.#isShown || count % PROGRESS_PACKETS !== 0) return;
    writeSync(Deno.stderr, `\r${this.#text(count)}`);
  }

  end(count: number): void {
    if (this.#isShown) writeSync(Deno.stderr, `\r${this.#text(count)}\n`);
  }

  #text(count: number): string {
    const seconds = (performance.now() - this.#start) / 1_000;
    const rate = Math.round(count / Math.max(seconds, 0.001));
    return `${count.toLocaleString("en")} packets, ${rate.toLocaleString("en")} a second`;
  }
}

function parseData(json: string | undefined): unknown {
  if (json === undefined) return null;
  try {
    return JSON.parse(json, refuseInfinite);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError("the data is not JSON: a text goes in double quotes, or with --text");
  }
}

/** 1e400 is JSON, but no number here could carry it on. */
function refuseInfinite(_key: string, value: unknown): unknown {
  if (value === Infinity || value === -Infinity) {
    throw new UsageError("the data holds a number that is too large");
  }
  return value;
}
