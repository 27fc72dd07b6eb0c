import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { Client, ConnectionError, Server } from "../../mod.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { withServer } from "../support/scene.ts";
import { withSocketPath } from "../support/socket_path.ts";
import { until } from "../support/wait.ts";

const HAS_PYTHON = hasPython();

function hasPython(): boolean {
  try {
    return new Deno.Command("python3", { args: ["--version"] }).outputSync().success;
  } catch {
    // Not every machine has it.
    return false;
  }
}

Deno.test("a server and its clients talk over a Unix socket", async () => {
  await withSocketPath(async (path) => {
    await using server = new Server({ path });
    server.bindAction("echo", (data) => data);
    assertEquals([server.host, server.port, server.address], [path, 0, `unix:${path}`]);
    await server.start();
    await using client = new Client({ path });
    await client.start();
    assertEquals([client.host, client.port, client.address], [path, 0, `unix:${path}`]);
    const large = "x".repeat(1_000_000);
    assertEquals(await client.request("echo", large), large);
    assertEquals(server.clients.get(client.token!)!.address, `unix:${path}`);
    assertEquals(client.connection!.address, `unix:${path}`);
  });
});

Deno.test("10,000 packets over a Unix socket arrive in order", async () => {
  await withSocketPath(async (path) => {
    await using server = new Server({ path });
    let next = 0;
    server.bindAction("n", (n) => assertEquals(n, next++));
    await server.start();
    await using client = new Client({ path });
    await client.start();
    for (let n = 0; n < 10_000; n++) await client.sendPacket({ action: "n", data: n });
    await client.ping();
    assertEquals(next, 10_000);
  });
});

Deno.test("strangers misbehave over a Unix socket as they do over TCP", async () => {
  await withSocketPath(async (path) => {
    await withServer({ path, handshakeTimeoutMs: 300 }, async ({ connect, register, server }) => {
      const silent = await connect();
      const nonsense = await connect();
      await nonsense.send("nonsense\n");
      await nonsense.refused("BAD_JSON");
      const peer = await register();
      assertEquals((await peer.request(1, "honest-ask", 1)).data, 1);
      await peer.send('{"action":"honest-ask","token":"x"}\n');
      await peer.farewell("BAD_TOKEN");
      const halfClosed = await register();
      await halfClosed.sendPacket({ action: "honest-ask", data: 2, id: 1 });
      halfClosed.fin();
      assertEquals((await halfClosed.toEnd()).map(({ data }) => data), [2]);
      await silent.refused("HANDSHAKE_TIMEOUT");
      assertEquals(server.address, `unix:${path}`);
    });
  });
});

Deno.test("limits per address do not count Unix sockets", async () => {
  await withSocketPath(async (path) => {
    const limits = {
      maxConnectionsPerAddress: 1,
      maxHandshakesPerAddress: 1,
      exemptLoopback: false,
    };
    await withServer({ path, ...limits }, async ({ connect, register, server }) => {
      await Promise.all([connect(), connect(), connect()]);
      await Promise.all([register(), register(), register()]);
      assertEquals(server.clients.size, 4);
    });
  });
});

Deno.test("a path that a server listens on is LISTEN_FAILED, and that server is not disturbed", async () => {
  await withSocketPath(async (path) => {
    await using server = new Server({ path });
    server.bindAction("echo", (data) => data);
    await server.start();
    await using client = new Client({ path });
    await client.start();
    await using second = new Server({ path });
    const error = await assertRejects(() => second.start(), ConnectionError);
    assertEquals(error.code, "LISTEN_FAILED");
    assertInstanceOf(error.cause, Deno.errors.AddrInUse);
    assertEquals(second.state, "idle");
    assertEquals(await client.request("echo", 1), 1);
    await using other = new Client({ path });
    await other.start();
    assertEquals(server.clients.size, 2);
  });
});

Deno.test("the socket of a process that was killed is replaced", async () => {
  await withSocketPath(async (path) => {
    const program = `Deno.listen({ transport: "unix", path: Deno.args[0] }); console.log("ready");
      setInterval(() => {}, 1_000);`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", program, path],
      stdout: "piped",
    }).spawn();
    const output = child.stdout.getReader();
    await output.read();
    child.kill("SIGKILL");
    await child.status;
    while (!(await output.read()).done);
    assert((await Deno.lstat(path)).isSocket, "it left its socket behind");

    await using server = new Server({ path });
    await server.start();
    await using client = new Client({ path });
    await client.start();
    assertEquals(server.clients.size, 1);
  });
});

