/**
 * The floor: JSON lines on `Deno.Conn`, written by hand. A reply to what has an id, and all that came
 * with one read answered by one write, or by several of 4 KiB: so both sides work at a time. No limits,
 * no checks, and unless it is told to stamp its lines, no token and no times.
 *
 * @module
 */

interface BarePacket {
  action: string;
  data: unknown;
  id?: number;
}

/** What a bare server is to send to everybody at once. */
interface BareBurst {
  packets: number;
  data: unknown;
}

const MIN_BUFFER_BYTES = 1_024;
const MAX_BUFFER_BYTES = 65_536;
/** A flood writes when so much of it waits. */
const BATCH_LENGTH = 65_536;
/** Replies are written when so much of them waits. */
const EARLY_LENGTH = 4_096;
const LINE_FEED = 10;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

let encode = (packet: Partial<BarePacket>): string => JSON.stringify(packet) + "\n";
let isStamped = false;

/**
 * From now on each line of this process holds what the line of a packet does as well: a name, a time, a
 * token and two numbers. Nobody looks at them.
 */
export function stampBare(): void {
  const token = crypto.randomUUID();
  let seq = 0;
  let json = "";
  let encoded: unknown;
  isStamped = true;
  encode = ({ action = "reply", data, id }) => {
    // What is broadcast is stringified once.
    if (data !== encoded) json = JSON.stringify(encoded = data);
    const numbers = id === undefined ? `"seq":${++seq}` : `"id":${id},"seq":${++seq}`;
    const stamp = `"packet-created":${Date.now()},"token":"${token}",${numbers},"ack":${seq}`;
    return `{"action":${JSON.stringify(action)},"data":${json},${stamp}}\n`;
  };
}

/** Reads until the end, and hands over what came with each read. */
async function readPackets(
  conn: Deno.Conn,
  take: (packets: BarePacket[]) => Promise<void> | void,
): Promise<void> {
  let buffer = new Uint8Array(MIN_BUFFER_BYTES);
  let used = 0;
  for (;;) {
    const count = await conn.read(used === 0 ? buffer : buffer.subarray(used));
    if (count === null) return;
    used += count;
    const isFull = used === buffer.length;
    const end = buffer.lastIndexOf(LINE_FEED, used - 1) + 1;
    if (end > 0) {
      const text = decoder.decode(buffer.subarray(0, end));
      const packets: BarePacket[] = [];
      for (let from = 0, to; (to = text.indexOf("\n", from)) >= 0; from = to + 1) {
        packets.push(JSON.parse(text.slice(from, to)));
      }
      if (end < used) buffer.copyWithin(0, end, used);
      used -= end;
      const taken = take(packets);
      if (taken) await taken;
    }
    if (isFull && (buffer.length < MAX_BUFFER_BYTES || used === buffer.length)) {
      const larger = new Uint8Array(buffer.length * 4);
      larger.set(buffer.subarray(0, used));
      buffer = larger;
    }
  }
}

async function writeText(conn: Deno.Conn, text: string): Promise<void> {
  await writeBytes(conn, encoder.encode(text));
}

/** So little that a socket takes it at once, so that writes never overlap. */
function writeSmall(conn: Deno.Conn, text: string): void {
  writeText(conn, text);
}

async function writeBytes(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await conn.write(at === 0 ? bytes : bytes.subarray(at));
  }
}

/** Answers whoever connects. */
export async function serveBare(listener: Deno.TcpListener): Promise<void> {
  const conns = new Set<Deno.TcpConn>();
  for await (const conn of listener) answerBare(conn, conns);
}

async function answerBare(conn: Deno.TcpConn, conns: Set<Deno.TcpConn>): Promise<void> {
  conn.setNoDelay(true);
  conns.add(conn);
  let handled = 0;
  let last: unknown;
  await readPackets(conn, (packets) => {
    let replies = "";
    for (const { action, data, id } of packets) {
      if (action === "note") {
        handled++;
        last = data;
      } else if (action === "burst") {
        broadcastBare(conns, data as BareBurst);
      } else if (action === "count") {
        replies += encode({ data: { handled, last }, id });
        handled = 0;
      } else {
        replies += encode({ data, id });
      }
      if (replies.length < EARLY_LENGTH) continue;
      writeSmall(conn, replies);
      replies = "";
    }
    if (replies !== "") return writeText(conn, replies);
  });
  conns.delete(conn);
  conn.close();
}

