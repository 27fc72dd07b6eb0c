import { assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "@std/assert";
import { ConnectionError, RequestError } from "../../errors.ts";
import type { RequestOptions } from "../../contract.ts";
import { Questions } from "../../questions.ts";
import { Session } from "../../session.ts";
import { Sweep } from "../../sweep.ts";
import { FakeTime } from "../support/fake_time.ts";

/** Questions to a peer that is not there, on a clock that stands still unless it is told to go on. */
class Scene implements Disposable {
  readonly time = new FakeTime({ withDate: true });
  readonly sweep = new Sweep();
  readonly session = new Session<unknown>(3);
  readonly questions = new Questions(this.session, this.sweep, 1_000);
  readonly sent: [question: string, id: number][] = [];
  /** Why nothing can be sent. */
  error: RequestError | undefined;

  ask(question: string, options: RequestOptions = {}): Promise<unknown> {
    return this.questions.ask(this.session.requests, options, (id) => {
      this.sent.push([question, id]);
      return this.error;
    });
  }

  [Symbol.dispose](): void {
    this.questions.end(new ConnectionError("CLOSED", "over"));
    assertEquals(this.time.timers, 0);
    this.time[Symbol.dispose]();
  }
}

/** The error of a question that fails. */
async function failure(answer: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => answer);
  assertInstanceOf(error, RequestError);
  return error.code;
}

Deno.test("a question is sent under its number, and answered under it", async () => {
  using scene = new Scene();
  const [one, two] = [scene.ask("one"), scene.ask("two")];
  assertEquals(scene.sent, [["one", 1], ["two", 2]]);
  scene.session.requests.take(2)?.resolve("to two");
  scene.session.requests.take(1)?.resolve("to one");
  assertEquals([await one, await two], ["to one", "to two"]);
});

Deno.test("a question that is not answered in its time fails, and its answer comes too late", async () => {
  using scene = new Scene();
  const usual = scene.ask("usual");
  const short = scene.ask("short", { timeoutMs: 300 });
  const patient = scene.ask("patient", { timeoutMs: false });
  assertEquals(scene.sweep.nextTick - scene.sweep.now(), 300);
  scene.time.advance(300);
  assertEquals([await failure(short), scene.session.requests.size], ["REQUEST_TIMEOUT", 2]);
  scene.time.advance(700);
  assertEquals([await failure(usual), scene.session.requests.size], ["REQUEST_TIMEOUT", 1]);
  assertEquals([scene.session.requests.take(1), scene.time.timers], [undefined, 0]);
  scene.session.requests.take(3)?.resolve("at last");
  assertEquals(await patient, "at last");
});

Deno.test("a question that cannot be sent fails with the reason, and is not open", async () => {
  using scene = new Scene();
  scene.error = new RequestError("OVERLOADED", "no room");
  assertStrictEquals(await assertRejects(() => scene.ask("one")), scene.error);
  assertEquals(scene.session.requests.size, 0);
  scene.error = undefined;
  scene.ask("two");
  assertEquals(scene.sent, [["one", 1], ["two", 2]]);
});

Deno.test("one question too many is not sent", async () => {
  using scene = new Scene();
  for (const question of ["one", "two", "three"]) scene.ask(question);
  assertEquals([await failure(scene.ask("four")), scene.sent.length], ["OVERLOADED", 3]);
});

Deno.test("a question that is called off fails with the signal's reason, before it is sent or after", async () => {
  using scene = new Scene();
  const reason = new Error("enough");
  assertStrictEquals(
    await assertRejects(() => scene.ask("never", { signal: AbortSignal.abort(reason) })),
    reason,
  );
  assertEquals(scene.sent, []);
  const caller = new AbortController();
  const one = scene.ask("one", { signal: caller.signal });
  caller.abort(reason);
  assertStrictEquals(await assertRejects(() => one), reason);
  assertEquals(scene.session.requests.size, 0);
});

Deno.test("a signal that outlives its question is listened to no more", async () => {
  using scene = new Scene();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  signal.addEventListener = (...args: Parameters<EventTarget["addEventListener"]>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<EventTarget["removeEventListener"]>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  const [answered, late] = [1, 2].map((n) => scene.ask(`${n}`, { signal, timeoutMs: 100 }));
  assertEquals(listeners, 2);
  scene.session.requests.take(1)?.resolve("answer");
  assertEquals(await answered, "answer");
  scene.time.advance(100);
  assertEquals([await failure(late), listeners], ["REQUEST_TIMEOUT", 0]);
});

Deno.test("at the end what is open fails, and what is asked after it sets no timer", async () => {
  using scene = new Scene();
  const one = scene.ask("one");
  const over = new ConnectionError("CLOSED", "over");
  scene.questions.end(over);
  assertStrictEquals(await assertRejects(() => one), over);
  assertEquals(scene.time.timers, 0);
  scene.ask("two");
  assertEquals(scene.time.timers, 0);
});

Deno.test("whether anybody looks at the failure of a question is their own affair", () => {
  // The test would fail if it were not.
  using scene = new Scene();
  for (const question of ["one", "two", "three", "four"]) scene.ask(question);
  scene.time.advance(1_000);
});
