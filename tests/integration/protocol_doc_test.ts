// What docs/protocol.md says is played against a server, byte by byte, so that neither can change
// without the other.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { validate as isUuid } from "@std/uuid";
import { validate as isUuidV4 } from "@std/uuid/v4";
import doc from "../../docs/protocol.md" with { type: "text" };
import { DEFAULTS, Server, type ServerOptions } from "../../mod.ts";
import { RawPeer } from "../support/raw_peer.ts";

const CONVERSATIONS = codeBlocks("conversation");

for (const [index, conversation] of CONVERSATIONS.entries()) {
  Deno.test(`conversation ${index + 1} of docs/protocol.md happens as it is written`, async () => {
    await using server = await startServer();
    await using client = await RawPeer.connect(server);
    let token = "<TOKEN>";
    for (const [, side, text] of conversation.matchAll(/^([CS]) (.+)$/gm)) {
      if (side === "C" && text === "FIN") {
        client.fin();
      } else if (side === "C") {
        await client.send(text.replace("<TOKEN>", token) + "\n");
      } else if (text === "FIN") {
        assertEquals(await client.toEnd(), [], "nothing may come between the last line and FIN");
      } else {
        const expected = JSON.parse(text.replace("<TIME>", '"<TIME>"'));
        const packet = JSON.parse(await client.line());
        if (expected.token === "<TOKEN>") {
          if (token === "<TOKEN>") token = packet.token;
          assertEquals(packet.token, token, "a connection has one token");
          assert(isUuidV4(token));
        }
        assertEquals(masked(packet, expected), expected);
      }
    }
    assertEquals(client.hasLines, false, "the server must say no more than what is written");
  });
}

Deno.test("docs/protocol.md has conversations of every kind", () => {
  assertEquals(CONVERSATIONS.length, 6);
});

Deno.test("the lines to paste in docs/protocol.md are those of its example", () => {
  const [lines] = codeBlocks("paste");
  const example = CONVERSATIONS.find((conversation) => conversation.includes("# "))!;
  const said = [...example.matchAll(/^C (.+)$/gm)].map(([, text]) => text);
  assertEquals(lines.trimEnd().split("\n"), said);
});

const FAULTS = tableAfter("## Faults");

/** What the table is too narrow for. What is not ended by LF is an unfinished line. */
const LONG_EXAMPLES: Record<string, string | Uint8Array> = {
  "an `id` still being answered": '{"action":"rest","id":1}\n{"action":"a","id":1}\n',
  "one request too many": '{"action":"rest","id":1}\n{"action":"a","id":2}\n',
  "no UTF-8": new Uint8Array([0x22, 0xff, 0x22, 0x0a]),
  "a line that is too long": `"${"x".repeat(DEFAULTS.maxPacketBytes - 1)}"\n`,
  "more than 64 levels": `{"action":"a","data":${"[".repeat(64)}"${"x".repeat(4_096)}"${
    "]".repeat(64)
  }}\n`,
  "a line that does not go on": '{"action":',
};

for (const [what, example, code, answer, outcome] of FAULTS) {
  const bytes = LONG_EXAMPLES[what] ?? (example === "" ? undefined : example + "\n");
  if (bytes === undefined) continue;
  Deno.test(`${what}: ${code || "ignored"}, ${outcome}, as docs/protocol.md says`, async () => {
    await using server = await startServer({
      maxInFlight: what === "one request too many" ? 1 : undefined,
      partialLineTimeoutMs: what === "a line that does not go on" ? 50 : undefined,
    });
    await using client = await RawPeer.register(server);
    await client.send(bytes);
    if (outcome === "closed") {
      assertEquals(answer, "@close");
      await client.farewell(code);
      return;
    }
    assertEquals(outcome, "kept");
    if (answer === "@error") {
      const { action, data } = await client.packet();
      assertEquals([action, (data as { code: string }).code], ["@error", code]);
    } else if (answer === "reply") {
      assertEquals((await client.packet()).error?.code, code);
    } else {
      assertEquals(answer, "nothing");
    }
    await client.sendPacket({ action: "@ping", data: "still here?" });
    assertEquals(await client.packet(), { action: "@pong", data: "still here?" });
  });
}

Deno.test("docs/protocol.md has an example of each fault but that of a peer that does not read", () => {
  const rows = FAULTS.map(([what]) => what);
  for (const what of Object.keys(LONG_EXAMPLES)) assert(rows.includes(what), what);
  const lacking = FAULTS.filter(([what, example]) => example === "" && !LONG_EXAMPLES[what]);
  assertEquals(lacking.map(([what]) => what), ["a peer that does not read"]);
});

Deno.test("the limits in docs/protocol.md are the defaults", () => {
  const rows = tableAfter("## Limits");
  assert(rows.length > 10);
  for (const [name, value] of rows) {
    assertMatch(value, /^\d{1,3}(,\d{3})*$/);
    assertEquals(DEFAULTS[name as keyof typeof DEFAULTS], Number(value.replaceAll(",", "")), name);
  }
});

/** The code blocks of this kind. */
function codeBlocks(kind: string): string[] {
  const blocks = doc.matchAll(/^```(.+)\n([^]*?)^```$/gm);
  return [...blocks].filter(([, info]) => info === kind).map(([, , text]) => text);
}

/** The rows of the first table after a heading. A cell that is nothing but code is given bare. */
function tableAfter(heading: string): string[][] {
  const section = doc.slice(doc.indexOf(`\n${heading}\n`));
  const [table] = section.match(/(^\|.*\|\n)+/m)!;
  const [, , ...rows] = table.trimEnd().split("\n");
  return rows.map((row) =>
    row.slice(1, -1).split("|").map((cell) => cell.trim().replace(/^`([^`]*)`$/, "$1"))
  );
}

/** A server with the actions of the document's own. */
async function startServer(options: ServerOptions = {}): Promise<Server> {
  const server = new Server({ port: 0, ...options });
  const [program] = codeBlocks("ts ignore");
  const bindings = program.split("\n").filter((line) => line.startsWith("server.bindAction("));
  assert(bindings.length > 0);
  new Function("server", bindings.join("\n"))(server);
  await server.start();
  return server;
}

/** What arrived, with placeholders where they are expected and what stands there is right. */
function masked(actual: unknown, expected: unknown): unknown {
  const isRight = expected === "<TIME>"
    ? Number.isSafeInteger(actual)
    : expected === "<ID>" || expected === "<TOKEN>"
    ? typeof actual === "string" && isUuid(actual)
    : expected === "…" && typeof actual === "string" && actual !== "";
  if (isRight) return expected;
  if (!isObject(actual) || !isObject(expected)) return actual;
  return Object.fromEntries(
    Object.entries(actual).map(([key, value]) => [key, masked(value, expected[key])]),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
