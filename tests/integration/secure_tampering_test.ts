// Someone in the middle who touches what goes by. Whatever it is, and wherever: that socket ends, the client
// comes back over a clean one, and nothing is lost, doubled or reordered.

import { assertEquals, assertFalse } from "@std/assert";
import type { Direction } from "../support/faulty_proxy.ts";
import { type Change, inTheMiddle, LINES, type Unit } from "../support/man_in_the_middle.ts";
import { acrossNetwork } from "../support/network_scene.ts";
import { concat } from "../support/bytes.ts";
import { CLIENT, SERVER } from "../support/identities.ts";
import { until, within } from "../support/wait.ts";

/** What is done once, to the units of one connection. Says whether it is done. */
interface Touch {
  name: string;
  direction: Direction;
  /** What goes through in place of this unit; nothing, if it is not its time yet. */
  act: (unit: Unit) => Uint8Array | undefined;
}

/** Several at once, so that all of it takes less time. */
const LANES = 8;
/** Where a touched line or length makes a side wait for more than comes. */
const PATIENCE = { handshakeTimeoutMs: 500, partialLineTimeoutMs: 500 };

/** Lets each of these happen to a session, one connection after the other. */
async function touchAll(touches: Touch[]): Promise<void> {
  const lane = async (first: number, ready: PromiseWithResolvers<void>[]) => {
    // One after the other: all at once may take longer than the time that one has.
    await ready[first - 1]?.promise;
    let touch: Touch | undefined;
    let touched: Unit["link"] | undefined;
    const change: Change = (unit) => {
      if (!touch || unit.direction !== touch.direction) return unit.bytes;
      if (touched && touched !== unit.link) return unit.bytes;
      const passed = touch.act(unit);
      if (!passed) return unit.bytes;
      touched = unit.link;
      return passed;
    };
    const options = {
      server: { ...PATIENCE, secure: SERVER },
      client: { ...PATIENCE, secure: { pin: SERVER.fingerprint, identity: CLIENT } },
      onBytes: inTheMiddle(change),
    };
    await acrossNetwork(options, async ({ server, client, connection, proxy, told }) => {
      const seen = { client: [] as unknown[], server: [] as unknown[] };
      server.bindAction("n", (n) => void seen.server.push(n));
      client.bindAction("n", (n) => void seen.client.push(n));
      const { token } = client;
      let sent = 0;
      ready[first].resolve();
      await within(ready.at(-1)!.promise, "all to be connected");
      const send = () => {
        client.sendPacket({ action: "n", data: sent });
        connection.sendPacket({ action: "n", data: sent++ });
      };
      for (let index = first; index < touches.length; index += LANES) {
        touch = touches[index];
        touched = undefined;
        proxy.cutAll();
        // As long as it takes until it has happened, and been noticed.
        let looks = 0;
        await until(() => {
          // What was held back may be the acknowledgement of all that was sent.
          if (connection.stats.unacknowledged < 50 || ++looks % 20 === 0) send();
          return touched !== undefined && !touched.isOpen;
        }, () => `${touches[index].name} ended the socket`);
        touch = undefined;
        await until(
          () => client.state === "connected" && connection.state === "open",
          () => `the client came back after ${touches[index].name}`,
        );
        send();
        const all = Promise.all([client.delivered(), connection.delivered()]);
        await within(all, `the delivery after ${touches[index].name}`);
        assertEquals([seen.client.length, seen.server.length], [sent, sent], touches[index].name);
      }
      const all = [...Array(sent).keys()];
      assertEquals([seen.client, seen.server, client.token], [all, all, token]);
      assertFalse(told.some((what) => what.includes("onSessionLost")));
    });
  };
  const ready = Array.from({ length: LANES }, () => Promise.withResolvers<void>());
  await Promise.all(ready.map((_, first) => lane(first, ready)));
}

const DIRECTIONS = ["toServer", "toClient"] as const;
/** The offer and the messages of the client, and the answer, with their ends. */
const HANDSHAKE_BYTES = { toServer: 84 + 45 + 89, toClient: 129 };

function flip(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  return bytes.map((byte, index) => index === at ? byte ^ 1 << bit : byte);
}

/** Lets so many bytes of a unit through, and ends the connection. */
function cutAfter({ link, direction }: Unit, after: number, by: "fin" | "reset"): void {
  link.apply({ [direction]: { cut: { after, by } } });
}

Deno.test("a flip of any byte of the handshake ends that socket alone, and nothing is lost", async () => {
  const lengths: Partial<Record<Direction, number>> = {};
  const touches = DIRECTIONS.flatMap((direction) =>
    Array.from({ length: HANDSHAKE_BYTES[direction] }, (_, place): Touch => ({
      name: `a flip of byte ${place} ${direction}`,
      direction,
      act: ({ at, bytes, index }) => {
        if (index === LINES[direction] - 1) lengths[direction] = at + bytes.length;
        if (place >= at + bytes.length) return undefined;
        return place >= at ? flip(bytes, place - at, place % 8) : bytes;
      },
    }))
  );
  await touchAll(touches);
  assertEquals(lengths, HANDSHAKE_BYTES);
});

