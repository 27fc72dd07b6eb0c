/**
 * The console's commands.
 *
 * @module
 */

import { Client } from "../client.ts";
import type { Connection } from "../connection.ts";
import { RequestError } from "../errors.ts";
import { sanitize } from "../sanitize.ts";
import { Server } from "../server.ts";
import { jsonOrText } from "./json_or_text.ts";
import type { Output, Row } from "./output.ts";

/** What a console drives. Whatever its contract is, a person types names and JSON. */
export type Instance = Server | Client;

/** What a command works with. */
export interface Console {
  /** The server or client. */
  readonly instance: Instance;
  /** Where results go. */
  readonly output: Output;
  /** Asks a person. Nobody there is a no. */
  confirm(question: string): Promise<boolean>;
  /** Whether a person is there to be asked. */
  readonly isTerminal: boolean;
  /** Ends the console after this command. */
  leave(): void;
}

/** One command. */
export interface Command {
  /** Its arguments, as help shows them. */
  usage: string;
  /** What it does, in one line. */
  summary: string;
  /** What its first arguments are, for completion. */
  completes?: ("id" | "action" | "command")[];
  /** Runs it on what was typed after its name. */
  run(console: Console, rest: string): unknown;
}

/** A command that was not typed as it must be, or cannot be done here: said in one line. */
export class CommandError extends Error {}

/** The commands by name. */
export const COMMANDS: Map<string, Command> = new Map(Object.entries<Command>({
  help: {
    usage: "[COMMAND]",
    summary: "lists the commands, or says more of one",
    completes: ["command"],
    run: help,
  },
  list: {
    usage: "",
    summary: "lists the connections",
    run: ({ instance, output }) => {
      const rows = connectionsOf(instance).map(summaryOf);
      return output.table(rows, { command: "list", connections: rows }, "no connections");
    },
  },
  coninfo: {
    usage: "ID",
    summary: "says all there is to say of a connection, but its token",
    completes: ["id"],
    run: ({ instance, output }, rest) => {
      const [id] = words(rest, 1, "coninfo ID");
      const connection = findConnection(instance, id);
      const { received: _, sent: __, ...summary } = summaryOf(connection);
      const info: Row = { ...summary, ...connection.stats };
      const rows = Object.entries(info).map(([name, value]) => ({ name, value }));
      return output.table(rows, { command: "coninfo", ...info }, "");
    },
  },
  ping: {
    usage: "ID",
    summary: "measures the time to a connection and back",
    completes: ["id"],
    run: ({ instance, output }, rest) => {
      const [id] = words(rest, 1, "ping ID");
      return pingThem(output, "ping", [findConnection(instance, id)]);
    },
  },
  pingall: {
    usage: "",
    summary: "does so for every connection",
    run: ({ instance, output }) => pingThem(output, "pingall", connectionsOf(instance)),
  },
  send: {
    usage: "ID ACTION [JSON]",
    summary: "sends one packet to a connection",
    completes: ["id", "action"],
    run: async ({ instance, output }, rest) => {
      const [id, action, json] = words(rest, 3, "send ID ACTION [JSON]", 2);
      const connection = findConnection(instance, id);
      await connection.sendPacket({ action, data: parseJson(json) });
      await output.say("sent", { command: "send", id: connection.id, sent: true }, "good");
    },
  },
  request: {
    usage: "ID ACTION [JSON]",
    summary: "sends one and prints the reply",
    completes: ["id", "action"],
    run: async ({ instance, output }, rest) => {
      const [id, action, json] = words(rest, 3, "request ID ACTION [JSON]", 2);
      const connection = findConnection(instance, id);
      const reply = await connection.request(action, parseJson(json));
      await output.say(output.json(reply), { command: "request", id: connection.id, reply });
    },
  },
  broadcast: {
    usage: "TEXT|JSON",
    summary: "server: sends it to all clients as `broadcast`; client: asks the server to",
    run: broadcast,
  },
  disconnect: {
    usage: "ID|self",
    summary: "ends one connection in order; self: the server or client itself",
    completes: ["id"],
    run: async ({ instance, output }, rest) => {
      const [id] = words(rest, 1, "disconnect ID|self");
      if (id === "self") await instance.close();
      else await findConnection(instance, id).close({ reason: "disconnected by hand" });
      await output.say("disconnected", { command: "disconnect", disconnected: id }, "good");
    },
  },
  dropall: {
    usage: "",
    summary: "ends all connections in order",
    run: async ({ instance, output }) => {
      const all = connectionsOf(instance);
      await Promise.all(all.map((one) => one.close({ reason: "disconnected by hand" })));
      const text = `${all.length} disconnected`;
      await output.say(text, { command: "dropall", disconnected: all.length }, "good");
    },
  },
  actions: {
    usage: "",
    summary: "lists what is bound",
    run: ({ instance, output }) => {
      const rows = instance.actions.map(({ action, bind, hasSchema }) => ({
        action,
        bind,
        schema: hasSchema ? "yes" : "no",
      }));
      return output.table(rows, { command: "actions", actions: rows }, "nothing is bound");
    },
  },
  trigger: {
    usage: "NAME [JSON]",
    summary: "runs what is bound to a name here, and prints what it returns",
    completes: ["action"],
    run: async ({ instance, output }, rest) => {
      const [name, json] = words(rest, 2, "trigger NAME [JSON]", 1);
      const reply = await instance.trigger(name, parseJson(json));
      await output.say(output.json(reply), { command: "trigger", reply });
    },
  },
  threads: {
    usage: "",
    summary: "lists the loops that run, and what each waits for",
    run: ({ instance, output }) => {
      const own = instance.loops.map((loop) => ({ of: roleOf(instance), ...loop }));
      const theirs = connectionsOf(instance).flatMap((connection) =>
        connection.loops.map((loop) => ({ of: connection.id, ...loop }))
      );
      const rows = [...own, ...theirs].map(({ of, loop, waitsFor }) => ({
        of,
        loop,
        "waits for": waitsFor,
      }));
      return output.table(rows, { command: "threads", threads: rows }, "");
    },
  },
  token: {
    usage: "[--yes]",
    summary: "shows this client's own secret token, after asking",
    run: showToken,
  },
  start: {
    usage: "",
    summary: "starts the server or client, where the program has not",
    run: async ({ instance, output }) => {
      await instance.start();
      await output.say(statusOf(instance), { command: "start", ...status(instance) }, "good");
    },
  },
  mode: {
    usage: "",
    summary: "says whether this is a server or a client, and how it is",
    run: ({ instance, output }) =>
      output.say(statusOf(instance), { command: "mode", ...status(instance) }),
  },
  clear: {
    usage: "",
    summary: "clears the screen",
    run: async ({ output }) => {
      if (output.isTerminal) await output.line("\x1b[H\x1b[2J\x1b[3J\x1b[A");
    },
  },
  stop: {
    usage: "",
    summary: "stops the server or client in order, and leaves the console",
    run: async ({ instance, output, leave }) => {
      leave();
      await instance.close();
      await output.say("stopped", { command: "stop", stopped: true }, "good");
    },
  },
}));

