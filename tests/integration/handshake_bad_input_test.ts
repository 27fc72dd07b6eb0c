// The rows are those of the project's list of bad inputs.

import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  ConnectionError,
  HandshakeError,
  PnetworkError,
  ProtocolError,
  type Server,
} from "../../mod.ts";
import { bytes } from "../support/bytes.ts";
import { hello, line, type RawPeer } from "../support/raw_peer.ts";
import { withHostileServer, withServer } from "../support/scene.ts";
import { pause, until, within } from "../support/wait.ts";

const TOKEN = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const ID = "0190d5b2-3f6c-7d4a-8b1e-2f3a4b5c6d7e";

/** A TLS 1.2 ClientHello as OpenSSL sends it, one byte of its random being an LF. */
const CLIENT_HELLO = Uint8Array.from([
  ...[0x16, 0x03, 0x01, 0x00, 0x31, 0x01, 0x00, 0x00, 0x2d, 0x03, 0x03],
  ...Array.from({ length: 16 }, (_, i) => 0xc0 + i),
  0x0a,
  ...Array.from({ length: 15 }, (_, i) => 0xf0 + i),
  ...[0x00, 0x00, 0x04, 0x13, 0x01, 0x00, 0xff, 0x01, 0x00, 0x00, 0x00],
]);

function handshakesOf(server: Server): string {
  return server.loops[1].waitsFor;
}

/** Every line that is no handshake, and what a server answers to it. */
const BAD_HELLOS: [what: string, sent: string | Uint8Array, code: string][] = [
  ["row 4: 5 KiB without an LF", "x".repeat(5 * 1_024), "PACKET_TOO_LARGE"],
  ["row 4: a handshake of 5 KiB", hello({ auth: "x".repeat(5 * 1_024) }), "PACKET_TOO_LARGE"],
  ["row 5: an HTTP request", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "BAD_JSON"],
  ["row 5: a TLS ClientHello", CLIENT_HELLO, "BAD_UTF8"],
  ["row 7: a user packet", line({ action: "honest-ask", data: 1, id: 1 }), "UNEXPECTED_PACKET"],
  ["row 7: a reply", line({ action: "a", data: 1, "reply-to": 1 }), "UNEXPECTED_PACKET"],
  ["row 7: a ping", line({ action: "@ping", data: 1 }), "UNEXPECTED_PACKET"],
  ["row 9: version 999", hello({ version: 999 }), "VERSION_UNSUPPORTED"],
  ['row 9: version "1"', hello({ version: "1" }), "VERSION_UNSUPPORTED"],
  ["row 9: version -1", hello({ version: -1 }), "VERSION_UNSUPPORTED"],
  ["row 9: no version", line({ action: "@handshake", data: {} }), "VERSION_UNSUPPORTED"],
  ["row 12: the byte FF", bytes(0xff, "\n"), "BAD_UTF8"],
  ["row 12: a BOM before a handshake", "\uFEFF" + hello(), "BAD_JSON"],
  ["row 13: a comment", "// hello\n", "BAD_JSON"],
  ["row 14: null", "null\n", "BAD_PACKET"],
  ["row 14: an array", "[]\n", "BAD_PACKET"],
  ["row 15: an object without an action", "{}\n", "BAD_PACKET"],
  ["a handshake without data", line({ action: "@handshake" }), "BAD_PACKET"],
  ["a handshake whose data is text", line({ action: "@handshake", data: "1" }), "BAD_PACKET"],
  ["row 44: limits that are null", hello({ limits: null }), "BAD_PACKET"],
  ["row 44: a limit of 0", hello({ limits: { maxPacketBytes: 0 } }), "BAD_PACKET"],
  ["row 44: a limit of -1", hello({ limits: { maxPacketBytes: -1 } }), "BAD_PACKET"],
  ["row 44: a limit of 1e300", hello({ limits: { maxPacketBytes: 1e300 } }), "BAD_PACKET"],
  ["row 44: a limit in words", hello({ limits: { maxPacketBytes: "many" } }), "BAD_PACKET"],
];

