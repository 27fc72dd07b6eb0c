/**
 * Saying one thing to many.
 *
 * @module
 */

import { type Connection, conversationOf } from "./connection.ts";
import type { Contract, Untyped } from "./contract.ts";
import { ConnectionError, PnetworkError, RequestError } from "./errors.ts";
import { checkOptions, checkSignal, checkTimeout } from "./options.ts";
import type { Broadcast } from "./outbox.ts";
import { describe, encodeHead, type OutgoingPacket } from "./packet.ts";
import { harmless } from "./rejections.ts";
import type { VolatilePolicy, VolatileTerms } from "./volatile_queue.ts";

/** To whom a broadcast does not go, and what becomes of it where it cannot. */
export interface BroadcastOptions {
  /** One connection, or several. */
  except?: { readonly id: string } | Iterable<{ readonly id: string }>;
  /**
   * Whether the packet may be lost. Without it each client of a session gets it once, even if its socket
   * drops: a full window gives its oldest packets up for it.
   *
   * @default {false}
   */
  volatile?: boolean;
  /**
   * What becomes of volatile packets for a client that is behind: its oldest are dropped; only the newest
   * of each `key` is kept; or the client's socket is.
   *
   * @default {"drop-oldest"}
   */
  policy?: VolatilePolicy;
  /**
   * For the policy `latest`: which packets this one replaces.
   *
   * @default {packet.action}
   */
  key?: string;
  /** Nobody is asked for a reply: for that see {@linkcode BroadcastRequestOptions}. */
  request?: false;
}

/** Who was sent a broadcast. */
export interface BroadcastResult {
  /** How many connections it was queued for. */
  sent: number;
  /** The ids of those that cannot get it, and why: too large for them, too slow, leaving. */
  missed: Map<string, PnetworkError>;
}

/** How a broadcast asks for replies. */
export interface BroadcastRequestOptions {
  /** Each client is asked for a reply. */
  request: true;
  /** One connection, or several, that it does not go to. */
  except?: { readonly id: string } | Iterable<{ readonly id: string }>;
  /**
   * How long to wait for each reply, in milliseconds.
   *
   * @default {requestTimeoutMs}
   */
  timeoutMs?: number;
  /** Rejects with its reason. */
  signal?: AbortSignal;
}

/** What one client made of a broadcast that asked for a reply. */
export type BroadcastOutcome<Reply = unknown> =
  | { status: "reply"; data: Reply }
  | { status: "error"; error: PnetworkError }
  | { status: "timeout"; error: PnetworkError }
  | { status: "gone"; error: PnetworkError };

/** Any of both. */
export type AnyBroadcastOptions =
  & Omit<BroadcastOptions, "request">
  & Partial<Omit<BroadcastRequestOptions, "request">>
  & { request?: boolean };

const POLICIES: readonly unknown[] = ["drop-oldest", "latest", "disconnect"];

/** Sends a packet to all of these, stringified once. */
export function broadcast<C extends Contract = Untyped>(
  connections: Iterable<Connection<C>>,
  packet: OutgoingPacket,
  options: AnyBroadcastOptions,
): BroadcastResult {
  const terms = readTerms(packet, options);
  const head = encodeHead(packet);
  const result: BroadcastResult = { sent: 0, missed: new Map() };
  const one: Broadcast | undefined = terms ? undefined : chained(head);
  for (const connection of without(connections, options.except)) {
    const conversation = conversationOf(connection);
    const error = terms ? conversation.sendVolatile(head, terms) : conversation.broadcast(one!);
    if (error) result.missed.set(connection.id, error);
    else result.sent++;
  }
  return result;
}

/** The last broadcast of this turn. */
let last: Broadcast | undefined;

/** Puts a broadcast behind those that were made in the same turn. */
function chained(head: string): Broadcast {
  const one: Broadcast = { head, created: Date.now(), next: undefined };
  if (last) last.next = one;
  else queueMicrotask(() => last = undefined);
  return last = one;
}

