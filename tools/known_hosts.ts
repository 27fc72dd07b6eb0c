/**
 * The servers that the command line knows, and the keys that they had when they became known.
 *
 * A file of text: one server a line, `host:port fingerprint` or `unix:/path fingerprint`; what follows a `#`
 * is for people.
 *
 * @module
 */

import { dirname } from "node:path";
import { isFingerprint } from "../identity.ts";
import type { ResolvedEndpoint } from "../options.ts";
import { endpointText } from "../transport.ts";
import { FileError, fileErrorOf, readFrom, readText, shownPath } from "./files.ts";

/** One server that is known. */
export interface KnownHost {
  /** Where it is: `host:port`, `[address]:port` or `unix:/path`. */
  place: string;
  /** What its key is known by. */
  fingerprint: string;
  /** The line of the file that says so, from 1. */
  line: number;
}

/** More than anyone connects to; what is larger is some other file. */
const MAX_BYTES = 4_194_304;
const MAX_PORT = 65_535;
const HOST_AND_PORT = /^(?:\[[^\s\[\]]+\]|[^\s\[\]:#]+):(\d{1,5})$/;
const SOCKET = /^unix:[^\s#]+$/;

const encoder = new TextEncoder();

/** Where a server is, as the file names it: in small letters, without blanks. */
export function placeOf(endpoint: ResolvedEndpoint): string {
  if ("path" in endpoint) return `unix:${encode(endpoint.path)}`;
  return encode(endpointText(endpoint).toLowerCase());
}

/**
 * Reads the text of such a file.
 *
 * @param text All of it.
 * @param shown The name of the file, for errors.
 * @throws {FileError} If a line is not as it must be: it names the line, and says nothing of what is in it.
 */
export function parseKnownHosts(text: string, shown: string): KnownHost[] {
  return text.split("\n").flatMap((content, at) => {
    const [place = "", fingerprint, ...rest] = content.trim().split(/\s+/);
    if (place === "" || place.startsWith("#")) return [];
    const isComment = rest.length === 0 || rest[0].startsWith("#");
    if (!isPlace(place) || !isFingerprint(fingerprint) || !isComment) {
      throw new FileError(
        `${shown}, line ${
          at + 1
        }: it must be host:port and a fingerprint (pnet1:…), or a comment (#)`,
      );
    }
    return [{ place: nameOf(place), fingerprint, line: at + 1 }];
  });
}

/** The line that makes a server known. */
export function knownHostLine({ place, fingerprint }: Omit<KnownHost, "line">): string {
  return `${place} ${fingerprint}`;
}

/** What is known of one place, in the order of the file. There may be several keys: each will do. */
export function knownAt(hosts: readonly KnownHost[], place: string): KnownHost[] {
  return hosts.filter((host) => host.place === place);
}

/** Such a file. It need not be there yet. */
export class KnownHosts {
  /** Its name, fit to be shown. */
  readonly shown: string;
  readonly #path: string;

  readonly #makesDirectory: boolean;

  /**
   * @param path Where it is.
   * @param options Whether its directory is made together with it.
   */
  constructor(path: string, { makesDirectory = false } = {}) {
    this.#path = path;
    this.#makesDirectory = makesDirectory;
    this.shown = shownPath(path);
  }

  /**
   * What is known of a place.
   *
   * @throws {FileError} If the file cannot be read, or a line is not as it must be.
   */
  async at(place: string): Promise<KnownHost[]> {
    const text = await readText(this.#path, { maxBytes: MAX_BYTES, isOptional: true });
    return knownAt(parseKnownHosts(text, this.shown), place);
  }

  /**
   * Makes a server known, unless something is known of its place by now: another process may have been
   * faster.
   *
   * @returns What is known of the place then.
   * @throws {FileError} If the file cannot be read or written, or a line is not as it must be.
   */
  async add(place: string, fingerprint: string): Promise<KnownHost[]> {
    try {
      if (this.#makesDirectory) {
        await Deno.mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      }
      using file = await Deno.open(this.#path, {
        read: true,
        append: true,
        create: true,
        mode: 0o600,
      });
      // Gone with the file's handle.
      await file.lock(true);
      const text = await readFrom(file, MAX_BYTES);
      const known = knownAt(parseKnownHosts(text, this.shown), place);
      if (known.length > 0) return known;
      const host = { place, fingerprint };
      const start = text === "" || text.endsWith("\n") ? "" : "\n";
      append(file, `${start}${knownHostLine(host)}\n`);
      return [{ ...host, line: (text + start).split("\n").length }];
    } catch (error) {
      throw fileErrorOf(error, this.#path, "written");
    }
  }
}

/** In one write, or not at all: whoever reads meanwhile sees no half of a line. */
function append(file: Deno.FsFile, text: string): void {
  const bytes = encoder.encode(text);
  const { size } = file.statSync();
  if (file.writeSync(bytes) === bytes.length) return;
  file.truncateSync(size);
  throw new Error("there is no room for another line");
}

function isPlace(place: string): boolean {
  if (SOCKET.test(place)) return true;
  const port = Number(HOST_AND_PORT.exec(place)?.[1]);
  return port >= 1 && port <= MAX_PORT;
}

/** Names of hosts are the same in small and in capital letters; paths are not. */
function nameOf(place: string): string {
  return place.startsWith("unix:") ? place : place.toLowerCase();
}

/** Blanks would end it, and a `#` would begin a comment. */
function encode(text: string): string {
  return text.toWellFormed().replace(/[\s#%\p{Cc}]/gu, encodeURIComponent);
}