/** All packets in one write for each client. Unless they are stamped, it is the same for all. */
function broadcastBare(conns: Set<Deno.TcpConn>, { packets, data }: BareBurst): void {
  let bytes: Uint8Array | undefined;
  for (const conn of conns) {
    if (!bytes || isStamped) bytes = encodeBurst(packets, data);
    writeBytes(conn, bytes);
  }
}

function encodeBurst(packets: number, data: unknown): Uint8Array {
  let text = "";
  for (let n = 0; n < packets; n++) text += encode({ action: "tick", data });
  return encoder.encode(text);
}

/** The other side. */
export class BareClient implements Disposable {
  readonly #conn: Deno.TcpConn;
  readonly #hear: (data: unknown) => void;
  readonly #waiting = new Map<number, (data: unknown) => void>();
  #takeReplies: ((packets: BarePacket[]) => Promise<void> | void) | undefined;
  #unsent = "";
  #lastId = 0;

  private constructor(conn: Deno.TcpConn, hear: (data: unknown) => void) {
    this.#conn = conn;
    this.#hear = hear;
    readPackets(conn, (packets) => (this.#takeReplies ?? this.#take)(packets)).catch((error) => {
      // A pending read ends when this side closes.
      if (!(error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.BadResource)) {
        throw error;
      }
    });
  }

  /**
   * Connects.
   *
   * @param hear Is given what is broadcast.
   */
  static async connect(
    port: number,
    hear: (data: unknown) => void = () => {},
  ): Promise<BareClient> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    conn.setNoDelay(true);
    return new BareClient(conn, hear);
  }

  /** Asks, and writes all that is asked in one turn at once. */
  request(action: string, data: unknown): Promise<unknown> {
    const id = ++this.#lastId;
    this.send({ action, data, id });
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  /** Sends a packet with all others of this turn. */
  send(packet: BarePacket): void {
    if (this.#unsent === "") {
      queueMicrotask(() => {
        const text = this.#unsent;
        this.#unsent = "";
        writeSmall(this.#conn, text);
      });
    }
    this.#unsent += encode(packet);
  }

  /**
   * Asks by hand: for each batch of replies one write with as many requests, and no promise for any.
   *
   * @param next Is asked after each reply, with the reply, whether another request is to follow.
   * @returns How many there were.
   */
  exchange(data: unknown, inFlight: number, next: (reply: unknown) => boolean): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    let expected = this.#lastId + 1;
    const first = expected;
    let isOver = false;
    const ask = (count: number) => {
      let text = "";
      for (let n = 0; n < count; n++) {
        text += encode({ action: "echo", data, id: ++this.#lastId });
      }
      return writeText(this.#conn, text);
    };
    this.#takeReplies = (packets) => {
      for (const { id, data } of packets) {
        if (id !== expected++) {
          throw new Error(`the reply to ${id} came for that to ${expected - 1}`);
        }
        isOver = !next(data) || isOver;
      }
      if (!isOver) return ask(packets.length);
      if (expected <= this.#lastId) return;
      this.#takeReplies = undefined;
      resolve(expected - first);
    };
    ask(inFlight);
    return promise;
  }

  /**
   * Sends packets that nobody answers, and writes whenever a batch of them is full.
   *
   * @param isEnough Is asked after each 64.
   * @returns How many there were.
   */
  async flood(data: unknown, isEnough: (sent: number) => boolean): Promise<number> {
    let sent = 0;
    let text = "";
    while (!isEnough(sent)) {
      for (let n = 0; n < 64; n++) {
        text += encode({ action: "note", data });
        if (text.length < BATCH_LENGTH) continue;
        await writeText(this.#conn, text);
        text = "";
      }
      sent += 64;
    }
    await writeText(this.#conn, text);
    return sent;
  }

  #take = (packets: BarePacket[]): void => {
    for (const { id, data } of packets) {
      if (id === undefined) {
        this.#hear(data);
        continue;
      }
      this.#waiting.get(id)!(data);
      this.#waiting.delete(id);
    }
  };

  /** Closes it. */
  [Symbol.dispose](): void {
    this.#conn.close();
  }
}
