/**
 * A client that does its work while others misbehave, and keeps book of it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Client, type ClientOptions, type Server } from "../../mod.ts";
import { until, within } from "./wait.ts";

const NOTES_PER_ROUND = 5;
const REST_MS = 1;

/** Binds what honest clients need. */
export function serveHonestly(server: Server): void {
  server.bindAction("honest-note", (n, _packet, connection) => {
    connection.sendPacket({ action: "honest-echo", data: n });
  });
  server.bindAction("honest-ask", (n) => n);
}

/** Sends numbered packets and requests without end; all must come back, in order. */
export class HonestClient implements AsyncDisposable {
  readonly #client: Client;
  readonly #working: Promise<void>;
  #noted = 0;
  #echoed = 0;
  #rounds = 0;
  #goal = 0;
  #disorder: string | undefined;
  #isLeaving = false;
  #wake: () => void = () => {};

  private constructor(client: Client) {
    this.#client = client;
    client.bindAction("honest-echo", (n) => {
      this.#echoed++;
      if (n !== this.#echoed) this.#disorder ??= `echo ${this.#echoed} was ${n}`;
    });
    this.#working = this.#work();
    // A failure shows in rounds() and leave().
    this.#working.catch(() => {});
  }

  /** Connects and begins. */
  static async join(to: ClientOptions): Promise<HonestClient> {
    const client = new Client(to);
    await client.start();
    return new HonestClient(client);
  }

  /** Its public id. */
  get id(): string {
    return this.#client.id!;
  }

  /** Its secret. */
  get token(): string {
    return this.#client.token!;
  }

  /** Resolves when it has done a few more rounds, begun from now on. */
  async rounds(count = 1): Promise<void> {
    const goal = this.#rounds + count + 1;
    this.#goal = Math.max(this.#goal, goal);
    this.#wake();
    const done = until(() => this.#rounds >= goal, "the honest client got on with its work");
    await Promise.race([done, this.#working]);
    await done;
    this.#check();
  }

  /** Ends its work; everything must have come. */
  async leave(): Promise<void> {
    if (!this.#isLeaving) {
      this.#isLeaving = true;
      this.#wake();
      await within(this.#working, "the honest client's last round");
      await until(
        () => this.#echoed === this.#noted,
        () => `${this.#noted} echoes came: ${this.#echoed} did`,
      );
      this.#check();
    }
    await this.#client.close();
  }

  /** Leaves. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }

  #check(): void {
    assertEquals(this.#disorder, undefined);
    assertEquals(this.#client.state, "connected");
  }

  async #work(): Promise<void> {
    while (!this.#isLeaving) {
      for (let note = 0; note < NOTES_PER_ROUND; note++) {
        this.#noted++;
        await this.#client.sendPacket({ action: "honest-note", data: this.#noted });
      }
      assertEquals(await this.#client.request("honest-ask", this.#noted), this.#noted);
      this.#rounds++;
      // Nobody is kept waiting, and nobody is kept busy.
      if (this.#rounds >= this.#goal && !this.#isLeaving) await this.#rest();
    }
  }

  async #rest(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, REST_MS);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
  }
}
