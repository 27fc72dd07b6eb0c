/**
 * How fast packets become bytes and bytes become packets, against `JSON` alone.
 *
 * @module
 */

import { decodePacket, LineDecoder } from "../mod.ts";
import { encodeHead } from "../packet.ts";
import { encodeTail } from "../stamp.ts";
import { printTable, readings, takeTurns, whole } from "./measure.ts";

const CHUNK_BYTES = 65_536;
const BYTES_PER_TURN = 40_000_000;

const encoder = new TextEncoder();
// A literal: with a string that was put together at run time, as a new UUID is, JSON.stringify takes
// twice as long, and the floor would be none.
const token = "f1d36d51-6c5b-4b1e-9f0e-6a3f0e1c7a55";
const rows: string[][] = [];

for (const size of [100, 10_000]) {
  const data = readings(size);
  const line = encodeLine(data);
  const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / line.length));
  const chunk = encoder.encode((line + "\n").repeat(perChunk));
  const chunks = Math.ceil(BYTES_PER_TURN / chunk.length);
  const count = chunks * perChunk;

  const decoding = await takeTurns(
    rate(count, () => {
      const decoder = new LineDecoder();
      let length = 0;
      for (let n = 0; n < chunks; n++) {
        for (const line of decoder.decode(chunk)) length += decodePacket(line).action.length;
      }
      return length;
    }),
    rate(count, () => {
      let length = 0;
      for (let n = 0; n < count; n++) length += JSON.parse(line).action.length;
      return length;
    }),
  );
  const encoding = await takeTurns(
    rate(count, () => {
      let length = 0;
      for (let n = 0; n < chunks; n++) {
        let text = "";
        for (let m = 0; m < perChunk; m++) text += encodeLine(data) + "\n";
        length += encoder.encode(text).length;
      }
      return length;
    }),
    rate(count, () => {
      let length = 0;
      for (let n = 0; n < count; n++) {
        const packet = { action: "measure", data, "packet-created": Date.now(), token };
        length += JSON.stringify(packet).length;
      }
      return length;
    }),
  );
  for (
    const [what, figures, floorName] of [
      ["decode", decoding, "JSON.parse"],
      ["encode", encoding, "JSON.stringify"],
    ] as const
  ) {
    const { ours, floor, share } = figures.get("rate")!;
    rows.push([
      `${what}, ${whole(JSON.stringify(data).length)} B of data`,
      whole(line.length),
      whole(ours),
      `${whole(floor)} (\`${floorName}\`)`,
      share.toFixed(2),
    ]);
  }
}

printTable(["", "line, B", "packets/s", "floor/s", "share of the floor"], rows);

function encodeLine(data: unknown): string {
  return encodeHead({ action: "measure", data }) + encodeTail({ created: Date.now(), token });
}

/** How many a second, of so many that `work` does. What it returns keeps it from being optimised away. */
function rate(count: number, work: () => number): () => Promise<{ rate: number }> {
  return () => {
    const start = performance.now();
    if (work() === 0) throw new Error("nothing was done");
    return Promise.resolve({ rate: count / (performance.now() - start) * 1_000 });
  };
}
