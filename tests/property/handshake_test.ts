import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { PnetworkError, ProtocolError } from "../../errors.ts";
import { encodeHello, encodeWelcome, readHello, readWelcome } from "../../handshake.ts";
import { resolveConnectionLimits } from "../../options.ts";
import { Sweep } from "../../sweep.ts";
import { StreamTransport } from "../../transport.ts";
import { Wire } from "../../wire.ts";
import { bytes, cut } from "../support/bytes.ts";

async function reading<T>(chunks: Uint8Array[], read: (wire: Wire) => Promise<T>): Promise<T> {
  const readable = ReadableStream.from(chunks);
  const wire = new Wire(new StreamTransport({ readable, writable: new WritableStream() }), {
    limits: resolveConnectionLimits({}),
    sweep: new Sweep(),
  });
  try {
    return await read(wire);
  } finally {
    wire.abort();
  }
}

const hostile = fc.oneof(
  fc.constantFrom<unknown>(1, "1", null, true, "success", "error", 999, 1_023, -1, 4_096, {}, [], {
    toString: 1,
    valueOf: 1,
  }, { maxPacketBytes: { valueOf: 5 } }),
  fc.jsonValue({ maxDepth: 2 }),
);

/** A packet that is right but for a few fields. */
const line = fc.tuple(
  fc.constantFrom("@handshake", "@handshake", "@handshake", "@close", "@error", "greet"),
  fc.constantFrom("success", "success", "error"),
  fc.array(
    fc.tuple(
      fc.constantFrom(
        "status",
        "version",
        "id",
        "code",
        "message",
        "reason",
        "limits",
        "auth",
        "resume",
        "token",
        "data",
      ),
      fc.oneof(hostile, fc.record({ maxPacketBytes: hostile })),
    ),
    { maxLength: 2 },
  ),
  fc.uuid({ version: 4 }),
).map(([action, status, damage, uuid]) => {
  const data: Record<string, unknown> = { status, version: 1, id: uuid, code: "REFUSED" };
  const packet: Record<string, unknown> = { action, data, token: uuid };
  for (const [field, value] of damage) (field in packet ? packet : data)[field] = value;
  return JSON.stringify(packet);
});

Deno.test("any first line is a hello or a ProtocolError", async () => {
  await fc.assert(
    fc.asyncProperty(line, async (line) => {
      const hello = await reading([bytes(line, "\n")], readHello).catch((error) => {
        assert(error instanceof ProtocolError, Deno.inspect(error));
      });
      if (hello) {
        assert(Number.isSafeInteger(hello.maxPacketBytes) && hello.maxPacketBytes >= 4_096);
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("any answer is a welcome or a PnetworkError", async () => {
  await fc.assert(
    fc.asyncProperty(line, async (line) => {
      const welcome = await reading([bytes(line, "\n")], readWelcome).catch((error) => {
        assert(error instanceof PnetworkError, Deno.inspect(error));
      });
      if (!welcome || welcome instanceof PnetworkError) return;
      assert(Number.isSafeInteger(welcome.maxPacketBytes) && welcome.maxPacketBytes >= 4_096);
      assert(/^[0-9a-f-]{36}$/i.test(welcome.token) && /^[0-9a-f-]{36}$/i.test(welcome.id));
    }),
    { numRuns: 500 },
  );
});

Deno.test("what one side says the other side reads", async () => {
  const limit = fc.integer({ min: 4_096, max: Number.MAX_SAFE_INTEGER });
  const places = fc.array(fc.nat({ max: 300 }), { maxLength: 4 });
  const uuid = fc.uuid({ version: 4 });
  await fc.assert(
    fc.asyncProperty(
      fc.jsonValue(),
      limit,
      uuid,
      uuid,
      places,
      async (auth, maxPacketBytes, id, token, places) => {
        const say = (line: string) => {
          const whole = bytes(line, "\n");
          return cut(whole, places.map((place) => Math.min(place, whole.length)));
        };
        const hello = await reading(say(encodeHello(auth, maxPacketBytes)), readHello);
        assert(hello);
        assertEquals(JSON.stringify(hello.auth), JSON.stringify(auth));
        assertEquals([hello.maxPacketBytes, hello.wantsResume], [maxPacketBytes, false]);
        const granted = { id, token, maxPacketBytes };
        assertEquals(await reading(say(encodeWelcome(hello, granted)), readWelcome), granted);
      },
    ),
    { numRuns: 100 },
  );
});
