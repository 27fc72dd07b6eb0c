import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { ActionTable, Bind, type Schema, type SchemaResult } from "../../actions.ts";
import type { Peer } from "../../contract.ts";
import { RequestError } from "../../errors.ts";
import { decodePacket, type ReceivedPacket } from "../../packet.ts";

const peer = { id: "peer" } as Peer;

function packet(action: string, data: unknown = null): ReceivedPacket {
  return decodePacket(JSON.stringify({ action, data }));
}

async function run(table: ActionTable, action: string, data?: unknown): Promise<unknown> {
  const arrived = packet(action, data);
  return await (await table.prepare(arrived))(arrived, peer);
}

class Echo extends Bind {
  run(...args: unknown[]): unknown {
    return args;
  }
}

/** A schema that says this of every value. */
function schemaOf<Data>(
  validate: (value: unknown) => SchemaResult<Data> | Promise<SchemaResult<Data>>,
): Schema<Data> {
  return { "~standard": { version: 1, vendor: "test", validate } };
}

class Checked extends Bind<unknown, unknown> {
  ran: unknown[] = [];
  constructor(override readonly schema: Schema<unknown>) {
    super("checked");
  }
  run(data: unknown): unknown {
    this.ran.push(data);
    return data;
  }
}

Deno.test("a bind has its own name, and keeps what else it was given", () => {
  const bind = new Echo("trigger test", 1, { two: 2 });
  assertEquals([bind.name, bind.args], ["trigger test", [1, { two: 2 }]]);
  assertEquals(new Echo("").args, []);
  for (const name of [undefined, null, 5, {}]) {
    assertThrows(() => new Echo(name as string), TypeError, "A bind's name must be a string");
  }
});

Deno.test("what is bound runs with the data, the packet and the connection", async () => {
  const table = new ActionTable();
  table.bind("a", new Echo("echo"));
  table.bind("b", (...args: unknown[]) => args);
  for (const name of ["a", "b"]) {
    const arrived = packet(name, { x: 1 });
    const run = await table.prepare(arrived);
    const [data, same, connection] = await run(arrived, peer) as unknown[];
    assertEquals(data, { x: 1 });
    assertStrictEquals(same, arrived);
    assertStrictEquals(connection, peer);
  }
});

Deno.test("packets that were prepared together run each with what is its own", async () => {
  const table = new ActionTable();
  const double = schemaOf((value) => ({ value: Number(value) * 2 }));
  const open = ({ data }: ReceivedPacket) => Promise.resolve(`open ${data}`);
  table.bind("plain", new Echo("plain"));
  table.bind("other", (...args: unknown[]) => ["other", ...args]);
  table.bind(
    "checked",
    new (class extends Echo {
      override readonly schema = double;
    })("checked"),
  );
  table.bind("sealed", new Echo("sealed"), open);
  table.bindFallback((...args: unknown[]) => ["rest", ...args]);
  const expected: Record<string, (n: number) => unknown[]> = {
    plain: (n) => [n],
    other: (n) => ["other", n],
    checked: (n) => [2 * n],
    sealed: (n) => [`open ${n}`],
    unbound: (n) => ["rest", n],
  };
  const packets = Object.keys(expected).flatMap((name) => [packet(name, 1), packet(name, 2)]);
  const runs = await Promise.all(packets.map((packet) => table.prepare(packet)));
  const peers = packets.map((_, n) => ({ id: `${n}` } as Peer));
  for (const n of packets.keys()) {
    const arrived = packets.at(-1 - n)!;
    const peer = peers.at(-1 - n)!;
    const args = runs.at(-1 - n)!(arrived, peer) as unknown[];
    assertEquals(args.slice(0, -2), expected[arrived.action](arrived.data as number));
    assertStrictEquals(args.at(-2), arrived);
    assertStrictEquals(args.at(-1), peer);
  }
});

Deno.test("what was prepared runs what was bound then, whatever is bound since", async () => {
  const table = new ActionTable();
  table.bind("a", () => "first");
  const prepared = await table.prepare(packet("a"));
  table.bind("a", () => "second");
  assertEquals([prepared(packet("a"), peer), await run(table, "a")], ["first", "second"]);
});

