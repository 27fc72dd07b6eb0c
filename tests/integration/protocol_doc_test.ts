// What docs/protocol.md says is played against a server, byte by byte, so that neither can change
// without the other.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { validate as isUuid } from "@std/uuid";
import { validate as isUuidV4 } from "@std/uuid/v4";
import doc from "../../docs/protocol.md" with { type: "text" };
import { DEFAULTS, ERROR_CODES, Server, type ServerOptions } from "../../mod.ts";
import { LeapingTime } from "../support/leaping_time.ts";
import { hello, RawPeer, type RawWelcome } from "../support/raw_peer.ts";
import { until } from "../support/wait.ts";

const CONVERSATIONS = codeBlocks("conversation");

for (const [index, conversation] of CONVERSATIONS.entries()) {
  Deno.test(`conversation ${index + 1} of docs/protocol.md happens as it is written`, async () => {
    using time = new LeapingTime();
    await using scene = await Scene.begin(time);
    for (const [, who, text] of conversation.matchAll(/^([CS]\d?|--) (.+)$/gm)) {
      if (who === "--") await scene.happen(text);
      else if (who.startsWith("C")) await scene.say(who.slice(1), text);
      else await scene.hear(who.slice(1), text);
    }
    scene.end();
  });
}

Deno.test("docs/protocol.md has conversations of every kind", () => {
  assertEquals(CONVERSATIONS.length, 17);
  const all = CONVERSATIONS.join("");
  for (const what of ['"resumed":true', "TAKEN_OVER", "@goaway", '"@ack"', '"reason":"expired"']) {
    assert(all.includes(what), what);
  }
  // What is not said by one of the two, or told, is not played.
  for (const line of all.split("\n")) assertMatch(line, /^$|^# |^[CS]\d? .|^-- /);
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
    await expectOutcome(client, { code, answer, outcome });
  });
}

const SESSION_FAULTS = tableAfter("### Faults of a session");

for (const [what, example, code, answer, outcome] of SESSION_FAULTS) {
  const title = `${what}, in a session: ${code || "taken"}, ${outcome}, as docs/protocol.md says`;
  Deno.test(title, async () => {
    await using server = await startServer();
    await using client = await RawPeer.register(server, { session: true });
    await client.send(example + "\n");
    const used = /"seq":1\}/.test(example) && outcome === "kept" ? 1 : 0;
    await expectOutcome(client, { code, answer, outcome, ack: used });
    await using next = await resume(server, client);
    const { session, resumed } = (await next.packet()).data as Record<string, unknown>;
    assertEquals([session, resumed], [true, outcome === "kept"], "closed: the session is over");
  });
}

const CLOSE_CODES = tableAfter("### Close codes");

for (const [code, , , mayResume] of CLOSE_CODES) {
  Deno.test(`a @close with ${code}: the session may resume: ${mayResume}`, async () => {
    await using server = await startServer();
    await using client = await RawPeer.register(server, { session: true });
    await client.sendPacket({
      action: "@close",
      data: { code: code === "any other" ? "OF_A_NEWER_PEER" : code, reason: "" },
    });
    assertEquals(await client.toEnd(), []);
    await using next = await resume(server, client);
    const { resumed, reason } = (await next.packet()).data as Record<string, unknown>;
    assertEquals([resumed, reason], mayResume === "yes" ? [true, undefined] : [false, "expired"]);
  });
}

Deno.test("docs/protocol.md says of every code that may close a connection whether it may resume", () => {
  const listed = CLOSE_CODES.map(([code]) => code);
  // What else there is never reaches a session: it is said in its place, or without a connection.
  const elsewhere = [
    "CONNECT_FAILED",
    "LISTEN_FAILED",
    "NO_SESSION",
    "REFUSED",
    "SERVER_FULL",
    "SECURE_REQUIRED",
    "SECURE_UNSUPPORTED",
    ...ERROR_CODES.CryptoError,
    ...ERROR_CODES.RequestError,
  ];
  const all = Object.values(ERROR_CODES).flat();
  assertEquals(
    listed.toSorted(),
    ["any other", ...all.filter((code) => !elsewhere.includes(code))].toSorted(),
  );
});

Deno.test("a socket that ends without a @close counts as docs/protocol.md says", async () => {
  assertEquals(CLOSE_CODES.find(([code]) => code === "CONNECTION_LOST")?.[3], "yes");
  await using server = await startServer();
  await using client = await RawPeer.register(server, { session: true });
  client.fin();
  assertEquals(await client.toEnd(), []);
  await using second = await resume(server, client);
  assertEquals(((await second.packet()).data as { resumed: boolean }).resumed, true);
  await second.reset();
  await using third = await resume(server, client);
  assertEquals(((await third.packet()).data as { resumed: boolean }).resumed, true);
});

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

