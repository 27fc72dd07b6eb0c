import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { SocketTransport } from "../../transport.ts";

/** A socket that brings as much as it is told to, in whatever room it is given. */
class FakeConn {
  readonly localAddr: Deno.Addr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  readonly remoteAddr: Deno.Addr = { transport: "tcp", hostname: "127.0.0.1", port: 2 };
  /** How much room it was given, each time. */
  readonly rooms: number[] = [];
  /** How much comes next: as much as there is room for, at most; `null` is the end. */
  next: number | null | Error = Infinity;
  closes = 0;

  // deno-lint-ignore require-await -- as the real one is: what fails rejects
  async read(buffer: Uint8Array): Promise<number | null> {
    this.rooms.push(buffer.length);
    if (this.next instanceof Error) throw this.next;
    if (this.next === null) return null;
    const count = Math.min(this.next, buffer.length);
    buffer.subarray(0, count).fill(this.rooms.length);
    return count;
  }

  close(): void {
    this.closes++;
  }
}

function makeTransport() {
  const conn = new FakeConn();
  const transport = new SocketTransport(conn as unknown as Deno.Conn);
  /** Reads what comes next. Returns how much that was. */
  const read = async (next: number) => {
    conn.next = next;
    return (await transport.read())?.length;
  };
  return { conn, transport, read };
}

Deno.test("what was read is what came, no more and no less", async () => {
  const { conn, transport } = makeTransport();
  for (const count of [1, 700, 1_024, 5_000, 0]) {
    conn.next = count;
    const chunk = await transport.read();
    const came = Math.min(count, conn.rooms.at(-1)!);
    assertEquals(chunk, new Uint8Array(came).fill(conn.rooms.length));
  }
});

Deno.test("room to read into grows while it is filled, up to 64 KiB", async () => {
  const { conn, read } = makeTransport();
  for (let time = 0; time < 6; time++) await read(Infinity);
  assertEquals(conn.rooms, [1_024, 4_096, 16_384, 65_536, 65_536, 65_536]);
});

Deno.test("what was read stays as it is while the room for the next grows", async () => {
  const { conn, transport } = makeTransport();
  const chunk = await transport.read();
  assertEquals([conn.rooms, chunk], [[1_024], new Uint8Array(1_024).fill(1)]);
});

Deno.test("room that is not filled stays, and is given back after sixteen small reads in a row", async () => {
  const { conn, read } = makeTransport();
  await read(Infinity);
  // One that is larger begins the count again.
  for (const [count, times] of [[1_024, 15], [1_025, 1], [1, 15], [4_095, 3], [10, 16]]) {
    for (let time = 0; time < times; time++) await read(count);
  }
  assertEquals(new Set(conn.rooms.slice(1)), new Set([4_096]));
  await read(10);
  assertEquals(conn.rooms.at(-1), 1_024);
  // And it grows again.
  await read(Infinity);
  await read(10);
  assertEquals(conn.rooms.slice(-2), [1_024, 4_096]);
});

Deno.test("small reads into a small room change nothing", async () => {
  const { conn, read } = makeTransport();
  for (let time = 0; time < 40; time++) assertEquals(await read(10), 10);
  assertEquals(new Set(conn.rooms), new Set([1_024]));
});

Deno.test("the end is null, and a failure rejects with what the socket says", async () => {
  const { conn, transport } = makeTransport();
  conn.next = null;
  assertEquals(await transport.read(), null);
  const reset = conn.next = new Deno.errors.ConnectionReset("reset");
  assertStrictEquals(await assertRejects(() => transport.read()), reset);
});

Deno.test("the end of TLS has to be told before the socket is closed, that of others has not", () => {
  const plain = new FakeConn();
  const tls = Object.assign(new FakeConn(), { handshake: () => Promise.resolve({}) });
  const [one, other] = [plain, tls].map((conn) =>
    new SocketTransport(conn as unknown as Deno.Conn).closesInOrder
  );
  assertEquals([one, other], [true, false]);
});

Deno.test("a socket is closed once, however often that is asked for", () => {
  const { conn, transport } = makeTransport();
  for (let time = 0; time < 3; time++) transport.close();
  assertEquals(conn.closes, 1);
});
