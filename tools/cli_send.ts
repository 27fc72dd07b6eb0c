/**
 * The command `send`.
 *
 * @module
 */

import { TextLineStream } from "@std/streams";
import { PnetworkError } from "../errors.ts";
import { createPacket } from "../packet.ts";
import { clientSecurity, type ClientSecurityFlags } from "./cli_security.ts";
import type { EndpointFlags } from "./cli_server.ts";
import { Courier } from "./courier.ts";
import { ExitCode, fromFlags, UsageError } from "./exit.ts";
import { jsonOrText } from "./json_or_text.ts";
import { logToStandardError } from "./logging.ts";
import { Output } from "./output.ts";
import { Progress } from "./progress.ts";
import type { StandardStreams } from "./streams.ts";

/** What `send` was told. */
export interface SendFlags extends EndpointFlags, ClientSecurityFlags {
  /** Whether to wait for the reply. */
  request?: boolean;
  /** Whether each line of standard input is one packet. */
  lines?: boolean;
  /** Whether data is a text even where it is JSON. */
  text?: boolean;
  /** How long to wait for the reply, in milliseconds. */
  timeout?: number;
  /** How many attempts to come back may fail in a row. */
  retries?: number;
}

/** How many attempts to come back may fail in a row: about a minute, where nobody listens. */
export const DEFAULT_RETRIES = 18;

/** Sends, and resolves to the exit code when all has arrived. */
export async function runSend(
  action: string,
  json: string | undefined,
  flags: SendFlags,
  streams: StandardStreams,
): Promise<number> {
  const { host, port, unix, request, lines, text, timeout, retries = DEFAULT_RETRIES } = flags;
  if (lines && request) throw new UsageError("--lines and --request exclude each other");
  if (lines && json !== undefined) {
    throw new UsageError("--lines takes its data from standard input");
  }
  if (timeout !== undefined && !request) throw new UsageError("--timeout goes with --request");
  const data = text ? json ?? "" : parseData(json);
  const packet = fromFlags(() => createPacket(action, data));

  const output = new Output({ json: flags.json }, streams);
  await logToStandardError(output);
  const security = await clientSecurity(flags, output);
  const load = request ? "request" : lines ? "lines" : "packet";
  const { stdin, stderr } = streams;
  const progress = new Progress(stderr, stderr.isTerminal() && !flags.json, load === "lines");
  await using courier = fromFlags(() =>
    new Courier(
      load,
      { host, port, path: unix, maxAttempts: retries, ...security.options },
      progress,
    )
  );
  await security.connect(() => courier.start());
  try {
    if (request) {
      const reply = await courier.request(action, data, timeout);
      await output.line(
        output.isJson ? output.json({ event: "reply", data: reply }) : output.json(reply),
      );
    } else {
      let count = 1;
      if (lines) count = await sendLines(stdin, courier, action, progress, flags);
      else await courier.send(packet);
      await courier.arrived();
      if (output.isJson) await output.line(output.json({ event: "sent", count }));
    }
  } finally {
    progress.end();
  }
  await output.flush();
  return ExitCode.Done;
}

/** Resolves to how many there were. */
async function sendLines(
  stdin: StandardStreams["stdin"],
  courier: Courier,
  action: string,
  progress: Progress,
  flags: SendFlags,
): Promise<number> {
  // Whoever waits for a line that may be long in coming need not, once nobody can be sent it.
  const lines = stdin.readable
    .pipeThrough(new TextDecoderStream(), { signal: courier.lost })
    .pipeThrough(new TextLineStream());
  let count = 0;
  try {
    for await (const line of lines) {
      count++;
      await courier.send({ action, data: flags.text ? line : jsonOrText(line) });
      progress.sent(count);
    }
  } catch (error) {
    // Those before it, at least. It fails if they are lost as well, which weighs more.
    await courier.arrived();
    if (!(error instanceof PnetworkError)) throw error;
    const text = `line ${count} cannot be sent: ${error.message}`;
    throw new PnetworkError(error.code, text, { cause: error });
  }
  return count;
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
