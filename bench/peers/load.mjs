/**
 * What the loads share. Whoever can connect, ask, send and hear broadcasts is measured here, each in the
 * same way. In JavaScript, since Node is to run it as well as Deno.
 *
 * @module
 */

import process from "node:process";
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { isDeepStrictEqual } from "node:util";
import { answerCommands } from "./commands.mjs";
import { quantiles } from "./quantiles.mjs";

/**
 * One connection of a contender.
 *
 * @typedef {object} LoadClient
 * @property {(data: unknown) => Promise<unknown>} request
 *   Sends it to the server, which sends it back.
 * @property {(data: unknown, untilMs: number) => Promise<number>} flood
 *   Sends it, and again, with no answer, until it is so late (`performance.now()`). Resolves to how often.
 * @property {() => Promise<{ handled: number, last: unknown }>} count
 *   How many of those the server has handled since it was asked last, and what the last one brought. The
 *   answer comes behind all of them.
 * @property {(burst: Burst) => void} burst
 *   Lets the server broadcast.
 * @property {() => unknown} close
 * @property {(turn: Turn) => Promise<number>} [exchange]
 *   Requests until the turn is over, by hand. Resolves to how many were answered.
 */

/**
 * What the server is to send to all of its clients, in one turn of its event loop.
 *
 * @typedef {{ packets: number, data: unknown }} Burst
 */

/**
 * Some time during which requests are sent.
 *
 * @typedef {object} Turn
 * @property {unknown} data
 * @property {number} inFlight How many are unanswered at any time, on each connection.
 * @property {boolean} isOver Nothing new is sent then.
 * @property {number[] | undefined} times Where each notes how many milliseconds it took.
 * @property {(reply: unknown) => void} check Throws at what is not what was sent.
 */

/** How many replies are looked at only for whether they are there, for one that is compared in full. */
const CHECK_EVERY = 256;
const CONNECTS_AT_ONCE = 16;
/** Longer than any turn: then something was lost. */
const PATIENCE_MS = 30_000;

/**
 * Does what it is told until its input ends.
 *
 * @param {(hear: (data: unknown) => void) => Promise<LoadClient>} connect
 *   Resolves when the handshake is done. `hear` takes what is broadcast.
 * @param {object} [hello]
 * @returns {Promise<void>}
 */
