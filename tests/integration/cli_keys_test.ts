// `keys`: in a process of its own where a key is made, which the others use.

import { assertEquals, assertFalse, assertMatch, assertStringIncludes } from "@std/assert";
import { createIdentity, decryptPacket, EncryptKeys, encryptPacket, Identity } from "../../mod.ts";
import { runCli, withDirectory } from "../support/cli.ts";
import { callAll, callCli } from "../support/cli_call.ts";

const IDENTITY = /^pnet1:[\w-]{43}$/;
const RSA = /^rsa1:[\w-]{43}$/;
const isWindows = Deno.build.os === "windows";

async function modeOf(path: string): Promise<number> {
  return (await Deno.stat(path)).mode! & 0o777;
}

Deno.test("an identity is made, shown and exported, and the program can read it", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/my key.pem`;
    const made = await runCli(["keys", "make", path]);
    const { fingerprint } = await Identity.import(await Deno.readTextFile(path));
    assertMatch(fingerprint, IDENTITY);
    assertEquals(made, { code: 0, stdout: `made ${path}: identity ${fingerprint}\n`, stderr: "" });
    if (!isWindows) assertEquals(await modeOf(path), 0o600);

    const [shown, exported, json] = await callAll([
      ["keys", "show", path],
      ["keys", "export", path],
      ["keys", "show", path, "--json"],
    ]);
    assertEquals(shown, { code: 0, stdout: `identity ${fingerprint}\n`, stderr: "" });
    assertEquals(exported, { code: 0, stdout: `${fingerprint}\n`, stderr: "" });
    const object = { file: path, kind: "identity", fingerprint };
    assertEquals([json.code, JSON.parse(json.stdout), json.stderr], [0, object, ""]);
  });
});

Deno.test("RSA keys are made, shown and exported; what is sealed for the export they open", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/rsa.pem`;
    const { code, stdout, stderr } = await callCli(["keys", "make", path, "--rsa", "--json"]);
    const keys = await EncryptKeys.load(path);
    const { fingerprint } = keys;
    assertMatch(fingerprint, RSA);
    const object = { event: "made", file: path, kind: "rsa", fingerprint };
    assertEquals([code, JSON.parse(stdout), stderr], [0, object, ""]);
    if (!isWindows) assertEquals(await modeOf(path), 0o600);

    const exported = await callCli(["keys", "export", path]);
    const sealed = await encryptPacket({ action: "vote", data: "Ada" }, exported.stdout);
    assertEquals((await decryptPacket(sealed, keys)).data, "Ada");

    const publicPath = `${directory}/public.pem`;
    await Deno.writeTextFile(publicPath, exported.stdout);
    const [other, again, json] = await callAll([
      ["keys", "show", publicPath],
      ["keys", "export", publicPath],
      ["keys", "export", path, "--json"],
    ]);
    assertEquals(other, { code: 0, stdout: `rsa-public ${fingerprint}\n`, stderr: "" });
    assertEquals(again, exported);
    const { publicKey, ...rest } = JSON.parse(json.stdout);
    assertEquals(publicKey, keys.publicKey);
    assertEquals(rest, { file: path, kind: "rsa", fingerprint });
  });
});

Deno.test("a file that is there already is not overwritten", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/key.pem`;
    await Deno.writeTextFile(path, "what someone else has there");
    const [plain, json] = await callAll([
      ["keys", "make", path],
      ["keys", "make", path, "--rsa", "--json"],
    ]);
    const message = `${path} cannot be written: it is there already`;
    assertEquals(plain, { code: 2, stdout: "", stderr: message + "\n" });
    assertEquals([json.code, json.stdout], [2, ""]);
    assertEquals(JSON.parse(json.stderr), { error: { message } });
    assertEquals(await Deno.readTextFile(path), "what someone else has there");
  });
});

Deno.test("what holds no key is told in one line that says nothing of it", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/text`;
    await Deno.writeTextFile(path, "SECRET words");
    const message = `${path} holds no key: a private one of X25519 or RSA (PKCS #8), ` +
      "or a public one of RSA (SPKI), as PEM";
    const [plain, json] = await callAll([
      ["keys", "show", path],
      ["keys", "export", path, "--json"],
    ]);
    assertEquals(plain, { code: 2, stdout: "", stderr: message + "\n" });
    assertEquals([json.code, json.stdout], [2, ""]);
    assertEquals(JSON.parse(json.stderr), { error: { message } });
  });
});

Deno.test("a key that is given in place of a file's name does not come back", async () => {
  const pem = await (await createIdentity()).export();
  const body = pem.split("\n")[1];
  const lines = [
    ["keys", "show", pem],
    ["keys", "show", "--", pem],
    ["client", "--secure", "--identity", pem],
    ["client", "--secure", "--pin", pem, "--json"],
    ["server", "--tls-cert", "nosuch", "--tls-key", pem],
  ];
  for (const { code, stdout, stderr } of await callAll(lines)) {
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^[^\n]{10,}\n$/);
    assertFalse(stderr.includes(body.slice(8, 24)), stderr);
  }
});

Deno.test("keys alone is wrong usage, answered with the help", async () => {
  const { code, stdout, stderr } = await callCli(["keys"]);
  assertEquals([code, stdout], [2, ""]);
  for (const part of ["make", "show", "export", "Example:"]) assertStringIncludes(stderr, part);
});
