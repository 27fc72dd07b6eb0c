/**
 * Counting timers, which the platform does not do.
 *
 * @module
 */

/** Replaces the functions that set and clear timers by ones that keep count. */
export class Timers {
  readonly #running = new Set<unknown>();
  readonly #set = globalThis.setTimeout;

  constructor() {
    const clear = globalThis.clearTimeout;
    const set = (callback: () => void, ms?: number) => {
      const timer: unknown = this.#set(() => {
        this.#running.delete(timer);
        callback();
      }, ms);
      this.#running.add(timer);
      return timer;
    };
    globalThis.setTimeout = set as typeof setTimeout;
    globalThis.clearTimeout = (timer) => {
      this.#running.delete(timer);
      clear(timer);
    };
  }

  /** How many are set and have not fired. */
  get running(): number {
    return this.#running.size;
  }

  /** Lets everything else have its turn, uncounted. */
  async turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#set(resolve, 10);
    await promise;
  }
}