Deno.test("a bind runs as itself", async () => {
  class Counter extends Bind {
    count = 0;
    run(): number {
      return ++this.count;
    }
  }
  const table = new ActionTable();
  table.bind("count", new Counter("counter"));
  await run(table, "count");
  assertEquals(await run(table, "count"), 2);
});

Deno.test("the last bind of a name counts", async () => {
  const table = new ActionTable();
  table.bind("a", () => 1);
  table.bind("a", () => 2);
  assertEquals(await run(table, "a"), 2);
  assertEquals(table.list().length, 1);
});

Deno.test("nothing is run while a packet is prepared", () => {
  const table = new ActionTable();
  let ran = 0;
  table.bind("a", () => ran++);
  table.prepare(packet("a"));
  assertEquals(ran, 0);
});

Deno.test("a name that nothing is bound to is NO_ACTION, also one that every object has", () => {
  const table = new ActionTable();
  table.bind("a", () => {});
  for (const name of ["b", "A", "a ", "__proto__", "constructor", "toString", "@ping"]) {
    const error = assertThrows(() => table.prepare(packet(name)), RequestError);
    assertEquals([error.code, error.remote], ["NO_ACTION", false]);
    assertFalse(error.message.includes(name) && name !== "a " && name.length > 1);
  }
});

Deno.test("names that every object has can be bound", async () => {
  const table = new ActionTable();
  for (const name of ["__proto__", "constructor", "toString"]) {
    table.bind(name, () => name);
    assertEquals(await run(table, name), name);
  }
});

Deno.test("the fallback takes every name that nothing else is bound to", async () => {
  const table = new ActionTable();
  table.bindFallback((_data, { action }) => `fallback ${action}`);
  table.bind("a", () => "a");
  assertEquals(await run(table, "a"), "a");
  assertEquals(await run(table, "b"), "fallback b");
  assertEquals(await run(table, "__proto__"), "fallback __proto__");
  table.bindFallback(() => "another");
  assertEquals(await run(table, "b"), "another");
});

Deno.test("only a name that an action can have is bound", () => {
  const table = new ActionTable();
  for (const name of ["", "@ping", "x".repeat(129), "\ud800", 5 as unknown as string]) {
    assertThrows(() => table.bind(name, () => {}), TypeError, "An action's name");
  }
  assertEquals(table.list(), []);
});

Deno.test("only a bind or a function is bound", () => {
  const table = new ActionTable();
  for (const bind of [undefined, null, 5, "run", {}, { run: 5 }, []]) {
    const message = "What is bound must be a Bind or a function, got";
    assertThrows(() => table.bind("a", bind as never), TypeError, message);
    assertThrows(() => table.bindFallback(bind as never), TypeError, message);
  }
  for (const schema of [null, {}, { "~standard": {} }, { "~standard": { validate: 5 } }, 5]) {
    const bind = new Checked(schema as never);
    if (schema === null) assertThrows(() => table.bind("a", bind), TypeError);
    else assertThrows(() => table.bind("a", bind), TypeError, "Standard Schema v1");
  }
  assertEquals(table.list(), []);
});

Deno.test("the list shows names and whether data is checked", () => {
  const table = new ActionTable();
  function greet() {}
  table.bind("a", new Echo("echo"));
  table.bind("b", greet);
  table.bind("c", new Checked(schemaOf((value) => ({ value }))));
  table.bind("d", (() => () => {})());
  table.bindFallback(new Echo("rest"));
  assertEquals(table.list(), [
    { action: "a", bind: "echo", hasSchema: false, isSealed: false },
    { action: "b", bind: "greet", hasSchema: false, isSealed: false },
    { action: "c", bind: "checked", hasSchema: true, isSealed: false },
    { action: "d", bind: "d", hasSchema: false, isSealed: false },
    { action: "*", bind: "rest", hasSchema: false, isSealed: false },
  ]);
});

// Schemas

