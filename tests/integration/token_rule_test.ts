// A token identifies the packets of one client. It must never reach another one.

import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import { inspect } from "node:util";
import { Client, type Connection, PnetworkError, type ReceivedPacket, Server } from "../../mod.ts";
import { Logs } from "../support/logs.ts";
import { RawPeer, RawServer, type RawWelcome } from "../support/raw_peer.ts";
import { settle, until, within } from "../support/wait.ts";

type Member = RawPeer & RawWelcome;

/** A server, so many raw clients, and a check that each token went to its owner alone. */
async function withChat(
  count: number,
  act: (server: Server, members: Member[]) => Promise<void>,
): Promise<void> {
  await using logs = await Logs.capture();
  await using server = new Server({ port: 0, drainTimeoutMs: 100 });
  await server.start();
  const members: Member[] = [];
  for (let n = 0; n < count; n++) members.push(await RawPeer.register({ port: server.port }));
  await act(server, members);
  for (const member of members) await member.ping();
  for (const member of members) {
    assert(member.text.includes(member.token), "each was told its own token");
    for (const other of members) {
      if (other !== member) assertFalse(member.text.includes(other.token), "a token leaked");
    }
    await member.close();
  }
  await server.close();
  logs.assertLacks(...members.map(({ token }) => token));
}

/** Sends a packet with the sender's token, as every client does. */
async function say(member: Member, action: string, data: unknown, more = {}): Promise<void> {
  await member.sendPacket({ action, data, token: member.token, "packet-created": 1, ...more });
}

/** Ways in which a chat's handler may forward what it got. */
const FORWARDS: [how: string, forward: (to: Connection, packet: ReceivedPacket) => unknown][] = [
  ["as they are", (to, packet) => to.sendPacket(packet)],
  ["as data", (to, packet) => to.sendPacket({ action: "said", data: packet })],
  ["as a spread", (to, packet) => to.sendPacket({ ...packet })],
  [
    "as data that is a spread",
    (to, packet) => to.sendPacket({ action: "said", data: { ...packet } }),
  ],
  [
    "deep inside data",
    (to, packet) => to.sendPacket({ action: "said", data: [{ was: [packet] }] }),
  ],
  [
    "assigned to a new packet",
    (to, packet) => to.sendPacket(Object.assign({ action: "" }, packet)),
  ],
  ["as JSON", (to, packet) => to.sendPacket({ action: "said", data: JSON.stringify(packet) })],
  ["as entries", (to, packet) => to.sendPacket({ action: "said", data: Object.entries(packet) })],
  ["as text", (to, packet) => to.sendPacket({ action: "said", data: Deno.inspect(packet) })],
  [
    "as a request",
    (to, packet) => to.request(packet.action, packet, { timeoutMs: 1 }).catch(() => {}),
  ],
];

for (const [how, forward] of FORWARDS) {
  Deno.test(`three clients in a chat that forwards packets ${how}: each sees its own token alone`, async () => {
    await withChat(3, async (server, members) => {
      server.bindAction("say", async (_data, packet) => {
        for (const to of server.clients.values()) await forward(to, packet);
      });
      for (const member of members) await say(member, "say", `from ${member.id}`);
      for (const member of members) {
        for (let n = 0; n < 3; n++) await member.packet();
        assert(members.every(({ id }) => member.text.includes(`from ${id}`)), "all was forwarded");
      }
    });
  });
}

Deno.test("broadcasts of packets that were received carry each recipient's own token alone", async () => {
  await withChat(3, async (server, members) => {
    for (const connection of server.clients.values()) connection.join("all");
    server.bindAction("say", (_data, packet, from) => {
      server.broadcast(packet as ReceivedPacket & { action: string });
      server.broadcast({ action: "said", data: packet }, { except: from });
      server.broadcast({ ...packet });
      server.group("all").broadcast(packet);
      server.group("all").broadcast({ action: "said", data: packet });
    });
    for (const member of members) await say(member, "say", "hello");
    for (const member of members) {
      await member.ping();
      const tokens = [...member.text.matchAll(/"token":"([^"]+)"/g)].map(([, token]) => token);
      assert(tokens.length > 10);
      assertEquals(new Set(tokens), new Set([member.token]));
    }
  });
});

Deno.test("a reply that is a packet, from the same client or another one, leaks no token", async () => {
  await withChat(2, async (server, [a, b]) => {
    let last: ReceivedPacket | undefined;
    server.bindAction("last", (_data, packet) => {
      const before = last;
      last = packet;
      return [packet, before ?? null, { ...packet }];
    });
    for (const [id, member] of [a, b, a, b].entries()) {
      await say(member, "last", "x", { id: id + 1 });
    }
    await a.ping();
    await b.ping();
  });
});

