import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  checkCloseOptions,
  checkFunctions,
  checkSendOptions,
  checkSignal,
  checkTimeout,
  type ConnectionLimits,
  DEFAULTS,
  type Endpoint,
  resolveClientLimits,
  resolveConnectionLimits,
  resolveEndpoint,
  resolveServerLimits,
  type ServerLimits,
} from "../../options.ts";

const resolvers = { resolveConnectionLimits, resolveServerLimits, resolveClientLimits };
const MAX_MS = 2 ** 31 - 1;

const CAN_BE_OFF = [
  "maxDepth",
  "partialLineTimeoutMs",
  "maxPacketsPerSecond",
  "stallTimeoutMs",
  "requestTimeoutMs",
  "maxConnectionsPerAddress",
  "heartbeatMs",
  "deadAfterMs",
  "sessionTtlMs",
  "maxDetachedPerAddress",
  "maxAttempts",
];
const MAY_BE_ZERO = ["drainTimeoutMs", "maxGroups", "maxDetached", "maxAttempts"];
const BOOLEANS = ["exemptLoopback", "session"];

/** Each limit, at each place that takes it. */
function* limits(): Generator<[name: string, resolve: (value: unknown) => unknown]> {
  for (const resolve of Object.values(resolvers)) {
    for (const name of Object.keys(resolve({}))) {
      if (BOOLEANS.includes(name)) continue;
      yield [name, (value) => (resolve({ [name]: value }) as Record<string, unknown>)[name]];
    }
  }
}

Deno.test("what is left out, or undefined, is the default", () => {
  for (const [name, resolve] of limits()) {
    assertEquals(resolve(undefined), DEFAULTS[name as keyof typeof DEFAULTS], name);
  }
  assertEquals(resolveServerLimits({}).exemptLoopback, true);
  assertEquals(resolveServerLimits({ exemptLoopback: undefined }).exemptLoopback, true);
  assertEquals(resolveClientLimits({}).session, true);
  assertEquals(resolveClientLimits({ session: undefined }).session, true);
});

const SERVER_ONLY = [
  "maxHandshakes",
  "maxHandshakesPerAddress",
  "maxConnections",
  "maxConnectionsPerAddress",
  "sessionTtlMs",
  "maxDetached",
  "maxDetachedPerAddress",
  "maxReplayBytes",
  "exemptLoopback",
];
const CLIENT_ONLY = ["session", "minRetryMs", "maxRetryMs", "maxAttempts"];
const HANDSHAKE = ["maxHandshakeBytes", "handshakeTimeoutMs"];

/** All defaults but these. */
function defaultsWithout(...names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(DEFAULTS).filter(([name]) => !names.includes(name)));
}

Deno.test("a server and a client have the limits of a connection and their own", () => {
  const both = ["host", "port"];
  assertEquals<unknown>(resolveServerLimits({}), defaultsWithout(...both, ...CLIENT_ONLY));
  assertEquals<unknown>(resolveClientLimits({}), defaultsWithout(...both, ...SERVER_ONLY));
  assertEquals<unknown>(
    resolveConnectionLimits({}),
    defaultsWithout(...both, ...SERVER_ONLY, ...CLIENT_ONLY, ...HANDSHAKE),
  );
});

Deno.test("a limit in its range is taken, and nothing else of the options", () => {
  for (const [name, resolve] of limits()) {
    assertEquals(resolve(5_000), 5_000, name);
    const min = MAY_BE_ZERO.includes(name) ? 0 : name === "maxPacketBytes" ? 4_096 : 1;
    const max = name.endsWith("Ms") ? MAX_MS : Number.MAX_SAFE_INTEGER;
    assertEquals([resolve(min), resolve(max)], [min, max], name);
    for (const value of [min - 1, max + 1, -1, 5_000.5, NaN, Infinity, -Infinity]) {
      assertThrows(
        () => resolve(value),
        RangeError,
        `${name} must be an integer from ${min} to ${max}, got ${value}`,
      );
    }
  }
  assertEquals("host" in resolveServerLimits({ host: "x" } as ServerLimits), false);
});

