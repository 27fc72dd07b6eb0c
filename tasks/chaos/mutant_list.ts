/**
 * Ways to break what makes packets arrive once and in order, and what must notice.
 *
 * | mutant | chaos | tests |
 * |---|---|---|
 * | what came before is dealt with again | x | x |
 * | a resume does not prune what the peer has | x | |
 * | the wire before is not fenced off | x | x |
 * | the wire before is not let go of at a takeover | x | x |
 * | acknowledged on arrival, not when handed over | x | x |
 * | the server's ack is lost on a resume | x | x |
 * | the client's ack is lost on a resume | x | |
 * | the server's ack is too high on a resume | x | |
 * | the client's ack is too high on a resume | x | |
 * | nothing goes out again on the next wire | x | x |
 * | what was acknowledged is kept | x | x |
 * | a sign of death in a goodbye ends the session | x | |
 * | a client that gives up on an answer ends the session | | x |
 * | requests do not outlive their wire | x | x |
 * | nobody is found dead | x | x |
 * | a small packet overtakes those that wait | x | x |
 * | a packet that was taken back goes out | x | x |
 * | a check that takes its time lets others pass | x | x |
 * | a wire that took nothing counts as one that took all | | x |
 * | a packet goes out again without saying what it asks for | x | x |
 * | a question takes the place of one that waits | | x |
 * | a request that came before the last one is answered no more | | x |
 * | what waits counts for as many bytes as it has characters | | x |
 * | an entry that is put off is looked at no more | | x |
 *
 * @module
 */

/** One replacement of text, in a copy of the sources. */
export interface Mutant {
  /** What is broken. */
  name: string;
  /** The file, from the project's folder. */
  file: string;
  /** What is replaced: it must be there once. */
  from: string;
  /** By what. */
  to: string;
  /** All of these must fail: test files, or chaos. */
  caughtBy: string[];
}

/** A short run of chaos. */
export const CHAOS = "chaos";

const ARRIVALS_TEST = "tests/unit/arrivals_test.ts";
const INBOX_TEST = "tests/unit/inbox_test.ts";
const SESSION_TEST = "tests/unit/session_test.ts";
const OUTSTANDING_TEST = "tests/unit/outstanding_test.ts";
const SWEEP_TEST = "tests/unit/sweep_test.ts";
const OUTBOX_TEST = "tests/unit/outbox_test.ts";
const BUDGET_TEST = "tests/unit/replay_budget_test.ts";
const POSTPONED_TEST = "tests/property/postponed_test.ts";
const CONVERSATION_TEST = "tests/unit/conversation_test.ts";
const PULSE_TEST = "tests/unit/pulse_test.ts";
const WINDOW_TEST = "tests/unit/window_test.ts";
const WIRE_TEST = "tests/unit/wire_test.ts";
const TAKEOVER_TEST = "tests/integration/takeover_test.ts";
const SILENCE_TEST = "tests/integration/resume_silence_test.ts";
const RESUME_TEST = "tests/integration/resume_test.ts";

