/**
 * The floor on `node:net`: its clients.
 *
 * @module
 */

import { once } from "node:events";
import { connect } from "node:net";
import { PORT, serveLoad } from "../load.mjs";
import { BATCH_LENGTH, readPackets } from "./bare_net.mjs";

class BareClient {
  #socket;
  #hear;
  #waiting = new Map();
  #takeReplies = undefined;
  #unsent = "";
  #lastId = 0;

  constructor(socket, hear) {
    this.#socket = socket;
    this.#hear = hear;
    readPackets(socket, (packets) => (this.#takeReplies ?? this.#take)(packets));
  }

  /** Asks, and writes all that is asked in one turn at once. */
  request(action, data) {
    const id = ++this.#lastId;
    this.send({ action, data, id });
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  send(packet) {
    if (this.#unsent === "") {
      queueMicrotask(() => {
        this.#socket.write(this.#unsent);
        this.#unsent = "";
      });
    }
    this.#unsent += JSON.stringify(packet) + "\n";
  }

  /** For each batch of replies one write with as many requests, and no promise for any. */
  exchange(turn) {
    return new Promise((resolve) => {
      let expected = this.#lastId + 1;
      const first = expected;
      let sent = performance.now();
      const ask = (count) => {
        let text = "";
        for (let n = 0; n < count; n++) {
          text += JSON.stringify({ action: "echo", data: turn.data, id: ++this.#lastId }) + "\n";
        }
        this.#socket.write(text);
      };
      this.#takeReplies = (packets) => {
        for (const { id, data } of packets) {
          if (id !== expected++) {
            throw new Error(`the reply to ${id} came for that to ${expected - 1}`);
          }
          turn.check(data);
          if (turn.times) {
            const now = performance.now();
            turn.times.push(now - sent);
            sent = now;
          }
        }
        if (!turn.isOver) return ask(packets.length);
        if (expected <= this.#lastId) return;
        this.#takeReplies = undefined;
        resolve(expected - first);
      };
      ask(turn.inFlight);
    });
  }

  async flood(data, untilMs) {
    let sent = 0;
    let text = "";
    while (performance.now() < untilMs) {
      for (let n = 0; n < 64; n++) {
        text += JSON.stringify({ action: "note", data }) + "\n";
        if (text.length < BATCH_LENGTH) continue;
        if (!this.#socket.write(text)) await once(this.#socket, "drain");
        text = "";
      }
      sent += 64;
    }
    if (text !== "") this.#socket.write(text);
    return sent;
  }

  #take = (packets) => {
    for (const { id, data } of packets) {
      if (id === undefined) {
        this.#hear(data);
        continue;
      }
      this.#waiting.get(id)(data);
      this.#waiting.delete(id);
    }
  };
}

await serveLoad(async (hear) => {
  const socket = connect({ host: "127.0.0.1", port: PORT, noDelay: true });
  await once(socket, "connect");
  const client = new BareClient(socket, hear);
  await client.request("hello", null);
  return {
    request: (data) => client.request("echo", data),
    flood: (data, untilMs) => client.flood(data, untilMs),
    count: () => client.request("count", null),
    burst: (data) => client.send({ action: "burst", data }),
    close: () => new Promise((resolve) => socket.end(resolve)),
    exchange: (turn) => client.exchange(turn),
  };
});
