/**
 * Cuts each client's first connection, as soon as it is used, and lets the one pass with which it comes back:
 * `deno run -A cutter.ts TO`. Prints the port that it listens on, and ends when its input does.
 *
 * @module
 */

import { FaultyProxy, type Link } from "../../tests/support/faulty_proxy.ts";

/** Whether a link is a client's first one. */
const isFirst = new WeakMap<Link, boolean>();
const decoder = new TextDecoder();
let cuts = 0;

await using proxy = await FaultyProxy.listen({
  to: Number(Deno.args[0]),
  onBytes: (link, direction, bytes) => {
    if (direction === "toClient") return;
    if (isFirst.get(link)) link.cut(++cuts % 2 === 0 ? "fin" : "reset");
    else if (!isFirst.has(link)) isFirst.set(link, !decoder.decode(bytes).includes('"resume":'));
  },
});
console.log(proxy.port);
await Deno.stdin.readable.pipeTo(new WritableStream());
