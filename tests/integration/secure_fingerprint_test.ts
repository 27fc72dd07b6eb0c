// Whom either side of a secure connection talks to.

import { assertEquals } from "@std/assert";
import { Client, createIdentity, Server } from "../../mod.ts";
import { within } from "../support/wait.ts";

const [ONE, TWO, MINE] = await Promise.all([createIdentity(), createIdentity(), createIdentity()]);

Deno.test("both sides of a secure connection know the other one's fingerprint", async () => {
  await using server = new Server({ port: 0, secure: ONE });
  await server.start();
  const secure = { pin: ONE.fingerprint, identity: MINE };
  await using client = new Client({ port: server.port, secure });
  await client.start();
  assertEquals(client.connection!.fingerprint, ONE.fingerprint);
  assertEquals([...server.clients.values()][0].fingerprint, MINE.fingerprint);
});

Deno.test("a plain connection has no fingerprint on either side", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  assertEquals(client.connection!.fingerprint, undefined);
  assertEquals([...server.clients.values()][0].fingerprint, undefined);
});

Deno.test("a client that begins anew with another trusted server has that one's fingerprint", async () => {
  const first = new Server({ port: 0, secure: ONE });
  await first.start();
  const { port } = first;
  const lost = Promise.withResolvers<string | undefined>();
  await using client = new Client({
    port,
    secure: { pin: [ONE.fingerprint, TWO.fingerprint] },
    minRetryMs: 10,
    maxRetryMs: 20,
    onSessionLost: ({ fingerprint }) => lost.resolve(fingerprint),
  });
  await client.start();
  const { connection } = client;
  await first.close();
  await using second = new Server({ port, secure: TWO });
  await second.start();
  assertEquals(await within(lost.promise, "the next session"), TWO.fingerprint);
  assertEquals(connection!.fingerprint, TWO.fingerprint);
});
