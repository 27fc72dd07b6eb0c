/**
 * What carries bytes: a socket, or any pair of streams.
 *
 * @module
 */

import { abortable } from "./abortable.ts";
import type { ResolvedEndpoint } from "./options.ts";
import { sanitize } from "./sanitize.ts";

/** The narrow face of whatever carries the bytes of one wire. */
export interface Transport {
  /** Where the other side is, for people. */
  readonly address: string;
  /** How many bytes have come that are of no use until more do. */
  readonly partialBytes?: number;
  /** Whether {@linkcode Transport.close} lets what was written arrive, and is an end like any other. */
  readonly closesInOrder?: boolean;
  /**
   * The next bytes, `null` at their end; none, if what came is of no use yet. They are valid until the
   * next call.
   */
  read(): Promise<Uint8Array | null>;
  /** Writes some of these bytes. Resolves to how many. From then on they are the caller's again. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends this side's bytes; the other side's may go on. */
  closeWrite(): Promise<void>;
  /** Ends everything at once, a pending read or write included. Calling it again does nothing. */
  close(): void;
}

/** What a server shows of itself with TLS: PEM texts. */
export interface TlsServerOptions {
  /** Its certificate, followed by those that vouch for it. */
  cert: string;
  /** The certificate's private key (PKCS #8, PKCS #1 or SEC1). */
  key: string;
}

/** How a client knows a server with TLS. */
export interface TlsClientOptions {
  /**
   * Certificates of authorities (PEM) that are trusted besides those that the runtime brings
   * (Mozilla's; `DENO_TLS_CA_STORE=system` takes the system's). A self-signed certificate may
   * stand here itself, if it says that it is no authority (`CA:FALSE`).
   *
   * @default {[]}
   */
  caCerts?: string[];
  /**
   * The name that the server's certificate must hold.
   *
   * @default {host}
   */
  hostname?: string;
}

/** A readable and a writable stream of bytes that belong together. */
export interface StreamPair {
  /** What arrives. */
  readable: ReadableStream<Uint8Array>;
  /** What is sent. */
  writable: WritableStream<Uint8Array>;
}

const MIN_READ_BYTES = 1_024;
const MAX_READ_BYTES = 65_536;
/** How long a connection that is not wanted any more may take to come about, so that it can be closed. */
const HANG_UP_MS = 250;
/** So many small reads in a row give a grown buffer back. */
const SMALL_READS = 16;

/** The transport over a socket. */
export class SocketTransport implements Transport {
  readonly address: string;
  readonly closesInOrder: boolean;
  readonly #conn: Deno.Conn;
  // Idle connections must be cheap and busy ones fast: the buffer follows what is read.
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(MIN_READ_BYTES);
  #smallReads = 0;
  #closed = false;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.address = addressText(conn.remoteAddr, conn.localAddr);
    // Without a word of its own the end of TLS is taken for a cut.
    this.closesInOrder = !("handshake" in conn);
    if ("setNoDelay" in conn) {
      const tcp = conn as Deno.TcpConn;
      // One write a turn is coalesced already; Nagle's algorithm would only hold it back.
      tcp.setNoDelay(true);
      tcp.setKeepAlive(true);
    }
  }

  read(): Promise<Uint8Array | null> {
    // Most connections wait here: an async function would keep a good deal more for each of them.
    return this.#conn.read(this.#buffer).then(this.#took);
  }

  readonly #took = (count: number | null): Uint8Array | null => {
    if (count === null) return null;
    const chunk = this.#buffer.subarray(0, count);
    if (count === this.#buffer.length && count < MAX_READ_BYTES) {
      this.#buffer = new Uint8Array(count * 4);
      this.#smallReads = 0;
    } else if (count > MIN_READ_BYTES) {
      this.#smallReads = 0;
    } else if (this.#buffer.length > MIN_READ_BYTES && ++this.#smallReads >= SMALL_READS) {
      this.#buffer = new Uint8Array(MIN_READ_BYTES);
      this.#smallReads = 0;
    }
    return chunk;
  };

  write(bytes: Uint8Array): Promise<number> {
    return this.#conn.write(bytes);
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }
}

/** The transport over any pair of streams: a child process, a pair in memory. */
export class StreamTransport implements Transport {
  readonly address = "stream";
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor(pair: StreamPair) {
    this.#reader = pair.readable.getReader();
    this.#writer = pair.writable.getWriter();
    // It shows in the next write as well; here nobody would be looking.
    this.#writer.closed.catch(() => {});
    this.#reader.closed.catch(() => {});
  }

