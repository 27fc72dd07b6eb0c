import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  Bind,
  Client,
  type Connection,
  ConnectionError,
  DEFAULTS,
  ProtocolError,
  type ReceivedPacket,
  RequestError,
  Server,
} from "../../mod.ts";
import { FakeTime } from "../support/fake_time.ts";
import { LeapingTime } from "../support/leaping_time.ts";
import { RawPeer, RawServer } from "../support/raw_peer.ts";
import { onBothSides } from "../support/scene.ts";
import { pause, settle, turn, until, within } from "../support/wait.ts";

// Starting and stopping

Deno.test("a server on port 0 is given a free port, and a client finds it there", async () => {
  await using server = new Server({ port: 0 });
  assertEquals([server.state, server.port, server.host], ["idle", 0, "127.0.0.1"]);
  await server.start();
  assertEquals(server.state, "listening");
  assertNotEquals(server.port, 0);
  assertEquals(server.address, `127.0.0.1:${server.port}`);

  await using client = new Client({ port: server.port });
  assertEquals([client.state, client.token, client.id], ["idle", undefined, undefined]);
  await client.start();
  assertEquals(client.state, "connected");
  const connection = server.clients.get(client.token!)!;
  assertEquals(connection.id, client.id);
  assertStrictEquals(server.clients.getById(client.id!), connection);
  assertStrictEquals(client.clients.get(client.token!), client.connection);
  assertNotEquals(client.id, client.token);
});

Deno.test("host and port default to 127.0.0.1 and 25565", () => {
  for (const side of [new Server(), new Client()]) {
    assertEquals([side.host, side.port], [DEFAULTS.host, DEFAULTS.port]);
    assertEquals(side.address, "127.0.0.1:25565");
  }
});

Deno.test("every client has a token and an id of its own", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  const clients = Array.from({ length: 20 }, () => new Client({ port: server.port }));
  await Promise.all(clients.map((client) => client.start()));
  assertEquals(new Set(clients.map(({ token }) => token)).size, 20);
  assertEquals(new Set(clients.map(({ id }) => id)).size, 20);
  assertEquals(new Set(server.clients.keys()), new Set(clients.map(({ token }) => token!)));
  await Promise.all(clients.map((client) => client.close()));
  await until(() => server.clients.size === 0, "all had gone");
});

Deno.test("one timer serves all servers and clients of a process, and none when they have gone", async () => {
  using time = new FakeTime({ withDate: true });
  const servers = [new Server({ port: 0 }), new Server({ port: 0 })];
  await Promise.all(servers.map((server) => server.start()));
  assertEquals(time.timers, 0);
  const clients = servers.flatMap(({ port }) => [new Client({ port }), new Client({ port })]);
  await Promise.all(clients.map((client) => client.start()));
  assertEquals(time.timers, 1);
  await Promise.all([...clients, ...servers].map((side) => side.close()));
  assertEquals(time.timers, 0);
});

Deno.test("a server starts once", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await assertRejects(() => server.start(), TypeError, "listening");
  await server.close();
  await assertRejects(() => server.start(), TypeError, "closed");
});

Deno.test("a client starts once, and not after it was closed", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await using client = new Client({ port: server.port });
  const starting = client.start();
  await assertRejects(() => client.start(), TypeError, "connecting");
  await starting;
  await assertRejects(() => client.start(), TypeError, "connected");
  await client.close();
  await assertRejects(() => client.start(), TypeError, "closed");
});

Deno.test("a port that is taken is LISTEN_FAILED, and the server may be started again later", async () => {
  const holder = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using server = new Server({ port: holder.addr.port });
  const error = await assertRejects(() => server.start(), ConnectionError);
  assertEquals(error.code, "LISTEN_FAILED");
  assertInstanceOf(error.cause, Deno.errors.AddrInUse);
  assert(error.message.includes(`${holder.addr.port}`));
  assertEquals(server.state, "idle");
  holder.close();
  await server.start();
  assertEquals(server.state, "listening");
});

Deno.test("a host that is not of this machine is LISTEN_FAILED", async () => {
  await using server = new Server({ host: "192.0.2.1", port: 0 });
  assertEquals((await assertRejects(() => server.start(), ConnectionError)).code, "LISTEN_FAILED");
});

