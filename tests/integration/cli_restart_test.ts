// A server of the command line that is replaced by the next one while its clients are busy.

import { assert, assertEquals, assertLess } from "@std/assert";
import { Client, type CloseInfo, type ConnectionError, type SessionLoss } from "../../mod.ts";
import { CliServer } from "../support/cli.ts";
import { until, within } from "../support/wait.ts";

// On Windows a signal just ends the process.
const ignore = Deno.build.os === "windows";

const CLIENTS = 100;
/** How many requests each has under way. */
const DEPTH = 4;
/** The server's `drainTimeoutMs`. */
const DRAIN_MS = 10_000;
/** Far longer than 100 clients need to come back, whose waits are spread. */
const PATIENCE_MS = 30_000;

/** The code of a request that failed because its session could not go on: its outcome is unknown. */
const UNKNOWN = "SESSION_LOST";
/** The code of one that the server refused to begin. */
const REFUSED = "GOING_AWAY";

/** A client that never stops asking, and keeps count of what comes of it. */
class Asker {
  readonly client: Client;
  readonly detached: CloseInfo[] = [];
  readonly losses: SessionLoss[] = [];
  asked = 0;
  answered = 0;
  readonly failed: Record<string, number> = {};
  isDone = false;

  constructor(port: number) {
    this.client = new Client({
      port,
      onDetach: (_connection, info) => void this.detached.push(info),
      onSessionLost: (_connection, loss) => void this.losses.push(loss),
    });
  }

  /** Asks until it is told to stop, so many requests at a time. Ends when each has its outcome. */
  async ask(name: number): Promise<void> {
    await Promise.all(Array.from({ length: DEPTH }, async () => {
      while (!this.isDone) {
        const question = `${name} ${this.asked++} ${"x".repeat(200)}`;
        try {
          assertEquals(await this.client.request("echo", question), question);
          this.answered++;
        } catch (error) {
          const { code } = error as ConnectionError;
          this.failed[code] = (this.failed[code] ?? 0) + 1;
        }
      }
    }));
  }
}

Deno.test({
  name: "clients that ask all the time get an outcome of each request while the server is replaced",
  ignore,
}, async () => {
  await using server = await CliServer.start();
  const port = Number(server.to[1]);
  await using stack = new AsyncDisposableStack();
  const askers = Array.from({ length: CLIENTS }, () => new Asker(port));
  for (const { client } of askers) {
    await client.start();
    stack.use(client);
  }
  const asking = askers.map((asker, name) => asker.ask(name));
  await until(() => askers.every(({ answered }) => answered > 10), "all were answered");

  const start = performance.now();
  server.kill("SIGTERM");
  assertEquals(await server.exit(), 0);
  assertLess(performance.now() - start, DRAIN_MS);
  assertEquals([server.stdout, server.stderr], [server.greeting + "\n", ""]);
  const answeredBefore = askers.map(({ answered }) => answered);
  await using next = await CliServer.start(["--port", String(port)]);
  await until(
    () => askers.every(({ answered }, at) => answered > answeredBefore[at] + 10),
    () =>
      `all are answered by the next server: ${JSON.stringify(askers.map(({ client }) => client))}`,
    PATIENCE_MS,
  );

  for (const asker of askers) asker.isDone = true;
  await within(Promise.all(asking), "every request has its outcome");
  for (const { asked, answered, failed, detached, losses } of askers) {
    const { [UNKNOWN]: unknown = 0, [REFUSED]: refused = 0, ...others } = failed;
    assertEquals(others, {});
    assertEquals(answered + unknown + refused, asked);
    assertEquals(detached.map(({ code }) => code), ["GOING_AWAY"]);
    assertEquals(losses.map(({ reason }) => reason), ["restarted"]);
    assert(losses[0].unknown.length + losses[0].unsent.length <= DEPTH, JSON.stringify(losses));
  }
  await stack.disposeAsync();
  next.kill("SIGTERM");
  assertEquals(await next.exit(), 0);
});
