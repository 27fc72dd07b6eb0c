/**
 * The limits of both sides: small times, so that a silence is found quickly.
 *
 * @module
 */

/** Of the server and of all clients. */
export const LIMITS = { heartbeatMs: 100, deadAfterMs: 300, handshakeTimeoutMs: 1_000 };

/** Of the clients. */
const CLIENT_LIMITS = {
  ...LIMITS,
  minRetryMs: 5,
  maxRetryMs: 50,
};

/** So small that senders have to wait for room, of packets or of bytes: of every other client. */
const SMALL_WINDOWS = [{ replayPackets: 64 }, { replayBytes: 8_192 }];

/** The limits of one client. */
export function limitsOf(client: number): typeof CLIENT_LIMITS {
  if (client % 2 === 0) return CLIENT_LIMITS;
  return { ...CLIENT_LIMITS, ...SMALL_WINDOWS[(client - 1) / 2 % SMALL_WINDOWS.length] };
}
