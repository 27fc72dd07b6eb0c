import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import {
  LineDecoder,
  type LineDecoderOptions,
  PacketDecoderStream,
  PacketEncoderStream,
} from "../../codec.ts";
import { ProtocolError } from "../../errors.ts";
import { createPacket, type DecodeOptions, type OutgoingPacket } from "../../packet.ts";
import { bytes, cut, pieces, splits } from "../support/bytes.ts";

interface Decoded {
  lines: string[];
  failure?: string;
}

function decodeAll(chunks: Uint8Array[], options?: LineDecoderOptions): Decoded {
  const decoder = new LineDecoder(options);
  const lines = chunks.flatMap((chunk) => decoder.decode(chunk));
  const failure = decoder.failure?.code;
  return failure ? { lines, failure } : { lines };
}

/** Holds for the whole, for every cut in two, and for single bytes. */
function assertDecodes(
  input: Uint8Array<ArrayBuffer>,
  expected: Decoded,
  options?: LineDecoderOptions,
): void {
  for (const chunks of splits(input)) {
    const sizes = chunks.map(({ length }) => length).join("+");
    assertEquals(decodeAll(chunks, options), expected, `cut into ${sizes}`);
  }
}

/** Runs what a stream makes of chunks into an array, and says why it ended. */
async function collect<T>(readable: ReadableStream<T>): Promise<{ items: T[]; error?: unknown }> {
  const items: T[] = [];
  try {
    for await (const item of readable) items.push(item);
    return { items };
  } catch (error) {
    return { items, error };
  }
}

async function decodeStream(chunks: Uint8Array[], options?: LineDecoderOptions & DecodeOptions) {
  const source = ReadableStream.from(chunks);
  const { items, error } = await collect(source.pipeThrough(new PacketDecoderStream(options)));
  const actions = items.map(({ action }) => action);
  return { actions, error: error instanceof ProtocolError ? error.code : error };
}

// Lines

Deno.test("lines end with LF or CRLF, and empty ones are left out", () => {
  assertDecodes(bytes("one\ntwo\r\n\n\r\n\n\nthree\r\nfour"), { lines: ["one", "two", "three"] });
  assertDecodes(bytes("\n\r\n\n"), { lines: [] });
  assertDecodes(bytes(""), { lines: [] });
  assertDecodes(bytes("x"), { lines: [] });
  assertDecodes(bytes("x\n"), { lines: ["x"] });
});

Deno.test("a CR is part of the line unless the LF follows it at once", () => {
  assertDecodes(bytes("a\rb\n\rc\nd\r\r\n\r\r\n"), { lines: ["a\rb", "\rc", "d\r", "\r"] });
});

Deno.test("a CR as the last byte of a chunk belongs to the LF that begins the next one", () => {
  const decoder = new LineDecoder();
  assertEquals(decoder.decode(bytes("one\r")), []);
  assertEquals(decoder.decode(bytes("\ntwo\r\n\r")), ["one", "two"]);
  assertEquals(decoder.decode(bytes("\n")), []);
  assertEquals(decoder.partialBytes, 0);
});

Deno.test("a character that is split over chunks arrives whole", () => {
  const text = "é€😀\u{10ffff}\ufffd\u2028";
  assertDecodes(bytes(`${text}\n${text}\r\n`), { lines: [text, text] });
});

Deno.test("one batch of lines comes per chunk, with what earlier chunks began", () => {
  const decoder = new LineDecoder();
  assertEquals(decoder.decode(bytes("a\nb\nc")), ["a", "b"]);
  assertEquals(decoder.decode(bytes("")), []);
  assertEquals(decoder.decode(bytes("c")), []);
  assertEquals(decoder.decode(bytes("c\nd\ne\n")), ["ccc", "d", "e"]);
});

Deno.test("every byte that is no end of a line is part of one", () => {
  const text = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code))
    .filter((char) => char !== "\n" && char !== "\r").join("");
  assertDecodes(bytes(text, "\n"), { lines: [text] });
});

Deno.test("a byte order mark is text, at the start of a line and of the bytes", () => {
  assertDecodes(bytes("\ufeffa\n\ufeffb\n\ufeff\n"), { lines: ["\ufeffa", "\ufeffb", "\ufeff"] });
});

