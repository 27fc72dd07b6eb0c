// The client in examples/clients/python, which knows this project by docs/protocol.md alone.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { Server } from "../../mod.ts";
import { RawServer } from "../support/raw_peer.ts";

const DIRECTORY = fileURLToPath(new URL("../../examples/clients/python", import.meta.url));

const ignore = !hasPython();
const suffix = ignore ? " (ignored: it needs python3, 3.9 or later)" : "";

Deno.test({
  name: `the Python client prints the reply to a request${suffix}`,
  ignore,
  async fn() {
    await using server = new Server({ port: 0 });
    server.bindAction("echo", (data) => data);
    await server.start();
    const data = { text: "é😀\u0007", list: [1, -2.5, true, null], "": {} };
    const reply = await request(server.port, "echo", JSON.stringify(data));
    assertEquals(JSON.parse(reply.stdout), data);
    assertEquals({ code: reply.code, stderr: reply.stderr }, { code: 0, stderr: "" });
    assertEquals((await request(server.port, "echo")).stdout, "null\n");
  },
});

Deno.test({
  name: `the Python client fails with 1 when the server does not answer as asked${suffix}`,
  ignore,
  async fn() {
    await using server = new Server({ port: 0, authenticate: ({ auth }) => auth !== "nobody" });
    await server.start();
    const unbound = await request(server.port, "nothing");
    assertEquals({ code: unbound.code, stdout: unbound.stdout }, { code: 1, stdout: "" });
    assertMatch(unbound.stderr, /^NO_ACTION: .+\n$/);
    const refused = await client("--port", `${server.port}`, "--auth", '"nobody"', "request", "x");
    assertEquals(refused.code, 1);
    assertMatch(refused.stderr, /^REFUSED: .+\n$/);
  },
});

Deno.test({
  name: `the Python client fails with 2 when it is used wrongly${suffix}`,
  ignore,
  async fn() {
    const wrong = [[], ["request"], ["request", "@ping"], ["request", "x", "{"]];
    for (const { code, stderr } of await Promise.all(wrong.map((args) => client(...args)))) {
      assertEquals(code, 2);
      assertStringIncludes(stderr, "usage:");
    }
  },
});

Deno.test({
  name: `the Python client fails with 3 when nobody listens${suffix}`,
  ignore,
  async fn() {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    const { code, stdout, stderr } = await request(port, "echo");
    assertEquals({ code, stdout }, { code: 3, stdout: "" });
    assertMatch(stderr, /^CONNECT_FAILED: /);
  },
});

Deno.test({
  name: `the Python client answers requests and pings, and says goodbye${suffix}`,
  ignore,
  async fn() {
    const gone = Promise.withResolvers<string>();
    await using server = new Server({
      port: 0,
      onDisconnect: (_, { code, reason }) => gone.resolve(`${code}: ${reason}`),
    });
    server.bindAction("meet", async (_data, _packet, peer) => {
      await peer.ping();
      const name = await peer.request("name", "who?");
      const failure = await peer.request("fail").catch((error) => error.code);
      return [name, failure];
    });
    server.bindAction("inner", (data) => `inner ${data}`);
    await server.start();
    const { code, stdout, stderr } = await python(
      "-c",
      `
from pnetwork_client import Client, RequestFailed

def fail(data):
    raise RequestFailed("INVALID_DATA", "not like this")

client = Client(port=${server.port})
client.bind("name", lambda data: [data, client.request("inner", "question")])
client.bind("fail", fail)
with client:
    print(client.request("meet"))
    assert client.token not in repr(client)
    client.close("seen enough")
print(client.end[0])
`,
    );
    assertEquals(stderr, "");
    assertEquals(stdout, "[['who?', 'inner question'], 'INVALID_DATA']\nCLOSED\n");
    assertEquals(code, 0);
    assertEquals(await gone.promise, "CLOSED: seen enough");
  },
});

for (
  const line of ['{"action":"a","seq":1}', '{"action":"@ack","ack":0}', '{"action":"","seq":1}']
) {
  Deno.test({
    name: `the Python client, which has no session, ends at ${line}${suffix}`,
    ignore,
    async fn() {
      await using server = await RawServer.listen();
      const [{ stdout, stderr }] = await Promise.all([
        python(
          "-c",
          `
from pnetwork_client import Client
client = Client(port=${server.port}).connect()
client.wait(10)
print(client.end[0])
`,
        ),
        (async () => {
          const peer = await server.register({}, line + "\n");
          await peer.farewell("PROTOCOL_ERROR");
        })(),
      ]);
      assertEquals([stdout, stderr], ["PROTOCOL_ERROR\n", ""]);
    },
  });
}

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

function hasPython(): boolean {
  try {
    const args = ["-c", "import sys; sys.exit(sys.version_info < (3, 9))"];
    return new Deno.Command("python3", { args }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Runs Python where the client can be imported. */
async function python(...args: string[]): Promise<Outcome> {
  const env = { PYTHONPATH: DIRECTORY, PYTHONDONTWRITEBYTECODE: "1" };
  const { code, stdout, stderr } = await new Deno.Command("python3", { args, env }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs the client from the shell. */
function client(...args: string[]): Promise<Outcome> {
  return python(`${DIRECTORY}/pnetwork_client.py`, ...args);
}

function request(port: number, ...args: string[]): Promise<Outcome> {
  return client("--host", "127.0.0.1", "--port", `${port}`, "request", ...args);
}
