/**
 * The packet: its shape, how it becomes a line, and how a line becomes a packet again.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import {
  ConnectionError,
  type ConnectionErrorCode,
  CryptoError,
  type CryptoErrorCode,
  ERROR_CODES,
  HandshakeError,
  type HandshakeErrorCode,
  type PnetworkError,
  ProtocolError,
  type ProtocolErrorCode,
  RequestError,
  type RequestErrorCode,
} from "./errors.ts";
import { isDeeperThan } from "./nesting.ts";
import { sanitize } from "./sanitize.ts";

/**
 * What travels: the action decides what happens on arrival, `data` is yours, and the other two are
 * stamped on every packet that is sent.
 */
export interface Packet<Data = unknown, Name extends string = string> {
  /** The name of the action, 1–128 UTF-16 code units. Names starting with `@` are the protocol's. */
  action: Name;
  /** Any JSON. */
  data: Data;
  /** Milliseconds since the Unix epoch. Advisory: it is what the sender's clock said. */
  "packet-created": number;
  /** The token of the connection that the packet travels on; `null` until it is sent. */
  token: string | null;
}

/** What a packet needs in order to be sent. Anything else on it is ignored. */
export interface OutgoingPacket<Data = unknown, Name extends string = string> {
  /** The name of the action. */
  action: Name;
  /** Any JSON; `null` when left out. */
  data?: Data;
}

/** Why a request failed, as it travels. */
export interface ErrorData {
  /** For programs. */
  code: string;
  /** For people. */
  message: string;
}

/** What {@linkcode decodePacket} refuses beyond what no packet may be. */
export interface DecodeOptions {
  /**
   * The deepest nesting of arrays and objects, the packet itself among them, in lines over 4,096
   * UTF-16 code units. A shorter line cannot nest deep enough to hurt. Stops a line of brackets from overflowing the stack of whatever
   * walks the data; `false` turns it off.
   *
   * @default {64}
   */
  maxDepth?: number | false;
}

const MAX_ACTION_LENGTH = 128;
const MAX_MESSAGE_LENGTH = 256;
const UNSCANNED_LENGTH = 4096;
const DEFAULT_MAX_DEPTH = 64;

/** A parsed line in which every known field has its type. */
interface CheckedFields {
  action: string;
  data?: unknown;
  "packet-created"?: unknown;
  token?: string | null;
  id?: number;
  "reply-to"?: number;
  /** Of a reply. Elsewhere it is an unknown field, which may be anything. */
  error?: ErrorData;
}

/**
 * A packet as it arrived.
 *
 * Its token can be read but is no property of its own: it is absent from a spread, from JSON and
 * from what `console.log` shows, so that passing a packet on passes nobody's token on.
 */
export class ReceivedPacket<Data = unknown> implements Packet<Data> {
  /** The name of the action. */
  readonly action: string;
  /** What the sender put there. Nothing about it is certain until it was validated. */
  readonly data: Data;
  /** What the sender said of the time; 0 when it said nothing usable. */
  readonly "packet-created": number;
  readonly #fields: CheckedFields;

  /** Packets are made by {@linkcode decodePacket}. */
  constructor(fields: CheckedFields) {
    this.action = fields.action;
    this.data = (fields.data === undefined ? null : fields.data) as Data;
    const created = fields["packet-created"];
    this["packet-created"] = Number.isFinite(created) ? created as number : 0;
    this.#fields = fields;
  }

  /** The token of the connection that it came on, if the sender named it. */
  get token(): string | null {
    return this.#fields.token ?? null;
  }

  /** The number under which the sender wants a reply. */
  get id(): number | undefined {
    return this.#fields.id;
  }

  /** The number of the request that this answers. */
  get replyTo(): number | undefined {
    return this.#fields["reply-to"];
  }

  /** Why the request failed that this answers. */
  get error(): ErrorData | undefined {
    return this.replyTo === undefined ? undefined : this.#fields.error;
  }

  /** For `console.log`. Asked to show hidden things and getters, it would show the token. */
  [Symbol.for("nodejs.util.inspect.custom")](): unknown {
    return { ...this };
  }
}

/**
 * Makes a packet.
 *
 * @param name The action's name: 1–128 UTF-16 code units, well-formed, not starting with `@`.
 * @param data Any JSON; `null` when left out.
 * @returns The packet, stamped with the time. Its token is stamped when it is sent.
 * @throws {TypeError} If the name cannot be an action's, or `data` itself is no JSON. What is inside it shows when
 * it is sent.
 *
 * @example
 * ```ts
 * import { createPacket } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * const packet = createPacket("move", { x: 1, y: 2 });
 * assertEquals(packet.action, "move");
 * assertEquals(packet.token, null);
 * ```
 */
export function createPacket<Name extends string, Data = null>(
  name: Name,
  ...data: [data?: Data]
): Packet<Data, Name> {
  checkActionName(name);
  const value = data.length === 0 ? null : data[0];
  checkData(value);
  return { action: name, data: value as Data, "packet-created": Date.now(), token: null };
}