Deno.test("a buffer that is used again for the next chunk changes no line", () => {
  const decoder = new LineDecoder();
  const buffer = new Uint8Array(8);
  const lines: string[] = [];
  for (const chunk of pieces(bytes("first line\nsecond line\nthird"), 8)) {
    buffer.fill(0xff);
    buffer.set(chunk);
    lines.push(...decoder.decode(buffer.subarray(0, chunk.length)));
    buffer.fill(0xff);
  }
  assertEquals(lines, ["first line", "second line"]);
  assertEquals(decoder.decode(bytes("\n")), ["third"]);
});

Deno.test("partialBytes says how much of an unfinished line is held", () => {
  const decoder = new LineDecoder();
  const seen = ["ab", "c\nd", "\r", "\n", "\n", "é"].map((text) => {
    decoder.decode(bytes(text));
    return decoder.partialBytes;
  });
  assertEquals(seen, [2, 1, 2, 0, 0, 2]);
});

// UTF-8

Deno.test("a line that is not UTF-8 is BAD_UTF8, after the lines before it and before those after", () => {
  const bad: number[][] = [
    [0xff],
    [0x80],
    [0xc0, 0xaf],
    [0xc1, 0xbf],
    [0xe0, 0x80, 0xaf],
    [0xf0, 0x80, 0x80, 0xaf],
    [0xed, 0xa0, 0x80],
    [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80], // a pair of surrogates, as CESU-8 writes it
    [0xf4, 0x90, 0x80, 0x80],
    [0xf8, 0x88, 0x80, 0x80, 0x80],
    [0xc3],
    [0xe2, 0x82],
    [0xf0, 0x9f, 0x98],
  ];
  for (const numbers of bad) {
    const expected = { lines: ["one", "two"], failure: "BAD_UTF8" };
    assertDecodes(bytes("one\ntwo\n", ...numbers, "\nthree\n"), expected);
    assertDecodes(bytes("one\ntwo\nx", ...numbers, "y\r\nthree\n"), expected);
    assertDecodes(bytes(...numbers, "\n"), { lines: [], failure: "BAD_UTF8" });
  }
});

Deno.test("the end of a line does not complete a character, nor does the next line", () => {
  const halves = bytes("a", 0xc3, "\n", 0xa9, "\n");
  assertDecodes(halves, { lines: [], failure: "BAD_UTF8" });
});

Deno.test("one decoder's bad bytes are no other decoder's", () => {
  const bad = new LineDecoder();
  const good = new LineDecoder();
  good.decode(bytes(0xc3));
  bad.decode(bytes(0xe2, 0x82, "\n"));
  assertEquals(bad.failure?.code, "BAD_UTF8");
  assertEquals(good.decode(bytes(0xa9, "\n")), ["é"]);
  assertEquals(new LineDecoder().decode(bytes("é\n")), ["é"]);
});

// Limits

Deno.test("a line of the limit is accepted, one byte more is PACKET_TOO_LARGE", () => {
  const options = { maxLineBytes: 8 };
  for (const end of ["\n", "\r\n"]) {
    assertDecodes(bytes(`12345678${end}x${end}`), { lines: ["12345678", "x"] }, options);
    assertDecodes(bytes(`12${end}12345678${end}`), { lines: ["12", "12345678"] }, options);
    const expected = { lines: ["12"], failure: "PACKET_TOO_LARGE" };
    assertDecodes(bytes(`12${end}123456789${end}x${end}`), expected, options);
  }
});

Deno.test("the limit is in bytes, not in characters", () => {
  const options = { maxLineBytes: 8 };
  assertDecodes(bytes("😀😀\n"), { lines: ["😀😀"] }, options);
  assertDecodes(bytes("😀éé\n"), { lines: ["😀éé"] }, options);
  assertDecodes(bytes("😀éé.\n"), { lines: [], failure: "PACKET_TOO_LARGE" }, options);
});

Deno.test("a line that grows past the limit is refused before it is whole", () => {
  for (const size of [1, 3, 4, 1_000]) {
    const decoder = new LineDecoder({ maxLineBytes: 8 });
    decoder.decode(bytes("a\n"));
    let fed = 0;
    while (!decoder.failure) {
      assertEquals(decoder.decode(bytes("x".repeat(size))), []);
      fed += size;
    }
    assertEquals(decoder.failure.code, "PACKET_TOO_LARGE");
    assertEquals(decoder.failure.recoverable, false);
    assertEquals(fed, Math.ceil(9 / size) * size);
  }
});

