/**
 * Who takes part.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

/** What runs the programs of a contender. */
export type Runtime = "deno" | "node";

/** Two programs: a server, and the clients that load it. */
export interface Contender {
  /** As it is called on the command line and in the tables. */
  name: string;
  runtime: Runtime;
  /** File and arguments. */
  server: string[];
  /** The same; the server's port comes first. */
  load: string[];
  /** What else must be installed. */
  needs?: string;
}

/** The project itself, as users run it. */
export const PNETWORK = "pnetwork";

/** Everyone. */
export const CONTENDERS: Contender[] = [
  pnetwork(PNETWORK, "plain", "plain"),
  pnetwork("pnetwork, no session", "plain", "sessionless"),
  pnetwork("pnetwork, secure", "secure", "secure"),
  pnetwork("pnetwork, TLS", "tls", "tls"),
  {
    name: "bare Deno.Conn",
    runtime: "deno",
    server: ["bare_deno_server.ts"],
    load: ["bare_deno_load.ts"],
  },
  onNode("bare node:net", "bare_net"),
  onNode("Socket.IO", "socketio"),
  {
    ...onNode("Socket.IO, recovery", "socketio"),
    server: ["node/socketio_server.mjs", "recovery"],
  },
  onNode("ws", "ws"),
  onNode("jayson", "jayson"),
  { ...onNode("NATS", "nats"), needs: "nats-server" },
];

/** The programs that could be the floor. */
export const FLOORS = ["bare Deno.Conn", "bare node:net"];

function pnetwork(name: string, wire: string, kind: string): Contender {
  return {
    name,
    runtime: "deno",
    server: ["pnetwork_server.ts", wire],
    load: ["pnetwork_load.ts", kind],
  };
}

function onNode(name: string, file: string): Contender {
  return {
    name,
    runtime: "node",
    server: [`node/${file}_server.mjs`],
    load: [`node/${file}_load.mjs`],
  };
}

/** How one of its programs is started: the command, and what it is given. */
export function commandOf(
  { runtime }: Contender,
  [file, ...args]: string[],
): { command: string; args: string[] } {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return runtime === "deno"
    ? { command: Deno.execPath(), args: ["run", "-A", "--v8-flags=--expose-gc", path, ...args] }
    : { command: "node", args: ["--expose-gc", path, ...args] };
}
