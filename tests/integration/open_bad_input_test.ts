// The rows are those of the project's list of bad inputs. Each is tried on a resumed connection as well.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { PnetworkError, RequestError } from "../../mod.ts";
import { concat } from "../support/bytes.ts";
import { bytes } from "../support/bytes.ts";
import { line } from "../support/raw_peer.ts";
import { onBothSides, onBothSidesAndResumed, withServer } from "../support/scene.ts";
import { pause, until, within } from "../support/wait.ts";

const FOREIGN_TOKEN = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

/** A line of JSON whose `data` nests so deep. */
function nested(depth: number, padding = 0): string {
  const data = "[".repeat(depth) + "]".repeat(depth);
  return `{"action":"echo","id":1,"data":${data},"x":"${"x".repeat(padding)}"}\n`;
}

/** What ends a connection. */
const FATAL: [what: string, sent: string | Uint8Array, code: string][] = [
  ["row 8: a second handshake", line({ action: "@handshake", data: {} }), "UNEXPECTED_PACKET"],
  ["row 12: the byte FF", bytes(0xff, "\n"), "BAD_UTF8"],
  ["row 12: the bytes C0 AF", bytes('"', 0xc0, 0xaf, '"\n'), "BAD_UTF8"],
  ["row 12: the bytes ED A0 80", bytes('"', 0xed, 0xa0, 0x80, '"\n'), "BAD_UTF8"],
  ["row 12: a cut character", bytes('"', 0xe2, 0x82, '"\n'), "BAD_UTF8"],
  ["row 12: a BOM", '\uFEFF{"action":"echo"}\n', "BAD_JSON"],
  ["row 13: a raw NUL in a string", '{"action":"echo","data":"\0"}\n', "BAD_JSON"],
  ["row 13: a raw TAB in a string", '{"action":"echo","data":"\t"}\n', "BAD_JSON"],
  ["row 13: NaN", '{"action":"echo","data":NaN}\n', "BAD_JSON"],
  ["row 13: Infinity", '{"action":"echo","data":-Infinity}\n', "BAD_JSON"],
  ["row 13: 01", '{"action":"echo","data":01}\n', "BAD_JSON"],
  ["row 13: an unquoted name", "{a:1}\n", "BAD_JSON"],
  ["row 13: a trailing comma", '{"action":"echo",}\n', "BAD_JSON"],
  ["row 13: two packets on a line", '{"action":"echo"}{"action":"echo"}\n', "BAD_JSON"],
  ["row 13: a blank line that is not empty", " \n", "BAD_JSON"],
  ["row 14: null", "null\n", "BAD_PACKET"],
  ["row 14: 1", "1\n", "BAD_PACKET"],
  ['row 14: "x"', '"x"\n', "BAD_PACKET"],
  ["row 14: []", "[]\n", "BAD_PACKET"],
  ["row 17: a line over 4 KiB nested 65 deep", nested(64, 4_096), "TOO_DEEP"],
  ["row 17: 500,000 deep", nested(500_000), "TOO_DEEP"],
  ["row 17: 1,000,000 deep and never closed", "[".repeat(1_000_000) + "\n", "TOO_DEEP"],
  ["row 24: a foreign token", line({ action: "echo", token: FOREIGN_TOKEN }), "BAD_TOKEN"],
  ["row 24: an empty token", line({ action: "echo", token: "" }), "BAD_TOKEN"],
  [
    "row 24: a foreign token on a reply",
    line({ action: "echo", token: FOREIGN_TOKEN, "reply-to": 1 }),
    "BAD_TOKEN",
  ],
  [
    "row 24: a foreign token on a ping",
    line({ action: "@ping", token: FOREIGN_TOKEN }),
    "BAD_TOKEN",
  ],
];

/** What ends a connection without a session alone. */
const FATAL_WITHOUT_SESSION: typeof FATAL = [
  ["row 20: a seq without a session", line({ action: "echo", seq: 1 }), "PROTOCOL_ERROR"],
  ["row 20: an ack without a session", line({ action: "@ack", ack: 0 }), "PROTOCOL_ERROR"],
];