Deno.test("nobody listening is CONNECT_FAILED, and the client may be started again later", async () => {
  const holder = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = holder.addr;
  holder.close();
  await using client = new Client({ port });
  const error = await assertRejects(() => client.start(), ConnectionError);
  assertEquals(error.code, "CONNECT_FAILED");
  assertInstanceOf(error.cause, Deno.errors.ConnectionRefused);
  assertEquals(client.state, "idle");
  await using server = new Server({ port });
  await server.start();
  await client.start();
  assertEquals(client.state, "connected");
});

Deno.test("close() may be called again and again, at any time", async () => {
  const server = new Server({ port: 0 });
  await server.start();
  const client = new Client({ port: server.port });
  await client.start();
  await Promise.all([client.close(), client.close(), client.close()]);
  await client.close();
  assertEquals(client.state, "closed");
  assertEquals((await client.closed).code, "CLOSED");
  await Promise.all([server.close(), server.close()]);
  await server.close();
  await server.closed;
  assertEquals(server.state, "closed");

  const unused = new Server({ port: 0 });
  await unused.close();
  assertEquals(unused.state, "closed");
  await assertRejects(() => unused.start(), TypeError);
  const idle = new Client({ port: 1 });
  await idle.close({ reason: "never mind" });
  assertEquals(await idle.closed, { code: "CLOSED", reason: "never mind" });
});

Deno.test("close() right after start() closes what start() opens", async () => {
  const server = new Server({ port: 0 });
  const starting = server.start();
  starting.catch(() => {});
  await server.close();
  assertEquals(server.state, "closed");
  const error = await assertRejects(() => starting, ConnectionError);
  assertEquals(error.code, "CLOSED");
  assertEquals(server.state, "closed");
});

Deno.test("a client that is closed while it starts is closed, and its start fails", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  // Whenever it comes: with every turn the handshake has got further.
  for (let turns = 0; turns < 60; turns++) {
    const client = new Client({ port: server.port });
    const starting = client.start().then(() => undefined, (error) => error);
    for (let n = 0; n < turns; n++) await (n < 30 ? Promise.resolve() : turn());
    await client.close();
    assertEquals(client.state, "closed");
    const error = await starting;
    if (error) assertEquals([error.name, error.code], ["ConnectionError", "CLOSED"]);
    assertEquals(client.clients.size, 0);
    assertEquals(client.state, "closed");
    await within(client.closed, "its end");
  }
  await until(() => server.clients.size === 0, "the server forgot them all");
});

Deno.test("a client that is closed in the turn in which the welcome arrives is closed", async () => {
  // The welcome's arrival is noticed in some microtask; the close may come in any one after it.
  for (let depth = 0; depth < 25; depth++) {
    await using server = new Server({ port: 0 });
    await server.start();
    const client = new Client({ port: server.port });
    const closing = Promise.withResolvers<void>();
    // A second read on the same event loop turn, as another client's traffic would be.
    const starting = client.start().then(() => undefined, (error) => error);
    await until(() => server.clients.size === 1, "the server registered it");
    for (let n = 0; n < depth; n++) await Promise.resolve();
    client.close().then(closing.resolve);
    await closing.promise;
    await starting;
    assertEquals([client.state, client.clients.size], ["closed", 0]);
    await until(() => server.clients.size === 0, "the server forgot it");
  }
});

/** Lets something happen so many microtasks after the client's connecting, or its first read, is over. */
async function withHookedConnect(
  when: "connected" | "read",
  happen: () => Promise<unknown>,
  act: () => Promise<void>,
): Promise<void> {
  const { connect } = Deno;
  const hooked = async (options: Deno.ConnectOptions) => {
    const conn = await connect(options);
    const read = conn.read.bind(conn);
    if (when === "read") {
      conn.read = async (buffer) => {
        const count = await read(buffer);
        conn.read = read;
        happen();
        return count;
      };
    } else {
      happen();
    }
    return conn;
  };
  try {
    Object.assign(Deno, { connect: hooked });
    await act();
  } finally {
    Object.assign(Deno, { connect });
  }
}

async function hangUpAfter(peer: RawPeer): Promise<void> {
  await until(() => peer.ended !== undefined, "the client left");
  peer.fin();
}

