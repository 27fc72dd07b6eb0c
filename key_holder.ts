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
} from "./crypto.ts";
import { RequestError } from "./errors.ts";
import { checkOptions } from "./options.ts";
import { describe, type OutgoingPacket, type Packet } from "./packet.ts";

/** Holds one key pair, or none yet. */
export class KeyHolder {
  #keys: EncryptKeys | undefined;

  /**
   * @param keys Those that are there from the start.
   * @throws {TypeError} If they are something else.
   */
  constructor(keys?: EncryptKeys) {
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

  /** What opens the packets of a name, if it is bound so. */
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
      return (await this.decrypt(packet, {})).data;
    };
  }

  #required(): EncryptKeys {
    if (!this.#keys) {
      throw new TypeError("There are no keys yet: await createEncryptKeys(), or pass encryptKeys");
    }
    return this.#keys;
  }
}
