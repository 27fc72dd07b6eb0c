/**
 * The places where bad things happen, and the clause that always holds: the process lives, the
 * others' traffic is complete and in order, and nothing is left behind.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  type ActionFunction,
  Client,
  type ClientOptions,
  type Connection,
  type ConnectionLimits,
  Server,
  type ServerOptions,
} from "../../mod.ts";
import { HonestClient, serveHonestly } from "./honest.ts";
import { LeapingTime } from "./leaping_time.ts";
import { Logs } from "./logs.ts";
import { type RawAddress, RawPeer, RawServer, type RawWelcome } from "./raw_peer.ts";
import { comeBack, GRANT, letComeBack } from "./raw_session.ts";
import { until } from "./wait.ts";
import { DEFAULT_WIRE, WIRES } from "./wires.ts";

/** A server that an honest client works with, and strangers. */
export interface ServerScene {
  server: Server;
  /** What leads a client to it. */
  to: ClientOptions;
  /** Where strangers find it. */
  address: RawAddress;
  honest: HonestClient;
  logs: Logs;
  time: LeapingTime;
  /** Connects a stranger, which says nothing yet. */
  connect(from?: string): Promise<RawPeer>;
  /** Connects one that has shaken hands. */
  register(data?: object, from?: string): Promise<RawPeer & RawWelcome>;
  /** Has this one closed in the end, too. */
  adopt<Peer extends RawPeer>(peer: Peer): Peer;
  /** Says that this act is right to leave an error in the log. */
  expectErrors(): void;
}

/** A client of ours and the hostile server that it connects to. */
export interface ClientScene {
  server: RawServer;
  client: Client;
  logs: Logs;
  time: LeapingTime;
  /** Starts the client against a server that plays its part of the handshake. */
  start(data?: object, more?: string): Promise<RawPeer & RawWelcome>;
  /** Says that this act is right to leave an error in the log. */
  expectErrors(): void;
}

/** One connection of ours and the stranger at its other end, whichever side is ours. */
export interface Encounter {
  role: "client" | "server";
  peer: RawPeer & RawWelcome;
  connection: Connection;
  logs: Logs;
  time: LeapingTime;
  bindAction(name: string, bind: ActionFunction<unknown, unknown>): void;
  /** Says that this act is right to leave an error in the log. */
  expectErrors(): void;
}

/** A connection that outlives its socket, and whoever is at its other end. */
export interface SessionEncounter extends Encounter {
  /** Resets the socket. Resolves when this side knows. */
  drop(): Promise<void>;
  /** Comes back, or lets the client come back, with all up to this number handed over. */
  comeBack(ack?: number): Promise<RawPeer & RawWelcome>;
}

/** Clients that are to come back do so at once. */
export const IMPATIENT = { minRetryMs: 1, maxRetryMs: 20 };

/** Two tests of one act: the stranger is the client of our server, then the server of our client. */
export function onBothSides(
  behaviour: string,
  limits: ConnectionLimits,
  act: (encounter: Encounter) => Promise<void>,
): void {
  Deno.test(`${behaviour}, on a server`, async () => {
    await withServer(limits, async ({ server, register, logs, time, expectErrors }) => {
      const peer = await register();
      const connection = server.clients.get(peer.token)!;
      const bindAction = server.bindAction.bind(server);
      await act({ role: "server", peer, connection, logs, time, bindAction, expectErrors });
    });
  });
  Deno.test(`${behaviour}, on a client`, async () => {
    await withHostileServer(limits, async ({ client, start, logs, time, expectErrors }) => {
      const peer = await start();
      const connection = client.connection!;
      const bindAction = client.bindAction.bind(client);
      await act({ role: "client", peer, connection, logs, time, bindAction, expectErrors });
    });
  });
}

/**
 * The same with a session.
 *
 * @param said What the stranger adds to its part of the handshake.
 */
export function onBothSidesOfSession(
  behaviour: string,
  limits: ConnectionLimits,
  act: (encounter: SessionEncounter) => Promise<void>,
  said: object = {},
): void {
  Deno.test(`${behaviour}, on a server`, async () => {
    await withServer(limits, async ({ server, register, adopt, logs, time, expectErrors }) => {
      const peer = await register({ session: true, ...said });
      const connection = server.clients.get(peer.token)!;
      let last = peer;
      await act({
        role: "server",
        peer,
        connection,
        logs,
        time,
        expectErrors,
        bindAction: server.bindAction.bind(server),
        async drop() {
          await last.reset();
          await until(() => connection.state !== "open", "the server saw it drop");
        },
        comeBack: async (ack) => last = adopt(await comeBack({ port: server.port }, peer, ack)),
      });
    });
  });
  Deno.test(`${behaviour}, on a client`, async () => {
    await withHostileServer({ ...IMPATIENT, ...limits }, async (scene) => {
      const { server, client, start, logs, time, expectErrors } = scene;
      const peer = await start({ ...GRANT, ...said });
      const connection = client.connection!;
      let last: RawPeer = peer;
      await act({
        role: "client",
        peer,
        connection,
        logs,
        time,
        expectErrors,
        bindAction: client.bindAction.bind(client),
        async drop() {
          await last.reset();
          await until(() => connection.state !== "open", "the client saw it drop");
        },
        comeBack: async (ack) => {
          const again = await letComeBack(server, peer, { ack });
          await until(() => connection.state === "open", "the client went on");
          last = again;
          return again;
        },
      });
    });
  });
}

