/**
 * The command line without a process: for what it says, where a pipe, a signal or the environment of a process
 * make no difference.
 *
 * @module
 */

import { reset } from "@logtape/logtape";
import { main } from "../../tools/cli.ts";
import type { Outcome } from "./cli.ts";
import { within } from "./wait.ts";

/** Runs the command line to its end within this process. One at a time: a process has one log. */
export async function callCli(
  args: string[],
  input: string | Uint8Array<ArrayBuffer> = "",
): Promise<Outcome> {
  const printed = { stdout: "", stderr: "" };
  const isTerminal = () => false;
  const printTo = (name: "stdout" | "stderr") => {
    const decoder = new TextDecoder();
    return (bytes: Uint8Array) => {
      printed[name] += decoder.decode(bytes, { stream: true });
      return bytes.length;
    };
  };
  const printOut = printTo("stdout");
  const code = await within(
    main(args, {
      stdin: {
        isTerminal,
        readable: new Blob([input]).stream(),
        read: () => Promise.resolve(null),
      },
      stdout: {
        isTerminal,
        write: (bytes) => Promise.resolve(printOut(bytes)),
        writeSync: printOut,
      },
      stderr: { isTerminal, writeSync: printTo("stderr") },
    }),
    `the command line to its end, after ${JSON.stringify(printed)}`,
  );
  await reset();
  return { code, ...printed };
}

/** Runs several command lines, one after the other. */
export async function callAll(lines: string[][]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const args of lines) outcomes.push(await callCli(args));
  return outcomes;
}
