/**
 * The wires that a session may go over: what holds of delivery holds over each.
 *
 * @module
 */

import type { ClientOptions, ServerOptions } from "../../mod.ts";
import { ONE } from "./certs.ts";
import { CLIENT, SERVER } from "./identities.ts";

/** What both sides are told. */
export interface WireOptions {
  server: ServerOptions;
  client: ClientOptions;
}

/** Plain, secure, and TLS. */
export const WIRES = {
  plain: { server: {}, client: {} },
  secure: {
    server: { secure: SERVER },
    client: { secure: { pin: SERVER.fingerprint, identity: CLIENT } },
  },
  tls: { server: { tls: ONE }, client: { tls: { caCerts: [ONE.cert] } } },
} satisfies Record<string, WireOptions>;

/** The name of a wire. */
export type WireName = keyof typeof WIRES;

/** All of them. */
export const WIRE_NAMES = Object.keys(WIRES) as WireName[];

/**
 * What scenes with a network go over, unless they say what: `PNETWORK_TEST_WIRE` in the environment, so that
 * whole files of tests can be run over another wire.
 */
export const DEFAULT_WIRE: WireName = wireOf(Deno.env.get("PNETWORK_TEST_WIRE") ?? "plain");

/** Three tests of one act. */
export function overEachWire(behaviour: string, act: (wire: WireName) => Promise<void>): void {
  for (const wire of WIRE_NAMES) Deno.test(`${behaviour}, ${wire}`, () => act(wire));
}

function wireOf(name: string): WireName {
  if (!(name in WIRES)) throw new TypeError(`A wire is one of ${WIRE_NAMES}, got ${name}`);
  return name as WireName;
}
