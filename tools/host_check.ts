/**
 * How the command line knows a secure server: by what was written down when it was first met.
 *
 * @module
 */

import { sanitize } from "../sanitize.ts";
import { UntrustedError } from "./exit.ts";
import { type KnownHost, knownHostLine, type KnownHosts } from "./known_hosts.ts";
import { writeSync } from "./output.ts";
import type { StandardStreams } from "./streams.ts";

/** Shows a question to a person, and resolves to what was typed; `null` when nothing more will be. */
export type Ask = (question: string) => Promise<string | null>;

/** A server that nothing is known of. */
class UnknownServer extends UntrustedError {
  readonly fingerprint: string;

  constructor(place: string, fingerprint: string, hosts: KnownHosts) {
    const line = knownHostLine({ place, fingerprint });
    super(
      `${place} is not known yet. If this is its key, use --pin, or add the line ` +
        `to ${hosts.shown}: ${line}`,
      { server: place, fingerprint, known: [], file: hosts.shown },
    );
    this.fingerprint = fingerprint;
  }
}

/**
 * Lets a client connect to a server whose key is the one that is known of its place. Where nothing is known
 * yet a person is asked, after the connection has been given up again: that may take a while, and the
 * server does not wait.
 */
export class HostCheck {
  readonly #hosts: KnownHosts;
  readonly #place: string;
  readonly #ask: Ask | undefined;
  #known: KnownHost[];

  private constructor(hosts: KnownHosts, place: string, known: KnownHost[], ask?: Ask) {
    this.#hosts = hosts;
    this.#place = place;
    this.#known = known;
    this.#ask = ask;
  }

  /**
   * Looks a server up.
   *
   * @param ask How a person is asked, if one is there.
   * @throws {FileError} If the file cannot be read, or a line is not as it must be.
   */
  static async of(hosts: KnownHosts, place: string, ask?: Ask): Promise<HostCheck> {
    return new HostCheck(hosts, place, await hosts.at(place), ask);
  }

  /**
   * For the `pin` of a client.
   *
   * @throws {UntrustedError} If the key is not known.
   */
  isTrusted(fingerprint: string): boolean {
    if (this.#known.some((known) => known.fingerprint === fingerprint)) return true;
    if (this.#known.length > 0) throw this.#changed(fingerprint);
    throw new UnknownServer(this.#place, fingerprint, this.#hosts);
  }

  /**
   * Starts a client, and once more when its server has become known.
   *
   * @throws {UntrustedError} If the server is not trusted.
   * @throws {FileError} If that it is cannot be written down.
   */
  async connect(start: () => Promise<void>): Promise<void> {
    try {
      await start();
    } catch (error) {
      if (!(error instanceof UnknownServer) || !this.#ask) throw error;
      await this.#introduce(error.fingerprint, this.#ask);
      await start();
    }
  }

  async #introduce(fingerprint: string, ask: Ask): Promise<void> {
    if (!await isWanted(this.#place, fingerprint, ask)) {
      throw new UntrustedError(`${this.#place} is not trusted`, {
        server: this.#place,
        fingerprint,
        known: [],
        file: this.#hosts.shown,
      });
    }
    // Another process may have written down another key meanwhile: that one counts.
    this.#known = await this.#hosts.add(this.#place, fingerprint);
  }

  #changed(fingerprint: string): UntrustedError {
    const known = this.#known.map(({ fingerprint, line }) => ({ fingerprint, line }));
    const before = known.map(({ fingerprint, line }) => `${fingerprint} (line ${line})`);
    return new UntrustedError(
      `the key of ${this.#place} has changed: it is ${fingerprint}, and not ` +
        `${before.join(" or ")} as in ${this.#hosts.shown}. Someone may be in between! ` +
        `If the server has a new key, remove ${known.length > 1 ? "those lines" : "that line"}`,
      { server: this.#place, fingerprint, known, file: this.#hosts.shown },
    );
  }
}

/** Whether a person says yes: the word, and not just any key. */
async function isWanted(place: string, fingerprint: string, ask: Ask): Promise<boolean> {
  const shown = sanitize(place);
  const question = `${shown} is not known yet. Its key is\n  ${fingerprint}\n` +
    "Compare that with what the server itself says when it begins to listen.\n" +
    "Trust this key from now on? (yes/no) ";
  let answer = await ask(question);
  for (;;) {
    if (answer === null || /^\s*no\s*$/i.test(answer)) return false;
    if (/^\s*yes\s*$/i.test(answer)) return true;
    answer = await ask("Type yes or no: ");
  }
}

/** How a person is asked who sits at the terminal; `undefined` where nobody does. */
export function askerAtTerminal({ stdin, stderr }: StandardStreams): Ask | undefined {
  // Standard output may go elsewhere: what arrives belongs there.
  if (!stdin.isTerminal() || !stderr.isTerminal()) return undefined;
  return async (question) => {
    writeSync(stderr, question);
    return await readLine(stdin);
  };
}

/** One line, which the terminal itself lets be edited; nothing of what follows is taken. */
async function readLine(stdin: StandardStreams["stdin"]): Promise<string | null> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4_096);
  for (let line = "";;) {
    const count = await stdin.read(buffer);
    if (count === null) return null;
    line += decoder.decode(buffer.subarray(0, count), { stream: true });
    if (line.endsWith("\n")) return line;
  }
}
