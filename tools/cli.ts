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
import { exportKeys, type KeysFlags, makeKeys, showKeys } from "./cli_keys.ts";
import { DEFAULT_RETRIES, runSend, type SendFlags } from "./cli_send.ts";
import { runServer, type ServerFlags } from "./cli_server.ts";
import { ExitCode, reportError, withoutKeys } from "./exit.ts";
import { complain, writeSync } from "./output.ts";
import type { StandardStreams } from "./streams.ts";

export type { StandardStreams };

/**
 * Runs one command line.
 *
 * @param args What follows the program's name.
 * @param streams What it reads and writes: those of the process, unless it says otherwise.
 * @returns The exit code: 0 done, 1 the other side refused or failed, 2 wrong usage, 3 no connection.
 */
export async function main(args: string[], streams: StandardStreams = Deno): Promise<number> {
  let exitCode: number = ExitCode.Done;
  const isJson = args.includes("--json");
  const program = new Command("pnetwork")
    .description("TCP server and client that exchange named packets")
    .version(config.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => printHelp(text, streams.stdout),
      writeErr: (text) => complain(text.trimEnd(), streams.stderr),
      getOutHelpWidth: () => widthOf(streams.stdout),
      getErrHelpWidth: () => widthOf(streams.stderr),
      outputError: (text, write) => {
        const said = withoutKeys(text).trim().split("\n").map((line) => sanitize(line)).join(" ");
        const error = { message: said.replace(/^error: /, "") };
        const line = isJson ? JSON.stringify({ error }) : `${said} (--help says more)`;
        write(line + "\n");
      },
    })
    .addHelpText("after", HELP);

  serverSecurityOptions(endpointOptions(program.command("server"), { minPort: 0 }))
    .description("listen, and run the console")
    .option("--name <NAME>", "what stands before the line that is typed", "SERVER")
    .addHelpText("after", SERVER_HELP)
    .action(async (flags: ServerFlags) => {
      exitCode = await runServer(flags, streams);
    });

  clientSecurityOptions(endpointOptions(program.command("client")))
    .description("connect, and run the console")
    .option("--name <NAME>", "what stands before the line that is typed", "CLIENT")
    .option("--retries <N>", `${RETRIES} (default: no bound)`, parseCount)
    .addHelpText("after", CLIENT_HELP)
    .action(async (flags: ClientFlags) => {
      exitCode = await runClient(flags, streams);
    });

  clientSecurityOptions(endpointOptions(program.command("send")))
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
      exitCode = await runSend(action, json, flags, streams);
    });

  const keys = program.command("keys")
    .description("make keys, and say what others know them by")
    .addHelpText("after", KEYS_HELP);
  const addKeys = (
    name: string,
    description: string,
    run: (file: string, flags: KeysFlags, streams: StandardStreams) => Promise<number>,
  ) =>
    keys.command(name)
      .description(description)
      .argument("<file>", "the name of the file")
      .option("--json", "print one JSON object a line")
      .action(async (file: string, flags: KeysFlags) => {
        exitCode = await run(file, flags, streams);
      });
  addKeys("make", "make a key, in a new file that only its owner can read", makeKeys)
    .option("--rsa", "RSA keys for sealed packets, in place of an identity");
  addKeys("show", "say what kind of key a file holds, and its fingerprint", showKeys);
  addKeys("export", "print what is for others: a fingerprint, or a public RSA key", exportKeys);

  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? ExitCode.Done : ExitCode.Usage;
    }
    return reportError(error, isJson, streams.stderr);
  }
}

/** Whoever reads it may have seen enough, as `head` has. */
function printHelp(text: string, stdout: StandardStreams["stdout"]): void {
  try {
    writeSync(stdout, text);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

function widthOf(stream: { isTerminal(): boolean }): number {
  return stream.isTerminal() ? Deno.consoleSize().columns : 80;
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

function serverSecurityOptions(command: Command): Command {
  return command
    .option("--secure", "take secure connections, and no others")
    .option("--identity <FILE>", "this side's key (`keys make`)", parseText)
    .option("--pin <FINGERPRINT>", "let only clients with this key in; may be repeated", collect)
    .option("--tls-cert <FILE>", "speak TLS, with this certificate (PEM)", parseText)
    .option("--tls-key <FILE>", "the certificate's private key (PEM)", parseText);
}

function clientSecurityOptions(command: Command): Command {
  return command
    .option("--secure", "a secure connection, or none")
    .option("--identity <FILE>", "this side's key (`keys make`)", parseText)
    .option("--pin <FINGERPRINT>", "the server's key; may be repeated", collect)
    .option("--known-hosts <FILE>", "the servers that are known, and their keys", parseText)
    .option("--tls", "a connection over TLS, or none")
    .option("--ca <FILE>", "the same; who may vouch for the server (PEM)", parseText)
    .option("--tls-hostname <NAME>", "the name in its certificate (default: the host)", parseText);
}

function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
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
Exit codes: 0 done, 1 the other side refused, failed or is not trusted, or the connection was lost
for good, 2 wrong usage, or a file that cannot be used, 3 no connection (for a server: it cannot
listen there).
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

With --secure its first line says its fingerprint, which clients know it by. Without --identity
its key is in ~/.config/pnetwork/identity.pem, where the first such server makes it.
($XDG_CONFIG_HOME may stand in place of ~/.config.)

Example:
  pnetwork server --port 4000
  pnetwork server --secure
  pnetwork server --tls-cert cert.pem --tls-key key.pem
  echo list | pnetwork server --unix /tmp/p.sock --json`;

const CLIENT_SECURITY_HELP = `
With --secure the server must have a key that --pin names, or that is known: a line "host:port
fingerprint" in ~/.config/pnetwork/known_hosts, or in the file of --known-hosts. If nothing is known
of the server, it asks on a terminal and adds that line; elsewhere it refuses. If the server has
another key than before, it refuses until the line is removed. (Refused: exit code 1.)
With --tls, or --ca, the server must have a certificate, and an authority that Deno trusts
(DENO_TLS_CA_STORE=system: that the system trusts), or one in the file of --ca, must vouch for it.
`;

const CLIENT_HELP = `
It prints whatever packets arrive. When the connection is lost it comes back by itself, and
says so; what was sent meanwhile is kept.
On a terminal it runs the console; otherwise each line of standard input is a command,
and at its end the client closes.
${CLIENT_SECURITY_HELP}
Example:
  pnetwork client --port 4000
  pnetwork client --secure
  echo 'request server echo {"a":1}' | pnetwork client`;

const SEND_HELP = `
It ends when the server has acknowledged that all was handed to the action, and comes back by
itself when the connection is lost: nothing is lost then, and nothing sent twice. If it cannot
go on it says how much arrived for certain, how much may have, and how much was not sent.
(Of a server without sessions it only knows that all was read, and ends with the connection.)
${CLIENT_SECURITY_HELP}
Example:
  pnetwork send echo '{"a":1}' --request
  tail -f app.log | pnetwork send print --lines --text`;

const KEYS_HELP = `
An identity (a key of X25519) is for --secure and --identity. RSA keys open sealed packets.
A file is a secret (PKCS #8, PEM): what is shown or exported of it is none.

Example:
  pnetwork keys make server.pem
  pnetwork server --secure --identity server.pem
  pnetwork client --secure --pin $(pnetwork keys export server.pem)`;

if (import.meta.main) {
  // A command may leave something open, such as standard input: its work is done all the same.
  Deno.exit(await main(Deno.args));
}
