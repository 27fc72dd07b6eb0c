import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ActionTable, Bind, type Open, type Schema } from "../../actions.ts";
import type { Peer } from "../../contract.ts";
import { EncryptKeys, encryptPacket } from "../../crypto.ts";
import { RequestError } from "../../errors.ts";
import { KeyHolder } from "../../key_holder.ts";
import { decodePacket, type OutgoingPacket, type ReceivedPacket } from "../../packet.ts";
import { Sweep } from "../../sweep.ts";
import { FakeTime } from "../support/fake_time.ts";
import { assertCannotBeOpened } from "../support/forge.ts";
import { ADA, EVE } from "../support/rsa_keys.ts";

const peer = { id: "peer" } as Peer;

/** The same keys, which remember nothing. */
function fresh(): Promise<EncryptKeys> {
  return EncryptKeys.import(ADA.exportPrivateKey());
}

async function holder(): Promise<KeyHolder> {
  return new KeyHolder(new Sweep(), await fresh());
}

function received(packet: OutgoingPacket): ReceivedPacket {
  return decodePacket(JSON.stringify(packet));
}

async function sealed(data: unknown, keys = ADA): Promise<ReceivedPacket> {
  return received(await encryptPacket({ action: "vote", data }, keys.publicKey));
}

async function run(table: ActionTable, packet: ReceivedPacket): Promise<unknown> {
  return await (await table.prepare(packet))(packet, peer);
}

Deno.test("keys are made once they are asked for, or are there from the start", async () => {
  const none = new KeyHolder(new Sweep());
  assertEquals(none.keys, undefined);
  const keys = await none.create({ bits: 2_048 });
  assertEquals(none.keys, keys);
  const others = await none.create({ bits: 2_048 });
  assert(others !== keys && none.keys === others);
  assertEquals(new KeyHolder(new Sweep(), ADA).keys, ADA);
});

Deno.test("what is no keys is none", () => {
  for (const keys of [null, 5, "x", {}, ADA.publicKey, { publicKey: ADA.publicKey }]) {
    assertThrows(
      () => new KeyHolder(new Sweep(), keys as EncryptKeys),
      TypeError,
      "encryptKeys must be EncryptKeys",
    );
  }
});

Deno.test("nothing is bound sealed, and nothing opened, before there are keys", async () => {
  const none = new KeyHolder(new Sweep());
  assertThrows(() => none.opener({ sealed: true }), TypeError, "There are no keys yet");
  const packet = await encryptPacket({ action: "vote" }, ADA.publicKey);
  assertThrows(() => none.decrypt(packet, {}), TypeError, "There are no keys yet");
  assertEquals(none.opener({}), undefined);
  assertEquals(none.opener({ sealed: false }), undefined);
});

Deno.test("how a name is bound is said with a boolean", () => {
  const none = new KeyHolder(new Sweep(), ADA);
  for (const options of [null, 5, { sealed: 1 }, { sealed: null }, { sealed: "yes" }]) {
    assertThrows(() => none.opener(options as object), TypeError, "must be");
  }
});

Deno.test("a sealed action runs with the opened data, and the packet as it came", async () => {
  const table = new ActionTable();
  let ran: unknown[] = [];
  table.bind(
    "vote",
    (...args: unknown[]) => void (ran = args),
    (await holder()).opener({ sealed: true }),
  );
  const packet = await sealed({ for: "Ada" });
  await run(table, packet);
  assertEquals(ran, [{ for: "Ada" }, packet, peer]);
});

Deno.test("a sealed action takes nothing else", async () => {
  const table = new ActionTable();
  table.bind("vote", () => assert(false, "it ran"), (await holder()).opener({ sealed: true }));
  for (const data of [null, "Ada", 5, {}, [], { protected: "x" }]) {
    const error = await assertRejects(
      () => run(table, received({ action: "vote", data })),
      RequestError,
      "the data must be sealed",
    );
    assertEquals(error.code, "INVALID_DATA");
  }
});

Deno.test("a sealed action takes what was sealed for this side, for this action, and once", async () => {
  const table = new ActionTable();
  let runs = 0;
  const opener = (await holder()).opener({ sealed: true });
  table.bind("vote", () => void runs++, opener);
  table.bind("move", () => void runs++, opener);
  const packet = await sealed("Ada");
  await assertCannotBeOpened(run(table, await sealed("Ada", EVE)));
  await assertCannotBeOpened(run(table, received({ ...packet, action: "move" })));
  const changed = { ...packet.data as object, iv: "A".repeat(16) };
  await assertCannotBeOpened(run(table, received({ action: "vote", data: changed })));
  assertEquals(runs, 0);
  await run(table, packet);
  await assertCannotBeOpened(run(table, packet));
  assertEquals(runs, 1);
});

