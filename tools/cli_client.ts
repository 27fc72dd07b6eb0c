/**
 * The command `client`.
 *
 * @module
 */

import { Client } from "../client.ts";
import { sanitize } from "../sanitize.ts";
import type { EndpointFlags } from "./cli_server.ts";
import { CLI } from "./coretools.ts";
import { ExitCode, onStopSignal } from "./exit.ts";
import { logToStandardError } from "./logging.ts";
import { Output } from "./output.ts";

/** What `client` was told. */
export interface ClientFlags extends EndpointFlags {
  /** What stands before the line that is typed. */
  name: string;
}

/** Connects, and closes when the console is left. Resolves to the exit code. */
export async function runClient({ host, port, unix, json, name }: ClientFlags): Promise<number> {
  await logToStandardError();
  const output = new Output({ json });
  const client = new Client({ host, port, path: unix });
  const console = new CLI(client, name, { output });
  client.bindFallback(async (data, { action }) => {
    await output.say(`${sanitize(action)} ${output.json(data)}`, { event: "packet", action, data });
  });

  await client.start();
  const { address, id } = client;
  await output.say(`connected to ${address} as ${id}`, { event: "connected", address, id }, "good");
  let isLeaving = false;
  const forget = onStopSignal(() => {
    isLeaving = true;
    console.leave();
  });
  client.closed.then(() => console.leave());
  await console.processCommand();
  isLeaving ||= client.state === "connected";
  await client.close();
  forget();
  const { code, reason } = await client.closed;
  const wasAsked = isLeaving || code === "CLOSED";
  if (!wasAsked) {
    const text = `the connection has ended: ${code}: ${reason}`;
    output.fail(text, { event: "disconnected", code, reason });
  }
  await output.flush();
  return wasAsked ? ExitCode.Done : ExitCode.Failed;
}
