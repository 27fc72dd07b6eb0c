/**
 * How `main.ts` talks to the programs that it measures: a line of JSON to their standard input, a line
 * of JSON back. In JavaScript, since Node is to run it as well as Deno.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";

/**
 * Says hello, then does what it is told, one command after the other, until its input ends.
 *
 * @param {object} hello
 * @param {Record<string, (options: any) => unknown>} commands
 * @returns {Promise<void>}
 */
export async function answerCommands(hello, commands) {
  say(hello);
  for await (const line of createInterface({ input: process.stdin })) {
    const { command, ...options } = JSON.parse(line);
    try {
      say(await commands[command](options) ?? {});
    } catch (error) {
      say({ failed: error instanceof Error ? error.stack : String(error) });
    }
  }
  // Whoever is still connected need not be told.
  process.exit();
}

/**
 * What every server can be told.
 *
 * @param {object} hello Its port, and what else there is to know.
 * @returns {Promise<void>}
 */
export async function answerAsServer(hello) {
  const { Bun, gc } = /** @type {any} */ (globalThis);
  await answerCommands(hello, {
    collect: async () => {
      // What the first collection finds to finalize only the second one frees.
      for (let times = 0; times < 2; times++) {
        if (Bun) Bun.gc(true);
        else gc();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
  });
}

/** @param {object} answer */
function say(answer) {
  process.stdout.write(JSON.stringify(answer) + "\n");
}
