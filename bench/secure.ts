/**
 * What encryption costs: packets one way over loopback to a server in another process, over a plain, a secure
 * and a TLS wire; over the plain wire with nothing but AES-256-GCM added; and in loops that are written by
 * hand. Then the time until a client is connected.
 *
 * @module
 */

import { ActionTable } from "../actions.ts";
import { acceptConnection, type Connection } from "../connection.ts";
import { Client, type ClientOptions, createIdentity, DEFAULTS, Server } from "../mod.ts";
import { ReplayBudget } from "../replay_budget.ts";
import { Sweep } from "../sweep.ts";
import { SocketTransport } from "../transport.ts";
import { Wire } from "../wire.ts";
import { type Gcm, GcmOpener, GcmSealer, GcmTransport, NODE, WEB } from "./gcm.ts";
import {
  type Contender,
  Helper,
  inputLines,
  median,
  printTable,
  ratio,
  readings,
  takeRounds,
  whole,
} from "./measure.ts";

const DATA = readings(100);
/** Many short rounds, as what else the machine does comes and goes. */
const ROUNDS = 41;
const PACKETS = 10_000;
const HANDSHAKES = 10;
/** As long as any other. */
const TOKEN = "00000000-0000-4000-8000-000000000000";
const FLUSH_BYTES = 65_536;

const certificate = {
  cert: await Deno.readTextFile(new URL("../tests/support/certs/one.cert.pem", import.meta.url)),
  key: await Deno.readTextFile(new URL("../tests/support/certs/one.key.pem", import.meta.url)),
};

interface Ports {
  plain: number;
  secure: number;
  tls: number;
  web: number;
  node: number;
  hand: number;
  handWeb: number;
  handNode: number;
  pin: string;
}

if (Deno.args[0] === "serve") await serve();
else await measure();

/** What both ends of a connection of ours are when nobody shakes hands. */
function withGcm(conn: Deno.TcpConn, gcm: Gcm, actions: ActionTable): Connection {
  const sweep = new Sweep();
  const transport = new GcmTransport(new SocketTransport(conn), gcm);
  const wire = new Wire(transport, { limits: DEFAULTS, sweep });
  const connection: Connection = acceptConnection({
    id: TOKEN,
    token: TOKEN,
    wire,
    sweep,
    limits: DEFAULTS,
    peerLimits: DEFAULTS,
    budget: new ReplayBudget(DEFAULTS.maxReplayBytes),
    hasSession: true,
    actions,
    onEnd: () => {},
  });
  connection.startListen();
  return connection;
}

async function serve(): Promise<void> {
  const identity = await createIdentity();
  const actions = new ActionTable();
  let notes = 0;
  const note = () => void notes++;
  const count = () => notes;
  actions.bind("note", note);
  actions.bind("count", count);
  const kinds = [{}, { secure: identity }, { tls: certificate }];
  const servers = kinds.map((kind) => new Server({ port: 0, ...kind }));
  for (const server of servers) {
    await server.bindAction("note", note).bindAction("count", count).start();
  }
  const [plain, secure, tls] = servers.map(({ port }) => port);
  const ports: Ports = {
    plain,
    secure,
    tls,
    web: listen((conn) => withGcm(conn, WEB, actions)),
    node: listen((conn) => withGcm(conn, NODE, actions)),
    hand: listen((conn) => answerByHand(conn, undefined)),
    handWeb: listen((conn) => answerByHand(conn, new GcmOpener(WEB))),
    handNode: listen((conn) => answerByHand(conn, new GcmOpener(NODE))),
    pin: identity.fingerprint,
  };
  console.log(JSON.stringify(ports));
  for await (const _ of inputLines());
  Deno.exit();
}

function listen(accept: (conn: Deno.TcpConn) => unknown): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  (async () => {
    for await (const conn of listener) {
      conn.setNoDelay(true);
      accept(conn);
    }
  })();
  return listener.addr.port;
}

