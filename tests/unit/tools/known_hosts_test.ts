import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { createIdentity } from "../../../identity.ts";
import { FileError } from "../../../tools/files.ts";
import {
  knownAt,
  knownHostLine,
  KnownHosts,
  parseKnownHosts,
  placeOf,
} from "../../../tools/known_hosts.ts";
import { withDirectory } from "../../support/cli.ts";

const [A, B, C] = await Promise.all(
  Array.from({ length: 3 }, async () => (await createIdentity()).fingerprint),
);

async function withFile(
  text: string | undefined,
  act: (hosts: KnownHosts, path: string) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const path = `${directory}/known_hosts`;
    if (text !== undefined) await Deno.writeTextFile(path, text);
    await act(new KnownHosts(path), path);
  });
}

Deno.test("a place is named as people write it, in small letters, and without blanks", () => {
  const places: [Parameters<typeof placeOf>[0], string][] = [
    [{ host: "127.0.0.1", port: 25_565 }, "127.0.0.1:25565"],
    [{ host: "Games.Example", port: 1 }, "games.example:1"],
    [{ host: "2001:DB8::1", port: 80 }, "[2001:db8::1]:80"],
    [{ host: "fe80::1%eth0", port: 80 }, "[fe80::1%25eth0]:80"],
    [{ host: "#a b", port: 80 }, "%23a%20b:80"],
    [{ path: "/run/Game.sock" }, "unix:/run/Game.sock"],
    [{ path: "/a b\n#c%20\u2028" }, "unix:/a%20b%0A%23c%2520%E2%80%A8"],
    [{ path: "/\ud800" }, "unix:/\ufffd"],
  ];
  for (const [endpoint, place] of places) assertEquals(placeOf(endpoint), place);
});

Deno.test("whatever the place is, the line that makes it known is read as that", () => {
  const endpoints = [
    { host: "localhost", port: 65_535 },
    { host: "::1", port: 1 },
    { host: "#", port: 25_565 },
    { path: "/a b#c/%/\t\r\n" },
    { path: "relative" },
  ];
  for (const endpoint of endpoints) {
    const place = placeOf(endpoint);
    const text = knownHostLine({ place, fingerprint: A });
    assertEquals(parseKnownHosts(text, "f"), [{ place, fingerprint: A, line: 1 }]);
  }
});

Deno.test("a file of known hosts may hold comments, empty lines, blanks and any ends of lines", () => {
  const text = [
    "# servers of mine",
    "",
    `localhost:25565 ${A}`,
    "  \t ",
    `\t[::1]:1   \t${B}  # the other one`,
    `  # ${C}`,
    `GAMES.example:4000 ${C} #\r`,
    `unix:/run/Game.sock ${A}`,
  ].join("\n");
  const hosts = [
    { place: "localhost:25565", fingerprint: A, line: 3 },
    { place: "[::1]:1", fingerprint: B, line: 5 },
    { place: "games.example:4000", fingerprint: C, line: 7 },
    { place: "unix:/run/Game.sock", fingerprint: A, line: 8 },
  ];
  assertEquals(parseKnownHosts(text, "f"), hosts);
  assertEquals(parseKnownHosts(text + "\n", "f"), hosts);
  assertEquals(parseKnownHosts(text.replaceAll("\n", "\r\n"), "f"), hosts);
  for (const nothing of ["", "\n", "\n\n#"]) assertEquals(parseKnownHosts(nothing, "f"), []);
});

Deno.test("a line that is not as it must be is named, and nothing of it is said", () => {
  const wrong = [
    "localhost:25565",
    `localhost ${A}`,
    `localhost: ${A}`,
    `localhost:0 ${A}`,
    `localhost:65536 ${A}`,
    `localhost:123456 ${A}`,
    `localhost:-1 ${A}`,
    `local#host:1 ${A}`,
    `::1:1 ${A}`,
    `[::1] ${A}`,
    `:1 ${A}`,
    `unix: ${A}`,
    A,
    `${A} localhost:1`,
    `localhost:1 ${A.slice(0, -1)}`,
    `localhost:1 ${A}x`,
    `localhost:1 ${A.replace("pnet1", "rsa1")}`,
    `localhost:1 ${A} ${B}`,
    `localhost:1 ${A}#comment`,
    "-----BEGIN PRIVATE KEY-----",
    "SECRET SECRET",
    "\ufffd\0",
  ];
  for (const line of wrong) {
    const text = `# comment\nlocalhost:1 ${A}\n${line}\nlocalhost:2 ${B}\n`;
    const error = assertThrows(() => parseKnownHosts(text, "my/file"), FileError);
    assertEquals(
      error.message,
      "my/file, line 3: it must be host:port and a fingerprint (pnet1:…), or a comment (#)",
      line,
    );
  }
});

