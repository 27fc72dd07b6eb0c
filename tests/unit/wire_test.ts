import {
  assert,
  assertEquals,
  assertFalse,
  assertLess,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { ConnectionError, type PnetworkError, ProtocolError } from "../../errors.ts";
import { type ConnectionLimits, resolveConnectionLimits } from "../../options.ts";
import { Sweep } from "../../sweep.ts";
import type { Transport } from "../../transport.ts";
import { Wire } from "../../wire.ts";
import { bytes } from "../support/bytes.ts";
import { FakeTime } from "../support/fake_time.ts";
import { collectGarbage } from "../support/garbage.ts";
import { settle } from "../support/wait.ts";

/** Takes what is written when it is told to, and says nothing itself. */
class SlowTransport implements Transport {
  readonly address = "memory";
  /** What it was given and has not taken. */
  offered: Uint8Array | undefined;
  taken = "";
  #take: PromiseWithResolvers<number> | undefined;
  readonly #closed = Promise.withResolvers<null>();

  read(): Promise<Uint8Array | null> {
    return this.#closed.promise;
  }

  write(bytes: Uint8Array): Promise<number> {
    this.offered = bytes;
    this.#take = Promise.withResolvers();
    return this.#take.promise;
  }

  /** Takes so many bytes of what was offered: all, unless it is told how many. */
  async take(count = this.offered?.length ?? 0): Promise<void> {
    this.taken += new TextDecoder().decode(this.offered!.subarray(0, count));
    this.offered = undefined;
    this.#take!.resolve(count);
    await settle();
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#closed.resolve(null);
    this.#take?.resolve(0);
  }
}

function makeWire(limits: ConnectionLimits = {}) {
  const transport = new SlowTransport();
  const wire = new Wire(transport, {
    limits: resolveConnectionLimits({ stallTimeoutMs: false, ...limits }),
    sweep: new Sweep(),
  });
  return { transport, wire };
}

/** A line of so many bytes with its end. */
function lineOf(length: number, char = "x"): string {
  const size = bytes(char).length;
  const room = length - 1;
  return char.repeat(room / size) + "x".repeat(room % size);
}

Deno.test("lines are counted as they are queued, and as they are offered, all of a turn at once", async () => {
  const { transport, wire } = makeWire();
  const counts = () => [wire.linesQueued, wire.linesOffered];
  assertEquals(counts(), [0, 0]);
  for (const line of ["one", "zwölf", ""]) wire.write(line);
  // Nothing was given to the transport in this turn.
  assertEquals([...counts(), transport.offered], [3, 0, undefined]);
  await settle();
  assertEquals(counts(), [3, 3]);
  for (const line of ["four", "five"]) wire.write(line);
  await settle();
  // What waits for the write that is under way may not have reached anybody.
  assertEquals(counts(), [5, 3]);
  await transport.take(4);
  assertEquals([...counts(), transport.taken], [5, 3, "one\n"]);
  await transport.take();
  assertEquals(counts(), [5, 5]);
  await transport.take();
  assertEquals([...counts(), transport.taken], [5, 5, "one\nzwölf\n\nfour\nfive\n"]);
  wire.abort();
  wire.write("too late");
  assertEquals(counts(), [5, 5]);
});

Deno.test("what makes a write of its own may be written before the turn ends, the rest together", async () => {
  const { transport, wire } = makeWire();
  const line = lineOf(1_000);
  wire.writeEarly();
  for (let n = 0; n < 4; n++) wire.write(line);
  wire.writeEarly();
  // Too little for one of its own.
  assertEquals([transport.offered, wire.linesOffered], [undefined, 0]);
  for (let n = 0; n < 2; n++) wire.write(line);
  wire.writeEarly();
  assertEquals([transport.offered?.length, wire.linesOffered], [6_000, 6]);
  for (let n = 0; n < 20; n++) wire.write(line);
  wire.writeEarly();
  assertEquals(wire.linesOffered, 6);
  await transport.take();
  assertEquals([transport.offered?.length, wire.linesOffered], [20_000, 26]);
  await transport.take();
  assertEquals(transport.taken, `${line}\n`.repeat(26));
  wire.abort();
});

Deno.test("the first line goes out at once, and what follows without a pause together", async () => {
  const { transport, wire } = makeWire();
  const writes: number[] = [];
  transport.write = (bytes) => {
    writes.push(bytes.length);
    return Promise.resolve(bytes.length);
  };
  // Like a sender that awaits each packet, and never has to wait.
  for (let n = 0; n < 1_000; n++) {
    wire.write("0123456");
    await undefined;
  }
  assertLess(writes[0], 80);
  await settle();
  assertEquals([writes.length, wire.bytesWritten], [2, 8_000]);
  await wire.end();
});

Deno.test("what waits is exact to the byte, as text, as bytes, and in part written", async () => {
  for (const char of ["x", "é", "€", "😀"]) {
    const { transport, wire } = makeWire();
    wire.write(lineOf(100, char));
    const bound = 3 * (lineOf(100, char).length + 1);
    assertEquals([wire.maxBuffered, wire.buffered, wire.maxBuffered], [bound, 100, 100], char);
    await settle();
    assertEquals([wire.maxBuffered, wire.buffered], [100, 100]);
    wire.write(lineOf(50, char));
    assert(wire.maxBuffered >= 150);
    assertEquals(wire.buffered, 150);
    await transport.take(30);
    assertEquals([wire.buffered, wire.maxBuffered], [120, 120]);
    await transport.take();
    await transport.take();
    assertEquals([wire.buffered, wire.maxBuffered, wire.bytesWritten], [0, 0, 150]);
    wire.abort();
  }
});

Deno.test("a wire that has ended holds nothing", async () => {
  const { wire } = makeWire();
  wire.write("one");
  await settle();
  wire.write("two");
  wire.abort();
  assertEquals([wire.buffered, wire.maxBuffered, wire.isCongested], [0, 0, false]);
  await wire.closed;
});

Deno.test("a wire is congested above 64 KiB or a half of what may wait, to the byte, whatever the text", async () => {
  for (const [maxBufferedBytes, mark] of [[8_388_608, 65_536], [20_000, 10_000]]) {
    for (const char of ["x", "é", "€", "😀"]) {
      for (const more of [0, 1]) {
        const { transport, wire } = makeWire({ maxBufferedBytes });
        // In two lines, of which one waits as bytes and one as text.
        wire.write(lineOf(6_000, char));
        await settle();
        wire.write(lineOf(mark - 6_000 + more, char));
        assertEquals(wire.isCongested, more === 1, `${mark} + ${more} of ${char}`);
        assertEquals(wire.buffered, mark + more);
        await transport.take(more);
        assertFalse(wire.isCongested);
        wire.abort();
      }
    }
  }
});

Deno.test("there is room as soon as no more waits than may, and at the end of the wire", async () => {
  const { transport, wire } = makeWire();
  let rooms = 0;
  const wait = () => void wire.room().then(() => rooms++);
  wait();
  await settle();
  assertEquals(rooms, 1);
  wire.write(lineOf(40_000));
  await settle();
  wire.write(lineOf(40_000, "é"));
  wait();
  await settle();
  assertEquals([rooms, wire.isCongested], [1, true]);
  await transport.take();
  assertEquals([rooms, wire.isCongested], [2, false]);
  wire.write(lineOf(40_000));
  wait();
  await settle();
  assertEquals(rooms, 2);
  wire.abort();
  await settle();
  assertEquals(rooms, 3);
});

// Faults, and ends

/** Says what it is told to, and takes what is written, or fails to. */
class ScriptedTransport implements Transport {
  readonly address = "memory";
  closesInOrder = false;
  written = "";
  /** What writing fails with, if it does. */
  writeFailure: Error | undefined;
  closes = 0;
  /** How often its output was ended while it was open. */
  halfCloses = 0;
  #reading = Promise.withResolvers<void>();
  readonly #next: (Uint8Array | null | Error)[] = [];

  /** What comes: bytes, their end, or a failure. */
  put(next: string | Uint8Array | null | Error): void {
    this.#next.push(typeof next === "string" ? bytes(next) : next);
    this.#reading.resolve();
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#next.length === 0) await this.#reading.promise;
    this.#reading = Promise.withResolvers();
    const next = this.#next.shift() ?? null;
    if (next instanceof Error) throw next;
    return next;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await Promise.resolve();
    if (this.writeFailure) throw this.writeFailure;
    this.written += new TextDecoder().decode(bytes);
    return bytes.length;
  }

  closeWrite(): Promise<void> {
    if (this.closes === 0) this.halfCloses++;
    return Promise.resolve();
  }

  close(): void {
    this.closes++;
    this.put(null);
  }
}

/** A wire over one, with someone who holds it or not, and what they are told. */
function makeScripted({ isHeld = true, ...limits }: ConnectionLimits & { isHeld?: boolean } = {}) {
  const transport = new ScriptedTransport();
  const wire = new Wire(transport, {
    limits: resolveConnectionLimits({ stallTimeoutMs: false, ...limits }),
    sweep: new Sweep(),
  });
  const faults: PnetworkError[] = [];
  if (isHeld) wire.holder = { fault: (error) => void faults.push(error), beforeWrite: () => {} };
  return { transport, wire, faults };
}

Deno.test("a write that fails ends the wire, and whoever holds it is told why, once", async () => {
  const { transport, wire, faults } = makeScripted();
  transport.writeFailure = new Error("broken pipe");
  wire.write("one");
  await settle();
  assertEquals(faults.map(({ code, cause }) => [code, cause]), [
    ["CONNECTION_LOST", transport.writeFailure],
  ]);
  assertEquals([transport.closes, wire.buffered], [1, 0]);
  await wire.closed;
  wire.write("two");
  await settle();
  assertEquals([faults.length, transport.closes, transport.written], [1, 1, ""]);
  assertStrictEquals(await assertRejects(() => wire.read()), faults[0]);
});

Deno.test("whoever holds a wire that has ended holds nothing by it of what came in", async () => {
  const wires: Wire[] = [];
  const transports: WeakRef<Transport>[] = [];
  // In a function of its own, that nothing of it stays behind here.
  const begin = async () => {
    const { transport, wire } = makeScripted();
    wires.push(wire);
    transports.push(new WeakRef(transport));
    transport.put("x".repeat(1_000_000));
    const reading = wire.read();
    await settle();
    return reading;
  };
  const held = async () => {
    await collectGarbage();
    return Deno.memoryUsage().external;
  };
  const before = await held();
  const reads = Array.from({ length: 10 }, begin);
  await settle();
  assert(await held() - before > 9_000_000);
  for (const wire of wires) wire.abort();
  for (const read of reads) assertEquals(await read, undefined);
  reads.length = 0;
  assertLess(await held() - before, 1_000_000);
  assertEquals(transports.map((transport) => transport.deref()), wires.map(() => undefined));
});

Deno.test("a write that fails where nobody holds the wire ends it all the same", async () => {
  const { transport, wire } = makeScripted({ isHeld: false });
  transport.writeFailure = new Error("broken pipe");
  const reading = assertRejects(() => wire.read(), ConnectionError);
  wire.write("one");
  await wire.closed;
  assertEquals([transport.closes, (await reading).code], [1, "CONNECTION_LOST"]);
});

Deno.test("a write that fails while this side says goodbye is no news", async () => {
  const { transport, wire, faults } = makeScripted();
  wire.write("one");
  await settle();
  transport.writeFailure = new Error("broken pipe");
  await wire.end("goodbye");
  assertEquals([faults, transport.written, transport.closes], [[], "one\n", 1]);
});

Deno.test("a peer that takes nothing is told of, and the wire is its holder's to end", async () => {
  for (const isHeld of [true, false]) {
    using time = new FakeTime();
    const transport = new SlowTransport();
    const wire = new Wire(transport, {
      limits: resolveConnectionLimits({ stallTimeoutMs: 1_000, maxBufferedBytes: 8_000 }),
      sweep: new Sweep(),
    });
    const codes: string[] = [];
    if (isHeld) wire.holder = { fault: ({ code }) => void codes.push(code), beforeWrite: () => {} };
    wire.write(lineOf(1_001));
    time.advance(999);
    assertEquals([codes, wire.buffered], [[], 1_001]);
    time.advance(1);
    assertEquals([codes, wire.buffered], isHeld ? [["SLOW_CONSUMER"], 1_001] : [[], 0]);
    wire.abort();
    await wire.closed;
    assertEquals(time.timers, 0);
  }
});

// Reading

Deno.test("lines are given as they come, and those that come together, together", async () => {
  const { transport, wire } = makeScripted();
  transport.put("one\ntwo\nth");
  assertEquals(await wire.read(), ["one", "two"]);
  transport.put("ree");
  transport.put("\nfour\n");
  assertEquals(await wire.read(), ["three", "four"]);
  transport.put(null);
  for (let time = 0; time < 2; time++) assertEquals(await wire.read(), undefined);
  assertEquals([wire.inputEnded, wire.bytesRead, wire.silentSince], [true, 19, undefined]);
  wire.abort();
});

Deno.test("one line alone leaves those behind it for the next time", async () => {
  const { transport, wire } = makeScripted();
  transport.put("one\ntwo\nthree\n");
  assertEquals(await wire.readLine(), "one");
  assertEquals(await wire.read(), ["two", "three"]);
  wire.abort();
});

Deno.test("what cannot be read fails after the lines that came before it, again and again", async () => {
  const { transport, wire, faults } = makeScripted({ maxPacketBytes: 4_096 });
  transport.put("one\n" + "x".repeat(5_000));
  assertEquals(await wire.read(), ["one"]);
  for (let time = 0; time < 2; time++) {
    const { code } = await assertRejects(() => wire.read(), ProtocolError);
    assertEquals(code, "PACKET_TOO_LARGE");
  }
  // Whoever reads is told of it by that alone.
  assertEquals([faults, transport.closes], [[], 0]);
  wire.abort();
});

Deno.test("a socket that fails is told to whoever reads, with its cause", async () => {
  const { transport, wire, faults } = makeScripted();
  const cause = new Error("reset");
  transport.put("one\n");
  assertEquals(await wire.read(), ["one"]);
  transport.put(cause);
  for (let time = 0; time < 2; time++) {
    const error = await assertRejects(() => wire.read(), ConnectionError);
    assertEquals([error.code, error.cause], ["CONNECTION_LOST", cause]);
  }
  assertEquals([faults, wire.inputEnded], [[], true]);
  wire.abort();
});

Deno.test("after a goodbye nothing more is read, nor what goes wrong", async () => {
  for (const last of ["more\n", new Error("reset"), null]) {
    const { transport, wire, faults } = makeScripted();
    const reading = wire.read();
    const ended = wire.end("goodbye");
    transport.put(last);
    transport.put(null);
    assertEquals(await reading, undefined);
    await ended;
    assertEquals([await wire.read(), faults, transport.written], [undefined, [], "goodbye\n"]);
  }
});

Deno.test("while it is read a wire says since when nothing has come", async () => {
  using time = new FakeTime({ withDate: true });
  const { transport, wire } = makeScripted();
  const start = wire.silentSince;
  assertEquals(start, undefined);
  const reading = wire.read();
  const since = wire.silentSince!;
  time.stop(500);
  assertEquals(wire.silentSince, since);
  transport.put("half a ");
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  // It was something, if not a line.
  assert(wire.silentSince! > since);
  transport.put("line\n");
  assertEquals([await reading, wire.silentSince], [["half a line"], undefined]);
  wire.abort();
});

Deno.test("closed resolves when the socket is closed, for those who ask before and after", async () => {
  const { transport, wire } = makeScripted();
  let isClosed = false;
  const closed = wire.closed.then(() => isClosed = true);
  await settle();
  assertFalse(isClosed);
  wire.abort();
  wire.abort();
  await Promise.all([closed, wire.closed]);
  assertEquals(transport.closes, 1);
});

Deno.test("whoever says the last line waits for the other side's end", async () => {
  for (const closesInOrder of [true, false]) {
    const { transport, wire } = makeScripted();
    transport.closesInOrder = closesInOrder;
    wire.write("one");
    const ended = wire.end("goodbye");
    await settle();
    assertEquals([transport.written, transport.closes], ["one\ngoodbye\n", 0]);
    transport.put("what nobody hears\n");
    await settle();
    assertEquals(transport.closes, 0);
    transport.put(null);
    await ended;
    assertEquals([transport.halfCloses, transport.closes], [1, 1]);
  }
});

Deno.test("whoever has heard the last line closes as soon as all is written", async () => {
  const { transport, wire } = makeScripted();
  transport.closesInOrder = true;
  wire.write("one");
  const ended = wire.end();
  assertEquals(transport.closes, 0);
  await ended;
  assertEquals([transport.written, transport.halfCloses, transport.closes], ["one\n", 0, 1]);
});

Deno.test("where closing alone is no end in order, it is told first", async () => {
  const { transport, wire } = makeScripted();
  transport.put(null);
  await wire.end();
  assertEquals([transport.halfCloses, transport.closes], [1, 1]);
});
