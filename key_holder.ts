/**
 * The keys of a server or a client, and what they open.
 *
 * @module
 */

import type { BindOptions, Open } from "./actions.ts";
import {
  createEncryptKeys,
  type DecryptOptions,
  decryptPacket,
  EncryptKeys,
  type EncryptKeysOptions,
  isSealed,
  openPacket,
} from "./crypto.ts";
import { RequestError } from "./errors.ts";
import { checkOptions } from "./options.ts";
import { describe, type OutgoingPacket, type Packet } from "./packet.ts";
import type { Sweep } from "./sweep.ts";

/** Holds one key pair, or none yet. */
export class KeyHolder {
  readonly #sweep: Sweep;
  /** Calls off what waits; made when something does. */
  #over: AbortController | undefined;
  #hasEnded = false;
  #keys: EncryptKeys | undefined;

  /**
   * @param sweep What watches how long packets wait to be opened.
   * @param keys Those that are there from the start.
   * @throws {TypeError} If they are something else.
   */
  constructor(sweep: Sweep, keys?: EncryptKeys) {
    this.#sweep = sweep;
    if (keys !== undefined && !(keys instanceof EncryptKeys)) {
      throw new TypeError(`encryptKeys must be EncryptKeys, got ${describe(keys)}`);
    }
    this.#keys = keys;
  }

  /** The keys, if there are any. */
  get keys(): EncryptKeys | undefined {
    return this.#keys;
  }

  /** Makes new ones in the place of those. */
  async create(options: EncryptKeysOptions): Promise<EncryptKeys> {
    return this.#keys = await createEncryptKeys(options);
  }

  /**
   * Opens a sealed packet.
   *
   * @throws {TypeError} If there are no keys yet.
   */
  decrypt(packet: OutgoingPacket, options: DecryptOptions): Promise<Packet> {
    return decryptPacket(packet, this.#required(), options);
  }

  /**
   * What opens the packets of a name, if it is bound so. Where there are too many at once they wait: none of
   * a peer that has sent them in good faith is lost, and there is one of each peer at a time.
   */
  opener(options: BindOptions): Open | undefined {
    checkOptions(options);
    const { sealed = false } = options;
    if (typeof sealed !== "boolean") {
      throw new TypeError(`sealed must be a boolean, got ${describe(sealed)}`);
    }
    if (!sealed) return undefined;
    this.#required();
    return async (packet) => {
      if (!isSealed(packet.data)) {
        throw new RequestError("INVALID_DATA", "the data must be sealed");
      }
      const wait = (ms: number) => this.#pause(ms);
      return (await openPacket(packet, this.#required(), {}, wait)).data;
    };
  }

  /** What waits to be opened is not worth it any more. */
  end(): void {
    this.#hasEnded = true;
    this.#over?.abort();
  }

  #pause(ms: number): Promise<void> {
    this.#over ??= new AbortController();
    if (this.#hasEnded) this.#over.abort();
    return this.#sweep.pause(ms, this.#over.signal);
  }

  #required(): EncryptKeys {
    if (!this.#keys) {
      throw new TypeError("There are no keys yet: await createEncryptKeys(), or pass encryptKeys");
    }
    return this.#keys;
  }
}
