import { assertEquals, assertRejects } from "@std/assert";
import { createIdentity } from "../../../identity.ts";
import {
  clientSecurity,
  type ClientSecurityFlags,
  serverSecurity,
  type ServerSecurityFlags,
} from "../../../tools/cli_security.ts";
import { UsageError } from "../../../tools/exit.ts";
import { FileError } from "../../../tools/files.ts";
import { Output } from "../../../tools/output.ts";
import { withDirectory } from "../../support/cli.ts";

const { fingerprint: PIN } = await createIdentity();
const CERTS = `${import.meta.dirname}/../../support/certs`;
const file = "/nosuch/file";
const output = new Output({ json: true });

Deno.test("a server that is told nothing of encryption has none", async () => {
  const flags = { host: "127.0.0.1", port: 1 };
  const plain: unknown = { options: {}, text: "", object: {} };
  assertEquals<unknown>(await serverSecurity(flags, output), plain);
});

Deno.test("a client that is told nothing of encryption has none", async () => {
  const { options, text } = await clientSecurity({ unix: "/x.sock" }, output);
  assertEquals([options, text], [{}, ""]);
});

Deno.test("a server's flags of encryption that do not go together are told by their names", async () => {
  const wrong: [ServerSecurityFlags, string][] = [
    [{ identity: file }, "--identity goes with --secure"],
    [{ pin: [PIN] }, "--pin goes with --secure"],
    [{ tlsCert: file }, "--tls-cert and --tls-key go together"],
    [{ tlsKey: file }, "--tls-cert and --tls-key go together"],
    [{ secure: true, tlsKey: file }, "--tls-cert and --tls-key go together"],
    [
      { secure: true, tlsCert: file, tlsKey: file },
      "--secure and --tls-cert exclude each other",
    ],
    [{ unix: "x", tlsCert: file, tlsKey: file }, "--unix and --tls-cert exclude each other"],
    [{ tlsCert: file, tlsKey: file, pin: [PIN] }, "--pin goes with --secure"],
  ];
  for (const [flags, message] of wrong) {
    const error = await assertRejects(() => serverSecurity(flags, output), UsageError);
    assertEquals(error.message, message);
  }
});

Deno.test("a client's flags of encryption that do not go together are told by their names", async () => {
  const wrong: [ClientSecurityFlags, string][] = [
    [{ identity: file }, "--identity goes with --secure"],
    [{ pin: [PIN] }, "--pin goes with --secure"],
    [{ knownHosts: file }, "--known-hosts goes with --secure"],
    [{ tls: true, knownHosts: file }, "--known-hosts goes with --secure"],
    [{ tlsHostname: "x" }, "--tls-hostname goes with --tls, or with --ca"],
    [{ secure: true, tlsHostname: "x" }, "--tls-hostname goes with --tls, or with --ca"],
    [{ secure: true, tls: true }, "--secure and --tls exclude each other"],
    [{ secure: true, ca: file }, "--secure and --ca exclude each other"],
    [{ secure: true, tls: true, ca: file }, "--secure and --ca exclude each other"],
    [{ unix: "x", tls: true }, "--unix and --tls exclude each other"],
    [
      { secure: true, pin: [PIN], knownHosts: file },
      "--pin and --known-hosts exclude each other",
    ],
  ];
  for (const [flags, message] of wrong) {
    const error = await assertRejects(() => clientSecurity(flags, output), UsageError);
    assertEquals(error.message, message);
  }
});

Deno.test("a pin that is no fingerprint is not said again", async () => {
  for (const pin of ["", "SECRET", PIN.slice(0, -1), PIN + "x", PIN.replace("pnet1", "rsa1")]) {
    for (const make of [serverSecurity, clientSecurity]) {
      const flags = { secure: true, pin: [PIN, pin] };
      const error = await assertRejects(() => make(flags, output), UsageError);
      assertEquals(error.message, "--pin takes a fingerprint: pnet1: and 43 characters");
    }
  }
});

Deno.test("a file that cannot be used is told before anything is begun", async () => {
  for (const flags of [{ secure: true, identity: file }, { tlsCert: file, tlsKey: file }]) {
    await assertRejects(() => serverSecurity(flags, output), FileError, "no such file");
  }
  const pin = [PIN];
  for (const flags of [{ secure: true, pin, identity: file }, { ca: file }]) {
    await assertRejects(() => clientSecurity(flags, output), FileError, "no such file");
  }
  await withDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/hosts`, "nonsense");
    const flags = { secure: true, knownHosts: `${directory}/hosts` };
    await assertRejects(() => clientSecurity(flags, output), FileError, "hosts, line 1");
  });
});

Deno.test("a server lets those clients in alone whose keys it is told", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/identity.pem`;
    const identity = await createIdentity();
    await Deno.writeTextFile(path, await identity.export(), { mode: 0o600 });
    const all = await serverSecurity({ secure: true, identity: path }, output);
    assertEquals(all.options.secure!.fingerprint, identity.fingerprint);
    assertEquals(all.options.authenticate, undefined);
    assertEquals<unknown>(all.object, { fingerprint: identity.fingerprint });

    const flags = { secure: true, identity: path, pin: [identity.fingerprint, PIN] };
    const { authenticate } = (await serverSecurity(flags, output)).options;
    const { signal } = new AbortController();
    const ask = (fingerprint?: string) =>
      authenticate!({ auth: null, address: "x", fingerprint, signal });
    assertEquals([ask(PIN), ask(identity.fingerprint)], [true, true]);
    const stranger = (await createIdentity()).fingerprint;
    assertEquals(ask(stranger), { refuse: `the key ${stranger} is not let in here` });
    assertEquals(typeof ask(undefined), "object");
  });
});

Deno.test("--tls trusts the system's authorities, and --ca those of its file as well", async () => {
  const system = await clientSecurity({ tls: true }, output);
  assertEquals(system.options, { tls: { caCerts: [], hostname: undefined } });
  const ca = `${CERTS}/one.cert.pem`;
  const own = await clientSecurity({ ca, tlsHostname: "games.example" }, output);
  const caCerts = [await Deno.readTextFile(ca)];
  assertEquals(own.options, { tls: { caCerts, hostname: "games.example" } });
});