/** All of them. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "what came before is dealt with again",
    file: "arrivals.ts",
    from: "this.#duplicates++;\n      return false;",
    to: "this.#duplicates++;\n      return true;",
    caughtBy: [CHAOS, ARRIVALS_TEST],
  },
  {
    name: "a resume does not prune what the peer has",
    file: "conversation.ts",
    from: "this.session.delivery!.window.acknowledge(ack);",
    to: "",
    caughtBy: [CHAOS],
  },
  {
    name: "the wire before is not fenced off",
    file: "attachment.ts",
    from: "this.#isCurrent = false;",
    to: "",
    caughtBy: [CHAOS, TAKEOVER_TEST],
  },
  {
    name: "the wire before is not let go of at a takeover",
    file: "conversation.ts",
    from: 'if (this.#state === "open") {\n      const info = { code: "TAKEN_OVER"',
    to: 'if (this.#state === "closed") {\n      const info = { code: "TAKEN_OVER"',
    caughtBy: [CHAOS, TAKEOVER_TEST],
  },
  {
    name: "acknowledged on arrival, not when handed over",
    file: "arrivals.ts",
    from: "return this.#first ? this.#firstSeq - 1 : this.#sorted;",
    to: "return this.#received;",
    caughtBy: [CHAOS, ARRIVALS_TEST],
  },
  {
    name: "the server's ack is lost on a resume",
    file: "server.ts",
    from: "ack: handedOver,",
    to: "ack: 0,",
    caughtBy: [CHAOS],
  },
  {
    name: "the client's ack is lost on a resume",
    file: "client.ts",
    from: "ack: conversationOf(connection).handedOver,",
    to: "ack: 0,",
    caughtBy: [CHAOS],
  },
  {
    name: "the server's ack is too high on a resume",
    file: "server.ts",
    from: "ack: handedOver,",
    to: "ack: handedOver + 1,",
    caughtBy: [CHAOS],
  },
  {
    name: "the client's ack is too high on a resume",
    file: "client.ts",
    from: "ack: conversationOf(connection).handedOver,",
    to: "ack: conversationOf(connection).handedOver + 1,",
    caughtBy: [CHAOS],
  },
  {
    name: "nothing goes out again on the next wire",
    file: "outbox.ts",
    from: "for (const entry of window) {",
    to: "for (const entry of [] as Entry[]) {",
    caughtBy: [CHAOS, OUTBOX_TEST],
  },
  {
    name: "what was acknowledged is kept",
    file: "window.ts",
    from: "this.#entries.first.seq <= ack) this.#shift();",
    to: "this.#entries.first.seq <= ack - 1) this.#shift();",
    caughtBy: [CHAOS, WINDOW_TEST],
  },
  {
    name: "a sign of death in a goodbye ends the session",
    file: "close_info.ts",
    from: '  "HEARTBEAT_TIMEOUT",\n',
    to: "",
    caughtBy: [CHAOS],
  },
  {
    name: "a client that gives up on an answer ends the session",
    file: "close_info.ts",
    from: '  "HANDSHAKE_TIMEOUT",\n',
    to: "",
    caughtBy: [SILENCE_TEST],
  },
  {
    name: "a last line may be lost, as nobody waits until it was read",
    file: "wire.ts",
    from: "const isOver = isAnswer && this.#transport.closesInOrder === true;",
    to: "const isOver = this.#transport.closesInOrder === true;",
    caughtBy: [WIRE_TEST],
  },
  {
    name: "requests do not outlive their wire",
    file: "conversation.ts",
    from: "for (const { reject } of this.session.pings.takeAll()) reject(closeError(info));",
    to: "for (const { reject } of this.session.requests.takeAll()) reject(closeError(info));",
    caughtBy: [CHAOS, RESUME_TEST],
  },
  {
    name: "nobody is found dead",
    file: "pulse.ts",
    from: "if (this.#heardAt + this.#deadAfterMs <= now) {",
    to: "if (this.#heardAt + this.#deadAfterMs <= -now) {",
    caughtBy: [CHAOS, PULSE_TEST],
  },
  {
    name: "a small packet overtakes those that wait",
    file: "outbox.ts",
    from: "this.#isOnHold || this.#waiting.length > 0 ||",
    to: "this.#isOnHold ||",
    caughtBy: [CHAOS, OUTBOX_TEST],
  },
  {
    name: "a packet that was taken back goes out",
    file: "outbox.ts",
    from: 'if (first.state === "waiting") {',
    to: 'if (first.state !== "settled") {',
    caughtBy: [CHAOS, OUTBOX_TEST],
  },
  {
    name: "a check that takes its time lets others pass",
    file: "inbox.ts",
    from: "this.#isHeld = true;",
    to: "",
    caughtBy: [CHAOS, INBOX_TEST],
  },
  {
    name: "a wire that took nothing counts as one that took all",
    file: "window.ts",
    from: "entry.wasWritten ||= entry.at !== NOT_ON_WIRE && entry.at < offered;",
    to: "entry.wasWritten = true;",
    caughtBy: [WINDOW_TEST],
  },
  {
    name: "a packet goes out again without saying what it asks for",
    file: "outbox.ts",
    from: "this.#stamper.tailAgain(age, id, replyTo, seq)",
    to: "this.#stamper.tailAgain(age, undefined, replyTo, seq)",
    caughtBy: [CHAOS, OUTBOX_TEST],
  },
  {
    name: "a question takes the place of one that waits",
    file: "outstanding.ts",
    from: "while (this.#slots[id & mask]) id++;",
    to: "",
    caughtBy: [OUTSTANDING_TEST],
  },
  {
    name: "a request that came before the last one is answered no more",
    file: "session.ts",
    from: "this.#answering.set(this.#lastId, this.#lastRequest);",
    to: "",
    caughtBy: [SESSION_TEST],
  },
  {
    name: "what waits counts for as many bytes as it has characters",
    file: "packet.ts",
    from: "return text.length * 3;",
    to: "return text.length;",
    caughtBy: [OUTBOX_TEST, WINDOW_TEST],
  },
  {
    name: "a process that was stopped finds everybody dead",
    file: "sweep.ts",
    from: "this.#stopped += Math.max(0,",
    to: "this.#stopped += Math.min(0,",
    caughtBy: [SWEEP_TEST],
  },
  {
    name: "a busy process has a clock that stands still",
    file: "sweep.ts",
    from: "this.#stopped - this.#timerAt - BUSY_MS);",
    to: "this.#stopped - this.#timerAt);",
    caughtBy: [SWEEP_TEST],
  },
  {
    name: "an entry that is put off is looked at no more",
    file: "sweep.ts",
    from: "      this.by(entry, entry.nextDeadline());\n    }",
    to: "    }",
    caughtBy: [SWEEP_TEST],
  },
  {
    name: "a request overtakes broadcasts of its turn",
    file: "outbox.ts",
    from: "this.catchUp();\n    if (!this.#hasRoomFor(head, TAIL_BYTES))",
    to: "if (!this.#hasRoomFor(head, TAIL_BYTES))",
    caughtBy: [POSTPONED_TEST, CONVERSATION_TEST],
  },
  {
    name: "a peer gets a broadcast that was made for others between two of its own",
    file: "outbox.ts",
    from: "if (this.#lastLate && this.#lastLate.next !== broadcast) this.catchUp();",
    to: "",
    caughtBy: [POSTPONED_TEST],
  },
  {
    name: "broadcasts are put off whatever waits for the peer",
    file: "outbox.ts",
    from: "if (this.#maxKept + this.#maxLateBytes + maxBytes > this.#maxBytes) return false;",
    to: "",
    caughtBy: [OUTBOX_TEST],
  },
  {
    name: "broadcasts of the turn in which a wire ends are lost",
    file: "outbox.ts",
    from: "this.catchUp();\n    this.#session.delivery?.window.detach(offered);",
    to: "this.#session.delivery?.window.detach(offered);",
    caughtBy: [CONVERSATION_TEST],
  },
  {
    name: "a resume does not see what broadcasts of its turn push out",
    file: "conversation.ts",
    from: "    this.#outbox.catchUp();\n    return this.session",
    to: "    return this.session",
    caughtBy: [CONVERSATION_TEST],
  },
  {
    name: "what was put off to the end of the turn is not sent then",
    file: "wire.ts",
    from: "this.holder?.beforeWrite();",
    to: "",
    caughtBy: [CONVERSATION_TEST],
  },
  {
    name: "where all is used up everyone is looked at for each packet",
    file: "replay_budget.ts",
    from: "const FREED_SHARE = 1 / 16;",
    to: "const FREED_SHARE = 0;",
    caughtBy: [BUDGET_TEST],
  },
  {
    name: "broadcasts of one turn push others out of the budget that they share",
    file: "outbox.ts",
    from: "delivery, head);\n      delivery?.window.trim();\n    }",
    to: "delivery, head);\n    }\n    delivery?.window.trim();",
    caughtBy: [OUTBOX_TEST],
  },
  {
    name: "a window that broadcasts fill is not watched",
    file: "conversation.ts",
    from: "    // Whoever else caught up did not look.\n    this.#attachment.pulse?.checkWindow();",
    to: "",
    caughtBy: [CONVERSATION_TEST],
  },
];
