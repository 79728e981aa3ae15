/**
 * A stream that is aborted when nothing moves for too long.
 *
 * Anything that moves counts, in either direction: bytes that come, bytes that are written, written bytes that go out below. Time begins with
 * the call. A stream that its own user keeps paused is idle too: set the limit above the longest pause you mean to make.
 */
import { checkNumber } from '@ferrata/error';
import type { DeadlineQueue } from '@ferrata/timeout';
import type { L4Stream } from './l4-stream.ts';
import { SilenceWatch } from './silence-watch.ts';
import { tapped } from './tapped.ts';

/**
 * `stream`, aborted with `timeout STREAM_IDLE_TIMEOUT` after `idleTimeoutMs` without a byte either way.
 *
 * @param idleTimeoutMs > 0; never early. Late by a tick of `deadlines`; by up to once more the limit if the last thing that moved was
 *   written bytes on their way out, which no event reports.
 * @throws {RangeError} if `idleTimeoutMs` is not above 0
 */
export function idleTimeout(stream: L4Stream, idleTimeoutMs: number, deadlines: DeadlineQueue): L4Stream {
  checkNumber('idleTimeoutMs', idleTimeoutMs, { above: 0 });
  const watch = new SilenceWatch(stream, null, idleTimeoutMs, deadlines, (error) => stream.abort(error));
  const moved = (): void => watch.moved();
  const written = (): void => {
    // What is written to a stream that has ended is dropped, and no sign of life.
    if (stream.state !== 'closed' || stream.bufferedBytes > 0) watch.moved();
  };
  const end = (): void => watch.end();
  return tapped(stream, { onData: moved, onDrain: moved, onWrite: written, onEnd: moved, onAbort: end, onClose: end });
}
