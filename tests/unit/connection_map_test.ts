import { assertEquals, assertFalse, assertMatch, assertStrictEquals } from "@std/assert";
import { inspect } from "node:util";
import type { Connection } from "../../connection.ts";
import { ConnectionMap } from "../../connection_map.ts";
import { createPacket, encodeHead } from "../../packet.ts";

const SECRET = "TOP-SECRET-TOKEN";

/** As much of a connection as the map looks at. */
function connection(id: string): Connection {
  return { id, token: SECRET, toJSON: () => ({ id }) } as unknown as Connection;
}

Deno.test("connections are found by their token and by their id", () => {
  const map = new ConnectionMap();
  const [a, b] = [connection("id-a"), connection("id-b")];
  assertStrictEquals(map.set("token-a", a), map);
  map.set("token-b", b);
  assertStrictEquals(map.get("token-a"), a);
  assertStrictEquals(map.getById("id-b"), b);
  assertEquals([map.size, [...map.values()]], [2, [a, b]]);
  for (const unknown of ["token-a", "", "__proto__", "constructor"]) {
    assertEquals(map.getById(unknown), undefined);
  }
  assertEquals(map.get("id-a"), undefined);
});

Deno.test("a connection that is taken out is found no more", () => {
  const map = new ConnectionMap();
  map.set("token-a", connection("id-a")).set("token-b", connection("id-b"));
  assertEquals([map.delete("token-a"), map.delete("token-a"), map.delete("id-b")], [
    true,
    false,
    false,
  ]);
  assertEquals([map.getById("id-a"), map.size], [undefined, 1]);
  assertEquals(Deno.inspect(map), "ConnectionMap(1) [id-b]");
  map.clear();
  assertEquals([map.getById("id-b"), map.get("token-b"), map.size], [undefined, undefined, 0]);
  assertEquals(Deno.inspect(map), "ConnectionMap(0) []");
});

Deno.test("a connection whose token another one takes over is found no more", () => {
  const map = new ConnectionMap();
  const next = connection("id-next");
  map.set("token", connection("id-old")).set("token", next);
  assertEquals([map.size, map.getById("id-old")], [1, undefined]);
  assertStrictEquals(map.getById("id-next"), next);
  assertMatch(Deno.inspect(map), /^ConnectionMap\(1\) \[id-next\]$/);
  map.set("token", next);
  assertStrictEquals(map.getById("id-next"), next);
});

Deno.test("a connection that moves to another token is still found by its id", () => {
  const map = new ConnectionMap();
  const moved = connection("id");
  map.set("old token", moved);
  map.set("new token", moved);
  map.delete("old token");
  assertStrictEquals(map.getById("id"), moved);
  assertStrictEquals(map.get("new token"), moved);
  map.delete("new token");
  assertEquals(map.getById("id"), undefined);
});

Deno.test("it is made of entries as every Map is", () => {
  const [a, b] = [connection("id-a"), connection("id-b")];
  const map = new ConnectionMap([["token-a", a], ["token-b", b]]);
  assertStrictEquals(map.getById("id-a"), a);
  assertStrictEquals(new ConnectionMap(map).getById("id-b"), b);
  assertEquals([new ConnectionMap(null).size, new ConnectionMap(undefined).size], [0, 0]);
});

Deno.test("no way to print it or to turn it into JSON shows a token", () => {
  const map = new ConnectionMap([[SECRET, connection("id-a")], [
    `${SECRET}-2`,
    connection("id-b"),
  ]]);
  const shown = [
    Deno.inspect(map),
    Deno.inspect({ map }, { showHidden: true, getters: true, depth: 99 }),
    inspect(map),
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
  assertEquals(shown[4], '[{"id":"id-a"},{"id":"id-b"}]');
});
