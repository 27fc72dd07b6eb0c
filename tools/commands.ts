/**
 * The console's commands.
 *
 * @module
 */

import { closest, distance } from "fastest-levenshtein";
import { Client } from "../client.ts";
import type { Connection } from "../connection.ts";
import { RequestError } from "../errors.ts";
import type { OutgoingPacket } from "../packet.ts";
import { sanitize } from "../sanitize.ts";
import { Server } from "../server.ts";
import { CommandError } from "./command_error.ts";
import {
  ageOf,
  connectionsOf,
  detachedOf,
  detachedText,
  findConnection,
  type Instance,
  notConnected,
  roleOf,
  summaryOf,
} from "./connections.ts";
import { jsonOrText } from "./json_or_text.ts";
import { type Output, safeJson } from "./output.ts";
import type { Row } from "./table.ts";

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

const SHORT_FINGERPRINT = "pnet1:".length + 8;

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
    summary: "lists the connections and their states",
    run: ({ instance, output }) => {
      const all = connectionsOf(instance).map(summaryOf);
      // A terminal is not that wide.
      const hasGroups = all.some(({ groups }) => groups.length > 0);
      const hasKeys = all.some(({ fingerprint }) => fingerprint !== null);
      const rows = all.map((
        { id, address, state, fingerprint, since, groups, received, sent },
      ) => ({
        id,
        address,
        state,
        age: ageOf(since),
        ...hasKeys ? { key: fingerprint && shortened(fingerprint) } : {},
        ...hasGroups ? { groups: groups.join(" ") || null } : {},
        in: received,
        out: sent,
      }));
      return output.table(rows, { command: "list", connections: all }, "no connections");
    },
  },
  coninfo: {
    usage: "ID",
    summary: "says all of one connection but its token",
    completes: ["id"],
    run: ({ instance, output }, rest) => {
      const [id] = words(rest, 1, "coninfo ID");
      const connection = findConnection(instance, id);
      const { received: _, sent: __, groups, ...summary } = summaryOf(connection);
      const session = connection.hasSession;
      const info = { ...summary, session, groups, ...connection.stats };
      const row: Row = {
        ...info,
        session: session ? "yes" : "no",
        groups: groups.join(" ") || null,
      };
      const rows = Object.entries(row).map(([name, value]) => ({ name, value }));
      return output.table(rows, { command: "coninfo", ...info }, "");
    },
  },
  ping: {
    usage: "ID",
    summary: "measures the time to a connection and back",
    completes: ["id"],
    run: ({ instance, output }, rest) => {
      const [id] = words(rest, 1, "ping ID");
      const connection = findConnection(instance, id);
      if (connection.state === "detached") {
        throw new CommandError(`nobody is there to be pinged: ${detachedText(instance)}`);
      }
      return pingThem(output, "ping", [connection]);
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
      const isKept = await sendOrKeep(connection, { action, data: parseJson(json) });
      await output.say(
        isKept ? keptText(instance) : "sent",
        { command: "send", id: connection.id, sent: !isKept, kept: isKept },
        "good",
      );
    },
  },
  request: {
    usage: "ID ACTION [JSON]",
    summary: "sends one and prints the reply",
    completes: ["id", "action"],
    run: async ({ instance, output, isTerminal }, rest) => {
      const [id, action, json] = words(rest, 3, "request ID ACTION [JSON]", 2);
      const connection = findConnection(instance, id);
      const asked = connection.request(action, parseJson(json));
      if (connection.state === "detached" && isTerminal && !output.isJson) {
        await output.say(`waiting: ${detachedText(instance)}`, {}, "faint");
      }
      const reply = await asked.catch((error) => {
        throw connection.state === "detached" ? withHint(error, detachedText(instance)) : error;
      });
      await output.say(safeJson(reply), {
        command: "request",
        id: connection.id,
        action,
        reply,
      });
    },
  },
  broadcast: {
    usage: "TEXT|JSON",
    summary: "sends to all clients; a client asks the server to",
    run: broadcast,
  },
  disconnect: {
    usage: "ID|self",
    summary: "ends one connection; self: the server or client",
    completes: ["id"],
    run: async ({ instance, output }, rest) => {
      const [typed] = words(rest, 1, "disconnect ID|self");
      const connection = typed === "self" ? undefined : findConnection(instance, typed);
      if (connection) await connection.close({ reason: "disconnected by hand" });
      else await instance.close();
      const disconnected = connection?.id ?? "self";
      await output.say("disconnected", { command: "disconnect", disconnected }, "good");
    },
  },
  dropall: {
    usage: "",
    summary: "ends all connections",
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
      const rows = instance.actions.map(({ action, bind, hasSchema, isSealed }) => ({
        action,
        bind,
        schema: hasSchema ? "yes" : "no",
        sealed: isSealed ? "yes" : "no",
      }));
      return output.table(rows, { command: "actions", actions: rows }, "nothing is bound");
    },
  },
  trigger: {
    usage: "NAME [JSON]",
    summary: "runs what is bound here to a name; prints its reply",
    completes: ["action"],
    run: async ({ instance, output }, rest) => {
      const [name, json] = words(rest, 2, "trigger NAME [JSON]", 1);
      const reply = checkJson(await instance.trigger(name, parseJson(json)));
      await output.say(safeJson(reply), { command: "trigger", action: name, reply });
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
      const threads = [...own, ...theirs];
      const rows = threads.map(({ of, loop, waitsFor }) => ({ of, loop, "waits for": waitsFor }));
      return output.table(rows, { command: "threads", threads }, "");
    },
  },
  token: {
    usage: "[--yes]",
    summary: "shows this client's own secret token, after asking",
    run: showToken,
  },
  start: {
    usage: "",
    summary: "starts the server or client, if the program has not",
    run: async ({ instance, output }) => {
      await instance.start();
      await output.say(statusOf(instance), { command: "start", ...status(instance) }, "good");
    },
  },
  mode: {
    usage: "",
    summary: "says which of the two this is, and its state",
    run: ({ instance, output }) =>
      output.say(statusOf(instance), { command: "mode", ...status(instance) }),
  },
  clear: {
    usage: "",
    summary: "clears the screen",
    run: ({ output }) => output.clear(),
  },
  stop: {
    usage: "",
    summary: "stops the server or client, and leaves the console",
    run: async ({ instance, output, leave }) => {
      leave();
      await instance.close();
      await output.say("stopped", { command: "stop", stopped: true }, "good");
    },
  },
}));