Deno.test("a packet for whom a request failed, its error included, leaks no token", async () => {
  await withChat(2, async (server, [a, b]) => {
    server.bindAction("fail", (_data, packet) => {
      throw packet;
    });
    server.bindAction("fail-with", (_data, packet, from) => {
      throw new Error(Deno.inspect([packet, from, server, server.clients]));
    });
    for (const member of [a, b]) {
      for (const [index, action] of ["fail", "fail-with"].entries()) {
        await say(member, action, null, { id: index + 1 });
        assertEquals((await member.packetOf(action)).error?.code, "ACTION_FAILED");
      }
    }
  });
});

Deno.test("the list of all clients, sent to one, shows ids and no token", async () => {
  await withChat(3, async (server, members) => {
    server.bindAction("who", () => server.clients);
    server.bindAction("server", () => server);
    server.bindAction("me", (_data, _packet, from) => from);
    server.bindAction("members", () => [...server.clients.values()]);
    for (const [id, action] of ["who", "server", "me", "members"].entries()) {
      await say(members[0], action, null, { id: id + 1 });
      const reply = await members[0].packet();
      assertEquals(reply.error, undefined);
      assert(JSON.stringify(reply.data).includes(members[0].id));
    }
  });
});

Deno.test("what clients are told when others come, go and are refused names no token", async () => {
  await withChat(2, async (server, [a, b]) => {
    const thief = await RawPeer.register({ port: server.port });
    await thief.sendPacket({ action: "x", token: a.token });
    await thief.farewell("BAD_TOKEN");
    const other = await RawPeer.register({ port: server.port });
    await other.sendPacket({ action: "x", token: 5 });
    await other.sendPacket({ action: "x", id: 1, token: b.token });
    await other.farewell("BAD_TOKEN");
    for (const stranger of [thief, other]) {
      assertFalse(stranger.text.includes(a.token) || stranger.text.includes(b.token));
      assertFalse(a.text.includes(stranger.token) || b.text.includes(stranger.token));
    }
  });
});

Deno.test("whoever comes back with a token is given a new one", async () => {
  await withChat(1, async (server, [a]) => {
    const resume = { token: a.token, epoch: "x", ack: 0 };
    const again = await RawPeer.register({ port: server.port }, { resume });
    assertFalse(again.token === a.token);
    assertEquals((again.welcome.data as { resumed: boolean }).resumed, false);
    assertEquals((again.welcome.data as { reason: string }).reason, "restarted");
    assertFalse(again.text.includes(a.token));
    assertEquals(server.clients.size, 2);
    await again.close();
  });
});

/** Everything that ordinary code does to look at something. */
function looksOf(value: unknown): string {
  const printed: string[] = [];
  const { log, error, debug, table, dir } = console;
  Object.assign(console, {
    log: (...args: unknown[]) => printed.push(args.map((arg) => Deno.inspect(arg)).join(" ")),
  });
  try {
    console.log(value);
    console.log("%o %O %s", value, value, value);
  } finally {
    Object.assign(console, { log, error, debug, table, dir });
  }
  const everything = { depth: Infinity, showHidden: true, getters: true, iterableLimit: Infinity };
  return [
    ...printed,
    Deno.inspect(value, everything),
    Deno.inspect([value, { value }], everything),
    Deno.inspect({ ...(value as object) }, everything),
    inspect(value, { depth: Infinity, showHidden: true, getters: true }),
    inspect({ deep: [value] }, { depth: Infinity, showHidden: true, getters: true }),
    JSON.stringify(value) ?? "",
    JSON.stringify([{ value }]),
    JSON.stringify({ ...(value as object) }),
    String(value),
    `${Object.keys(value as object)}${Object.values(value as object)}`,
  ].join("\n");
}

Deno.test("nothing that is printed, inspected or turned into JSON shows a token", async () => {
  await using server = new Server({ port: 0 });
  const packets: ReceivedPacket[] = [];
  const peers: unknown[] = [];
  const infos: unknown[] = [];
  for (const action of ["see", "say"]) {
    server.bindAction(action, (_data, packet, peer) => {
      packets.push(packet);
      peers.push(peer);
      return packet;
    });
  }
  await server.start();
  const onConnect = (connection: Connection) => connection;
  const client = new Client({ port: server.port, onConnect });
  client.bindAction("see", (_data, packet, peer) => {
    packets.push(packet);
    peers.push(peer);
  });
  const idle = new Client({ port: server.port });
  await client.start();
  const token = client.token!;
  const connection = server.clients.get(token)!;
  await client.request("see", { deep: true });
  await client.sendPacket({ action: "say", data: 1 });
  await connection.request("see", 1);
  connection.join("group");
  assertEquals(packets.map((packet) => packet.token), [token, token, token]);

  const shown = (): unknown[] => [
    server,
    client,
    idle,
    server.clients,
    client.clients,
    connection,
    client.connection!,
    server.group("group"),
    server.group("group").members,
    server.broadcast({ action: "none" }),
    connection.stats,
    connection.loops,
    server.loops,
    server.actions,
    client.createPacket("a", 1),
    ...packets,
    ...peers,
    ...infos,
  ];
  for (const value of shown()) assertFalse(looksOf(value).includes(token), Deno.inspect(value));
  client.closed.then((info) => infos.push(info));
  connection.closed.then((info) => infos.push(info));
  await client.close();
  await connection.closed;
  await settle();
  for (const value of shown()) assertFalse(looksOf(value).includes(token), Deno.inspect(value));
  await idle.close();
});

