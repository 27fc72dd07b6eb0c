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
  encodeAnyHead,
  encodeControl,
  type ErrorData,
  errorFromData,
  isErrorData,
} from "./packet.ts";
import { encodeTail } from "./stamp.ts";
import type { Wire } from "./wire.ts";

/** The version of the protocol that this is. */
export const PROTOCOL_VERSION = 1;

/** What a client says of itself, for `authenticate`. */
export interface Handshake {
  /** Whatever the client was given as `auth`: nothing about it is certain. `null` when it said nothing. */
  auth: unknown;
  /** Where it comes from, for people and logs. */
  address: string;
  /** What the client's key is known by, which it has proved to hold; only on a secure connection. */
  fingerprint?: string;
  /** Aborted when the handshake fails after all: its time is over, there is no room, … */
  signal: AbortSignal;
}

/** What one side tells the other of its limits. */
export interface PeerLimits {
  /** The longest packet that it accepts, in bytes. */
  maxPacketBytes: number;
  /** How many packets it may leave unacknowledged. */
  replayPackets: number;
  /** How many bytes. */
  replayBytes: number;
}

/** The session that a client wants to go on with. */
export interface Resume {
  /** Its token. */
  token: string;
  /** The epoch of the server that granted it. */
  epoch: string;
  /** Up to which number the client has handed everything over. */
  ack: number;
  /**
   * Rises with each attempt to go on with this session, so that one that comes late, or was recorded, does
   * not take the wire of a newer one.
   */
  attempt?: number;
}

/** What a client asks for. */
export interface Hello {
  /** See {@linkcode Handshake.auth}. */
  auth: unknown;
  /** Its limits. */
  limits: PeerLimits;
  /** Whether it asks for a session. */
  wantsSession: boolean;
  /** Which session it comes back to. */
  resume: Resume | undefined;
}

/** Why a session could not go on: the server is another one, too much is missing, or it has ended. */
export type LossReason = "restarted" | "overflow" | "expired";

/** What a server grants. */
export interface Welcome {
  /** The public name of the connection. */
  id: string;
  /** Its secret. */
  token: string;
  /** Its limits. */
  limits: PeerLimits;
  /** Names the server's run: no session outlives it. `undefined` where there is no session. */
  epoch: string | undefined;
  /** Where a session goes on: up to which number the server has handed everything over. */
  ack: number | undefined;
  /** Where a session was asked for that does not go on: why not. */
  reason: LossReason | undefined;
}

/** The client's first line. */
export function encodeHello({ auth, limits, wantsSession, resume }: Hello): string {
  const data: Record<string, unknown> = { version: PROTOCOL_VERSION, limits: limitsOf(limits) };
  if (auth !== undefined) data.auth = auth;
  if (wantsSession) data.session = true;
  if (resume) data.resume = resume;
  return stamp(data, null);
}

/**
 * Waits for the client's first line.
 *
 * @returns What it asks for; `undefined` if it left without a word.
 * @throws {ProtocolError} If the line is not a handshake.
 */
export async function readHello(wire: Wire): Promise<Hello | undefined> {
  const line = await wire.readLine();
  if (line === undefined) return undefined;
  const packet = decodePacket(line);
  if (packet.action === "@secure") {
    throw new HandshakeError("SECURE_UNSUPPORTED", "this server takes no secure connections");
  }
  if (packet.action !== "@handshake") {
    throw new ProtocolError("UNEXPECTED_PACKET", "the first packet must be a @handshake");
  }
  const data = asObject(packet.data);
  if (data.version !== PROTOCOL_VERSION) {
    throw new ProtocolError("VERSION_UNSUPPORTED", `this side speaks version ${PROTOCOL_VERSION}`);
  }
  const { auth = null, session = false, resume } = data;
  if (typeof session !== "boolean") throw malformed("session must be a boolean");
  return {
    auth,
    limits: readLimits(data.limits),
    wantsSession: session || resume !== undefined,
    resume: resume === undefined ? undefined : readResume(resume),
  };
}

