import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Console } from "node:console";
import { Writable } from "node:stream";
import { inspect } from "node:util";
import {
  ConnectionError,
  CryptoError,
  ERROR_CODES,
  HandshakeError,
  ProtocolError,
  RequestError,
} from "../../errors.ts";
import { MIN_PACKET_BYTES } from "../../options.ts";
import {
  checkActionName,
  checkPacket,
  createPacket,
  decodePacket,
  describe,
  encodeControl,
  encodeErrorHead,
  encodeHead,
  errorFromData,
  isErrorData,
  maxUtf8Length,
  type OutgoingPacket,
  parseLine,
  type ReceivedPacket,
  utf8Length,
} from "../../packet.ts";
import { encodeTail } from "../../stamp.ts";
import { bytes } from "../support/bytes.ts";

const TOKEN = "6a1f0f2e-9c1d-4c0b-8a53-0f2d7f3f8f11";

function refusal(line: string | Uint8Array): ProtocolError {
  return assertThrows(() => decodePacket(line), ProtocolError);
}

/** Code and whether the connection is kept. */
function verdict(line: string | Uint8Array): [string, boolean] {
  const { code, recoverable } = refusal(line);
  return [code, recoverable];
}

function withAction(action: unknown): string {
  return JSON.stringify({ action });
}

/** A packet that is longer than what goes unscanned, with `data` nested so deep. */
function nested(depth: number, open = "[", close = "]"): string {
  return `{"action":"a","pad":"${"x".repeat(4_096)}","data":${open.repeat(depth)}${
    close.repeat(depth)
  }}`;
}

// Making packets

Deno.test("createPacket stamps the time, and leaves the token to whoever sends it", () => {
  const before = Date.now();
  const packet = createPacket("move", { x: 1 });
  const after = Date.now();
  assertEquals(Object.keys(packet), ["action", "data", "packet-created", "token"]);
  assertEquals([packet.action, packet.data, packet.token], ["move", { x: 1 }, null]);
  assert(before <= packet["packet-created"] && packet["packet-created"] <= after);
});

Deno.test("createPacket puts null where no data is given", () => {
  assertEquals(createPacket("stop").data, null);
  assertEquals(createPacket("stop", null).data, null);
});

Deno.test("an action's name has 1 to 128 UTF-16 code units", () => {
  checkActionName("a");
  checkActionName("x".repeat(128));
  checkActionName("😀".repeat(64));
  checkActionName("__proto__");
  checkActionName("a@b");
  for (const name of ["", "x".repeat(129), "😀".repeat(64) + "x", "\ud800", "a\udc00b"]) {
    assertThrows(() => createPacket(name), TypeError, "1 to 128 UTF-16 code units");
    assertThrows(() => encodeHead({ action: name }), TypeError, "1 to 128 UTF-16 code units");
  }
});

Deno.test("an action's name that is no string is refused, saying what arrived", () => {
  const names: [unknown, string][] = [
    [undefined, "undefined"],
    [null, "null"],
    [5, "5"],
    [{}, "an object (Object)"],
    [["a"], "an object (Array)"],
    [Symbol("a"), "a symbol"],
    [new String("a"), "an object (String)"],
  ];
  for (const [name, shown] of names) {
    assertThrows(() => checkActionName(name), TypeError, `got ${shown}`);
  }
});

Deno.test("the protocol's own names cannot be sent", () => {
  for (const name of ["@", "@ping", "@handshake"]) {
    assertThrows(() => createPacket(name), TypeError, 'must not start with "@"');
    assertThrows(() => encodeHead({ action: name }), TypeError, 'must not start with "@"');
  }
});

