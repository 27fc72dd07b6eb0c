import { assertEquals } from "@std/assert";
import { SealedObserver } from "../../tasks/chaos/sealed_observer.ts";
import type { Direction } from "../support/faulty_proxy.ts";
import { concat } from "../support/bytes.ts";
import { OFFER } from "../support/noise_peer.ts";

const encoder = new TextEncoder();

/** A record of the secure channel, with so many bytes in it. */
function record(length: number): Uint8Array {
  return concat([Uint8Array.of(length >> 8, length & 255), new Uint8Array(length).fill(10)]);
}

/** A record of TLS: of this type, with so many bytes in it. */
function tlsRecord(type: number, length: number): Uint8Array {
  return concat([
    Uint8Array.of(type, 3, 3, length >> 8, length & 255),
    new Uint8Array(length).fill(type),
  ]);
}

type Step = [direction: Direction, bytes: Uint8Array];

const LINE = (length: number) => encoder.encode("A".repeat(length - 1) + "\n");

/** All that is said in a handshake, up to the answer; the last of each side ends its part. */
const HANDSHAKES: Record<"secure" | "tls", Step[]> = {
  secure: [
    ["toServer", encoder.encode(OFFER + "\n")],
    ["toServer", LINE(45)],
    ["toClient", LINE(129)],
    ["toServer", LINE(89)],
    ["toServer", record(200)],
    ["toClient", record(500)],
  ],
  tls: [
    ["toServer", tlsRecord(22, 220)],
    ["toClient", tlsRecord(22, 120)],
    ["toClient", tlsRecord(20, 1)],
    ["toClient", tlsRecord(23, 900)],
    ["toServer", tlsRecord(20, 1)],
    ["toServer", tlsRecord(23, 53)],
    ["toServer", tlsRecord(23, 200)],
    ["toClient", tlsRecord(23, 170)],
    ["toClient", tlsRecord(23, 500)],
  ],
};

for (const wire of ["secure", "tls"] as const) {
  for (const size of [1, 7, Infinity]) {
    Deno.test(`how far a handshake is shows by the sizes of its parts: ${wire}, cut by ${size}`, () => {
      const observer = new SealedObserver(wire);
      const total = { toServer: 0, toClient: 0 };
      const steps = HANDSHAKES[wire];
      for (let time = 0; time < 2; time++) {
        observer.beginConnection();
        Object.assign(total, { toServer: 0, toClient: 0 });
        for (const [index, [direction, bytes]] of steps.entries()) {
          const isFirstAnswer = steps.findIndex(([which]) => which === "toClient") === index;
          for (let at = 0; at < bytes.length; at += size) {
            const isLast = index === steps.length - 1 && at + size >= bytes.length;
            if (isFirstAnswer && at === 0) assertEquals(observer.phase, "handshake");
            observer.take(direction, bytes.subarray(at, at + size), total);
            assertEquals(observer.isTakenOver, isLast);
          }
          total[direction] += bytes.length;
        }
        assertEquals(observer.phase, "answer");
        // Before all of it has come out the client says nothing that counts.
        observer.take("toServer", Uint8Array.of(1), { ...total, toClient: total.toClient - 1 });
        assertEquals(observer.phase, "answer");
        observer.take("toServer", Uint8Array.of(1), total);
        assertEquals(observer.phase, "traffic");
        for (const direction of ["toServer", "toClient"] as const) {
          const length = observer.handshakeLength(direction, new Uint8Array(5));
          assertEquals(length, Math.floor(total[direction] * 0.9));
        }
      }
    });
  }
}

Deno.test("of a part of the handshake the shortest counts; the first time, what is there of it", () => {
  const observer = new SealedObserver("secure");
  assertEquals(observer.handshakeLength("toServer", new Uint8Array(100)), 90);
  const lengths = [500, 3_000, 400].map((length) => {
    observer.beginConnection();
    const out = { toServer: 0, toClient: 0 };
    observer.take("toClient", concat([LINE(129), record(length)]), out);
    return observer.handshakeLength("toClient", new Uint8Array(5));
  });
  assertEquals(lengths, [631, 631, 531].map((length) => Math.floor(length * 0.9)));
});
