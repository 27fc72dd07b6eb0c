import { assertEquals, assertGreater } from "@std/assert";
import { Process, programCommand } from "../support/cli.ts";
import { FaultyProxy, type Incident, type Plan } from "../support/faulty_proxy.ts";
import { RawPeer, RawServer } from "../support/raw_peer.ts";
import { pause, until } from "../support/wait.ts";

interface Ends {
  proxy: FaultyProxy;
  client: RawPeer;
  server: RawPeer;
  incidents: Incident[];
}

/** Two raw ends, and a proxy with this plan in between. */
async function between(plan: Plan, act: (ends: Ends) => Promise<void>): Promise<void> {
  const incidents: Incident[] = [];
  await using listener = await RawServer.listen();
  await using proxy = await FaultyProxy.listen({
    to: listener.port,
    plans: [plan],
    onIncident: (incident) => incidents.push(incident),
  });
  await using client = await RawPeer.connect({ port: proxy.port });
  const server = await listener.accept();
  await act({ proxy, client, server, incidents });
}

Deno.test("without a plan the faulty proxy passes all bytes and ends on", async () => {
  await between({}, async ({ client, server, proxy }) => {
    const much = "x".repeat(1_000_000);
    await client.send(much);
    await until(() => server.bytesReceived === much.length, "all came");
    await server.send("back");
    await until(() => client.text === "back", "the answer came");
    assertEquals(proxy.last!.bytes, { toServer: much.length, toClient: 4 });
    client.fin();
    await until(() => server.ended === "fin", "the FIN came");
    await server.send(" again");
    await until(() => client.text === "back again", "the other direction goes on");
    await server.reset();
    await until(() => client.ended === "reset", "the reset came");
    await until(() => proxy.open.length === 0, "the link has ended");
  });
});

Deno.test("a cut by FIN lets exactly so many bytes through", async () => {
  for (const after of [0, 1, 5]) {
    const plan: Plan = { toServer: { cut: { after, by: "fin" } } };
    await between(plan, async ({ client, server, incidents }) => {
      await client.send("0123456789");
      await until(() => client.ended === "fin" && server.ended === "fin", "both were told");
      assertEquals(server.text, "0123456789".slice(0, after));
      const bytes = { toServer: after, toClient: 0 };
      assertEquals(incidents, [{ link: 0, kind: "fin", direction: "toServer", bytes }]);
    });
  }
});

Deno.test("a cut by reset may be seen by one side alone", async () => {
  const plan: Plan = { toClient: { cut: { after: 3, by: "reset", side: "client" } } };
  await between(plan, async ({ client, server, proxy }) => {
    await server.send("0123456789");
    await until(() => client.ended === "reset", "the client was told");
    assertEquals(proxy.last!.bytes.toClient, 3);
    await server.send("more");
    await pause(20);
    assertEquals(server.ended, undefined);
  });
});

Deno.test("a silent direction lets nothing through, and all of it later when it is healed", async () => {
  await between({ toServer: { silenceAfter: 4 } }, async ({ client, server, proxy, incidents }) => {
    await client.send("0123456789");
    client.fin();
    await until(() => incidents.length === 1, "it went silent");
    await server.send("the other way");
    await until(() => client.text === "the other way", "the other direction goes on");
    assertEquals([server.text, server.ended], ["0123", undefined]);
    proxy.last!.heal();
    await until(() => server.ended === "fin", "the rest came");
    assertEquals(server.text, "0123456789");
  });
});

Deno.test("what was on its way when the client was cut off goes through late, if it is healed", async () => {
  const plan: Plan = { toServer: { cut: { after: 3, by: "reset", side: "client" } } };
  await between(plan, async ({ client, server, proxy }) => {
    await client.send("0123456789");
    await until(() => client.ended === "reset", "the client was told");
    assertEquals([server.text, server.ended], ["012", undefined]);
    proxy.last!.heal();
    await until(() => server.bytesReceived === 10, "the rest came");
    assertEquals([server.text, server.ended], ["0123456789", undefined]);
    server.fin();
    await until(() => server.ended === "fin", "the half that was open ends with its server");
  });
});

Deno.test("a plan may be made when the first bytes have arrived", async () => {
  await using listener = await RawServer.listen();
  await using proxy = await FaultyProxy.listen({
    to: listener.port,
    onBytes: (link, direction, bytes) => {
      const after = new TextDecoder().decode(bytes).indexOf("4");
      if (direction === "toServer") link.apply({ toServer: { cut: { after, by: "fin" } } });
    },
  });
  await using client = await RawPeer.connect({ port: proxy.port });
  const server = await listener.accept();
  await client.send("0123456789");
  await until(() => server.ended === "fin", "it was cut");
  assertEquals(server.text, "0123");
});

Deno.test("slices and delays change no byte", async () => {
  const faults = { slice: { bytes: 1, until: 100 }, delayMs: 1 };
  await between({ toServer: faults, toClient: faults }, async ({ client, server }) => {
    const text = "0123456789".repeat(50);
    await Promise.all([client.send(text), server.send(text)]);
    await until(() => client.bytesReceived + server.bytesReceived === 1_000, "all came");
    assertEquals([client.text, server.text], [text, text]);
  });
});

Deno.test("a pulled cable is silent, and lets new connections through when it is back", async () => {
  await between({}, async ({ client, server, proxy }) => {
    await client.send("before");
    await until(() => server.text === "before", "it went through");
    proxy.pull();
    await client.send("after");
    await using waiting = await RawPeer.connect({ port: proxy.port });
    await waiting.send("new");
    await pause(20);
    proxy.plugIn();
    await until(() => proxy.last!.bytes.toServer === 3, "the new one went through");
    assertEquals([server.text, server.ended], ["before", undefined]);
    proxy.cutAll();
    await until(() => server.ended === "reset" && waiting.ended === "reset", "all were cut");
  });
});

Deno.test("the faulty proxy runs as a process that takes commands", async () => {
  await using listener = await RawServer.listen();
  const [deno, ...args] = programCommand("tests/support/faulty_proxy_main.ts");
  await using process = new Process(deno, [...args, String(listener.port)]);
  const { port } = await process.object();
  const plans = [{ toServer: { cut: { after: 2, by: "fin" } } }];
  await process.write(JSON.stringify({ plans }) + "\n");
  assertEquals(await process.object(), { did: { plans } });
  await using first = await RawPeer.connect({ port: Number(port) });
  const server = await listener.accept();
  await first.send("0123");
  await until(() => server.ended === "fin", "it was cut");
  assertGreater(server.bytesReceived, 0);
  assertEquals((await process.object()).kind, "fin");
  await using second = await RawPeer.connect({ port: Number(port) });
  await listener.accept();
  await process.write(`{"cut":"reset"}\n`);
  await until(() => second.ended === "reset", "it was cut at once");
  await process.endInput();
  assertEquals(await process.exit(), 0);
});