const BENT: [value: unknown, what: string, instead: string][] = [
  [undefined, "undefined", "send null"],
  [() => 1, "a function", "send what it returns"],
  [class {}, "a function", "send what it returns"],
  [1n, "a bigint", "send its String()"],
  [Symbol("x"), "a symbol", "send its description"],
  [NaN, "NaN", "send null or a string"],
  [Infinity, "Infinity", "send null or a string"],
  [-Infinity, "-Infinity", "send null or a string"],
  [new Uint8Array(2), "binary data", "base64"],
  [new Float64Array(2), "binary data", "array of numbers"],
  [new BigInt64Array(2), "binary data", "base64"],
  [new DataView(new ArrayBuffer(2)), "binary data", "base64"],
  [new ArrayBuffer(2), "binary data", "base64"],
  [new Map(), "a Map", "Object.fromEntries"],
  [new Set(), "a Set", "[...set]"],
  [Promise.resolve(1), "a Promise", "await it"],
];

Deno.test("data that JSON would bend is a TypeError that says what to send instead", () => {
  for (const [data, what, instead] of BENT) {
    for (const send of [() => createPacket("a", data), () => encodeHead({ action: "a", data })]) {
      const { message } = assertThrows(send, TypeError, `data must be JSON, got ${what}`);
      assertStringIncludes(message, instead);
    }
  }
});

Deno.test("data that JSON cannot hold at all is a TypeError with the platform's as its cause", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = { cycle };
  const broken = {
    toJSON() {
      throw new RangeError("no");
    },
  };
  for (const data of [cycle, { deep: [1n] }, broken, { broken }]) {
    const error = assertThrows(() => encodeHead({ action: "a", data }), TypeError, "JSON");
    assertInstanceOf(error.cause, Error);
  }
});

Deno.test("data that turns itself into nothing is a TypeError", () => {
  for (const nothing of [undefined, () => {}, Symbol("x")]) {
    const data = { toJSON: () => nothing };
    assertThrows(() => encodeHead({ action: "a", data }), TypeError, "toJSON returns nothing");
  }
});

Deno.test("a Map that knows its own JSON is sent as that", () => {
  class Members extends Map<string, string> {
    toJSON() {
      return [...this.values()];
    }
  }
  const members = new Members([["secret", "Ada"]]);
  assertEquals(createPacket("members", members).data, members);
  assertEquals(
    encodeHead({ action: "members", data: members }),
    '{"action":"members","data":["Ada"]',
  );
});

Deno.test("binary data is refused even where it knows a JSON, which nobody wants to read", () => {
  class Buffer extends Uint8Array {
    toJSON() {
      return { type: "Buffer", data: [...this] };
    }
  }
  assertThrows(() => createPacket("a", new Buffer(1)), TypeError, "base64");
});

