import { assert, assertEquals, assertFalse } from "@std/assert";
import fc from "fast-check";
import { ProtocolError } from "../../errors.ts";
import {
  createPacket,
  decodePacket,
  describe,
  encodeErrorHead,
  encodeHead,
  errorFromData,
  ReceivedPacket,
} from "../../packet.ts";
import { encodeTail } from "../../stamp.ts";

const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/u;

/** Any text, lone surrogates and all. */
const anyText = fc.string({
  unit: fc.oneof(
    fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code)),
    fc.constantFrom("\ud800", "\udc00", "\0", '"', "\\", "\n", "\u2028", "\x9b", "\u202e", "a"),
  ),
  maxLength: 60,
});

const name = anyText.filter((text) =>
  text.length > 0 && text.length <= 128 && text.isWellFormed() && !text.startsWith("@")
);

const id = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

function decodeOrRefusal(line: string | Uint8Array): ReceivedPacket | ProtocolError {
  try {
    return decodePacket(line);
  } catch (error) {
    assert(error instanceof ProtocolError, `not a ProtocolError: ${Deno.inspect(error)}`);
    return error;
  }
}

/** What must hold of whatever arrives. */
function assertSound(line: string | Uint8Array): void {
  const packet = decodeOrRefusal(line);
  if (packet instanceof ProtocolError) {
    assertEquals(packet.cause, undefined);
    assertFalse(UNSAFE.test(packet.message));
    return;
  }
  assert(packet instanceof ReceivedPacket);
  const { action, token, id, replyTo, error } = packet;
  assert(typeof action === "string" && action.isWellFormed());
  assert(action.length > 0 && action.length <= 128);
  assert(Number.isFinite(packet["packet-created"]));
  assert(token === null || typeof token === "string");
  for (const number of [id, replyTo]) {
    assert(number === undefined || (Number.isSafeInteger(number) && number > 0));
  }
  assert(id === undefined || replyTo === undefined);
  assert(error === undefined || replyTo !== undefined);
  if (error) assertFalse(UNSAFE.test(errorFromData(error).message));
  assertEquals(Object.keys(packet), ["action", "data", "packet-created"]);
}

Deno.test("any JSON comes out as it went in, with all its stamps", () => {
  const stamp = fc.record({
    created: fc.integer({ min: 0, max: 8.64e15 }),
    token: fc.option(fc.uuid({ version: 4 })),
    id: fc.option(id, { nil: undefined }),
  });
  fc.assert(
    fc.property(name, fc.jsonValue({ maxDepth: 6 }), stamp, (action, data, stamp) => {
      const line = encodeHead(createPacket(action, data)) + encodeTail(stamp);
      assertFalse(/[\r\n]/.test(line));
      const packet = decodePacket(line);
      assertEquals(packet.action, action);
      assertEquals(JSON.stringify(packet.data), JSON.stringify(data));
      assertEquals(packet["packet-created"], stamp.created);
      assertEquals([packet.token, packet.id, packet.replyTo], [stamp.token, stamp.id, undefined]);
      // And once more, as whoever forwards it does.
      assertEquals(encodeHead(packet), encodeHead({ action, data }));
    }),
    { numRuns: 500 },
  );
});

Deno.test("any text that is data comes out as it went in, lone surrogates too", () => {
  fc.assert(
    fc.property(anyText, (data) => {
      const line = encodeHead({ action: "a", data }) + encodeTail({ created: 0, token: null });
      assert(line.isWellFormed());
      assertEquals(decodePacket(new TextEncoder().encode(line)).data, data);
    }),
  );
});

Deno.test("any error comes out as one that is fit to be shown", () => {
  fc.assert(
    fc.property(name, anyText, anyText, id, (action, code, message, replyTo) => {
      const stamp = { created: 0, token: null, replyTo };
      const packet = decodePacket(encodeErrorHead(action, { code, message }) + encodeTail(stamp));
      assertEquals(packet.error, { code, message });
      assertFalse(UNSAFE.test(errorFromData(packet.error!).message));
    }),
  );
});

Deno.test("any text is a packet or a ProtocolError", () => {
  fc.assert(fc.property(anyText, assertSound), { numRuns: 500 });
});

Deno.test("any bytes are a packet or a ProtocolError", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), assertSound), { numRuns: 500 });
});

Deno.test("any JSON is a packet or a ProtocolError", () => {
  fc.assert(fc.property(fc.json(), assertSound), { numRuns: 300 });
});

/** A field's value: a number that many fields may have, or something that few may. */
const value = fc.oneof(
  fc.constantFrom("1", "2"),
  fc.constantFrom(
    "0",
    "1",
    "-1",
    "1.5",
    "1e400",
    "-0",
    "9007199254740992",
    '"1"',
    '""',
    "null",
    "true",
    "[]",
    "{}",
    '{"code":"C","message":"m"}',
    '{"code":"\\u001b","message":"\\u202e"}',
    '{"toString":1,"valueOf":1}',
    '"\\ud800"',
    '"a"',
  ),
  fc.json({ maxDepth: 2 }),
);

const fields = fc.array(
  fc.tuple(
    fc.constantFrom(
      "id",
      "reply-to",
      "error",
      "action",
      "data",
      "packet-created",
      "token",
      "id",
      "reply-to",
      "error",
      "seq",
      "ack",
      "__proto__",
      "constructor",
      "toString",
    ),
    value,
  ),
  { maxLength: 6 },
);