Deno.test("the clients' ids are shown where their tokens are not", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  for (const value of [server.clients, client, client.connection, [...server.clients.values()]]) {
    assert(Deno.inspect(value).includes(client.id!));
    assert(inspect(value).includes(client.id!));
    assert(JSON.stringify(value).includes(client.id!));
  }
  assert(JSON.stringify(server).includes(client.id!));
});

Deno.test("no error that a user is handed shows a token", async () => {
  await using logs = await Logs.capture();
  await using hostile = await RawServer.listen();
  const options = { maxPendingRequests: 1, maxBufferedBytes: 100, drainTimeoutMs: 50 };
  await using client = new Client({ port: hostile.port, ...options });
  const [peer] = await Promise.all([hostile.register(), client.start()]);
  const { token } = peer;
  const errors: unknown[] = [];
  const collect = async (act: () => unknown) => {
    try {
      await act();
    } catch (error) {
      errors.push(error);
    }
  };
  const request = client.request.bind(client) as (...rest: unknown[]) => Promise<unknown>;
  await collect(() => client.start());
  await collect(() => request("@bad"));
  await collect(() => request("a", 1n));
  await collect(() => request("a", 1, { timeoutMs: 1 }));
  await collect(() => client.request("a", "x".repeat(2_000_000)));
  const first = client.request("a");
  await collect(() => client.request("b"));
  await collect(() => client.connection!.join("a"));
  await collect(() => client.connection!.bindAction("a", () => {}));
  await collect(() => client.connection![Symbol.asyncIterator]());
  const { id } = await peer.packetOf("a").then(() => peer.packetOf("a"));
  await peer.sendPacket({
    action: "a",
    "reply-to": id,
    error: { code: "NO_ACTION", message: "m" },
  });
  await collect(() => first);
  const second = client.request("a");
  await peer.sendPacket({ action: "a", token: crypto.randomUUID() });
  await collect(() => second);
  await peer.farewell("BAD_TOKEN");
  const info = await within(client.closed, "the client's end");
  await collect(() => client.request("a"));
  await collect(() => client.sendPacket({ action: "a" }));
  await collect(() => client.ping());
  await collect(() => client.start());
  assertEquals(errors.length, 15);
  assert(errors.some((error) => error instanceof PnetworkError));
  for (const error of [...errors, info]) {
    assertFalse(looksOf(error).includes(token), Deno.inspect(error));
    assertFalse(String((error as Error).stack).includes(token));
  }
  logs.assertLacks(token);
});

Deno.test("a failed start shows no token either, whatever the server did with it", async () => {
  const token = crypto.randomUUID();
  for (
    const data of [
      { status: "error", code: "REFUSED", message: "no" },
      { status: "success", version: 1, id: "none" },
      { status: "success", version: 2 },
    ]
  ) {
    await using logs = await Logs.capture();
    await using hostile = await RawServer.listen();
    await using client = new Client({ port: hostile.port });
    const script = async () => {
      const peer = await hostile.accept();
      await peer.sendPacket({ action: "@handshake", data, token });
      await peer.toEnd();
      peer.fin();
    };
    const [error] = await Promise.all([
      assertRejects(() => client.start(), PnetworkError),
      script(),
    ]);
    assertFalse(looksOf(error).includes(token));
    assertFalse(looksOf(client).includes(token));
    logs.assertLacks(token);
  }
});

Deno.test("a token is looked up, and a token that was never given finds nobody", async () => {
  await withChat(2, async (server, [a, b]) => {
    await server.clients.get(a.token)?.sendPacket({ action: "poke" });
    assertEquals((await a.packet()).action, "poke");
    assertEquals(server.clients.get(crypto.randomUUID()), undefined);
    assertEquals(server.clients.get(b.id), undefined);
    assertEquals(server.clients.getById(b.token), undefined);
    await b.close();
    await until(() => server.clients.get(b.token) === undefined, "b was forgotten");
    // For the check that follows.
    Object.assign(b, { ping: () => Promise.resolve() });
  });
});