/** The server's answer to a client that is registered. */
export function encodeWelcome({ id, token, limits, epoch, ack, reason }: Welcome): string {
  const data: Record<string, unknown> = {
    status: "success",
    version: PROTOCOL_VERSION,
    id,
    session: epoch !== undefined,
    resumed: ack !== undefined,
  };
  if (reason !== undefined) data.reason = reason;
  if (ack !== undefined) data.ack = ack;
  if (epoch !== undefined) data.epoch = epoch;
  data.limits = limitsOf(limits);
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
 * @param wire The socket.
 * @param resume What was asked for: a server grants nothing else.
 * @returns What it grants, or why it does not.
 * @throws {PnetworkError} What is wrong with its answer.
 */
export async function readWelcome(wire: Wire, resume?: Resume): Promise<Welcome | PnetworkError> {
  const line = await wire.readLine();
  if (line === undefined) {
    throw new ConnectionError("CONNECTION_LOST", "the server left without answering the handshake");
  }
  const packet = decodePacket(line);
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
  return { id, token, limits: readLimits(data.limits), ...readVerdict(data, token, resume) };
}

/** What became of the session that was asked for. */
function readVerdict(
  data: Record<string, unknown>,
  token: string,
  resume: Resume | undefined,
): Pick<Welcome, "epoch" | "ack" | "reason"> {
  const { session = false, resumed = false, epoch, ack, reason } = data;
  if (typeof session !== "boolean" || typeof resumed !== "boolean") {
    throw malformed("session and resumed must be booleans");
  }
  if (session && !isEpoch(epoch)) throw malformed("epoch must be a string of 1 to 64 characters");
  const granted = session ? epoch as string : undefined;
  if (!resumed) {
    if (!resume) return { epoch: granted, ack: undefined, reason: undefined };
    // Whatever else a server may say of it, the session is gone.
    const isKnown = reason === "restarted" || reason === "overflow";
    return { epoch: granted, ack: undefined, reason: isKnown ? reason : "expired" };
  }
  if (!resume) throw malformed("resumed, and nothing was to be");
  if (!session || token !== resume.token || epoch !== resume.epoch) {
    throw malformed("another session was resumed than was asked for");
  }
  if (!isCount(ack)) throw malformed("ack must be an integer from 0");
  return { epoch: granted, ack, reason: undefined };
}

/** A code that this side does not know says no more than that the server refused. */
function refusalFromData(data: ErrorData): PnetworkError {
  const error = errorFromData(data);
  return error instanceof RequestError ? new HandshakeError("REFUSED", error.message) : error;
}

function readResume(value: unknown): Resume {
  const { token, epoch, ack, attempt } = asObject(value);
  if (typeof token !== "string") throw malformed("resume.token must be a string");
  if (!isEpoch(epoch)) throw malformed("resume.epoch must be a string of 1 to 64 characters");
  if (!isCount(ack)) throw malformed("resume.ack must be an integer from 0");
  if (attempt !== undefined && !isCount(attempt)) {
    throw malformed("resume.attempt must be an integer from 0");
  }
  return { token, epoch, ack, ...(attempt === undefined ? {} : { attempt }) };
}

function readLimits(value: unknown): PeerLimits {
  const limits = value === undefined ? {} : asObject(value);
  const read = (name: keyof PeerLimits, min: number): number => {
    const limit = limits[name];
    if (limit === undefined) return DEFAULTS[name];
    if (!Number.isSafeInteger(limit) || (limit as number) < min) {
      throw malformed(`limits.${name} must be an integer from ${min}`);
    }
    return limit as number;
  };
  return {
    maxPacketBytes: read("maxPacketBytes", MIN_PACKET_BYTES),
    replayPackets: read("replayPackets", 1),
    replayBytes: read("replayBytes", 1),
  };
}

/** What of its limits one side tells. */
function limitsOf({ maxPacketBytes, replayPackets, replayBytes }: PeerLimits): PeerLimits {
  return { maxPacketBytes, replayPackets, replayBytes };
}

function isEpoch(value: unknown): value is string {
  return typeof value === "string" && value.length >= 1 && value.length <= 64;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function asObject(value: unknown): Record<string, unknown> {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw malformed("data, limits and resume must be objects");
  }
  return value as Record<string, unknown>;
}

function malformed(message: string): ProtocolError {
  return new ProtocolError("BAD_PACKET", `handshake: ${message}`);
}

function stamp(data: unknown, token: string | null): string {
  return encodeAnyHead("@handshake", data) + encodeTail({ created: Date.now(), token });
}
