import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { conversationOf } from "../../connection.ts";
import { Client, type Connection, ConnectionError, Server } from "../../mod.ts";
import type { Broadcast } from "../../outbox.ts";
import { turn, until } from "../support/wait.ts";
import { DEFAULT_WIRE, WIRES } from "../support/wires.ts";

const WIRE = WIRES[DEFAULT_WIRE];

interface Member {
  client: Client;
  connection: Connection;
  heard: unknown[];
}

/** A server and so many clients that listen to it. */
async function withMembers(
  count: number,
  act: (server: Server, members: Member[]) => Promise<void>,
): Promise<void> {
  await using server = new Server({
    port: 0,
    ...WIRE.server,
    maxGroups: 3,
    maxGroupNameLength: 10,
  });
  server.bindAction("done", () => true);
  await server.start();
  const members: Member[] = [];
  for (let n = 0; n < count; n++) {
    const heard: unknown[] = [];
    const client = new Client({ port: server.port, ...WIRE.client });
    client.bindAction("say", (data) => void heard.push(data));
    await client.start();
    members.push({ client, connection: server.clients.get(client.token!)!, heard });
  }
  await act(server, members);
  await Promise.all(members.map(({ client }) => client.close()));
}

/** Resolves when everything that the server sent so far has been handled. */
async function caughtUp(members: Member[]): Promise<void> {
  await Promise.all(members.map(({ client }) => client.request("done")));
}

Deno.test("a broadcast reaches all clients, but those that it excepts", async () => {
  await withMembers(3, async (server, members) => {
    const [a, b, c] = members;
    const say = (data: unknown) => ({ action: "say", data });
    assertEquals(server.broadcast(say("all")).sent, 3);
    assertEquals(server.broadcast(say("not a"), { except: a.connection }).sent, 2);
    const { sent, missed } = server.broadcast(say("c"), { except: [a.connection, b.connection] });
    assertEquals([sent, missed.size], [1, 0]);
    assertEquals(server.broadcast(say("set"), { except: new Set([c.connection]) }).sent, 2);
    assertEquals(server.broadcast(say("id"), { except: { id: b.client.id! } }).sent, 2);
    assertEquals(server.broadcast(say("none"), { except: [] }).sent, 3);
    await caughtUp(members);
    assertEquals(members.map(({ heard }) => heard), [
      ["all", "set", "id", "none"],
      ["all", "not a", "set", "none"],
      ["all", "not a", "c", "id", "none"],
    ]);
  });
});

Deno.test("a broadcast that cannot be sent throws, and reaches nobody", async () => {
  await withMembers(2, async (server, members) => {
    const broadcast = server.broadcast.bind(server) as (...rest: unknown[]) => unknown;
    for (const packet of [null, {}, { action: "@close" }, { action: "say", data: () => 1 }]) {
      assertThrows(() => broadcast(packet), TypeError);
    }
    for (const except of [null, 5, "id", [null], [{}], {}]) {
      assertThrows(() => broadcast({ action: "say" }, { except }), TypeError);
    }
    await caughtUp(members);
    assertEquals(members.map(({ heard }) => heard), [[], []]);
  });
});

Deno.test("a group's broadcast reaches its members alone", async () => {
  await withMembers(3, async (server, members) => {
    const [a, b, c] = members;
    a.connection.join("red");
    b.connection.join("red");
    b.connection.join("blue");
    assertEquals(server.groups.sort(), ["blue", "red"]);
    assertEquals([...b.connection.groups], ["red", "blue"]);
    assertEquals(server.group("red").members, new Set([a.connection, b.connection]));
    const red = server.group("red");
    assertEquals(red.name, "red");
    assertEquals(red.broadcast({ action: "say", data: 1 }).sent, 2);
    assertEquals(red.broadcast({ action: "say", data: 2 }, { except: a.connection }).sent, 1);
    assertEquals(server.group("blue").broadcast({ action: "say", data: 3 }).sent, 1);
    assertEquals(server.group("none").broadcast({ action: "say", data: 4 }).sent, 0);
    await caughtUp(members);
    assertEquals(members.map(({ heard }) => heard), [[1], [1, 2, 3], []]);

    // A group is looked up when it is used, not when it was asked for.
    c.connection.join("red");
    a.connection.leave("red");
    a.connection.leave("red");
    a.connection.leave("never joined");
    assertEquals(red.broadcast({ action: "say", data: 5 }).sent, 2);
    await caughtUp(members);
    assertEquals(members.map(({ heard }) => heard), [[1], [1, 2, 3, 5], [5]]);
  });
});

