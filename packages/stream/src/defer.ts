/**
 * The one scheduling primitive of this package: "not now, but before anything else happens".
 *
 * It exists for line 2 of the stream contract: what a stream learns inside one of its own methods, it tells its sink later. The default is
 * `queueMicrotask`, which is part of the language and keeps the order of calls; a test world injects its own, to decide the order itself.
 */

/** Runs `task` later, never at once, and tasks given to one `Defer` in the order given. */
export type Defer = (task: () => void) => void;

/** Runs tasks as microtasks. */
export const deferToMicrotask: Defer = (task) => queueMicrotask(task);