/** A conversation that is being played. */
class Scene implements AsyncDisposable {
  readonly #time: LeapingTime;
  readonly #server: Server;
  readonly #sockets = new Map<string, RawPeer>();
  /** What the placeholders stand for. */
  readonly #known = new Map<string, string>();
  #closing: Promise<void> | undefined;

  private constructor(time: LeapingTime, server: Server) {
    this.#time = time;
    this.#server = server;
  }

  static async begin(time: LeapingTime): Promise<Scene> {
    return new Scene(time, await startServer());
  }

  async say(socket: string, text: string): Promise<void> {
    const peer = await this.#socket(socket);
    if (text === "FIN") peer.fin();
    else if (text === "RST") await peer.reset();
    else {
      const line = text.replace(/<[A-Z]+\d?>/g, (placeholder) => {
        assert(this.#known.has(placeholder), `${placeholder} must have been said by the server`);
        return this.#known.get(placeholder)!;
      });
      await peer.send(line + "\n");
    }
  }

  async hear(socket: string, text: string): Promise<void> {
    const peer = await this.#socket(socket);
    if (text === "FIN") {
      const rest = await this.#time.leapUntil(peer.toEnd(), "a FIN");
      assertEquals(rest, [], "nothing may come between the last line and FIN");
      return;
    }
    const expected = JSON.parse(text.replace("{…}", '"…"').replace(/:(<[A-Z]+>)/g, ':"$1"'));
    const packet = JSON.parse(await this.#time.leapUntil(peer.line(), text));
    assertEquals(this.#masked(packet, expected), expected);
  }

  async happen(what: string): Promise<void> {
    if (what === "two minutes pass") {
      const [connection] = this.#server.clients.values();
      await until(() => connection.state === "detached", "the server noticed");
      this.#time.leap(119_000);
      assertEquals(this.#server.clients.size, 1);
      this.#time.leap(1_000);
      await until(() => this.#server.clients.size === 0, "the session was given up");
    } else {
      assertEquals(what, "the server shuts down");
      this.#closing = this.#server.close();
    }
  }

  end(): void {
    for (const peer of this.#sockets.values()) {
      // What came over a socket that is gone belongs to nobody.
      if (peer.ended === "reset") continue;
      assertEquals(peer.hasLines, false, "the server must say no more than what is written");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#sockets.values()) await peer.close();
    const closing = this.#closing ?? this.#server.close();
    await this.#time.leapUntil(closing, "the server's end");
  }

  async #socket(name: string): Promise<RawPeer> {
    const peer = this.#sockets.get(name) ?? await RawPeer.connect(this.#server);
    this.#sockets.set(name, peer);
    return peer;
  }

  /** What arrived, with placeholders where they are expected and what stands there is right. */
  #masked(actual: unknown, expected: unknown): unknown {
    if (typeof expected === "string" && this.#isRight(actual, expected)) return expected;
    if (!isObject(actual) || !isObject(expected)) return actual;
    return Object.fromEntries(
      Object.entries(actual).map(([key, value]) => [key, this.#masked(value, expected[key])]),
    );
  }

  #isRight(actual: unknown, placeholder: string): boolean {
    if (placeholder === "…") {
      return (typeof actual === "string" && actual !== "") || isObject(actual);
    }
    if (placeholder === "<TIME>" || placeholder === "<MS>") {
      return Number.isSafeInteger(actual) && (actual as number) >= 0;
    }
    if (!/^<[A-Z]+\d?>$/.test(placeholder) || typeof actual !== "string") return false;
    const known = this.#known.get(placeholder);
    if (known !== undefined) return actual === known;
    assert(![...this.#known.values()].includes(actual), `${placeholder} must be a new one`);
    this.#known.set(placeholder, actual);
    return placeholder.startsWith("<TOKEN")
      ? isUuidV4(actual)
      : placeholder.startsWith("<ID")
      ? isUuid(actual)
      : actual.length >= 1 && actual.length <= 64;
  }
}

/** Comes back with what nothing was received of. */
async function resume(server: Server, { token, welcome }: RawWelcome): Promise<RawPeer> {
  const { epoch } = welcome.data as { epoch: string };
  const peer = await RawPeer.connect(server);
  await peer.send(hello({ session: true, resume: { token, epoch, ack: 0 } }));
  return peer;
}

/** Whether the server answers as a row of a table says. */
async function expectOutcome(
  client: RawPeer,
  { code, answer, outcome, ack }: { code: string; answer: string; outcome: string; ack?: number },
): Promise<void> {
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
  const pong = { action: "@pong", data: "still here?" };
  assertEquals(await client.packet(), ack === undefined ? pong : { ...pong, ack });
}

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

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
