/** Fixed limits of the sessions of both roles, and how they wait for the end of a turn. */

/** Output is handed to the stream at once from this size on, so that back-pressure is noticed early. */
export const FLUSH_AT_BYTES = 16_384;

/** Output that may wait for a full stream; beyond it, the stream's own hard limit decides. */
export const MAX_HELD_BYTES = 1_048_576;

/** `queueMicrotask` makes an async resource for each task in Node; a settled promise does the same job for two thirds of the price. */
export const microtask: Promise<void> = Promise.resolve();
