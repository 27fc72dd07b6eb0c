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
  return socketLinks().filter((link) => inodes.has(link)).length;
}

/** How many sockets of any kind are open in this process: sooner counted. */
export function openSockets(): number | undefined {
  return Deno.build.os === "linux" ? socketLinks().length : undefined;
}

function socketLinks(): string[] {
  return [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
    try {
      const link = Deno.readLinkSync(`/proc/self/fd/${name}`);
      return link.startsWith("socket:") ? [link] : [];
    } catch {
      // It was what the directory was read with.
      return [];
    }
  });
}
