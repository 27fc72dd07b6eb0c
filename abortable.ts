/**
 * Waiting that can be called off.
 *
 * @module
 */

/** Settles like `promise`, unless the signal is aborted first: then rejects with its reason. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    // What comes of it after an abort is nobody's concern any more: only the first of all these counts.
    promise.then(resolve, reject).then(() => signal.removeEventListener("abort", abort));
  });
}
