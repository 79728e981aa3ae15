/** Calls of the user's callbacks, which may do anything and must not end the process. */

/**
 * Calls a callback. `onThrown` gets what it throws, and what the promise that it returns rejects with: a callback meant to return nothing may be
 * an `async` function, whose rejection would otherwise end the process.
 */
export function callUser(callback: () => unknown, onThrown: (thrown: unknown) => void): void {
  try {
    const answer = callback();
    if (typeof answer === 'object' && answer !== null && 'then' in answer) Promise.resolve(answer).catch(onThrown);
  } catch (thrown) {
    onThrown(thrown);
  }
}
