/** Calls of the user's callbacks, which may do anything and must not end the process. */

/**
 * Calls a callback. `onThrown` gets what it throws, and what the promise that it returns rejects with: a callback meant to return nothing may be
 * an `async` function, whose rejection would otherwise end the process.
 */
export function callUser(callback: () => unknown, onThrown: (thrown: unknown) => void): void {
  try {
    watchAnswer(callback(), onThrown);
  } catch (thrown) {
    onThrown(thrown);
  }
}

/** What `callUser` does with an answer, for callers that call by themselves since a closure for each call would cost them too much. */
export function watchAnswer(answer: unknown, onThrown: (thrown: unknown) => void): void {
  if (typeof answer === 'object' && answer !== null && 'then' in answer) Promise.resolve(answer).catch(onThrown);
}