for (const when of ["connected", "read"] as const) {
  Deno.test(`a client that is closed right after it has ${when} is closed, and its start fails`, async () => {
    await using server = new Server({ port: 0 });
    await server.start();
    await using silent = await RawServer.listen();
    for (let depth = 0; depth < (when === "read" ? 30 : 6); depth++) {
      const client = new Client({ port: when === "read" ? server.port : silent.port });
      const close = async () => {
        for (let n = 0; n < depth; n++) await Promise.resolve();
        await client.close();
      };
      // Whoever leaves is let go.
      const leaving = when === "connected" ? silent.accept().then(hangUpAfter) : undefined;
      await withHookedConnect(when, close, async () => {
        const starting = client.start().then(() => undefined, (error) => error);
        const error = await within(starting, "the start to be over");
        if (when === "connected" || error) assertEquals(error?.code, "CLOSED");
        await within(client.closed, "the client's end");
        assertEquals([client.state, client.clients.size], ["closed", 0]);
        if (error) assertEquals(client.connection, undefined);
      });
      await leaving;
    }
    await until(() => server.clients.size === 0, "the server forgot them all");
  });
}

Deno.test("a server that is closed while a client is let in leaves no client behind", async () => {
  for (let depth = 0; depth < 25; depth++) {
    const closing = Promise.withResolvers<void>();
    const server: Server = new Server({
      port: 0,
      drainTimeoutMs: 500,
      authenticate: async () => {
        (async () => {
          for (let n = 0; n < depth; n++) await Promise.resolve();
          await server.close();
          closing.resolve();
        })();
        await Promise.resolve();
        return true;
      },
    });
    await server.start();
    await using client = new Client({ port: server.port, session: false });
    const outcome = await client.start().then(() => undefined, (error) => error);
    if (outcome) assertEquals(outcome.code, "GOING_AWAY");
    else assertEquals((await within(client.closed, "its end")).code, "GOING_AWAY");
    await within(closing.promise, "the server's end");
    assertEquals([server.state, server.clients.size], ["closed", 0]);
  }
});

Deno.test("options of a wrong type or out of range are refused by the constructor", () => {
  const makeServer = Server as unknown as new (options: unknown) => Server;
  const makeClient = Client as unknown as new (options: unknown) => Client;
  for (const make of [makeServer, makeClient]) {
    assertThrows(() => new make(null), TypeError);
    assertThrows(() => new make({ port: "1" }), TypeError);
    assertThrows(() => new make({ port: 65_536 }), RangeError);
    assertThrows(() => new make({ port: 1, path: "/x" }), TypeError);
    assertThrows(() => new make({ onConnect: 1 }), TypeError);
    assertThrows(() => new make({ maxInFlight: 0 }), RangeError);
  }
  assertThrows(() => new makeServer({ authenticate: true }), TypeError);
  assertThrows(() => new makeServer({ exemptLoopback: 1 }), TypeError);
  assertThrows(() => new makeClient({ auth: 1n }), TypeError);
  const options = Object.freeze({ port: 0, maxInFlight: 5 });
  new Server(options);
  new Client(options);
});

// Signals

Deno.test("an abort calls a client's start off with its reason, at whatever stage", async () => {
  using time = new LeapingTime();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = new Client({ port: listener.addr.port });
  const reason = { why: "too slow" };
  const early = await client.start({ signal: AbortSignal.abort(reason) }).catch((error) => error);
  assertStrictEquals(early, reason);
  assertEquals(client.state, "idle");

  const controller = new AbortController();
  const connecting = client.start({ signal: controller.signal }).catch((error) => error);
  controller.abort(reason);
  assertStrictEquals(await connecting, reason);
  assertEquals(client.state, "idle");

  const later = new AbortController();
  const shaking = client.start({ signal: later.signal }).catch((error) => error);
  // The first two may have got as far as the listener's queue.
  const conns: Deno.Conn[] = [];
  const hello = new Uint8Array(1_000);
  do conns.push(await listener.accept()); while (!await conns.at(-1)!.read(hello).catch(() => 0));
  later.abort(reason);
  assertStrictEquals(await time.leapUntil(shaking, "the start being called off"), reason);
  assertEquals(client.state, "idle");
  for (const conn of conns) conn.close();
  listener.close();
  await client.close();
});

Deno.test("an abort after a client has started changes nothing", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await using client = new Client({ port: server.port });
  const controller = new AbortController();
  await client.start({ signal: controller.signal });
  controller.abort();
  await settle();
  assertEquals(client.state, "connected");
  assert(await client.ping() >= 0);
});

Deno.test("an abort calls a server's start off with its reason", async () => {
  await using server = new Server({ port: 0 });
  const reason = new Error("not now");
  const error = await server.start({ signal: AbortSignal.abort(reason) }).catch((error) => error);
  assertStrictEquals(error, reason);
  assertEquals(server.state, "idle");
  const controller = new AbortController();
  await server.start({ signal: controller.signal });
  controller.abort();
  await settle();
  assertEquals(server.state, "listening");
});

