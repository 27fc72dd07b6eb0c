import { assert, assertEquals, assertFalse, assertInstanceOf } from "@std/assert";
import {
  ConnectionError,
  ERROR_CODES,
  HandshakeError,
  PnetworkError,
  ProtocolError,
  RequestError,
} from "../../errors.ts";

Deno.test("every error is a PnetworkError with its own name, code and message", () => {
  const errors = [
    new ConnectionError("CLOSED", "why"),
    new ProtocolError("BAD_JSON", "why"),
    new HandshakeError("REFUSED", "why"),
    new RequestError("NO_ACTION", "why"),
  ];
  for (const error of errors) {
    assertInstanceOf(error, PnetworkError);
    assertInstanceOf(error, Error);
    assertEquals(error.message, "why");
  }
  assertEquals(errors.map(({ name, code }) => `${name} ${code}`), [
    "ConnectionError CLOSED",
    "ProtocolError BAD_JSON",
    "HandshakeError REFUSED",
    "RequestError NO_ACTION",
  ]);
  assertEquals(`${new ProtocolError("BAD_JSON", "why")}`, "ProtocolError: why");
});

Deno.test("each code belongs to one class, and none is named twice", () => {
  const codes = Object.values(ERROR_CODES).flat();
  assertEquals(new Set(codes).size, codes.length);
  for (const code of codes) assert(/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(code), code);
});

Deno.test("what led to an error is its cause", () => {
  const cause = new Error("the system said so");
  assertEquals(new ConnectionError("CONNECT_FAILED", "why", { cause }).cause, cause);
  assertEquals(new ProtocolError("BAD_JSON", "why", { cause }).cause, cause);
  assertEquals(new HandshakeError("REFUSED", "why", { cause }).cause, cause);
  assertEquals(new RequestError("NO_ACTION", "why", { cause }).cause, cause);
  assertFalse("cause" in new ConnectionError("CLOSED", "why"));
});

Deno.test("a protocol error ends the connection unless it says otherwise", () => {
  assertFalse(new ProtocolError("BAD_PACKET", "why").recoverable);
  assertFalse(new ProtocolError("BAD_PACKET", "why", {}).recoverable);
  assert(new ProtocolError("BAD_PACKET", "why", { recoverable: true }).recoverable);
});

Deno.test("a request error is of this side unless it says otherwise", () => {
  assertFalse(new RequestError("NO_ACTION", "why").remote);
  assert(new RequestError("NO_ACTION", "why", { remote: true }).remote);
});

Deno.test("a class that extends one of them shows its own name", () => {
  class MyError extends RequestError {}
  assertEquals(new MyError("ACTION_FAILED", "why").name, "MyError");
});