Deno.test("a sealed action keeps to the usual age", async () => {
  const table = new ActionTable();
  table.bind("vote", (data: unknown) => data, (await holder()).opener({ sealed: true }));
  const at = (ageMs: number) => ({ action: "vote", data: 1, "packet-created": Date.now() - ageMs });
  const young = await encryptPacket(at(290_000), ADA.publicKey);
  assertEquals(await run(table, received(young)), 1);
  const old = await encryptPacket(at(310_000), ADA.publicKey);
  await assertCannotBeOpened(run(table, received(old)));
});

Deno.test("a schema checks what was opened, and what it makes of it is what runs", async () => {
  const schema: Schema<number> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) =>
        typeof value === "number" ? { value: value * 2 } : { issues: [{ message: "SECRET" }] },
    },
  };
  class Double extends Bind<number, number> {
    override readonly schema = schema;
    run(data: number): number {
      assert(this instanceof Double);
      return data;
    }
  }
  const table = new ActionTable();
  table.bind("vote", new Double("double"), (await holder()).opener({ sealed: true }));
  assertEquals(await run(table, await sealed(21)), 42);
  const error = await assertRejects(async () => run(table, await sealed("SECRET")), RequestError);
  assertEquals([error.code, error.message], ["INVALID_DATA", "data is not valid at: (all of it)"]);
});

Deno.test("the list of actions says which are sealed", async () => {
  const table = new ActionTable();
  const opener = (await holder()).opener({ sealed: true });
  table.bind(
    "open",
    new (class extends Bind {
      run() {}
    })("one"),
  );
  table.bind(
    "vote",
    new (class extends Bind {
      run() {}
    })("two"),
    opener,
  );
  table.bind("move", function three() {}, opener);
  assertEquals(
    table.list().map(({ action, bind, isSealed }) => [action, bind, isSealed]),
    [["open", "one", false], ["vote", "two", true], ["move", "three", true]],
  );
});

Deno.test("a name that is bound anew is bound as it was said last", async () => {
  const table = new ActionTable();
  const opener = (await holder()).opener({ sealed: true });
  table.bind("vote", () => "sealed", opener);
  table.bind("vote", () => "open");
  assertEquals(await run(table, received({ action: "vote", data: 5 })), "open");
});

Deno.test("packets that are sealed for keys that were replaced are not opened", async () => {
  const holder = new KeyHolder(new Sweep(), await fresh());
  const opener = holder.opener({ sealed: true }) as Open;
  const keys = await holder.create({ bits: 2_048 });
  await assertCannotBeOpened(opener(await sealed("Ada")));
  assertEquals(await opener(await sealed("Ada", keys)), "Ada");
});

Deno.test("more than may be opened at once wait for their turns, and all are opened", async () => {
  const another = await sealed("another");
  const packets = await Promise.all(Array.from({ length: 130 }, (_, n) => sealed(n)));
  using time = new FakeTime();
  const keyHolder = new KeyHolder(new Sweep(), await fresh());
  const opener = keyHolder.opener({ sealed: true }) as Open;
  const opened: unknown[] = [];
  const opening = packets.map((packet) => opener(packet).then((data) => opened.push(data)));
  await Promise.all(opening.slice(0, 100));
  assertEquals(opened.length, 100);
  await assertRejects(() => keyHolder.decrypt(another, {}), RequestError, "too many");
  time.advance(1_000);
  await Promise.all(opening);
  assertEquals(new Set(opened), new Set(packets.keys()));
  assertEquals(time.timers, 0);
});

Deno.test("what waits for its turn at the end is not opened, and leaves no timer", async () => {
  const packets = await Promise.all(Array.from({ length: 110 }, (_, n) => sealed(n)));
  using time = new FakeTime();
  const keyHolder = new KeyHolder(new Sweep(), await fresh());
  const opener = keyHolder.opener({ sealed: true }) as Open;
  const opening = packets.map((packet) => opener(packet));
  await Promise.all(opening.slice(0, 100));
  assertEquals(time.timers, 1);
  keyHolder.end();
  for (const one of opening.slice(100)) await assertCannotBeOpened(one);
  assertEquals(time.timers, 0);
  // Nor does one that comes later.
  await assertCannotBeOpened(opener(await sealed("late")));
  assertEquals(time.timers, 0);
});
