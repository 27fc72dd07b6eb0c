import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { LineDecoder, PacketDecoderStream, PacketEncoderStream } from "../../codec.ts";
import { ProtocolError } from "../../errors.ts";
import type { OutgoingPacket } from "../../packet.ts";
import { bytes, cut, pieces } from "../support/bytes.ts";

interface Decoded {
  lines: string[];
  failure: string | undefined;
}

function decode(chunks: Uint8Array[], maxLineBytes: number, maxFirstLineBytes: number): Decoded {
  const decoder = new LineDecoder({ maxLineBytes, maxFirstLineBytes });
  const lines: string[] = [];
  for (const chunk of chunks) {
    lines.push(...decoder.decode(chunk));
    // One more than the limit, while that may be the CR of a CRLF.
    assert(decoder.partialBytes <= Math.max(maxLineBytes, maxFirstLineBytes) + 1);
  }
  return { lines, failure: decoder.failure?.code };
}

/** What a decoder that is given all bytes at once, and has all the time there is, makes of them. */
function decodeNaively(
  input: Uint8Array,
  maxLineBytes: number,
  maxFirstLineBytes: number,
): Decoded {
  const lines: string[] = [];
  for (let start = 0; start < input.length;) {
    const lf = input.indexOf(0x0a, start);
    const end = lf === -1 ? input.length : lf;
    const hasCr = end > start && input[end - 1] === 0x0d;
    const line = input.slice(start, hasCr ? end - 1 : end);
    if (line.length > (lines.length === 0 ? maxFirstLineBytes : maxLineBytes)) {
      return { lines, failure: "PACKET_TOO_LARGE" };
    }
    if (lf === -1) break;
    try {
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line);
      if (text !== "") lines.push(text);
    } catch {
      return { lines, failure: "BAD_UTF8" };
    }
    start = end + 1;
  }
  return { lines, failure: undefined };
}

/** Bytes of which many are ends of lines, parts of characters, and no UTF-8. */
const streams = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant("\n") },
    { weight: 2, arbitrary: fc.constantFrom("\r", "\r\n") },
    {
      weight: 6,
      arbitrary: fc.constantFrom("a", "é", "€", "😀", "\ufeff", '{"action":"a"}', "\0"),
    },
    { weight: 1, arbitrary: fc.constantFrom(0xff, 0xc3, 0xa9, 0xf0, 0x9f, 0x80, 0xed, 0xa0) },
  ),
  { maxLength: 40 },
).map((parts) => bytes(...parts));

/** Places at which to cut, as shares of the whole. */
const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });

function cutAt(input: Uint8Array<ArrayBuffer>, shares: number[]): Uint8Array<ArrayBuffer>[] {
  return cut(input, shares.map((share) => Math.floor(share * input.length)));
}

const limit = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(1_000));

Deno.test("however bytes are cut, the lines and the failure are those of a naive decoder", () => {
  fc.assert(
    fc.property(streams, places, limit, limit, (input, shares, max, maxFirst) => {
      const expected = decodeNaively(input, max, maxFirst);
      for (const chunks of [[input], cutAt(input, shares), pieces(input, 1), pieces(input, 2)]) {
        assertEquals(decode(chunks, max, maxFirst), expected);
      }
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("any bytes at all are lines or a failure, the same however they are cut", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), places, limit, (random, shares, max) => {
      const input = new Uint8Array(random);
      const expected = decodeNaively(input, max, max);
      assertEquals(decode(cutAt(input, shares), max, max), expected);
      assertEquals(decode(pieces(input, 1), max, max), expected);
    }),
    { numRuns: 500 },
  );
});

Deno.test("any text without line ends comes through", () => {
  const line = fc.string({ unit: "binary", maxLength: 50 })
    .filter((text) => !/[\r\n]/.test(text) && text !== "");
  const ended = fc.tuple(line, fc.constantFrom("\n", "\r\n", "\n\n", "\r\n\n"));
  fc.assert(
    fc.property(fc.array(ended, { maxLength: 10 }), places, (lines, shares) => {
      const input = bytes(...lines.flat());
      const expected = { lines: lines.map(([text]) => text), failure: undefined };
      assertEquals(decode(cutAt(input, shares), 1_000, 1_000), expected);
    }),
  );
});

async function packetsOf(chunks: Uint8Array[], maxLineBytes?: number) {
  const packets: unknown[] = [];
  try {
    const stream = new PacketDecoderStream({ maxLineBytes });
    for await (const packet of ReadableStream.from(chunks).pipeThrough(stream)) {
      const { action, data, token, id, replyTo, error } = packet;
      packets.push({ action, data, token, id, replyTo, error });
    }
    return { packets, failure: undefined };
  } catch (error) {
    assert(error instanceof ProtocolError, `not a ProtocolError: ${Deno.inspect(error)}`);
    return { packets, failure: error.code };
  }
}

Deno.test("however the bytes of packets are cut, the same ones come out of the stream", async () => {
  const line = fc.oneof(
    { weight: 9, arbitrary: fc.jsonValue().map((data) => JSON.stringify({ action: "a", data })) },
    { weight: 3, arbitrary: fc.constantFrom("", '{"action":"é","id":1}', '{"action":"😀"}') },
    { weight: 1, arbitrary: fc.constantFrom("{}", "[]", "nope", '{"action":"a"', "x".repeat(400)) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 8 }), places, async (lines, shares) => {
      const input = bytes(lines.join("\n"), "\n");
      const expected = await packetsOf([input], 300);
      assertEquals(await packetsOf(cutAt(input, shares), 300), expected);
      const bad = lines.filter((line) => line !== "").findIndex((line) =>
        bytes(line).length > 300 || ["{}", "[]", "nope", '{"action":"a"'].includes(line)
      );
      assertEquals(expected.packets.length, bad === -1 ? lines.filter((line) => line).length : bad);
      assertEquals(expected.failure === undefined, bad === -1);
    }),
    { numRuns: 200 },
  );
});

Deno.test("what goes through both streams is what went in", async () => {
  const unit = fc.constantFrom("a", "é", "😀", '"', "\\", " ", "\n", "\u2028");
  const name = fc.string({ unit, minLength: 1, maxLength: 20 });
  const packets = fc.array(
    fc.record({ action: name, data: fc.jsonValue() }),
    { maxLength: 6 },
  );
  await fc.assert(
    fc.asyncProperty(packets, fc.integer({ min: 1, max: 64 }), async (sent, size) => {
      const encoded = ReadableStream.from<OutgoingPacket>(sent).pipeThrough(
        new PacketEncoderStream(),
      );
      const whole = new Uint8Array(await new Response(encoded).arrayBuffer());
      const { packets, failure } = await packetsOf(pieces(whole, size));
      assertEquals(failure, undefined);
      const received = packets as { action: string; data: unknown }[];
      assertEquals(
        received.map(({ action, data }) => JSON.stringify({ action, data })),
        sent.map((packet) => JSON.stringify(packet)),
      );
    }),
    { numRuns: 100 },
  );
});
