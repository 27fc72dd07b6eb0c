/**
 * Rejections that may be ignored.
 *
 * @module
 */

/** Marks a promise as one whose rejection nobody has to look at: it never ends the process. */
export function harmless<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** A promise with its resolvers that is harmless, at no cost unless it rejects. */
export function harmlessly<T>(): PromiseWithResolvers<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  return {
    promise,
    resolve,
    reject: (reason) => {
      harmless(promise);
      reject(reason);
    },
  };
}

/** A promise that has rejected, harmlessly. */
export function rejected(error: unknown): Promise<never> {
  return harmless(Promise.reject(error));
}