  async read(): Promise<Uint8Array | null> {
    const { done, value } = await this.#reader.read();
    return done ? null : value;
  }

  async write(bytes: Uint8Array): Promise<number> {
    // A stream may keep what it was given for as long as it likes.
    await this.#writer.write(bytes.slice());
    return bytes.length;
  }

  closeWrite(): Promise<void> {
    return this.#writer.close();
  }

  close(): void {
    // Both streams are being thrown away: how they take it changes nothing any more.
    this.#reader.cancel().catch(() => {});
    this.#writer.abort().catch(() => {});
  }
}

/** An address as people write it. */
export function addressText(addr: Deno.Addr, local?: Deno.Addr): string {
  if ("hostname" in addr) {
    const host = addr.hostname.includes(":") ? `[${addr.hostname}]` : addr.hostname;
    return `${host}:${addr.port}`;
  }
  // The accepting side of a Unix socket sees a path of the other one's only if that was bound to one.
  if ("path" in addr) {
    return `unix:${sanitize(addr.path ?? (local && "path" in local ? local.path : ""))}`;
  }
  return "unknown";
}

/** An endpoint as people write it. */
export function endpointText(endpoint: ResolvedEndpoint): string {
  if ("path" in endpoint) return `unix:${endpoint.path}`;
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return `${host}:${endpoint.port}`;
}

/**
 * Connects to an endpoint.
 *
 * @throws What the platform throws, or the signal's reason.
 */
export async function connect(
  endpoint: ResolvedEndpoint,
  signal: AbortSignal,
): Promise<Deno.Conn> {
  requireDeno();
  signal.throwIfAborted();
  const hangUp = new AbortController();
  const connecting: Promise<Deno.Conn> = "path" in endpoint
    ? Deno.connect({ transport: "unix", path: endpoint.path })
    : Deno.connect({ hostname: endpoint.host, port: endpoint.port, signal: hangUp.signal });
  try {
    return await abortable(connecting, signal);
  } catch (error) {
    // Deno.connect never closes a socket that comes in the turn of its abort: it is given time to come.
    const timer = setTimeout(() => hangUp.abort(), HANG_UP_MS);
    await connecting.then((conn) => conn.close(), () => {});
    clearTimeout(timer);
    throw error;
  }
}

/** Encrypts a connection of a client, and makes sure of the server. Closes it when that fails. */
export async function startTls(
  conn: Deno.Conn,
  { caCerts = [], hostname }: TlsClientOptions,
  signal: AbortSignal,
): Promise<Deno.Conn> {
  const tcp = conn as Deno.TcpConn;
  try {
    // What comes of it does not offer this any more.
    tcp.setNoDelay(true);
    tcp.setKeepAlive(true);
  } catch (error) {
    // It was gone before it was looked at.
    tcp.close();
    throw error;
  }
  const tls = await Deno.startTls(tcp, { caCerts, hostname });
  try {
    await abortable(tls.handshake(), signal);
    return tls;
  } catch (error) {
    tls.close();
    throw error;
  }
}

/**
 * Listens on an endpoint. The file of a Unix socket that nobody listens on any more is replaced.
 *
 * @throws What the platform throws.
 */
export async function listen(endpoint: ResolvedEndpoint): Promise<Deno.Listener> {
  requireDeno();
  if (!("path" in endpoint)) {
    return Deno.listen({ hostname: endpoint.host, port: endpoint.port });
  }
  const { path } = endpoint;
  try {
    return Deno.listen({ transport: "unix", path });
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse) || !await isAbandoned(path)) throw error;
    await Deno.remove(path);
    return Deno.listen({ transport: "unix", path });
  }
}

/** Whether this is the socket of a process that went away without removing it. */
async function isAbandoned(path: string): Promise<boolean> {
  try {
    if (!(await Deno.lstat(path)).isSocket) return false;
    (await Deno.connect({ transport: "unix", path })).close();
    return false;
  } catch (error) {
    return error instanceof Deno.errors.ConnectionRefused;
  }
}

function requireDeno(): void {
  if (!("Deno" in globalThis)) {
    throw new TypeError("pnetwork needs Deno to open sockets: run this program with `deno run`");
  }
}
