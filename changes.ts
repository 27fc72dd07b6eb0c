/**
 * Waiting for a condition without polling.
 *
 * @module
 */

/** Wakes whoever waits for something to change. What changed, they look up themselves. */
export class Changes {
  #waiting: PromiseWithResolvers<void> | undefined;

  /** Something changed. Costs nothing while nobody waits. */
  notify(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  /** Resolves at the next change. */
  next(): Promise<void> {
    this.#waiting ??= Promise.withResolvers();
    return this.#waiting.promise;
  }

  /** Resolves as soon as the condition holds; it is looked at now and after every change. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.next();
  }
}
