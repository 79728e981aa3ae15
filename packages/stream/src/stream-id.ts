/**
 * Where stream ids come from.
 *
 * The counter is the only module-level state of the package: an id must be unique among all streams of a thread, whoever makes them, and
 * nothing else hangs on it. A test world that wants the same ids in each run passes its own source.
 */

let last = 0;

/** The next unused stream id of this thread, from 1. */
export function nextStreamId(): number {
  last += 1;
  return last;
}
