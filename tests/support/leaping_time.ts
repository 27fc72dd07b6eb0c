import { PATIENCE_MS, pause, within } from "./wait.ts";

/** Several of them fit into every time limit, so that what one lets happen is over before the last. */
const STRIDE_MS = 50;
const LONG_STRIDE_MS = 500;
const LIVELY_MS = 1;

/** Something that is to happen at some time. */
interface Timer {
  at: number;
  callback: () => void;
}

/**
 * Time that passes as it does, and leaps when it is told to: takes the place of `setTimeout`,
 * `clearTimeout`, `performance.now` and `Date.now` until it is disposed of. So nobody waits for what takes
 * its time, over real sockets too, and deadlines can be so far off that no busy machine reaches them.
 *
 * It is to begin before whatever goes by it. Those who wait for sockets go by the real time (`wait.ts`).
 */
export class LeapingTime implements Disposable {
  #ahead = 0;
  readonly #timers = new Map<number, Timer>();
  readonly #setTimeout = globalThis.setTimeout;
  readonly #clearTimeout = globalThis.clearTimeout;
  readonly #now = performance.now.bind(performance);
  readonly #dateNow = Date.now;
  readonly #beLively: () => Promise<unknown>;

  /** @param beLively What those do between two long strides who are not to fall silent. */
  constructor(beLively: () => Promise<unknown> = () => pause(LIVELY_MS)) {
    this.#beLively = beLively;
    const set = (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
      const fire = () => {
        this.#timers.delete(Number(id));
        callback(...args);
      };
      const id = this.#setTimeout(fire, ms);
      this.#timers.set(Number(id), { at: performance.now() + ms, callback: fire });
      return id;
    };
    globalThis.setTimeout = set as typeof setTimeout;
    globalThis.clearTimeout = (id) => {
      this.#timers.delete(Number(id));
      this.#clearTimeout(id);
    };
    performance.now = () => this.#now() + this.#ahead;
    Date.now = () => this.#dateNow() + Math.round(this.#ahead);
  }

  /** So much time passes at once, each timer firing when it should. Nothing is read or written meanwhile. */
  leap(ms: number): void {
    const end = performance.now() + ms;
    for (let next; (next = this.#next()) && next[1].at <= end;) {
      const [id, timer] = next;
      this.#passUntil(timer.at);
      this.#clearTimeout(id);
      timer.callback();
    }
    this.#passUntil(end);
  }

  /** The same in strides, between which those who are lively say something. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= LONG_STRIDE_MS) {
      this.leap(Math.min(left, LONG_STRIDE_MS));
      await this.#beLively();
    }
  }

  /** Settles like `promise`, and leaps on until it does, as far as it may take; fails when it never does. */
  async leapUntil<T>(promise: Promise<T>, what: string): Promise<T> {
    let isSettled = false;
    const settled = promise.finally(() => isSettled = true);
    settled.catch(() => {});
    for (let leapt = 0; !isSettled && leapt < PATIENCE_MS; leapt += STRIDE_MS) {
      await pause(LIVELY_MS);
      if (!isSettled) this.leap(STRIDE_MS);
    }
    // What is being computed takes its time whatever the clock says.
    return await within(settled, what);
  }

  #next(): [id: number, timer: Timer] | undefined {
    return [...this.#timers].reduce<[number, Timer] | undefined>(
      (next, one) => next && next[1].at <= one[1].at ? next : one,
      undefined,
    );
  }

  #passUntil(end: number): void {
    this.#ahead += Math.max(0, end - performance.now());
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
    globalThis.clearTimeout = this.#clearTimeout;
    Date.now = this.#dateNow;
    // The real one is inherited.
    delete (performance as { now?: unknown }).now;
  }
}
