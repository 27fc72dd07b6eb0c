// What a client meets when it comes back, and what is then said of all that waited.

import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import {
  type Client,
  type ClientOptions,
  ConnectionError,
  createIdentity,
  CryptoError,
  HandshakeError,
  PnetworkError,
  ProtocolError,
  Server,
  type ServerOptions,
} from "../../mod.ts";
import { ONE, TWO } from "../support/certs.ts";
import { withNetwork } from "../support/network_scene.ts";
import { line } from "../support/raw_peer.ts";
import { GRANT } from "../support/raw_session.ts";
import { IMPATIENT, withHostileServer } from "../support/scene.ts";
import { within } from "../support/wait.ts";

type ErrorClass = typeof ConnectionError | typeof HandshakeError | typeof ProtocolError;

/** Everything that a client can have under way while it is away. It fills the window of one packet. */
function waitOnAll(client: Client): Promise<unknown>[] {
  const packet = { action: "note" };
  const waiting = [
    client.request("slow"),
    client.sendPacket(packet, { delivered: true }),
    client.sendPacket(packet),
    client.delivered(),
  ];
  return waiting.map((promise) => promise.then(() => undefined, (error) => error));
}

/** Resolves to what the client says of its end in all places, which must agree. */
async function endOf(
  client: Client,
  waiting: Promise<unknown>[],
  Class: ErrorClass | typeof CryptoError,
): Promise<string> {
  const connection = client.connection!;
  const info = await within(client.closed, "the client's end");
  assertEquals(await connection.closed, info);
  assertEquals(client.state, "closed");
  const packet = { action: "note" };
  const late = [
    client.request("slow"),
    client.sendPacket(packet),
    client.sendPacket(packet, { delivered: true }),
    client.delivered(),
    client.ping(),
    connection.request("slow"),
  ].map((promise) => promise.then(() => undefined, (error) => error));
  for (const error of await within(Promise.all([...waiting, ...late]), "all to settle")) {
    assertInstanceOf(error, PnetworkError);
    assertEquals([error.code, error.message], [info.code, info.reason]);
    assertInstanceOf(error, Class);
  }
  return info.code;
}

const REFUSALS: [code: string, Class: ErrorClass][] = [
  ["REFUSED", HandshakeError],
  ["VERSION_UNSUPPORTED", ProtocolError],
  ["PROTOCOL_ERROR", ProtocolError],
  ["TAKEN_OVER", ConnectionError],
];

for (const [code, Class] of REFUSALS) {
  Deno.test(`a client that is refused with ${code} when it comes back says so to all who wait`, async () => {
    const ends: string[] = [];
    const onDisconnect: ClientOptions["onDisconnect"] = (_connection, info) => {
      ends.push(info.code);
    };
    const options = { ...IMPATIENT, replayPackets: 1, onDisconnect };
    await withHostileServer(options, async ({ client, server, start }) => {
      const first = await start({ ...GRANT, limits: { replayPackets: 1 } });
      await first.reset();
      const waiting = waitOnAll(client);
      const refusing = await server.accept();
      const data = { status: "error", code, message: "not you" };
      await refusing.send(line({ action: "@handshake", data }));
      refusing.fin();
      assertEquals([await endOf(client, waiting, Class), ends], [code, [code]]);
    });
  });
}

Deno.test("a client whose server has another key when it comes back says so to all who wait, with both fingerprints", async () => {
  const [right, wrong] = [await createIdentity(), await createIdentity()];
  const options = {
    server: { secure: right },
    client: { secure: { pin: right.fingerprint }, replayPackets: 1 },
  };
  await meets({ secure: wrong }, options, async (client, waiting) => {
    assertEquals(await endOf(client, waiting, CryptoError), "UNTRUSTED_PEER");
    const { reason } = await client.closed;
    for (const { fingerprint } of [right, wrong]) assertStringIncludes(reason, fingerprint);
  });
});

Deno.test("a client whose server shows another certificate when it comes back says so to all who wait", async () => {
  const options = {
    server: { tls: ONE },
    client: { tls: { caCerts: [ONE.cert] }, replayPackets: 1 },
  };
  await meets({ tls: TWO }, options, async (client, waiting) => {
    assertEquals(await endOf(client, waiting, CryptoError), "UNTRUSTED_PEER");
  });
});

Deno.test("a client that gives up on a server of another kind says why to all who wait", async () => {
  const options = { client: { maxAttempts: 2, replayPackets: 1 } };
  await meets({ secure: await createIdentity() }, options, async (client, waiting) => {
    // Nobody has vouched for that: it tries again, as often as it may.
    assertEquals(await endOf(client, waiting, ConnectionError), "SESSION_LOST");
    assertStringIncludes((await client.closed).reason, "secure connections only");
  });
});

/** Lets a client come back to another server than it was with, with everything under way. */
async function meets(
  another: ServerOptions,
  options: { server?: ServerOptions; client: ClientOptions },
  act: (client: Client, waiting: Promise<unknown>[]) => Promise<void>,
): Promise<void> {
  await using other = new Server({ port: 0, ...another });
  await other.start();
  await withNetwork(options, async ({ client, server, proxy, connection }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    server.bindAction("slow", () => promise);
    proxy.to = other.port;
    proxy.cutAll();
    const waiting = waitOnAll(client);
    await act(client, waiting);
    resolve();
    await connection.close();
  });
}