Deno.test("only a CR that ends the line is free of the limit", () => {
  const options = { maxLineBytes: 4 };
  assertDecodes(bytes("1234\r\n123\r\r\n"), { lines: ["1234", "123\r"] }, options);
  assertDecodes(bytes("1234\r\r\n"), { lines: [], failure: "PACKET_TOO_LARGE" }, options);
  assertDecodes(bytes("1234\rx\n"), { lines: [], failure: "PACKET_TOO_LARGE" }, options);
  assertDecodes(bytes("1234\rx"), { lines: [], failure: "PACKET_TOO_LARGE" }, options);
  assertDecodes(bytes("1234\r"), { lines: [] }, options);
});

Deno.test("a limit of one byte is a limit", () => {
  const options = { maxLineBytes: 1 };
  assertDecodes(bytes("a\nb\r\n\nc\n"), { lines: ["a", "b", "c"] }, options);
  assertDecodes(bytes("a\nbc\n"), { lines: ["a"], failure: "PACKET_TOO_LARGE" }, options);
});

Deno.test("many short lines in a chunk that is larger than the limit are fine", () => {
  const lines = Array.from({ length: 100 }, (_, index) => `line ${index}`);
  assertDecodes(bytes(lines.join("\n"), "\n"), { lines }, { maxLineBytes: 8 });
});

Deno.test("lines that are larger than the limit together are not one line", () => {
  const decoder = new LineDecoder({ maxLineBytes: 10 });
  assertEquals(decoder.decode(bytes("12345\n12345\n12345\n12345")), ["12345", "12345", "12345"]);
  assertEquals(decoder.decode(bytes("67890\n")), ["1234567890"]);
});

Deno.test("the first line has a limit of its own", () => {
  const options = { maxLineBytes: 8, maxFirstLineBytes: 4 };
  assertDecodes(bytes("1234\n12345678\n"), { lines: ["1234", "12345678"] }, options);
  assertDecodes(bytes("1234\r\n12345678\r\n"), { lines: ["1234", "12345678"] }, options);
  const failure = "PACKET_TOO_LARGE";
  assertDecodes(bytes("12345\n"), { lines: [], failure }, options);
  assertDecodes(bytes("12345"), { lines: [], failure }, options);
  assertDecodes(bytes("1234\n123456789\n"), { lines: ["1234"], failure }, options);
  assertDecodes(bytes("1\n2\n3\n"), { lines: ["1", "2", "3"] }, options);
});

Deno.test("the first line may also have the larger limit", () => {
  const options = { maxLineBytes: 4, maxFirstLineBytes: 8 };
  assertDecodes(bytes("12345678\n1234\n"), { lines: ["12345678", "1234"] }, options);
  assertDecodes(bytes("1\n12345\n"), { lines: ["1"], failure: "PACKET_TOO_LARGE" }, options);
});

Deno.test("empty lines are not the first one", () => {
  const options = { maxLineBytes: 8, maxFirstLineBytes: 4 };
  const failure = "PACKET_TOO_LARGE";
  assertDecodes(bytes("\n\r\n\n12345\n"), { lines: [], failure }, options);
  assertDecodes(bytes("\n\r\n1234\n12345678\n"), { lines: ["1234", "12345678"] }, options);
});

Deno.test("5 KiB without LF is refused where the first line may have 4", () => {
  const decoder = new LineDecoder({ maxFirstLineBytes: 4_096 });
  assertEquals(decoder.decode(new Uint8Array(5_120).fill(0x78)), []);
  assertEquals(decoder.failure?.code, "PACKET_TOO_LARGE");
});

Deno.test("after a failure nothing is decoded or held any more", () => {
  for (const input of [bytes("123456789\n"), bytes("123456789"), bytes(0xff, "\n")]) {
    const decoder = new LineDecoder({ maxLineBytes: 8 });
    decoder.decode(input);
    const { failure } = decoder;
    assert(failure);
    for (const chunk of [bytes("a\n"), bytes("\nb\n"), bytes("cc"), bytes(0xff, "\n")]) {
      assertEquals(decoder.decode(chunk), []);
      assertEquals(decoder.partialBytes, 0);
    }
    assertEquals(decoder.failure, failure);
  }
});

