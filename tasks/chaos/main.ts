/**
 * Chaos: a server and its clients in two processes, a network between them that fails again and again, and
 * a check that nothing was lost, came twice, came out of order or was left unanswered.
 *
 * `deno task chaos --cuts 500 --packets 100000 --seed 1`
 *
 * What is checked besides: each fault is drawn often enough, and at least half of all while packets are
 * unacknowledged both ways; every connection that was cut is resumed; nothing is sent again that the
 * handshake acknowledged; no acknowledgement goes backwards, or comes before its packet was handed over; no
 * connection ends that nothing was done to; and no socket is left.
 *
 * `--wire secure` and `--wire tls` do the same where what goes by cannot be read: then what is checked of it
 * is left out.
 *
 * The seed decides which faults come to which client in which order, and what is sent. When exactly that is
 * the machine decides.
 *
 * @module
 */

import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { WIRE_NAMES, type WireName } from "../../tests/support/wires.ts";
import { run } from "./run.ts";

interface Flags {
  cuts: number;
  packets: number;
  wire: WireName;
  seed?: number;
}

const HELP = `
Prints one line of JSON. Exit codes: 0 all is well, 1 it is not, 2 wrong usage.

Example:
  deno task chaos --cuts 500 --packets 100000 --seed 1`;

async function chaos({ cuts, packets, wire, seed = anySeed() }: Flags): Promise<boolean> {
  const isWatched = Deno.stderr.isTerminal();
  const show = (text: string) => {
    if (isWatched) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  };
  try {
    const verdict = await run({
      cuts,
      packets,
      wire,
      seed,
      onProgress: (happened, sent) =>
        show(`${happened}/${cuts} faults, ${sent}/${packets} packets`),
    });
    show("");
    console.log(JSON.stringify(verdict));
    return verdict.ok;
  } finally {
    show("");
  }
}

function anySeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

function parseInteger(min: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < min || number > 2 ** 32 - 1) {
      throw new InvalidArgumentError(`It must be an integer from ${min} to ${2 ** 32 - 1}.`);
    }
    return number;
  };
}

const program = new Command("chaos")
  .description("cut connections at random, and check that nothing is lost")
  .option("--cuts <N>", "how many faults there are to be", parseInteger(1), 500)
  .option("--packets <M>", "how many packets are sent at least", parseInteger(1), 100_000)
  .addOption(
    new Option("--wire <WIRE>", "what it goes over").choices(WIRE_NAMES).default("plain"),
  )
  .option("--seed <S>", "what decides which faults come when (default: any)", parseInteger(0))
  .addHelpText("after", HELP)
  .exitOverride()
  .action(async (flags: Flags) => {
    Deno.exitCode = await chaos(flags) ? 0 : 1;
  });

try {
  await program.parseAsync(Deno.args, { from: "user" });
} catch (error) {
  if (error instanceof CommanderError) {
    Deno.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    console.error(`chaos: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode = 1;
  }
}
