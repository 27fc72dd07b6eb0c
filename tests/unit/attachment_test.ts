import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { Attachment } from "../../attachment.ts";
import { ConnectionError, PnetworkError } from "../../errors.ts";
import { Inbox } from "../../inbox.ts";
import { type ConnectionLimits, resolveConnectionLimits } from "../../options.ts";
import { beginDelivery, Session } from "../../session.ts";
import { Sweep } from "../../sweep.ts";
import { Wire } from "../../wire.ts";
import { memoryPair } from "../support/memory_transport.ts";
import { settle, until } from "../support/wait.ts";

const WINDOW = { replayPackets: 100, replayBytes: 10_000 };
const LEFT = { code: "CLOSED", reason: "enough" };

interface SceneOptions extends ConnectionLimits {
  hasSession?: boolean;
}

/** An attachment whose host notes what it is told; its wire, and the other end of that. */
function makeScene({ hasSession = true, ...options }: SceneOptions = {}) {
  const [near, far] = memoryPair();
  const events: string[] = [];
  const sweep = new Sweep();
  const limits = resolveConnectionLimits(options);
  const session = new Session<unknown>(9, hasSession ? beginDelivery(WINDOW, WINDOW) : undefined);
  const inbox = new Inbox({
    prepare: () => () => {},
    run: () => {},
    taken: () => {},
    succeeded: () => {},
    failed: () => {},
  }, 9);
  const wire = new Wire(near, { limits, sweep });
  const scene = { onLine: (_line: string) => {}, onWrite: () => {} };
  const attachment = new Attachment(wire, {
    sweep,
    limits,
    inbox,
    session,
    receive: (line) => {
      events.push(line);
      scene.onLine(line);
    },
    beforeWrite: () => scene.onWrite(),
    inputEnded: () => events.push("end"),
    fault: (error) => {
      events.push(`fault ${error instanceof PnetworkError ? error.code : error}`);
    },
    sendControl: (action, data, ack) => events.push(`${action} ${data} ${ack}`),
  });
  /** What the other end has heard. */
  const heard = () => new TextDecoder().decode(far.received);
  return Object.assign(scene, { attachment, wire, session, events, near, far, heard });
}

/** So many packets come, and are handed over. */
function arrive({ arrivals }: NonNullable<Session<unknown>["delivery"]>, count: number): void {
  for (let n = 0; n < count; n++) {
    arrivals.receive(arrivals.handedOver + 1);
    arrivals.pass(10);
  }
}

Deno.test("a peer hears of the first of a batch while the rest of it is handled", async () => {
  const scene = makeScene();
  const heard: number[] = [];
  scene.onLine = () => {
    heard.push(scene.wire.linesOffered);
    scene.wire.write("x".repeat(999));
  };
  await scene.far.send("line\n".repeat(20));
  await until(() => scene.events.length === 20, "all were told");
  assertEquals(heard.slice(0, 4), [0, 0, 0, 0]);
  // No more than that: the next write would be another one.
  assertEquals(heard.slice(6), Array(14).fill(heard[6]));
  assert(heard[6] >= 4, `${heard}`);
  await scene.attachment.release(LEFT, "at once");
});

Deno.test("it reads its wire from the first moment on, and tells what comes", async () => {
  const scene = makeScene();
  await scene.far.send("one\ntwo\n");
  await until(() => scene.events.length === 2, "both were told");
  await scene.far.closeWrite();
  await until(() => scene.events.length === 3, "the end was told");
  assertEquals(scene.events, ["one", "two", "end"]);
  await scene.attachment.release(LEFT, "at once");
});

Deno.test("only what has a session has a pulse", async () => {
  for (const hasSession of [true, false]) {
    const { attachment, wire } = makeScene({ hasSession });
    assertEquals(attachment.pulse !== undefined, hasSession);
    assertStrictEquals(wire.holder, attachment);
    await attachment.release(LEFT, "at once");
  }
});

Deno.test("what is to go out with the lines of a turn is asked for before they are written, while the wire counts", async () => {
  const scene = makeScene();
  let asked = 0;
  scene.onWrite = () => {
    asked++;
    scene.wire.write("second");
  };
  scene.wire.write("first");
  await until(() => scene.heard().length > 0, "it was written");
  assertEquals([scene.heard(), asked], ["first\nsecond\n", 1]);
  scene.wire.write("third");
  const left = scene.attachment.release(LEFT, "goodbye");
  await scene.far.closeWrite();
  await left;
  assertEquals(asked, 1);
});

