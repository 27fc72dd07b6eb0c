// TLS between a server and its clients. The rows are those of the project's list of bad inputs.

import {
  assert,
  assertEquals,
  assertFalse,
  assertLess,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  Client,
  type ClientOptions,
  ConnectionError,
  createIdentity,
  CryptoError,
  PnetworkError,
  Server,
  type ServerOptions,
  type TlsServerOptions,
} from "../../mod.ts";
import { AUTHORITY, EXPIRED, ONE, SIGNED, TWO } from "../support/certs.ts";
import { FaultyProxy, type OnBytes } from "../support/faulty_proxy.ts";
import { Logs } from "../support/logs.ts";
import { withNetwork } from "../support/network_scene.ts";
import { hello, RawPeer } from "../support/raw_peer.ts";
import { IMPATIENT, withHostileServer, withServer } from "../support/scene.ts";
import { pause, settle, until, within } from "../support/wait.ts";

const TRUSTING = { tls: { caCerts: [ONE.cert] } };

/** Lets something happen to a server with this certificate. */
async function withTls(
  options: ServerOptions,
  act: (server: Server) => Promise<void>,
): Promise<void> {
  await using logs = await Logs.capture();
  await using server = new Server({ port: 0, drainTimeoutMs: 500, tls: ONE, ...options });
  server.bindAction("echo", (data) => data);
  await server.start();
  await act(server);
  logs.assertNoErrors();
  logs.assertIsSafe();
}

/** Resolves to the code with which a client fails to start. */
async function failure(options: ClientOptions): Promise<PnetworkError> {
  await using client = new Client(options);
  const error = await assertRejects(() => within(client.start(), "the client"), PnetworkError);
  assertEquals(client.clients.size, 0);
  return error;
}

/** Connects, asks for something, and leaves. */
async function visit(options: ClientOptions): Promise<void> {
  await using client = new Client(options);
  await within(client.start(), "the client");
  assertEquals(await client.request("echo", "hello"), "hello");
}

// Who is trusted

Deno.test("a certificate that is signed by itself is trusted where it is named", async () => {
  await withTls({}, async (server) => {
    const { port } = server;
    await visit({ port, ...TRUSTING });
    await visit({ port, tls: { caCerts: [TWO.cert, ONE.cert] } });
    await visit({ port, tls: { caCerts: [ONE.cert], hostname: "localhost" } });
    await visit({ port, host: "localhost", tls: { caCerts: [ONE.cert], hostname: "127.0.0.1" } });
  });
});

Deno.test("a certificate is trusted for the authority that has signed it", async () => {
  await withTls({ tls: SIGNED }, async ({ port }) => {
    await visit({ port, tls: { caCerts: [AUTHORITY] } });
    await visit({ port, tls: { caCerts: [ONE.cert, AUTHORITY] } });
  });
});

const UNTRUSTED: Record<string, [shown: TlsServerOptions, trusts: ClientOptions["tls"]]> = {
  "that nobody vouches for": [ONE, {}],
  "other than the one that is named": [ONE, { caCerts: [TWO.cert] }],
  "for another name": [ONE, { caCerts: [ONE.cert], hostname: "example.org" }],
  "that has expired": [EXPIRED, { caCerts: [AUTHORITY] }],
  "of an authority that is not named": [SIGNED, { caCerts: [ONE.cert] }],
};

for (const [which, [tls, trusts]] of Object.entries(UNTRUSTED)) {
  Deno.test(`a certificate ${which} is UNTRUSTED_PEER, for good, and its server is told nothing`, async () => {
    let asked = 0;
    await withTls({ tls, authenticate: () => !!++asked }, async (server) => {
      let retries = 0;
      await using client = new Client({
        port: server.port,
        tls: trusts,
        ...IMPATIENT,
        onRetry: () => void retries++,
      });
      const starting = client.start({ retry: true });
      const error = await assertRejects(() => within(starting, "the client"), CryptoError);
      assertEquals([error.code, client.state, retries], ["UNTRUSTED_PEER", "idle", 0]);
      assert(error.message.startsWith("the server's certificate is not trusted: "));
      await until(() => server.loops[1].waitsFor.startsWith("0 "), "the server let go of it");
      assertEquals([asked, server.clients.size], [0, 0]);
    });
  });
}