Deno.test("a limit that is no number is a TypeError that says what may be", () => {
  for (const [name, resolve] of limits()) {
    const what = CAN_BE_OFF.includes(name) ? "a number or false" : "a number";
    for (const value of ["5000", null, true, {}, [], 5_000n, () => 5_000]) {
      const expected = `${name} must be ${what}, got ${typeof value}`;
      assertThrows(() => resolve(value), TypeError, expected);
    }
  }
});

Deno.test("only a limit that says so can be turned off", () => {
  for (const [name, resolve] of limits()) {
    if (CAN_BE_OFF.includes(name)) assertEquals(resolve(false), false);
    else assertThrows(() => resolve(false), TypeError, `${name} must be a number, got boolean`);
  }
});

Deno.test("exemptLoopback and session are booleans", () => {
  assertEquals(resolveServerLimits({ exemptLoopback: false }).exemptLoopback, false);
  assertEquals(resolveClientLimits({ session: false }).session, false);
  for (const value of [0, "false", null]) {
    const given = value as unknown as boolean;
    const says = (name: string) => `${name} must be a boolean, got ${typeof value}`;
    const server = () => resolveServerLimits({ exemptLoopback: given });
    assertThrows(server, TypeError, says("exemptLoopback"));
    assertThrows(() => resolveClientLimits({ session: given }), TypeError, says("session"));
  }
});

Deno.test("options that are no object are a TypeError", () => {
  for (const resolve of [...Object.values(resolvers), resolveEndpoint]) {
    for (const options of [null, undefined, 5, "x", () => {}]) {
      assertThrows(() => resolve(options as never), TypeError, "options must be an object");
    }
  }
});

Deno.test("nobody's options are changed, and a change of them later changes nothing", () => {
  const options: ConnectionLimits = Object.freeze({ maxDepth: 5 });
  assertEquals(resolveConnectionLimits(options).maxDepth, 5);
  const own = { maxDepth: 5 };
  const resolved = resolveConnectionLimits(own);
  own.maxDepth = 6;
  assertEquals(resolved.maxDepth, 5);
  resolved.maxDepth = 7;
  assertEquals(resolveConnectionLimits({}).maxDepth, DEFAULTS.maxDepth);
  assertNotEquals(DEFAULTS.maxDepth, 7);
});

// Endpoints

Deno.test("an endpoint is the local one on port 25565 unless it says otherwise", () => {
  assertEquals(resolveEndpoint({}), { host: "127.0.0.1", port: 25_565 });
  assertEquals(resolveEndpoint({ host: undefined, port: undefined, path: undefined }), {
    host: "127.0.0.1",
    port: 25_565,
  });
  assertEquals(resolveEndpoint({ host: "::1" }), { host: "::1", port: 25_565 });
  assertEquals(resolveEndpoint({ port: 0 }), { host: "127.0.0.1", port: 0 });
  assertEquals(resolveEndpoint({ port: 65_535 }), { host: "127.0.0.1", port: 65_535 });
});

Deno.test("a path takes the place of host and port", () => {
  assertEquals(resolveEndpoint({ path: "/run/x.sock" }), { path: "/run/x.sock" });
  for (const more of [{ host: "x" }, { port: 5 }, { host: "127.0.0.1", port: 25_565 }]) {
    assertThrows(
      () => resolveEndpoint({ path: "/run/x.sock", ...more }),
      TypeError,
      "path goes without host and port",
    );
  }
});

Deno.test("an endpoint with parts of the wrong type is a TypeError", () => {
  const bad: [Record<string, unknown>, string][] = [
    [{ host: "" }, "host must be a host name or an IP address"],
    [{ host: 5 }, "host must be a host name or an IP address"],
    [{ host: null }, "host must be a host name or an IP address"],
    [{ port: "80" }, "port must be a number, got string"],
    [{ port: null }, "port must be a number, got object"],
    [{ port: 80n }, "port must be a number, got bigint"],
    [{ path: "" }, "path must be the path of a Unix socket"],
    [{ path: null }, "path must be the path of a Unix socket"],
    [{ path: new URL("file:///x") }, "path must be the path of a Unix socket"],
  ];
  for (const [options, message] of bad) {
    assertThrows(() => resolveEndpoint(options as Endpoint), TypeError, message);
  }
});

