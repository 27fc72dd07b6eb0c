/**
 * Simple TCP server/client communication: named packets, actions bound to names, replies, and a
 * secret token for each client.
 *
 * ```ts
 * import { Bind, Client, Server } from "@pnetwork/pnetwork";
 * import { assertEquals } from "@std/assert";
 *
 * class Greet extends Bind<{ name: string }, string> {
 *   run(data: { name: string }) {
 *     return `hello ${data.name}`;
 *   }
 * }
 *
 * await using server = new Server({ port: 0 });
 * server.bindAction("greet", new Greet("greeter"));
 * await server.start();
 *
 * await using client = new Client({ port: server.port });
 * await client.start();
 * assertEquals(await client.request("greet", { name: "Ada" }), "hello Ada");
 * ```
 *
 * @module
 */

export {
  type ActionInfo,
  Bind,
  type BindFor,
  type BindOf,
  type BindOptions,
  type ReturnFor,
  type Schema,
  type SchemaIssue,
  type SchemaResult,
} from "./actions.ts";
export type { Verdict } from "./admission.ts";
export type {
  BroadcastOptions,
  BroadcastOutcome,
  BroadcastRequestOptions,
  BroadcastResult,
} from "./broadcasts.ts";
export { Client } from "./client.ts";
export type {
  ClientOptions,
  ClientState,
  ConnectOptions,
  RetryInfo,
  SecureClientOptions,
  SessionLoss,
} from "./client_options.ts";
export {
  LineDecoder,
  type LineDecoderOptions,
  PacketDecoderStream,
  PacketEncoderStream,
} from "./codec.ts";
export { Connection } from "./connection.ts";
export type { ConnectionState } from "./conversation.ts";
export { ConnectionMap } from "./connection_map.ts";
export type {
  ActionFunction,
  ActionsOf,
  CloseInfo,
  CloseOptions,
  ConnectionStats,
  Contract,
  DataArguments,
  DataOf,
  Flipped,
  LoopInfo,
  NameOf,
  PacketTo,
  Peer,
  ReplyOf,
  RequestArguments,
  RequestOptions,
  SendOptions,
  Untyped,
} from "./contract.ts";
export {
  createEncryptKeys,
  type DecryptOptions,
  decryptPacket,
  EncryptKeys,
  type EncryptKeysOptions,
  encryptPacket,
  keyFingerprint,
  type SealedData,
} from "./crypto.ts";
export {
  ConnectionError,
  type ConnectionErrorCode,
  CryptoError,
  type CryptoErrorCode,
  ERROR_CODES,
  type ErrorCode,
  HandshakeError,
  type HandshakeErrorCode,
  PnetworkError,
  ProtocolError,
  type ProtocolErrorCode,
  type ProtocolErrorOptions,
  RequestError,
  type RequestErrorCode,
  type RequestErrorOptions,
} from "./errors.ts";
export { type Handshake, type LossReason, PROTOCOL_VERSION } from "./handshake.ts";
export { createIdentity, Identity } from "./identity.ts";
export {
  type ClientLimits,
  type ConnectionLimits,
  DEFAULTS,
  type Endpoint,
  type ServerLimits,
} from "./options.ts";
export {
  createPacket,
  type DecodeOptions,
  decodePacket,
  type ErrorData,
  type OutgoingPacket,
  type Packet,
  ReceivedPacket,
} from "./packet.ts";
export { sanitize } from "./sanitize.ts";
export { Server } from "./server.ts";
export type { Group, ServerOptions, StartOptions } from "./server_options.ts";
export type { StreamPair, TlsClientOptions, TlsServerOptions } from "./transport.ts";
export type { VolatilePolicy } from "./volatile_queue.ts";
export type { LostPacket, Undelivered } from "./window.ts";