Deno.test("a client whose server shows another certificate when it comes back stops hard", async () => {
  await using other = new Server({ port: 0, tls: TWO });
  await other.start();
  const options = { server: { tls: ONE }, client: TRUSTING };
  await withNetwork(options, async ({ client, proxy, drop, told, server }) => {
    const { token } = client;
    proxy.to = other.port;
    await drop();
    const { code } = await within(client.closed, "the client's end");
    assertEquals([code, told.at(-1)], ["UNTRUSTED_PEER", "client onDisconnect UNTRUSTED_PEER"]);
    const links = proxy.links.length;
    await pause(60);
    assertEquals([proxy.links.length, other.clients.size], [links, 0]);
    await server.clients.get(token!)!.close();
  });
});

// Sessions

Deno.test("requests, broadcasts and large packets go both ways, and what a client sends is not held back", async () => {
  await withNetwork(
    { server: { tls: ONE }, client: TRUSTING },
    async ({ server, client, connection }) => {
      for (const side of [server, client]) side.bindAction("echo", (data) => data);
      const large = "x".repeat(900_000);
      for (const side of [client, connection]) {
        assertEquals(
          await side.request("echo", large),
          large,
        );
      }
      const replies = await server.broadcast({ action: "echo", data: 1 }, { request: true });
      assertEquals([...replies.values()], [{ status: "reply", data: 1 }]);
      assertEquals([connection.fingerprint, client.connection!.fingerprint], [
        undefined,
        undefined,
      ]);
      // Two writes, and an answer that is waited for: 40 ms each, where they are held back.
      const TIMES = 30;
      const start = performance.now();
      for (let time = 0; time < TIMES; time++) {
        client.sendPacket({ action: "unheard-of" });
        await pause(0);
        assertEquals(await client.request("echo", time), time);
      }
      assertLess(performance.now() - start, TIMES * 25);
    },
  );
});

for (const by of ["fin", "reset"] as const) {
  Deno.test(`row 41: a cut by ${by} without close_notify is a drop, and the session resumes`, async () => {
    await withNetwork({ server: { tls: ONE }, client: TRUSTING }, async (scene) => {
      const { server, client, connection, drop, resumed, told } = scene;
      const seen = { client: [] as unknown[], server: [] as unknown[] };
      server.bindAction("n", (n) => void seen.server.push(n));
      client.bindAction("n", (n) => void seen.client.push(n));
      const { token } = client;
      for (let time = 1; time <= 5; time++) {
        client.sendPacket({ action: "n", data: time });
        connection.sendPacket({ action: "n", data: time });
        await drop(by);
        await resumed(time);
      }
      await Promise.all([client.delivered(), connection.delivered()]);
      assertEquals(seen, { client: [1, 2, 3, 4, 5], server: [1, 2, 3, 4, 5] });
      assertEquals(client.token, token);
      const drops = told.filter((what) => what.includes("onDetach"));
      assertEquals(
        new Set(drops),
        new Set(["client", "server"].map((who) => `${who} onDetach CONNECTION_LOST`)),
      );
    });
  });
}

Deno.test("what anyone on the way could say of certificates does not end a client for good", async () => {
  const BAD_CERTIFICATE = 42, CERTIFICATE_EXPIRED = 45, UNKNOWN_AUTHORITY = 48;
  let alert: number | undefined;
  const onBytes: OnBytes = (_link, direction) => {
    if (alert === undefined || direction === "toServer") return;
    // Not encrypted, and of nobody.
    const forged = Uint8Array.of(21, 3, 3, 0, 2, 2, alert);
    alert = undefined;
    return forged;
  };
  const options = { server: { tls: ONE }, client: TRUSTING, onBytes };
  await withNetwork(options, async ({ client, proxy, drop, resumed }) => {
    const { token } = client;
    for (
      const [time, code] of [BAD_CERTIFICATE, CERTIFICATE_EXPIRED, UNKNOWN_AUTHORITY].entries()
    ) {
      alert = code;
      await drop();
      await resumed(time + 1);
      assertEquals([alert, proxy.links.length], [undefined, 1 + 2 * (time + 1)]);
    }
    assertEquals(client.token, token);
  });
});