Deno.test("of one place several keys may be known, and those of other places are not among them", () => {
  const hosts = parseKnownHosts(`h:1 ${A}\nh:11 ${B}\nh:1 ${C}\nh:1 ${A}\n`, "f");
  const lines = (place: string) => knownAt(hosts, place).map(({ line }) => line);
  assertEquals([lines("h:1"), lines("h:11"), lines("h:111")], [[1, 3, 4], [2], []]);
});

Deno.test("a file that is not there knows nobody, and is made for its owner alone", async () => {
  await withFile(undefined, async (hosts, path) => {
    assertEquals(await hosts.at("h:1"), []);
    await assertRejects(() => Deno.stat(path), Deno.errors.NotFound);
    assertEquals(await hosts.add("h:1", A), [{ place: "h:1", fingerprint: A, line: 1 }]);
    assertEquals(await Deno.readTextFile(path), `h:1 ${A}\n`);
    if (Deno.build.os !== "windows") assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    assertEquals(await hosts.at("h:1"), [{ place: "h:1", fingerprint: A, line: 1 }]);
  });
});

Deno.test("a server that becomes known gets a line of its own, and no other line is touched", async () => {
  for (const before of [`# mine\nh:2 ${B}`, `# mine\nh:2 ${B}\n`, `# mine\r\nh:2 ${B}\r\n`]) {
    await withFile(before, async (hosts, path) => {
      assertEquals(await hosts.add("h:1", A), [{ place: "h:1", fingerprint: A, line: 3 }]);
      const text = await Deno.readTextFile(path);
      assertEquals(text, `${before}${before.endsWith("\n") ? "" : "\n"}h:1 ${A}\n`);
      assertEquals(parseKnownHosts(text, "f").length, 2);
    });
  }
});

Deno.test("a place of which something is known gets no other line: whoever asks is told what", async () => {
  await withFile(`h:1 ${A}\n`, async (hosts, path) => {
    for (const fingerprint of [A, B]) {
      assertEquals(await hosts.add("h:1", fingerprint), [{
        place: "h:1",
        fingerprint: A,
        line: 1,
      }]);
    }
    assertEquals(await Deno.readTextFile(path), `h:1 ${A}\n`);
  });
});

Deno.test("many may write at once: each line is whole, and of a place only the first is taken", async () => {
  await withFile(undefined, async (hosts, path) => {
    const others = Array.from({ length: 20 }, (_, at) => hosts.add(`h:${at + 1}`, A));
    const same = Array.from({ length: 20 }, (_, at) => hosts.add("same:1", [A, B, C][at % 3]));
    const [first, ...rest] = await Promise.all(same);
    for (const one of rest) assertEquals(one, first);
    await Promise.all(others);
    const all = parseKnownHosts(await Deno.readTextFile(path), "f");
    assertEquals(new Set(all.map(({ place }) => place)).size, 21);
    assertEquals(all.length, 21);
  });
});

Deno.test("a line that there is no room for leaves the file as it was", async () => {
  const text = `h:2 ${B}\n`;
  await withFile(text, async (hosts, path) => {
    const { writeSync } = Deno.FsFile.prototype;
    try {
      Deno.FsFile.prototype.writeSync = function (bytes) {
        return writeSync.call(this, bytes.subarray(0, 10));
      };
      const error = await assertRejects(() => hosts.add("h:1", A), FileError);
      assertEquals(error.message, `${path} cannot be written: there is no room for another line`);
    } finally {
      Deno.FsFile.prototype.writeSync = writeSync;
    }
    assertEquals(await Deno.readTextFile(path), text);
  });
});

Deno.test("a file with a malformed line is neither used nor written to", async () => {
  const text = `h:2 ${B}\nnonsense\n`;
  await withFile(text, async (hosts, path) => {
    for (const act of [() => hosts.at("h:1"), () => hosts.at("h:2"), () => hosts.add("h:1", A)]) {
      const error = await assertRejects(act, FileError);
      assertMatch(error.message, /known_hosts, line 2: [^\n]+$/);
    }
    assertEquals(await Deno.readTextFile(path), text);
  });
});

Deno.test("a file that is none, or in no directory, is said to be so in one line", async () => {
  await withDirectory(async (directory) => {
    const dir = new KnownHosts(directory);
    await assertRejects(() => dir.at("h:1"), FileError, "it is a directory");
    await assertRejects(() => dir.add("h:1", A), FileError, "it is a directory");
    const path = `${directory}/no/such/known_hosts`;
    const lost = new KnownHosts(path);
    assertEquals(await lost.at("h:1"), []);
    await assertRejects(() => lost.add("h:1", A), FileError, "there is no such directory");
    const own = new KnownHosts(path, { makesDirectory: true });
    assertEquals((await own.add("h:1", A)).length, 1);
    if (Deno.build.os !== "windows") {
      assertEquals((await Deno.stat(`${directory}/no/such`)).mode! & 0o777, 0o700);
    }
  });
  const { shown } = new KnownHosts("/a\x1b[31m\n\u202Eb" + "x".repeat(1_000));
  assertMatch(shown, /^[ -~]{300,400}…$/);
});
