// The classes that keep state, each against a model that is too simple to be wrong.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Peer } from "../../contract.ts";
import { RequestError } from "../../errors.ts";
import { Groups } from "../../groups.ts";
import { Inbox } from "../../inbox.ts";
import { decodePacket } from "../../packet.ts";
import { Outstanding } from "../../outstanding.ts";
import { Sweep } from "../../sweep.ts";
import { TokenBucket } from "../../token_bucket.ts";
import { FakeTime } from "../support/fake_time.ts";

Deno.test("groups are those of a list of pairs", () => {
  const member = fc.constantFrom("ada", "bob", "cyd");
  const group = fc.constantFrom("red", "blue", "green", "__proto__");
  const step = fc.tuple(fc.constantFrom("join", "leave", "leaveAll"), member, group);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const groups = new Groups<string>({ maxGroups: 2, maxGroupNameLength: 9 });
      let pairs: [member: string, group: string][] = [];
      for (const [what, member, group] of steps) {
        const isIn = pairs.some(([m, g]) => m === member && g === group);
        if (what === "join") {
          const isFull = pairs.filter(([m]) => m === member).length >= 2;
          let refused = false;
          try {
            groups.join(member, group);
          } catch (error) {
            refused = error instanceof RangeError;
          }
          assertEquals(refused, !isIn && isFull);
          if (!isIn && !isFull) pairs.push([member, group]);
        } else if (what === "leave") {
          groups.leave(member, group);
          pairs = pairs.filter(([m, g]) => m !== member || g !== group);
        } else {
          groups.leaveAll(member);
          pairs = pairs.filter(([m]) => m !== member);
        }
        assertEquals(new Set(groups.names), new Set(pairs.map(([, g]) => g)));
        for (const one of ["ada", "bob", "cyd"]) {
          const own = pairs.filter(([m]) => m === one).map(([, g]) => g);
          assertEquals(groups.groupsOf(one), new Set(own));
        }
        for (const one of ["red", "blue", "green", "__proto__"]) {
          const own = pairs.filter(([, g]) => g === one).map(([m]) => m);
          assertEquals(groups.membersOf(one), new Set(own));
        }
      }
    }),
  );
});

Deno.test("every question ends once at most, with its own answer or at its deadline", () => {
  const step = fc.oneof(
    fc.record({ open: fc.oneof(fc.integer({ min: 0, max: 1_000 }), fc.constant(Infinity)) }),
    fc.record({ answer: fc.nat({ max: 100 }) }),
    // One of those that are open, seldom the oldest: it stays while many come and go.
    fc.record({ take: fc.constantFrom(0, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3) }),
    fc.record({ pass: fc.integer({ min: 0, max: 30 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: "max" }), (steps) => {
      const questions = new Outstanding<number>(4);
      const open = new Map<number, { deadline: number; settler: object }>();
      let now = 0;
      let lastId = 0;
      for (const step of steps) {
        if ("open" in step) {
          const settler = { resolve: () => {}, reject: () => {} };
          const deadline = now + step.open;
          try {
            const id = questions.open(deadline, settler);
            // Numbers rise, and pass over no more than there are old questions.
            assert(id > lastId && id <= lastId + 1 + open.size);
            lastId = id;
            assert(open.size < 4);
            open.set(id, { deadline, settler });
          } catch (error) {
            assert(error instanceof RequestError && open.size === 4);
          }
        } else if ("answer" in step || "take" in step) {
          const id = "answer" in step ? step.answer : [...open.keys()][step.take] ?? 0;
          assert(questions.take(id) === open.get(id)?.settler);
          open.delete(id);
        } else {
          now += step.pass;
          const expired = [...open].filter(([, { deadline }]) => deadline <= now);
          const settlers = questions.takeExpired(now);
          assertEquals(settlers.length, expired.length);
          expired.forEach(([id, { settler }], index) => {
            assert(settlers[index] === settler);
            open.delete(id);
          });
        }
        assertEquals(questions.size, open.size);
        const deadlines = [...open.values()].map(({ deadline }) => deadline);
        assertEquals(questions.nextDeadline(), Math.min(Infinity, ...deadlines));
      }
    }),
  );
});

Deno.test("however senders come, no more pass in any time than the rate and one burst", () => {
  const gaps = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 3_000, noNaN: true })), {
    minLength: 1,
    maxLength: 100,
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), gaps, (rate, gaps) => {
      const bucket = new TokenBucket(rate, 0);
      const passed: number[] = [];
      let now = 0;
      for (const gap of gaps) {
        now += gap;
        const wait = bucket.take(now);
        assert(wait >= 0 && wait <= 1_000 / rate + 0.001);
        now += wait;
        passed.push(now);
      }
      for (let first = 0; first < passed.length; first++) {
        for (let last = first; last < passed.length; last++) {
          const allowed = rate + (passed[last] - passed[first]) * rate / 1_000;
          assert(last - first + 1 <= allowed + 1.001);
        }
      }
    }),
  );
});