for (const [what, sent, code] of BAD_HELLOS) {
  Deno.test(`${what}, before the handshake: a server refuses with ${code}`, async () => {
    await withServer({}, async ({ connect, server, logs }) => {
      const peer = await connect();
      await peer.send(sent);
      const { data } = await peer.refused(code);
      const { supported } = data as { supported?: number[] };
      assertEquals(supported, code === "VERSION_UNSUPPORTED" ? [1] : undefined);
      await until(() => handshakesOf(server).startsWith("0 "), "the handshake was over");
      for (const raw of ["GET", "Host", "xxxx", "Ã", "\x16"]) logs.assertLacks(raw);
    });
  });
}

Deno.test("row 1: a server gives a silent client its time, then says HANDSHAKE_TIMEOUT", async () => {
  await withServer({}, async ({ connect, server, time }) => {
    const before = performance.now();
    const peer = await connect();
    await until(() => handshakesOf(server).startsWith("1 "), "the server saw it");
    await time.leapUntil(peer.refused("HANDSHAKE_TIMEOUT"), "a refusal");
    assert(performance.now() - before > 4_950, "not before its time");
  });
});

Deno.test("row 2: one byte after another does not move the handshake's deadline", async () => {
  await withServer({ handshakeTimeoutMs: 5_000 }, async ({ connect, time }) => {
    const peer = await connect();
    const drip = async () => {
      for (const byte of bytes(hello({ auth: "x".repeat(2_000) }))) {
        if (peer.ended) return;
        await peer.send(Uint8Array.of(byte));
        await pause(1);
        time.leap(100);
      }
    };
    await Promise.all([drip(), peer.refused("HANDSHAKE_TIMEOUT")]);
  });
});

Deno.test("row 2: empty lines do not move the handshake's deadline", async () => {
  await withServer({ handshakeTimeoutMs: 5_000 }, async ({ connect, time }) => {
    const peer = await connect();
    const drip = async () => {
      while (!peer.ended) {
        await peer.send("\r\n\n");
        await pause(1);
        time.leap(100);
      }
    };
    await Promise.all([drip(), peer.refused("HANDSHAKE_TIMEOUT")]);
  });
});

Deno.test("row 2: endless empty lines without a pause do not keep others waiting", async () => {
  await withServer({ handshakeTimeoutMs: 300 }, async ({ connect, honest }) => {
    const peer = await connect();
    const empty = "\n".repeat(65_536);
    let isOver = false;
    const flood = async () => {
      while (!isOver && !peer.ended) await peer.send(empty);
    };
    const flooding = flood();
    await honest.rounds(10);
    await until(() => peer.ended !== undefined, "the server hung up");
    isOver = true;
    await flooding;
    await peer.close();
  });
});

Deno.test("row 3: a client that connects and leaves is forgotten, and is no error", async () => {
  await withServer({}, async ({ connect, server, logs }) => {
    const left = await connect();
    left.fin();
    await until(() => left.ended !== undefined, "the server ended too");
    assertEquals(left.text, "");
    await left.close();

    const reset = await connect();
    await until(() => handshakesOf(server).startsWith("1 "), "the server saw it");
    await reset.reset();
    await until(() => handshakesOf(server).startsWith("0 "), "the server forgot it");

    const cut = await connect();
    await cut.send(hello().slice(0, -1));
    await until(() => handshakesOf(server).startsWith("1 "), "the server saw it");
    cut.fin();
    await until(() => handshakesOf(server).startsWith("0 "), "the server forgot it");
    logs.assertNoErrors();
  });
});

