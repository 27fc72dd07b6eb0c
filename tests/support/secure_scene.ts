/**
 * Secure connections between one side of ours and a stranger that is played by hand.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { ActionFunction, Connection, ConnectionLimits } from "../../mod.ts";
import { CLIENT, SERVER } from "./identities.ts";
import type { LeapingTime } from "./leaping_time.ts";
import type { Logs } from "./logs.ts";
import { noiseKeys, NoisePeer } from "./noise_peer.ts";
import type { RawPeer, RawWelcome } from "./raw_peer.ts";
import { GRANT, resumeOf } from "./raw_session.ts";
import { IMPATIENT, withHostileServer, withServer } from "./scene.ts";
import { until } from "./wait.ts";

/** A stranger at the other end of a secure connection. */
export type SecurePeer = NoisePeer<RawPeer>;

/** One connection of ours with a session, and the stranger at its other end, whichever side is ours. */
export interface SecureEncounter {
  role: "client" | "server";
  peer: SecurePeer;
  connection: Connection;
  logs: Logs;
  time: LeapingTime;
  bindAction(name: string, bind: ActionFunction<unknown, unknown>): void;
  /** Comes back, or lets the client come back, with all up to this number handed over. */
  comeBack(ack?: number): Promise<SecurePeer>;
}

/** Two tests of one act: the stranger is the client of our server, then the server of our client. */
export function onBothSidesSecurely(
  behaviour: string,
  limits: ConnectionLimits,
  act: (encounter: SecureEncounter) => Promise<void>,
): void {
  Deno.test(`${behaviour}, on a server`, async () => {
    await withServer({ ...limits, secure: SERVER }, async (scene) => {
      const { server, connect, logs, time } = scene;
      const keys = noiseKeys(CLIENT);
      const open = async () => await NoisePeer.connect(await connect(), { keys });
      const peer = await open();
      const welcome = await peer.register({ session: true });
      const connection = server.clients.get(welcome.token)!;
      assertEquals(connection.fingerprint, CLIENT.fingerprint);
      await act({
        role: "server",
        peer,
        connection,
        logs,
        time,
        bindAction: server.bindAction.bind(server),
        async comeBack(ack) {
          const again = await open();
          const resume = resumeOf(welcome, ack);
          assertResumed(await again.register({ session: true, resume }), welcome);
          return again;
        },
      });
      logs.assertLacks(welcome.token);
    });
  });
  Deno.test(`${behaviour}, on a client`, async () => {
    const secure = { pin: SERVER.fingerprint, identity: CLIENT };
    await withHostileServer({ ...IMPATIENT, ...limits, secure }, async (scene) => {
      const { server, client, logs, time } = scene;
      const keys = noiseKeys(SERVER);
      const open = async () => await NoisePeer.accept(await server.accept(), { keys });
      const starting = client.start();
      const peer = await open();
      const welcome = await peer.welcome(GRANT);
      await starting;
      const connection = client.connection!;
      await act({
        role: "client",
        peer,
        connection,
        logs,
        time,
        bindAction: client.bindAction.bind(client),
        async comeBack(ack = 0) {
          const again = await open();
          const { resume } = (await again.packetOf("@handshake")).data as { resume: object };
          assertEquals(resume, { ...resumeOf(welcome), ...resume });
          const { id, token } = welcome;
          const data = { status: "success", version: 1, id, ...GRANT, resumed: true, ack };
          await again.sendPacket({ action: "@handshake", data, token });
          await until(() => connection.state === "open", "the client went on");
          return again;
        },
      });
      logs.assertLacks(welcome.token);
    });
  });
}

function assertResumed(again: RawWelcome, earlier: RawWelcome): void {
  const { resumed } = again.welcome.data as { resumed: boolean };
  assert(resumed, `it must be resumed: ${JSON.stringify(again.welcome.data)}`);
  assertEquals([again.id, again.token], [earlier.id, earlier.token]);
}
