// TLS on the side of a server, in memory, against the platform's own client.

import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { Duplex } from "node:stream";
import { connect } from "node:tls";
import { ConnectionError } from "../../errors.ts";
import { acceptTls, type TlsTransport, tryCertificate } from "../../tls_transport.ts";
import type { Transport } from "../../transport.ts";
import { EXPIRED, ONE, SIGNED, TWO } from "../support/certs.ts";
import { type MemoryEnd, memoryPair, type Slice, slicesOf } from "../support/memory_transport.ts";
import { settle, until, within } from "../support/wait.ts";

const CERTIFICATE = await tryCertificate(ONE);
const TEXT = "one packet a line\n".repeat(20);

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The client's side. */
class Peer implements Disposable {
  text = "";
  hasEnded = false;
  readonly #end: MemoryEnd;
  readonly #socket: Duplex;
  readonly #tls: ReturnType<typeof connect>;

  constructor(end: MemoryEnd, options: { maxVersion?: "TLSv1.2" } = {}) {
    this.#end = end;
    this.#socket = new Duplex({
      read() {},
      write: (chunk, _encoding, done) => void end.write(chunk).then(() => done(), done),
    });
    this.#tls = connect({ socket: this.#socket, ca: ONE.cert, host: "localhost", ...options });
    for (const stream of [this.#socket, this.#tls]) stream.on("error", () => {});
    this.#tls.on("data", (chunk) => this.text += decoder.decode(chunk));
    this.#tls.on("end", () => this.hasEnded = true);
    this.#pump();
  }

  /** Sends this once TLS has been agreed on. */
  async say(text: string): Promise<void> {
    await new Promise<void>((resolve) => this.#tls.write(text, () => resolve()));
  }

  /** Says that this was all. */
  end(): void {
    this.#tls.end();
  }

  [Symbol.dispose](): void {
    this.#tls.destroy();
    this.#socket.destroy();
    this.#end.close();
  }

  async #pump(): Promise<void> {
    try {
      for (let chunk; (chunk = await this.#end.read());) this.#socket.push(chunk.slice());
    } catch {
      // It was closed.
    }
  }
}

/** Both sides, joined. */
async function withBoth(
  act: (tls: TlsTransport, peer: Peer, ends: [MemoryEnd, MemoryEnd]) => Promise<void>,
  slices: Slice[] = [],
  options: { maxVersion?: "TLSv1.2" } = {},
): Promise<void> {
  const ends = memoryPair(...slices);
  using peer = new Peer(ends[0], options);
  const tls = await within(acceptTls(ends[1], CERTIFICATE), "TLS");
  try {
    await act(tls, peer, ends);
  } finally {
    tls.close();
    await settle();
  }
}

async function writeAll(transport: Transport, text: string): Promise<void> {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += await transport.write(bytes.subarray(at));
}

/** Reads so much, or to the end. */
async function readText(transport: Transport, length = Infinity): Promise<string> {
  let text = "";
  while (text.length < length) {
    const chunk = await within(transport.read(), "bytes");
    if (chunk === null) break;
    text += decoder.decode(chunk);
  }
  return text;
}

for (const maxVersion of ["TLSv1.2", undefined] as const) {
  for (
    const [pieces, slice] of [["single bytes", slicesOf(1)], [
      "large pieces",
      slicesOf(9_000),
    ]] as const
  ) {
    Deno.test(`text goes both ways over ${maxVersion ?? "TLSv1.3"} in ${pieces}`, async () => {
      await withBoth(
        async (tls, peer) => {
          await peer.say(TEXT);
          assertEquals(await readText(tls, TEXT.length), TEXT);
          await writeAll(tls, TEXT);
          await until(() => peer.text === TEXT, "it came");
        },
        [slice, slice],
        { maxVersion },
      );
    });
  }
}

Deno.test("an end that was said is one, and this side may go on", async () => {
  await withBoth(async (tls, peer, [far]) => {
    await peer.say(TEXT);
    peer.end();
    await far.closeWrite();
    assertEquals(await readText(tls), TEXT);
    assertEquals(await tls.read(), null);
    await writeAll(tls, TEXT);
    await tls.closeWrite();
    await until(() => peer.hasEnded, "the end came");
    assertEquals([peer.text, far.ended], [TEXT, "fin"]);
  });
});

Deno.test("a socket that ends once that was said has not failed, and this side may go on", async () => {
  await withBoth(async (tls, peer, [far]) => {
    const reading = tls.read();
    peer.end();
    assertEquals(await within(reading, "the end"), null);
    await far.closeWrite();
    await settle();
    await writeAll(tls, TEXT);
    await until(() => peer.text === TEXT, "it came");
  });
});

Deno.test("whoever has said that this was all can still read", async () => {
  await withBoth(async (tls, peer) => {
    await writeAll(tls, "bye");
    await tls.closeWrite();
    await until(() => peer.hasEnded, "the end came");
    await peer.say(TEXT);
    assertEquals(await readText(tls, TEXT.length), TEXT);
    peer.end();
    assertEquals(await within(tls.read(), "the end"), null);
  });
});

/** What comes of a client that says the text and that this was all, when its bytes are dealt with so. */
async function read(slice: Slice): Promise<{ text: string; end: "said" | "lost" | "refused" }> {
  const ends = memoryPair(slice);
  const peer = new Peer(ends[0]);
  let text = "";
  const acting = (async () => {
    const tls = await acceptTls(ends[1], CERTIFICATE);
    try {
      for (let chunk; (chunk = await tls.read());) text += decoder.decode(chunk);
    } finally {
      tls.close();
    }
  })();
  const outcome = acting.then(() => "said" as const, () => "lost" as const);
  peer.say(TEXT);
  peer.end();
  // It has had its say when nothing moves any more.
  for (let sent = -1; sent !== ends[0].writes.length;) {
    sent = ends[0].writes.length;
    for (let turn = 0; turn < 3; turn++) await settle();
  }
  await ends[0].closeWrite();
  const end = await within(outcome, "the end");
  peer[Symbol.dispose]();
  return { text, end };
}

/** How many bytes such a client says in all. */
async function spoken(): Promise<number> {
  let length = 0;
  const { text, end } = await read((bytes) => {
    length += bytes.length;
    return [bytes];
  });
  assertEquals([text, end], [TEXT, "said"]);
  return length;
}

function everyNinth(length: number): number[] {
  return Array.from({ length: Math.ceil(length / 9) }, (_, index) => index * 9);
}

Deno.test("row 41: a cut is never taken for an end, wherever it is", async () => {
  const length = await spoken();
  await Promise.all(
    everyNinth(length).map(async (place) => {
      let sent = 0;
      const { text, end } = await read((bytes) => {
        const kept = bytes.subarray(0, Math.max(0, place - sent));
        sent += bytes.length;
        return kept.length > 0 ? [kept] : [];
      });
      assertEquals(end, "lost", `cut before byte ${place} of ${length}`);
      assert(TEXT.startsWith(text));
    }),
  );
});

Deno.test("a bit that is flipped ends it before anything that it touched is read", async () => {
  const length = await spoken();
  await Promise.all(
    everyNinth(length).map(async (place) => {
      let sent = 0;
      const { text, end } = await read((bytes) => {
        const all = bytes.slice();
        if (place >= sent && place < sent + all.length) all[place - sent] ^= 1 << place % 8;
        sent += all.length;
        return [all];
      });
      assertEquals(end, "lost", `byte ${place} of ${length}`);
      assert(TEXT.startsWith(text));
    }),
  );
});

Deno.test("what is no TLS is refused, also if it is there before anything has begun", async () => {
  for (const said of [`{"action":"@handshake"}\n`, "GET / HTTP/1.1\r\n\r\n", "\0".repeat(20_000)]) {
    const [far, near] = memoryPair();
    await far.send(said);
    const accepting = acceptTls(near, CERTIFICATE);
    const error = await within(assertRejects(() => accepting, ConnectionError), "the refusal");
    assertEquals([error.code, near.isClosed], ["CONNECTION_LOST", true]);
    await settle();
  }
});

Deno.test("a handshake ends when what it goes through is closed", async () => {
  const [far, near] = memoryPair();
  const accepting = acceptTls(near, CERTIFICATE);
  await settle();
  near.close();
  await within(assertRejects(() => accepting, ConnectionError), "the end");
  assertEquals(far.ended, "fin");
});

Deno.test("no more is read from below than is asked for", async () => {
  await withBoth(async (tls, peer, [, near]) => {
    let reads = 0;
    const read = near.read.bind(near);
    near.read = () => {
      reads++;
      return read();
    };
    const text = "x".repeat(1_000_000);
    const saying = peer.say(text);
    await settle();
    assertEquals(reads, 0);
    const first = await readText(tls, 1);
    const readsForFirst = reads;
    for (let turn = 0; turn < 5; turn++) await settle();
    assertLess(reads - readsForFirst, 2);
    assertEquals(first + await readText(tls, text.length - first.length), text);
    await saying;
  }, [slicesOf(10_000)]);
});

Deno.test("a write that nobody takes ends when it is closed, and so does a read", async () => {
  await withBoth(async (tls, _peer, [, near]) => {
    near.write = () => new Promise(() => {});
    const writing = tls.write(encoder.encode(TEXT));
    const reading = tls.read();
    await settle();
    tls.close();
    assert(near.isClosed);
    for (const waiting of [writing, reading, tls.write(new Uint8Array(1)), tls.read()]) {
      await within(assertRejects(() => waiting, Error), "its end");
    }
    tls.close();
  });
});

Deno.test("no single write takes more than 64 KiB, and what was taken is the caller's again", async () => {
  await withBoth(async (tls, peer) => {
    const bytes = encoder.encode("a".repeat(100_000));
    const count = await tls.write(bytes);
    assertEquals(count, 65_536);
    bytes.fill(0);
    await until(() => peer.text.length === count, "it came");
    assertEquals(peer.text, "a".repeat(count));
  });
});

Deno.test("a certificate is tried with its key, whoever may trust it", async () => {
  for (const one of [ONE, TWO, SIGNED, EXPIRED]) await tryCertificate(one);
  const wrong = [
    { cert: ONE.cert, key: TWO.key },
    { cert: ONE.cert, key: ONE.cert },
    { cert: ONE.key, key: ONE.key },
    { cert: "", key: "" },
  ];
  for (const one of wrong) {
    await within(assertRejects(() => tryCertificate(one), Error, "do not belong together"), "no");
  }
});
