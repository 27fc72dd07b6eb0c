import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { PnetworkError, ProtocolError } from "../../errors.ts";
import {
  encodeHello,
  encodeWelcome,
  type PeerLimits,
  readHello,
  readWelcome,
  type Resume,
  type Welcome,
} from "../../handshake.ts";
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

const EPOCH = "epoch";

/** What each side says of its limits is held to bounds. */
function assertSound({ maxPacketBytes, replayPackets, replayBytes }: PeerLimits): void {
  assert(Number.isSafeInteger(maxPacketBytes) && maxPacketBytes >= 4_096);
  assert(Number.isSafeInteger(replayPackets) && replayPackets >= 1);
  assert(Number.isSafeInteger(replayBytes) && replayBytes >= 1);
}

const hostile = fc.oneof(
  fc.constantFrom<unknown>(
    1,
    "1",
    null,
    true,
    "success",
    "error",
    999,
    1_023,
    -1,
    4_096,
    {},
    [],
    {
      toString: 1,
      valueOf: 1,
    },
    { maxPacketBytes: { valueOf: 5 } },
    { token: "t", epoch: "e", ack: 0 },
    "e",
  ),
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
        "session",
        "resume",
        "resumed",
        "epoch",
        "ack",
        "token",
        "data",
      ),
      fc.oneof(
        hostile,
        fc.record({ maxPacketBytes: hostile }),
        fc.record({ replayPackets: hostile, replayBytes: hostile }),
        fc.record({ token: hostile, epoch: hostile, ack: hostile }),
      ),
    ),
    { maxLength: 2 },
  ),
  fc.uuid({ version: 4 }),
  fc.option(fc.record({ session: fc.constant(true), resumed: fc.boolean(), ack: fc.nat() })),
).map(([action, status, damage, uuid, session]) => {
  const data: Record<string, unknown> = { status, version: 1, id: uuid, code: "REFUSED" };
  if (session) Object.assign(data, session, { epoch: EPOCH });
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
      if (!hello) return;
      assertSound(hello.limits);
      const { wantsSession, resume } = hello;
      assertEquals(typeof wantsSession, "boolean");
      if (!resume) return;
      assert(wantsSession && typeof resume.token === "string" && resume.epoch.length <= 64);
      assert(Number.isSafeInteger(resume.ack) && resume.ack >= 0);
    }),
    { numRuns: 300 },
  );
});

Deno.test("any answer is a welcome or a PnetworkError, and resumes nothing but what was asked for", async () => {
  let resumptions = 0;
  const asked = fc.option(fc.constantFrom("own", "other"));
  await fc.assert(
    fc.asyncProperty(line, asked, async (line, asked) => {
      const token = asked === "own" ? JSON.parse(line).token : crypto.randomUUID();
      const resume = asked ? { token, epoch: EPOCH, ack: 0 } : undefined;
      const read = (wire: Wire) => readWelcome(wire, resume);
      const welcome = await reading([bytes(line, "\n")], read).catch((error) => {
        assert(error instanceof PnetworkError, Deno.inspect(error));
      });
      if (!welcome || welcome instanceof PnetworkError) return;
      const { id, epoch, ack, reason } = welcome;
      assertSound(welcome.limits);
      assert(/^[0-9a-f-]{36}$/i.test(welcome.token) && /^[0-9a-f-]{36}$/i.test(id));
      if (ack !== undefined) {
        resumptions++;
        assert(asked === "own" && epoch === EPOCH && reason === undefined);
        assert(Number.isSafeInteger(ack) && ack >= 0);
      } else {
        assertEquals(reason !== undefined, resume !== undefined);
      }
    }),
    { numRuns: 1_000 },
  );
  assert(resumptions > 10, `${resumptions} resumed`);
});

Deno.test("what one side says the other side reads", async () => {
  const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
  const limits = fc.record({
    maxPacketBytes: fc.integer({ min: 4_096, max: Number.MAX_SAFE_INTEGER }),
    replayPackets: count,
    replayBytes: count,
  });
  const uuid = fc.uuid({ version: 4 });
  const resume: fc.Arbitrary<Resume> = fc.record({
    token: uuid,
    epoch: fc.string({ minLength: 1, maxLength: 64 }),
    ack: fc.nat(),
  });
  const places = fc.array(fc.nat({ max: 500 }), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(
      fc.record({ auth: fc.jsonValue(), limits, wantsSession: fc.boolean() }),
      fc.option(resume, { nil: undefined }),
      fc.constantFrom("resumed", "restarted", "overflow", "expired"),
      uuid,
      fc.nat(),
      places,
      async (hello, resume, verdict, id, ack, places) => {
        const say = (line: string) => {
          const whole = bytes(line, "\n");
          return cut(whole, places.map((place) => Math.min(place, whole.length)));
        };
        const said = { ...hello, resume, wantsSession: hello.wantsSession || !!resume };
        const heard = await reading(say(encodeHello(said)), readHello);
        assertEquals(JSON.stringify(heard), JSON.stringify(said));
        const isResumed = resume !== undefined && verdict === "resumed";
        const reason = resume && !isResumed ? verdict as Welcome["reason"] : undefined;
        const granted: Welcome = {
          id,
          token: isResumed ? resume.token : crypto.randomUUID(),
          limits: hello.limits,
          epoch: said.wantsSession ? resume?.epoch ?? EPOCH : undefined,
          ack: isResumed ? ack : undefined,
          reason,
        };
        const read = (wire: Wire) => readWelcome(wire, resume);
        assertEquals(await reading(say(encodeWelcome(granted)), read), granted);
      },
    ),
    { numRuns: 150 },
  );
});