Deno.test("everything that JSON holds is data", () => {
  const cases: [unknown, string][] = [
    [null, "null"],
    [false, "false"],
    [0, "0"],
    [-1.5e300, "-1.5e+300"],
    ["", '""'],
    ["\ud800", '"\\ud800"'],
    ["a\nb\r\u2028", '"a\\nb\\r\u2028"'],
    [[], "[]"],
    [[1, [null]], "[1,[null]]"],
    [{}, "{}"],
    [Object.create(null), "{}"],
    [{ a: undefined, b: [undefined] }, '{"b":[null]}'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    [{ toJSON: () => 5 }, "5"],
  ];
  for (const [data, json] of cases) {
    assertEquals(encodeHead({ action: "a", data }), `{"action":"a","data":${json}`);
  }
});

Deno.test("what is no packet cannot be sent", () => {
  for (const packet of [null, undefined, "greet", 5, true, () => {}]) {
    const send = () => encodeHead(packet as unknown as OutgoingPacket);
    assertThrows(send, TypeError, "A packet must be an object with an action");
  }
  for (const packet of [{}, [], { data: 1 }, { action: 5 }, { Action: "a" }]) {
    assertThrows(
      () => encodeHead(packet as unknown as OutgoingPacket),
      TypeError,
      "An action's name",
    );
  }
});

Deno.test("a packet without data is sent with null, one whose data is undefined is refused", () => {
  assertEquals(encodeHead({ action: "a" }), '{"action":"a","data":null');
  assertThrows(() => encodeHead({ action: "a", data: undefined }), TypeError, "send null");
});

Deno.test("whatever else a packet carries is not sent", () => {
  const packet = { action: "a", data: 1, token: TOKEN, id: 5, "reply-to": 6, seq: 7, secret: 8 };
  assertEquals(encodeHead(packet), '{"action":"a","data":1');
});

Deno.test("a line is its head and its tail, byte for byte", () => {
  const head = encodeHead({ action: 'say "hi"', data: { x: "é\n" } });
  assertEquals(
    head + encodeTail({ created: 1_700_000_000_000, token: TOKEN, id: 7 }),
    `{"action":"say \\"hi\\"","data":{"x":"é\\n"},"packet-created":1700000000000,"token":"${TOKEN}","id":7}`,
  );
  assertEquals(
    head + encodeTail({ created: 0, token: null, replyTo: 9 }),
    '{"action":"say \\"hi\\"","data":{"x":"é\\n"},"packet-created":0,"token":null,"reply-to":9}',
  );
  assertEquals(encodeTail({ created: 1, token: null }), ',"packet-created":1,"token":null}');
  assertEquals(
    encodeTail({ created: 1, token: null, id: 2, replyTo: 3, seq: 4, ack: 0 }),
    ',"packet-created":1,"token":null,"id":2,"reply-to":3,"seq":4,"ack":0}',
  );
  assertEquals(
    encodeErrorHead("a", { code: "NO_ACTION", message: "no\nsuch" }),
    '{"action":"a","error":{"code":"NO_ACTION","message":"no\\nsuch"}',
  );
  assertEquals(encodeControl("@ping", 3), '{"action":"@ping","data":3}');
  assertEquals(encodeControl("@pong", 3, 7), '{"action":"@pong","data":3,"ack":7}');
  assertEquals(encodeControl("@ack", undefined, 0), '{"action":"@ack","ack":0}');
});

Deno.test("text has no more bytes than its bound says, and may have as many", () => {
  for (const text of ["", "x", "é", "€", "😀", "\ud800", "a\u0000é€😀"]) {
    assertEquals(utf8Length(text), bytes(text).length);
    assert(maxUtf8Length(text) >= utf8Length(text));
  }
  assertEquals([utf8Length("€€"), maxUtf8Length("€€"), maxUtf8Length("")], [6, 6, 0]);
});

Deno.test("a failed reply of any length is short enough for its requester", () => {
  const head = encodeErrorHead("a", { code: "ACTION_FAILED", message: "x".repeat(2_000_000) });
  assertLess(head.length, 400);
  const line = head + encodeTail({ created: 0, token: null, replyTo: 1 });
  assertEquals(decodePacket(line).error?.message.length, 256);
});

Deno.test("the largest error reply fits the smallest limit that a peer may set", () => {
  const codes = Object.values(ERROR_CODES).flat();
  const code = codes.reduce((longest, code) => code.length > longest.length ? code : longest);
  for (const char of ["\x01", "\ud800", "€", "😀", '"']) {
    const action = char.repeat(128).slice(0, 128);
    const head = encodeErrorHead(action, { code, message: char.repeat(100_000) });
    assert(bytes(head).length <= MIN_PACKET_BYTES - 256);
  }
});

// Receiving packets

Deno.test("the action is all that a packet must have", () => {
  const packet = decodePacket('{"action":"a"}');
  assertEquals(
    [packet.action, packet.data, packet["packet-created"], packet.token],
    ["a", null, 0, null],
  );
  assertEquals([packet.id, packet.replyTo, packet.error], [undefined, undefined, undefined]);
});

Deno.test("every known field arrives, and unknown ones are ignored", () => {
  const packet = decodePacket(
    `{"x":1,"action":"a","data":[1],"packet-created":5,"token":"${TOKEN}","id":3,"toString":7}`,
  );
  assertEquals(
    [packet.action, packet.data, packet["packet-created"], packet.token, packet.id],
    ["a", [1], 5, TOKEN, 3],
  );
  const reply = decodePacket('{"action":"a","reply-to":4,"error":{"code":"C","message":"m"}}');
  assertEquals([reply.replyTo, reply.error], [4, { code: "C", message: "m" }]);
});

Deno.test("a packet is decoded from text and from UTF-8 alike", () => {
  const line = '{"action":"grüße","data":"😀"}';
  const packets = [decodePacket(line), decodePacket(bytes(line))];
  assertEquals(packets.map(({ action, data }) => [action, data]), [["grüße", "😀"], [
    "grüße",
    "😀",
  ]]);
});

Deno.test("bytes that are not UTF-8 are BAD_UTF8 and end the connection", () => {
  const bad: number[][] = [
    [0xff],
    [0xfe],
    [0x80],
    [0xc0, 0xaf], // an overlong slash
    [0xc1, 0xbf],
    [0xe0, 0x80, 0xaf],
    [0xf0, 0x80, 0x80, 0xaf],
    [0xed, 0xa0, 0x80], // a surrogate
    [0xed, 0xbf, 0xbf],
    [0xf4, 0x90, 0x80, 0x80], // beyond U+10FFFF
    [0xf8, 0x88, 0x80, 0x80, 0x80],
    [0xe2, 0x82], // cut short
  ];
  for (const numbers of bad) {
    assertEquals(verdict(bytes('{"action":"', ...numbers, '"}')), ["BAD_UTF8", false]);
    assertEquals(verdict(bytes(...numbers)), ["BAD_UTF8", false]);
  }
  // The decoder is none the worse for it.
  assertEquals(decodePacket(bytes('{"action":"é"}')).action, "é");
});

Deno.test("a byte order mark is BAD_JSON, inside a string it is text", () => {
  assertEquals(verdict('\ufeff{"action":"a"}'), ["BAD_JSON", false]);
  assertEquals(verdict(bytes('\ufeff{"action":"a"}')), ["BAD_JSON", false]);
  assertEquals(decodePacket(bytes('{"action":"\ufeffa"}')).action, "\ufeffa");
});

Deno.test("what is not JSON is BAD_JSON and ends the connection", () => {
  const bad = [
    "",
    " ",
    "GET / HTTP/1.1",
    "{",
    "}",
    '{"action":"a"',
    '{"action":"a"}}',
    '{"action":"a"} {"action":"b"}',
    '{"action":"a"}x',
    '{"action":"a",}',
    '{"action":"a","data":[1,]}',
    '{action:"a"}',
    "{'action':'a'}",
    '{"action":"a","data":NaN}',
    '{"action":"a","data":Infinity}',
    '{"action":"a","data":undefined}',
    '{"action":"a","data":01}',
    '{"action":"a","data":+1}',
    '{"action":"a","data":1.}',
    '{"action":"a","data":.5}',
    '{"action":"a","data":0x1}',
    '{"action":"a","data":"\0"}',
    '{"action":"a","data":"\t"}',
    '{"action":"a","data":"\n"}',
    '{"action":"a","data":"\x1f"}',
    '{"action":"a","data":"\\x41"}',
    '{"action":"a","data":"\\u12"}',
    '{"action":"a","data":"',
    '{"action":"a"/*c*/}',
    '{"action":"a"}\0',
    '\u00a0{"action":"a"}',
  ];
  for (const line of bad) assertEquals(verdict(line), ["BAD_JSON", false], line);
});

Deno.test("what a refusal says quotes nothing of what arrived", () => {
  const lines = ["SECRET", '{"action":5,"SECRET":1}', '{"action":"a","token":["SECRET"]}', "[0]"];
  for (const line of lines) {
    const error = refusal(line);
    assertEquals(error.cause, undefined);
    assertFalse(Deno.inspect(error).includes("SECRET"), line);
  }
});

Deno.test("JSON that is no object is BAD_PACKET and ends the connection", () => {
  for (const line of ["null", "1", '"x"', "[]", "true", '[{"action":"a"}]', " 0 "]) {
    assertEquals(verdict(line), ["BAD_PACKET", false], line);
  }
});

Deno.test("an object whose fields are wrong is BAD_PACKET and the connection is kept", () => {
  const bad = [
    "{}",
    withAction(5),
    withAction(null),
    withAction(["a"]),
    withAction(""),
    withAction("x".repeat(129)),
    withAction("x".repeat(10_000)),
    '{"action":"\\ud800"}',
    '{"action":"a\\udc00\\ud800b"}',
    '{"Action":"a"}',
    '{"action":"a","action":5}',
    '{"__proto__":{"action":"a"}}',
    ...["0", "-1", "1.5", '"1"', "null", "9007199254740992", "1e400", "[1]", "true"].flatMap(
      (id) => [`{"action":"a","id":${id}}`, `{"action":"a","reply-to":${id}}`],
    ),
    '{"action":"a","id":1,"reply-to":1}',
    ...["5", "true", "{}", '["t"]'].map((token) => `{"action":"a","token":${token}}`),
    ...["5", "null", '"x"', "{}", "[]", '{"code":"C"}', '{"code":1,"message":"m"}'].map(
      (error) => `{"action":"a","reply-to":1,"error":${error}}`,
    ),
  ];
  for (const line of bad) assertEquals(verdict(line), ["BAD_PACKET", true], line);
});

Deno.test("the bounds of every field are accepted", () => {
  assertEquals(decodePacket(withAction("x".repeat(128))).action.length, 128);
  assertEquals(decodePacket(withAction("@anything")).action, "@anything");
  assertEquals(decodePacket('{"action":"\\ud83d\\ude00"}').action, "😀");
  assertEquals(decodePacket('{"action":"a","id":9007199254740991}').id, Number.MAX_SAFE_INTEGER);
  assertEquals(decodePacket('{"action":"a","id":1.0}').id, 1);
  assertEquals(decodePacket('{"action":"a","token":""}').token, "");
  assertEquals(decodePacket('{"action":"a","token":null}').token, null);
  assertEquals(decodePacket(' \t\r\n{"action":"a"} \t\r\n').action, "a");
});

Deno.test("names that every object has are names like any other", () => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assertEquals(decodePacket(withAction(name)).action, name);
  }
});

