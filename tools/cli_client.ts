/**
 * The command `client`.
 *
 * @module
 */

import { Client } from "../client.ts";
import type { ClientOptions, SessionLoss } from "../client_options.ts";
import type { CloseInfo } from "../contract.ts";
import { sanitize } from "../sanitize.ts";
import type { Undelivered } from "../window.ts";
import { clientSecurity, type ClientSecurityFlags } from "./cli_security.ts";
import type { EndpointFlags } from "./cli_server.ts";
import { CLI } from "./coretools.ts";
import { ExitCode, fromFlags, onStopSignal } from "./exit.ts";
import { logToStandardError } from "./logging.ts";
import { Output, safeJson, type Tone } from "./output.ts";
import type { StandardStreams } from "./streams.ts";

/** What `client` was told. */
export interface ClientFlags extends EndpointFlags, ClientSecurityFlags {
  /** What stands before the line that is typed. */
  name: string;
  /** How many attempts to come back may fail in a row. */
  retries?: number;
}

/**
 * `here` while commands are read; `leaving` when someone asked for the end, `finishing` when there is no
 * more input, `gone` when the connection has ended by itself.
 */
type Phase = "here" | "leaving" | "finishing" | "gone";

/** How many packets were not delivered. */
interface Counts {
  /** These may have arrived. */
  unknown: number;
  /** These have certainly not. */
  unsent: number;
}

/** The commands after which the end of the connection is no surprise. */
const ENDING = new Set(["stop", "disconnect", "dropall"]);
/** How long it may take at the end of the input until all is acknowledged, in milliseconds. */
const DRAIN_MS = 10_000;
const WHY_LOST: Record<SessionLoss["reason"], string> = {
  restarted: "the server was started anew",
  overflow: "too much was missed",
  expired: "the client was away for too long",
};

/** Connects, and closes when the console is left. Resolves to the exit code. */
export async function runClient(flags: ClientFlags, streams: StandardStreams): Promise<number> {
  const { host, port, unix, json, name, retries = false } = flags;
  const output = new Output({ json }, streams);
  await logToStandardError(output);
  const security = await clientSecurity(flags, output);
  let phase = "here" as Phase;
  let counts: Counts = { unknown: 0, unsent: 0 };
  const client = fromFlags(() =>
    new Client({
      host,
      port,
      path: unix,
      maxAttempts: retries,
      ...security.options,
      ...tellingHooks(output),
      onDisconnect: ({ undelivered }) => {
        if (phase === "here") phase = ENDING.has(console.running) ? "leaving" : "gone";
        // What was sent just before a goodbye arrives, though nobody is told any more.
        const isGoodbye = phase === "leaving" && client.state === "connected";
        if (!isGoodbye) counts = countsOf(undelivered);
      },
    })
  );
  const console = new CLI(client, name, { output });
  client.bindFallback(async (data, { action }) => {
    await output.say(`${sanitize(action)} ${safeJson(data)}`, { event: "packet", action, data });
  });

  await security.connect(() => client.start());
  const leave = () => {
    if (phase !== "gone") phase = "leaving";
    console.leave();
    client.close();
  };
  const forget = onStopSignal(leave);
  output.onBroken = leave;
  // After the signals: scripts wait for this line before they send one.
  const { address, id } = client;
  const { fingerprint } = client.connection!;
  const connected = { event: "connected", address, id, fingerprint };
  await output.say(`connected to ${address} as ${id}${security.text}`, connected, "good");
  client.closed.then(() => console.leave());
  await console.processCommand();
  if (phase === "here") phase = "finishing";
  await client.close({ drainTimeoutMs: DRAIN_MS });
  forget();

  const isComplete = counts.unknown + counts.unsent === 0;
  if (phase === "gone") tellEnd(output, await client.closed, counts);
  else if (!isComplete) output.fail(countsText(counts), { event: "undelivered", ...counts });
  await output.flush();
  return phase !== "gone" && isComplete ? ExitCode.Done : ExitCode.Failed;
}

/** Hooks that tell what becomes of the connection, a line each. */
function tellingHooks(
  output: Output,
): Pick<ClientOptions, "onDetach" | "onResume" | "onSessionLost"> {
  // In a pipe, standard output belongs to what arrives; with --json each line says what it is.
  const tell = (text: string, object: Record<string, unknown>, tone: Tone) => {
    if (output.isTerminal || output.isJson) return output.say(text, object, tone);
    output.fail(text, object);
  };
  return {
    onDetach: (_connection, { code, reason }) => {
      const text = `the connection is lost, reconnecting: ${code}: ${reason}`;
      return tell(text, { event: "detached", code, reason }, "bad");
    },
    onResume: ({ id }) => tell("reconnected, nothing was lost", { event: "resumed", id }, "good"),
    onSessionLost: ({ id }, { reason, ...undelivered }) => {
      const counts = countsOf(undelivered);
      const text = `reconnected as ${id} in a new session, ${WHY_LOST[reason]}: ` +
        countsText(counts);
      return tell(text, { event: "session-lost", id, reason, ...counts }, "bad");
    },
  };
}

function tellEnd(output: Output, { code, reason }: CloseInfo, counts: Counts): void {
  const isComplete = counts.unknown + counts.unsent === 0;
  const text = `the connection has ended: ${code}: ${reason}` +
    (isComplete ? "" : `; ${countsText(counts)}`);
  output.fail(text, { event: "disconnected", code, reason, ...counts });
}

function countsOf({ unknown, unsent, forgotten }: Undelivered): Counts {
  return { unknown: unknown.length + forgotten, unsent: unsent.length };
}

function countsText({ unknown, unsent }: Counts): string {
  if (unknown + unsent === 0) return "nothing was lost";
  return `${packets(unknown)} may have arrived, ${packets(unsent)} ${
    unsent === 1 ? "was" : "were"
  } not sent`;
}

function packets(count: number): string {
  return `${count.toLocaleString("en")} packet${count === 1 ? "" : "s"}`;
}
