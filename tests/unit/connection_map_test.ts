import { assert, assertEquals, assertFalse, assertStrictEquals, assertThrows } from "@std/assert";
import { Console } from "node:console";
import { Writable } from "node:stream";
import { inspect } from "node:util";
import type { Connection } from "../../connection.ts";
import { ConnectionMap, forgetConnection, keepConnection } from "../../connection_map.ts";
import { createPacket, encodeHead } from "../../packet.ts";

const SECRET = "TOP-SECRET-TOKEN";

/** As much of a connection as the map looks at. */
function connection(id: string): Connection {
  return { id, token: SECRET, toJSON: () => ({ id }) } as unknown as Connection;
}

function mapOf(...entries: [token: string, connection: Connection][]): ConnectionMap {
  const map = new ConnectionMap();
  for (const [token, connection] of entries) keepConnection(map, token, connection);
  return map;
}

Deno.test("connections are found by their token and by their id", () => {
  const [a, b] = [connection("id-a"), connection("id-b")];
  const map = mapOf(["token-a", a], ["token-b", b]);
  assertStrictEquals(map.get("token-a"), a);
  assertStrictEquals(map.getById("id-b"), b);
  assertEquals([map.size, [...map.values()]], [2, [a, b]]);
  assertEquals([[...map.keys()], map.has("token-a"), map.has("id-a")], [
    ["token-a", "token-b"],
    true,
    false,
  ]);
  assertEquals([...map], [...map.entries()]);
  const seen: unknown[] = [];
  map.forEach((connection, token, whole) => seen.push([token, connection, whole === map]));
  assertEquals(seen, [["token-a", a, true], ["token-b", b, true]]);
  for (const unknown of ["token-a", "", "__proto__", "constructor"]) {
    assertEquals(map.getById(unknown), undefined);
  }
  assertEquals(map.get("id-a"), undefined);
});

Deno.test("a connection that is taken out is found no more", () => {
  const map = mapOf(["token-a", connection("id-a")], ["token-b", connection("id-b")]);
  for (const token of ["token-a", "token-a", "id-b"]) forgetConnection(map, token);
  assertEquals([map.getById("id-a"), map.get("token-a"), map.size], [undefined, undefined, 1]);
  assertEquals(Deno.inspect(map), "ConnectionMap(1) [id-b]");
});

Deno.test("nobody but its server or client decides who is in it", () => {
  const map = mapOf(["token", connection("id")]);
  assertThrows(() => map.set("other", connection("x")), TypeError, "clients cannot be set");
  assertThrows(() => map.delete("token"), TypeError, "close the connection instead");
  assertThrows(() => map.clear(), TypeError, "close the connections instead");
  assertEquals(map.size, 1);
});

Deno.test("no way to print it or to turn it into JSON shows a token", () => {
  const map = mapOf([SECRET, connection("id-a")], [`${SECRET}-2`, connection("id-b")]);
  const shown = [
    Deno.inspect(map),
    Deno.inspect({ map }, { showHidden: true, getters: true, depth: 99 }),
    inspect(map),
    inspect(map, { customInspect: false, showHidden: true, depth: 99 }),
    Deno.inspect(structuredClone(map)),
    inspect([map], { showHidden: true, getters: true, depth: 99 }),
    JSON.stringify(map),
    JSON.stringify({ map }),
    String(map),
    encodeHead({ action: "clients", data: map }),
    JSON.stringify(createPacket("clients", { map })),
  ];
  for (const text of shown) assertFalse(text.includes(SECRET), text);
  assertEquals(shown[0], "ConnectionMap(2) [id-a, id-b]");
  assertEquals(shown[2], shown[0]);
  assertEquals(shown[6], '[{"id":"id-a"},{"id":"id-b"}]');
});

Deno.test("console.table, which looks into maps, shows no token either", () => {
  const printed: string[] = [];
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      printed.push(String(chunk));
      done();
    },
  });
  const console = new Console({ stdout });
  console.table(new Map([[SECRET, 1]]));
  assert(printed.join().includes(SECRET), "nothing was looked into");
  printed.length = 0;
  console.table(mapOf([SECRET, connection("id-a")]));
  assertFalse(printed.join().includes(SECRET), printed.join());
});