Deno.test("whoever goes leaves all groups, and a group without members is forgotten", async () => {
  await withMembers(2, async (server, [a, b]) => {
    a.connection.join("x");
    a.connection.join("y");
    b.connection.join("y");
    await a.client.close();
    await a.connection.closed;
    assertEquals(server.groups, ["y"]);
    assertEquals(server.group("y").members, new Set([b.connection]));
    assertThrows(() => a.connection.join("z"), ConnectionError);
    a.connection.leave("y");
    b.connection.leave("y");
    assertEquals(server.groups, []);
  });
});

Deno.test("groups have limits and names, and belong to a server's connections", async () => {
  await withMembers(1, async (server, [{ client, connection }]) => {
    const join = connection.join.bind(connection) as (name: unknown) => void;
    for (const name of [5, null, undefined, {}, ["a"]]) assertThrows(() => join(name), TypeError);
    for (const name of ["", "x".repeat(11)]) assertThrows(() => join(name), RangeError);
    for (const name of ["x".repeat(10), "__proto__", "toString"]) join(name);
    assertThrows(() => join("fourth"), RangeError);
    join("__proto__");
    assertEquals(server.groups, ["x".repeat(10), "__proto__", "toString"]);
    connection.leave("__proto__");
    join("fourth");
    assertThrows(() => server.group(5 as unknown as string), TypeError);
    assertThrows(() => client.connection!.join("a"), TypeError);
    assertThrows(() => client.connection!.leave("a"), TypeError);
    assertEquals(client.connection!.groups.size, 0);
    await client.ping();
  });
});

Deno.test("what groups and members show is a copy", async () => {
  await withMembers(1, async (server, [{ client, connection }]) => {
    connection.join("a");
    (connection.groups as Set<string>).add("b");
    (server.group("a").members as Set<unknown>).clear();
    server.groups.push("c");
    assertEquals([...connection.groups], ["a"]);
    assertEquals(server.group("a").members.size, 1);
    assertEquals(server.groups, ["a"]);
    await client.ping();
  });
});

Deno.test("handlers join and leave groups for their peers", async () => {
  await withMembers(2, async (server, members) => {
    server.bindAction("join", (name, _packet, peer) => peer.join(name as string));
    server.bindAction("shout", (data, _packet, peer) => {
      for (const name of peer.groups) {
        server.group(name).broadcast({ action: "say", data }, { except: peer });
      }
    });
    const [a, b] = members;
    await a.client.request("join", "room");
    await b.client.request("join", "room");
    await a.client.request("shout", "hi");
    await caughtUp(members);
    assertEquals([a.heard, b.heard], [[], ["hi"]]);
    assertStrictEquals(server.group("room").members.size, 2);
  });
});

Deno.test("a broadcast passes over who is leaving, and does not fail for it", async () => {
  await withMembers(3, async (server, [a, b, c]) => {
    const closing = b.connection.close();
    const { sent } = server.broadcast({ action: "say", data: 1 });
    assertEquals(sent, 2);
    await closing;
    await caughtUp([a, c]);
    assertEquals([a.heard, b.heard, c.heard], [[1], [], [1]]);
    await assertRejects(() => b.connection.sendPacket({ action: "say" }), ConnectionError);
    await until(() => b.client.state === "closed", "its client knows");
  });
});

Deno.test("the broadcasts of one turn are one chain, and those of the next another", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  const [connection] = server.clients.values();
  const conversation = conversationOf(connection);
  const made: Broadcast[] = [];
  const { broadcast } = conversation;
  conversation.broadcast = (one) => {
    made.push(one);
    return broadcast.call(conversation, one);
  };
  for (let data = 0; data < 3; data++) server.broadcast({ action: "tick", data });
  await turn();
  server.broadcast({ action: "tick", data: 3 });
  assertEquals(made.map(({ next }) => next && made.indexOf(next)), [1, 2, undefined, undefined]);
});