/** Words that another token of the line may be completed to. */
export function candidates(instance: Instance, kind: "id" | "action" | "command"): string[] {
  if (kind === "command") return [...COMMANDS.keys()];
  if (kind === "id") {
    const ids = connectionsOf(instance).map(({ id }) => id);
    return instance instanceof Client ? ["server", ...ids] : ids;
  }
  return instance.actions.map(({ action }) => action).filter((action) => action !== "*");
}

/** Enough of a fingerprint to tell a few apart; `coninfo` shows all of it. */
function shortened(fingerprint: string): string {
  return `${fingerprint.slice(0, SHORT_FINGERPRINT)}…`;
}

function help({ output }: Console, rest: string): unknown {
  const [typed] = words(rest, 1, "help [COMMAND]", 0);
  if (typed === undefined) {
    const commands = [...COMMANDS].map(([name, { usage, summary }]) => ({ name, usage, summary }));
    const rows = commands.map(({ name, usage, summary }) => ({
      command: `${name} ${usage}`.trim(),
      "what it does": summary,
    }));
    return output.table(rows, { command: "help", commands }, "");
  }
  const name = typed.toLowerCase();
  const { usage, summary } = commandOf(name);
  const hint = usage.includes("ID")
    ? "\nAn ID may be cut to its first or last characters. A client may type server."
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
    if (instance.clients.size === 0) throw new CommandError(notConnected(instance));
    const [connection] = connectionsOf(instance);
    const isKept = await sendOrKeep(connection, { action: "broadcast", data });
    const text = isKept ? keptText(instance) : "sent to the server";
    const [sent, kept] = isKept ? [0, 1] : [1, 0];
    return await output.say(text, { command: "broadcast", sent, kept }, "good");
  }
  const result = instance.broadcast({ action: "broadcast", data });
  const missed = [...result.missed].map(([id, { code, message }]) => ({ id, code, message }));
  const kept = detachedOf(instance).filter(({ id }) => !result.missed.has(id)).length;
  const sent = result.sent - kept;
  const text = `sent to ${sent}` + (kept > 0 ? `, kept for ${kept} detached` : "") +
    (missed.length > 0 ? `, not to ${missed.length}` : "");
  await output.say(text, { command: "broadcast", sent, kept, missed }, "good");
}

