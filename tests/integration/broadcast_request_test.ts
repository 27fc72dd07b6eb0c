// Broadcasts that ask for replies.

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { type BroadcastOutcome, Client, PnetworkError, type Server } from "../../mod.ts";
import { FaultyProxy } from "../support/faulty_proxy.ts";
import type { RawPeer, RawWelcome } from "../support/raw_peer.ts";
import { comeBack } from "../support/raw_session.ts";
import { type ServerScene, withServer } from "../support/scene.ts";
import { settle, until, within } from "../support/wait.ts";

/** Everything but the honest client. */
function exceptHonest({ server, honest }: ServerScene): { id: string } {
  return server.clients.getById(honest.id)!;
}

/** What came of it, by id: `reply 5`, `error NO_ACTION`, … */
function summary(outcomes: Map<string, BroadcastOutcome>): Record<string, string> {
  return Object.fromEntries(
    [...outcomes].map(([id, outcome]) => {
      if (outcome.status === "reply") return [id, `reply ${outcome.data}`];
      assertInstanceOf(outcome.error, PnetworkError);
      return [id, `${outcome.status} ${outcome.error.code}`];
    }),
  );
}

/** Answers the next request. */
async function answer(peer: RawPeer, more: object): Promise<void> {
  const { id, action } = await peer.packetOf("ask");
  await peer.sendPacket({ action, "reply-to": id, ...more });
}

Deno.test("a broadcast that asks tells for each client what came of it", async () => {
  await withServer({}, async (scene) => {
    const { server, register } = scene;
    const peers: (RawPeer & RawWelcome)[] = [];
    for (let n = 0; n < 9; n++) peers.push(await register({ session: n % 2 === 0 }));
    const [one, two, wrong, late, silent, leaves, closes, raves, odd] = peers;
    const packet = { action: "ask", data: "how many?" };
    const asked = server.broadcast(packet, {
      request: true,
      timeoutMs: 400,
      except: exceptHonest(scene),
    });
    await answer(one, { data: 1 });
    await answer(two, { data: null });
    await answer(wrong, { error: { code: "ACTION_FAILED", message: "no" } });
    // A peer's own word for a timeout of its own is an error of its own.
    await answer(late, { error: { code: "REQUEST_TIMEOUT", message: "mine" } });
    await answer(odd, { error: { code: "SOMETHING_NEW", message: "?" } });
    await leaves.packetOf("ask");
    await leaves.reset();
    await closes.sendPacket({ action: "@close", data: { code: "CLOSED", reason: "bye" } });
    await raves.send("nonsense\n");
    const outcomes = await within(asked, "the outcome");
    assert(outcomes instanceof Map);
    assertEquals(summary(outcomes), {
      [one.id]: "reply 1",
      [two.id]: "reply null",
      [wrong.id]: "error ACTION_FAILED",
      [late.id]: "error REQUEST_TIMEOUT",
      [silent.id]: "timeout REQUEST_TIMEOUT",
      [leaves.id]: "gone CONNECTION_LOST",
      [closes.id]: "gone CLOSED",
      [raves.id]: "gone CONNECTION_LOST",
      [odd.id]: summary(outcomes)[odd.id],
    });
    assert(summary(outcomes)[odd.id].startsWith("error "));
    assertEquals(server.clients.get(silent.token)!.stats.pending, 0);
  });
});

Deno.test("nobody can hold a broadcast that asks up for longer than its time", async () => {
  await withServer({ requestTimeoutMs: false }, async (scene) => {
    const { server, register } = scene;
    const silent = await register({ session: true });
    const deaf = await register({ session: true });
    deaf.stopReading();
    const detached = await register({ session: true });
    await detached.reset();
    await until(() => server.clients.get(detached.token)!.state === "detached", "it dropped");
    const options = { request: true, timeoutMs: 100, except: exceptHonest(scene) } as const;
    const outcomes = await within(server.broadcast({ action: "ask" }, options), "the outcome");
    assertEquals(summary(outcomes), {
      [silent.id]: "timeout REQUEST_TIMEOUT",
      [deaf.id]: "timeout REQUEST_TIMEOUT",
      [detached.id]: "timeout REQUEST_TIMEOUT",
    });
  });
});

Deno.test("a client that is detached may answer when it is back", async () => {
  await withServer({}, async (scene) => {
    const { server, register, adopt } = scene;
    const peer = await register({ session: true });
    await peer.reset();
    await until(() => server.clients.get(peer.token)!.state === "detached", "it dropped");
    const asked = server.broadcast({ action: "ask" }, {
      request: true,
      except: exceptHonest(scene),
    });
    const again = adopt(await comeBack({ port: server.port }, peer));
    await answer(again, { data: "here" });
    assertEquals(summary(await within(asked, "the outcome")), { [peer.id]: "reply here" });
  });
});