Deno.test("__proto__ in data is a key, and changes no prototype", () => {
  const { data } = decodePacket('{"action":"a","data":{"__proto__":{"admin":true}}}');
  assertEquals(Object.keys(data as object), ["__proto__"]);
  assertEquals((data as { admin?: unknown }).admin, undefined);
  assertEquals(Object.getPrototypeOf(data), Object.prototype);
  const packet = decodePacket('{"action":"a","__proto__":{"token":"t","id":5}}');
  assertEquals([packet.token, packet.id], [null, undefined]);
  assertEquals(({} as { admin?: unknown }).admin, undefined);
  assertEquals(
    encodeHead({ action: "a", data }),
    '{"action":"a","data":{"__proto__":{"admin":true}}',
  );
});

Deno.test("of duplicate keys the last one counts", () => {
  const packet = decodePacket('{"action":"a","data":1,"action":"b","data":2,"id":"x","id":3}');
  assertEquals([packet.action, packet.data, packet.id], ["b", 2, 3]);
});

Deno.test("a number that is too large to be one arrives, and cannot be sent on by mistake", () => {
  const { data } = decodePacket('{"action":"a","data":1e400}');
  assertEquals(data, Infinity);
  assertThrows(() => encodeHead({ action: "a", data }), TypeError, "got Infinity");
});