Deno.test("row 41: without a session a cut is told from an end in order", async () => {
  const ends: string[] = [];
  const onDisconnect = (_connection: unknown, { code }: { code: string }) => void ends.push(code);
  await withTls({ onDisconnect }, async (server) => {
    await using proxy = await FaultyProxy.listen({ to: server.port });
    const gate = Promise.withResolvers<void>();
    server.bindAction("wait", () => gate.promise);
    const options = { port: proxy.port, session: false, ...TRUSTING };
    await using client = new Client(options);
    await client.start();
    const asked = client.request("wait").catch(({ code }) => code);
    await until(() => [...server.clients.values()][0].stats.inFlight === 1, "the handler runs");
    proxy.cutAll("fin");
    assertEquals(await asked, "CONNECTION_LOST");
    // Were it an end in order, the handler would be waited for.
    await until(() => server.clients.size === 0, "the server let go of it");
    assertEquals((await client.closed).code, "CONNECTION_LOST");
    gate.resolve();
    await using orderly = new Client(options);
    await orderly.start();
    await orderly.close();
    await until(() => server.clients.size === 0, "the server let go of it");
    assertEquals(ends, ["CONNECTION_LOST", "CLOSED"]);
  });
});

Deno.test("without a session, whoever ends its output in order still gets its replies over TLS", async () => {
  await withTls({}, async (server) => {
    const gate = Promise.withResolvers<string>();
    server.bindAction("wait", () => gate.promise);
    const options = { hostname: "localhost", port: server.port, caCerts: [ONE.cert] };
    using conn = await Deno.connectTls(options);
    const say = (line: string) => conn.write(new TextEncoder().encode(line + "\n"));
    const { readable } = conn;
    await say(hello());
    await say('{"action":"wait","id":1}');
    await until(() => [...server.clients.values()][0]?.stats.inFlight === 1, "the handler runs");
    await conn.closeWrite();
    await until(() => [...server.clients.values()][0].state === "draining", "its end came");
    await settle();
    gate.resolve("all is well");
    const text = await within(new Response(readable).text(), "the end");
    assertStringIncludes(text, "all is well");
  });
});

Deno.test("both sides say goodbye over TLS", async () => {
  await withTls({}, async (server) => {
    const options = { port: server.port, ...TRUSTING, session: false };
    await using client = new Client(options);
    await client.start();
    await server.close({ reason: "the day is over" });
    assertEquals(await client.closed, { code: "GOING_AWAY", reason: "the day is over" });
  });
});

// Bad input

Deno.test("row 6: plain JSON on a TLS port is closed, and the server goes on accepting", async () => {
  await withServer({ tls: ONE, handshakeTimeoutMs: 2_000 }, async ({ server, connect }) => {
    for (
      const said of [
        hello(),
        "GET / HTTP/1.1\r\n\r\n",
        new Uint8Array(500),
        "\n",
        "x".repeat(20_000),
      ]
    ) {
      const peer = await connect();
      await peer.send(said);
      if (said === "\n") peer.fin();
      await until(() => peer.ended !== undefined, "the socket was closed");
      // An alert of TLS at most.
      assertLess(peer.bytesReceived, 50);
      assertFalse(peer.text.includes("{"));
    }
    for (const how of ["fin", "reset"] as const) {
      const peer = await connect();
      if (how === "fin") peer.fin();
      else await peer.reset();
    }
    const error = await failure({ port: server.port });
    assert(["CONNECTION_LOST", "BAD_UTF8", "BAD_JSON"].includes(error.code), error.code);
    assertEquals(
      (await failure({ port: server.port, secure: { pin: () => true } })).code,
      "CONNECTION_LOST",
    );
    await visit({ port: server.port, ...TRUSTING }).catch((error) =>
      assertEquals(error.code, "NO_ACTION")
    );
  });
});

