/**
 * The command line: a server, a client, and packets from a shell.
 *
 * `deno run -A tools/cli.ts --help` says what it can do.
 *
 * @module
 */

import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import config from "../deno.json" with { type: "json" };
import { sanitize } from "../sanitize.ts";
import { type ClientFlags, runClient } from "./cli_client.ts";
import { DEFAULT_RETRIES, runSend, type SendFlags } from "./cli_send.ts";
import { runServer, type ServerFlags } from "./cli_server.ts";
import { ExitCode, reportError } from "./exit.ts";

/**
 * Runs one command line.
 *
 * @param args What follows the program's name.
 * @returns The exit code: 0 done, 1 the other side refused or failed, 2 wrong usage, 3 no connection.
 */
export async function main(args: string[]): Promise<number> {
  let exitCode: number = ExitCode.Done;
  const isJson = args.includes("--json");
  const program = new Command("pnetwork")
    .description("TCP server and client that exchange named packets")
    .version(config.version)
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => {
        const said = text.trim().split("\n").map((line) => sanitize(line)).join(" ");
        const error = { message: said.replace(/^error: /, "") };
        const line = isJson ? JSON.stringify({ error }) : `${said} (--help says more)`;
        write(line + "\n");
      },
    })
    .addHelpText("after", HELP);

  endpointOptions(program.command("server"), { minPort: 0 })
    .description("listen, and run the console")
    .option("--name <NAME>", "what stands before the line that is typed", "SERVER")
    .addHelpText("after", SERVER_HELP)
    .action(async (flags: ServerFlags) => {
      exitCode = await runServer(flags);
    });

  endpointOptions(program.command("client"))
    .description("connect, and run the console")
    .option("--name <NAME>", "what stands before the line that is typed", "CLIENT")
    .option("--retries <N>", `${RETRIES} (default: no bound)`, parseCount)
    .addHelpText("after", CLIENT_HELP)
    .action(async (flags: ClientFlags) => {
      exitCode = await runClient(flags);
    });

  endpointOptions(program.command("send"))
    .description("connect, send packets, and leave when they have arrived")
    .argument("<action>", "the action's name")
    .argument("[json]", "the data: any JSON (a text goes in double quotes, or with --text)")
    .option("--request", "wait for the reply, and print its data as JSON")
    .option("--lines", "send each line of standard input as one packet: JSON where it is JSON")
    .option("--text", "take the data, or each line, as a text even where it is JSON")
    .option("--timeout <MS>", "how long to wait for the reply, in milliseconds", parseMs)
    .option("--retries <N>", `${RETRIES} (default: ${DEFAULT_RETRIES}, about a minute)`, parseCount)
    .addHelpText("after", SEND_HELP)
    .action(async (action: string, json: string | undefined, flags: SendFlags) => {
      exitCode = await runSend(action, json, flags);
    });

  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? ExitCode.Done : ExitCode.Usage;
    }
    return reportError(error, isJson);
  }
}

function endpointOptions(command: Command, { minPort = 1 } = {}): Command {
  return command
    .option("--host <HOST>", "host name or IP address (default: 127.0.0.1)", parseText)
    .option("--port <PORT>", "TCP port (default: 25565)", (text) => parsePort(text, minPort))
    .addOption(
      new Option("--unix <PATH>", "a Unix socket, in place of host and port")
        .argParser(parseText)
        .conflicts(["host", "port"]),
    )
    .option("--json", "print one JSON object a line");
}

function parseText(text: string): string {
  if (text === "") throw new InvalidArgumentError("It must not be empty.");
  return text;
}

function parsePort(text: string, min: number): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < min || port > 65_535) {
    throw new InvalidArgumentError(`It must be an integer from ${min} to 65535.`);
  }
  return port;
}

function parseMs(text: string): number {
  const ms = Number(text);
  if (!/^\d+$/.test(text) || ms < 1 || ms > 2 ** 31 - 1) {
    throw new InvalidArgumentError("It must be a whole number of milliseconds.");
  }
  return ms;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count)) {
    throw new InvalidArgumentError("It must be an integer from 0.");
  }
  return count;
}

const RETRIES = "how many attempts to come back may fail in a row";

const HELP = `
Exit codes: 0 done, 1 the other side refused or failed, or the connection was lost for good,
2 wrong usage, 3 no connection (for a server: it cannot listen there).
NO_COLOR turns colours off.

Example:
  pnetwork server
  pnetwork send echo '{"a":1}' --request`;

const SERVER_HELP = `
It binds echo (returns its data), broadcast (sends its data to all others as broadcast)
and print (prints its data, one line of JSON each).
On a terminal it runs the console; otherwise each line of standard input is a command,
and at its end the server runs on until SIGINT or SIGTERM. Then it takes on nothing new,
finishes what runs, within 10 s, and ends. A second signal ends it at once.

Example:
  pnetwork server --port 4000
  echo list | pnetwork server --unix /tmp/p.sock --json`;

const CLIENT_HELP = `
It prints whatever packets arrive. When the connection is lost it comes back by itself, and
says so; what was sent meanwhile is kept.
On a terminal it runs the console; otherwise each line of standard input is a command,
and at its end the client closes.

Example:
  pnetwork client --port 4000
  echo 'request server echo {"a":1}' | pnetwork client`;

const SEND_HELP = `
It ends when the server has acknowledged that all was handed to the action, and comes back by
itself when the connection is lost: nothing is lost then, and nothing sent twice. If it cannot
go on it says how much arrived for certain, how much may have, and how much was not sent.
(Of a server without sessions it only knows that all was read, and ends with the connection.)

Example:
  pnetwork send echo '{"a":1}' --request
  tail -f app.log | pnetwork send print --lines --text`;

if (import.meta.main) {
  // A command may leave something open, such as standard input: its work is done all the same.
  Deno.exit(await main(Deno.args));
}
