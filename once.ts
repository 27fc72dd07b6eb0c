/**
 * Something that happens once.
 *
 * @module
 */

/** Tells those who wait that it has happened. While nobody asks there is no promise, and idle ones cost nothing. */
export class Once<Value> {
  #state: { value: Value } | undefined;
  #waiting: PromiseWithResolvers<Value> | undefined;

  /** Resolves when it has happened. Never rejects. */
  get promise(): Promise<Value> {
    if (!this.#waiting) {
      this.#waiting = Promise.withResolvers();
      if (this.#state) this.#waiting.resolve(this.#state.value);
    }
    return this.#waiting.promise;
  }

  /** It has happened. The first value counts. */
  settle(value: Value): void {
    this.#state ??= { value };
    this.#waiting?.resolve(this.#state.value);
  }
}