Deno.test("whatever time does, each deadline is met once: never early, and not late by more than a tick", () => {
  // Whole and broken ones, with which sums are exact.
  const ms = (max: number) =>
    fc.oneof(fc.integer({ min: 0, max }), fc.integer({ min: 0, max: max * 8 }).map((n) => n / 8));
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ after: ms(5_000) }) },
    { weight: 4, arbitrary: fc.record({ pass: ms(2_000) }) },
    { weight: 1, arbitrary: fc.record({ stop: ms(100_000) }) },
    { weight: 1, arbitrary: fc.record({ callOff: fc.nat({ max: 20 }) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      using time = new FakeTime({ withDate: true });
      const sweep = new Sweep();
      const started: { deadline: number; called: number[]; callOff: () => void; off?: boolean }[] =
        [];
      let before = sweep.now();
      for (const step of [...steps, { pass: 10_000 }]) {
        if ("after" in step) {
          const called: number[] = [];
          const deadline = sweep.now() + step.after;
          const callOff = sweep.after(step.after, () => called.push(sweep.now()));
          started.push({ deadline, called, callOff });
        } else if ("pass" in step) {
          time.advance(step.pass);
        } else if ("stop" in step) {
          time.stop(step.stop);
        } else if (started[step.callOff]) {
          started[step.callOff].callOff();
          started[step.callOff].off = started[step.callOff].called.length === 0;
        }
        assert(time.timers <= 1);
        assert(sweep.now() >= before);
        before = sweep.now();
      }
      // A tick that comes late may be this late on the clock as well.
      const busy = steps.some((step) => "stop" in step) ? 100 : 0;
      for (const { deadline, called, off } of started) {
        assertEquals(called.length, off ? 0 : 1);
        if (off) continue;
        assert(called[0] >= deadline && called[0] <= deadline + 11 + busy, `${called} ${deadline}`);
      }
      assertEquals(time.timers, 0);
    }),
    { numRuns: 300 },
  );
});

Deno.test("whatever handlers do, packets start in order, end once, and never too many run", async () => {
  const kind = fc.constantFrom(
    "now",
    "throws",
    "later",
    "rejects",
    "checked",
    "invalid",
    "unbound",
  );
  const step = fc.oneof(
    { weight: 3, arbitrary: kind.map((kind) => ({ kind })) },
    { weight: 2, arbitrary: fc.record({ settle: fc.nat({ max: 10 }) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 3 }), async (
      steps,
      max,
    ) => {
      const started: number[] = [];
      const ended: string[] = [];
      const gates: PromiseWithResolvers<void>[] = [];
      const gate = () => {
        const gate = Promise.withResolvers<void>();
        gates.push(gate);
        return gate.promise;
      };
      const kinds: string[] = [];
      const inbox: Inbox = new Inbox({
        prepare({ data }) {
          const at = data as number;
          const run = () => {
            started.push(at);
            if (kinds[at] === "throws") throw "thrown";
            if (kinds[at] === "later") return gate();
            if (kinds[at] === "rejects") return gate().then(() => Promise.reject("rejected"));
          };
          if (kinds[at] === "unbound") throw "unbound";
          if (kinds[at] === "checked") return gate().then(() => run);
          if (kinds[at] === "invalid") return gate().then(() => Promise.reject("invalid"));
          return run;
        },
        run: (run, packet) => run(packet, {} as Peer),
        taken: () => {},
        succeeded: ({ data }) => void ended.push(`${data}`),
        failed: ({ data }, error) => void ended.push(`${data} ${error}`),
      }, max);
      inbox.startDispatch();
      for (const step of steps) {
        if ("kind" in step) {
          kinds.push(step.kind);
          inbox.push(decodePacket(`{"action":"a","data":${kinds.length - 1}}`), 5);
        } else {
          gates.splice(step.settle, 1)[0]?.resolve();
          await Promise.resolve();
        }
        assert(inbox.inFlight <= max);
        assertEquals(inbox.bytes, 5 * inbox.length);
      }
      while (!inbox.isIdle) {
        const change = inbox.changes.next();
        gates.shift()?.resolve();
        await change;
        assert(inbox.inFlight <= max);
      }
      assertEquals(started, started.toSorted((a, b) => a - b));
      const reasons: Record<string, string> = {
        throws: " thrown",
        rejects: " rejected",
        invalid: " invalid",
        unbound: " unbound",
      };
      assertEquals(
        ended.toSorted(),
        kinds.map((kind, at) => `${at}${reasons[kind] ?? ""}`).toSorted(),
      );
      assertEquals([inbox.length, inbox.bytes, inbox.inFlight], [0, 0, 0]);
    }),
    { numRuns: 200 },
  );
});