Deno.test("a file that is no socket is never replaced", async () => {
  await withSocketPath(async (path) => {
    await Deno.writeTextFile(path, "precious");
    await using server = new Server({ path });
    assertEquals(
      (await assertRejects(() => server.start(), ConnectionError)).code,
      "LISTEN_FAILED",
    );
    assertEquals(await Deno.readTextFile(path), "precious");
    await using client = new Client({ path });
    const error = await assertRejects(() => client.start(), ConnectionError);
    assertEquals(error.code, "CONNECT_FAILED");
  });
});

Deno.test("a path that cannot be, on either side, fails with a code", async () => {
  await withSocketPath(async (path) => {
    const below = `${path}/below/nothing`;
    await using server = new Server({ path: below });
    assertEquals(
      (await assertRejects(() => server.start(), ConnectionError)).code,
      "LISTEN_FAILED",
    );
    await using lost = new Client({ path: below });
    assertEquals((await assertRejects(() => lost.start(), ConnectionError)).code, "CONNECT_FAILED");
    // The system has no such long ones.
    const long = `${path}${"x".repeat(300)}`;
    await assertRejects(() => new Server({ path: long }).start(), TypeError);
    await assertRejects(() => new Client({ path: long }).start(), TypeError);

    await using client = new Client({ path });
    assertEquals(
      (await assertRejects(() => client.start(), ConnectionError)).code,
      "CONNECT_FAILED",
    );
  });
});

Deno.test("a server may be closed and another one started on the same path at once", async () => {
  await withSocketPath(async (path) => {
    for (let round = 0; round < 5; round++) {
      await using server = new Server({ path });
      await server.start();
      await using client = new Client({ path });
      await client.start();
      assert(await client.ping() >= 0);
    }
  });
});

Deno.test("close() while a server looks whether a path is abandoned leaves nothing behind", async () => {
  await withSocketPath(async (path) => {
    const holder = Deno.listen({ transport: "unix", path });
    const server = new Server({ path });
    const starting = server.start().catch((error) => error);
    await server.close();
    const error = await starting;
    assertInstanceOf(error, ConnectionError);
    assertEquals(server.state, "closed");
    holder.close();
  });
});

Deno.test("a reset over a Unix socket ends that connection alone", async () => {
  await withSocketPath(async (path) => {
    await withServer({ path }, async ({ server }) => {
      const peer = await RawPeer.register({ path });
      await peer.close();
      await until(() => server.clients.size === 1, "it was forgotten");
    });
  });
});

Deno.test("a start that is called off while it connects leaves no socket behind", async () => {
  await withSocketPath(async (path) => {
    await using server = new Server({ path });
    await server.start();
    for (let depth = 0; depth < 5; depth++) {
      const client = new Client({ path });
      const controller = new AbortController();
      const starting = client.start({ signal: controller.signal }).catch((error) => error);
      for (let n = 0; n < depth; n++) await Promise.resolve();
      controller.abort("enough");
      assertEquals(await starting, "enough");
      await client.close();
    }
    await until(() => server.loops[1].waitsFor.startsWith("0 "), "the server forgot them");
    assertEquals(server.clients.size, 0);
  });
});

Deno.test({
  name: "a path whose listener is too busy to accept is not taken from it",
  ignore: !HAS_PYTHON,
  async fn() {
    await withSocketPath(async (path) => {
      const program = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(0)
print("ready", flush=True)
sys.stdin.read()
`;
      await using _busy = await python(program, path);
      const waiting = [await RawPeer.connect({ path })];
      await using server = new Server({ path });
      const error = await assertRejects(() => server.start(), ConnectionError);
      assertEquals(error.code, "LISTEN_FAILED");
      assert((await Deno.lstat(path)).isSocket, "it is still there");
      for (const peer of waiting) await peer.close();
    });
  },
});

Deno.test({
  name: "the path that a client's own socket is bound to is fit to be shown",
  ignore: !HAS_PYTHON,
  async fn() {
    await withSocketPath(async (path) => {
      await withServer({ path }, async ({ server }) => {
        // Deno cannot bind a socket that it connects with.
        const program = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.connect(sys.argv[2])
s.sendall(b'{"action":"@handshake","data":{"version":1}}\\n')
s.recv(9999)
print("ready", flush=True)
sys.stdin.read()
`;
        await using _client = await python(program, `${path}\x1b]0;owned\x07`, path);
        await until(() => server.clients.size === 2, "it registered");
        const address = [...server.clients.values()][1].address;
        assertEquals(address, `unix:${path}\\u{1b}]0;owned\\u{7}`);
      });
    });
  },
});

/** Runs a program that says when it is ready, and ends it in the end. */
async function python(program: string, ...args: string[]): Promise<AsyncDisposable> {
  const child = new Deno.Command("python3", {
    args: ["-c", program, ...args],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = child.stdout.getReader();
  await output.read();
  return {
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      while (!(await output.read()).done);
      await child.status;
    },
  };
}