Deno.test("run gets what the schema made of the data", async () => {
  const table = new ActionTable();
  const bind = new Checked(schemaOf((value) => ({ value: Number(value) })));
  table.bind("a", bind);
  const prepared = table.prepare(packet("a", "5"));
  assertFalse(prepared instanceof Promise);
  assertEquals(await run(table, "a", "6"), 6);
  table.bind("a", new Checked(schemaOf((value) => Promise.resolve({ value: Number(value) }))));
  assert(table.prepare(packet("a", "5")) instanceof Promise);
  assertEquals(await run(table, "a", "7"), 7);
});

Deno.test("data that does not pass never reaches run", async () => {
  const issues = [{ message: "SECRET is no number", path: ["user", { key: "age" }, 0] }];
  const at = "data is not valid at: user.age.0";
  const now = new Checked(schemaOf(() => ({ issues })));
  const later = new Checked(schemaOf(() => Promise.resolve({ issues })));
  const table = new ActionTable();
  table.bind("now", now);
  table.bind("later", later);
  const errors = [
    assertThrows(() => table.prepare(packet("now")), RequestError),
    await assertRejects(() => table.prepare(packet("later")) as Promise<unknown>, RequestError),
  ];
  for (const { code, message } of errors) assertEquals([code, message], ["INVALID_DATA", at]);
  assertEquals([now.ran, later.ran], [[], []]);
});

Deno.test("a schema that promises in its own way is waited for all the same", async () => {
  const answers: SchemaResult<unknown>[] = [{ issues: [{ message: "no" }] }, { value: 5 }];
  for (const answer of answers) {
    const thenable = { then: (resolve: (answer: unknown) => void) => resolve(answer) };
    const bind = new Checked(schemaOf(() => thenable as Promise<SchemaResult<unknown>>));
    const table = new ActionTable();
    table.bind("a", bind);
    if (answer.issues) {
      const error = await assertRejects(() => run(table, "a"), RequestError);
      assertEquals([error.code, bind.ran], ["INVALID_DATA", []]);
    } else {
      assertEquals(await run(table, "a"), 5);
    }
  }
});

Deno.test("a schema that breaks does not let data through", async () => {
  const table = new ActionTable();
  const failure = new Error("broken");
  table.bind(
    "now",
    new Checked(schemaOf(() => {
      throw failure;
    })),
  );
  table.bind("later", new Checked(schemaOf(() => Promise.reject(failure))));
  assertStrictEquals(assertThrows(() => table.prepare(packet("now"))), failure);
  assertStrictEquals(await assertRejects(() => run(table, "later")), failure);
});

Deno.test("what does not pass is named by its places alone, each once, and not too many", () => {
  const message = (...paths: (PropertyKey | { key: PropertyKey })[][]) => {
    const issues = paths.map((path) => ({ message: "SECRET", path }));
    const table = new ActionTable();
    table.bind("a", new Checked(schemaOf(() => ({ issues }))));
    const error = assertThrows(() => table.prepare(packet("a")));
    assertInstanceOf(error, RequestError);
    return error.message.replace("data is not valid at: ", "");
  };
  assertEquals(message([]), "(all of it)");
  assertEquals(message(["a"], ["b", 0], ["a"]), "a, b.0");
  assertEquals(message([Symbol("s"), { key: Symbol("t") }]), "Symbol(s).Symbol(t)");
  const many = Array.from({ length: 1_000 }, (_, index) => [index]);
  assertEquals(message(...many), "0, 1, 2, 3, 4, 5, 6, 7");
  const table = new ActionTable();
  table.bind("a", new Checked(schemaOf(() => ({ issues: [{ message: "SECRET" }] }))));
  assertThrows(() => table.prepare(packet("a")), RequestError, "(all of it)");
});

Deno.test("every packet is checked by itself", async () => {
  const table = new ActionTable();
  let checks = 0;
  table.bind("a", new Checked(schemaOf((value) => ({ value: [++checks, value] }))));
  assertEquals([await run(table, "a", "x"), await run(table, "a", "y")], [[1, "x"], [2, "y"]]);
  assertLess(checks, 3);
});