async function measure(): Promise<void> {
  await using helper = new Helper(import.meta.url, ["serve"], ["--allow-read"]);
  const ports = await helper.next<Ports>();
  const kinds: Record<string, ClientOptions> = {
    plain: { port: ports.plain },
    secure: { port: ports.secure, secure: { pin: ports.pin } },
    TLS: { port: ports.tls, tls: { caCerts: [certificate.cert] } },
  };
  const clients = Object.fromEntries(
    Object.entries(kinds).map(([name, options]) => [name, new Client(options)]),
  );
  for (const client of Object.values(clients)) await client.start();
  const web = withGcm(await connect(ports.web), WEB, new ActionTable());
  const node = withGcm(await connect(ports.node), NODE, new ActionTable());
  const byHand = await connect(ports.hand);
  const byHandWeb = await connect(ports.handWeb);
  const byHandNode = await connect(ports.handNode);

  const figures = await takeRounds(
    {
      "secure wire": flood(clients.secure),
      "plain wire": flood(clients.plain),
      "TLS wire": flood(clients.TLS),
      "plain wire + AES-256-GCM by Web Cryptography": flood(web),
      "plain wire + AES-256-GCM by node:crypto": flood(node),
      "by hand": floodByHand(byHand, undefined),
      "by hand + AES-256-GCM by Web Cryptography": floodByHand(byHandWeb, new GcmSealer(WEB)),
      "by hand + AES-256-GCM by node:crypto": floodByHand(byHandNode, new GcmSealer(NODE)),
    },
    "rate",
    ROUNDS,
  );
  printTable(
    ["one way", "packets/s", "the secure wire to it"],
    Object.entries(figures).map(([name, rates]) => [
      name,
      whole(median(rates)),
      ratio(figures["secure wire"], rates).toFixed(2),
    ]),
  );

  const times = await takeRounds(
    Object.fromEntries(Object.entries(kinds).map(([name, options]) => [name, starts(options)])),
    "ms",
    ROUNDS,
  );
  printTable(
    ["until start() resolves", "ms"],
    Object.entries(times).map(([name, rounds]) => [name, median(rounds).toFixed(2)]),
  );
  for (const client of Object.values(clients)) await client.close();
  for (const connection of [web, node]) await connection.close();
  for (const conn of [byHand, byHandWeb, byHandNode]) conn.close();
}

async function connect(port: number): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay(true);
  return conn;
}

/** Each packet awaited, until the server has handled the last one. */
function flood(sender: Pick<Connection, "sendPacket" | "request">): Contender {
  return async () => {
    const start = performance.now();
    for (let n = 0; n < PACKETS; n++) await sender.sendPacket({ action: "note", data: DATA });
    await sender.request("count");
    return { rate: PACKETS / (performance.now() - start) * 1_000 };
  };
}

function starts(options: ClientOptions): Contender {
  return async () => {
    let ms = 0;
    for (let n = 0; n < HANDSHAKES; n++) {
      const client = new Client(options);
      const start = performance.now();
      await client.start();
      ms += performance.now() - start;
      await client.close();
    }
    return { ms: ms / HANDSHAKES };
  };
}

/** The same lines, a flush as large as ours, and one byte back when all have been parsed. */
function floodByHand(conn: Deno.TcpConn, sealer: GcmSealer | undefined): Contender {
  const encoder = new TextEncoder();
  const write = async (text: string) => {
    const bytes = encoder.encode(text);
    const all = sealer ? await sealer.seal(bytes) : bytes;
    for (let at = 0; at < all.length;) at += await conn.write(all.subarray(at));
  };
  return async () => {
    const start = performance.now();
    let text = "";
    for (let seq = 1; seq <= PACKETS; seq++) {
      const created = Date.now();
      const packet = { action: "note", data: DATA, "packet-created": created, token: TOKEN, seq };
      text += JSON.stringify(packet) + "\n";
      if (text.length > FLUSH_BYTES) {
        await write(text);
        text = "";
      }
    }
    if (text !== "") await write(text);
    await conn.read(new Uint8Array(1));
    return { rate: PACKETS / (performance.now() - start) * 1_000 };
  };
}

async function answerByHand(conn: Deno.TcpConn, opener: GcmOpener | undefined): Promise<void> {
  const buffer = new Uint8Array(65_536);
  const decoder = new TextDecoder();
  let partial = "";
  let parsed = 0;
  const take = (bytes: Uint8Array) => {
    const lines = (partial + decoder.decode(bytes, { stream: true })).split("\n");
    partial = lines.pop()!;
    for (const line of lines) if (JSON.parse(line).action === "note") parsed++;
  };
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) break;
    const chunk = buffer.subarray(0, count);
    if (opener) {
      opener.push(chunk);
      for (let text = await opener.open(); text; text = await opener.open()) take(text);
    } else {
      take(chunk);
    }
    if (parsed >= PACKETS) {
      parsed -= PACKETS;
      await conn.write(Uint8Array.of(1));
    }
  }
  conn.close();
}