Deno.test("a client with TLS of a server without it says so", async () => {
  await withServer({}, async ({ server }) => {
    const error = await failure({ port: server.port, ...TRUSTING });
    assertEquals(error.code, "CONNECTION_LOST");
    assert(error.message.startsWith("TLS could not be agreed on: "), error.message);
  });
  const secure = await createIdentity();
  await withServer({ secure }, async ({ server }) => {
    assertEquals((await failure({ port: server.port, ...TRUSTING })).code, "CONNECTION_LOST");
  });
});

Deno.test("a client that says nothing, or little, is given up at the deadline while others are served", async () => {
  const options = { tls: ONE, handshakeTimeoutMs: 5_000 };
  await withServer(options, async ({ server, connect, honest, time }) => {
    const silent = await Promise.all(Array.from({ length: 20 }, () => connect()));
    await until(() => server.loops[1].waitsFor.startsWith("20 "), "all are there");
    // A ClientHello that never comes to its end.
    const [slow] = silent;
    let isOver = false;
    const dripping = (async () => {
      await slow.send(Uint8Array.of(22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3));
      while (!isOver) {
        await slow.send(Uint8Array.of(7));
        await pause(1);
        time.leap(100);
      }
    })();
    await honest.rounds();
    await until(() => server.loops[1].waitsFor.startsWith("0 "), "all were given up");
    await honest.rounds();
    isOver = true;
    await dripping;
    for (const peer of silent) assertEquals(peer.bytesReceived, 0);
  });
});

Deno.test("one client too many to shake hands with is turned away at once, and not waited for", async () => {
  const options = { tls: ONE, exemptLoopback: false, maxHandshakesPerAddress: 2 };
  await withServer(
    { ...options, handshakeTimeoutMs: 5_000 },
    async ({ server, connect, honest, logs }) => {
      const silent = [await connect("127.0.0.9"), await connect("127.0.0.9")];
      await until(() => server.loops[1].waitsFor.startsWith("2 "), "both are there");
      for (let n = 0; n < 10; n++) await connect("127.0.0.9");
      await until(() => logs.text.split("too many handshakes at once").length > 10, "all were");
      assertEquals(server.loops[1].waitsFor, "2 clients to shake hands");
      await honest.rounds();
      for (const peer of silent) await peer.close();
      await until(() => server.loops[1].waitsFor.startsWith("0 "), "they are gone");
    },
  );
});

Deno.test("a server that says nothing is given up at the deadline", async () => {
  await withHostileServer(TRUSTING, async ({ server, client, time }) => {
    const starting = client.start().catch(({ code }) => code);
    await server.accept();
    assertEquals(await time.leapUntil(starting, "an outcome"), "HANDSHAKE_TIMEOUT");
  });
});

Deno.test("close() and a signal call off a client that waits for TLS", async () => {
  await withHostileServer(TRUSTING, async ({ server, client }) => {
    const controller = new AbortController();
    const starting = client.start({ signal: controller.signal }).catch((reason) => reason);
    const first = await server.accept();
    await until(() => first.bytesReceived > 0, "the client began");
    controller.abort("enough");
    assertEquals(await within(starting, "the client"), "enough");
    const again = client.start().catch(({ code }) => code);
    const second = await server.accept();
    await until(() => second.bytesReceived > 0, "the client began again");
    await within(client.close(), "the client's end");
    assertEquals(await again, "CLOSED");
  });
});

Deno.test("a server that is closed does not wait for those that have not agreed on TLS", async () => {
  await withTls({ handshakeTimeoutMs: 60_000 }, async (server) => {
    await using _silent = await RawPeer.connect({ port: server.port });
    await until(() => server.loops[1].waitsFor.startsWith("1 "), "it is there");
    await within(server.close(), "the server's end", 2_000);
  });
});

// Another certificate

