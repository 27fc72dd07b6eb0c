import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { ActionTable } from "../../actions.ts";
import type { Peer } from "../../contract.ts";
import { RequestError } from "../../errors.ts";
import { Handling } from "../../handling.ts";
import { Inbox } from "../../inbox.ts";
import { decodePacket, type ReceivedPacket } from "../../packet.ts";
import { until } from "../support/wait.ts";

/** Packets of one peer, what is bound for them, and all that comes of it, in order. */
function makeScene() {
  const events: unknown[] = [];
  const actions = new ActionTable();
  const peer = {} as Peer;
  const handling = new Handling(actions, peer, {
    handOver: ({ action }) => void events.push(`${action} handed over`),
    reply: ({ action, id }, data) => {
      events.push([action, data]);
      return id !== undefined;
    },
    fail: ({ action }, error) => {
      events.push([action, error instanceof RequestError ? error.code : error]);
    },
  });
  const inbox = new Inbox(handling, 9);
  return { events, actions, peer, handling, inbox };
}

function packet(action: string, data: unknown = null): ReceivedPacket {
  return decodePacket(JSON.stringify({ action, data, id: 1 }));
}

/** Runs one packet, as far as that goes at once. */
function handle({ inbox }: { inbox: Inbox }, action: string, data?: unknown): void {
  if (inbox.mode === "waiting") inbox.startDispatch();
  inbox.push(packet(action, data), 1);
}

Deno.test("a handler is given the data, the packet and the peer, and what it returns is the reply", () => {
  const scene = makeScene();
  const given: unknown[][] = [];
  scene.actions.bind("add", (...args) => {
    given.push(args);
    return 3;
  });
  handle(scene, "add", [1, 2]);
  const [[data, received, peer]] = given;
  assertEquals([data, (received as ReceivedPacket).data], [[1, 2], [1, 2]]);
  assertStrictEquals(peer, scene.peer);
  assertEquals(scene.events, ["add handed over", ["add", 3]]);
});

Deno.test("a packet is handed over when its handler was called, however that went, and once", async () => {
  const scene = makeScene();
  const { actions, events } = scene;
  const failure = new Error("no");
  const gate = Promise.withResolvers<string>();
  actions.bind("returns", () => void events.push("returns runs"));
  actions.bind("throws", () => {
    events.push("throws runs");
    throw failure;
  });
  actions.bind("waits", () => gate.promise);
  handle(scene, "returns");
  assertEquals(events.splice(0), ["returns runs", "returns handed over", ["returns", null]]);
  handle(scene, "throws");
  assertEquals(events.slice(0, 2), ["throws runs", "throws handed over"]);
  assertEquals(events.splice(0).at(-1), ["throws", failure]);
  // What a handler does after its first await is its own affair.
  handle(scene, "waits");
  assertEquals(events.splice(0), ["waits handed over"]);
  gate.resolve("done");
  await until(() => events.length > 0, "it was answered");
  assertEquals(events, [["waits", "done"]]);
});

Deno.test("what comes of a handler in place of nothing is null, and nothing else is", () => {
  for (const result of [undefined, null, 0, false, "", []]) {
    const scene = makeScene();
    scene.actions.bind("a", () => result);
    handle(scene, "a");
    assertEquals(scene.events.at(-1), ["a", result === undefined ? null : result]);
  }
});

Deno.test("what could not even be prepared is handed over before it fails", async () => {
  const scene = makeScene();
  handle(scene, "unbound");
  assertEquals(scene.events.splice(0), ["unbound handed over", ["unbound", "NO_ACTION"]]);
  const gate = Promise.withResolvers<{ issues: { message: string }[] }>();
  scene.actions.bind("checked", {
    name: "checked",
    schema: { "~standard": { version: 1, vendor: "test", validate: () => gate.promise } },
    run: () => scene.events.push("ran"),
  });
  handle(scene, "checked");
  // While it is being checked it waits for its turn.
  assertEquals(scene.events, []);
  gate.resolve({ issues: [{ message: "wrong" }] });
  await until(() => scene.events.length === 2, "it was refused");
  assertEquals(scene.events, ["checked handed over", ["checked", "INVALID_DATA"]]);
});

Deno.test("what a for await takes is handed over, and nothing is made of it", async () => {
  const scene = makeScene();
  scene.actions.bind("a", () => scene.events.push("ran"));
  scene.inbox.push(packet("a"), 1);
  scene.inbox.startIteration();
  assertEquals(scene.events, []);
  assertEquals((await scene.inbox.take())?.action, "a");
  assertEquals(scene.events, ["a handed over"]);
});

Deno.test("what a handler throws is thrown on, with the packet handed over", () => {
  const scene = makeScene();
  const error = assertThrows(() =>
    scene.handling.run(() => {
      throw new TypeError("mine");
    }, packet("a")), TypeError);
  assertEquals([error.message, scene.events], ["mine", ["a handed over"]]);
});
