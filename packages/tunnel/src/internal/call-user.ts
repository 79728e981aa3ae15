/** Calls of the user's callbacks, which may do anything and must not end the process. */

/**
 * Calls a callback. `onThrown` gets what it throws, and what the promise that it returns rejects with: a callback meant to return nothing may be
 * an `async` function, whose rejection would otherwise end the process.
 */
export function callUser(callback: () => unknown, onThrown: (thrown: unknown) => void): void {
  try {
    whenRejected(callback(), onThrown);
  } catch (thrown) {
    onThrown(thrown);
  }
}

/** Tells with what the answer of a callback rejects, if it is a promise, or anything like one. */
export function whenRejected(answer: unknown, onRejected: (thrown: unknown) => void): void {
  if (isThenable(answer)) Promise.resolve(answer).catch(onRejected);
}

/** Whether an answer comes later. What has a `then` that is no function is an answer itself. */
export function isThenable(answer: unknown): answer is PromiseLike<unknown> {
  return typeof answer === 'object' && answer !== null && 'then' in answer && typeof answer.then === 'function';
}