Deno.test("lone surrogates in data arrive and are sent on as they came", () => {
  const { data } = decodePacket('{"action":"a","data":"\\ud800x"}');
  assertEquals(data, "\ud800x");
  assertEquals(encodeHead({ action: "a", data }), '{"action":"a","data":"\\ud800x"');
});

Deno.test("what the sender says of the time is taken as it is, or as 0", () => {
  const said = (json: string) =>
    decodePacket(`{"action":"a","packet-created":${json}}`)["packet-created"];
  assertEquals(["0", "-5", "253402300799999", "1.5"].map(said), [0, -5, 253402300799999, 1.5]);
  assertEquals(['"1970-01-01"', "null", "{}", "[]", "true", "1e400", "-1e400"].map(said), [
    ...Array(7).fill(0),
  ]);
});

Deno.test("an error is one only on a reply", () => {
  for (const error of ["5", "null", '{"code":"C","message":"m"}']) {
    assertEquals(decodePacket(`{"action":"a","error":${error}}`).error, undefined);
  }
});

Deno.test("seq and ack of any kind are no concern of a packet's, and show nowhere on it", () => {
  for (const field of ['"seq":1', '"seq":0', '"seq":null', '"ack":0', '"ack":"x"', '"ack":false']) {
    const packet = decodePacket(`{"action":"a",${field}}`);
    assertEquals({ ...packet }, { action: "a", data: null, "packet-created": 0 }, field);
  }
});