Deno.test("auth that is too large is refused with PACKET_TOO_LARGE, however large", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  for (const size of [5_000, 5_000_000]) {
    await using client = new Client({ port: server.port, auth: "x".repeat(size) });
    const error = await assertRejects(() => client.start(), ProtocolError);
    assertEquals(error.code, "PACKET_TOO_LARGE");
  }
});

Deno.test("200 clients that come at once are all let in", async () => {
  await using server = new Server({ port: 0, maxHandshakes: 8 });
  server.bindAction("echo", (data) => data);
  await server.start();
  const clients = Array.from({ length: 200 }, () => new Client({ port: server.port }));
  await Promise.all(clients.map(async (client, n) => {
    await client.start();
    assertEquals(await client.request("echo", n), n);
  }));
  assertEquals(server.clients.size, 200);
  await Promise.all(clients.map((client) => client.close()));
});

Deno.test({
  name: "a server and a client talk over IPv6",
  ignore: !hasIpv6(),
  async fn() {
    await using server = new Server({ host: "::1", port: 0 });
    await server.start();
    assertEquals(server.address, `[::1]:${server.port}`);
    await using client = new Client({ host: "::1", port: server.port });
    await client.start();
    assert(await client.ping() >= 0);
    assert([...server.clients.values()][0].address.startsWith("[::1]:"));
  },
});

function hasIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    // Not every machine has it.
    return false;
  }
}

// What the first program does

Deno.test("a client asks a server, and a server asks a client", async () => {
  await using server = new Server({ port: 0 });
  server.bindAction("greet", (name) => `hello ${name}`);
  await server.start();
  await using client = new Client({ port: server.port });
  client.bindAction("name", () => "Ada");
  await client.start();
  assertEquals(await client.request("greet", "Ada"), "hello Ada");
  assertEquals(await server.clients.get(client.token!)!.request("name"), "Ada");
});

Deno.test("a handler may ask back before it answers", async () => {
  await using server = new Server({ port: 0 });
  server.bindAction("greet", async (_data, _packet, peer) => `hello ${await peer.request("name")}`);
  await server.start();
  await using client = new Client({ port: server.port });
  client.bindAction("name", () => "Ada");
  await client.start();
  assertEquals(await client.request("greet"), "hello Ada");
});

Deno.test("a client must be started before it sends", async () => {
  const client = new Client();
  assertThrows(() => client.sendPacket({ action: "a" }), TypeError, "started");
  assertThrows(() => client.request("a"), TypeError, "started");
  assertThrows(() => client.ping(), TypeError, "started");
  await client.close();
});

Deno.test("createPacket on both sides makes what sendPacket takes", async () => {
  await using server = new Server({ port: 0 });
  const heard = Promise.withResolvers<unknown>();
  server.bindAction("hear", (data) => heard.resolve(data));
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  const packet = client.createPacket("hear", { loud: true });
  assertEquals([packet.action, packet.token], ["hear", null]);
  await client.sendPacket(packet);
  assertEquals(await heard.promise, { loud: true });
  assertEquals(server.createPacket("a").data, null);
  assertThrows(() => server.createPacket("@a"), TypeError);
});

Deno.test("all JSON there is arrives as it was sent", async () => {
  await using server = new Server({ port: 0 });
  server.bindAction("echo", (data) => data);
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  const values = [
    null,
    true,
    0,
    -0.5,
    1e300,
    "",
    "line\nfeed\r\n\t\0\u2028\u{1f600}",
    [],
    {},
    [[[]]],
    { "": 1, "reply-to": 2, token: "mine", seq: 3, __proto__: null },
    "x".repeat(500_000),
    Array.from({ length: 10_000 }, (_, n) => n),
  ];
  for (const value of values) {
    assertEquals(await client.request("echo", value), JSON.parse(JSON.stringify(value)));
  }
});

// What may be bound

class Add extends Bind<{ n: number }, number> {
  override run({ n }: { n: number }) {
    return n + Number(this.args[0]) + Number(this.args[1]);
  }
}

onBothSides("a Bind knows its name and its arguments", {}, async ({ peer, bindAction }) => {
  const bind = new Add("adder", 10, 100);
  assertEquals([bind.name, bind.args], ["adder", [10, 100]]);
  bindAction("add", bind.run.bind(bind) as (data: unknown) => unknown);
  assertEquals((await peer.request(1, "add", { n: 1 })).data, 111);
});