/** Asks all of these for a reply. Resolves when each has answered, or has had its time. */
export function broadcastRequest<C extends Contract = Untyped>(
  connections: Iterable<Connection<C>>,
  packet: OutgoingPacket,
  options: BroadcastRequestOptions & { timeoutMs: number },
): Promise<Map<string, BroadcastOutcome>> {
  const { except, timeoutMs, signal } = options;
  const head = encodeHead(packet);
  const asked = without(connections, except).map((connection) =>
    ask(connection, head, { timeoutMs, signal })
  );
  return harmless(outcomesOf(asked, signal));
}

async function outcomesOf(
  asked: Promise<[id: string, BroadcastOutcome]>[],
  signal: AbortSignal | undefined,
): Promise<Map<string, BroadcastOutcome>> {
  const outcomes = new Map(await Promise.all(asked));
  signal?.throwIfAborted();
  return outcomes;
}

/** Checks what a broadcast was told. Returns whether it asks for replies. */
export function asksForReplies(options: AnyBroadcastOptions): options is BroadcastRequestOptions {
  checkOptions(options);
  const { request, volatile, policy, key, timeoutMs, signal } = options;
  for (const [name, value] of Object.entries({ request, volatile })) {
    if (value !== undefined && typeof value !== "boolean") {
      throw new TypeError(`${name} must be a boolean, got ${describe(value)}`);
    }
  }
  if (policy !== undefined && !POLICIES.includes(policy)) {
    throw new TypeError(`policy must be one of ${POLICIES.join(", ")}, got ${describe(policy)}`);
  }
  if (policy !== undefined && policy !== "disconnect" && !volatile) {
    throw new TypeError(`the policy ${policy} drops packets: it goes with volatile: true`);
  }
  if (key !== undefined && (typeof key !== "string" || policy !== "latest")) {
    throw new TypeError('key must be a string, and goes with the policy "latest"');
  }
  if (!request) return false;
  if (volatile) throw new TypeError("request and volatile exclude each other");
  if ((timeoutMs as unknown) === false) {
    throw new TypeError("a broadcast waits for nobody for ever: timeoutMs must be a number");
  }
  if (timeoutMs !== undefined) checkTimeout("timeoutMs", timeoutMs);
  checkSignal(signal);
  return true;
}

function readTerms(
  { action }: OutgoingPacket,
  { volatile, policy = "drop-oldest", key = action }: AnyBroadcastOptions,
): VolatileTerms | undefined {
  return volatile ? { policy, key } : undefined;
}

async function ask<C extends Contract>(
  connection: Connection<C>,
  head: string,
  options: { timeoutMs?: number; signal?: AbortSignal },
): Promise<[id: string, BroadcastOutcome]> {
  const { id } = connection;
  // Outside of the try: what the caller did wrong is no outcome.
  const reply = conversationOf(connection).request(head, options);
  try {
    return [id, { status: "reply", data: await reply }];
  } catch (error) {
    if (!(error instanceof PnetworkError)) return [id, { status: "gone", error: calledOff(error) }];
    if (error instanceof ConnectionError) return [id, { status: "gone", error }];
    const isTimeout = error instanceof RequestError && error.code === "REQUEST_TIMEOUT" &&
      !error.remote;
    return [id, { status: isTimeout ? "timeout" : "error", error }];
  }
}

/** Nobody sees it: the whole broadcast rejects with the signal's reason. */
function calledOff(cause: unknown): PnetworkError {
  return new ConnectionError("CLOSED", "called off", { cause });
}

/** A copy: whoever is found too slow leaves the set while it is walked over. */
function without<C extends Contract>(
  connections: Iterable<Connection<C>>,
  except: BroadcastOptions["except"],
): Connection<C>[] {
  const left = idsOf(except);
  return [...connections].filter(({ id }) => !left.has(id));
}

function idsOf(except: BroadcastOptions["except"]): Set<string> {
  if (except === undefined) return new Set();
  const isList = except !== null && typeof except === "object" && Symbol.iterator in except;
  const list = isList ? [...except] : [except];
  for (const one of list) {
    if (typeof one?.id !== "string") {
      throw new TypeError(`except must be a connection or several, got ${describe(one)}`);
    }
  }
  return new Set(list.map(({ id }) => id));
}