Deno.test("a line's fields can be read where the packet is refused: it uses up its number", () => {
  const fields = parseLine('{"action":5,"seq":7,"ack":"x"}');
  assertEquals([fields.seq, fields.ack], [7, "x"]);
  const error = assertThrows(() => checkPacket(fields), ProtocolError);
  assertEquals([error.code, error.recoverable], ["BAD_PACKET", true]);
  assertEquals(checkPacket(parseLine('{"action":"a","data":1}')).data, 1);
});

Deno.test("what is no object ends the connection before its fields are looked at", () => {
  for (const line of ["null", "1", '"x"', "[]", "true"]) {
    const error = assertThrows(() => parseLine(line), ProtocolError);
    assertEquals([error.code, error.recoverable], ["BAD_PACKET", false], line);
  }
});

// Nesting

function depthVerdict(line: string, maxDepth?: number | false): string {
  try {
    decodePacket(line, { maxDepth });
    return "accepted";
  } catch (error) {
    assertInstanceOf(error, ProtocolError);
    assertFalse(error.recoverable);
    return error.code;
  }
}

Deno.test("a long line may nest 64 levels deep, the packet among them, and no deeper", () => {
  assertEquals(depthVerdict(nested(63)), "accepted");
  assertEquals(depthVerdict(nested(64)), "TOO_DEEP");
  assertEquals(depthVerdict(nested(62, '{"a":', "}").replace(":}", ":1}")), "accepted");
  assertEquals(depthVerdict(nested(64, '{"a":', "}").replace(":}", ":1}")), "TOO_DEEP");
  assertEquals(depthVerdict(nested(2), 2), "TOO_DEEP");
  assertEquals(depthVerdict(nested(1), 2), "accepted");
});

Deno.test("depth is what is open at once, not what was opened", () => {
  assertEquals(depthVerdict(nested(1, "[" + "[],{},".repeat(2_000) + "0", "]")), "accepted");
});

Deno.test("brackets inside strings do not nest", () => {
  const strings = ["[".repeat(99), '\\"' + "[{".repeat(99), "\\\\\\\\", '\\\\\\\\\\"[['.repeat(50)];
  for (const string of strings) {
    assertEquals(depthVerdict(nested(1, `["${string}",`, "0]")), "accepted", string);
    assertEquals(depthVerdict(nested(1, `["${string}",${"[".repeat(64)}`, "0]")), "TOO_DEEP");
  }
});