Deno.test("a certificate is replaced without dropping anyone, and newcomers are shown the new one", async () => {
  await withTls({}, async (server) => {
    const { port } = server;
    let detaches = 0;
    await using client = new Client({ port, ...TRUSTING, onDetach: () => void detaches++ });
    await client.start();
    await server.replaceCertificate(TWO);
    assertEquals([server.port, server.state], [port, "listening"]);
    assertEquals(await client.request("echo", 1), 1);
    await visit({ port, tls: { caCerts: [TWO.cert] } });
    assertEquals((await failure({ port, ...TRUSTING })).code, "UNTRUSTED_PEER");
    await server.replaceCertificate(ONE);
    await visit({ port, ...TRUSTING });
    assertEquals([await client.request("echo", 2), detaches], [2, 0]);
  });
});

Deno.test("under traffic of clients that stay, and while others come and go, a certificate is replaced ten times", async () => {
  await withTls({}, async (server) => {
    const { port } = server;
    const tls = { caCerts: [ONE.cert, TWO.cert] };
    let detaches = 0;
    let isOver = false;
    const clients = Array.from({ length: 3 }, () => {
      return new Client({ port, tls, onDetach: () => void detaches++ });
    });
    await Promise.all(clients.map((client) => client.start()));
    const staying = clients.map(async (client) => {
      let n = 0;
      for (; !isOver; n++) assertEquals(await client.request("echo", n), n);
      await client.close();
      return n;
    });
    const coming = Array.from({ length: 2 }, async () => {
      let visits = 0;
      for (; !isOver; visits++) {
        await using client = new Client({ port, tls, ...IMPATIENT });
        await within(client.start({ retry: true }), "the newcomer");
        assertEquals(await client.request("echo", visits), visits);
      }
      return visits;
    });
    for (let time = 1; time <= 10; time++) {
      await server.replaceCertificate(time % 2 === 1 ? TWO : ONE);
      await pause(20);
    }
    isOver = true;
    for (const count of await Promise.all([...staying, ...coming])) assert(count > 0);
    assertEquals([detaches, server.port], [0, port]);
  });
});

Deno.test("what is no certificate replaces none", async () => {
  await withTls({}, async (server) => {
    const { port } = server;
    const wrong: TlsServerOptions[] = [
      { cert: "nonsense", key: ONE.key },
      { cert: ONE.cert, key: "nonsense" },
      { cert: ONE.cert, key: TWO.key },
      { cert: ONE.key, key: ONE.cert },
      { cert: "", key: "" },
    ];
    for (const tls of wrong) {
      const error = await assertRejects(() => server.replaceCertificate(tls), ConnectionError);
      assertEquals(error.code, "LISTEN_FAILED");
      await visit({ port, ...TRUSTING });
    }
    const misuse: unknown[] = [undefined, null, "x", {}, { cert: ONE.cert }, { cert: 1, key: 2 }];
    for (const tls of misuse) {
      await assertRejects(() => server.replaceCertificate(tls as TlsServerOptions), TypeError);
    }
    await visit({ port, ...TRUSTING });
  });
});

Deno.test("certificates that are replaced at the same time are replaced one after the other", async () => {
  await withTls({}, async (server) => {
    const { port } = server;
    await Promise.all([TWO, ONE, SIGNED, TWO].map((tls) => server.replaceCertificate(tls)));
    assertEquals([server.port, server.state], [port, "listening"]);
    await visit({ port, tls: { caCerts: [TWO.cert] } });
    assertEquals((await failure({ port, ...TRUSTING })).code, "UNTRUSTED_PEER");
  });
});

Deno.test("a server may be closed at any moment while its certificate is replaced", async () => {
  for (let turns = 0; turns < 12; turns++) {
    await withTls({}, async (server) => {
      await using client = new Client({ port: server.port, ...TRUSTING, session: false });
      await client.start();
      const replacing = server.replaceCertificate(TWO).then(() => "done", ({ code }) => code);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await within(server.close(), "the server's end");
      assert(["done", "CLOSED"].includes(await within(replacing, "the certificate")));
      assertEquals([server.state, (await client.closed).code], ["closed", "GOING_AWAY"]);
      // Nobody listens there any more.
      assertEquals((await failure({ port: client.port, ...TRUSTING })).code, "CONNECT_FAILED");
    });
  }
});

