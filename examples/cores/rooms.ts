/**
 * What the servers and clients of this example agree on: what they say to each other, and which server a
 * room is at.
 *
 * @module
 */

/** By who answers it: what is sent, and what is replied. */
export type Rooms = {
  server: { say: [text: string, heardBy: number] };
  client: { said: [text: string] };
};

/** The ports of the servers, where nothing else is said. */
export const PORTS = ["25565", "25566"];

/**
 * The server of a room: always the same one, for everyone who has the same list in the same order.
 *
 * @param servers Where the servers are.
 * @param room The room's name.
 */
export async function serverOf<Server>(servers: readonly Server[], room: string): Promise<Server> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(room));
  return servers[new DataView(hash).getUint32(0) % servers.length];
}