Deno.test("a port outside of its range is a RangeError", () => {
  for (const port of [-1, 65_536, 1.5, NaN, Infinity]) {
    const message = `port must be an integer from 0 to 65535, got ${port}`;
    assertThrows(() => resolveEndpoint({ port }), RangeError, message);
  }
});

// What callers pass elsewhere

Deno.test("a hook is a function or left out", () => {
  checkFunctions({ a: () => {}, b: undefined, c: 5 }, ["a", "b", "d"]);
  for (const value of [null, 5, "x", {}, false]) {
    assertThrows(
      () => checkFunctions({ a: value }, ["a"]),
      TypeError,
      `a must be a function, got ${typeof value}`,
    );
  }
});

Deno.test("a time to wait is from 0 to what a timer can hold, or false", () => {
  for (const value of [0, 0.5, 30_000, MAX_MS, false] as const) {
    assertEquals(checkTimeout("timeoutMs", value), value);
  }
  for (const value of [-1, -0.001, MAX_MS + 1, Infinity, NaN]) {
    assertThrows(() => checkTimeout("timeoutMs", value), RangeError, `timeoutMs must be from 0`);
  }
  for (const value of [true, "5", null, undefined, {}, 5n]) {
    assertThrows(
      () => checkTimeout("timeoutMs", value as never),
      TypeError,
      `timeoutMs must be a number of milliseconds or false, got ${typeof value}`,
    );
  }
});

Deno.test("what calls something off is an AbortSignal or left out", () => {
  checkSignal(undefined);
  checkSignal(AbortSignal.abort());
  for (const value of [null, 5, "x", {}, new AbortController()]) {
    const expected = `signal must be an AbortSignal, got ${typeof value}`;
    assertThrows(() => checkSignal(value), TypeError, expected);
    assertThrows(() => checkSendOptions({ signal: value as AbortSignal }), TypeError, expected);
  }
});

Deno.test("how a packet is sent is said with booleans, and not both at once", () => {
  const { signal } = new AbortController();
  const fine = [
    {},
    { delivered: true, signal },
    { volatile: true },
    {
      delivered: false,
      volatile: true,
    },
    { delivered: true, volatile: false },
    { delivered: undefined, volatile: undefined },
  ];
  for (const options of fine) assertEquals(checkSendOptions(options), options);
  for (const name of ["delivered", "volatile"]) {
    for (const value of [null, 0, "true", {}]) {
      const expected = `${name} must be a boolean, got ${typeof value}`;
      assertThrows(() => checkSendOptions({ [name]: value } as never), TypeError, expected);
    }
  }
  assertThrows(
    () => checkSendOptions({ delivered: true, volatile: true }),
    TypeError,
    "delivered and volatile exclude each other",
  );
  for (const options of [null, undefined, 5, "x"]) {
    assertThrows(() => checkSendOptions(options as never), TypeError, "options must be an object");
  }
});

Deno.test("how something ends is said with a text and a time", () => {
  const fine = [{}, { reason: "" }, { reason: "done", drainTimeoutMs: 0 }];
  for (const options of fine) assertEquals(checkCloseOptions(options), options);
  for (const reason of [null, 5, {}]) {
    const expected = `reason must be a string, got ${typeof reason}`;
    assertThrows(() => checkCloseOptions({ reason } as never), TypeError, expected);
  }
  assertThrows(() => checkCloseOptions({ drainTimeoutMs: -1 }), RangeError, "drainTimeoutMs");
  assertThrows(() => checkCloseOptions({ drainTimeoutMs: "5" as never }), TypeError, "drainTime");
  for (const options of [null, undefined, 5, "x"]) {
    assertThrows(() => checkCloseOptions(options as never), TypeError, "options must be an object");
  }
});