/** The connections of either. */
export function connectionsOf(instance: Instance): Connection[] {
  return [...(instance.clients as Map<string, Connection>).values()];
}

/** Which of the two it is. */
export function roleOf(instance: Instance): "server" | "client" {
  return instance instanceof Server ? "server" : "client";
}

/** Words that another token of the line may be completed to. */
export function candidates(instance: Instance, kind: "id" | "action" | "command"): string[] {
  if (kind === "command") return [...COMMANDS.keys()];
  if (kind === "id") {
    const ids = connectionsOf(instance).map(({ id }) => id);
    return instance instanceof Client ? ["server", ...ids] : ids;
  }
  return instance.actions.map(({ action }) => action).filter((action) => action !== "*");
}

function help({ output }: Console, rest: string): unknown {
  const [name] = words(rest, 1, "help [COMMAND]", 0);
  if (name === undefined) {
    const rows = [...COMMANDS].map(([name, { usage, summary }]) => ({
      command: `${name} ${usage}`.trim(),
      "what it does": summary,
    }));
    return output.table(rows, { command: "help", commands: rows }, "");
  }
  const command = COMMANDS.get(name);
  if (!command) throw new CommandError(`there is no command ${sanitize(name, 40)}`);
  const { usage, summary } = command;
  const hint = usage.includes("ID")
    ? "\nAn ID may be shortened to its first or last characters; a client may type server for it."
    : "";
  return output.say(`${name} ${usage}`.trim() + `\n${summary}${hint}`, {
    command: "help",
    name,
    usage,
    summary,
  });
}