/**
 * Turns a received line into a packet.
 *
 * @param line One line, without its end, as text or as UTF-8.
 * @param options What to refuse.
 * @returns The packet.
 * @throws {ProtocolError} `BAD_UTF8`, `BAD_JSON`, `TOO_DEEP`, `BAD_PACKET`.
 *
 * @example
 * ```ts
 * import { decodePacket } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * const packet = decodePacket('{"action":"move","data":{"x":1}}');
 * assertEquals(packet.data, { x: 1 });
 * ```
 */
export function decodePacket(
  line: string | Uint8Array,
  options: DecodeOptions = {},
): ReceivedPacket {
  if (typeof line !== "string" && !(line instanceof Uint8Array)) {
    throw new TypeError(`A line must be a string or a Uint8Array, got ${describe(line)}`);
  }
  return checkPacket(parseLine(typeof line === "string" ? line : decodeUtf8(line), options));
}

/** What a line holds before its fields have been looked at. */
export type RawFields = Readonly<Record<string, unknown>>;

/**
 * The first half of {@linkcode decodePacket}.
 *
 * @throws {ProtocolError} `BAD_JSON`, `TOO_DEEP`, `BAD_PACKET`: no line after this one can be trusted.
 */
export function parseLine(line: string, options: DecodeOptions = {}): RawFields {
  const value = parseJson(line, options);
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new ProtocolError("BAD_PACKET", "a packet must be a JSON object");
  }
  return value as RawFields;
}

/**
 * The second half.
 *
 * @throws {ProtocolError} `BAD_PACKET`, recoverable: this packet alone is refused.
 */
export function checkPacket(fields: RawFields): ReceivedPacket {
  return new ReceivedPacket(checkFields(fields));
}

/**
 * The part of a packet's line that is the same for every recipient. {@linkcode encodeTail} ends it.
 *
 * @throws {TypeError} If `packet` cannot be sent.
 */
export function encodeHead(packet: OutgoingPacket): string {
  if (packet === null || typeof packet !== "object") {
    throw new TypeError(`A packet must be an object with an action, got ${describe(packet)}`);
  }
  checkActionName(packet.action);
  const data = "data" in packet ? packet.data : null;
  return encodeAnyHead(packet.action, data);
}

/**
 * Like {@linkcode encodeHead}, also for the protocol's own names.
 *
 * @throws {TypeError} If `data` cannot be sent.
 */
export function encodeAnyHead(action: string, data: unknown): string {
  return `{"action":${JSON.stringify(action)},"data":${stringifyData(data)}`;
}

/**
 * Like {@linkcode encodeHead}, for a reply that failed. The message is cut to what a receiver shows of
 * it: an error that is too large to be sent would leave the requester waiting.
 */
export function encodeErrorHead(action: string, { code, message }: ErrorData): string {
  const error = { code, message: message.slice(0, MAX_MESSAGE_LENGTH) };
  return `{"action":${JSON.stringify(action)},"error":${JSON.stringify(error)}`;
}

/** One of the protocol's own packets, without a stamp; with an `ack`, if there is one to tell. */
export function encodeControl(action: `@${string}`, data?: unknown, ack?: number): string {
  let line = `{"action":"${action}"`;
  if (data !== undefined) line += `,"data":${JSON.stringify(data)}`;
  if (ack !== undefined) line += `,"ack":${ack}`;
  return line + "}";
}

/** How many bytes a text takes on the wire. */
export function utf8Length(text: string): number {
  return Buffer.byteLength(text);
}

/** No fewer bytes than that, for nothing: a UTF-16 code unit takes three at most. */
export function maxUtf8Length(text: string): number {
  return text.length * 3;
}

/**
 * Checks a name that a user may give to an action.
 *
 * @throws {TypeError} Saying what was required and what arrived.
 */
export function checkActionName(name: unknown): asserts name is string {
  if (!isActionName(name)) {
    throw new TypeError(
      `An action's name must be a well-formed string of 1 to ${MAX_ACTION_LENGTH} UTF-16 code units, got ${
        describe(name)
      }`,
    );
  }
  if (name.startsWith("@")) {
    throw new TypeError(`An action's name must not start with "@", got ${describe(name)}`);
  }
}

/** Turns what the other side said of a failure into an error, its text fit to be shown. */
export function errorFromData({ code, message }: ErrorData): PnetworkError {
  const text = sanitize(message, MAX_MESSAGE_LENGTH);
  const codes: Record<keyof typeof ERROR_CODES, readonly string[]> = ERROR_CODES;
  if (codes.ConnectionError.includes(code)) {
    return new ConnectionError(code as ConnectionErrorCode, text);
  }
  if (codes.ProtocolError.includes(code)) {
    return new ProtocolError(code as ProtocolErrorCode, text);
  }
  if (codes.HandshakeError.includes(code)) {
    return new HandshakeError(code as HandshakeErrorCode, text);
  }
  if (codes.CryptoError.includes(code)) return new CryptoError(code as CryptoErrorCode, text);
  if (codes.RequestError.includes(code)) {
    return new RequestError(code as RequestErrorCode, text, { remote: true });
  }
  // A newer peer, or one of another make: its code is shown, and means no more than that it failed.
  return new RequestError("ACTION_FAILED", `${sanitize(code, 64)}: ${text}`, { remote: true });
}