Deno.test("once a batch was taken, what is due is acknowledged", async () => {
  const scene = makeScene();
  const delivery = scene.session.delivery!;
  scene.onLine = (line) => arrive(delivery, Number(line));
  await scene.far.send("10\n15\n");
  await until(() => scene.events.length > 2, "it was acknowledged");
  // A quarter of the window, and not before the batch was over.
  assertEquals(scene.events, ["10", "15", "@ack undefined 25"]);
  assertEquals(delivery.arrivals.isAckOwed, false);
  await scene.attachment.release(LEFT, "at once");
});

Deno.test("it acknowledges what its own session has, whatever has begun since", async () => {
  const { attachment, session, events } = makeScene();
  const delivery = session.delivery!;
  arrive(delivery, 3);
  session.end("lost", beginDelivery(WINDOW, WINDOW));
  attachment.acknowledge();
  assertEquals(events, ["@ack undefined 3"]);
  await attachment.release(LEFT, "at once");
});

Deno.test("a silent peer is asked for a sign of life, and a dead one is a fault", async () => {
  const scene = makeScene({ heartbeatMs: 10, deadAfterMs: 200 });
  await until(() => scene.events.some((event) => event.startsWith("fault")), "it was found dead");
  assertEquals(scene.events[0], "@ping undefined undefined");
  assertEquals(scene.events.at(-1), "fault HEARTBEAT_TIMEOUT");
  await scene.attachment.release(LEFT, "at once");
});

Deno.test("what fails is told with what it failed with: a line, reading, and writing", async () => {
  const line = makeScene();
  line.onLine = () => {
    throw new ConnectionError("SLOW_CONSUMER", "a line too many");
  };
  await line.far.send("one\n");
  await until(() => line.events.length === 2, "the line was told of");
  assertEquals(line.events, ["one", "fault SLOW_CONSUMER"]);
  await line.attachment.release(LEFT, "at once");

  const read = makeScene({ maxPacketBytes: 4_096 });
  await read.far.send("x".repeat(5_000));
  await until(() => read.events.length === 1, "reading was told of");
  assertEquals(read.events, ["fault PACKET_TOO_LARGE"]);
  await read.attachment.release(LEFT, "at once");

  const write = makeScene();
  write.near.write = () => Promise.reject(new Error("broken pipe"));
  write.wire.write("one");
  await until(() => write.events.length > 0, "writing was told of");
  assertEquals(write.events[0], "fault CONNECTION_LOST");
  await write.attachment.release(LEFT, "at once");
});

Deno.test("once it was released nothing is heard of it any more", async () => {
  const ends: Record<string, (scene: ReturnType<typeof makeScene>) => unknown> = {
    "a line": ({ far }) => far.send("one\n"),
    "the end": ({ far }) => far.closeWrite(),
    "a line too long": ({ far }) => far.send("x".repeat(5_000)),
    "a fault of the wire": ({ wire }) => wire.holder!.fault(new ConnectionError("CLOSED", "x")),
    "a write that fails": ({ near, wire }) => {
      near.write = () => Promise.reject(new Error("broken pipe"));
      wire.write("one");
    },
  };
  for (const [name, end] of Object.entries(ends)) {
    const scene = makeScene({ maxPacketBytes: 4_096, heartbeatMs: 10, deadAfterMs: 100 });
    await settle();
    scene.events.length = 0;
    const released = scene.attachment.release(LEFT, "goodbye");
    assert(!scene.attachment.isCurrent());
    await end(scene);
    await scene.far.closeWrite();
    await released;
    await settle();
    assertEquals(scene.events, [], name);
  }
});

Deno.test("a goodbye says why, and how far this side has come if that was not said", async () => {
  const close = `{"action":"@close","data":{"code":"CLOSED","reason":"enough"}`;
  for (const count of [0, 3]) {
    const scene = makeScene();
    arrive(scene.session.delivery!, count);
    scene.wire.write("before");
    const released = scene.attachment.release(LEFT, "goodbye");
    await scene.far.closeWrite();
    await released;
    assertEquals(scene.heard(), `before\n${close}${count === 0 ? "" : ',"ack":3'}}\n`);
  }
  const plain = makeScene({ hasSession: false });
  const released = plain.attachment.release(LEFT, "goodbye");
  await plain.far.closeWrite();
  await released;
  assertEquals(plain.heard(), `${close}}\n`);
});

Deno.test("without a goodbye what was queued still arrives, and at once nothing does", async () => {
  for (const manner of ["quietly", "at once"] as const) {
    const scene = makeScene();
    arrive(scene.session.delivery!, 1);
    scene.wire.write("before");
    const released = scene.attachment.release(LEFT, manner);
    await scene.far.closeWrite();
    await released;
    assertEquals(scene.heard(), manner === "quietly" ? "before\n" : "");
    assert(scene.near.isClosed);
    // What was not said is still to be said, on the next wire.
    assert(scene.session.delivery!.arrivals.isAckOwed);
  }
});
