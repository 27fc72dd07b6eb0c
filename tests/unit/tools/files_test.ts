import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  FileError,
  fileErrorOf,
  isOpenToOthers,
  ownFile,
  readOrMakeSecret,
  readText,
  writeNewSecret,
} from "../../../tools/files.ts";
import { withDirectory } from "../../support/cli.ts";

const SECRET = "a secret of someone";
/** Nobody is kept out by a mode there. */
const isWindows = Deno.build.os === "windows";

async function modeOf(path: string): Promise<number> {
  return (await Deno.stat(path)).mode! & 0o777;
}

Deno.test("a text is read up to the size that it may have, and not beyond", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/file`;
    for (const size of [0, 1, 65_535, 65_536, 65_537, 200_000]) {
      const text = "ü".repeat(size / 2) + "x".repeat(size % 2);
      await Deno.writeTextFile(path, text);
      assertEquals(await readText(path, { maxBytes: size }), text);
      if (size === 0) continue;
      const error = await assertRejects(() => readText(path, { maxBytes: size - 1 }), FileError);
      assertEquals(error.message, `${path} cannot be read: it is too large`);
    }
  });
});

Deno.test({ name: "a device without an end is too large", ignore: isWindows }, async () => {
  await assertRejects(() => readText("/dev/zero", { maxBytes: 1_000 }), FileError, "too large");
  assertEquals(await readText("/dev/null", { maxBytes: 1_000 }), "");
});

Deno.test("a file that is not there is an error, or empty where it is optional", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/nosuch`;
    const error = await assertRejects(() => readText(path, { maxBytes: 1 }), FileError);
    assertEquals(error.message, `${path} cannot be read: there is no such file`);
    assertEquals(await readText(path, { maxBytes: 1, isOptional: true }), "");
    const options = { maxBytes: 1, isOptional: true };
    await assertRejects(() => readText(directory, options), FileError, "it is a directory");
  });
});

Deno.test("a new secret is for its owner alone, and takes no other file's place", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/secret`;
    await writeNewSecret(path, SECRET);
    assertEquals(await Deno.readTextFile(path), SECRET);
    if (!isWindows) assertEquals(await modeOf(path), 0o600);

    await Deno.symlink(`${directory}/elsewhere`, `${directory}/link`);
    for (const taken of [path, directory, `${directory}/link`]) {
      const error = await assertRejects(() => writeNewSecret(taken, "another"), FileError);
      assertEquals(error.message, `${taken} cannot be written: it is there already`);
    }
    assertEquals(await Deno.readTextFile(path), SECRET);
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
    assertEquals(names, ["link", "secret"]);

    const nowhere = `${directory}/no/such`;
    await assertRejects(() => writeNewSecret(nowhere, SECRET), FileError, "no such directory");
  });
});

Deno.test("a secret that cannot be written whole leaves no file behind", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/secret`;
    const { writeSync } = Deno.FsFile.prototype;
    try {
      Deno.FsFile.prototype.writeSync = () => {
        throw new Error("No space left on device");
      };
      const error = await assertRejects(() => writeNewSecret(path, SECRET), FileError);
      assertEquals(error.message, `${path} cannot be written: No space left on device`);
    } finally {
      Deno.FsFile.prototype.writeSync = writeSync;
    }
    assertEquals([...Deno.readDirSync(directory)], []);
  });
});

Deno.test("a secret is made once, by one of those that want it at once", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/own/deep/secret`;
    let made = 0;
    const make = () => Promise.resolve(`secret ${++made}`);
    const all = await Promise.all(
      Array.from({ length: 20 }, () => readOrMakeSecret(path, 1_000, make)),
    );
    assertEquals(made, 1);
    assertEquals(all.filter(({ isNew }) => isNew).length, 1);
    assertEquals(new Set(all.map(({ text }) => text)), new Set(["secret 1"]));
    assertEquals(await readOrMakeSecret(path, 1_000, make), { text: "secret 1", isNew: false });
    if (isWindows) return;
    assertEquals([await modeOf(path), await modeOf(`${directory}/own/deep`)], [0o600, 0o700]);
  });
});

Deno.test("where a secret was begun and never written, it is written", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/secret`;
    await Deno.writeTextFile(path, "");
    const made = await readOrMakeSecret(path, 1_000, () => Promise.resolve(SECRET));
    assertEquals(made, { text: SECRET, isNew: true });
  });
});

Deno.test(
  { name: "a file that anyone may read is told from one of a group", ignore: isWindows },
  async () => {
    await withDirectory(async (directory) => {
      const path = `${directory}/secret`;
      await Deno.writeTextFile(path, SECRET);
      for (const [mode, isOpen] of [[0o600, false], [0o640, false], [0o644, true], [0o602, true]]) {
        await Deno.chmod(path, Number(mode));
        assertEquals(await isOpenToOthers(path), isOpen);
      }
    });
  },
);

Deno.test("a user's own files are where the convention has them", () => {
  const home = { HOME: "/home/ada" };
  assertEquals(ownFile("x", home), "/home/ada/.config/pnetwork/x");
  assertEquals(ownFile("x", { ...home, XDG_CONFIG_HOME: "/etc/ada" }), "/etc/ada/pnetwork/x");
  for (const XDG_CONFIG_HOME of ["", "relative", "./x"]) {
    assertEquals(ownFile("x", { ...home, XDG_CONFIG_HOME }), "/home/ada/.config/pnetwork/x");
  }
  assertEquals(ownFile("x", {}), undefined);
  assertEquals(ownFile("x", { HOME: "" }), undefined);
});

Deno.test("what goes wrong with a file is said in one safe line", () => {
  const hostile = "\x1b]0;x\x07\u202E\n";
  const { message } = fileErrorOf(new Error(hostile), `/${hostile}`, "read");
  assertMatch(message, /^[ -~]+ cannot be read: [ -~]+$/);
  const denied = fileErrorOf(new Deno.errors.PermissionDenied("x"), "/f", "read");
  assertEquals(denied.message, "/f cannot be read: permission denied");
});