/** Whether this is a code and a message. */
export function isErrorData(value: unknown): value is ErrorData {
  return value !== null && typeof value === "object" &&
    typeof (value as ErrorData).code === "string" &&
    typeof (value as ErrorData).message === "string";
}

/** Says what a value is, for messages about misuse. It may have come from the other side. */
export function describe(value: unknown): string {
  if (typeof value === "string") {
    const shown = JSON.stringify(value.length > 40 ? value.slice(0, 40) + "…" : value);
    return `the string ${sanitize(shown)}`;
  }
  if (value === null || value === undefined || typeof value === "boolean") return String(value);
  if (typeof value === "number") return String(value);
  if (typeof value === "object") {
    const name: unknown = value.constructor?.name;
    return typeof name === "string" && name ? `an object (${sanitize(name, 40)})` : "an object";
  }
  return `a ${typeof value}`;
}

function isActionName(name: unknown): name is string {
  return typeof name === "string" && name.length > 0 && name.length <= MAX_ACTION_LENGTH &&
    name.isWellFormed();
}

/** Refuses what `JSON.stringify` would silently turn into something else. */
function checkData(data: unknown): void {
  switch (typeof data) {
    case "string":
    case "boolean":
      return;
    case "number":
      if (Number.isFinite(data)) return;
      throw dataError(String(data), "null or a string");
    case "undefined":
      throw dataError("undefined", "null");
    case "bigint":
      throw dataError("a bigint", "its String()");
    case "function":
      throw dataError("a function", "what it returns");
    case "symbol":
      throw dataError("a symbol", "its description");
  }
  if (data === null || Array.isArray(data)) return;
  if (ArrayBuffer.isView(data) || data instanceof ArrayBuffer) {
    throw dataError("binary data", "its base64 text or an array of numbers");
  }
  // What knows its own JSON is that. Unrolled, as is advised below, `clients` would show its tokens.
  if ("toJSON" in (data as object)) return;
  if (data instanceof Map) throw dataError("a Map", "Object.fromEntries(map) or [...map]");
  if (data instanceof Set) throw dataError("a Set", "[...set]");
  if (data instanceof Promise) throw dataError("a Promise", "what it resolves to (await it)");
}

function dataError(what: string, instead: string): TypeError {
  return new TypeError(`data must be JSON, got ${what}: send ${instead} instead`);
}

function stringifyData(data: unknown): string {
  checkData(data);
  let json: string | undefined;
  try {
    json = JSON.stringify(data);
  } catch (cause) {
    throw new TypeError(
      "data must be JSON, got something that JSON.stringify refuses (a cycle or a bigint inside it, or a toJSON that throws)",
      { cause },
    );
  }
  if (json === undefined) throw dataError("an object whose toJSON returns nothing", "null");
  return json;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    // The platform's error says no more than this one.
    throw new ProtocolError("BAD_UTF8", "the line is not UTF-8");
  }
}

/**
 * What a text from the other side says.
 *
 * @throws {ProtocolError} `TOO_DEEP`, `BAD_JSON`.
 */
export function parseJson(text: string, options: DecodeOptions = {}): unknown {
  const { maxDepth = DEFAULT_MAX_DEPTH } = options;
  if (maxDepth !== false && text.length > UNSCANNED_LENGTH && isDeeperThan(text, maxDepth)) {
    throw new ProtocolError("TOO_DEEP", `the packet nests deeper than ${maxDepth} levels`);
  }
  try {
    return JSON.parse(text);
  } catch {
    // The platform's error quotes the input, which may hold anything, and must not reach a log.
    throw new ProtocolError("BAD_JSON", "the line is not JSON");
  }
}

function checkFields(fields: RawFields): CheckedFields {
  if (!isActionName(fields.action)) {
    throw refused("action must be a well-formed string of 1 to 128 UTF-16 code units");
  }
  const { id, token, error } = fields;
  const replyTo = fields["reply-to"];
  if (token !== undefined && token !== null && typeof token !== "string") {
    throw refused("token must be a string or null");
  }
  if (id !== undefined && !isId(id)) throw refused("id must be a positive integer");
  if (replyTo !== undefined) {
    if (!isId(replyTo)) throw refused("reply-to must be a positive integer");
    if (id !== undefined) throw refused("a packet is a request or a reply, not both");
    if (error !== undefined && !isErrorData(error)) {
      throw refused("error must be an object with the strings code and message");
    }
  }
  return fields as unknown as CheckedFields;
}

function refused(message: string): ProtocolError {
  return new ProtocolError("BAD_PACKET", message, { recoverable: true });
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}
