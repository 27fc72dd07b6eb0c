/**
 * Who takes part. Pure.
 *
 * @module
 */

/** What runs the programs of a contender. */
export type Runtime = "deno" | "node" | "bun";

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

/** The same, run in other ways. */
export const VARIANTS = ["pnetwork without session", "pnetwork secure", "pnetwork TLS"];

/** The programs that could be the floor. */
export const FLOORS = ["bare Deno.Conn", "bare node:net"];

/** The first of them, with lines that hold as much as a packet's: what the protocol costs by itself. */
export const STAMPED_FLOOR = "bare packets";

/** Everyone. */
export const CONTENDERS: Contender[] = [
  pnetwork(PNETWORK, "plain", "plain"),
  pnetwork(VARIANTS[0], "plain", "sessionless"),
  pnetwork(VARIANTS[1], "secure", "secure"),
  pnetwork(VARIANTS[2], "tls", "tls"),
  bareDeno(FLOORS[0]),
  other(FLOORS[1], "node", "bare_net"),
  bareDeno(STAMPED_FLOOR, "stamped"),
  other("Socket.IO", "node", "socketio"),
  {
    ...other("Socket.IO with recovery", "node", "socketio"),
    server: ["node/socketio_server.mjs", "recovery"],
  },
  {
    ...other("Socket.IO on Bun", "bun", "socketio"),
    server: ["node/socketio_bun_server.mjs"],
  },
  other("ws", "node", "ws"),
  other("jayson", "node", "jayson"),
  { ...other("NATS", "bun", "nats"), needs: "nats-server" },
];

function pnetwork(name: string, wire: string, kind: string): Contender {
  return {
    name,
    runtime: "deno",
    server: ["pnetwork_server.ts", wire],
    load: ["pnetwork_load.ts", kind],
  };
}

function bareDeno(name: string, ...args: string[]): Contender {
  return {
    name,
    runtime: "deno",
    server: ["bare_deno_server.ts", ...args],
    load: ["bare_deno_load.ts", ...args],
  };
}

function other(name: string, runtime: Runtime, file: string): Contender {
  return {
    name,
    runtime,
    server: [`node/${file}_server.mjs`],
    load: [`node/${file}_load.mjs`],
  };
}