Deno.test("binds are listed, replaced by later ones, and backed by the fallback", async () => {
  await using server = new Server({ port: 0 });
  server.bindAction("add", new Add("adder", 1, 1));
  server.bindAction("add", new Add("other adder", 2, 2));
  server.bindAction("plain", function named() {});
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  assertEquals(await client.request("add", { n: 0 }), 4);
  const unbound = await assertRejects(() => client.request("any"), RequestError);
  assertEquals([unbound.code, unbound.remote], ["NO_ACTION", true]);

  server.bindFallback((data, packet) => [packet.action, data]);
  assertEquals(await client.request("any", 1), ["any", 1]);
  assertEquals(await client.request("__proto__", 1), ["__proto__", 1]);
  assertEquals(await client.request("add", { n: 0 }), 4);
  assertEquals(server.actions, [
    { action: "add", bind: "other adder", hasSchema: false, isSealed: false },
    { action: "plain", bind: "named", hasSchema: false, isSealed: false },
    { action: "*", bind: server.actions[2].bind, hasSchema: false, isSealed: false },
  ]);
});

Deno.test("actions are bound on the server or the client, under names that may be sent", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  assertThrows(() => client.connection!.bindAction("a", () => {}), TypeError, "Client");
  for (const side of [server, client]) {
    const bind = side.bindAction.bind(side) as (name: unknown, bind: unknown) => unknown;
    for (const name of ["@a", "", "a".repeat(129), "\ud800", 5, null]) {
      assertThrows(() => bind(name, () => {}), TypeError);
    }
    for (const what of [null, undefined, 5, "run", {}, { run: 1 }]) {
      assertThrows(() => bind("a", what), TypeError);
    }
  }
});

// Schemas

type Result = { value: unknown } | { issues: { message: string; path?: PropertyKey[] }[] };

/** A schema of ages by hand; gives text for numbers, so that its work shows. */
function ageSchema(wait?: () => Promise<void>) {
  const check = (data: unknown): Result => {
    const age = (data as { age?: unknown } | null)?.age;
    if (typeof age === "number") return { value: `aged ${age}` };
    return { issues: [{ message: `secret message about ${JSON.stringify(data)}`, path: ["age"] }] };
  };
  const validate = wait ? (data: unknown) => wait().then(() => check(data)) : check;
  return { "~standard": { version: 1 as const, vendor: "test", validate } };
}

class Age extends Bind<string, string> {
  ran = 0;
  override readonly schema;
  constructor(wait?: () => Promise<void>) {
    super("age");
    this.schema = ageSchema(wait) as never;
  }
  override run(data: string) {
    this.ran++;
    return data;
  }
}

for (const kind of ["sync", "async"]) {
  Deno.test(`data that a schema (${kind}) does not pass never reaches run`, async () => {
    await using server = new Server({ port: 0 });
    const bind = new Age(kind === "async" ? () => pause(1) : undefined);
    server.bindAction("age", bind);
    await server.start();
    await using client = new Client({ port: server.port });
    await client.start();
    assertEquals(await client.request("age", { age: 7 }), "aged 7");
    for (const bad of [null, {}, { age: "7" }, [], "7"]) {
      const error = await assertRejects(() => client.request("age", bad), RequestError);
      assertEquals(error.code, "INVALID_DATA");
      assert(error.message.includes("age") && !error.message.includes("secret"));
    }
    await client.sendPacket({ action: "age", data: {} });
    assertEquals(await client.request("age", { age: 8 }), "aged 8");
    assertEquals(bind.ran, 2);
    assertEquals(server.actions[0].hasSchema, true);
  });
}

Deno.test("a packet whose data is being checked holds its place; replies and pings do not wait", async () => {
  await using server = new Server({ port: 0 });
  const gate = Promise.withResolvers<void>();
  const order: unknown[] = [];
  class Slow extends Age {
    override run(data: string) {
      order.push(data);
      return super.run(data);
    }
  }
  server.bindAction("age", new Slow(() => gate.promise));
  server.bindAction("plain", (data) => void order.push(data));
  await server.start();
  await using client = new Client({ port: server.port });
  client.bindAction("name", () => "Ada");
  await client.start();
  client.sendPacket({ action: "plain", data: 1 });
  client.sendPacket({ action: "age", data: { age: 2 } });
  client.sendPacket({ action: "plain", data: 3 });
  client.sendPacket({ action: "age", data: { age: 4 } });
  const last = client.request("plain", 5);
  await client.ping();
  assertEquals(await server.clients.get(client.token!)!.request("name"), "Ada");
  assertEquals(order, [1]);
  gate.resolve();
  await last;
  assertEquals(order, [1, "aged 2", 3, "aged 4", 5]);
});