for (const fatal of [...FATAL, ...FATAL_WITHOUT_SESSION]) {
  const [what, sent, code] = fatal;
  const test = FATAL.includes(fatal) ? onBothSidesAndResumed : onBothSides;
  test(
    `${what} ends the connection with ${code}`,
    {},
    async ({ peer, connection, bindAction, logs }) => {
      const heard: unknown[] = [];
      bindAction("hear", (data) => void heard.push(data));
      const before = bytes(line({ action: "hear", data: "before" }));
      const after = bytes(line({ action: "hear", data: "after" }));
      const middle = typeof sent === "string" ? bytes(sent) : sent;
      await peer.send(concat([before, middle, after]));
      await peer.farewell(code);
      assertEquals((await within(connection.closed, "the connection's end")).code, code);
      assertEquals(heard, ["before"]);
      logs.assertLacks(FOREIGN_TOKEN);
    },
  );
}

/** What is refused while the connection is kept. */
const REFUSED: [what: string, sent: string][] = [
  ["row 15: {}", "{}\n"],
  ["row 15: an action that is a number", '{"action":5}\n'],
  ["row 15: an action that is null", '{"action":null,"id":9}\n'],
  ["row 15: an empty action", '{"action":""}\n'],
  ["row 15: an action of 10 kB", line({ action: "a".repeat(10_000) })],
  ["row 15: an action of 129 characters", line({ action: "a".repeat(129) })],
  ["row 15: a lone surrogate in an action", '{"action":"a\\ud800"}\n'],
  ["row 15: an id together with a reply-to", line({ action: "echo", id: 1, "reply-to": 1 })],
  ["row 15: an id of 0", line({ action: "echo", id: 0 })],
  ["row 15: an id of -1", line({ action: "echo", id: -1 })],
  ["row 15: an id of 1.5", line({ action: "echo", id: 1.5 })],
  ['row 15: an id of "1"', line({ action: "echo", id: "1" })],
  ["row 15: an id of null", line({ action: "echo", id: null })],
  ["row 15: an id of 2^53", '{"action":"echo","id":9007199254740992}\n'],
  ["row 15: an id of 1e400", '{"action":"echo","id":1e400}\n'],
  ["row 15: a reply-to of 0", line({ action: "echo", "reply-to": 0 })],
  ["row 15: a reply-to of null", line({ action: "echo", "reply-to": null })],
  ["row 15: a token that is a number", line({ action: "echo", token: 5 })],
  ["row 15: a token that is a list", line({ action: "echo", token: [FOREIGN_TOKEN] })],
  ["row 15: an error that is text", line({ action: "echo", "reply-to": 1, error: "no" })],
  ["row 15: an error without a code", line({ action: "echo", "reply-to": 1, error: {} })],
];

for (const [what, sent] of REFUSED) {
  onBothSidesAndResumed(
    `${what} is refused with BAD_PACKET and the connection kept`,
    {},
    async ({ peer, connection, bindAction }) => {
      bindAction("echo", (data) => data);
      await peer.send(sent + sent);
      for (let i = 0; i < 2; i++) {
        const { action, data } = await peer.packet();
        assertEquals([action, (data as { code: string }).code], ["@error", "BAD_PACKET"]);
      }
      assertEquals((await peer.request(1, "echo", "still here")).data, "still here");
      assertEquals(connection.stats.refused, 2);
    },
  );
}

onBothSidesAndResumed(
  "row 10: CRLF and empty lines are accepted",
  {},
  async ({ peer, bindAction }) => {
    bindAction("echo", (data) => data);
    await peer.send('\r\n\n{"action":"echo","data":1,"id":1}\r\n\n\r\n');
    assertEquals((await peer.packet()).data, 1);
    await peer.send('{"action":"echo","data":2,"id":2}\r');
    await peer.send("\n\n");
    assertEquals((await peer.packet()).data, 2);
  },
);

