/** Calls of the user's callbacks, which may do anything and must not end the process. For packages above, whose callbacks these are. */

/**
 * Calls a callback. `onThrown` gets what it throws, and what the promise that it returns rejects with: a callback meant to return nothing may be
 * an `async` function, whose rejection would otherwise end the process.
 *
 * @param onThrown default: it is dropped, for where nothing is left that could be ended for it, and nobody to tell
 */
export function callUser(callback: () => unknown, onThrown: (thrown: unknown) => void = drop): void {
  try {
    watchAnswer(callback(), onThrown);
  } catch (thrown) {
    onThrown(thrown);
  }
}

/** What `callUser` does with an answer, for callers that call by themselves since a closure for each call would cost them too much. */
export function watchAnswer(answer: unknown, onRejected: (thrown: unknown) => void = drop): void {
  // `resolve` makes a promise of it: a thenable may throw from its `then`, or call back twice.
  if (isThenable(answer)) Promise.resolve(answer).catch(onRejected);
}

/** Whether an answer comes later. What has a `then` that is no function is an answer itself. */
export function isThenable(answer: unknown): answer is PromiseLike<unknown> {
  return typeof answer === 'object' && answer !== null && 'then' in answer && typeof answer.then === 'function';
}

function drop(): void {}
