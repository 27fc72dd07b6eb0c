// What a contract lets compile, and what not. The functions here are checked and need not run.

import { assertEquals } from "@std/assert";
import {
  Bind,
  Client,
  Connection,
  type Contract,
  createPacket,
  decodePacket,
  type Flipped,
  type OutgoingPacket,
  type Packet,
  type Peer,
  type ReceivedPacket,
  type Schema,
  Server,
} from "../../mod.ts";

type Chat = {
  server: {
    say: [text: string];
    members: [null, string[]];
    add: [{ a: number; b: number }, number];
    find: [{ name: string } | null, string | null];
    stop: [null];
  };
  client: {
    said: [{ who: string; text: string }];
    color: [null, "red" | "blue"];
  };
};

interface ServerActions {
  say: [text: string];
  add: [{ a: number; b: number }, number];
}

interface ClientActions {
  said: [{ who: string; text: string }];
}

interface IChat {
  server: ServerActions;
  client: ClientActions;
}

/** Compiles only for two types that are the same. */
function same<A, B>(
  ..._: (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? [] : [never]
): void {}

/** What is in here is compiled and not run. */
function compiled(..._functions: ((...args: never[]) => unknown)[]): void {}

class Add extends Bind<{ a: number; b: number }, number> {
  run({ a, b }: { a: number; b: number }): number {
    return a + b;
  }
}

class Say extends Bind<string, void> {
  run(_text: string): void {}
}

class AddLater extends Bind<{ a: number; b: number }, number> {
  run({ a, b }: { a: number; b: number }): Promise<number> {
    return Promise.resolve(a + b);
  }
}

class Anything extends Bind {
  run(data: unknown, packet: ReceivedPacket, connection: Peer): unknown {
    return [data, packet.action, connection.id];
  }
}

declare const numbers: Schema<{ a: number; b: number }>;
declare const text: Schema<string>;

Deno.test("a contract lets the right things compile, and they run", () => {
  const server = new Server<Chat>()
    .bindAction("say", (text) => void text.toUpperCase())
    .bindAction("members", () => ["Ada"])
    .bindAction("add", new Add("adder"))
    .bindAction("find", async (query) => await query?.name ?? null)
    .bindAction("stop", () => {})
    .bindFallback((data, packet) => [data, packet.action]);
  const client = new Client<Chat>()
    .bindAction("said", ({ who, text }) => void `${who}: ${text}`)
    .bindAction("color", () => Promise.resolve("red" as const));
  assertEquals(server.actions.map(({ action }) => action), [
    "say",
    "members",
    "add",
    "find",
    "stop",
    "*",
  ]);
  assertEquals(client.actions.map(({ action }) => action), ["said", "color"]);
  assertEquals(client.createPacket("say", "hi").data, "hi");
  assertEquals(client.createPacket("members").data, null);
});

Deno.test("a contract that is an interface does as well", () => {
  const server = new Server<IChat>()
    .bindAction("say", (text) => void text.toUpperCase())
    .bindAction("add", new Add("adder"));
  const client = new Client<IChat>().bindAction("said", ({ who }) => void who);
  assertEquals([server.actions.length, client.actions.length], [2, 1]);
});

Deno.test("the first program compiles without a contract, and so does whatever it does next", () => {
  class Greet extends Bind<{ name: string }, string> {
    run(data: { name: string }) {
      return `hello ${data.name}`;
    }
  }
  class TestAction extends Bind {
    run() {}
  }
  const server = new Server();
  server.bindAction("greet", new Greet("greeter"));
  server.bindAction("test", new TestAction("trigger test", 1, "two"));
  server.bindAction("any", new Anything("any"));
  server.bindAction("echo", (data) => data);
  server.bindAction("double", (n) => Number(n) * 2);
  server.bindAction("full", (data, packet, connection) => [data, packet.token, connection.id]);
  const client = new Client();
  client.bindAction("greet", new Greet("greeter"));
  const packet = server.createPacket("anything", { at: "all" });
  assertEquals([packet.action, server.actions.length, client.actions.length], ["anything", 6, 1]);

  compiled(
    () => client.request("greet", { name: "Ada" }),
    () => client.request("greet"),
    () => client.request("greet", null, { timeoutMs: 5, signal: AbortSignal.timeout(5) }),
    () => client.sendPacket({ action: "any" }),
    () => client.sendPacket(client.createPacket("greet", { name: "Ada" })),
    () => client.sendPacket(createPacket("greet", [1, 2])),
    (packet: ReceivedPacket) => server.broadcast(packet),
    () => server.clients.get("token")?.sendPacket(server.createPacket("greet", { name: "Ada" })),
    () => server.group("red").broadcast({ action: "any", data: 5 }),
    () => same<unknown, Awaited<ReturnType<typeof client.request>>>(),
    () => {
      // @ts-expect-error: without a contract a reply is unknown
      client.request("greet").then((reply) => reply.length);
      // @ts-expect-error: and so is data
      server.bindAction("any", (data) => data.name);
      // @ts-expect-error: a name is a string
      server.bindAction(5, () => {});
      // @ts-expect-error: what is bound is a bind or a function
      server.bindAction("any", "no");
      // @ts-expect-error: an instance, not its class
      server.bindAction("any", Greet);
      // @ts-expect-error: a packet has an action
      client.sendPacket({ data: 5 });
      // @ts-expect-error: run is what a bind is for
      new (class extends Bind {})("no run");
      // @ts-expect-error: a bind has a name
      new TestAction();
    },
  );
});

compiled(
  // Sending from the client

  async (client: Client<Chat>) => {
    same<number, Awaited<ReturnType<typeof client.request<"add">>>>();
    const sum: number = await client.request("add", { a: 1, b: 2 });
    const members: string[] = await client.request("members");
    const again: string[] = await client.request("members", null, { timeoutMs: false });
    const found: string | null = await client.request("find", { name: "Ada" });
    const none: string | null = await client.request("find");
    const nothing: void = await client.request("say", "hi");
    await client.sendPacket({ action: "say", data: "hi" });
    await client.sendPacket({ action: "members" });
    await client.sendPacket({ action: "stop", data: null });
    await client.sendPacket(client.createPacket("add", { a: 1, b: 2 }));
    await client.sendPacket(createPacket("say", "hi"));
    const packet: Packet<string, "say"> = client.createPacket("say", "hi");
    return [sum, members, again, found, none, nothing, packet];
  },
  async (client: Client<Chat>) => {
    // @ts-expect-error: no such action
    client.request("ad", { a: 1, b: 2 });
    // @ts-expect-error: an action of the other side
    client.request("color");
    // @ts-expect-error: data of the wrong type
    client.request("add", { a: 1, b: "2" });
    // @ts-expect-error: some of the data is missing
    client.request("add", { a: 1 });
    // @ts-expect-error: all of it is missing
    client.request("add");
    // @ts-expect-error: null is no data here
    client.request("say", null);
    // @ts-expect-error: there is no data here
    client.request("members", "Ada");
    // @ts-expect-error: options are no data
    client.request("say", { timeoutMs: 5 });
    // @ts-expect-error: no such option
    client.request("say", "hi", { timeout: 5 });
    // @ts-expect-error: the reply is a number
    const sum: string = await client.request("add", { a: 1, b: 2 });
    // @ts-expect-error: the reply may be null
    const found: string = await client.request("find");
    return [sum, found];
  },
  (client: Client<Chat>, received: ReceivedPacket, loose: OutgoingPacket) => {
    // @ts-expect-error: no such action
    client.sendPacket({ action: "sey", data: "hi" });
    // @ts-expect-error: an action of the other side
    client.sendPacket({ action: "said", data: { who: "Ada", text: "hi" } });
    // @ts-expect-error: data of the wrong type
    client.sendPacket({ action: "say", data: 5 });
    // @ts-expect-error: data is missing
    client.sendPacket({ action: "say" });
    // @ts-expect-error: data of another action
    client.sendPacket({ action: "add", data: "hi" });
    // @ts-expect-error: there is no data here
    client.sendPacket({ action: "stop", data: "now" });
    // @ts-expect-error: the same in a packet that was made before
    client.sendPacket(createPacket("add", "hi"));
    // @ts-expect-error: made for the other direction
    client.sendPacket(new Server<Chat>().createPacket("color"));
    // @ts-expect-error: nobody knows what was received
    client.sendPacket(received);
    // @ts-expect-error: nor what this is
    client.sendPacket(loose);
    // @ts-expect-error: no such action
    client.createPacket("sey", "hi");
    // @ts-expect-error: data is missing
    client.createPacket("say");
    // @ts-expect-error: data of the wrong type
    client.createPacket("say", 5);
  },
  // Sending from the server

  async (server: Server<Chat>, connection: Connection<Chat>) => {
    const color: "red" | "blue" = await connection.request("color");
    const said = server.createPacket("said", { who: "Ada", text: "hi" });
    await connection.sendPacket(said);
    await server.clients.get("token")?.sendPacket(said);
    await server.clients.getById("id")?.request("color");
    server.broadcast(said, { except: connection });
    server.group("red").broadcast(said, { except: [connection] });
    for (const member of server.group("red").members) await member.sendPacket(said);
    for (const one of server.clients.values()) await one.sendPacket(said);
    return color;
  },
  (server: Server<Chat>, connection: Connection<Chat>) => {
    // @ts-expect-error: an action of this side
    connection.request("members");
    // @ts-expect-error: no such color
    connection.request("color").then((color: "green") => color);
    // @ts-expect-error: data of the wrong type
    connection.sendPacket({ action: "said", data: "hi" });
    // @ts-expect-error: data is missing
    connection.sendPacket({ action: "said" });
    // @ts-expect-error: an action of this side
    connection.sendPacket({ action: "say", data: "hi" });
    // @ts-expect-error: an action of this side
    server.broadcast({ action: "say", data: "hi" });
    // @ts-expect-error: some of the data is missing
    server.broadcast({ action: "said", data: { who: "Ada" } });
    // @ts-expect-error: data of the wrong type
    server.group("red").broadcast({ action: "said", data: 5 });
    // @ts-expect-error: an action of this side
    server.clients.get("token")?.sendPacket({ action: "say", data: "hi" });
    // @ts-expect-error: an action of this side
    server.createPacket("say", "hi");
    // @ts-expect-error: nobody is excepted by name
    server.broadcast({ action: "color" }, { except: "id" });
  },
  // Binding

  (server: Server<Chat>, client: Client<Chat>) => {
    server.bindAction("add", new Add("adder"));
    server.bindAction("add", new AddLater("adder"));
    server.bindAction("add", ({ a, b }) => a + b);
    server.bindAction("add", async ({ a, b }) => await Promise.resolve(a + b));
    server.bindAction("add", () => 5);
    server.bindAction("say", new Say("sayer"));
    server.bindAction("members", (nothing) => {
      same<null, typeof nothing>();
      return [];
    });
    server.bindAction("say", (text, packet, connection) => {
      same<string, typeof text>();
      same<Peer<Chat>, typeof connection>();
      connection.sendPacket({ action: "said", data: { who: packet.action, text } });
    });
    client.bindAction("said", (_data, _packet, connection) => {
      same<Peer<Flipped<Chat>>, typeof connection>();
      connection.sendPacket({ action: "say", data: "hi" });
      return connection.request("stop");
    });
    server.bindFallback(new Anything("any"));
    client.bindFallback((data) => data);
  },
  (server: Server<Chat>, client: Client<Chat>) => {
    // @ts-expect-error: no such action
    server.bindAction("ad", new Add("adder"));
    // @ts-expect-error: an action of the other side
    server.bindAction("color", () => "red");
    // @ts-expect-error: an action of the other side
    client.bindAction("say", (text: string) => void text);
    // @ts-expect-error: a bind that takes other data
    server.bindAction("say", new Add("adder"));
    // @ts-expect-error: a bind that replies with something else
    server.bindAction("members", new Anything("any"));
    // @ts-expect-error: a function that takes other data
    server.bindAction("add", (data: { a: string }) => data.a.length);
    // @ts-expect-error: a function that replies with something else
    server.bindAction("add", ({ a, b }) => `${a + b}`);
    // @ts-expect-error: a promise of something else
    server.bindAction("add", ({ a, b }) => Promise.resolve(`${a + b}`));
    // @ts-expect-error: no reply where there must be one
    server.bindAction("add", () => {});
    // @ts-expect-error: no such color
    client.bindAction("color", () => "green");
    // @ts-expect-error: the data has no such field
    server.bindAction("add", ({ c }) => c);
    server.bindAction("say", (_text, _packet, connection) => {
      // @ts-expect-error: the handler's peer is the client
      connection.sendPacket({ action: "say", data: "hi" });
    });
    // @ts-expect-error: a bind without a run
    server.bindAction("say", { name: "say" });
  },
  () => {
    class Replies extends Bind<{ a: number; b: number }, string> {
      run(): string {
        return "";
      }
    }
    class Takes extends Bind<{ a: string }, number> {
      run(): number {
        return 5;
      }
    }
    class Wants extends Bind<{ a: number; b: number; c: number }, number> {
      run({ c }: { a: number; b: number; c: number }): number {
        return c;
      }
    }
    // @ts-expect-error: a bind that wants more than is sent
    new Server<Chat>().bindAction("add", new Wants("wants"));
    // @ts-expect-error: a bind of another reply, though its run looks at no data
    new Server<Chat>().bindAction("add", new Replies("replies"));
    // @ts-expect-error: a bind of other data, though its run looks at none
    new Server<Chat>().bindAction("add", new Takes("takes"));
    class Lies extends Bind<string, number> {
      // @ts-expect-error: not the reply that it promises
      run(): string {
        return "";
      }
    }
    class Checks extends Bind<{ a: number; b: number }, number> {
      override schema = numbers;
      run({ a, b }: { a: number; b: number }): number {
        return a + b;
      }
    }
    new Server<Chat>().bindAction("add", new Checks("checks"));
    class ChecksOthers extends Bind<{ a: number }, number> {
      // @ts-expect-error: a schema of other data
      override schema = text;
      run(): number {
        return 5;
      }
    }
    return [Lies, ChecksOthers];
  },
  // Connections over streams, and what an iteration gives

  async (pair: ConstructorParameters<typeof Connection>[0]) => {
    const left = new Connection<Chat>(pair);
    const right = new Connection<Flipped<Chat>>(pair);
    left.bindAction("add", new Add("adder")).startListen();
    right.bindAction("color", () => "blue");
    same<number, Awaited<ReturnType<typeof right.request<"add">>>>();
    for await (const packet of left) {
      same<ReceivedPacket, typeof packet>();
      left.reply(packet, 5);
      // @ts-expect-error: nothing is certain of data that arrived
      packet.data.name;
      // @ts-expect-error: a received packet is not changed
      packet.action = "other";
    }
    // @ts-expect-error: bound on the wrong end
    left.bindAction("color", () => "blue");
    // @ts-expect-error: asked of the wrong end
    right.request("color");
    // @ts-expect-error: two streams are needed
    new Connection({ readable: pair.readable });
  },
  // Contracts

  (server: Server<IChat>, client: Client<IChat>, connection: Connection<IChat>) => {
    client.request("add", { a: 1, b: 2 }).then((sum: number) => sum);
    client.sendPacket({ action: "say", data: "hi" });
    connection.sendPacket({ action: "said", data: { who: "Ada", text: "hi" } });
    server.broadcast(server.createPacket("said", { who: "Ada", text: "hi" }));
    server.bindAction("say", new Say("sayer"));
    // @ts-expect-error: no such action
    client.request("ad", { a: 1, b: 2 });
    // @ts-expect-error: data is missing
    client.request("add");
    // @ts-expect-error: data of the wrong type
    client.sendPacket({ action: "say", data: 5 });
    // @ts-expect-error: an action of the other side
    server.bindAction("said", () => {});
    // @ts-expect-error: an action of this side
    connection.sendPacket({ action: "say", data: "hi" });
    // @ts-expect-error: a bind that takes other data
    server.bindAction("say", new Add("adder"));
  },
  (server: Server<{ server: { ping: [null, "pong"] } }>, connection: Connection<object>) => {
    server.bindAction("ping", () => "pong");
    // @ts-expect-error: the client of this contract answers nothing
    server.broadcast({ action: "anything" });
    // @ts-expect-error: nobody answers anything
    connection.request("anything");
    // @ts-expect-error: a contract has sides
    const wrong: Server<{ server: string }> | undefined = undefined;
    const generic = <C extends Contract>(client: Client<C>) => client.close();
    return [generic, wrong];
  },
);

Deno.test("what createPacket makes has the type of what it was given", () => {
  const packet = createPacket("move", { x: 1 });
  same<Packet<{ x: number }, "move">, typeof packet>();
  const empty = createPacket("stop");
  same<Packet<null, "stop">, typeof empty>();
  const received = decodePacket('{"action":"move","data":{"x":1}}');
  same<unknown, typeof received.data>();
  const name: string = "dynamic";
  same<Packet<number, string>, ReturnType<typeof createPacket<string, number>>>();
  assertEquals([packet.data.x, empty.data, createPacket(name, 5).data], [1, null, 5]);
});

Deno.test("a bind that takes any data, and a function that returns whatever, fit a contract", () => {
  const said: string[] = [];
  class Count extends Bind<unknown, number> {
    run(): number {
      return 1;
    }
  }
  const server = new Server<Chat>({ port: 0 });
  // Nobody is promised a reply to say, so that it may return anything.
  server.bindAction("say", (text) => said.push(text));
  server.bindAction("say", new Count("counter"));
  server.bindAction("add", new Count("counter"));
  // @ts-expect-error: members is promised a list
  server.bindAction("members", new Count("counter"));
  assertEquals(server.actions.map(({ action }) => action), ["say", "add", "members"]);
});
