/**
 * The flags of the command line that keep others out, and what servers and clients make of them.
 *
 * @module
 */

import { resolve } from "node:path";
import type { ClientOptions } from "../client_options.ts";
import { type Identity, isFingerprint } from "../identity.ts";
import { resolveEndpoint } from "../options.ts";
import type { ServerOptions } from "../server_options.ts";
import { UsageError } from "./exit.ts";
import { isOpenToOthers, ownFile, shownPath } from "./files.ts";
import { askerAtTerminal, HostCheck } from "./host_check.ts";
import { readCertificates, readIdentity, readOrMakeIdentity, readPair } from "./key_files.ts";
import { KnownHosts, placeOf } from "./known_hosts.ts";
import type { Output } from "./output.ts";

/** What both sides may be told of a secure connection. */
interface SecureFlags {
  /** Whether the connection is to be secure. */
  secure?: boolean;
  /** The file of this side's own key. */
  identity?: string;
  /** What the other side's key is known by: one of these. */
  pin?: string[];
  /** Where it listens or connects. */
  host?: string;
  port?: number;
  unix?: string;
}

/** What `server` may be told. */
export interface ServerSecurityFlags extends SecureFlags {
  /** The file of the certificate. */
  tlsCert?: string;
  /** The file of the certificate's private key. */
  tlsKey?: string;
}

/** What `client` and `send` may be told. */
export interface ClientSecurityFlags extends SecureFlags {
  /** The file of the servers that are known. */
  knownHosts?: string;
  /** Whether the connection is to be one of TLS. */
  tls?: boolean;
  /** The file of the certificates that are trusted besides the system's. */
  ca?: string;
  /** The name that the server's certificate must hold. */
  tlsHostname?: string;
}

/** What a server makes of its flags. */
export interface ServerSecurity {
  /** For the server. */
  options: Pick<ServerOptions, "secure" | "tls" | "authenticate">;
  /** What follows in the line that says where it listens. */
  text: string;
  /** The same for programs. */
  object: Record<string, unknown>;
}

/** What a client makes of its flags. */
export interface ClientSecurity {
  /** For the client. */
  options: Pick<ClientOptions, "secure" | "tls">;
  /** What follows in the line that says where it is connected. */
  text: string;
  /** Starts the client. Where its server is to become known first, it is started once more. */
  connect(start: () => Promise<void>): Promise<void>;
}

/**
 * What a server makes of its flags. An identity that it is not given is made, once, in the user's own
 * directory.
 *
 * @throws {UsageError} If they do not go together.
 * @throws {FileError} If a file does not hold what it must.
 */
export async function serverSecurity(
  flags: ServerSecurityFlags,
  output: Output,
): Promise<ServerSecurity> {
  const { secure, unix, identity: path, pin, tlsCert, tlsKey } = flags;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new UsageError("--tls-cert and --tls-key go together");
  }
  const tls = tlsCert === undefined ? undefined : "--tls-cert";
  exclude([secure && "--secure", tls], [unix !== undefined && "--unix", tls]);
  require("--secure", secure, { "--identity": path, "--pin": pin });
  checkPins(pin);

  if (tlsCert !== undefined && tlsKey !== undefined) {
    const pair = await readPair(tlsCert, tlsKey);
    await warnIfOpen(tlsKey, output);
    return { options: { tls: pair }, text: ", TLS", object: { tls: true } };
  }
  if (!secure) return { options: {}, text: "", object: {} };
  const identity = path === undefined ? await ownIdentity(output) : await given(path, output);
  const { fingerprint } = identity;
  return {
    options: {
      secure: identity,
      authenticate: pin &&
        (({ fingerprint }) =>
          pin.includes(fingerprint!) || { refuse: `the key ${fingerprint} is not let in here` }),
    },
    text: `, secure, key ${fingerprint}`,
    object: { fingerprint },
  };
}

/**
 * What a client makes of its flags.
 *
 * @throws {UsageError} If they do not go together.
 * @throws {FileError} If a file does not hold what it must.
 */
