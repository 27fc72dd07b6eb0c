import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
const readme = await Deno.readTextFile(new URL("README.md", root));

async function run(program: string, permissions: string[]) {
  const config = fileURLToPath(new URL("deno.json", root));
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, program);
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--quiet", "--config", config, ...permissions, file],
      env: { NO_COLOR: "1" },
    });
    const { code, stdout, stderr } = await command.output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  } finally {
    await Deno.remove(file);
  }
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch {
    return false;
  }
}

Deno.test("the README's first program runs as it stands, with --allow-net=127.0.0.1 alone", async () => {
  const block = /```ts ignore\n(.*?)```/s.exec(readme);
  assert(block, "the README has no first program");
  let program = block[1];
  if (!isFree(25_565)) {
    // Somebody else has the default port: the program is run on another one, and that is said.
    console.log("port 25565 is taken: the first program runs on port 25575");
    program = program.replace("new Server()", "new Server({ port: 25575 })")
      .replace("new Client()", "new Client({ port: 25575 })");
  }
  const { code, stdout, stderr } = await run(program, ["--allow-net=127.0.0.1"]);
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "hello Ada\n", stderr: "" });
});

/** Put between the two sides of a program: the first socket breaks when a line says this. */
function cutCable(where: string, { at }: { at: string }): string {
  return `
    function cutCable(port) {
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      listener.unref();
      (async () => {
        for (let sockets = 1;; sockets++) {
          const near = await listener.accept();
          const far = await Deno.connect({ hostname: "127.0.0.1", port });
          far.readable.pipeTo(near.writable).catch(() => {});
          near.readable.pipeThrough(new TransformStream({
            transform(chunk, controller) {
              const isOut = sockets === 1 && new TextDecoder().decode(chunk).includes('${at}');
              if (isOut) controller.error(new Error("the cable is out"));
              else controller.enqueue(chunk);
            },
          })).pipeTo(far.writable).catch(() => {
            for (const socket of [near, far]) try { socket.close(); } catch { /* closed already */ }
          });
        }
      })();
      return listener.addr.port;
    }
  ` + where;
}

Deno.test("the README's program does not lose a packet when its cable drops, and prints what it says", async () => {
  const [, section] = readme.split("## A dropped cable");
  const [, program] = /```ts\n(.*?)```/s.exec(section)!;
  const [, printed] = /```text\n(.*?)```/s.exec(section)!;
  const cabled = program.replace("port: server.port", "port: cutCable(server.port)");
  assert(cabled !== program);
  const { code, stdout, stderr } = await run(cutCable(cabled, { at: '"data":2' }), [
    "--allow-net=127.0.0.1",
    "--no-check",
  ]);
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: printed, stderr: "" });
  // Without a drop it prints the same but for what tells of it.
  const calm = await run(program, ["--allow-net=127.0.0.1"]);
  const measured = printed.split("\n").filter((line) => line.startsWith("measured"));
  assertEquals(calm.stdout, measured.join("\n") + "\n");
});

Deno.test("importing the module needs no permission", async () => {
  const program =
    `import * as pnetwork from "@pnetwork/pnetwork"; console.log(typeof pnetwork.Server);`;
  const { code, stdout, stderr } = await run(program, []);
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "function\n", stderr: "" });
});

Deno.test("a Connection over streams needs no permission", async () => {
  const block = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code)
    .find((code) => code.includes("of right"));
  assert(block, "the README has no sample of a Connection over streams");
  const { code, stdout, stderr } = await run(block, []);
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "hello\n", stderr: "" });
});

Deno.test("the README names the two commands, with Deno and with npm alone", () => {
  for (const command of ["run -A tools/cli.ts server", "test -A"]) {
    assertStringIncludes(readme, `deno ${command}`);
    assertStringIncludes(readme, `npx -y deno@2.9.6 ${command}`);
  }
});

Deno.test("every file that the documents link to is there", async () => {
  const documents = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/architecture.md"];
  for await (const { name } of Deno.readDir(new URL("docs/", root))) documents.push(`docs/${name}`);
  for (const document of new Set(documents)) {
    const text = await Deno.readTextFile(new URL(document, root));
    for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
      const path = new URL(target, new URL(document, root));
      const exists = await Deno.stat(path).then(() => true, () => false);
      assert(exists, `${document} links to ${target}, which is not there`);
    }
  }
});