Deno.test("a limit that is none is a RangeError that says what was required", () => {
  for (const limit of [0, -1, 1.5, NaN, Infinity, 2 ** 53, "8" as unknown as number]) {
    assertThrows(
      () => new LineDecoder({ maxLineBytes: limit }),
      RangeError,
      `maxLineBytes must be a positive integer, got ${limit}`,
    );
    assertThrows(
      () => new LineDecoder({ maxFirstLineBytes: limit }),
      RangeError,
      `maxFirstLineBytes must be a positive integer, got ${limit}`,
    );
    assertThrows(() => new PacketDecoderStream({ maxLineBytes: limit }), RangeError);
  }
});

// Time and memory

/** How many bytes are copied between buffers meanwhile. */
function countCopied(act: () => void): number {
  const prototype = Uint8Array.prototype;
  const inherited = Uint8Array.prototype.set;
  let copied = 0;
  prototype.set = function (source, offset) {
    copied += source.length;
    return inherited.call(this, source, offset);
  };
  try {
    act();
  } finally {
    delete (prototype as { set?: unknown }).set;
  }
  return copied;
}

Deno.test("a line in a million chunks of one byte costs linear time", () => {
  const count = 1_000_000;
  const decoder = new LineDecoder({ maxLineBytes: count });
  const byte = bytes("x");
  const start = performance.now();
  const copied = countCopied(() => {
    for (let fed = 0; fed < count; fed++) decoder.decode(byte);
  });
  assertEquals(decoder.decode(bytes("\n"))[0].length, count);
  assertLess(copied, 4 * count);
  // A look at all that came before, for every byte, would take minutes.
  assertLess(performance.now() - start, 10_000);
});

Deno.test("100 MB without LF are not held", () => {
  const decoder = new LineDecoder();
  const chunk = new Uint8Array(65_536).fill(0x78);
  let held = 0;
  const copied = countCopied(() => {
    for (let fed = 0; fed < 100_000_000; fed += chunk.length) {
      decoder.decode(chunk);
      held = Math.max(held, decoder.partialBytes);
    }
  });
  assertEquals(decoder.failure?.code, "PACKET_TOO_LARGE");
  assertEquals([held, decoder.partialBytes], [1_048_576, 0]);
  assertLess(copied, 4 * 1_048_576);
});

Deno.test("empty lines before the first one cost no more than others", () => {
  const chunk = new Uint8Array(1_048_576).fill(0x0a);
  const timeOf = (options: LineDecoderOptions) => {
    const decoder = new LineDecoder(options);
    const start = performance.now();
    assertEquals(decoder.decode(chunk), []);
    return performance.now() - start;
  };
  timeOf({});
  assertLess(timeOf({ maxFirstLineBytes: 4_096 }), 5 * timeOf({}) + 50);
});

// Streams

Deno.test("a LineDecoder is a transformer: one batch per chunk, the failure at its place", async () => {
  const chunks = [bytes("a\nb"), bytes("c\nd\n"), bytes("e\n", 0xff, "\nf\n"), bytes("g\n")];
  const source = ReadableStream.from(chunks);
  const { items, error } = await collect(
    source.pipeThrough(new TransformStream(new LineDecoder())),
  );
  assertEquals(items, [["a"], ["bc", "d"], ["e"]]);
  assert(error instanceof ProtocolError);
  assertEquals(error.code, "BAD_UTF8");
});

Deno.test("bytes that end inside a line are BAD_PACKET, at the end of one they are not", async () => {
  for (const [text, code] of [["a\nb", "BAD_PACKET"], ["a\nb\n", undefined], ["", undefined]]) {
    for (const chunks of splits(bytes(text!))) {
      const stream = new TransformStream(new LineDecoder());
      const { items, error } = await collect(ReadableStream.from(chunks).pipeThrough(stream));
      assertEquals((error as ProtocolError | undefined)?.code, code);
      assertEquals(items.flat(), text!.split("\n").slice(0, -1));
    }
  }
});

Deno.test("packets come out of bytes however those are cut", async () => {
  const input = bytes('{"action":"é"}\r\n\n{"action":"b"}\n{"action":"😀"}\n');
  for (const chunks of splits(input)) {
    assertEquals(await decodeStream(chunks), { actions: ["é", "b", "😀"], error: undefined });
  }
});

