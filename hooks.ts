/**
 * Calling what the program has given to be called.
 *
 * @module
 */

import type { Connection } from "./connection.ts";
import type { Contract } from "./contract.ts";

/**
 * Tells the program of something, and waits for nothing. What its hook throws is its own affair.
 *
 * @param call Calls the hook, if there is one.
 * @param failed Told what the hook throws, or rejects with.
 */
export function tell(call: () => unknown, failed: (error: unknown) => void): void {
  // With a promise, where it may throw as well as reject.
  (async () => await call())().catch(failed);
}

/**
 * Shows the program a new connection. When that has returned (or its promise has resolved), the
 * connection's packets are handled, unless a `for await` has taken them.
 *
 * @param failed Told what the hook throws, or rejects with: nothing is handled then.
 */
export async function introduce<C extends Contract>(
  connection: Connection<C>,
  hooks: { onConnect?: (connection: Connection<C>) => unknown },
  failed: (error: unknown) => Promise<void>,
): Promise<void> {
  try {
    // Without a hook at once: packets may have come along with the handshake.
    const seen = hooks.onConnect?.(connection);
    if (seen !== undefined) await seen;
    if (!connection.isListening) connection.startListen();
  } catch (error) {
    await failed(error);
  }
}
