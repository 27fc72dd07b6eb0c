import { assert, assertEquals, assertFalse } from "@std/assert";
import { introduce, tell } from "../../hooks.ts";
import { Connection } from "../../mod.ts";
import { pair } from "../support/pair.ts";

/** For a hook that must not fail. */
const unexpected = (error: unknown) => Promise.reject(error);

Deno.test("a hook is called at once, and nobody waits for it", () => {
  const said: string[] = [];
  tell(() => {
    said.push("told");
    return new Promise(() => {});
  }, unexpected);
  said.push("gone on");
  assertEquals(said, ["told", "gone on"]);
});

Deno.test("what a hook throws or rejects with is told to one, and stops nobody", async () => {
  const thrown = new Error("thrown");
  const fails: (() => unknown)[] = [
    () => {
      throw thrown;
    },
    () => Promise.reject(thrown),
  ];
  for (const fail of fails) {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    tell(fail, resolve);
    assertEquals(await promise, thrown);
  }
});

Deno.test("without onConnect a connection's packets are handled at once", async () => {
  await using connection = new Connection(pair()[0]);
  const introduced = introduce(connection, {}, unexpected);
  assert(connection.isListening);
  await introduced;
});

Deno.test("packets wait for onConnect, which is called on what it came with", async () => {
  await using connection = new Connection(pair()[0]);
  const gate = Promise.withResolvers<void>();
  const calls: unknown[] = [];
  const hooks = {
    onConnect(...args: unknown[]) {
      calls.push(this, ...args);
      return gate.promise;
    },
  };
  const introduced = introduce(connection, hooks, unexpected);
  assert(calls.length === 2 && calls[0] === hooks && calls[1] === connection);
  assertFalse(connection.isListening);
  gate.resolve();
  await introduced;
  assert(connection.isListening);
});

Deno.test("an onConnect that takes the packets itself keeps them", async () => {
  await using connection = new Connection(pair()[0]);
  const onConnect = () => void connection[Symbol.asyncIterator]();
  await introduce(connection, { onConnect }, unexpected);
  assert(connection.isListening);
});

Deno.test("where onConnect fails, nothing is handled", async () => {
  const thrown = new Error("thrown");
  const fails = [() => Promise.reject(thrown), () => {
    throw thrown;
  }];
  for (const onConnect of fails) {
    await using connection = new Connection(pair()[0]);
    const errors: unknown[] = [];
    await introduce(connection, { onConnect }, async (error) => {
      await connection.close();
      errors.push(error);
    });
    assertEquals(errors, [thrown]);
    assertFalse(connection.isListening);
  }
});
