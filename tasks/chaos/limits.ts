/**
 * The limits of both sides: small times, so that a silence is found quickly.
 *
 * @module
 */

/** Of the server and of all clients. */
export const LIMITS = { heartbeatMs: 100, deadAfterMs: 300 };

/** Of the clients. */
export const CLIENT_LIMITS = {
  ...LIMITS,
  minRetryMs: 5,
  maxRetryMs: 50,
  handshakeTimeoutMs: 600,
};

/** So few that senders have to wait for room: of every other client. */
export const SMALL_WINDOW = { replayPackets: 64 };