async function broadcast({ instance, output }: Console, rest: string): Promise<void> {
  if (rest === "") throw new CommandError("usage: broadcast TEXT|JSON");
  const data = jsonOrText(rest);
  if (instance instanceof Client) {
    await instance.sendPacket({ action: "broadcast", data });
    return await output.say("sent to the server", { command: "broadcast", sent: 1 }, "good");
  }
  const { sent, missed } = instance.broadcast({ action: "broadcast", data });
  const rows = [...missed].map(([id, { code, message }]) => ({ id, code, message }));
  const text = `sent to ${sent}` + (rows.length > 0 ? `, not to ${rows.length}` : "");
  await output.say(text, { command: "broadcast", sent, missed: rows }, "good");
}

async function pingThem(output: Output, command: string, all: Connection[]): Promise<void> {
  const rows = await Promise.all(all.map(async (connection) => {
    const ms = await connection.ping().then(
      (ms) => Math.round(ms * 1_000) / 1_000,
      (error: unknown) => error instanceof RequestError ? "no answer" : "gone",
    );
    return { id: connection.id, "round trip (ms)": ms };
  }));
  await output.table(rows, { command, pings: rows }, "no connections");
}

async function showToken(console: Console, rest: string): Promise<void> {
  const { instance, output } = console;
  const [flag] = words(rest, 1, "token [--yes]", 0);
  if (flag !== undefined && flag !== "--yes") throw new CommandError("usage: token [--yes]");
  if (instance instanceof Server) {
    throw new CommandError("a server has no token of its own, and shows nobody else's");
  }
  if (!instance.token) throw new CommandError("there is no token: the client is not connected");
  if (flag === undefined) {
    if (!console.isTerminal) {
      throw new CommandError("the token is a secret: `token --yes` shows it all the same");
    }
    const question = "Whoever reads the token can act as this client. Show it?";
    if (!await console.confirm(question)) {
      return await output.say("not shown", { command: "token", shown: false }, "faint");
    }
  }
  await output.say(instance.token, { command: "token", token: instance.token });
}

function status(instance: Instance): Record<string, unknown> {
  const { address, state } = instance;
  return { mode: roleOf(instance), address, state, connections: connectionsOf(instance).length };
}

function statusOf(instance: Instance): string {
  const count = connectionsOf(instance).length;
  const peers = `${count} connection${count === 1 ? "" : "s"}`;
  return `${roleOf(instance)}, ${instance.state}, ${instance.address}, ${peers}`;
}

function summaryOf(connection: Connection): Row {
  const { id, address, state, since, groups, stats } = connection;
  return {
    id,
    address,
    state,
    since: since.toISOString(),
    groups: [...groups].map((group) => sanitize(group)).join(" ") || null,
    received: stats.packetsReceived,
    sent: stats.packetsSent,
  };
}

/** The connection that an id, or as much of it as is unique, means. */
function findConnection(instance: Instance, typed: string): Connection {
  const all = connectionsOf(instance);
  if (typed === "server" && instance instanceof Client && all.length === 1) return all[0];
  const exact = all.filter(({ id }) => id === typed);
  const found = exact.length > 0 ? exact : all.filter(({ id }) =>
    // Ids made in the same second begin alike; their ends differ.
    id.startsWith(typed) || id.endsWith(typed)
  );
  const shown = sanitize(typed, 40);
  if (found.length === 0) throw new CommandError(`no connection has the id ${shown}: try list`);
  if (found.length > 1) {
    throw new CommandError(`${found.length} connections have an id like ${shown}: type more of it`);
  }
  return found[0];
}

/** Splits what was typed into at most `count` words; the last one is all that is left. */
function words(rest: string, count: number, usage: string, required = count): string[] {
  const found: string[] = [];
  let left = rest.trim();
  while (left !== "" && found.length < count - 1) {
    const [, word, more] = /^(\S+)\s*(.*)$/s.exec(left)!;
    found.push(word);
    left = more;
  }
  if (left !== "") found.push(left);
  if (found.length < required) throw new CommandError(`usage: ${usage}`);
  return found;
}

function parseJson(text: string | undefined): unknown {
  if (text === undefined) return null;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CommandError(`not JSON: ${sanitize(text, 40)} (a text goes in double quotes)`, {
      cause,
    });
  }
}
