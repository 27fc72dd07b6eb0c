import { assertEquals } from "@std/assert";
import { Observer } from "../../tasks/chaos/observer.ts";
import type { Direction } from "../../tests/support/faulty_proxy.ts";

const EPOCH = "e";
const TOKEN = "t";

/** Sends lines by the observer, and counts what went in. */
class Passage {
  readonly observer = new Observer();
  in: Record<Direction, number> = { toServer: 0, toClient: 0 };

  say(direction: Direction, ...lines: object[]): this {
    const text = lines.map((line) => JSON.stringify(line) + "\n").join("");
    return this.bytes(direction, text);
  }

  bytes(direction: Direction, text: string): this {
    const bytes = new TextEncoder().encode(text);
    this.in[direction] += bytes.length;
    this.observer.take(direction, bytes);
    return this;
  }

  connect(resume?: { toServer: number; toClient: number }): this {
    this.observer.beginConnection();
    this.in = { toServer: 0, toClient: 0 };
    const ask = resume && { token: TOKEN, epoch: EPOCH, ack: resume.toServer };
    this.say("toServer", { action: "@handshake", data: { version: 1, resume: ask } });
    const ack = resume?.toClient;
    return this.say("toClient", { action: "@handshake", data: { status: "success", ack } });
  }

  out(): this {
    this.observer.cameOut(this.in);
    return this;
  }
}

function packet(seq: number, ack?: number): object {
  return { action: "a", data: null, token: TOKEN, seq, ack };
}

Deno.test("the observer tells how far a connection is", () => {
  const passage = new Passage();
  const { observer } = passage;
  observer.beginConnection();
  passage.bytes("toServer", '{"action":"@hand');
  assertEquals(observer.phase, "handshake");
  passage.bytes("toServer", 'shake","data":{}}\n');
  assertEquals(observer.phase, "handshake");
  passage.bytes("toClient", '{"action":"@handshake",');
  assertEquals(observer.phase, "answer");
  passage.bytes("toClient", '"data":{}}\n');
  assertEquals(observer.phase, "answer");
  passage.say("toServer", packet(1));
  assertEquals(observer.phase, "traffic");
  passage.connect();
  assertEquals(observer.phase, "answer");
});

Deno.test("a client that gives up on an answer has not read it", () => {
  const passage = new Passage().connect();
  passage.say("toServer", { action: "@close", data: { code: "HANDSHAKE_TIMEOUT" } });
  assertEquals(passage.observer.phase, "answer");
});

Deno.test("the observer tells whether packets are unacknowledged both ways", () => {
  const passage = new Passage().connect();
  const { observer } = passage;
  passage.say("toServer", packet(1), packet(2)).out();
  assertEquals(observer.isUnacknowledgedBothWays, false);
  passage.say("toClient", packet(1, 1)).out();
  assertEquals(observer.isUnacknowledgedBothWays, true);
  passage.say("toClient", { action: "@ack", ack: 2 });
  assertEquals(observer.isUnacknowledgedBothWays, true);
  passage.out();
  assertEquals(observer.isUnacknowledgedBothWays, false);
});

Deno.test("an acknowledgement that did not come out when the connection ended never counts", () => {
  const passage = new Passage().connect();
  passage.say("toServer", packet(1)).say("toClient", packet(1)).out();
  passage.say("toClient", { action: "@ack", ack: 1 });
  passage.connect({ toServer: 0, toClient: 0 }).out();
  assertEquals(passage.observer.isUnacknowledgedBothWays, true);
  passage.connect({ toServer: 1, toClient: 0 }).out();
  assertEquals(passage.observer.isUnacknowledgedBothWays, false);
});

Deno.test("the observer counts what is sent again though it was acknowledged", () => {
  const passage = new Passage().connect();
  passage.say("toServer", packet(1), packet(2), packet(3)).out();
  passage.connect({ toServer: 0, toClient: 2 });
  passage.say("toServer", packet(3), packet(4));
  assertEquals(passage.observer.needlessReplays, 0);
  passage.connect({ toServer: 0, toClient: 3 });
  passage.say("toServer", packet(3), packet(4));
  assertEquals(passage.observer.needlessReplays, 1);
});

Deno.test("the observer counts acknowledgements that go backwards, but not those of replayed packets", () => {
  const passage = new Passage().connect();
  passage.say("toServer", packet(1), packet(2), packet(3));
  passage.say("toClient", packet(1, 1), { action: "@ack", ack: 3 }).out();
  passage.connect({ toServer: 0, toClient: 3 }).say("toClient", packet(1, 1));
  assertEquals(passage.observer.acksBackwards, 0);
  passage.connect({ toServer: 0, toClient: 0 });
  assertEquals(passage.observer.acksBackwards, 1);
  passage.say("toClient", { action: "@ack", ack: 2 });
  assertEquals(passage.observer.acksBackwards, 2);
});

Deno.test("the observer counts resumes that were granted", () => {
  const passage = new Passage().connect();
  assertEquals(passage.observer.resumes, 0);
  passage.connect({ toServer: 0, toClient: 0 });
  assertEquals(passage.observer.resumes, 1);
});