Deno.test("an object with any fields is a packet, or a ProtocolError that keeps the connection", () => {
  fc.assert(
    fc.property(fields, (pairs) => {
      const line = `{${pairs.map(([key, json]) => `"${key}":${json}`).join(",")}}`;
      assertSound(line);
      const refusal = decodeOrRefusal(line);
      if (refusal instanceof ProtocolError) {
        assertEquals([refusal.code, refusal.recoverable], ["BAD_PACKET", true]);
      }
      // Only the action is required.
      assertSound(`{"action":"a"${pairs.map(([key, json]) => `,"${key}":${json}`).join("")}}`);
    }),
    { numRuns: 1_000 },
  );
});

/** Small damage: some of the text is cut out, doubled or replaced by a piece of JSON. */
const damage = fc.array(
  fc.tuple(
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.nat({ max: 5 }),
    fc.constantFrom(
      "",
      "",
      '"',
      "\\",
      ",",
      ":",
      "{",
      "}",
      "[",
      "]",
      "null",
      "1e999",
      "\\u0000",
      "\0",
      "\ufeff",
      "\ud800",
      " ",
    ),
  ),
  { minLength: 1, maxLength: 4 },
);

Deno.test("a packet with any damage is a packet or a ProtocolError", () => {
  fc.assert(
    fc.property(name, fc.jsonValue(), id, damage, (action, data, id, edits) => {
      let line = encodeHead({ action, data }) + encodeTail({ created: 5, token: "t", id });
      for (const [share, length, insert] of edits) {
        const at = Math.floor(share * line.length);
        line = line.slice(0, at) + insert + line.slice(at + length);
      }
      assertSound(line);
      assertSound(new TextEncoder().encode(line));
    }),
    { numRuns: 1_000 },
  );
});

// Nesting

const MAX_DEPTH = 5;
const PAD = '"' + "x".repeat(4_096) + '"';

function isTooDeep(line: string): boolean {
  try {
    decodePacket(line, { maxDepth: MAX_DEPTH });
    return false;
  } catch (error) {
    assert(error instanceof ProtocolError);
    return error.code === "TOO_DEEP";
  }
}

function depthOf(value: unknown): number {
  if (value === null || typeof value !== "object") return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

/** Text that a scanner could take for structure. */
const trap = fc.string({
  unit: fc.constantFrom("[", "]", "{", "}", '"', "\\", "a"),
  maxLength: 12,
});

const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: "max", maxDepth: 8 },
    trap,
    fc.array(tie("tree"), { maxLength: 3 }),
    fc.dictionary(trap, tie("tree"), { maxKeys: 3 }),
  ),
}));

Deno.test("a line is too deep exactly when what it parses to is", () => {
  let deep = 0;
  let runs = 0;
  fc.assert(
    fc.property(tree, (data) => {
      const line = `{"action":"a","pad":${PAD},"data":${JSON.stringify(data)}}`;
      const expected = depthOf(data) + 1 > MAX_DEPTH;
      assertEquals(isTooDeep(line), expected);
      runs++;
      if (expected) deep++;
    }),
    { numRuns: 500 },
  );
  assert(deep > runs / 50 && deep < runs, `${deep} of ${runs} were too deep`);
});

/**
 * Goes through the text one unit at a time. A backslash outside of a string, where no JSON has one, escapes a
 * quote as it does within: what is behind it is never parsed, and all before it is looked at as it should be.
 */
function nestsTooDeep(text: string): boolean {
  let depth = 0;
  let isInString = false;
  let isEscaped = false;
  for (const char of text) {
    const wasEscaped: boolean = isEscaped;
    isEscaped = char === "\\" && !wasEscaped;
    if (char === '"' && !wasEscaped) isInString = !isInString;
    if (isInString) continue;
    if (char === "[" || char === "{") {
      if (++depth > MAX_DEPTH) return true;
    } else if (char === "]" || char === "}") depth--;
  }
  return false;
}

Deno.test("whether a line is too deep is seen before it is parsed, by brackets alone", () => {
  const soup = fc.string({
    unit: fc.constantFrom("[", "[", "{", "]", "}", '"', "\\", "a", ","),
    maxLength: 60,
  }).map((text) => `${PAD}${text}`);
  fc.assert(fc.property(soup, (text) => assertEquals(isTooDeep(text), nestsTooDeep(text))), {
    numRuns: 1_000,
  });
});

// The token

Deno.test("no token shows in whatever is made of a received packet", () => {
  fc.assert(
    fc.property(fc.uuid({ version: 4 }), name, fc.jsonValue(), (token, action, data) => {
      const packet = decodePacket(encodeHead({ action, data }) + encodeTail({ created: 5, token }));
      assertEquals(packet.token, token);
      const shown = [
        JSON.stringify(packet),
        JSON.stringify({ ...packet }),
        JSON.stringify(structuredClone(packet)),
        Deno.inspect(packet, { showHidden: true, getters: true, depth: 99 }),
        encodeHead(packet),
        encodeHead({ action: "b", data: packet }),
      ];
      for (const text of shown) assertFalse(text.includes(token));
    }),
  );
});

Deno.test("any value is described on one line that is fit to be shown", () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), anyText, fc.jsonValue()), (value) => {
      const text = describe(value);
      assertFalse(UNSAFE.test(text));
      assert(text.length < 500);
    }),
    { numRuns: 300 },
  );
});
