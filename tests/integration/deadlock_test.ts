// Handlers on both sides that wait for each other. Row 47 of the project's list of bad inputs.

import { assert, assertEquals } from "@std/assert";
import type { ConnectionLimits, Peer } from "../../mod.ts";
import { withNetwork } from "../support/network_scene.ts";
import { until, within } from "../support/wait.ts";

const COUNT = 2_000;

interface Setup {
  what: string;
  limits: ConnectionLimits;
  session: boolean;
  cuts: number;
  /** Whether no request may be refused. */
  isRoomy: boolean;
}

const ROOMY: ConnectionLimits = { maxInFlight: 10_000, maxPendingRequests: 10_000 };
const TIGHT: ConnectionLimits = { replayPackets: 8, replayBytes: 2_000, maxInFlight: 100 };

const SETUPS: Setup[] = [
  { what: "with the defaults", limits: {}, session: true, cuts: 0, isRoomy: false },
  { what: "without a session", limits: {}, session: false, cuts: 0, isRoomy: false },
  { what: "with room for all of them", limits: ROOMY, session: true, cuts: 0, isRoomy: true },
  { what: "in a small window", limits: TIGHT, session: true, cuts: 0, isRoomy: false },
  {
    what: "across cuts",
    limits: { ...ROOMY, replayPackets: 50 },
    session: true,
    cuts: 10,
    isRoomy: true,
  },
];

for (const { what, limits, session, cuts, isRoomy } of SETUPS) {
  Deno.test(`row 47: 2,000 handlers on each side that ask the other side all settle, ${what}`, async () => {
    const options = { server: limits, client: { ...limits, session } };
    await withNetwork(options, async (scene) => {
      const { server, client, connection, proxy, told, expectErrors } = scene;
      // Handlers that are refused a reply of their own fail.
      expectErrors();
      let settled = 0;
      let refused = 0;
      const work = async (n: unknown, _packet: unknown, peer: Peer) => {
        try {
          assertEquals(await peer.request("inner", n), n);
        } catch (error) {
          assertEquals((error as { code: string }).code, "OVERLOADED");
          refused++;
        }
        settled++;
        return n;
      };
      for (const side of [server, client]) {
        side.bindAction("work", work);
        side.bindAction("inner", (n) => n);
      }
      const asked: Promise<string>[] = [];
      for (let n = 0; n < COUNT; n++) {
        for (const side of [client, connection]) {
          const reply = side.request("work", n);
          asked.push(reply.then((data) => data === n ? "ok" : "another", ({ code }) => code));
        }
      }
      const cutting = (async () => {
        for (let cut = 0; cut < cuts; cut++) {
          await until(() => client.state === "connected", "it is connected");
          const before = proxy.links.length;
          proxy.last!.apply({ [cut % 2 ? "toServer" : "toClient"]: { cut: CUTS[cut % 3] } });
          await until(() => proxy.links.length > before || settled === 2 * COUNT, "it was cut");
        }
      })();
      const outcomes = await within(Promise.all(asked), "all to settle", 30_000);
      await cutting;
      const resumes = told.filter((hook) => hook === "server onResume").length;
      assert(resumes >= cuts / 2, `it was resumed ${resumes} times`);
      const ok = outcomes.filter((outcome) => outcome === "ok").length;
      const overloaded = outcomes.filter((outcome) => outcome === "OVERLOADED").length;
      assertEquals(ok + overloaded, 2 * COUNT);
      assert(ok > 0);
      if (isRoomy) assertEquals([ok, refused], [2 * COUNT, 0]);
      else assert(overloaded + refused > 0, "someone was refused");
      await until(() => connection.stats.inFlight === 0, "no handler is left");
      assertEquals(client.connection!.stats.inFlight, 0);
    });
  });
}

const CUTS = [
  { after: 5_000, by: "reset" },
  { after: 20_000, by: "fin" },
  { after: 100, by: "reset" },
] as const;

Deno.test("row 47: 2,000 packets to each side whose handlers ask the other side are all handled", async () => {
  await withNetwork({}, async ({ server, client, connection }) => {
    let handled = 0;
    const work = async (n: unknown, _packet: unknown, peer: Peer) => {
      await peer.request("inner", n).catch(({ code }) => assertEquals(code, "OVERLOADED"));
      handled++;
    };
    for (const side of [server, client]) {
      side.bindAction("work", work);
      side.bindAction("inner", (n) => n);
    }
    const sending = [client, connection].map(async (side) => {
      for (let n = 0; n < COUNT; n++) await side.sendPacket({ action: "work", data: n });
    });
    await within(Promise.all(sending), "all to be sent", 30_000);
    await until(() => handled === 2 * COUNT, () => `all were handled: ${handled} were`, 30_000);
  });
});
