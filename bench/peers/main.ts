/**
 * Measures this project beside others that do the same job, all in one run.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Chart, chartOf } from "./chart.ts";
import { CONTENDERS } from "./contenders.ts";
import { type Commands, describe, openFiles, prepare } from "./environment.ts";
import { insert, json, markdown, type Report } from "./report.ts";
import { run } from "./run.ts";
import { FULL, type Plan, QUICK, WARM_UP_CLIENTS, workloads } from "./workloads.ts";

const USAGE = `deno task bench:peers [options]

  --only WORKLOAD,…   not all workloads
  --peers NAME,…      not all contenders
  --rounds N          how many rounds count
  --quick             shorter rounds, and fewer clients
  --out DIR           where peers.json and peers.svg go, and the README.md between its marks;
                      bench/ if nothing was left out, else nowhere`;

const BENCH = fileURLToPath(new URL("..", import.meta.url));
const BEGIN = "<!-- bench:peers begins -->";
const END = "<!-- bench:peers ends -->";
/** A process needs some for itself, and for the clients that are there before the others. */
const SPARE_FILES = WARM_UP_CLIENTS + 500;

const OPTIONS = {
  only: { type: "string" },
  peers: { type: "string" },
  rounds: { type: "string" },
  quick: { type: "boolean" },
  out: { type: "string" },
  help: { type: "boolean" },
} as const;

const orders = readOrders();
if (orders) await main(orders);

/** What is to be done. */
interface Orders {
  plan: Plan;
  only: string[];
  peers: string[];
  /** Where the results go; `undefined` for nowhere. */
  out: string | undefined;
}

/** What the command line asks for; `undefined` after telling why there is nothing to do. */
function readOrders(): Orders | undefined {
  try {
    const { values } = parseArgs({ args: Deno.args, options: OPTIONS });
    if (values.help) return void console.log(USAGE);
    const plan = { ...(values.quick ? QUICK : FULL) };
    if (values.rounds !== undefined) plan.rounds = plan.freshRounds = count(values.rounds);
    const isWhole = !values.quick &&
      [values.only, values.peers, values.rounds].every((value) => value === undefined);
    return {
      plan,
      only: choice("workload", values.only, workloads(plan).map(({ name }) => name)),
      peers: choice("contender", values.peers, CONTENDERS.map(({ name }) => name)),
      out: values.out ?? (isWhole ? BENCH : undefined),
    };
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    Deno.exitCode = 2;
  }
}

async function main({ plan, only, peers, out }: Orders): Promise<void> {
  const field = await prepare((name) => peers.includes(name));
  const { skipped } = field;
  const environment = await describe(field);
  const files = await openFiles();
  const report: Report = {
    date: new Date().toISOString().slice(0, 10),
    command: ["deno task bench:peers", ...Deno.args].join(" "),
    rounds: plan.rounds,
    turnMs: plan.turnMs,
    environment,
    skipped,
    workloads: [],
  };
  for (const workload of workloads(plan).filter(({ name }) => only.includes(name))) {
    const most = Math.max(...workload.entries.map(({ clients }) => clients));
    if (most + SPARE_FILES > files) {
      const reason = `it takes ${most + SPARE_FILES} open files, and ulimit -Hn is ${files}`;
      skipped.push({ name: workload.name, reason });
      continue;
    }
    const { result, failures } = await run(workload, field, plan, console.error);
    report.workloads.push(result);
    skipped.push(...failures);
  }
  for (const { name, reason } of skipped) console.error(`SKIPPED: ${name}: ${reason}`);

  console.log(markdown(report));
  if (out !== undefined) await write(report, field.commands, out);
}

async function write(report: Report, commands: Commands, directory: string): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  const [data, readme] = [`${directory}/peers.json`, `${directory}/README.md`];
  const written = [data];
  await Deno.writeTextFile(data, json(report));
  const text = await Deno.readTextFile(readme).catch(() => undefined);
  if (text?.includes(BEGIN)) {
    await Deno.writeTextFile(readme, insert(text, markdown(report), BEGIN, END));
    written.push(readme);
  }
  // As the files of the project are.
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", ...written] }).output();

  if (!commands.node) return console.error("SKIPPED: the chart: node is not installed");
  const subtitle = `Median of ${report.rounds} rounds, ${report.date}; more is better`;
  await Deno.writeTextFile(
    `${directory}/peers.svg`,
    await draw(chartOf(report.workloads, subtitle), commands.node),
  );
}

async function draw(chart: Chart, [node, ...options]: string[]): Promise<string> {
  const program = fileURLToPath(new URL("node/chart.mjs", import.meta.url));
  const child = new Deno.Command(node, {
    args: [...options, program],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(chart)));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("the chart was not drawn");
  return new TextDecoder().decode(stdout);
}

/** Which of the names were asked for; all, if none was. */
function choice(what: string, asked: string | undefined, names: string[]): string[] {
  if (asked === undefined) return names;
  return asked.split(",").map((part) => {
    const found = names.find((name) => name.toLowerCase() === part.trim().toLowerCase());
    if (found === undefined) {
      throw new RangeError(`there is no ${what} "${part}", but ${names.join(", ")}`);
    }
    return found;
  });
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new RangeError(`--rounds takes a positive integer, and was given "${text}"`);
}