Deno.test("row 3: a storm of clients that connect and reset leaves nothing behind", async () => {
  await withServer({}, async ({ connect, server, logs }) => {
    for (let round = 0; round < 10; round++) {
      const peers = await Promise.all(Array.from({ length: 20 }, connect));
      await Promise.all(peers.map((peer, i) => i % 2 ? peer.send(hello().slice(0, 9)) : undefined));
      await Promise.all(peers.map((peer) => peer.reset()));
    }
    await until(() => handshakesOf(server).startsWith("0 "), "the server forgot them");
    logs.assertNoErrors();
  });
});

Deno.test("a client that resets after its handshake, before the answer, is forgotten", async () => {
  const gate = Promise.withResolvers<boolean>();
  let asked = 0;
  const authenticate = ({ auth }: { auth: unknown }) => {
    if (auth !== "late") return true;
    asked++;
    return gate.promise;
  };
  await withServer({ authenticate }, async ({ connect, server }) => {
    const peer = await connect();
    await peer.send(hello({ auth: "late" }));
    await until(() => asked === 1, "the server asked");
    await peer.reset();
    gate.resolve(true);
    await until(
      () => handshakesOf(server).startsWith("0 ") && server.clients.size === 1,
      "the server forgot it",
    );
  });
});

Deno.test("row 10: CRLF and empty lines are accepted from the first byte on", async () => {
  await withServer({}, async ({ connect }) => {
    const peer = await connect();
    await peer.send("\r\n\n\r\n", hello().trim() + "\r\n\r\n\n");
    await peer.welcomed();
    await peer.send('\n\r\n{"action":"honest-ask","data":5,"id":1}\r\n\r\n');
    assertEquals((await peer.packet()).data, 5);
  });
});

Deno.test("a handshake and what follows it may come in one chunk, or byte by byte", async () => {
  await withServer({}, async ({ connect }) => {
    const all = hello() + line({ action: "honest-ask", data: "ö".repeat(4_000), id: 1 }) +
      line({ action: "honest-ask", data: 2, id: 2 });
    const whole = await connect();
    await whole.send(all);
    await whole.welcomed();
    assertEquals((await whole.packet())["reply-to"], 1);
    assertEquals((await whole.packet()).data, 2);

    const sliced = await connect();
    const script = hello() + line({ action: "honest-ask", data: "ö€😀", id: 1 });
    for (const byte of bytes(script)) await sliced.send(Uint8Array.of(byte));
    await sliced.welcomed();
    assertEquals((await sliced.packet()).data, "ö€😀");
  });
});

Deno.test("what a server refuses does not wait for a client that does not read", async () => {
  await withServer({ drainTimeoutMs: 100 }, async ({ connect, server, time }) => {
    const peer = await connect();
    peer.stopReading();
    await peer.send("x\n");
    await until(() => handshakesOf(server).startsWith("1 "), "the server saw it");
    const given = until(() => handshakesOf(server).startsWith("0 "), "the server gave it up");
    await time.leapUntil(given, "its being given up");
  });
});

// The same from the other side: a client of ours and a server that is none.