Deno.test("a client whose session is lost meanwhile is gone", async () => {
  await withServer({ sessionTtlMs: 50 }, async (scene) => {
    const { server, register } = scene;
    const peer = await register({ session: true });
    await peer.reset();
    const asked = server.broadcast({ action: "ask" }, {
      request: true,
      except: exceptHonest(scene),
    });
    assertEquals(summary(await within(asked, "the outcome")), {
      [peer.id]: "gone SESSION_LOST",
    });
  });
});

Deno.test("a broadcast that asks too large a question, or one too many, says so for each client", async () => {
  await withServer({ maxPendingRequests: 2 }, async (scene) => {
    const { server, register } = scene;
    const small = await register({ session: true, limits: { maxPacketBytes: 4_096 } });
    const busy = await register({ session: true });
    const connection = server.clients.get(busy.token)!;
    const pending = [1, 2].map((n) => connection.request("never", n).catch(() => {}));
    const outcomes = await within(
      server.broadcast({ action: "ask", data: "x".repeat(4_000) }, {
        request: true,
        except: exceptHonest(scene),
      }),
      "the outcome",
    );
    assertEquals(summary(outcomes), {
      [small.id]: "error PACKET_TOO_LARGE",
      [busy.id]: "error OVERLOADED",
    });
    await busy.reset();
    await connection.close().then(() => Promise.all(pending));
  });
});

Deno.test("a signal calls a broadcast that asks off with its reason, also when nobody looks", async () => {
  await withServer({}, async (scene) => {
    const { server, register } = scene;
    const peer = await register({ session: true });
    const options = { request: true, except: exceptHonest(scene) } as const;
    const controller = new AbortController();
    const { signal } = controller;
    const asked = server.broadcast({ action: "ask" }, { ...options, signal });
    server.broadcast({ action: "ask" }, { ...options, signal });
    server.group("none").broadcast({ action: "ask" }, { request: true, signal });
    controller.abort("enough");
    assertEquals(await asked.catch((reason) => reason), "enough");
    const late = server.broadcast({ action: "ask" }, { ...options, signal });
    assertEquals(await late.catch((reason) => reason), "enough");
    await settle();
    assertEquals(server.clients.get(peer.token)!.stats.pending, 0);
  });
});

Deno.test("a group is asked alone, and an empty one at once", async () => {
  await withServer({}, async ({ server, register }) => {
    const [a, b] = [await register(), await register({ session: true })];
    await register({ session: true });
    for (const { token } of [a, b]) server.clients.get(token)!.join("asked");
    const { id } = server.clients.get(a.token)!;
    const asked = server.group("asked").broadcast({ action: "ask" }, { request: true });
    await Promise.all([answer(a, { data: "a" }), answer(b, { data: "b" })]);
    assertEquals(summary(await asked), { [a.id]: "reply a", [b.id]: "reply b" });
    const rest = server.group("asked").broadcast({ action: "ask" }, {
      request: true,
      except: [{ id }],
    });
    await answer(b, { data: "again" });
    assertEquals(summary(await rest), { [b.id]: "reply again" });
    const none = await server.group("none").broadcast({ action: "ask" }, { request: true });
    assertEquals(none.size, 0);
  });
});

Deno.test("clients of ours answer a broadcast across a cut", async () => {
  await withServer({}, async ({ server, to, honest }) => {
    await using proxy = await FaultyProxy.listen({ to: server.port });
    const clients = Array.from(
      { length: 20 },
      () => new Client({ ...to, port: proxy.port, minRetryMs: 1 }),
    );
    for (const [n, client] of clients.entries()) {
      client.bindAction("ask", () => n);
      await client.start();
    }
    const expected = new Map(clients.map(({ id }, n) => [id!, { status: "reply", data: n }]));
    const ask = (server: Server) =>
      server.broadcast({ action: "ask" }, { request: true, except: { id: honest.id } });
    for (let time = 0; time < 5; time++) {
      const asked = ask(server);
      proxy.cutAll(time % 2 ? "fin" : "reset");
      assertEquals(
        await within(asked, "the outcome"),
        expected as typeof expected & Map<string, BroadcastOutcome>,
      );
    }
    await Promise.all(clients.map((client) => client.close()));
  });
});