Deno.test("a line that is too deep is refused before it is parsed", () => {
  assertEquals(depthVerdict("[".repeat(5_000)), "TOO_DEEP");
  assertEquals(depthVerdict("{".repeat(1_000_000)), "TOO_DEEP");
  assertEquals(depthVerdict(nested(1_000_000)), "TOO_DEEP");
  assertEquals(depthVerdict(nested(64) + "trailing"), "TOO_DEEP");
});

Deno.test("a line of up to 4096 UTF-16 code units is not scanned", () => {
  const deep = (length: number) => {
    const line = `{"action":"a","data":${"[".repeat(100)}${"]".repeat(100)}}`;
    return line + " ".repeat(length - line.length);
  };
  assertEquals(depthVerdict(deep(4_096)), "accepted");
  assertEquals(depthVerdict(deep(4_097)), "TOO_DEEP");
});

Deno.test("the scan for depth can be turned off", () => {
  assertEquals(depthVerdict(nested(10_000), false), "accepted");
});

Deno.test("strings full of escapes are scanned once", () => {
  for (const piece of ["\\\\", '\\"', '\\\\\\"']) {
    const line = `{"action":"a","data":"${piece.repeat(250_000)}"}`;
    const start = performance.now();
    decodePacket(line);
    // Quadratic, it would take minutes.
    assertLess(performance.now() - start, 5_000);
  }
});

// The token

const SECRET = "TOP-SECRET-TOKEN";

function secretPacket(): ReceivedPacket {
  const fields = `"action":"a","data":{"x":1},"packet-created":5,"token":"${SECRET}","id":7`;
  return decodePacket(`{${fields},"other":"${SECRET}"}`);
}

Deno.test("the token of a received packet can be read", () => {
  assertEquals(secretPacket().token, SECRET);
  assertEquals(secretPacket().id, 7);
});

Deno.test("a received packet's own properties are action, data and packet-created", () => {
  const packet = secretPacket();
  const own = { action: "a", data: { x: 1 }, "packet-created": 5 };
  assertEquals({ ...packet }, own);
  assertEquals<object>(Object.assign({}, packet), own);
  assertEquals(Object.fromEntries(Object.entries(packet)), own);
  assertEquals(JSON.parse(JSON.stringify(packet)), own);
  assertEquals(Reflect.ownKeys(packet), Object.keys(own));
  const keys: string[] = [];
  for (const key in packet) keys.push(key);
  assertEquals(keys, Object.keys(own));
  const { action: _, ...rest } = packet;
  assertEquals(Object.keys(rest), ["data", "packet-created"]);
});

Deno.test("a clone of a received packet carries no token", () => {
  const clone: Record<string, unknown> = structuredClone(secretPacket()) as never;
  assertEquals(Object.keys(clone), ["action", "data", "packet-created"]);
  assertEquals(clone.token, undefined);
  assertFalse(Deno.inspect(clone, { showHidden: true, getters: true }).includes(SECRET));
});

Deno.test("no way to print a received packet shows its token", () => {
  const packet = secretPacket();
  const ways: Deno.InspectOptions[] = [
    {},
    { showHidden: true },
    { getters: true },
    { showHidden: true, getters: true },
    { showHidden: true, getters: true, showProxy: true, depth: 99, compact: false, sorted: true },
  ];
  for (const options of ways) {
    for (const value of [packet, [packet], { packet }, new Map([["packet", packet]])]) {
      assertFalse(Deno.inspect(value, options).includes(SECRET), JSON.stringify(options));
      assertFalse(inspect(value, options).includes(SECRET), JSON.stringify(options));
    }
  }
});