onBothSidesAndResumed(
  "row 11: a character split over two reads arrives intact",
  {},
  async ({ peer, connection, bindAction }) => {
    bindAction("echo", (data) => data);
    const text = "aé€😀z";
    const all = bytes(line({ action: "echo", data: text, id: 1 }));
    const prefix = bytes('{"action":"echo","data":"').length;
    for (let at = prefix + 1; at < prefix + bytes(text).length; at++) {
      const goal = connection.stats.bytesReceived + at;
      await peer.send(all.subarray(0, at));
      await until(() => connection.stats.bytesReceived === goal, "the first part was read");
      await peer.send(all.subarray(at));
      assertEquals((await peer.packet()).data, text);
    }
  },
);

onBothSidesAndResumed(
  "row 15: an id that is still being answered is refused, and answered once",
  {},
  async ({ peer, bindAction }) => {
    const gate = Promise.withResolvers<string>();
    let runs = 0;
    bindAction("slow", () => {
      runs++;
      return gate.promise;
    });
    await peer.sendPacket({ action: "slow", id: 4 }, { action: "slow", id: 4 });
    const refused = await peer.packet();
    assertEquals(refused.action, "@error");
    assertEquals((refused.data as { code: string }).code, "BAD_PACKET");
    gate.resolve("done");
    assertEquals(await peer.packet().then((p) => [p["reply-to"], p.data]), [4, "done"]);
    assertEquals((await peer.request(4, "slow")).data, "done");
    assertEquals(runs, 2);
  },
);

onBothSidesAndResumed(
  "row 16: __proto__, constructor and toString are names that nothing is bound to",
  {},
  async ({ peer, connection, bindAction }) => {
    bindAction("echo", (data) => data);
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"];
    for (const [index, action] of names.entries()) {
      const reply = await peer.request(index + 1, action, { a: 1 });
      assertEquals(reply.error?.code, "NO_ACTION");
      await peer.sendPacket({ action });
    }
    assertEquals((await peer.request(100, "echo", 1)).data, 1);
    assertEquals(connection.stats.ignored, names.length);
    assertEquals(({} as { a?: number }).a, undefined);
  },
);

onBothSidesAndResumed(
  "row 16: a __proto__ inside data stays data",
  {},
  async ({ peer, bindAction }) => {
    const seen: unknown[] = [];
    bindAction("see", (data) => {
      seen.push((data as { isAdmin?: boolean }).isAdmin);
      return data;
    });
    await peer.send('{"action":"see","id":1,"data":{"__proto__":{"isAdmin":true}}}\n');
    assertMatch(await peer.line(), /"data":\{"__proto__":\{"isAdmin":true\}\}/);
    assertEquals(seen, [undefined]);
  },
);

onBothSidesAndResumed(
  "row 17: 64 levels in a long line, and any number in a short one, are accepted",
  {},
  async ({ peer, bindAction }) => {
    let depth = 0;
    bindAction("echo", (data) => {
      depth = 0;
      for (let at = data; Array.isArray(at); at = at[0]) depth++;
      return depth;
    });
    await peer.send(nested(63, 5_000));
    assertEquals((await peer.packet()).data, 63);
    await peer.send(nested(1_500));
    assertEquals((await peer.packet()).data, 1_500);
    // Brackets in strings are no depth.
    assertEquals((await peer.request(3, "echo", "[".repeat(100_000) + '\\"')).data, 0);
  },
);

onBothSidesAndResumed(
  "row 18: a line of exactly the limit is accepted, one byte more is PACKET_TOO_LARGE",
  { maxPacketBytes: 8_192 },
  async ({ peer, connection, bindAction }) => {
    bindAction("length", (data) => (data as string).length);
    const empty = line({ action: "length", id: 1, data: "" }).length - 1;
    const exact = line({ action: "length", id: 1, data: "x".repeat(8_192 - empty) });
    assertEquals(exact.length, 8_193);
    await peer.send(exact + exact.trim() + "\r\n");
    assertEquals((await peer.packet()).data, 8_192 - empty);
    assertEquals((await peer.packet()).data, 8_192 - empty);
    // In pieces, too.
    await peer.send(exact.slice(0, 1_000));
    await peer.send(exact.slice(1_000));
    assertEquals((await peer.packet()).data, 8_192 - empty);

    await peer.send(line({ action: "length", id: 1, data: "x".repeat(8_193 - empty) }));
    await peer.farewell("PACKET_TOO_LARGE");
    assertEquals((await connection.closed).code, "PACKET_TOO_LARGE");
  },
);

