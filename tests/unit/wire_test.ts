import { assert, assertEquals, assertFalse } from "@std/assert";
import { type ConnectionLimits, resolveConnectionLimits } from "../../options.ts";
import { Sweep } from "../../sweep.ts";
import type { Transport } from "../../transport.ts";
import { Wire } from "../../wire.ts";
import { bytes } from "../support/bytes.ts";
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
