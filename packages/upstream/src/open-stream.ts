/** A time limit and a way out for makers of streams that know neither. */
import { connectError, fromNodeError, timeoutError, toWireError, type WireError, withSource } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import type { DeadlineQueue } from '@ferrata/timeout';
import type { Peer } from './peer.ts';

/**
 * Makes a stream to a peer. It should give up when `signal` is aborted; a stream that comes after that is aborted by the caller.
 */
export type OpenStream = (peer: Peer, signal: AbortSignal) => Promise<L4Stream>;

/**
 * Calls `open`, and waits no longer than the peer's `connectTimeoutMs`, nor after `signal` is aborted.
 *
 * @throws {WireError} rejects with what `open` threw, `timeout CONNECT_TIMEOUT` or `connect CONNECT_ABORTED`
 */
export function openInTime(open: OpenStream, peer: Peer, deadlines: DeadlineQueue, signal: AbortSignal | undefined): Promise<L4Stream> {
  return new Promise((resolve, reject) => {
    const inner = new AbortController();
    let isSettled = false;
    const settle = (): boolean => {
      if (isSettled) return false;
      isSettled = true;
      deadline.cancel();
      signal?.removeEventListener('abort', handleAbort);
      return true;
    };
    const giveUp = (error: WireError): void => {
      if (!settle()) return;
      inner.abort(error);
      reject(error);
    };
    const handleAbort = (): void => giveUp(givenUp());
    const deadline = deadlines.after(Math.min(peer.connectTimeoutMs, deadlines.maxDelayMs), () =>
      giveUp(timeoutError('CONNECT_TIMEOUT', `not connected within ${peer.connectTimeoutMs} ms`, { retry: 'always', context: peer.key })),
    );
    if (signal?.aborted === true) return handleAbort();
    signal?.addEventListener('abort', handleAbort);
    // An async function turns a throw into a rejection.
    const opened = async (): Promise<L4Stream> => open(peer, inner.signal);
    opened().then(
      (stream) => (settle() ? resolve(stream) : stream.abort()),
      (thrown: unknown) => {
        if (settle()) reject(thrown);
      },
    );
  });
}

/** Why who gave up has no connection. */
export function givenUp(): WireError {
  return connectError('CONNECT_ABORTED', 'connecting was given up', { retry: 'never', fault: 'local', source: 'upstream' });
}

/** What a maker of streams threw: Node's errors by their codes, as whoever connects has them from Node. */
export function toConnectError(thrown: unknown): WireError {
  const isNodeError = typeof thrown === 'object' && thrown !== null && 'code' in thrown && typeof thrown.code === 'string';
  return withSource(isNodeError ? fromNodeError(thrown) : toWireError(thrown, 'CONNECT_THREW'), 'upstream');
}
