// These hold for the real packages as well as for those in links/std.

import {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  AssertionError,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  equal,
  fail,
} from "@std/assert";
import { TextLineStream, type TextLineStreamOptions } from "@std/streams";
import { TextLineStream as SameTextLineStream } from "@std/streams/text-line-stream";
import { v4, v7, validate } from "@std/uuid";
import { validate as validateV4 } from "@std/uuid/v4";
import { extractTimestamp, generate, validate as validateV7 } from "@std/uuid/v7";

/** Checks, without help of the functions under test, that one of them fails. */
function failureOf(assertion: () => void): AssertionError {
  try {
    assertion();
  } catch (error) {
    if (error instanceof AssertionError) return error;
    throw error;
  }
  throw new Error("The assertion passed");
}

async function rejectionOf(promise: Promise<unknown>): Promise<AssertionError> {
  const [result] = await Promise.allSettled([promise]);
  return failureOf(() => {
    if (result.status === "rejected") throw result.reason;
  });
}

function linesOf(
  chunks: string[],
  options?: TextLineStreamOptions,
): Promise<string[]> {
  return Array.fromAsync(
    ReadableStream.from(chunks).pipeThrough(new TextLineStream(options)),
  );
}

Deno.test("an AssertionError has its name, its message and its cause", () => {
  const error = new AssertionError("words", { cause: 1 });
  assertEquals(
    [error.name, error.message, error.cause],
    ["AssertionError", "words", 1],
  );
});

Deno.test("assert takes what is truthy, assertFalse what is not", () => {
  assert("x");
  assertFalse("");
  assertEquals(failureOf(() => assert(0, "words")).message, "words");
  assertEquals(failureOf(() => assertFalse(1, "words")).message, "words");
});

Deno.test("fail fails", () => {
  assertEquals(failureOf(() => fail()).message, "Failed assertion.");
  assertEquals(failureOf(() => fail("why")).message, "Failed assertion: why");
});

Deno.test("assertEquals compares what is in the values and shows how they differ", () => {
  assertEquals({ a: [new Date(0), /x/g] }, { a: [new Date(0), /x/g] });
  const { message } = failureOf(() => assertEquals({ a: [1] }, { a: [2] }));
  assertStringIncludes(message, "Values are not equal");
  assertMatch(message, /- .*1/);
  assertMatch(message, /\+ .*2/);
});

Deno.test("assertNotEquals compares what is in the values", () => {
  assertNotEquals([1], [2]);
  failureOf(() => assertNotEquals([1], [1]));
});

Deno.test("assertStrictEquals tells two equal objects apart", () => {
  const object = {};
  assertStrictEquals(object, object);
  assertStrictEquals(NaN, NaN);
  assertStringIncludes(
    failureOf(() => assertStrictEquals({}, {})).message,
    "not reference-equal",
  );
  failureOf(() => assertStrictEquals(0, -0));
});

Deno.test("equal looks into sets and maps without regard to order", () => {
  assert(equal(new Set([{ a: 1 }, { a: 2 }]), new Set([{ a: 2 }, { a: 1 }])));
  assert(equal(new Map([["a", [1]]]), new Map([["a", [1]]])));
  assertFalse(equal(new Map([["a", [1]]]), new Map([["a", [2]]])));
});

Deno.test("equal wants sets of one size, and a partner for each member", () => {
  assertFalse(equal(new Set([1]), new Set([1, 2])));
  assertFalse(equal(new Set([{ a: 1 }, { a: 2 }]), new Set([{ a: 1 }, { a: 3 }])));
});

Deno.test("equal tells a missing property from an undefined one", () => {
  assertFalse(equal({ a: undefined }, {}));
  assertFalse(equal({ a: undefined }, { b: undefined }));
});

Deno.test("equal tells instances of two classes apart, and bytes from numbers", () => {
  class One {}
  class Two {}
  assertFalse(equal(new One(), new Two()));
  assertFalse(equal(new Uint8Array([1]), [1]));
  assertFalse(equal(new Uint8Array([1]), new Uint8Array([2])));
});

Deno.test("equal takes a date by its time and a pattern by its text", () => {
  assertFalse(equal(new Date(0), new Date(1)));
  const used = /x/g;
  used.test("x");
  assert(equal(used, /x/g));
  assertFalse(equal(/x/, /x/g));
});

Deno.test("equal takes an object without a prototype for a plain one", () => {
  assert(equal(Object.assign(Object.create(null), { a: 1 }), { a: 1 }));
});

Deno.test("equal reads the getters of a class", () => {
  class Box {
    #content: number;
    constructor(content: number) {
      this.#content = content;
    }
    get content() {
      return this.#content;
    }
  }
  assert(equal(new Box(1), new Box(1)));
  assertFalse(equal(new Box(1), new Box(2)));
});

Deno.test("equal comes back from objects that contain themselves", () => {
  const circle = (end: number) => {
    const object: Record<string, unknown> = { end };
    return Object.assign(object, { object });
  };
  assert(equal(circle(1), circle(1)));
  assertFalse(equal(circle(1), circle(2)));
  assert(
    equal(new Set([circle(1), circle(2)]), new Set([circle(2), circle(1)])),
  );
});

