import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { createIdentity } from "../../../identity.ts";
import { UntrustedError } from "../../../tools/exit.ts";
import { FileError } from "../../../tools/files.ts";
import { HostCheck } from "../../../tools/host_check.ts";
import { KnownHosts } from "../../../tools/known_hosts.ts";
import { withDirectory } from "../../support/cli.ts";

const PLACE = "games.example:4000";
const [KEY, OTHER, THIRD] = await Promise.all(
  Array.from({ length: 3 }, async () => (await createIdentity()).fingerprint),
);

/** A person who answers in turn, and then goes away. */
class Person {
  readonly asked: string[] = [];
  readonly #answers: (string | (() => Promise<void>))[];

  constructor(...answers: (string | (() => Promise<void>))[]) {
    this.#answers = answers;
  }

  readonly ask = async (question: string): Promise<string | null> => {
    this.asked.push(question);
    const answer = this.#answers.shift() ?? null;
    if (typeof answer !== "function") return answer;
    await answer();
    return "yes\n";
  };
}

interface Scene {
  path: string;
  /** Connects to a server with this key, as a client does. Resolves to how often it did. */
  meet: (fingerprint: string, person?: Person) => Promise<number>;
}

async function withScene(text: string, act: (scene: Scene) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const path = `${directory}/known_hosts`;
    if (text !== "") await Deno.writeTextFile(path, text);
    const meet = async (fingerprint: string, person?: Person) => {
      const check = await HostCheck.of(new KnownHosts(path), PLACE, person?.ask);
      let starts = 0;
      await check.connect(() => {
        starts++;
        check.isTrusted(fingerprint);
        return Promise.resolve();
      });
      return starts;
    };
    await act({ path, meet });
  });
}

Deno.test("a server whose key is known is let through, and nobody is asked", async () => {
  await withScene(`${PLACE} ${OTHER}\n${PLACE} ${KEY}\n`, async ({ meet }) => {
    const person = new Person("no");
    assertEquals(await meet(KEY, person), 1);
    assertEquals(await meet(OTHER, person), 1);
    assertEquals(await meet(KEY), 1);
    assertEquals(person.asked, []);
  });
});

Deno.test("a server that is not known is asked about; yes makes it known, and connects again", async () => {
  await withScene(`elsewhere:4000 ${OTHER}\n`, async ({ meet, path }) => {
    const person = new Person("yes\n");
    assertEquals(await meet(KEY, person), 2);
    assertEquals(person.asked.length, 1);
    assertEquals(person.asked[0].includes(PLACE) && person.asked[0].includes(KEY), true);
    assertEquals(
      await Deno.readTextFile(path),
      `elsewhere:4000 ${OTHER}\n${PLACE} ${KEY}\n`,
    );
    assertEquals(await meet(KEY, person), 1);
  });
});

Deno.test("yes and no are whole words, and whatever else is asked again", async () => {
  for (
    const [answers, isYes] of [
      [["YES\n"], true],
      [["  yes \r\n"], true],
      [["\n", "y\n", "yess\n", "no yes\n", "1\n", KEY, "yes\n"], true],
      [["n\n", "nope\n", "No\n"], false],
      [["y\n"], false],
      [[], false],
    ] as [string[], boolean][]
  ) {
    await withScene("", async ({ meet, path }) => {
      const person = new Person(...answers);
      if (isYes) {
        assertEquals(await meet(KEY, person), 2);
        assertEquals(person.asked.length, answers.length);
        return;
      }
      const error = await assertRejects(() => meet(KEY, person), UntrustedError);
      assertEquals(error.code, "UNTRUSTED_PEER");
      assertEquals(error.message, `${PLACE} is not trusted`);
      await assertRejects(() => Deno.stat(path), Deno.errors.NotFound);
    });
  }
});