Deno.test("all packets before a bad line come out, however the bytes are cut", async () => {
  const before = '{"action":"a"}\n{"action":"b"}\n{"action":"c"}\n';
  const bad: [Uint8Array<ArrayBuffer>, string][] = [
    [bytes("nope\n"), "BAD_JSON"],
    [bytes("[]\n"), "BAD_PACKET"],
    [bytes("{}\n"), "BAD_PACKET"],
    [bytes(0xff, "\n"), "BAD_UTF8"],
    [bytes("x".repeat(100), "\n"), "PACKET_TOO_LARGE"],
    [bytes("x".repeat(100)), "PACKET_TOO_LARGE"],
    [bytes('{"act'), "BAD_PACKET"],
  ];
  for (const [line, error] of bad) {
    const input = bytes(before, ...line);
    for (const chunks of [[input], cut(input, [5]), cut(input, [20, 40]), pieces(input, 1)]) {
      assertEquals(await decodeStream(chunks, { maxLineBytes: 50 }), {
        actions: ["a", "b", "c"],
        error,
      });
    }
  }
});

Deno.test("packets before a bad line are not lost on whoever reads slowly", async () => {
  const input = bytes('{"action":"a"}\n{"action":"b"}\nnope\n');
  const reader = ReadableStream.from([input]).pipeThrough(new PacketDecoderStream()).getReader();
  const actions: unknown[] = [];
  for (let read = 0; read < 2; read++) {
    // Time enough for a stream that reads ahead to find the bad line.
    for (let turn = 0; turn < 100; turn++) await Promise.resolve();
    actions.push((await reader.read()).value?.action);
  }
  assertEquals(actions, ["a", "b"]);
  await assertRejects(() => reader.read(), ProtocolError, "not JSON");
});

Deno.test("a packet stream keeps to the nesting that it was given", async () => {
  const deep = `{"action":"a","pad":"${"x".repeat(5_000)}","data":[[]]}\n`;
  assertEquals((await decodeStream([bytes(deep)], { maxDepth: 2 })).error, "TOO_DEEP");
  assertEquals((await decodeStream([bytes(deep)], { maxDepth: 3 })).actions, ["a"]);
});

Deno.test("a packet stream that failed takes no more bytes", async () => {
  const stream = new PacketDecoderStream();
  const writer = stream.writable.getWriter();
  const closed = assertRejects(() => writer.closed, ProtocolError);
  const writing = Promise.allSettled([writer.write(bytes('nope\n{"action":"a"}\n'))]);
  const { items, error } = await collect(stream.readable);
  assertEquals([items, (error as ProtocolError).code], [[], "BAD_JSON"]);
  await writing;
  await closed;
  await assertRejects(() => writer.write(bytes("x\n")), ProtocolError);
});

Deno.test("whoever stops reading packets stops the bytes", async () => {
  let pulled = 0;
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++;
      controller.enqueue(bytes('{"action":"a"}\n{"action":"b"}\n'));
    },
  }, { highWaterMark: 0 });
  const reader = source.pipeThrough(new PacketDecoderStream()).getReader();
  for (let read = 0; read < 5; read++) await reader.read();
  assertLess(pulled, 8);
  await reader.cancel();
  const before = pulled;
  assertEquals(await reader.read(), { value: undefined, done: true });
  assertEquals(pulled, before);
});

Deno.test("a packet stream that is cancelled while it waits cancels its source", async () => {
  const cancelled = Promise.withResolvers<unknown>();
  const source = new ReadableStream<Uint8Array>({ cancel: (why) => cancelled.resolve(why) });
  const reader = source.pipeThrough(new PacketDecoderStream()).getReader();
  const reading = reader.read();
  await reader.cancel("enough");
  assertEquals(await cancelled.promise, "enough");
  assertEquals((await reading).done, true);
});

Deno.test("packets become lines, stamped with the time and no token", async () => {
  const packets = [createPacket("a", { x: "é\n" }), { action: "b", data: null, token: "secret" }];
  const stream = ReadableStream.from<OutgoingPacket>(packets).pipeThrough(
    new PacketEncoderStream(),
  );
  const text = await new Response(stream).text();
  assertEquals(text.replaceAll(/:\d{13}/g, ":0").split("\n"), [
    '{"action":"a","data":{"x":"é\\n"},"packet-created":0,"token":null}',
    '{"action":"b","data":null,"packet-created":0,"token":null}',
    "",
  ]);
});

Deno.test("what cannot be sent breaks the stream with a TypeError", async () => {
  const packets = [{ action: "a" }, { action: "b", data: NaN }, { action: "c" }];
  const { items, error } = await collect(
    ReadableStream.from<OutgoingPacket>(packets).pipeThrough(new PacketEncoderStream()),
  );
  assertEquals([items.length, error instanceof TypeError], [1, true]);
});
