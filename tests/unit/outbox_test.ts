import { assert, assertEquals, assertInstanceOf, assertLess } from "@std/assert";
import { ConnectionError, ProtocolError, RequestError } from "../../errors.ts";
import { Outbox, type OutboxOptions } from "../../outbox.ts";
import { decodePacket, encodeErrorHead, encodeHead } from "../../packet.ts";
import type { Wire } from "../../wire.ts";
import { bytes } from "../support/bytes.ts";

const TOKEN = "6a1f0f2e-9c1d-4c0b-8a53-0f2d7f3f8f11";

/** Keeps what is written, and says how much waits. */
class FakeWire {
  readonly lines: string[] = [];
  buffered = 0;

  write(line: string): void {
    this.lines.push(line);
    this.buffered += line.length + 1;
  }
}

function makeOutbox(options: Partial<OutboxOptions> = {}) {
  const wire = new FakeWire();
  const outbox = new Outbox(wire as unknown as Wire, {
    token: TOKEN,
    peerMaxPacketBytes: 1_024,
    maxBufferedBytes: 10_000,
    ...options,
  });
  return { wire, outbox };
}

/** A head of so many bytes. */
function headOf(length: number, char = "x"): string {
  const room = length - encodeHead({ action: "a", data: "" }).length;
  const size = bytes(char).length;
  const data = char.repeat(room / size) + "x".repeat(room % size);
  return encodeHead({ action: "a", data });
}

Deno.test("a packet goes out stamped with the time and the connection's token", () => {
  const { wire, outbox } = makeOutbox();
  const before = Date.now();
  assertEquals(outbox.send(encodeHead({ action: "a", data: 1 })), undefined);
  assertEquals(outbox.send(encodeHead({ action: "b" }), { id: 7 }), undefined);
  assertEquals(outbox.mustSend(encodeHead({ action: "c" }), { replyTo: 9 }), undefined);
  const packets = wire.lines.map((line) => decodePacket(line));
  assertEquals(packets.map(({ action, token, id, replyTo }) => [action, token, id, replyTo]), [
    ["a", TOKEN, undefined, undefined],
    ["b", TOKEN, 7, undefined],
    ["c", TOKEN, undefined, 9],
  ]);
  for (const packet of packets) {
    assert(before <= packet["packet-created"] && packet["packet-created"] <= Date.now());
  }
  assertEquals(outbox.packetsSent, 3);
});

Deno.test("without a token packets say null", () => {
  const { wire, outbox } = makeOutbox({ token: null });
  outbox.send(encodeHead({ action: "a" }));
  assertEquals(JSON.parse(wire.lines[0]).token, null);
});

Deno.test("the protocol's own packets go out unstamped", () => {
  const { wire, outbox } = makeOutbox();
  assertEquals(outbox.sendControl("@ping", 3), undefined);
  assertEquals(wire.lines, ['{"action":"@ping","data":3}']);
  assertEquals(outbox.packetsSent, 1);
});

Deno.test("a packet that the peer would refuse is not sent", () => {
  const limit = 1_024 - 256;
  for (const char of ["x", "é", "€", "😀"]) {
    for (const method of ["send", "mustSend"] as const) {
      const { wire, outbox } = makeOutbox();
      assertEquals(bytes(headOf(limit, char)).length, limit);
      assertEquals(outbox[method](headOf(limit, char)), undefined);
      assertEquals(wire.lines.length, 1);
      const error = outbox[method](headOf(limit + 1, char));
      assertInstanceOf(error, ProtocolError);
      assertEquals([error.code, wire.lines.length, outbox.packetsSent], ["PACKET_TOO_LARGE", 1, 1]);
    }
  }
});

Deno.test("what is accepted fits the peer's limit whole, with the longest of stamps", () => {
  const { wire, outbox } = makeOutbox();
  const id = Number.MAX_SAFE_INTEGER;
  outbox.send(headOf(1_024 - 256), { created: id, id, replyTo: id });
  assertLess(bytes(wire.lines[0]).length, 1_024);
});

Deno.test("a send beyond what may wait is OVERLOADED, one that must go out SLOW_CONSUMER", () => {
  const { wire, outbox } = makeOutbox({ maxBufferedBytes: 2_000 });
  const head = headOf(700);
  while (!outbox.send(head));
  const sent = wire.lines.length;
  assertEquals(sent, 2);
  const overloaded = outbox.send(head);
  assertInstanceOf(overloaded, RequestError);
  assertEquals(overloaded.code, "OVERLOADED");
  assertEquals(overloaded.remote, false);
  const slow = outbox.mustSend(head);
  assertInstanceOf(slow, ConnectionError);
  assertEquals(slow.code, "SLOW_CONSUMER");
  assertEquals([wire.lines.length, outbox.packetsSent], [sent, sent]);
  // A short one still has room.
  assertEquals(outbox.sendControl("@ping", 1), undefined);
  wire.buffered = 2_000;
  assertEquals(outbox.sendControl("@ping", 1)?.code, "SLOW_CONSUMER");
});

Deno.test("what may wait is exactly what may wait", () => {
  const { wire, outbox } = makeOutbox({ maxBufferedBytes: 1_000 });
  const line = '{"action":"@ping","data":1}';
  wire.buffered = 1_000 - line.length;
  assertEquals(outbox.sendControl("@ping", 1), undefined);
  wire.buffered = 1_000 - line.length + 1;
  assertEquals(outbox.sendControl("@ping", 1)?.code, "SLOW_CONSUMER");
});

Deno.test("where nothing waits, a packet of any size has room", () => {
  const { wire, outbox } = makeOutbox({ maxBufferedBytes: 10, peerMaxPacketBytes: 100_000 });
  assertEquals(outbox.send(headOf(50_000)), undefined);
  assertEquals(outbox.send(headOf(30))?.code, "OVERLOADED");
  wire.buffered = 0;
  assertEquals(outbox.mustSend(headOf(50_000)), undefined);
});

Deno.test("too large comes before overloaded: waiting would not help", () => {
  const { wire, outbox } = makeOutbox();
  wire.buffered = 1_000_000;
  assertEquals(outbox.send(headOf(1_000))?.code, "PACKET_TOO_LARGE");
  assertEquals(outbox.mustSend(headOf(1_000))?.code, "PACKET_TOO_LARGE");
});

Deno.test("an error reply reaches the peer however long its message is", () => {
  const { wire, outbox } = makeOutbox();
  const head = encodeErrorHead("a", { code: "INVALID_DATA", message: "x".repeat(2_000_000) });
  assertEquals(outbox.mustSend(head, { replyTo: 1 }), undefined);
  assertEquals(decodePacket(wire.lines[0]).error?.code, "INVALID_DATA");
});