onBothSidesAndResumed(
  "row 18: the limit counts bytes, not characters",
  { maxPacketBytes: 8_192 },
  async ({ peer, bindAction }) => {
    bindAction("length", (data) => (data as string).length);
    assertEquals((await peer.request(1, "length", "é".repeat(4_000))).data, 4_000);
    await peer.send(line({ action: "length", id: 2, data: "é".repeat(4_100) }));
    await peer.farewell("PACKET_TOO_LARGE");
  },
);

onBothSidesAndResumed(
  "row 23: packet-created is advisory, whatever it is",
  {},
  async ({ peer, bindAction }) => {
    const seen: unknown[] = [];
    bindAction("when", (_, packet) => void seen.push(packet["packet-created"]));
    bindAction("done", () => true);
    for (const when of ["0", "253402300799000", '"yesterday"', "null", "{}", "-1", "1e400"]) {
      await peer.send(`{"action":"when","packet-created":${when}}\n`);
    }
    assertEquals((await peer.request(1, "done")).data, true);
    assertEquals(seen.slice(0, 6), [0, 253402300799000, 0, 0, 0, -1]);
    assert(seen.every((when) => typeof when === "number"));
  },
);

Deno.test("row 24: another client's token ends the one who used it, and not its owner", async () => {
  await withServer({}, async ({ register, honest, server }) => {
    const owner = await register();
    const thief = await register();
    for (const token of [owner.token, honest.token]) assert(server.clients.has(token));
    await thief.sendPacket({ action: "honest-note", data: 1, token: owner.token });
    await thief.farewell("BAD_TOKEN");
    assertEquals((await owner.request(1, "honest-ask", "mine")).data, "mine");
    assert(server.clients.has(owner.token));
    assert(!server.clients.has(thief.token));
    assert(!thief.text.includes(owner.token), "nothing of the owner's came back");
  });
});

onBothSidesAndResumed(
  "the right token, null and none are all accepted",
  {},
  async ({ peer, bindAction }) => {
    const seen: unknown[] = [];
    bindAction("see", (_, packet) => void seen.push(packet.token));
    bindAction("done", () => true);
    await peer.sendPacket({ action: "see", token: peer.token }, { action: "see", token: null });
    await peer.sendPacket({ action: "see" });
    await peer.request(1, "done");
    assertEquals(seen, [peer.token, null, null]);
  },
);

onBothSidesAndResumed(
  "row 32: replies that nobody waits for are ignored and counted",
  {},
  async ({ peer, connection }) => {
    await peer.sendPacket({ action: "x", "reply-to": 1, data: 1 });
    await peer.sendPacket({ action: "x", "reply-to": 999, error: { code: "X", message: "x" } });
    await peer.ping();
    assertEquals(connection.stats.ignored, 2);

    const replied = connection.request("ask");
    const { id } = await peer.packetOf("ask");
    await peer.sendPacket({ action: "anything", "reply-to": id, data: "first" });
    await peer.sendPacket({ action: "anything", "reply-to": id, data: "second" });
    assertEquals(await replied, "first");
    await peer.ping();
    assertEquals(connection.stats.ignored, 3);

    const late = connection.request("ask", null, { timeoutMs: 20 });
    const { id: lateId } = await peer.packetOf("ask");
    const error = await assertRejects(() => late, RequestError);
    assertEquals(error.code, "REQUEST_TIMEOUT");
    await peer.sendPacket({ action: "anything", "reply-to": lateId, data: "late" });
    await peer.ping();
    assertEquals(connection.stats.ignored, 4);
    assertEquals(connection.stats.pending, 0);
  },
);

Deno.test("row 32: a client cannot answer what another one was asked", async () => {
  await withServer({}, async ({ register, server }) => {
    const asked = await register();
    const other = await register();
    const replied = server.clients.get(asked.token)!.request("ask");
    const { id } = await asked.packetOf("ask");
    await other.sendPacket({ action: "ask", "reply-to": id, data: "forged" });
    await other.ping();
    await asked.sendPacket({ action: "ask", "reply-to": id, data: "true" });
    assertEquals(await replied, "true");
    assertEquals(server.clients.get(other.token)!.stats.ignored, 1);
  });
});