/** Every answer that is no welcome, and what `start()` rejects with. */
const BAD_WELCOMES: [
  what: string,
  sent: string | Uint8Array,
  type: unknown,
  code: string,
][] = [
  ["row 4: 5 KiB without an LF", "x".repeat(5 * 1_024), ProtocolError, "PACKET_TOO_LARGE"],
  ["row 5: an HTTP answer", "HTTP/1.1 400 Bad Request\r\n\r\n", ProtocolError, "BAD_JSON"],
  ["row 5: a TLS record", CLIENT_HELLO, ProtocolError, "BAD_UTF8"],
  ["row 7: a user packet", line({ action: "hi", data: {} }), ProtocolError, "UNEXPECTED_PACKET"],
  ["row 9: version 2", welcome({ version: 2 }), ProtocolError, "VERSION_UNSUPPORTED"],
  ["row 12: a BOM", "\uFEFF" + welcome(), ProtocolError, "BAD_JSON"],
  ["row 14: null", "null\n", ProtocolError, "BAD_PACKET"],
  ["no data", line({ action: "@handshake", token: TOKEN }), ProtocolError, "BAD_PACKET"],
  ["a handshake of a client", hello(), ProtocolError, "BAD_PACKET"],
  ["no token", welcome({}, null), ProtocolError, "BAD_PACKET"],
  ["a token that is none", welcome({}, "1"), ProtocolError, "BAD_PACKET"],
  ["a token of another version", welcome({}, ID), ProtocolError, "BAD_PACKET"],
  ["a token in pieces", welcome({}, `${TOKEN}\n`), ProtocolError, "BAD_PACKET"],
  ["no id", welcome({ id: undefined }), ProtocolError, "BAD_PACKET"],
  ["an id that is none", welcome({ id: "\x1b]0;x\x07" }), ProtocolError, "BAD_PACKET"],
  ["row 44: a limit of 0", welcome({ limits: { maxPacketBytes: 0 } }), ProtocolError, "BAD_PACKET"],
  [
    "row 44: a limit of 1e99",
    welcome({ limits: { maxPacketBytes: 1e99 } }),
    ProtocolError,
    "BAD_PACKET",
  ],
  [
    "row 44: limits in a list",
    welcome({ limits: [[]] }).replace("[[]]", "7"),
    ProtocolError,
    "BAD_PACKET",
  ],
  ["a refusal", refusal("REFUSED", "not you"), HandshakeError, "REFUSED"],
  ["a refusal for lack of room", refusal("SERVER_FULL", "full"), HandshakeError, "SERVER_FULL"],
  [
    "a refusal for the version",
    refusal("VERSION_UNSUPPORTED", "no"),
    ProtocolError,
    "VERSION_UNSUPPORTED",
  ],
  [
    "a goodbye",
    line({ action: "@close", data: { code: "GOING_AWAY", reason: "bye" } }),
    ConnectionError,
    "GOING_AWAY",
  ],
];

function welcome(data: object = {}, token: string | null = TOKEN): string {
  const packet = { action: "@handshake", data: { status: "success", version: 1, id: ID, ...data } };
  return line({ ...packet, token });
}

function refusal(code: string, message: string): string {
  return line({ action: "@handshake", data: { status: "error", code, message } });
}

for (const [what, sent, type, code] of BAD_WELCOMES) {
  Deno.test(`${what}, for an answer to the handshake: a client's start fails with ${code}`, async () => {
    await withHostileServer({}, async ({ server, client, logs }) => {
      const script = async () => {
        const peer = await server.accept();
        assertEquals((await peer.packet()).action, "@handshake");
        await peer.send(sent);
        await peer.toEnd();
        peer.fin();
      };
      const [error] = await Promise.all([
        assertRejects(() => client.start(), PnetworkError),
        script(),
      ]);
      assertEquals([error.constructor, error.code], [type, code]);
      assertEquals(client.state, "idle");
      assertEquals([client.token, client.id, client.connection], [undefined, undefined, undefined]);
      logs.assertLacks(TOKEN);

      // And with a server that behaves it may try again.
      const [peer] = await Promise.all([server.register(), client.start()]);
      assertEquals(client.token, peer.token);
    });
  });
}

Deno.test("row 1: a client gives a silent server its time, then fails with HANDSHAKE_TIMEOUT", async () => {
  await withHostileServer({}, async ({ server, client, time }) => {
    const leave = async () => {
      const peer = await server.accept();
      await peer.toEnd();
      peer.fin();
    };
    const starting = assertRejects(() => client.start(), HandshakeError);
    const both = Promise.all([starting, leave()]);
    const [error] = await time.leapUntil(both, "a failure");
    assertEquals(error.code, "HANDSHAKE_TIMEOUT");
  });
});