export async function serveLoad(connect, hello = {}) {
  /** @type {{ client: LoadClient, heard: number }[]} */
  const seats = [];
  /** @type {(data: unknown) => void} */
  let hear = () => {};

  const take = async () => {
    const seat = { client: /** @type {any} */ (undefined), heard: 0 };
    seat.client = await connect((data) => {
      seat.heard++;
      hear(data);
    });
    seats.push(seat);
  };

  await answerCommands(hello, {
    /** So many more clients come, and stay. */
    connect: async ({ clients }) => {
      const wanted = seats.length + clients;
      let begun = seats.length;
      await all(CONNECTS_AT_ONCE, async () => {
        while (begun < wanted) {
          begun++;
          await take();
        }
      });
    },

    /** All clients ask, each with so many requests under way; those that can do it by hand do, unless told not to. */
    requests: async ({ data, inFlight, ms, byHand = true }) => {
      const times = inFlight * seats.length === 1 ? /** @type {number[]} */ ([]) : undefined;
      const turn = { data, inFlight, isOver: false, times, check: checker(data) };
      const timer = setTimeout(() => turn.isOver = true, ms);
      const start = performance.now();
      const counts = await within(
        Promise.all(
          seats.map(({ client }) =>
            byHand && client.exchange ? client.exchange(turn) : exchange(turn, client)
          ),
        ),
      );
      const took = performance.now() - start;
      clearTimeout(timer);
      const count = sum(counts);
      return { count, rate: count / took * 1_000, ...(times ? latencies(times) : {}) };
    },

    /** The first client sends without asking for anything. */
    flood: async ({ data, ms }) => {
      const [{ client }] = seats;
      const start = performance.now();
      const sent = await client.flood(data, start + ms);
      const { handled, last } = await within(client.count());
      const took = performance.now() - start;
      if (handled !== sent) throw new Error(`${handled} of ${sent} packets arrived`);
      checker(data, 1)(last);
      return { count: handled, rate: handled / took * 1_000 };
    },

    /** The server broadcasts, and again when all clients have heard all of it. */
    broadcasts: async ({ data, packets, ms }) => {
      const [{ client }] = seats;
      const check = checker(data);
      const perBurst = packets * seats.length;
      for (const seat of seats) seat.heard = 0;
      const start = performance.now();
      let bursts = 0;
      await within(
        new Promise((resolve, reject) => {
          let missing = 0;
          const begin = () => {
            missing = perBurst;
            client.burst({ packets, data });
          };
          hear = (tick) => {
            try {
              check(tick);
            } catch (error) {
              reject(error);
            }
            if (--missing > 0) return;
            bursts++;
            if (performance.now() - start < ms) begin();
            else resolve(undefined);
          };
          begin();
        }),
      );
      const took = performance.now() - start;
      const uneven = seats.filter(({ heard }) => heard !== bursts * packets).length;
      if (uneven > 0) throw new Error(`${uneven} clients did not hear what the others did`);
      const count = bursts * perBurst;
      return { count, rate: count / took * 1_000 };
    },

    /** The first client asks at even intervals, whether or not it was answered, and counts from when it should have. */
    paced: async ({ data, perSecond, ms }) => {
      const [{ client }] = seats;
      const check = checker(data);
      /** @type {number[]} */
      const times = [];
      const wanted = Math.floor(perSecond * ms / 1_000);
      const start = performance.now();
      let sent = 0;
      await within(
        new Promise((resolve, reject) => {
          const ask = async (/** @type {number} */ due) => {
            check(await client.request(data));
            times.push(performance.now() - due);
            if (times.length === wanted) resolve(undefined);
          };
          const sendDue = () => {
            const due = Math.min(wanted, (performance.now() - start) * perSecond / 1_000);
            for (; sent < due; sent++) ask(start + sent * 1_000 / perSecond).catch(reject);
            if (sent < wanted) setImmediate(sendDue);
          };
          sendDue();
        }),
      );
      return { count: wanted, ...latencies(times) };
    },

    /** Clients come and go, so many at once. */
    connects: async ({ ms }) => {
      const start = performance.now();
      let count = 0;
      await all(CONNECTS_AT_ONCE, async () => {
        while (performance.now() - start < ms) {
          const client = await connect(() => {});
          await client.close();
          count++;
        }
      });
      return { count, rate: count / (performance.now() - start) * 1_000 };
    },
  });
}

/** Where the server listens. */
export const PORT = Number(process.argv[2]);

/**
 * Requests until the turn is over, by the client's own.
 *
 * @param {Turn} turn
 * @param {LoadClient} client
 */
async function exchange(turn, client) {
  const { data, inFlight, times, check } = turn;
  let count = 0;
  await all(inFlight, async () => {
    while (!turn.isOver) {
      const sent = times ? performance.now() : 0;
      check(await client.request(data));
      times?.push(performance.now() - sent);
      count++;
    }
  });
  return count;
}

/**
 * Compares some of what arrives with what was sent.
 *
 * @param {unknown} expected
 * @returns {(data: unknown) => void}
 */
function checker(expected, every = CHECK_EVERY) {
  let count = 0;
  return (data) => {
    if (data === undefined || ++count % every === 0 && !isDeepStrictEqual(data, expected)) {
      throw new Error(`${JSON.stringify(data)} arrived`);
    }
  };
}

/**
 * Does it so many times at once.
 *
 * @param {number} times
 * @param {() => Promise<void>} work
 */
async function all(times, work) {
  await Promise.all(Array.from({ length: times }, work));
}

/**
 * Fails if it takes for ever.
 *
 * @template T
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
async function within(work) {
  let timer;
  const lost = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("something did not arrive")), PATIENCE_MS);
  });
  try {
    return await Promise.race([work, /** @type {Promise<never>} */ (lost)]);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {number[]} times */
function latencies(times) {
  const [p50, p99, p999] = quantiles(times, [0.5, 0.99, 0.999]);
  return { p50, p99, p999 };
}

/** @param {number[]} values */
function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
