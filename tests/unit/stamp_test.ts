import { assertEquals } from "@std/assert";
import { encodeTail, Stamper } from "../../stamp.ts";
import { Clock } from "../support/clock.ts";

const TOKEN = "6a1f0f2e-9c1d-4c0b-8a53-0f2d7f3f8f11";

/** All combinations of numbers that there are, and those that there are not. */
function* numbers(): Generator<(number | undefined)[]> {
  const values = [undefined, 0, 7, Number.MAX_SAFE_INTEGER];
  for (const id of values) {
    for (const replyTo of values) {
      for (const seq of values) {
        for (const ack of values) yield [id, replyTo, seq, ack];
      }
    }
  }
}

Deno.test("what is stamped now is the tail with the time, the token and the numbers", () => {
  using clock = new Clock();
  for (const token of [TOKEN, null]) {
    const stamper = new Stamper(token);
    for (const [id, replyTo, seq, ack] of numbers()) {
      clock.now += seq === 7 ? 1 : 0;
      const tail = encodeTail({ created: clock.now, token, id, replyTo, seq, ack });
      assertEquals(stamper.tail(id, replyTo, seq, ack), tail);
      // And once more within the millisecond.
      assertEquals(stamper.tail(id, replyTo, seq, ack), tail);
    }
  }
});

Deno.test("a tail ends the object that the head began, with what there is of it", () => {
  for (const [id, replyTo, seq, ack] of numbers()) {
    const stamp = { created: 5, token: TOKEN, id, replyTo, seq, ack };
    const fields = JSON.parse('{"action":"a"' + encodeTail(stamp));
    // What there is none of is left out, and 0 is not none.
    const expected = { action: "a", "packet-created": 5, token: TOKEN, id, "reply-to": replyTo };
    assertEquals(fields, JSON.parse(JSON.stringify({ ...expected, seq, ack })));
  }
});

Deno.test("the time of a stamp is that of the moment, whichever way the clock goes", () => {
  using clock = new Clock();
  const stamper = new Stamper(null);
  const start = clock.now;
  for (const ms of [0, 0, 1, 1, 2, 86_400_000, 3, 3, 0, -86_400_000, 0]) {
    clock.now = start + ms;
    assertEquals(stamper.tail(), `,"packet-created":${start + ms},"token":null}`);
  }
});

Deno.test("the age of a tail says when it was made, until the next one is", () => {
  using clock = new Clock();
  clock.now += 5;
  const stamper = new Stamper(TOKEN);
  const start = clock.now;
  assertEquals(stamper.age, 0);
  for (const ms of [0, 3, 3, 86_400_000, -7, 0]) {
    clock.now = start + ms;
    stamper.tail();
    assertEquals(stamper.age, ms);
    // Time that passes makes none older.
    clock.now += 100;
    assertEquals(stamper.age, ms);
  }
});

Deno.test("what is sent again says what it said the first time, except how far this side had come", () => {
  using clock = new Clock();
  for (const token of [TOKEN, null]) {
    const stamper = new Stamper(token);
    const made: { age: number; created: number; numbers: (number | undefined)[] }[] = [];
    for (const [id, replyTo, seq, ack] of numbers()) {
      clock.now += seq === 7 ? 3 : -1;
      stamper.tail(id, replyTo, seq, ack);
      made.push({ age: stamper.age, created: clock.now, numbers: [id, replyTo, seq] });
    }
    clock.now += 60_000;
    for (const { age, created, numbers: [id, replyTo, seq] } of made) {
      const tail = encodeTail({ created, token, id, replyTo, seq });
      assertEquals(stamper.tailAgain(age, id, replyTo, seq), tail);
    }
  }
});

Deno.test("what is sent again does not make older what is sent anew", () => {
  using clock = new Clock();
  const stamper = new Stamper(TOKEN);
  for (const passed of [0, 0, 5]) {
    clock.now += passed;
    const fresh = encodeTail({ created: clock.now, token: TOKEN, seq: 2 });
    assertEquals(stamper.tail(undefined, undefined, 2), fresh);
    const { age } = stamper;
    stamper.tailAgain(age - 1_000, 1, undefined, 1);
    assertEquals([stamper.age, stamper.tail(undefined, undefined, 2)], [age, fresh]);
  }
});

Deno.test("numbers of one packet are not on the next", () => {
  using _ = new Clock();
  const stamper = new Stamper(TOKEN);
  stamper.tail(1, 2, 3, 4);
  assertEquals(stamper.tail(), encodeTail({ created: Date.now(), token: TOKEN }));
});

Deno.test("stampers of several connections keep their tokens apart", () => {
  using _ = new Clock();
  const [one, other] = [new Stamper(TOKEN), new Stamper(null)];
  for (let time = 0; time < 2; time++) {
    assertEquals(one.tail(), encodeTail({ created: Date.now(), token: TOKEN }));
    assertEquals(other.tail(), encodeTail({ created: Date.now(), token: null }));
  }
});