onBothSidesAndResumed(
  "unknown fields are passed over, unknown @ names are ignored and counted",
  {},
  async ({ peer, connection, bindAction }) => {
    bindAction("echo", (data) => data);
    await peer.sendPacket({ action: "@next-year", data: 1, id: 1 }, { action: "@" });
    await peer.sendPacket({ action: "@pong", data: 1 }, { action: "@error", data: 7 });
    await peer.sendPacket({ action: "echo", data: 1, id: 1, error: 7, more: { deep: [] } });
    const reply = await peer.packet();
    assertEquals([reply["reply-to"], reply.data], [1, 1]);
    assertEquals(connection.stats.ignored, 4);
  },
);

onBothSidesAndResumed(
  "row 33: one group too many and a name too long are refused, and the connection kept",
  { maxGroups: 2, maxGroupNameLength: 8 },
  async ({ role, peer, connection, bindAction, expectErrors }) => {
    expectErrors();
    bindAction("join", (name, _packet, from) => from.join(name as string));
    if (role === "client") {
      const reply = await peer.request(1, "join", "a");
      assertEquals(reply.error?.code, "ACTION_FAILED");
      return;
    }
    assertEquals((await peer.request(1, "join", "12345678")).error, undefined);
    for (const name of ["123456789", "", 5, null, { length: 3 }, ["a"]]) {
      assertEquals((await peer.request(2, "join", name)).error?.code, "ACTION_FAILED");
    }
    assertEquals((await peer.request(3, "join", "b")).error, undefined);
    assertEquals((await peer.request(4, "join", "b")).error, undefined);
    assertEquals((await peer.request(5, "join", "c")).error?.code, "ACTION_FAILED");
    assertEquals([...connection.groups], ["12345678", "b"]);
  },
);

onBothSidesAndResumed(
  "row 42: what a peer says reaches the log on one line, without anything that moves a cursor",
  {},
  async ({ peer, connection, bindAction, logs, expectErrors }) => {
    expectErrors();
    const evil = "\x1b]0;owned\x07\u202e\x9b2J\r\n";
    bindAction(evil, () => {
      throw new Error("a handler's own words");
    });
    await peer.request(1, evil, evil);
    await peer.sendPacket({ action: "@error", data: { code: evil, message: evil } });
    const asked = connection.request("ask");
    const { id } = await peer.packetOf("ask");
    await peer.sendPacket({
      action: evil,
      "reply-to": id,
      error: { code: evil, message: evil + "x".repeat(100_000) },
    });
    const error = await assertRejects(() => asked, PnetworkError);
    assert(!/[\p{Cc}\p{Cf}]/u.test(error.message), "an error of the peer's is fit to be shown");
    assert(error.message.length < 1_000);
    await peer.sendPacket({ action: "@close", data: { code: evil, reason: evil } });
    peer.fin();
    const info = await within(connection.closed, "the connection's end");
    assertEquals(info.code, "CLOSED");
    assert(!/[\p{Cc}\p{Cf}]/u.test(info.reason), "a goodbye's reason is fit to be shown");
    assertEquals(logs.of("error").length, 1);
    logs.assertIsSafe();
    // deno-lint-ignore no-control-regex -- those are what must not be there
    assert(!/[\x1b\x9b\x07\u202e]/.test(logs.text));
  },
);

onBothSidesAndResumed(
  "row 42: a reason for closing that quotes the peer is logged on one line",
  {},
  async ({ peer, bindAction, logs }) => {
    bindAction("leave", (why, _packet, from) => from.close({ reason: `asked to: ${why}` }));
    const evil = "\x1b]0;owned\x07\u202e\r\n";
    await peer.sendPacket({ action: "leave", data: evil });
    const { data } = await peer.farewell("CLOSED");
    assertEquals((data as { reason: string }).reason, `asked to: ${evil}`);
    logs.assertIsSafe();
    assert(logs.text.includes("asked to"));
  },
);