Deno.test("a packet whose data was being checked when its connection was closed does not run", async () => {
  await using server = new Server({ port: 0 });
  const gate = Promise.withResolvers<void>();
  const bind = new Age(() => gate.promise);
  server.bindAction("age", bind);
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  client.sendPacket({ action: "age", data: { age: 1 } });
  client.sendPacket({ action: "age", data: { age: 2 } });
  await client.ping();
  await server.clients.get(client.token!)!.close();
  gate.resolve();
  await settle();
  assertEquals(bind.ran, 0);
});

Deno.test("a schema that throws or rejects fails that packet alone", async () => {
  await using server = new Server({ port: 0 });
  const schemas = [
    () => {
      throw new Error("secret");
    },
    () => Promise.reject(new Error("secret")),
  ];
  for (const [index, validate] of schemas.entries()) {
    const bind = new Age();
    Object.assign(bind, { schema: { "~standard": { version: 1, vendor: "test", validate } } });
    server.bindAction(`bad-${index}`, bind);
  }
  server.bindAction("good", (data) => data);
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  for (const index of schemas.keys()) {
    const error = await assertRejects(() => client.request(`bad-${index}`), RequestError);
    assertEquals(error.code, "ACTION_FAILED");
    assert(!error.message.includes("secret"));
    assertEquals(await client.request("good", 1), 1);
  }
});

// What may be told of them

Deno.test("stats, loops and groups tell what goes on", async () => {
  await using server = new Server({ port: 0 });
  const gate = Promise.withResolvers<void>();
  server.bindAction("slow", () => gate.promise);
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  const connection = server.clients.get(client.token!)!;
  const slow = client.request("slow");
  await client.sendPacket({ action: "unbound" });
  await client.ping();
  assertEquals(connection.stats.inFlight, 1);
  assertEquals(connection.stats.packetsReceived, 3);
  assertEquals(connection.stats.ignored, 1);
  assertEquals(client.connection!.stats.pending, 1);
  assertEquals(connection.stats.bytesReceived > 0, true);
  assert(connection.loops.some(({ waitsFor }) => waitsFor.includes("1 handlers")));
  assertEquals(server.loops[0], { loop: "accept", waitsFor: "a client" });
  assertEquals(client.loops.map(({ loop }) => loop), ["sweep"]);
  gate.resolve();
  await slow;
  await client.close();
  await server.close();
  assertEquals(server.loops[0].waitsFor, "nothing: it has ended");
});

Deno.test("a protocol error of the server ends the client's connection, not the client's process", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  await using stranger = await RawPeer.register({ port: server.port });
  await stranger.send("nonsense\n");
  await stranger.farewell("BAD_JSON");
  assert(await client.ping() >= 0);
});

Deno.test("connections know their peer's address, and when they began", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await using client = new Client({ port: server.port });
  const before = Date.now();
  await client.start();
  const connection: Connection = server.clients.get(client.token!)!;
  assertEquals(client.connection!.address, server.address);
  assert(/^127\.0\.0\.1:\d+$/.test(connection.address));
  assert(connection.since.getTime() >= before && connection.since.getTime() <= Date.now());
});

Deno.test("a client of another protocol version is told so by start()", async () => {
  await using server = new Server({ port: 0 });
  await server.start();
  await using peer = await RawPeer.connect({ port: server.port });
  await peer.sendPacket({ action: "@handshake", data: { version: 2 } });
  await peer.refused("VERSION_UNSUPPORTED");
  assertEquals(ProtocolError.name, "ProtocolError");
});

Deno.test("a packet that a handler keeps can be read as long as it likes", async () => {
  await using server = new Server({ port: 0 });
  const kept: ReceivedPacket[] = [];
  server.bindAction("keep", (_data, packet) => void kept.push(packet));
  await server.start();
  await using client = new Client({ port: server.port });
  await client.start();
  for (let n = 0; n < 3; n++) await client.request("keep", n);
  await client.close();
  assertEquals(kept.map(({ data }) => data), [0, 1, 2]);
});
