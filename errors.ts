/**
 * Every error class and code.
 *
 * Callers match `error.code`, never the text of a message. `docs/errors.md` says of each code what
 * causes it and what to do.
 *
 * @module
 */

/** The classes of error and the codes that each may carry. */
export const ERROR_CODES = {
  ConnectionError: [
    "CONNECT_FAILED",
    "LISTEN_FAILED",
    "CONNECTION_LOST",
    "CLOSED",
    "GOING_AWAY",
    "TAKEN_OVER",
    "HEARTBEAT_TIMEOUT",
    "SLOW_CONSUMER",
    "SESSION_LOST",
    "NO_SESSION",
  ],
  ProtocolError: [
    "PACKET_TOO_LARGE",
    "TOO_DEEP",
    "BAD_UTF8",
    "BAD_JSON",
    "BAD_PACKET",
    "BAD_TOKEN",
    "UNEXPECTED_PACKET",
    "PROTOCOL_ERROR",
    "VERSION_UNSUPPORTED",
  ],
  HandshakeError: [
    "HANDSHAKE_TIMEOUT",
    "REFUSED",
    "SERVER_FULL",
    "SECURE_REQUIRED",
    "SECURE_UNSUPPORTED",
  ],
  CryptoError: [
    "DECRYPT_FAILED",
    "UNTRUSTED_PEER",
  ],
  RequestError: [
    "REQUEST_TIMEOUT",
    "NO_ACTION",
    "ACTION_FAILED",
    "INVALID_DATA",
    "OVERLOADED",
  ],
} as const;

/** A code of a {@linkcode ConnectionError}. */
export type ConnectionErrorCode = typeof ERROR_CODES.ConnectionError[number];
/** A code of a {@linkcode ProtocolError}. */
export type ProtocolErrorCode = typeof ERROR_CODES.ProtocolError[number];
/** A code of a {@linkcode HandshakeError}. */
export type HandshakeErrorCode = typeof ERROR_CODES.HandshakeError[number];
/** A code of a {@linkcode CryptoError}. */
export type CryptoErrorCode = typeof ERROR_CODES.CryptoError[number];
/** A code of a {@linkcode RequestError}. */
export type RequestErrorCode = typeof ERROR_CODES.RequestError[number];

/** Any code that a {@linkcode PnetworkError} may carry. */
export type ErrorCode =
  | ConnectionErrorCode
  | ProtocolErrorCode
  | HandshakeErrorCode
  | CryptoErrorCode
  | RequestErrorCode;

/**
 * The root of all errors that come from the network or the other side. Misuse by the caller is a
 * `TypeError` or a `RangeError` instead.
 *
 * @example
 * ```ts
 * import { PnetworkError, RequestError } from "@pnetwork/pnetwork";
 * import { assert } from "@std/assert";
 *
 * const error = new RequestError("NO_ACTION", "nothing is bound to that name");
 * assert(error instanceof PnetworkError && error.code === "NO_ACTION");
 * ```
 */
export class PnetworkError extends Error {
  /** What went wrong, for programs. */
  readonly code: ErrorCode;

  /**
   * Makes one.
   *
   * @param code What went wrong, for programs.
   * @param message What went wrong, for people.
   * @param options The `cause`, if another error led to this one.
   */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** The connection could not be had, or is gone. */
export class ConnectionError extends PnetworkError {
  /** What went wrong. */
  declare readonly code: ConnectionErrorCode;

  /** See {@linkcode PnetworkError}. */
  constructor(code: ConnectionErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** What can be said of a {@linkcode ProtocolError} besides its code. */
export interface ProtocolErrorOptions extends ErrorOptions {
  /**
   * Whether the connection survives: the packet was refused, but the lines after it can be trusted.
   *
   * @default {false}
   */
  recoverable?: boolean;
}

/** A peer sent what the protocol does not allow. */
export class ProtocolError extends PnetworkError {
  /** What the peer did. */
  declare readonly code: ProtocolErrorCode;

  /** Whether the connection survives it. */
  readonly recoverable: boolean;

  /** See {@linkcode PnetworkError}. */
  constructor(code: ProtocolErrorCode, message: string, options: ProtocolErrorOptions = {}) {
    super(code, message, options);
    this.recoverable = options.recoverable ?? false;
  }
}

/** A client was not registered. */
export class HandshakeError extends PnetworkError {
  /** Why not. */
  declare readonly code: HandshakeErrorCode;

  /** See {@linkcode PnetworkError}. */
  constructor(code: HandshakeErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** A key is not the one that was expected, or does not open what it should. There is never more detail. */
export class CryptoError extends PnetworkError {
  /** What went wrong. */
  declare readonly code: CryptoErrorCode;

  /** See {@linkcode PnetworkError}. */
  constructor(code: CryptoErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** The one error of whatever cannot be opened: why it cannot would help whoever has forged it. */
export function decryptFailed(): CryptoError {
  return new CryptoError("DECRYPT_FAILED", "the packet cannot be opened");
}

/** What can be said of a {@linkcode RequestError} besides its code. */
export interface RequestErrorOptions extends ErrorOptions {
  /**
   * Whether the other side answered with it. Such an error, thrown on by a handler, does not travel
   * to the next peer.
   *
   * @default {false}
   */
  remote?: boolean;
}

/**
 * A request was not answered with a reply.
 *
 * A handler may throw one with `ACTION_FAILED`, `INVALID_DATA` or `NO_ACTION`: its message is then what the
 * requester reads. Whatever else a handler throws reaches nobody but the log.
 */
export class RequestError extends PnetworkError {
  /** Why there is no reply. */
  declare readonly code: RequestErrorCode;

  /** Whether the other side answered with it. */
  readonly remote: boolean;

  /** See {@linkcode PnetworkError}. */
  constructor(code: RequestErrorCode, message: string, options: RequestErrorOptions = {}) {
    super(code, message, options);
    this.remote = options.remote ?? false;
  }
}