export async function clientSecurity(
  flags: ClientSecurityFlags,
  output: Output,
): Promise<ClientSecurity> {
  const { secure, unix, identity: path, pin, knownHosts, ca, tlsHostname: hostname } = flags;
  const usesTls = flags.tls || ca !== undefined;
  const tls = ca === undefined ? flags.tls && "--tls" : "--ca";
  exclude(
    [secure && "--secure", tls],
    [unix !== undefined && "--unix", tls],
    [pin && "--pin", knownHosts !== undefined && "--known-hosts"],
  );
  require("--secure", secure, { "--identity": path, "--pin": pin, "--known-hosts": knownHosts });
  require("--tls, or with --ca", usesTls, { "--tls-hostname": hostname });
  checkPins(pin);

  const connect = (start: () => Promise<void>) => start();
  if (usesTls) {
    const caCerts = ca === undefined ? [] : [await readCertificates(ca)];
    return { options: { tls: { caCerts, hostname } }, text: ", TLS", connect };
  }
  if (!secure) return { options: {}, text: "", connect };
  const identity = path === undefined ? undefined : await given(path, output);
  if (pin) return { options: { secure: { pin, identity } }, text: ", secure", connect };
  const check = await HostCheck.of(
    hostsOf(knownHosts),
    placeOf(resolveEndpoint(unix === undefined ? flags : { path: resolve(unix) })),
    output.isJson ? undefined : askerAtTerminal(output.streams),
  );
  return {
    options: { secure: { pin: (fingerprint) => check.isTrusted(fingerprint), identity } },
    text: ", secure",
    connect: (start) => check.connect(start),
  };
}

async function given(path: string, output: Output): Promise<Identity> {
  const identity = await readIdentity(path);
  await warnIfOpen(path, output);
  return identity;
}

/** The same for all servers of this user. */
async function ownIdentity(output: Output): Promise<Identity> {
  const path = ownFile("identity.pem");
  if (path === undefined) {
    throw new UsageError("--secure goes with --identity FILE where there is no home directory");
  }
  const { identity, isNew } = await readOrMakeIdentity(path);
  if (isNew) {
    const { fingerprint } = identity;
    // Not to standard output, whose first line says where the server listens.
    output.fail(
      `made a key for this server and all later ones: ${shownPath(path)}`,
      { event: "identity-made", file: path, fingerprint },
      "plain",
    );
  } else {
    await warnIfOpen(path, output);
  }
  return identity;
}

function hostsOf(path: string | undefined): KnownHosts {
  if (path !== undefined) return new KnownHosts(path);
  const own = ownFile("known_hosts");
  if (own !== undefined) return new KnownHosts(own, { makesDirectory: true });
  throw new UsageError(
    "--secure goes with --pin or --known-hosts FILE where there is no home directory",
  );
}

async function warnIfOpen(path: string, output: Output): Promise<void> {
  if (!await isOpenToOthers(path)) return;
  const file = shownPath(path);
  const text = `warning: everyone on this machine can read ${file}: chmod 600 is for keys`;
  output.fail(text, { event: "warning", message: text.replace(/^warning: /, ""), file });
}

/** Checks that of each pair one flag alone was given. */
function exclude(...pairs: (string | boolean | undefined)[][]): void {
  const both = pairs.find((pair) => pair.every(Boolean));
  if (both) throw new UsageError(`${both.join(" and ")} exclude each other`);
}

/** Checks that none of these was given without the flag that they belong to. */
function require(
  flag: string,
  isGiven: boolean | undefined,
  others: Record<string, unknown>,
): void {
  const lonely = Object.keys(others).find((name) => others[name] !== undefined);
  if (lonely && !isGiven) throw new UsageError(`${lonely} goes with ${flag}`);
}

function checkPins(pins: string[] | undefined): void {
  if (pins?.every(isFingerprint) ?? true) return;
  throw new UsageError("--pin takes a fingerprint: pnet1: and 43 characters");
}
