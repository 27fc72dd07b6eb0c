import { assert, assertEquals, assertFalse, assertStrictEquals, assertThrows } from "@std/assert";
import { RequestError } from "../../errors.ts";
import { Outstanding, type Settler } from "../../outstanding.ts";
import { Session } from "../../session.ts";

/** Settlers that note what comes of them. */
function recorder() {
  const ends: string[] = [];
  const settler = (name: string): Settler<unknown> => ({
    resolve: (answer) => ends.push(`${name} resolved ${answer}`),
    reject: (error) => ends.push(`${name} rejected ${error}`),
  });
  return { ends, settler };
}

Deno.test("questions are numbered 1, 2, 3 and no number comes twice", () => {
  const { settler } = recorder();
  const questions = new Outstanding<unknown>(2);
  assertEquals(questions.open(Infinity, settler("a")), 1);
  assertEquals(questions.open(Infinity, settler("b")), 2);
  questions.take(1);
  questions.take(2);
  assertEquals(questions.open(Infinity, settler("c")), 3);
  questions.takeAll();
  assertEquals(questions.open(Infinity, settler("d")), 4);
});

Deno.test("an answer goes to who asked, and only the first one", () => {
  const { settler } = recorder();
  const questions = new Outstanding<unknown>(9);
  const [a, b] = [settler("a"), settler("b")];
  questions.open(Infinity, a);
  questions.open(Infinity, b);
  assertStrictEquals(questions.take(2), b);
  assertEquals(questions.take(2), undefined);
  assertStrictEquals(questions.take(1), a);
  for (const unknown of [0, -1, 3, 1.5, NaN, "1" as unknown as number]) {
    assertEquals(questions.take(unknown), undefined);
  }
  assertEquals(questions.size, 0);
});

Deno.test("one question too many is OVERLOADED, and uses up no number", () => {
  const { settler } = recorder();
  const questions = new Outstanding<unknown>(2);
  questions.open(Infinity, settler("a"));
  questions.open(Infinity, settler("b"));
  const error = assertThrows(() => questions.open(Infinity, settler("c")), RequestError);
  assertEquals([error.code, error.remote, questions.size], ["OVERLOADED", false, 2]);
  questions.take(1);
  assertEquals(questions.open(Infinity, settler("d")), 3);
});

Deno.test("those whose deadline has come are taken out in their order, the others stay", () => {
  const { settler } = recorder();
  const questions = new Outstanding<unknown>(9);
  const [a, b, c, d] = ["a", "b", "c", "d"].map(settler);
  questions.open(30, a);
  questions.open(10, b);
  questions.open(Infinity, c);
  questions.open(20, d);
  assertEquals(questions.nextDeadline(), 10);
  assertEquals(questions.takeExpired(9.999), []);
  assertEquals(questions.takeExpired(20), [b, d]);
  assertEquals(questions.nextDeadline(), 30);
  assertEquals(questions.take(2), undefined);
  assertEquals(questions.takeExpired(1e9), [a]);
  assertEquals([questions.nextDeadline(), questions.size], [Infinity, 1]);
  assertEquals(questions.takeAll(), [c]);
  assertEquals([questions.nextDeadline(), questions.size], [Infinity, 0]);
  assertEquals(questions.takeAll(), []);
});

Deno.test("an expired question makes room", () => {
  const { settler } = recorder();
  const questions = new Outstanding<unknown>(1);
  questions.open(10, settler("a"));
  questions.takeExpired(10);
  assertEquals(questions.open(20, settler("b")), 2);
});

Deno.test("a request of the peer is owed one reply", () => {
  const session = new Session(9);
  assert(session.beginAnswer(7));
  assertFalse(session.beginAnswer(7));
  assert(session.beginAnswer(8));
  assertEquals(session.answering, 2);
  assert(session.endAnswer(7));
  assertFalse(session.endAnswer(7));
  assertFalse(session.endAnswer(1));
  assertEquals(session.answering, 1);
  assert(session.beginAnswer(7));
});

Deno.test("requests and pings are numbered and bounded apart", () => {
  const { settler } = recorder();
  const session = new Session<unknown>(1);
  assertEquals(session.requests.open(Infinity, settler("request")), 1);
  assertEquals(session.pings.open(Infinity, settler("ping")), 1);
  assertThrows(() => session.requests.open(Infinity, settler("request")), RequestError);
  assertThrows(() => session.pings.open(Infinity, settler("ping")), RequestError);
});

Deno.test("the earliest deadline of both counts", () => {
  const { settler } = recorder();
  const session = new Session<unknown>(9);
  assertEquals(session.nextDeadline(), Infinity);
  session.requests.open(20, settler("request"));
  assertEquals(session.nextDeadline(), 20);
  session.pings.open(10, settler("ping"));
  assertEquals(session.nextDeadline(), 10);
  session.pings.take(1);
  assertEquals(session.nextDeadline(), 20);
});

Deno.test("at the end everything outstanding is rejected, once, and nothing is owed", () => {
  const { ends, settler } = recorder();
  const session = new Session<unknown>(9);
  session.requests.open(10, settler("request"));
  session.requests.open(Infinity, settler("late request"));
  session.pings.open(10, settler("ping"));
  session.beginAnswer(7);
  session.end("gone");
  session.end("again");
  assertEquals(ends, ["request rejected gone", "late request rejected gone", "ping rejected gone"]);
  assertEquals([session.answering, session.requests.size, session.pings.size], [0, 0, 0]);
  assertFalse(session.endAnswer(7));
  assertEquals(session.nextDeadline(), Infinity);
});

Deno.test("what is opened while the others are being rejected is not lost", () => {
  const session = new Session<unknown>(9);
  const { ends, settler } = recorder();
  session.requests.open(Infinity, {
    resolve: () => {},
    reject: () => session.requests.open(Infinity, settler("late")),
  });
  session.end("gone");
  assertEquals([ends, session.requests.size], [[], 1]);
  session.end("gone again");
  assertEquals(ends, ["late rejected gone again"]);
});