/** Sends a packet. Resolves to whether it waits for the other side to come back. */
async function sendOrKeep(connection: Connection, packet: OutgoingPacket): Promise<boolean> {
  const sending = connection.sendPacket(packet);
  if (connection.state !== "detached") {
    await sending;
    return false;
  }
  // It may wait for long. What is wrong with the packet itself shows at once.
  await Promise.race([sending, new Promise<void>((resolve) => setTimeout(resolve))]);
  return connection.state === "detached";
}

function keptText(instance: Instance): string {
  return `kept until it is back: ${detachedText(instance)}`;
}

/** The same error, with more of its reason. */
function withHint(error: unknown, hint: string): unknown {
  if (!(error instanceof RequestError)) return error;
  return new RequestError(error.code, `${error.message}: ${hint}`, { cause: error });
}

async function pingThem(output: Output, command: string, all: Connection[]): Promise<void> {
  const pings = await Promise.all(all.map(async (connection) => {
    const { id } = connection;
    try {
      return { id, ms: Math.round(await connection.ping() * 1_000) / 1_000 };
    } catch (error) {
      return { id, ms: null, failure: whyNoPong(connection, error) };
    }
  }));
  const rows = pings.map(({ id, ms, failure }) => ({ id, "round trip (ms)": ms ?? failure! }));
  await output.table(rows, { command, pings }, "no connections");
}

function whyNoPong({ state }: Connection, error: unknown): string {
  if (state === "detached") return "detached";
  return error instanceof RequestError ? "no answer" : "gone";
}

async function showToken(console: Console, rest: string): Promise<void> {
  const { instance, output } = console;
  const [flag] = words(rest, 1, "token [--yes]", 0);
  if (flag !== undefined && flag !== "--yes") throw new CommandError("usage: token [--yes]");
  if (instance instanceof Server) {
    throw new CommandError("a server has no token of its own, and shows nobody else's");
  }
  if (!instance.token) throw new CommandError(`there is no token: ${notConnected(instance)}`);
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
  const connections = connectionsOf(instance).length;
  const detached = detachedOf(instance).length;
  return { mode: roleOf(instance), address, state, connections, detached };
}

function statusOf(instance: Instance): string {
  const { connections, detached } = status(instance);
  const peers = `${connections} connection${connections === 1 ? "" : "s"}` +
    (instance instanceof Server && detached ? ` (${detached} detached)` : "");
  return `${roleOf(instance)}, ${instance.state}, ${sanitize(instance.address)}, ${peers}`;
}

/**
 * The command of this name.
 *
 * @throws {CommandError} If there is none. It names the nearest one.
 */
export function commandOf(typed: string): Command {
  const name = typed.toLowerCase();
  const command = COMMANDS.get(name);
  if (command) return command;
  const hint = nearestTo(name.slice(0, 40));
  const more = hint ? `did you mean ${hint}?` : "help lists them";
  throw new CommandError(`there is no command ${sanitize(typed, 40)}: ${more}`);
}

function nearestTo(typed: string): string | undefined {
  if (typed === "exit" || typed === "quit") return "stop";
  const names = [...COMMANDS.keys()];
  const begun = names.find((name) => name.startsWith(typed));
  if (begun) return begun;
  const nearest = closest(typed, names);
  return distance(typed, nearest) <= Math.max(2, typed.length / 2) ? nearest : undefined;
}

/** What the arguments of a command are. */
export function completesOf(typed: string): Command["completes"] {
  return COMMANDS.get(typed.toLowerCase())?.completes;
}

/**
 * Splits what was typed into at most `count` words; the last one is all that is left.
 *
 * @throws {CommandError} If there are fewer than are required.
 */
export function words(rest: string, count: number, usage: string, required = count): string[] {
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

/** What a bind returns here may be anything. */
function checkJson(value: unknown): unknown {
  try {
    JSON.stringify(value);
    return value;
  } catch (cause) {
    throw new CommandError("what it returned is no JSON", { cause });
  }
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
