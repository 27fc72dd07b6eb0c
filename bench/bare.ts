/**
 * The floor: JSON lines on `Deno.Conn`, written by hand. A reply to what has an id, and all that came
 * with one read answered by one write. No limits, no checks, no token, no times.
 *
 * @module
 */

interface BarePacket {
  action: string;
  data: unknown;
  id?: number;
}

async function* barePackets(conn: Deno.Conn): AsyncGenerator<BarePacket[]> {
  const buffer = new Uint8Array(65_536);
  const decoder = new TextDecoder();
  let partial = "";
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) return;
    const text = decoder.decode(buffer.subarray(0, count), { stream: true });
    const lines = (partial + text).split("\n");
    partial = lines.pop()!;
    yield lines.map((line) => JSON.parse(line));
  }
}

async function writeText(conn: Deno.Conn, text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}

/** Answers whoever connects. */
export async function serveBare(listener: Deno.TcpListener): Promise<void> {
  for await (const conn of listener) answerBare(conn);
}

async function answerBare(conn: Deno.TcpConn): Promise<void> {
  conn.setNoDelay(true);
  for await (const packets of barePackets(conn)) {
    let replies = "";
    for (const { id, data } of packets) {
      if (id !== undefined) replies += JSON.stringify({ data, id }) + "\n";
    }
    if (replies !== "") await writeText(conn, replies);
  }
  conn.close();
}

/** The other side. */
export class BareClient implements Disposable {
  readonly #conn: Deno.TcpConn;
  readonly #packets: AsyncGenerator<BarePacket[]>;
  #lastId = 0;

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    this.#packets = barePackets(conn);
  }

  /** Connects. */
  static async connect(port: number): Promise<BareClient> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    conn.setNoDelay(true);
    return new BareClient(conn);
  }

  /** Sends so many requests, at most so many of them unanswered. */
  async exchange(data: unknown, count: number, inFlight: number): Promise<void> {
    let unsent = count;
    let unanswered = 0;
    let room = inFlight;
    while (unsent > 0 || unanswered > 0) {
      let text = "";
      for (; room > 0 && unsent > 0; room--, unsent--, unanswered++) {
        text += JSON.stringify({ action: "echo", data, id: ++this.#lastId }) + "\n";
      }
      if (text !== "") await writeText(this.#conn, text);
      const { value } = await this.#packets.next();
      unanswered -= value.length;
      room += value.length;
    }
  }

  /** Sends so many packets, and waits until the last one has been read. */
  async flood(data: unknown, count: number): Promise<void> {
    let text = "";
    for (let n = 0; n < count; n++) {
      text += JSON.stringify({ action: "note", data }) + "\n";
      if (text.length > 65_536) {
        await writeText(this.#conn, text);
        text = "";
      }
    }
    await writeText(this.#conn, text);
    await this.exchange(data, 1, 1);
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.#conn.close();
  }
}