/** Four tests of one act: on a plain connection, and on one of a session that was resumed. */
export function onBothSidesAndResumed(
  behaviour: string,
  limits: ConnectionLimits,
  act: (encounter: Encounter) => Promise<void>,
): void {
  onBothSides(behaviour, limits, act);
  onBothSidesOfSession(`resumed: ${behaviour}`, limits, async (encounter) => {
    await encounter.drop();
    const peer = await encounter.comeBack();
    await act({ ...encounter, peer });
  });
}

/**
 * Lets something happen to a server, over the wire that the environment names. Where the options say which,
 * strangers have plain sockets: such a test makes of their bytes what it is about.
 */
export async function withServer(
  options: ServerOptions,
  act: (scene: ServerScene) => Promise<void>,
): Promise<void> {
  using time = new LeapingTime(() => honest.rounds());
  await using logs = await Logs.capture();
  const { path, secure, tls } = options;
  const isTls = DEFAULT_WIRE === "tls";
  // There is no TLS over Unix sockets here.
  const wire = secure || tls || (path && isTls) ? "plain" : DEFAULT_WIRE;
  const endpoint = path === undefined ? { port: 0 } : {};
  const limits = { drainTimeoutMs: 1_000, ...WIRES[wire].server };
  await using server = new Server({ ...endpoint, ...limits, ...options });
  serveHonestly(server);
  await server.start();
  const place = path === undefined ? { port: server.port } : { path };
  const address = { ...place, wire };
  const to = {
    ...place,
    ...WIRES[wire].client,
    ...secure && { secure: { pin: secure.fingerprint } },
    ...tls && { tls: { caCerts: [tls.cert] } },
  };
  await using honest = await HonestClient.join(to);
  await honest.rounds();

  const peers: RawPeer[] = [];
  const tokens: string[] = [honest.token];
  let hasErrors = false;
  await act({
    server,
    to,
    address,
    honest,
    logs,
    time,
    async connect(from) {
      const peer = await RawPeer.connect(address, from);
      peers.push(peer);
      return peer;
    },
    async register(data, from) {
      const peer = await RawPeer.register(address, data, from);
      peers.push(peer);
      tokens.push(peer.token);
      return peer;
    },
    adopt(peer) {
      peers.push(peer);
      return peer;
    },
    expectErrors: () => hasErrors = true,
  });

  await honest.rounds();
  for (const peer of peers) await peer.close();
  const others = () => [...server.clients.values()].filter(({ id }) => id !== honest.id);
  await until(() => others().every(({ state }) => state !== "open"), "the others are gone");
  // Nobody comes back to these.
  for (const connection of others()) if (connection.state === "detached") await connection.close();
  await until(
    () => server.clients.size === 1 && server.loops[1].waitsFor.startsWith("0 "),
    () => `the server forgot all others: ${JSON.stringify([server, server.loops])}`,
  );
  await honest.leave();
  await server.close();
  assertEquals(server.clients.size, 0);
  assertEquals(server.groups, []);
  if (!hasErrors) logs.assertNoErrors();
  logs.assertIsSafe();
  logs.assertLacks(...tokens);
}

/** Lets a hostile server do something to a client of ours, while others mind their own business. */
export async function withHostileServer(
  options: ClientOptions,
  act: (scene: ClientScene) => Promise<void>,
): Promise<void> {
  await withServer({}, async (elsewhere) => {
    const wire = options.secure || options.tls ? "plain" : DEFAULT_WIRE;
    await using server = await RawServer.listen(wire);
    const { port } = server;
    const limits = { drainTimeoutMs: 1_000, ...WIRES[wire].client };
    await using client = new Client({ port, ...limits, ...options });
    const tokens: string[] = [];
    await act({
      server,
      client,
      logs: elsewhere.logs,
      time: elsewhere.time,
      async start(data, more) {
        const [peer] = await Promise.all([server.register(data, more), client.start()]);
        tokens.push(peer.token);
        return peer;
      },
      expectErrors: elsewhere.expectErrors,
    });
    const closing = client.close();
    server.finAll();
    await closing;
    assertEquals(client.clients.size, 0);
    elsewhere.logs.assertLacks(...tokens);
  });
}