Deno.test("where nobody can be asked an unknown server is refused, and what to do is said", async () => {
  await withScene("", async ({ meet, path }) => {
    const error = await assertRejects(() => meet(KEY), UntrustedError);
    assertEquals(
      error.message,
      `${PLACE} is not known yet. If this is its key, use --pin, or add the line ` +
        `to ${path}: ${PLACE} ${KEY}`,
    );
    assertEquals(error.details, { server: PLACE, fingerprint: KEY, known: [], file: path });
    await assertRejects(() => Deno.stat(path), Deno.errors.NotFound);
  });
});

Deno.test("a server whose key has changed is refused whoever is there, and the file stays", async () => {
  const text = `# mine\n${PLACE} ${OTHER}\n`;
  await withScene(text, async ({ meet, path }) => {
    const person = new Person("yes\n", "yes\n");
    for (const one of [undefined, person]) {
      const error = await assertRejects(() => meet(KEY, one), UntrustedError);
      assertEquals(
        error.message,
        `the key of ${PLACE} has changed: it is ${KEY}, and not ${OTHER} (line 2) as in ${path}. ` +
          "Someone may be in between! If the server has a new key, remove that line",
      );
      const known = [{ fingerprint: OTHER, line: 2 }];
      assertEquals(error.details, { server: PLACE, fingerprint: KEY, known, file: path });
    }
    assertEquals(person.asked, []);
    assertEquals(await Deno.readTextFile(path), text);
  });
  await withScene(`${PLACE} ${OTHER}\n${PLACE} ${THIRD}\n`, async ({ meet }) => {
    const { message } = await assertRejects(() => meet(KEY), UntrustedError);
    assertEquals(message.includes(`${OTHER} (line 1) or ${THIRD} (line 2)`), true);
    assertEquals(message.endsWith("remove those lines"), true);
  });
});

Deno.test("what another process wrote down while a person was asked is what counts", async () => {
  await withScene("", async ({ meet, path }) => {
    const same = new Person(() => Deno.writeTextFile(path, `${PLACE} ${KEY}\n`));
    assertEquals(await meet(KEY, same), 2);
    assertEquals(await Deno.readTextFile(path), `${PLACE} ${KEY}\n`);
  });
  await withScene("", async ({ meet, path }) => {
    const other = new Person(() => Deno.writeTextFile(path, `${PLACE} ${OTHER}\n`));
    const error = await assertRejects(() => meet(KEY, other), UntrustedError);
    assertEquals(error.details.known, [{ fingerprint: OTHER, line: 1 }]);
    assertEquals(await Deno.readTextFile(path), `${PLACE} ${OTHER}\n`);
  });
  await withScene("", async ({ meet, path }) => {
    const broken = new Person(() => Deno.writeTextFile(path, "nonsense\n"));
    await assertRejects(() => meet(KEY, broken), FileError, "line 1");
  });
});

Deno.test("a server that shows another key once it is trusted is refused", async () => {
  await withDirectory(async (directory) => {
    const person = new Person("yes\n", "yes\n");
    const hosts = new KnownHosts(`${directory}/known_hosts`);
    const check = await HostCheck.of(hosts, PLACE, person.ask);
    const keys = [KEY, OTHER];
    const start = () => Promise.resolve(void check.isTrusted(keys.shift()!));
    await assertRejects(() => check.connect(start), UntrustedError, "has changed");
    assertEquals(person.asked.length, 1);
    // Later, when it reconnects: the same.
    assertEquals(check.isTrusted(KEY), true);
    assertThrows(() => check.isTrusted(OTHER), UntrustedError, "has changed");
  });
});

Deno.test("whatever else a start fails with is not asked about", async () => {
  await withDirectory(async (directory) => {
    const person = new Person("yes\n");
    const hosts = new KnownHosts(`${directory}/known_hosts`);
    const check = await HostCheck.of(hosts, PLACE, person.ask);
    const error = new Error("nobody listens there");
    assertStrictEquals(
      await assertRejects(() => check.connect(() => Promise.reject(error)), Error),
      error,
    );
    assertEquals(person.asked, []);
  });
});
