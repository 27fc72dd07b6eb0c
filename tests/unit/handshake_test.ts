import {
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ConnectionError, HandshakeError, PnetworkError, ProtocolError } from "../../errors.ts";
import {
  encodeHello,
  encodeRefusal,
  encodeWelcome,
  type Hello,
  type PeerLimits,
  PROTOCOL_VERSION,
  readHello,
  readWelcome,
  type Resume,
  type Welcome,
} from "../../handshake.ts";
import { DEFAULTS, resolveConnectionLimits } from "../../options.ts";
import { Sweep } from "../../sweep.ts";
import type { Transport } from "../../transport.ts";
import { Wire } from "../../wire.ts";
import { bytes, splits } from "../support/bytes.ts";

const ID = "0197f3a0-0000-7000-8000-000000000001";
const TOKEN = "6a1f0f2e-9c1d-4c0b-8a53-0f2d7f3f8f11";
const EPOCH = "0197f3a0-0000-7000-8000-00000000000e";
const { maxPacketBytes, replayPackets, replayBytes } = DEFAULTS;
const DEFAULT_LIMITS: PeerLimits = { maxPacketBytes, replayPackets, replayBytes };
const LIMITS: PeerLimits = { maxPacketBytes: 8_192, replayPackets: 7, replayBytes: 900 };
const LIMITS_JSON = '{"maxPacketBytes":8192,"replayPackets":7,"replayBytes":900}';
const RESUME: Resume = { token: TOKEN, epoch: EPOCH, ack: 5 };
/** Of a client that asks for nothing. */
const HELLO: Hello = { auth: null, limits: LIMITS, wantsSession: false, resume: undefined };
/** Of a server that grants no session. */
const WELCOME: Welcome = {
  id: ID,
  token: TOKEN,
  limits: LIMITS,
  epoch: undefined,
  ack: undefined,
  reason: undefined,
};