Deno.test("only a server that listens with TLS has a certificate to replace", async () => {
  const replace = (server: Server) =>
    assertRejects(() => server.replaceCertificate(TWO), TypeError, "a certificate to replace");
  await using idle = new Server({ port: 0, tls: ONE });
  await replace(idle);
  await using plain = new Server({ port: 0 });
  await plain.start();
  await replace(plain);
  await using secure = new Server({ port: 0, secure: await createIdentity() });
  await secure.start();
  await replace(secure);
  await idle.start();
  await idle.close();
  await replace(idle);
});

// Options

Deno.test("options that do not go together, or cannot be right, are TypeErrors", async () => {
  const identity = await createIdentity();
  const secure = { pin: identity.fingerprint };
  const servers: [options: unknown, says: string][] = [
    [{ tls: ONE, secure: identity }, "tls goes without secure"],
    [{ tls: ONE, path: "/tmp/x" }, "without path"],
    [{ tls: null }, "options must be an object"],
    [{ tls: "cert.pem" }, "options must be an object"],
    [{ tls: {} }, "tls.cert must be a string, got undefined"],
    [{ tls: { cert: ONE.cert } }, "tls.key must be a string, got undefined"],
    [{ tls: { cert: new Uint8Array(5), key: ONE.key } }, "tls.cert must be a string, got object"],
    [{ secure: {} }, "secure must be an Identity"],
    [{ secure: secure.pin }, "secure must be an Identity"],
    [{ secure: null }, "secure must be an Identity"],
    [{ secure: true }, "secure must be an Identity"],
    [{ secure }, "secure must be an Identity"],
  ];
  for (const [options, says] of servers) {
    assertThrows(() => new Server(options as ServerOptions), TypeError, says);
  }
  const clients: [options: unknown, says: string][] = [
    [{ tls: {}, secure }, "tls goes without secure"],
    [{ tls: {}, path: "/tmp/x" }, "without path"],
    [{ tls: null }, "options must be an object"],
    [{ tls: true }, "options must be an object"],
    [{ tls: { hostname: 5 } }, "tls.hostname must be a string, got number"],
    [{ tls: { caCerts: ONE.cert } }, "tls.caCerts must be a list of certificates"],
    [{ tls: { caCerts: [5] } }, "tls.caCerts must be a list of certificates"],
    [{ tls: { caCerts: ["cert.pem"] } }, "tls.caCerts must be a list of certificates"],
    [{ tls: { caCerts: [ONE.key] } }, "tls.caCerts must be a list of certificates"],
    [{ secure: identity }, "secure.pin must be"],
    [{ secure: {} }, "secure.pin must be"],
    [{ secure: identity.fingerprint }, "options must be an object"],
    [{ secure: { pin: identity } }, "secure.pin must be"],
    [{ secure: { ...secure, identity: secure } }, "secure.identity must be an Identity"],
  ];
  for (const [options, says] of clients) {
    assertThrows(() => new Client(options as ClientOptions), TypeError, says);
  }
});

Deno.test("a server whose certificate is none does not start, and may be closed", async () => {
  for (const tls of [{ cert: "x", key: "y" }, { cert: ONE.cert, key: TWO.key }]) {
    await using server = new Server({ port: 0, tls });
    await assertRejects(() => server.start(), ConnectionError, "cannot listen on");
    assertEquals(server.state, "idle");
  }
});

Deno.test("options that are changed later change nothing", async () => {
  const shown = { ...ONE };
  const trusted = [ONE.cert];
  await using server = new Server({ port: 0, tls: shown });
  Object.assign(shown, TWO);
  server.bindAction("echo", (data) => data);
  await server.start();
  await using client = new Client({ port: server.port, tls: { caCerts: trusted } });
  trusted.length = 0;
  await client.start();
  assertEquals(await client.request("echo", 1), 1);
});