Deno.test("row 2: a server that answers byte by byte does not move the client's deadline", async () => {
  await withHostileServer({ handshakeTimeoutMs: 5_000 }, async ({ server, client, time }) => {
    const drip = async () => {
      const peer = await server.accept();
      while (!peer.ended) {
        await peer.send(" ");
        await pause(1);
        time.leap(100);
      }
      peer.fin();
    };
    const [error] = await Promise.all([
      assertRejects(() => client.start(), HandshakeError),
      drip(),
    ]);
    assertEquals(error.code, "HANDSHAKE_TIMEOUT");
  });
});

Deno.test("row 3: a server that leaves instead of answering is CONNECTION_LOST", async () => {
  await withHostileServer({}, async ({ server, client, logs }) => {
    const leavings: ((peer: RawPeer) => unknown)[] = [
      (peer) => peer.fin(),
      (peer) => peer.reset(),
      async (peer) => {
        await peer.send(welcome().slice(0, -1));
        peer.fin();
      },
    ];
    for (const leave of leavings) {
      const script = async () => {
        const peer = await server.accept();
        await peer.packetOf("@handshake");
        await leave(peer);
      };
      const [error] = await Promise.all([
        assertRejects(() => client.start(), ConnectionError),
        script(),
      ]);
      assertEquals(error.code, "CONNECTION_LOST");
      assertEquals(client.state, "idle");
    }
    logs.assertNoErrors();
  });
});

Deno.test("row 42: what a server says in its refusal is fit to be shown", async () => {
  await withHostileServer({}, async ({ server, client }) => {
    const evil = "\x1b]0;owned\x07\u202e\x9b\r\n";
    const refuse = async (text: string) => {
      const peer = await server.accept();
      await peer.send(text);
      await peer.toEnd();
      peer.fin();
    };
    for (
      const text of [
        refusal("REFUSED", evil),
        refusal(evil, evil),
        refusal("REFUSED", "x".repeat(3_000)),
        line({ action: "@close", data: { code: evil, reason: evil } }),
      ]
    ) {
      const [error] = await Promise.all([
        assertRejects(() => client.start(), PnetworkError),
        refuse(text),
      ]);
      assert(!/[\p{Cc}\p{Cf}]/u.test(error.message), JSON.stringify(error.message));
      assert(error.message.length < 1_000);
    }
  });
});

Deno.test("a goodbye in the same chunk as the welcome ends the client in order", async () => {
  const events: string[] = [];
  const options = {
    onConnect: () => void events.push("connect"),
    onDisconnect: () => void events.push("disconnect"),
  };
  await withHostileServer(options, async ({ client, start }) => {
    const goodbye = line({ action: "@close", data: { code: "GOING_AWAY", reason: "bye" } });
    const peer = await start({}, goodbye);
    peer.fin();
    assertEquals((await within(client.closed, "the client's end")).code, "GOING_AWAY");
    assertEquals(client.clients.size, 0);
    assertEquals(client.state, "closed");
    assertEquals(events, ["connect", "disconnect"]);
  });
});

Deno.test("a bad line in the same chunk as the welcome ends the client in order", async () => {
  const events: string[] = [];
  const options = {
    onConnect: () => void events.push("connect"),
    onDisconnect: () => void events.push("disconnect"),
  };
  await withHostileServer(options, async ({ client, start }) => {
    const peer = await start({}, "nonsense\n");
    await peer.farewell("BAD_JSON");
    assertEquals((await within(client.closed, "the client's end")).code, "BAD_JSON");
    assertEquals(client.clients.size, 0);
    assertEquals(events, ["connect", "disconnect"]);
  });
});

Deno.test("a server that resets right after the welcome is no error of the client", async () => {
  await withHostileServer({}, async ({ server, client }) => {
    const script = async () => {
      const peer = await server.register();
      await peer.reset();
    };
    const [started] = await Promise.allSettled([client.start(), script()]);
    if (started.status === "fulfilled") {
      assertEquals((await within(client.closed, "the client's end")).code, "CONNECTION_LOST");
    } else {
      assertInstanceOf(started.reason, ConnectionError);
    }
  });
});
