/**
 * The opening exchange, seen from both sides.
 *
 * @module
 */

import { validate as isUuid } from "@std/uuid";
import { validate as isUuidV4 } from "@std/uuid/v4";
import {
  ConnectionError,
  HandshakeError,
  type PnetworkError,
  ProtocolError,
  RequestError,
} from "./errors.ts";
import { DEFAULTS, MIN_PACKET_BYTES } from "./options.ts";
import {
  decodePacket,
  encodeControl,
  encodeTail,
  type ErrorData,
  errorFromData,
  isErrorData,
  type ReceivedPacket,
} from "./packet.ts";
import type { Wire } from "./wire.ts";

/** The version of the protocol that this is. */
export const PROTOCOL_VERSION = 1;

/** What a client says of itself, for `authenticate`. */
export interface Handshake {
  /** Whatever the client was given as `auth`: nothing about it is certain. `null` when it said nothing. */
  auth: unknown;
  /** Where it comes from, for people and logs. */
  address: string;
  /** Aborted when the handshake fails after all: its time is over, there is no room, … */
  signal: AbortSignal;
}

/** What a client asks for. */
export interface Hello {
  /** See {@linkcode Handshake.auth}. */
  auth: unknown;
  /** The longest packet that it accepts, in bytes. */
  maxPacketBytes: number;
  /** Whether it asks to go on with an earlier session. */
  wantsResume: boolean;
}

/** What a server grants. */
export interface Welcome {
  /** The public name of the connection. */
  id: string;
  /** Its secret. */
  token: string;
  /** The longest packet that the server accepts, in bytes. */
  maxPacketBytes: number;
}

/** The client's first line. */
export function encodeHello(auth: unknown, maxPacketBytes: number): string {
  const data: Record<string, unknown> = { version: PROTOCOL_VERSION, limits: { maxPacketBytes } };
  if (auth !== undefined) data.auth = auth;
  return stamp(data, null);
}

/**
 * Waits for the client's first line.
 *
 * @returns What it asks for; `undefined` if it left without a word.
 * @throws {ProtocolError} If the line is not a handshake.
 */
export async function readHello(wire: Wire): Promise<Hello | undefined> {
  const packet = await readPacket(wire);
  if (!packet) return undefined;
  if (packet.action !== "@handshake") {
    throw new ProtocolError("UNEXPECTED_PACKET", "the first packet must be a @handshake");
  }
  const data = asObject(packet.data);
  if (data.version !== PROTOCOL_VERSION) {
    throw new ProtocolError("VERSION_UNSUPPORTED", `this side speaks version ${PROTOCOL_VERSION}`);
  }
  return {
    auth: data.auth ?? null,
    maxPacketBytes: peerMaxPacketBytes(data.limits),
    wantsResume: data.resume !== undefined,
  };
}

/** The server's answer to a client that is registered. There are no sessions yet, and it says so. */
export function encodeWelcome(hello: Hello, { id, token, maxPacketBytes }: Welcome): string {
  const data: Record<string, unknown> = {
    status: "success",
    version: PROTOCOL_VERSION,
    id,
    session: false,
    resumed: false,
    limits: { maxPacketBytes },
  };
  // No token is remembered beyond its connection: to whoever comes back with one, it has expired.
  if (hello.wantsResume) data.reason = "expired";
  return stamp(data, token);
}

/** The server's answer to a client that is not. */
export function encodeRefusal({ code, message }: PnetworkError): string {
  const supported = code === "VERSION_UNSUPPORTED" ? { supported: [PROTOCOL_VERSION] } : {};
  return encodeControl("@handshake", { status: "error", code, message, ...supported });
}

/**
 * Waits for the server's answer.
 *
 * @returns What it grants, or why it does not.
 * @throws {PnetworkError} What is wrong with its answer.
 */
export async function readWelcome(wire: Wire): Promise<Welcome | PnetworkError> {
  const packet = await readPacket(wire);
  if (!packet) {
    throw new ConnectionError("CONNECTION_LOST", "the server left without answering the handshake");
  }
  if (packet.action === "@close") {
    const { code, reason } = asObject(packet.data ?? {});
    return refusalFromData({
      code: typeof code === "string" ? code : "CLOSED",
      message: typeof reason === "string" ? reason : "no reason given",
    });
  }
  if (packet.action !== "@handshake") {
    throw new ProtocolError("UNEXPECTED_PACKET", "the server did not answer the handshake");
  }
  const data = asObject(packet.data);
  if (data.status === "error" && isErrorData(data)) return refusalFromData(data);
  if (data.status !== "success") throw malformed("status must be success or error");
  if (data.version !== PROTOCOL_VERSION) {
    throw new ProtocolError("VERSION_UNSUPPORTED", `this side speaks version ${PROTOCOL_VERSION}`);
  }
  const { id } = data;
  const { token } = packet;
  if (typeof id !== "string" || !isUuid(id)) throw malformed("id must be a UUID");
  if (token === null || !isUuidV4(token)) throw malformed("token must be a UUID of version 4");
  return { id, token, maxPacketBytes: peerMaxPacketBytes(data.limits) };
}

/** A code that this side does not know says no more than that the server refused. */
function refusalFromData(data: ErrorData): PnetworkError {
  const error = errorFromData(data);
  return error instanceof RequestError ? new HandshakeError("REFUSED", error.message) : error;
}

async function readPacket(wire: Wire): Promise<ReceivedPacket | undefined> {
  const line = await wire.readLine();
  return line === undefined ? undefined : decodePacket(line);
}

function peerMaxPacketBytes(limits: unknown): number {
  if (limits === undefined) return DEFAULTS.maxPacketBytes;
  const { maxPacketBytes = DEFAULTS.maxPacketBytes } = asObject(limits);
  if (!Number.isSafeInteger(maxPacketBytes) || Number(maxPacketBytes) < MIN_PACKET_BYTES) {
    throw malformed(`limits.maxPacketBytes must be an integer from ${MIN_PACKET_BYTES}`);
  }
  return Number(maxPacketBytes);
}

function asObject(value: unknown): Record<string, unknown> {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw malformed("data and limits must be objects");
  }
  return value as Record<string, unknown>;
}

function malformed(message: string): ProtocolError {
  return new ProtocolError("BAD_PACKET", `handshake: ${message}`);
}

function stamp(data: unknown, token: string | null): string {
  return encodeControl("@handshake", data).slice(0, -1) +
    encodeTail({ created: Date.now(), token });
}
