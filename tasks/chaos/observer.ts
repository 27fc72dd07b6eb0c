/**
 * What can be told of a session by whoever sees its bytes go by. Pure: no socket, no timer, no clock.
 *
 * @module
 */

import type { Direction } from "../../tests/support/faulty_proxy.ts";
import type { Phase } from "./deck.ts";

const LINE_FEED = 10;
const GOODBYE = new TextEncoder().encode('{"action":"@close"');
const OTHER = { toServer: "toClient", toClient: "toServer" } as const;

/** One direction of a session, over all its connections. */
interface Flow {
  /** The highest number that went in. */
  seq: number;
  /** The highest acknowledgement that went in. */
  ack: number;
  /** The highest acknowledgement that came out. */
  ackOut: number;
  /** How far the other side said in its handshake that it was: less is not to be sent again. */
  resumedFrom: number;
  /** A line that is not whole yet. */
  partial: string;
  /** Whole lines of this connection. */
  lines: number;
  /** Their bytes. */
  bytes: number;
  /** Acknowledgements of this connection, and where their lines end. */
  acks: { ack: number; end: number }[];
}

/** Reads the lines of one session, over one connection after the other. */
export class Observer {
  readonly #decoder = new TextDecoder("latin1");
  readonly #flows: Record<Direction, Flow> = { toServer: newFlow(), toClient: newFlow() };
  #phase: Phase = "handshake";
  #needlessReplays = 0;
  #acksBackwards = 0;
  #resumes = 0;

  /** How far the connection is. In `traffic` the client has read the answer. */
  get phase(): Phase {
    return this.#phase;
  }

  /** Whether the server reads this connection, and no longer the one before. */
  get isTakenOver(): boolean {
    return this.#phase !== "handshake";
  }

  /** How long a side's part of the handshake is that begins like this. */
  handshakeLength(_direction: Direction, bytes: Uint8Array): number {
    return bytes.indexOf(LINE_FEED) + 1 || bytes.length;
  }

  /** How many packets were sent again though the handshake said that they had arrived. */
  get needlessReplays(): number {
    return this.#needlessReplays;
  }

  /** How many acknowledgements were lower than one before. */
  get acksBackwards(): number {
    return this.#acksBackwards;
  }

  /** How many answers granted a resume. */
  get resumes(): number {
    return this.#resumes;
  }

  /** Another connection begins. What did not come out of the one before by now never will. */
  beginConnection(): void {
    this.#phase = "handshake";
    for (const flow of Object.values(this.#flows)) {
      Object.assign(flow, { resumedFrom: 0, partial: "", lines: 0, bytes: 0, acks: [] });
    }
  }

  /** These bytes went in. What has come out by now does not matter where they can be read. */
  take(direction: Direction, bytes: Uint8Array, _out?: Record<Direction, number>): void {
    const flow = this.#flows[direction];
    const isAnswered = this.#flows.toClient.lines > 0;
    if (direction === "toServer" && isAnswered && !isGoodbye(bytes)) this.#phase = "traffic";
    else if (direction === "toClient" && !isAnswered) this.#phase = "answer";
    const end = bytes.lastIndexOf(LINE_FEED) + 1;
    if (end === 0) {
      flow.partial += this.#decoder.decode(bytes);
      return;
    }
    const text = flow.partial + this.#decoder.decode(bytes.subarray(0, end));
    flow.partial = this.#decoder.decode(bytes.subarray(end));
    for (const line of text.slice(0, -1).split("\n")) this.#line(direction, flow, line);
  }

  /** So many bytes of the connection came out. */
  cameOut(bytes: Record<Direction, number>): void {
    for (const direction of ["toServer", "toClient"] as const) {
      const flow = this.#flows[direction];
      while (flow.acks[0] && flow.acks[0].end <= bytes[direction]) {
        flow.ackOut = Math.max(flow.ackOut, flow.acks.shift()!.ack);
      }
    }
  }

  /** Whether packets have gone in, both ways, whose acknowledgements have not come out. */
  get isUnacknowledgedBothWays(): boolean {
    const { toServer, toClient } = this.#flows;
    return toServer.seq > toClient.ackOut && toClient.seq > toServer.ackOut;
  }

  #line(direction: Direction, flow: Flow, line: string): void {
    flow.lines++;
    flow.bytes += line.length + 1;
    if (flow.lines === 1) return this.#handshake(direction, flow, line);
    const [, seq, ack] = /(?:,"seq":(\d+))?(?:,"ack":(\d+))?}$/.exec(line) ?? [];
    if (seq !== undefined) {
      flow.seq = Math.max(flow.seq, Number(seq));
      if (Number(seq) <= flow.resumedFrom) this.#needlessReplays++;
    }
    if (ack !== undefined) this.#ack(flow, Number(ack), seq !== undefined);
  }

  #handshake(direction: Direction, flow: Flow, line: string): void {
    const { action, data } = JSON.parse(line);
    if (action !== "@handshake") return;
    const ack = direction === "toServer" ? data.resume?.ack : data.ack;
    if (ack === undefined) return;
    if (direction === "toClient") this.#resumes++;
    this.#flows[OTHER[direction]].resumedFrom = ack;
    this.#ack(flow, ack);
  }

  /** What is sent again bears the acknowledgement that it bore at first. */
  #ack(flow: Flow, ack: number, mayBeOld = false): void {
    if (ack < flow.ack && !mayBeOld) this.#acksBackwards++;
    flow.ack = Math.max(flow.ack, ack);
    flow.acks.push({ ack, end: flow.bytes });
  }
}

/** A client may give up on an answer that is under way. */
function isGoodbye(bytes: Uint8Array): boolean {
  return GOODBYE.every((byte, index) => bytes[index] === byte);
}

function newFlow(): Flow {
  return {
    seq: 0,
    ack: 0,
    ackOut: 0,
    resumedFrom: 0,
    partial: "",
    lines: 0,
    bytes: 0,
    acks: [],
  };
}
