/**
 * What a sender adds to a packet: the end of its line.
 *
 * @module
 */

/** What the sender adds to a packet. */
export interface Stamp {
  /** Milliseconds since the Unix epoch. */
  created: number;
  /** The token of the connection that the packet travels on. */
  token: string | null;
  /** The sender wants a reply under this number. */
  id?: number;
  /** This packet is the reply to the request of this number. */
  replyTo?: number;
  /** The packet's number within a session. */
  seq?: number;
  /** The peer's packets up to this number were handed over. */
  ack?: number;
}

/** The rest of the line after the head: what is stamped for one recipient. */
export function encodeTail({ created, token, id, replyTo, seq, ack }: Stamp): string {
  return encodeCreated(created) + encodeToken(token) + encodeNumbers(id, replyTo, seq, ack);
}

/** Stamps the packets of one connection. */
export class Stamper {
  readonly #token: string;
  readonly #start = Date.now();
  #age = 0;

  /** @param token The token of the connection. */
  constructor(token: string | null) {
    this.#token = encodeToken(token);
  }

  /** When the last tail was made, in milliseconds since the stamper was: a small number is cheap to keep. */
  get age(): number {
    return this.#age;
  }

  /** The rest of a line that is sent now, or was to be sent at some other time. */
  tail(id?: number, replyTo?: number, seq?: number, ack?: number, created = Date.now()): string {
    this.#age = created - this.#start;
    return encodeCreated(created) + this.#token + encodeNumbers(id, replyTo, seq, ack);
  }

  /** The rest of a line that was sent at this age, and is sent again. */
  tailAgain(age: number, id?: number, replyTo?: number, seq?: number): string {
    return encodeCreated(this.#start + age) + this.#token + encodeNumbers(id, replyTo, seq);
  }
}

let lastCreated = NaN;
let lastEncoded = "";

function encodeCreated(created: number): string {
  // Of the packets of a millisecond, whoever gets them, only the rest differs.
  if (created !== lastCreated) {
    lastCreated = created;
    lastEncoded = `,"packet-created":${created}`;
  }
  return lastEncoded;
}

function encodeToken(token: string | null): string {
  return `,"token":${token === null ? "null" : `"${token}"`}`;
}

function encodeNumbers(id?: number, replyTo?: number, seq?: number, ack?: number): string {
  let numbers = "";
  if (id !== undefined) numbers += `,"id":${id}`;
  if (replyTo !== undefined) numbers += `,"reply-to":${replyTo}`;
  if (seq !== undefined) numbers += `,"seq":${seq}`;
  if (ack !== undefined) numbers += `,"ack":${ack}`;
  return numbers + "}";
}