Deno.test("a handshake that is cut anywhere is made again, and nothing is lost", async () => {
  // Where the bytes are plain, each of them is tried elsewhere.
  const EACH = 3;
  const touches = DIRECTIONS.flatMap((direction) =>
    Array.from({ length: HANDSHAKE_BYTES[direction] / EACH }, (_, index) => index * EACH).map((
      place,
    ): Touch => ({
      name: `a cut after byte ${place} ${direction}`,
      direction,
      act: (unit) => {
        if (place < unit.at || place >= unit.at + unit.bytes.length) return undefined;
        cutAfter(unit, place - unit.at, place % 2 === 0 ? "fin" : "reset");
        return unit.bytes;
      },
    }))
  );
  await touchAll(touches);
});

Deno.test("lines of the handshake that are left out, repeated, swapped, or of another one end that socket alone", async () => {
  const touches: Touch[] = [];
  const earlier: Record<string, Uint8Array> = {};
  for (const direction of DIRECTIONS) {
    for (let line = 0; line < LINES[direction]; line++) {
      const which = `line ${line} ${direction}`;
      const at = (act: (unit: Unit) => Uint8Array) => (unit: Unit) =>
        unit.index === line ? act(unit) : undefined;
      let held: Uint8Array | undefined;
      touches.push(
        { name: `${which} left out`, direction, act: at(() => new Uint8Array(0)) },
        { name: `${which} twice`, direction, act: at(({ bytes }) => concat([bytes, bytes])) },
        {
          name: `${which} after the next`,
          direction,
          act: ({ index, bytes }) => {
            if (index === line) {
              held = bytes;
              return new Uint8Array(0);
            }
            return index === line + 1 ? concat([bytes, held!]) : undefined;
          },
        },
      );
      // The offer is the same each time.
      if (direction === "toServer" && line === 0) continue;
      const keep = { name: `${which} kept, and spoilt`, direction };
      touches.push({
        ...keep,
        act: at(({ bytes }) => {
          earlier[which] = bytes;
          return flip(bytes, 5, 0);
        }),
      }, {
        name: `${which} of another handshake`,
        direction,
        // If it was not kept yet, by another lane, it is at least not this one.
        act: at(({ bytes }) => earlier[which] ?? flip(bytes, 9, 1)),
      });
    }
  }
  touches.push({
    name: "an echo of what the client says",
    direction: "toClient",
    act: ({ index }) =>
      index === 0 ? new TextEncoder().encode(new Uint8Array(32).toBase64() + "\n") : undefined,
  });
  await touchAll(touches);
});

/** Numbers that are the same whenever they are drawn from the same seed. */
function* numbers(seed: number): Generator<number> {
  for (let state = seed;;) {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0;
    const mixed = Math.imul(state ^ state >>> 12, 0x297a2d39);
    yield ((mixed ^ mixed >>> 15) >>> 0) / 2 ** 32;
  }
}

const PLACES = 200;
const MAX_RECORD = 6;

Deno.test("records that are touched at two hundred places end their sockets alone, and nothing is lost", async () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  const random = numbers(seed);
  const below = (bound: number) => Math.floor(random.next().value! * bound);
  const kinds = [
    "flip",
    "flip",
    "flip",
    "cut",
    "left out",
    "twice",
    "swapped",
    "late",
    "more",
    "mute",
  ];
  const touches = Array.from({ length: PLACES }, (_, place): Touch => {
    const kind = kinds[place % kinds.length];
    const direction = DIRECTIONS[below(2)];
    const record = below(MAX_RECORD);
    const [where, bit] = [random.next().value!, below(8)];
    const name = `seed ${seed}: record ${record} ${direction}: ${kind} ${where} ${bit}`;
    let held: Uint8Array | undefined;
    const act = (unit: Unit): Uint8Array | undefined => {
      const { bytes } = unit;
      const at = Math.floor(where * bytes.length);
      switch (kind) {
        case "flip":
          return flip(bytes, at, bit);
        case "cut":
          cutAfter(unit, at, bit % 2 === 0 ? "fin" : "reset");
          return bytes;
        case "left out":
          return new Uint8Array(0);
        case "twice":
          return concat([bytes, bytes]);
        case "more":
          return concat([bytes.subarray(0, at), Uint8Array.of(bit), bytes.subarray(at)]);
        case "mute":
          return concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
        default:
          held = bytes;
          return new Uint8Array(0);
      }
    };
    return {
      name,
      direction,
      act: (unit) => {
        if (unit.record === record) return act(unit);
        if (kind === "swapped" && unit.record === record + 1) return concat([unit.bytes, held!]);
        if (kind === "late" && unit.record === record + 3) return concat([held!, unit.bytes]);
        return undefined;
      },
    };
  });
  await touchAll(touches);
});
