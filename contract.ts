/**
 * Types only: the contract between two sides, and what a handler holds of the other one.
 *
 * @module
 */

import type { OutgoingPacket, ReceivedPacket } from "./packet.ts";

/**
 * Which actions each side answers: `{ server: { greet: [Data, Reply] }, client: { … } }`.
 * `[Data]` alone is an action without a reply.
 *
 * @example
 * ```ts
 * import { Client, Server } from "@pnetwork/pnetwork";
 *
 * type Chat = {
 *   server: { say: [text: string]; members: [null, string[]] };
 *   client: { said: [{ who: string; text: string }] };
 * };
 * const server = new Server<Chat>();
 * server.bindAction("members", () => ["Ada"]);
 * const client = new Client<Chat>();
 * client.bindAction("said", ({ who, text }) => void `${who}: ${text}`);
 * ```
 */
export interface Contract {
  /** What the server answers. */
  server?: object;
  /** What the client answers. */
  client?: object;
}

/** The contract of those who have none: any name, and everything is `unknown`. */
export interface Untyped {
  /** Any action. */
  server: Record<string, [data: unknown, reply: unknown]>;
  /** Any action. */
  client: Record<string, [data: unknown, reply: unknown]>;
}

/** The same contract seen from the client: what it answers, and what it may ask for. */
export interface Flipped<C extends Contract> {
  /** What this side answers. */
  server: ActionsOf<C, "client">;
  /** What the other side answers. */
  client: ActionsOf<C, "server">;
}

/** The actions that one role answers. */
export type ActionsOf<C extends Contract, Role extends keyof Contract> = C extends
  { [R in Role]: infer Actions } ? Actions : Record<never, never>;

/** The names of these actions. */
export type NameOf<Actions> = keyof Actions & string;

/** What is sent for this action. */
export type DataOf<Actions, Name extends keyof Actions> = Actions[Name] extends
  readonly [infer Data, ...unknown[]] ? Data : never;

/** What is answered to this action. */
export type ReplyOf<Actions, Name extends keyof Actions> = Actions[Name] extends
  readonly [unknown, infer Reply] ? Reply : void;

/** The packets that may be sent to a side that answers these actions. */
export type PacketTo<Actions> = {
  [Name in NameOf<Actions>]: null extends DataOf<Actions, Name>
    ? OutgoingPacket<DataOf<Actions, Name>, Name>
    : OutgoingPacket<DataOf<Actions, Name>, Name> & { data: DataOf<Actions, Name> };
}[NameOf<Actions>];

/** The data that goes with a name: it may be left out where it may be `null`. */
export type DataArguments<Data> = null extends Data ? [data?: Data] : [data: Data];

/** What follows the name in a request. */
export type RequestArguments<Data> = null extends Data ? [data?: Data, options?: RequestOptions]
  : [data: Data, options?: RequestOptions];

/** A plain function that is bound to a name. */
export type ActionFunction<Data, Reply, C extends Contract = Untyped> = (
  data: Data,
  packet: ReceivedPacket,
  connection: Peer<C>,
) => Reply | Promise<Reply>;

/** How one request, or ping, waits. */
export interface RequestOptions {
  /**
   * How long to wait, in milliseconds; `false` for as long as the connection lives. The other side
   * is not told when it is over, and may still do what it was asked for.
   *
   * @default {requestTimeoutMs}
   */
  timeoutMs?: number | false;
  /** Rejects with its reason. The other side is not told either. */
  signal?: AbortSignal;
}

/** How one packet is sent. */
export interface SendOptions {
  /**
   * Whether to wait until the peer has acknowledged the packet: it was handed to its action there, or to
   * its `for await`. Without a session that cannot be known.
   *
   * @default {false}
   */
  delivered?: boolean;
  /**
   * Whether the packet may be lost: when the socket drops, or the peer is behind. It takes no room in
   * the window, waits for nothing, and may be overtaken.
   *
   * @default {false}
   */
  volatile?: boolean;
  /** Calls the wait off. A packet that still waits for room is not sent then. */
  signal?: AbortSignal;
}

/** How a connection ends when it is asked to. */
export interface CloseOptions {
  /** Why, for the people on the other side. */
  reason?: string;
  /**
   * How long running handlers may go on, and send their replies, in milliseconds.
   *
   * @default {0}
   */
  drainTimeoutMs?: number;
}

/** Why a connection ended. */
export interface CloseInfo {
  /** For programs: an error's code, or `CLOSED` when someone asked for it. */
  code: string;
  /** For people. */
  reason: string;
}

/** What a connection has done so far. */
export interface ConnectionStats {
  /** Packets received, the protocol's own among them. */
  packetsReceived: number;
  /** Packets sent, the protocol's own among them. */
  packetsSent: number;
  /** Bytes received. */
  bytesReceived: number;
  /** Bytes sent. */
  bytesSent: number;
  /**
   * Packets received that nothing came of: replies to no request, actions that nothing is bound to,
   * handlers that failed and owed no reply.
   */
  ignored: number;
  /** Packets received that were answered with an error, while the connection was kept. */
  refused: number;
  /** Volatile packets that were dropped on this side. */
  dropped: number;
  /** Packets that wait for a handler. */
  waiting: number;
  /** Handlers that run. */
  inFlight: number;
  /** Requests of ours that wait for a reply. */
  pending: number;
  /** Bytes that wait to be written, or for room in the window. */
  buffered: number;
  /** Packets of a session that the peer has not acknowledged. */
  unacknowledged: number;
}

/** One loop that runs, and what it waits for. */
export interface LoopInfo {
  /** Which loop. */
  loop: string;
  /** What it waits for, for people. */
  waitsFor: string;
}

/**
 * What a handler holds of the other side: the face of a `Connection`, typed from the server's side.
 * A client holds a `Peer<Flipped<C>>`.
 */
export interface Peer<C extends Contract = Untyped> {
  /** Names the connection to anyone; the same on both sides, if they shook hands. */
  readonly id: string;
  /** The secret that both sides share; `null` without a handshake. Never show it, never pass it on. */
  readonly token: string | null;
  /** Where the other side is, for people: `127.0.0.1:50000`, or `unix:/run/x.sock`. */
  readonly address: string;
  /** What `authenticate` attached. */
  readonly attached: unknown;
  /** The groups that it is in. */
  readonly groups: ReadonlySet<string>;
  /** Resolves when the connection has ended. Never rejects. */
  readonly closed: Promise<CloseInfo>;
  /** Sends a packet to just this peer. */
  sendPacket(packet: PacketTo<ActionsOf<C, "client">>, options?: SendOptions): Promise<void>;
  /** Resolves when this peer has acknowledged all that was sent so far. */
  delivered(): Promise<void>;
  /** Asks this peer for a reply. */
  request<Name extends NameOf<ActionsOf<C, "client">>>(
    name: Name,
    ...rest: RequestArguments<DataOf<ActionsOf<C, "client">, Name>>
  ): Promise<ReplyOf<ActionsOf<C, "client">, Name>>;
  /** Measures the time there and back, in milliseconds. */
  ping(options?: RequestOptions): Promise<number>;
  /** Adds the connection to a group of its server. */
  join(group: string): void;
  /** Takes it out again. */
  leave(group: string): void;
  /** Ends the connection in order. */
  close(options?: CloseOptions): Promise<void>;
}
