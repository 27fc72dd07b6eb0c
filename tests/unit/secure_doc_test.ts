// The bytes of a secure connection in docs/protocol.md, made again from the keys that stand beside them.

import { assert, assertEquals } from "@std/assert";
import doc from "../../docs/protocol.md" with { type: "text" };
import { ByteQueue } from "../../byte_queue.ts";
import { fingerprintOf } from "../../identity.ts";
import { type Bytes, type KeyPair, NoiseHandshake, XX } from "../../noise.ts";
import { SecureTransport } from "../../secure_channel.ts";
import type { Transport } from "../../transport.ts";

const [, block] = /^```bytes\n([^]*?)^```$/m.exec(doc)!;
const VALUES = Object.fromEntries(
  [...block.matchAll(/^(?!#)(\S.*?): (.+)$/gm)].map(([, name, value]) => [name, value]),
);

/** Everything that the block says, each once. */
const used = new Set<string>();

function valueOf(name: string): string {
  assert(name in VALUES, `${name} stands there`);
  used.add(name);
  return VALUES[name];
}

async function keyPair(name: string): Promise<KeyPair> {
  const secret = Uint8Array.fromHex(valueOf(`${name}, private`));
  const pkcs8 = Uint8Array.of(...Uint8Array.fromHex("302e020100300506032b656e04220420"), ...secret);
  const usages: KeyUsage[] = ["deriveBits"];
  const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, "X25519", true, usages);
  const { x } = await crypto.subtle.exportKey("jwk", privateKey);
  const publicKey = Uint8Array.fromBase64(x!, { alphabet: "base64url" });
  assertEquals(publicKey.toHex(), valueOf(`${name}, public`));
  return { publicKey, privateKey };
}

/** A transport that keeps what is written to it. */
class Kept implements Transport {
  readonly address = "memory";
  written = "";
  write(bytes: Uint8Array): Promise<number> {
    this.written += bytes.toHex();
    return Promise.resolve(bytes.length);
  }
  read(): Promise<null> {
    return Promise.resolve(null);
  }
  closeWrite(): Promise<void> {
    return Promise.resolve();
  }
  close(): void {}
}

Deno.test("the secure connection in docs/protocol.md is what its keys make of it", async () => {
  const encoder = new TextEncoder();
  const offer = valueOf("offer");
  const begin = async (isInitiator: boolean, name: string) => {
    const own = await keyPair(`${name}'s static key`);
    assertEquals(await fingerprintOf(own.publicKey), valueOf(`${name}'s fingerprint`));
    return await NoiseHandshake.begin({
      protocolName: JSON.parse(offer).data.protocol,
      pattern: XX,
      isInitiator,
      prologue: encoder.encode(offer),
      static: own,
      ephemeral: await keyPair(`${name}'s ephemeral key`),
    });
  };
  const client = await begin(true, "client");
  const server = await begin(false, "server");
  const turns = [[client, server], [server, client], [client, server]];
  for (const [index, [from, to]] of turns.entries()) {
    const message = await from.write();
    assertEquals(message.toBase64(), valueOf(`message ${index + 1}`));
    assertEquals((await to.read(message)).length, 0);
  }
  assertEquals(client.hash.toHex(), valueOf("handshake hash"));
  assertEquals(server.hash, client.hash);

  for (const [name, side] of [["client", client], ["server", server]] as const) {
    const kept = new Kept();
    const transport = new SecureTransport(kept, await side.split(), new ByteQueue());
    const text = encoder.encode(valueOf(`${name}'s first line`) + "\n") as Bytes;
    assertEquals(await transport.write(text), text.length);
    assertEquals(kept.written, valueOf(`${name}'s first record`));
  }
  assertEquals([...used].toSorted(), Object.keys(VALUES).toSorted());
});
