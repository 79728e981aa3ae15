/**
 * Throws what a round of callbacks has thrown, once all of them were called: the error itself if there is one, else all of them as an
 * `AggregateError`. Returns if there is none.
 *
 * @param thrown in the order of throwing
 * @param message of the `AggregateError`: `3 of the callbacks threw`
 */
export function throwCollected(thrown: readonly unknown[], message: string): void {
  if (thrown.length === 0) return;
  if (thrown.length === 1) throw thrown[0];
  throw new AggregateError(thrown, message);
}
