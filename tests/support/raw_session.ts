/**
 * Raw peers that come back to a session, or let a client come back to one.
 *
 * @module
 */

import { assert, assertEquals, assertLess } from "@std/assert";
import {
  line,
  type RawAddress,
  type RawPacket,
  RawPeer,
  type RawServer,
  type RawWelcome,
} from "./raw_peer.ts";

/** What a raw server grants that lets a client have a session. */
export const GRANT = { session: true, resumed: false, epoch: "the-first-run" };

/** What a client says to come back. */
export interface RawResume {
  token: string;
  epoch: string;
  attempt?: number;
  ack: number;
}

/** What a raw client says to come back to the session that it was granted. */
export function resumeOf({ token, welcome }: RawWelcome, ack = 0): RawResume {
  return { token, epoch: (welcome.data as { epoch: string }).epoch, ack };
}

/** Comes back to the session that was granted before. The server must let it. */
export async function comeBack(
  to: RawAddress,
  earlier: RawWelcome,
  ack = 0,
): Promise<RawPeer & RawWelcome> {
  const peer = await RawPeer.register(to, { session: true, resume: resumeOf(earlier, ack) });
  const { resumed } = peer.welcome.data as { resumed: boolean };
  assert(resumed, `it must be resumed: ${JSON.stringify(peer.welcome.data)}`);
  assertEquals([peer.id, peer.token], [earlier.id, earlier.token]);
  return peer;
}

/** Lets the next client that comes back go on. It must ask for the session that it was granted before. */
export async function letComeBack(
  server: RawServer,
  earlier: RawWelcome,
  { ack = 0, more = "" }: { ack?: number; more?: string } = {},
): Promise<RawPeer & RawWelcome & { resume: RawResume }> {
  const peer = await server.accept();
  const { resume } = (await peer.packetOf("@handshake")).data as { resume: RawResume };
  const { attempt, ...rest } = resume;
  assert(Number.isSafeInteger(attempt) && attempt! > 0, `attempts are counted: ${attempt}`);
  assertEquals(rest, resumeOf(earlier, resume.ack));
  const { id, token } = earlier;
  const data = { status: "success", version: 1, id, ...GRANT, resumed: true, ack };
  const welcome = { action: "@handshake", data, token };
  await peer.send(line(welcome) + more);
  return Object.assign(peer, { id, token, welcome, resume });
}

/** The next packet that has a number. What comes before it is passed over. */
export async function nextNumbered(peer: RawPeer): Promise<RawPacket & { seq: number }> {
  for (;;) {
    const packet = await peer.packet();
    if (packet.seq !== undefined) return packet as RawPacket & { seq: number };
  }
}

/** Asks until the other side has handed over this much. */
export async function handedOver(peer: RawPeer, goal: number): Promise<void> {
  for (;;) {
    await peer.sendPacket({ action: "@ping" });
    const { ack } = await peer.packetOf("@pong");
    if (ack === goal) return;
    assertLess(ack as number, goal);
  }
}

/** Waits until the other side acknowledges this much by itself. Returns the packet that said so. */
export async function acknowledged(peer: RawPeer, ack: number): Promise<RawPacket> {
  for (;;) {
    const packet = await peer.packet();
    if (packet.ack !== undefined && (packet.ack as number) >= ack) {
      assertEquals(packet.ack, ack);
      return packet;
    }
  }
}
