/**
 * The command `send`.
 *
 * @module
 */

import { TextLineStream } from "@std/streams";
import { Client } from "../client.ts";
import { ConnectionError } from "../errors.ts";
import type { EndpointFlags } from "./cli_server.ts";
import { ExitCode, UsageError } from "./exit.ts";
import { jsonOrText } from "./json_or_text.ts";
import { logToStandardError } from "./logging.ts";
import { Output } from "./output.ts";

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
  const isFit = action !== "" && action.length <= 128 && !action.startsWith("@");
  if (!isFit) {
    throw new UsageError("an action's name has 1 to 128 characters and does not begin with @");
  }

  await logToStandardError();
  const output = new Output({ json: flags.json });
  const client = new Client({ host, port, path: unix });
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
      if (lines) count = await sendLines(client, action, text ?? false);
      else await client.sendPacket({ action, data });
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

async function sendLines(client: Client, action: string, asText: boolean): Promise<number> {
  const progress = new Progress();
  let count = 0;
  const lines = Deno.stdin.readable
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const line of lines) {
    count++;
    try {
      await client.sendPacket({ action, data: asText ? line : jsonOrText(line) });
    } catch (error) {
      if (error instanceof ConnectionError) throw error;
      const { message } = error as Error;
      throw new Error(`line ${count} cannot be sent: ${message}`, { cause: error });
    }
    progress.show(count);
  }
  progress.end(count);
  return count;
}

/** How far it is, on standard error, where a person looks at it. */
class Progress {
  readonly #isShown = Deno.stderr.isTerminal();
  readonly #start = performance.now();

  show(count: number): void {
    if (!this.#isShown || count % PROGRESS_PACKETS !== 0) return;
    this.#write(`\r${this.#text(count)}`);
  }

  end(count: number): void {
    if (this.#isShown) this.#write(`\r${this.#text(count)}\n`);
  }

  #text(count: number): string {
    const seconds = (performance.now() - this.#start) / 1_000;
    const rate = Math.round(count / Math.max(seconds, 0.001));
    return `${count.toLocaleString("en")} packets, ${rate.toLocaleString("en")} a second`;
  }

  #write(text: string): void {
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
}

function parseData(json: string | undefined): unknown {
  if (json === undefined) return null;
  try {
    return JSON.parse(json);
  } catch {
    throw new UsageError("the data is not JSON: a text goes in double quotes, or with --text");
  }
}
