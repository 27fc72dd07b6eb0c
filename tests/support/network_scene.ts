/**
 * A server and a client of ours with a network between them that fails when it is told to.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  Client,
  type ClientOptions,
  type Connection,
  Server,
  type ServerOptions,
} from "../../mod.ts";
import { FaultyProxy, type OnBytes } from "./faulty_proxy.ts";
import { Logs } from "./logs.ts";
import { IMPATIENT } from "./scene.ts";
import { until, within } from "./wait.ts";
import { DEFAULT_WIRE, type WireName, WIRES } from "./wires.ts";

/** What may be set. */
export interface NetworkOptions {
  /** What it goes over. What the two sides are told besides comes on top. */
  wire?: WireName;
  server?: ServerOptions;
  client?: ClientOptions;
  onBytes?: OnBytes;
}

/** Both sides, connected. */
export interface NetworkScene {
  server: Server;
  client: Client;
  proxy: FaultyProxy;
  logs: Logs;
  /** The server's connection to the client. */
  connection: Connection;
  /** Which hooks were called, in order: `server onConnect`, `client onDetach CONNECTION_LOST`, … */
  told: string[];
  /** Cuts the socket. Resolves when both sides know. */
  drop(by?: "fin" | "reset"): Promise<void>;
  /** Resolves when both sides have come back so often. */
  resumed(times: number): Promise<void>;
  /** Says that this act is right to leave an error in the log. */
  expectErrors(): void;
}

const HOOKS = [
  "onConnect",
  "onDetach",
  "onRetry",
  "onResume",
  "onSessionLost",
  "onDisconnect",
] as const;

/** Lets something happen between a server and a client. Hooks of the options are called as well. */
export async function withNetwork(
  options: NetworkOptions,
  act: (scene: NetworkScene) => Promise<void>,
): Promise<void> {
  await using logs = await Logs.capture();
  const tokens: string[] = [];
  let hasErrors = false;
  await acrossNetwork(options, async (scene) => {
    tokens.push(scene.client.token!);
    await act({ ...scene, logs, expectErrors: () => hasErrors = true });
    tokens.push(scene.client.token!);
  });
  if (!hasErrors) logs.assertNoErrors();
  logs.assertIsSafe();
  logs.assertLacks(...tokens);
}

/** The same without a look at the log, so that several may happen at once. */
export async function acrossNetwork(
  options: NetworkOptions,
  act: (scene: Omit<NetworkScene, "logs" | "expectErrors">) => Promise<void>,
): Promise<void> {
  const told: string[] = [];
  const wire = WIRES[options.wire ?? DEFAULT_WIRE];
  await using server = new Server({
    port: 0,
    drainTimeoutMs: 1_000,
    ...wire.server,
    ...options.server,
    ...recordedHooks("server", told, options.server ?? {}),
  });
  await server.start();
  await using proxy = await FaultyProxy.listen({ to: server.port, onBytes: options.onBytes });
  await using client = new Client({
    port: proxy.port,
    drainTimeoutMs: 1_000,
    ...IMPATIENT,
    ...wire.client,
    ...options.client,
    ...recordedHooks("client", told, options.client ?? {}),
  });
  await client.start();
  await until(() => server.clients.size === 1, "the server registered the client");
  const [connection] = server.clients.values();
  await act({
    server,
    client,
    proxy,
    connection,
    told,
    async drop(by) {
      const token = client.token;
      proxy.cutAll(by);
      await until(
        () => client.state !== "connected" && server.clients.get(token!)?.state !== "open",
        "both sides saw the cut",
      );
    },
    async resumed(times) {
      const count = (what: string) => told.filter((one) => one === what).length;
      await until(
        () => count("server onResume") >= times && count("client onResume") >= times,
        () => `it was resumed ${times} times: ${told}`,
      );
    },
  });
  // Nobody waits for the rest of what has gone silent before.
  for (const link of proxy.links) if (link !== proxy.last) link.destroy();
  await within(client.close(), "the client's end");
  await within(server.close({ drainTimeoutMs: 0 }), "the server's end");
  assertEquals([client.clients.size, server.clients.size, server.groups.length], [0, 0, 0]);
}

/** The hooks of one side, each of which says that it was called. */
function recordedHooks(who: string, told: string[], hooks: object): object {
  return Object.fromEntries(HOOKS.map((name) => [name, (...args: unknown[]) => {
    const info = name === "onRetry" ? undefined : args[1] as { code?: string; reason?: string };
    told.push([who, name, info?.code ?? info?.reason].filter((word) => word).join(" "));
    const hook = (hooks as Record<string, unknown>)[name];
    if (hook) {
      assert(typeof hook === "function");
      return hook(...args);
    }
  }]));
}
