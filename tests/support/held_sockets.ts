/**
 * Which sockets this process holds, as the system sees it.
 *
 * @module
 */

const LISTEN = "0A";

/**
 * How many sockets of clients that connected to this port are open in this process, on the side of the
 * server; `undefined` where the system does not tell.
 */
export function heldSockets(port: number): number | undefined {
  if (Deno.build.os !== "linux") return undefined;
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  const inodes = new Set<string>();
  for (const line of Deno.readTextFileSync("/proc/net/tcp").split("\n")) {
    // There may be thousands that are none of these.
    if (!line.includes(local)) continue;
    const [, address, , state, , , , , , inode] = line.trim().split(/\s+/);
    if (`${address} `.endsWith(local) && state !== LISTEN) inodes.add(`socket:[${inode}]`);
  }
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (inodes.has(Deno.readLinkSync(`/proc/self/fd/${name}`))) count++;
    } catch {
      // It was what the directory was read with.
    }
  }
  return count;
}