onBothSidesAndResumed(
  "goodbyes of any shape end the connection in order",
  {},
  async ({ peer, connection }) => {
    await peer.send('{"action":"@close","data":[{"code":{"toString":1}}],"id":1}\n');
    peer.fin();
    assertEquals(await within(connection.closed, "the connection's end"), {
      code: "CLOSED",
      reason: "no reason given",
    });
    assertEquals(await peer.toEnd(), []);
  },
);

onBothSidesAndResumed(
  "row 43: a handler that throws, rejects or never settles fails its request and nothing else",
  { drainTimeoutMs: 50 },
  async ({ peer, bindAction, logs, expectErrors }) => {
    expectErrors();
    const secret = "the database password";
    bindAction("echo", (data) => data);
    bindAction("throw", () => {
      throw new Error(secret);
    });
    bindAction("throw-text", () => {
      throw secret;
    });
    bindAction("throw-nothing", () => {
      throw undefined;
    });
    bindAction("reject", () => Promise.reject(new TypeError(secret)));
    bindAction("reject-late", async () => {
      await pause(1);
      throw new PnetworkError("BAD_TOKEN", secret);
    });
    bindAction("never", () => new Promise(() => {}));
    bindAction(
      "thenable",
      () => ({ then: (_: unknown, no: (e: Error) => void) => no(new Error(secret)) }),
    );
    const names = ["throw", "throw-text", "throw-nothing", "reject", "reject-late", "thenable"];
    await peer.sendPacket({ action: "never", id: 99 });
    for (const [index, action] of names.entries()) {
      const { error } = await peer.request(index + 1, action);
      assertEquals(error, { code: "ACTION_FAILED", message: "the action failed" });
      // Without an id nobody is told at all.
      await peer.sendPacket({ action });
      assertEquals((await peer.request(50, "echo", index)).data, index);
    }
    await until(() => logs.of("error").length === 2 * names.length, "all failures were logged");
    assert(!peer.text.includes(secret));
  },
);

onBothSidesAndResumed(
  "row 43: what a handler says in a RequestError of its own reaches the requester",
  {},
  async ({ peer, bindAction, connection, expectErrors }) => {
    expectErrors();
    bindAction("refuse", () => {
      throw new RequestError("ACTION_FAILED", "come back tomorrow");
    });
    bindAction("long", () => {
      throw new RequestError("INVALID_DATA", "€".repeat(2_000_000));
    });
    bindAction("pass-on", () => connection.request("inner"));
    assertEquals((await peer.request(1, "refuse")).error, {
      code: "ACTION_FAILED",
      message: "come back tomorrow",
    });
    assertEquals((await peer.request(2, "long")).error?.code, "INVALID_DATA");
    // But what another peer said does not travel on.
    await peer.sendPacket({ action: "pass-on", id: 3 });
    const { id } = await peer.packetOf("inner");
    await peer.sendPacket({
      action: "inner",
      "reply-to": id,
      error: { code: "INVALID_DATA", message: "inner secret" },
    });
    assertEquals((await peer.packet()).error?.code, "ACTION_FAILED");
  },
);

onBothSidesAndResumed(
  "row 43: a reply that is no JSON becomes an error reply",
  {},
  async ({ peer, bindAction, expectErrors }) => {
    expectErrors();
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const replies: unknown[] = [
      () => 1,
      10n,
      Symbol("s"),
      NaN,
      new Map(),
      new Uint8Array(3),
      cycle,
      {
        toJSON() {
          throw new Error("no");
        },
      },
    ];
    bindAction("reply", (index) => replies[index as number]);
    bindAction("reply-late", async (index) => await replies[index as number]);
    for (const index of replies.keys()) {
      for (const action of ["reply", "reply-late"]) {
        const { error } = await peer.request(index + 1, action, index);
        assertEquals(error?.code, "ACTION_FAILED", `${action} ${index}`);
      }
    }
    bindAction("nothing", () => undefined);
    assertEquals((await peer.request(90, "nothing")).data, null);
  },
);
