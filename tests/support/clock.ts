/** Says what `Date.now()` is until it is disposed of, so that a test passes the time of day in. */
export class Clock implements Disposable {
  /** What it says. */
  now = 1_700_000_000_000;
  readonly #real = Date.now;

  constructor() {
    Date.now = () => this.now;
  }

  [Symbol.dispose](): void {
    Date.now = this.#real;
  }
}
