/**
 * The command `client`.
 *
 * @module
 */

import { Client } from "../client.ts";
import { sanitize } from "../sanitize.ts";
import type { EndpointFlags } from "./cli_server.ts";
import { CLI } from "./coretools.ts";
import { ExitCode, fromFlags, onStopSignal } from "./exit.ts";
import { logToStandardError } from "./logging.ts";
import { Output, safeJson } from "./output.ts";

/** What `client` was told. */
export interface ClientFlags extends EndpointFlags {
  /** What stands before the line that is typed. */
  name: string;
}

/** The commands after which the end of the connection is no surprise. */
const ENDING = new Set(["stop", "disconnect", "dropall"]);

/** Connects, and closes when the console is left. Resolves to the exit code. */
export async function runClient({ host, port, unix, json, name }: ClientFlags): Promise<number> {
  const output = new Output({ json });
  await logToStandardError(output);
  const client = fromFlags(() => new Client({ host, port, path: unix }));
  const console = new CLI(client, name, { output });
  client.bindFallback(async (data, { action }) => {
    await output.say(`${sanitize(action)} ${safeJson(data)}`, { event: "packet", action, data });
  });

  await client.start();
  let isLeaving = false;
  const leave = () => {
    isLeaving = true;
    console.leave();
  };
  const forget = onStopSignal(leave);
  output.onBroken = leave;
  // After the signals: scripts wait for this line before they send one.
  const { address, id } = client;
  await output.say(`connected to ${address} as ${id}`, { event: "connected", address, id }, "good");
  client.closed.then(() => {
    isLeaving ||= ENDING.has(console.running);
    console.leave();
  });
  await console.processCommand();
  isLeaving ||= client.state === "connected";
  await client.close();
  forget();
  const { code, reason } = await client.closed;
  if (!isLeaving) {
    const text = `the connection has ended: ${code}: ${reason}`;
    output.fail(text, { event: "disconnected", code, reason });
  }
  await output.flush();
  return isLeaving ? ExitCode.Done : ExitCode.Failed;
}