Deno.test("assertExists takes everything but null and undefined", () => {
  assertExists(0);
  failureOf(() => assertExists(null));
  failureOf(() => assertExists(undefined));
});

Deno.test("assertGreater and assertLess refuse the same value", () => {
  assertGreater(2, 1);
  assertLess(1n, 2n);
  assertEquals(failureOf(() => assertGreater(1, 1)).message, "Expect 1 > 1");
  assertEquals(failureOf(() => assertLess(1, 1)).message, "Expect 1 < 1");
});

Deno.test("assertMatch and assertStringIncludes search a text", () => {
  assertMatch("abc", /b./);
  assertStringIncludes("abc", "bc");
  failureOf(() => assertMatch("abc", /c./));
  failureOf(() => assertStringIncludes("abc", "cb"));
});

Deno.test("assertInstanceOf names both classes", () => {
  assertInstanceOf(new RangeError(), Error);
  assertEquals(
    failureOf(() => assertInstanceOf(new Error(), RangeError)).message,
    'Expected object to be an instance of "RangeError" but was "Error".',
  );
});

Deno.test("assertThrows returns what was thrown", () => {
  const error = new RangeError("too far");
  const throwIt = () => {
    throw error;
  };
  assertStrictEquals(assertThrows(throwIt), error);
  assertStrictEquals(assertThrows(throwIt, Error, "far"), error);
});

Deno.test("assertThrows fails on no error, another class and another message", () => {
  const throwIt = () => {
    throw new RangeError("too far");
  };
  assertEquals(
    failureOf(() => assertThrows(() => {}, "why")).message,
    "Expected function to throw: why",
  );
  failureOf(() => assertThrows(throwIt, TypeError));
  failureOf(() => assertThrows(throwIt, RangeError, "near"));
});

Deno.test("assertRejects resolves with what the promise was rejected with", async () => {
  const error = new RangeError("too far");
  const reject = () => Promise.reject(error);
  assertStrictEquals(await assertRejects(reject), error);
  assertStrictEquals(await assertRejects(reject, Error, "far"), error);
});

Deno.test("assertRejects fails on no error, another one, and a function that throws", async () => {
  const reject = () => Promise.reject(new RangeError("too far"));
  assertEquals(
    (await rejectionOf(assertRejects(() => Promise.resolve(), "why"))).message,
    "Expected function to reject: why",
  );
  await rejectionOf(assertRejects(reject, TypeError));
  await rejectionOf(assertRejects(reject, RangeError, "near"));
  await rejectionOf(assertRejects(() => {
    throw new RangeError("too soon");
  }));
});

Deno.test("a TextLineStream makes the same lines of a text however it is cut", async () => {
  const text = "one\n\r\ntwo\rtwo\r\nthree";
  for (let cut = 0; cut <= text.length; cut++) {
    const chunks = [text.slice(0, cut), text.slice(cut)];
    assertEquals(await linesOf(chunks), ["one", "", "two\rtwo", "three"]);
    assertEquals(
      await linesOf(chunks, { allowCR: true }),
      ["one", "", "two", "two", "three"],
    );
  }
});

Deno.test("a TextLineStream makes no line after the last line ending", async () => {
  assertEquals(await linesOf(["one\n"]), ["one"]);
  assertEquals(await linesOf([]), []);
  assertEquals(await linesOf(["one\r"]), ["one\r"]);
  assertEquals(await linesOf(["one\r"], { allowCR: true }), ["one"]);
});

Deno.test("validate takes UUIDs of all versions, v4 and v7 only their own", () => {
  const nil = "00000000-0000-0000-0000-000000000000";
  const version4 = crypto.randomUUID();
  const version7 = generate();
  const table = [nil, version4, version7, version4.toUpperCase(), "x", ""]
    .map((id) => [validate(id), validateV4(id), validateV7(id)]);
  assertEquals(table, [
    [true, false, false],
    [true, true, false],
    [true, false, true],
    [true, true, false],
    [false, false, false],
    [false, false, false],
  ]);
});

Deno.test("a version 7 UUID is new each time and sorts by its time", () => {
  assertNotEquals(generate(5), generate(5));
  assertLess(generate(0xfffffffffff), generate(0x100000000000));
});

Deno.test("a version 7 UUID tells its time", () => {
  assertEquals(extractTimestamp(generate(1234567890123)), 1234567890123);
  assertThrows(() => extractTimestamp(crypto.randomUUID()), TypeError);
  assertThrows(() => generate(-1), RangeError);
  assertThrows(() => generate(0.5), RangeError);
});

Deno.test("a package's main module has what its other ones have", () => {
  assertStrictEquals(SameTextLineStream, TextLineStream);
  assertStrictEquals(v4.validate, validateV4);
  assertStrictEquals(v7.validate, validateV7);
  assertStrictEquals(v7.generate, generate);
  assertStrictEquals(v7.extractTimestamp, extractTimestamp);
});