Deno.test("a printed packet shows what was sent", () => {
  for (const shown of [Deno.inspect(secretPacket()), inspect(secretPacket())]) {
    assertMatch(shown, /action: ["']a["'], data: \{ x: 1 \}, ["']packet-created["']: 5/);
  }
});

Deno.test("console.log, in any of its formats, shows no token of a received packet", () => {
  let shown = "";
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      shown += chunk;
      done();
    },
  });
  const console = new Console({ stdout, inspectOptions: { showHidden: true, getters: true } });
  const packet = secretPacket();
  console.log(packet, { packet });
  console.log("%o %O %j %s", packet, packet, packet, packet);
  console.log(`${packet}`, String(packet));
  new Console({ stdout }).dir(packet);
  console.table([packet]);
  assertStringIncludes(shown, "packet-created");
  assertFalse(shown.includes(SECRET));
});

Deno.test("a received packet that is passed on takes nobody's token along", () => {
  const packet = secretPacket();
  for (const data of [packet, { packet }, [{ ...packet }]]) {
    assertFalse(encodeHead({ action: "b", data }).includes(SECRET));
    assertFalse(JSON.stringify(createPacket("b", data)).includes(SECRET));
  }
  assertEquals(encodeHead(packet), '{"action":"a","data":{"x":1}');
});

// Errors as data

Deno.test("each code comes back as the class that it belongs to", () => {
  const classes = { ConnectionError, ProtocolError, HandshakeError, CryptoError, RequestError };
  for (const [name, codes] of Object.entries(ERROR_CODES)) {
    for (const code of codes) {
      const error = errorFromData({ code, message: "why" });
      assertInstanceOf(error, classes[name as keyof typeof classes]);
      assertEquals([error.code, error.message], [code, "why"]);
      assertEquals(error instanceof RequestError ? error.remote : true, true);
    }
  }
});

Deno.test("a code that is not known is an action that failed, and shown", () => {
  for (const code of ["E_NEW", "__proto__", "constructor", ""]) {
    const error = errorFromData({ code, message: "why" });
    assertInstanceOf(error, RequestError);
    assertEquals([error.code, error.message, error.remote], [
      "ACTION_FAILED",
      `${code}: why`,
      true,
    ]);
  }
});

Deno.test("what the other side says of an error is fit to be shown", () => {
  const { message } = errorFromData({ code: "\x1b[2J", message: "a\x1b]0;x\x07\u202e\r\n\x9b" });
  assertEquals(message, "\\u{1b}[2J: a\\u{1b}]0;x\\u{7}\\u{202e}\\u{d}\\u{a}\\u{9b}");
  const long = errorFromData({ code: "x".repeat(9_999), message: "y".repeat(9_999) }).message;
  assertEquals(long, `${"x".repeat(64)}…: ${"y".repeat(256)}…`);
});

Deno.test("error data is an object with two strings", () => {
  assert(isErrorData({ code: "", message: "", more: 1 }));
  for (const value of [null, undefined, 5, "x", [], {}, { code: "C" }, { code: 1, message: "" }]) {
    assertFalse(isErrorData(value));
  }
});

// Messages about misuse

Deno.test("a value is described on one line, fit to be shown, whatever it is", () => {
  const cases: [unknown, string][] = [
    ["a", 'the string "a"'],
    ["x".repeat(50), `the string "${"x".repeat(40)}…"`],
    [null, "null"],
    [undefined, "undefined"],
    [true, "true"],
    [NaN, "NaN"],
    [1n, "a bigint"],
    [() => {}, "a function"],
    [[], "an object (Array)"],
    [new Date(), "an object (Date)"],
    [Object.create(null), "an object"],
    [{ constructor: null }, "an object"],
    [JSON.parse('{"constructor":{"name":{"toString":1}}}'), "an object"],
    [JSON.parse('{"constructor":{"name":"\\u001b[2J"}}'), "an object (\\u{1b}[2J)"],
  ];
  for (const [value, text] of cases) assertEquals(describe(value), text);
  assertFalse(/\p{C}/u.test(describe("\x9b2J\u202e\x1b[2J")));
});
