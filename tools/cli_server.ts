/**
 * The command `server`.
 *
 * @module
 */

import type { Connection } from "../connection.ts";
import { Server } from "../server.ts";
import { serverSecurity, type ServerSecurityFlags } from "./cli_security.ts";
import { CLI } from "./coretools.ts";
import { ExitCode, fromFlags, onStopSignal } from "./exit.ts";
import { logToStandardError } from "./logging.ts";
import { Output } from "./output.ts";
import type { StandardStreams } from "./streams.ts";

/** Where a command listens or connects, and how it prints. */
export interface EndpointFlags {
  /** A host name or an IP address. */
  host?: string;
  /** A TCP port. */
  port?: number;
  /** The path of a Unix socket. */
  unix?: string;
  /** Whether each line is one JSON object. */
  json?: boolean;
}

/** What `server` was told. */
export interface ServerFlags extends EndpointFlags, ServerSecurityFlags {
  /** What stands before the line that is typed. */
  name: string;
}

/** Listens until it is told to stop. Resolves to the exit code. */
export async function runServer(flags: ServerFlags, streams: StandardStreams): Promise<number> {
  const { host, port, unix, json, name } = flags;
  const output = new Output({ json }, streams);
  await logToStandardError(output);
  const security = await serverSecurity(flags, output);
  const server = fromFlags(() =>
    new Server({
      host,
      port,
      path: unix,
      ...security.options,
      onConnect: (connection) => tell("connected", connection),
      onDetach: (connection, { code }) => tell("detached", connection, code),
      onResume: (connection) => tell("resumed", connection),
      onDisconnect: (connection, { code }) => tell("disconnected", connection, code),
    })
  );
  const console = new CLI(server, name, { output });

  // In a pipe, standard output belongs to what is printed; with --json each line says what it is.
  const tell = async (event: string, connection: Connection, code?: string) => {
    if (!output.isTerminal && !output.isJson) return;
    const { id, address, fingerprint } = connection;
    const text = `${id} ${event}` + (code === undefined ? ` from ${address}` : `: ${code}`);
    await output.say(text, { event, id, address, fingerprint, code }, "faint");
  };

  server
    .bindAction("echo", (data) => data)
    .bindAction("broadcast", (data, _packet, connection) => {
      const { sent } = server.broadcast({ action: "broadcast", data }, { except: connection });
      return { sent };
    })
    .bindAction(
      "print",
      (data) => output.line(output.json(output.isJson ? { event: "print", data } : data)),
    );

  await server.start();
  const stop = () => {
    console.leave();
    server.close();
  };
  // Before the first line, which scripts wait for before they send signals.
  const forget = onStopSignal(stop);
  output.onBroken = stop;
  const { address } = server;
  const listening = { event: "listening", address, host: server.host, port: server.port };
  const { text, object } = security;
  await output.say(`listening on ${address}${text}`, { ...listening, ...object }, "good");
  server.closed.then(() => console.leave());
  await console.processCommand();
  if (server.state === "listening" && output.isTerminal) {
    const text = "the console was left, the server runs on: Ctrl-C stops it";
    await output.say(text, { event: "console-left" }, "faint");
  }
  await server.closed;
  forget();
  await output.flush();
  return ExitCode.Done;
}