/** Reads these chunks, then the end of the bytes. */
class MemoryTransport implements Transport {
  readonly address = "memory";
  readonly #chunks: Uint8Array[];
  constructor(chunks: Uint8Array[]) {
    this.#chunks = [...chunks];
  }
  read(): Promise<Uint8Array | null> {
    return Promise.resolve(this.#chunks.shift() ?? null);
  }
  write(bytes: Uint8Array): Promise<number> {
    return Promise.resolve(bytes.length);
  }
  closeWrite(): Promise<void> {
    return Promise.resolve();
  }
  close(): void {}
}

/** Lets something read what these chunks say. */
async function reading<T>(
  chunks: Uint8Array[],
  read: (wire: Wire) => Promise<T>,
  maxFirstLineBytes = 4_096,
): Promise<T> {
  const wire = new Wire(new MemoryTransport(chunks), {
    limits: resolveConnectionLimits({}),
    maxFirstLineBytes,
    sweep: new Sweep(),
  });
  try {
    return await read(wire);
  } finally {
    wire.abort();
  }
}

function hello(line: string): Promise<Hello | undefined> {
  return reading([bytes(line, "\n")], readHello);
}

function welcome(line: string, resume?: Resume) {
  return reading([bytes(line, "\n")], (wire) => readWelcome(wire, resume));
}

/** A server's answer with some of it changed. */
function answer(
  change: Record<string, unknown> = {},
  packet: Record<string, unknown> = {},
): string {
  const data = { status: "success", version: 1, id: ID, resumed: false, ...change };
  return JSON.stringify({ action: "@handshake", data, token: TOKEN, ...packet });
}

/** Why an answer does not let a client in. */
async function refusalOf(line: string): Promise<PnetworkError> {
  const error = await welcome(line);
  assertInstanceOf(error, PnetworkError);
  return error;
}

function withoutTime(line: string): string {
  return line.replace(/"packet-created":\d{13},/, "");
}

// The client's line

Deno.test("a client says its version and limits, and what it was given as auth", () => {
  const auth = { user: "Ada" };
  assertEquals(
    withoutTime(encodeHello({ ...HELLO, auth })),
    `{"action":"@handshake","data":{"version":1,"limits":${LIMITS_JSON},"auth":{"user":"Ada"}},"token":null}`,
  );
  assertEquals(
    withoutTime(encodeHello({ ...HELLO, auth: undefined })),
    `{"action":"@handshake","data":{"version":1,"limits":${LIMITS_JSON}},"token":null}`,
  );
  assertStringIncludes(encodeHello(HELLO), '"auth":null');
  assertEquals(PROTOCOL_VERSION, 1);
});

Deno.test("a client asks for a session, and says which one it comes back to", () => {
  const asks = (hello: Partial<Hello>) =>
    withoutTime(encodeHello({ ...HELLO, auth: undefined, ...hello }));
  assertEquals(
    asks({ wantsSession: true }),
    `{"action":"@handshake","data":{"version":1,"limits":${LIMITS_JSON},"session":true},"token":null}`,
  );
  // The token of the session is no stamp: nothing travels on it yet.
  assertEquals(
    asks({ wantsSession: true, resume: RESUME }),
    `{"action":"@handshake","data":{"version":1,"limits":${LIMITS_JSON},"session":true,` +
      `"resume":{"token":"${TOKEN}","epoch":"${EPOCH}","ack":5}},"token":null}`,
  );
});

Deno.test("limits that are none of the other side's concern are not told", () => {
  const limits = { ...resolveConnectionLimits({}), ...LIMITS };
  assertEquals(JSON.parse(encodeHello({ ...HELLO, limits })).data.limits, LIMITS);
  assertEquals(JSON.parse(encodeWelcome({ ...WELCOME, limits })).data.limits, LIMITS);
});

Deno.test("a server reads what a client says, however the bytes are cut", async () => {
  const hello: Hello = { ...HELLO, auth: { user: "Ådä" }, wantsSession: true, resume: RESUME };
  for (const chunks of splits(bytes(encodeHello(hello), "\r\n"))) {
    assertEquals(await reading(chunks, readHello), hello);
  }
});

Deno.test("the version is all that a client must say", async () => {
  const plain: Hello = { ...HELLO, limits: DEFAULT_LIMITS };
  assertEquals(await hello('{"action":"@handshake","data":{"version":1}}'), plain);
  assertEquals(await hello('{"action":"@handshake","data":{"version":1,"limits":{}}}'), plain);
  assertEquals(await hello('{"action":"@handshake","data":{"version":1,"session":false}}'), plain);
});

Deno.test("whoever comes back wants a session, also where it does not say so", async () => {
  for (const session of ["", '"session":false,', '"session":true,']) {
    const resume = `{"token":"${TOKEN}","epoch":"${EPOCH}","ack":5}`;
    const line = `{"action":"@handshake","data":{"version":1,${session}"resume":${resume}}}`;
    assertEquals(await hello(line), {
      ...HELLO,
      limits: DEFAULT_LIMITS,
      wantsSession: true,
      resume: RESUME,
    });
  }
});

Deno.test("whoever brings more than is known is read all the same", async () => {
  const line = '{"action":"@handshake","id":7,"token":"t","data":{"version":1,"session":true,' +
    '"resume":{"token":"x","epoch":"y","ack":0,"more":1},"secure":{},"auth":false}}';
  assertEquals(await hello(line), {
    auth: false,
    limits: DEFAULT_LIMITS,
    wantsSession: true,
    resume: { token: "x", epoch: "y", ack: 0 },
  });
});

Deno.test("whoever leaves without a word, or in the middle of one, asks for nothing", async () => {
  for (const chunks of [[], [bytes("")], [bytes("\n\r\n")], [bytes('{"action":"@hand')]]) {
    assertEquals(await reading(chunks, readHello), undefined);
  }
});

Deno.test("what comes behind the first line is left for whoever reads on", async () => {
  const chunks = [bytes(encodeHello(HELLO), '\n{"action":"a"}\n{"action":"b"}\n')];
  await reading(chunks, async (wire) => {
    await readHello(wire);
    assertEquals(await wire.read(), ['{"action":"a"}', '{"action":"b"}']);
  });
});

/** What becomes of a first line that is no handshake. */
const BAD_HELLOS: [line: string, code: string][] = [
  ["GET / HTTP/1.1", "BAD_JSON"],
  ["null", "BAD_PACKET"],
  ["{}", "BAD_PACKET"],
  ['{"action":"greet"}', "UNEXPECTED_PACKET"],
  ['{"action":"greet","data":{"version":1}}', "UNEXPECTED_PACKET"],
  ['{"action":"@ping","data":1}', "UNEXPECTED_PACKET"],
  ['{"action":"@close"}', "UNEXPECTED_PACKET"],
  ['{"action":"@Handshake","data":{"version":1}}', "UNEXPECTED_PACKET"],
  ['{"action":"@handshake"}', "BAD_PACKET"],
  ['{"action":"@handshake","data":null}', "BAD_PACKET"],
  ['{"action":"@handshake","data":"x"}', "BAD_PACKET"],
  ['{"action":"@handshake","data":[]}', "BAD_PACKET"],
  ['{"action":"@handshake","data":{"version":1,"limits":[]}}', "BAD_PACKET"],
  ...["999", '"1"', "-1", "0", "2", "1.5", "null", "[1]", "true"].map((version): [
    string,
    string,
  ] => [`{"action":"@handshake","data":{"version":${version}}}`, "VERSION_UNSUPPORTED"]),
  ['{"action":"@handshake","data":{}}', "VERSION_UNSUPPORTED"],
  ['{"action":"@handshake","data":{"__proto__":{"version":1}}}', "VERSION_UNSUPPORTED"],
  ...["null", "5", '"x"', '{"maxPacketBytes":null}', '{"maxPacketBytes":"4096"}'].map((limits): [
    string,
    string,
  ] => [`{"action":"@handshake","data":{"version":1,"limits":${limits}}}`, "BAD_PACKET"]),
  ...["0", "-1", "4095", "4096.5", "1e400", "9007199254740992"].map((limit): [string, string] => [
    `{"action":"@handshake","data":{"version":1,"limits":{"maxPacketBytes":${limit}}}}`,
    "BAD_PACKET",
  ]),
  ...["replayPackets", "replayBytes"].flatMap((name) =>
    ["0", "-1", "1.5", "1e400", "9007199254740992", "null", '"5"', "[5]"].map((limit): [
      string,
      string,
    ] => [
      `{"action":"@handshake","data":{"version":1,"limits":{"${name}":${limit}}}}`,
      "BAD_PACKET",
    ])
  ),
  ...["null", "1", '"true"', "[]", "{}"].map((session): [string, string] => [
    `{"action":"@handshake","data":{"version":1,"session":${session}}}`,
    "BAD_PACKET",
  ]),
  ...[
    "null",
    "5",
    '"x"',
    "[]",
    "{}",
    '{"epoch":"y","ack":0}',
    '{"token":5,"epoch":"y","ack":0}',
    '{"token":null,"epoch":"y","ack":0}',
    '{"token":"x","ack":0}',
    '{"token":"x","epoch":"","ack":0}',
    `{"token":"x","epoch":"${"y".repeat(65)}","ack":0}`,
    '{"token":"x","epoch":1,"ack":0}',
    '{"token":"x","epoch":"y"}',
    ...["-1", "1.5", '"0"', "null", "1e400", "9007199254740992", "[0]"].map((ack) =>
      `{"token":"x","epoch":"y","ack":${ack}}`
    ),
  ].map((resume): [string, string] => [
    `{"action":"@handshake","data":{"version":1,"session":true,"resume":${resume}}}`,
    "BAD_PACKET",
  ]),
];

Deno.test("a first line that is no handshake is a ProtocolError with the right code", async () => {
  for (const [line, code] of BAD_HELLOS) {
    const error = await assertRejects(() => hello(line), ProtocolError, "", line);
    assertEquals(error.code, code, line);
  }
});

Deno.test("the bounds of a limit, of an epoch and of an ack are accepted", async () => {
  const smallest: PeerLimits = { maxPacketBytes: 4_096, replayPackets: 1, replayBytes: 1 };
  const most = Number.MAX_SAFE_INTEGER;
  const largest: PeerLimits = { maxPacketBytes: most, replayPackets: most, replayBytes: most };
  for (const limits of [smallest, largest]) {
    const line = JSON.stringify({ action: "@handshake", data: { version: 1, limits } });
    assertEquals((await hello(line))?.limits, limits);
  }
  for (const [epoch, ack] of [["e", 0], ["e".repeat(64), most]] as const) {
    const resume = { token: "", epoch, ack };
    const line = JSON.stringify({ action: "@handshake", data: { version: 1, resume } });
    assertEquals((await hello(line))?.resume, resume);
  }
});

Deno.test("a first line that is too long or no UTF-8 is refused", async () => {
  const cases: [Uint8Array, string][] = [
    [bytes("x".repeat(5_120)), "PACKET_TOO_LARGE"],
    [bytes(encodeHello({ ...HELLO, auth: "x".repeat(4_096) }), "\n"), "PACKET_TOO_LARGE"],
    [bytes(0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0xfc, "\n"), "BAD_UTF8"],
  ];
  for (const [chunk, code] of cases) {
    const error = await assertRejects(() => reading([chunk], readHello), ProtocolError);
    assertEquals(error.code, code);
  }
});

// The server's line

Deno.test("a server grants an id, a token and its limits, and says that there is no session", () => {
  assertEquals(
    withoutTime(encodeWelcome(WELCOME)),
    `{"action":"@handshake","data":{"status":"success","version":1,"id":"${ID}",` +
      `"session":false,"resumed":false,"limits":${LIMITS_JSON}},"token":"${TOKEN}"}`,
  );
});

Deno.test("a server that grants a session names its run, and says what became of an earlier one", () => {
  const says = (welcome: Partial<Welcome>) =>
    withoutTime(encodeWelcome({ ...WELCOME, epoch: EPOCH, ...welcome }));
  const line = (verdict: string) =>
    `{"action":"@handshake","data":{"status":"success","version":1,"id":"${ID}",` +
    `"session":true,${verdict},"epoch":"${EPOCH}","limits":${LIMITS_JSON}},"token":"${TOKEN}"}`;
  assertEquals(says({}), line('"resumed":false'));
  assertEquals(says({ ack: 0 }), line('"resumed":true,"ack":0'));
  assertEquals(says({ reason: "overflow" }), line('"resumed":false,"reason":"overflow"'));
});

Deno.test("a refusal has a code and a message and no token, and names what is spoken", () => {
  assertEquals(
    encodeRefusal(new HandshakeError("SERVER_FULL", "no room")),
    '{"action":"@handshake","data":{"status":"error","code":"SERVER_FULL","message":"no room"}}',
  );
  assertEquals(
    encodeRefusal(new ProtocolError("VERSION_UNSUPPORTED", "no")),
    '{"action":"@handshake","data":{"status":"error","code":"VERSION_UNSUPPORTED","message":"no","supported":[1]}}',
  );
});

Deno.test("a client reads what a server grants, however the bytes are cut", async () => {
  for (const chunks of splits(bytes(encodeWelcome(WELCOME), "\n"))) {
    assertEquals(await reading(chunks, (wire) => readWelcome(wire)), WELCOME);
  }
  const resumed: Welcome = { ...WELCOME, epoch: EPOCH, ack: 3 };
  for (const chunks of splits(bytes(encodeWelcome(resumed), "\n"))) {
    assertEquals(await reading(chunks, (wire) => readWelcome(wire, RESUME)), resumed);
  }
  assertEquals(await welcome(answer()), { ...WELCOME, limits: DEFAULT_LIMITS });
});

/** What a server says that resumes what RESUME asks for, but for this. */
function resumed(change: Record<string, unknown> = {}, packet: Record<string, unknown> = {}) {
  return answer({ session: true, resumed: true, epoch: EPOCH, ack: 3, ...change }, packet);
}

Deno.test("a client is told why its session does not go on, and an unknown reason is expired", async () => {
  const reasons: [unknown, string][] = [
    ["restarted", "restarted"],
    ["overflow", "overflow"],
    ["expired", "expired"],
    ...["new", 5, null, undefined, {}].map((reason): [unknown, string] => [reason, "expired"]),
  ];
  for (const [said, read] of reasons) {
    // Whether there is a new one or not, and whatever else it says.
    for (const session of [true, false]) {
      const line = answer({ session, epoch: EPOCH, reason: said, ack: 3 });
      const verdict = await welcome(line, RESUME) as Welcome;
      assertEquals([verdict.reason, verdict.ack], [read as Welcome["reason"], undefined]);
      assertEquals(verdict.epoch, session ? EPOCH : undefined);
    }
  }
});

Deno.test("whoever has no session to lose is told no reason", async () => {
  for (const session of [true, false]) {
    const line = answer({ session, epoch: EPOCH, reason: "overflow", ack: 3 });
    const verdict = await welcome(line) as Welcome;
    assertEquals([verdict.reason, verdict.ack], [undefined, undefined]);
    assertEquals(verdict.epoch, session ? EPOCH : undefined);
  }
});

Deno.test("a session is resumed at any ack from 0", async () => {
  for (const ack of [0, 1, Number.MAX_SAFE_INTEGER]) {
    assertEquals((await welcome(resumed({ ack }), RESUME) as Welcome).ack, ack);
  }
});

Deno.test("a server that resumes what was not asked for is not believed", async () => {
  const other = "11111111-1111-4111-8111-111111111111";
  const bad: [line: string, resume?: Resume][] = [
    [resumed()],
    [resumed({}, { token: other }), RESUME],
    [resumed({ epoch: "another" }), RESUME],
    [resumed({ epoch: undefined }), RESUME],
    [resumed({ session: false }), RESUME],
    [resumed({ session: undefined }), RESUME],
    [resumed({ session: 1 }), RESUME],
    [resumed({ session: null }), RESUME],
    [resumed({ resumed: 1 }), RESUME],
    [resumed({ resumed: "true" }), RESUME],
    [resumed({ resumed: null }), RESUME],
    ...[undefined, null, "3", -1, 1.5, 2 ** 53, [3]].map((ack): [string, Resume] => [
      resumed({ ack }),
      RESUME,
    ]),
    ...[undefined, null, 5, "", "e".repeat(65), [EPOCH]].map((epoch): [string] => [
      answer({ session: true, epoch }),
    ]),
  ];
  for (const [line, resume] of bad) {
    const error = await assertRejects(() => welcome(line, resume), ProtocolError, "", line);
    assertEquals(error.code, "BAD_PACKET", line);
  }
});

Deno.test("an answer that grants nothing usable is a ProtocolError", async () => {
  const bad: [string, string][] = [
    ["HTTP/1.1 400 Bad Request", "BAD_JSON"],
    ["[]", "BAD_PACKET"],
    ["{}", "BAD_PACKET"],
    ['{"action":"hello"}', "UNEXPECTED_PACKET"],
    ['{"action":"hello","data":{"status":"success"}}', "UNEXPECTED_PACKET"],
    ['{"action":"@ping","data":1}', "UNEXPECTED_PACKET"],
    ['{"action":"@close","data":5}', "BAD_PACKET"],
    ['{"action":"@handshake"}', "BAD_PACKET"],
    ['{"action":"@handshake","data":[]}', "BAD_PACKET"],
    [answer({ status: "maybe" }), "BAD_PACKET"],
    [answer({ status: undefined }), "BAD_PACKET"],
    [answer({ status: "error" }), "BAD_PACKET"],
    [answer({ status: "error", code: 5, message: "x" }), "BAD_PACKET"],
    [answer({ status: "error", code: "REFUSED" }), "BAD_PACKET"],
    [answer({ version: 2 }), "VERSION_UNSUPPORTED"],
    [answer({ version: "1" }), "VERSION_UNSUPPORTED"],
    [answer({ version: undefined }), "VERSION_UNSUPPORTED"],
    ...[undefined, null, 5, "", "me", `${ID} `, `${ID}\n`, [ID]].map((id): [string, string] => [
      answer({ id }),
      "BAD_PACKET",
    ]),
    // Anything else would end up between quotes in every packet.
    ...[undefined, null, "", "me", ID, `${TOKEN}"`, `${TOKEN}\n`, ` ${TOKEN}`].map((token): [
      string,
      string,
    ] => [answer({}, { token }), "BAD_PACKET"]),
    [answer({}, { token: 5 }), "BAD_PACKET"],
    [answer({ token: TOKEN }, { token: undefined }), "BAD_PACKET"],
    ...[
      null,
      5,
      { maxPacketBytes: 4_095 },
      { maxPacketBytes: "8192" },
      { replayPackets: 0 },
      { replayBytes: 0 },
    ].map((limits): [string, string] => [answer({ limits }), "BAD_PACKET"]),
  ];
  for (const [line, code] of bad) {
    const error = await assertRejects(() => welcome(line), ProtocolError, "", line);
    assertEquals(error.code, code, line);
  }
});

Deno.test("a refusal is returned as what it says, its text fit to be shown", async () => {
  const refusals = [
    new HandshakeError("REFUSED", "not you\x1b[2J"),
    new HandshakeError("SERVER_FULL", "no room"),
    new HandshakeError("HANDSHAKE_TIMEOUT", "late"),
    new ProtocolError("VERSION_UNSUPPORTED", "old"),
    new ConnectionError("GOING_AWAY", "bye"),
  ];
  for (const refusal of refusals) {
    const error = await refusalOf(encodeRefusal(refusal));
    assertEquals(
      [error.name, error.code, error.message],
      [refusal.name, refusal.code, refusal.message.replace("\x1b", "\\u{1b}")],
    );
  }
  const unknown = await refusalOf(answer({ status: "error", code: "E_NEW", message: "new" }));
  assertInstanceOf(unknown, HandshakeError);
  assertEquals([unknown.code, unknown.message], ["REFUSED", "E_NEW: new"]);
});

Deno.test("a goodbye in place of an answer is returned as what it says", async () => {
  const goodbye = (data: unknown) => refusalOf(JSON.stringify({ action: "@close", data }));
  const silent = await goodbye(undefined);
  assertEquals([silent.code, silent.message], ["CLOSED", "no reason given"]);
  const error = await goodbye({ code: "GOING_AWAY", reason: "bye\x07" });
  assertEquals([error.code, error.message], ["GOING_AWAY", "bye\\u{7}"]);
});

Deno.test("a goodbye whose reason is no text is no worse than one without", async () => {
  const reasons: unknown[] = [undefined, null, 5, {}, [], { toString: 1, valueOf: 1 }, [{
    toString: null,
  }]];
  for (const reason of reasons) {
    const line = JSON.stringify({ action: "@close", data: { code: "GOING_AWAY", reason } });
    const error = await refusalOf(line);
    assertEquals([error.code, error.message], ["GOING_AWAY", "no reason given"]);
  }
});

Deno.test("a server that leaves without an answer is a lost connection", async () => {
  for (const chunks of [[], [bytes("\n")], [bytes(answer())]]) {
    const error = await assertRejects(
      () => reading(chunks, (wire) => readWelcome(wire)),
      ConnectionError,
    );
    assertEquals(error.code, "CONNECTION_LOST");
  }
});

Deno.test("what is wrong with a handshake is said without quoting it", async () => {
  const lines = ["SECRET", answer({ id: "SECRET" }), answer({}, { token: "SECRET" })];
  for (const line of lines) {
    const error = await assertRejects(() => welcome(line), ProtocolError);
    assertInstanceOf(error, ProtocolError);
    assertFalse(Deno.inspect(error).includes("SECRET"));
  }
});
