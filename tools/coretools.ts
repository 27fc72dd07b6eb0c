/**
 * A console for a running server or client.
 *
 * ```ts ignore
 * import { Server } from "@pnetwork/pnetwork";
 * import { CLI } from "@pnetwork/pnetwork/coretools";
 *
 * const server = new Server();
 * await server.start();
 * await new CLI(server, "GAME").processCommand();
 * ```
 *
 * @module
 */

import type { Client } from "../client.ts";
import { PnetworkError } from "../errors.ts";
import { sanitize } from "../sanitize.ts";
import type { Server } from "../server.ts";
import { CommandError } from "./command_error.ts";
import { candidates, type Command, commandOf, completesOf } from "./commands.ts";
import { type Instance, roleOf } from "./connections.ts";
import { Output } from "./output.ts";
import { openPrompt, type Prompt } from "./prompt.ts";

/** What a {@linkcode CLI} may be told. */
export interface CLIOptions {
  /**
   * Whether each line that it prints is one JSON object.
   *
   * @default {false}
   */
  json?: boolean;
  /** @internal Where to print, when the program that runs the console prints there as well. */
  output?: Output;
}

/**
 * Reads commands, from a person at a terminal or from a pipe, and runs them on a server or client.
 * `help` lists them. An error in a command never ends it.
 *
 * On a terminal: Tab completes commands, ids and actions, the arrows walk through the history, Ctrl-C
 * clears the line (and asks to stop on an empty one), Ctrl-D leaves.
 */
export class CLI {
  readonly #instance: Instance;
  readonly #name: string;
  readonly #output: Output;
  #prompt: Prompt | undefined;
  #running: PromiseWithResolvers<void> | undefined;
  #command = "";
  #isLeaving = false;

  /**
   * Makes a console. It reads when {@linkcode CLI.processCommand} is called.
   *
   * @param instance The server or client; started or not.
   * @param name What stands before the line that is typed.
   * @param options How to print.
   * @throws {TypeError} If `instance` is neither, or the name is no string.
   */
  // deno-lint-ignore no-explicit-any -- a console takes a server or client of any contract
  constructor(instance: Server<any> | Client<any>, name: string, options: CLIOptions = {}) {
    if (typeof instance?.trigger !== "function") {
      throw new TypeError("A CLI needs a Server or a Client");
    }
    if (typeof name !== "string") throw new TypeError(`name must be a string, got ${typeof name}`);
    this.#instance = instance as Instance;
    this.#name = name;
    this.#output = options.output ?? new Output(options);
  }

  /**
   * Prints a line above the one that is being typed. Control characters in it are escaped.
   *
   * @param text For people.
   * @param object The same for programs, when the console prints JSON.
   */
  print(text: string, object: Record<string, unknown> = { event: "print", text }): void {
    this.#output.say(sanitize(text), object);
  }

  /**
   * Reads and runs commands until there are no more, or `stop`.
   *
   * @returns Resolves when the console was left. The server or client runs on, unless it was stopped.
   */
  async processCommand(): Promise<void> {
    const prompt = openPrompt(this.#output, {
      label: sanitize(this.#name),
      complete: (line) => this.#complete(line),
      onInterrupt: () => this.#interrupt(),
      onAbandon: () => this.#running?.resolve(),
    });
    this.#prompt = prompt;
    try {
      // It may have been left before it began.
      if (this.#isLeaving) return;
      for await (const line of prompt.lines()) {
        await this.#runUntilAbandoned(line);
        if (this.#isLeaving) break;
      }
    } finally {
      prompt.close();
      this.#prompt = undefined;
      this.#isLeaving = false;
    }
  }

  /** Ends {@linkcode CLI.processCommand} as if there were no more commands. */
  leave(): void {
    this.#isLeaving = true;
    this.#prompt?.close();
  }

  /** @internal The name of the command that runs; empty, while none does. */
  get running(): string {
    return this.#command;
  }

  async #runUntilAbandoned(line: string): Promise<void> {
    this.#running = Promise.withResolvers();
    await Promise.race([this.#run(line), this.#running.promise]);
    this.#running = undefined;
  }

  async #run(line: string): Promise<void> {
    const [, name, rest] = /^(\S*)\s*(.*)$/s.exec(line.trim())!;
    if (name === "") return;
    try {
      const command = commandOf(name);
      if (command.usage === "" && rest !== "") throw new CommandError(`usage: ${name}`);
      this.#command = name.toLowerCase();
      await this.#runCommand(command, rest);
      await this.#output.flush();
    } catch (error) {
      this.#fail(name, error);
    } finally {
      this.#command = "";
    }
  }

  async #runCommand(command: Command, rest: string): Promise<void> {
    await command.run({
      instance: this.#instance,
      output: this.#output,
      isTerminal: this.#prompt?.isTerminal ?? false,
      confirm: (question) => this.#prompt?.confirm(question) ?? Promise.resolve(false),
      leave: () => {
        this.#isLeaving = true;
      },
    }, rest);
  }

  #fail(command: string, error: unknown): void {
    const code = error instanceof PnetworkError ? error.code : undefined;
    const message = error instanceof Error ? error.message : String(error);
    const text = sanitize(code ? `${code}: ${message}` : message, 1_000);
    this.#output.fail(text, {
      command: sanitize(command, 40),
      error: { code, message },
    });
  }

  /** Ctrl-C on an empty line: asks whether to stop. */
  async #interrupt(): Promise<void> {
    if (await this.#prompt?.confirm(`Stop the ${roleOf(this.#instance)}?`)) {
      await this.#runUntilAbandoned("stop");
      this.leave();
    }
  }

  /** Completes the last word that was typed. */
  #complete(line: string): [string[], string] {
    const typed = line.trimStart().split(/\s+/);
    const word = typed.at(-1)!;
    const kind = typed.length === 1 ? "command" : completesOf(typed[0])?.[typed.length - 2];
    if (!kind) return [[], word];
    const fitting = candidates(this.#instance, kind).filter((one) => one.startsWith(word));
    return [fitting.map((one) => one + " "), word];
  }
}
