/** A time limit and a way out for makers of streams that know neither, and TLS on top of what they make. */
import { connectError, fromNodeError, timeoutError, tlsError, toWireError, type WireError, withSource } from '@ferrata/error';
import { formatNetAddress, type TlsConnectSink } from '@ferrata/net';
import { callUser, type L4Stream, watchAnswer } from '@ferrata/stream';
import type { DeadlineQueue } from '@ferrata/timeout';
import type { Peer } from './peer.ts';
import type { PeerTls } from './peer-tls.ts';

/**
 * Makes a stream to a peer. It should give up when `signal` is aborted; a stream that comes after that is aborted by the caller.
 */
export type OpenStream = (peer: Peer, signal: AbortSignal) => Promise<L4Stream>;

/**
 * Calls `open`, and waits no longer than the peer's `connectTimeoutMs` and `totalTimeoutMs`, nor after `signal` is aborted.
 *
 * @throws {WireError} rejects with what `open` threw, `timeout CONNECT_TIMEOUT`, `timeout CONNECT_TOTAL_TIMEOUT` or `connect CONNECT_ABORTED`
 * @throws {TypeError} rejects if what `open` gave is no stream
 */
export function openInTime(open: OpenStream, peer: Peer, deadlines: DeadlineQueue, signal: AbortSignal | undefined): Promise<L4Stream> {
  return inTime((inner) => open(peer, inner), { delayMs: connectLimit(peer), late: () => notConnected(peer), deadlines, signal });
}

/** How long connecting may take, before a handshake, ms. */
export function connectLimit({ connectTimeoutMs, totalTimeoutMs }: Peer): number {
  return Math.min(connectTimeoutMs, totalTimeoutMs);
}

/** That time is up. */
export function notConnected(peer: Peer): WireError {
  const { connectTimeoutMs, totalTimeoutMs } = peer;
  return totalTimeoutMs < connectTimeoutMs
    ? totalTimeout(peer)
    : timeoutError('CONNECT_TIMEOUT', `not connected within ${connectTimeoutMs} ms`, { retry: 'always', context: placeOf(peer) });
}

/** What a handshake needs beside its stream. */
export interface Securing {
  readonly peer: Peer;
  readonly tls: PeerTls;
  readonly deadlines: DeadlineQueue;
  readonly signal: AbortSignal | undefined;
  /** What is left of the peer's `totalTimeoutMs`. */
  readonly leftMs: number;
}

/**
 * Makes `stream` secure, and waits no longer than `tlsTimeoutMs` and what is left of the whole, nor after `signal` is aborted.
 *
 * @throws {WireError} rejects with what the handshake failed by, `timeout TLS_HANDSHAKE_TIMEOUT`, `timeout CONNECT_TOTAL_TIMEOUT`, `tls TLS_ALPN_MISMATCH` or
 *   `connect CONNECT_ABORTED`; the stream is gone then
 */
export async function secureInTime(stream: L4Stream, securing: Securing): Promise<L4Stream> {
  const { peer, deadlines, leftMs } = securing;
  const { client, details } = securing.tls;
  if (leftMs <= 0) {
    stream.abort();
    throw totalTimeout(peer);
  }
  const shakeHands = (signal: AbortSignal): Promise<L4Stream> =>
    new Promise((resolve, reject) => {
      const handshakeTimeoutMs = withinReach(details.handshakeTimeoutMs, deadlines);
      const sink: TlsConnectSink = { onSecure: resolve, onHandshakeFailed: reject };
      watchAnswer(client.connect(stream, sink, { ...details, handshakeTimeoutMs, deadlines, signal }), reject);
    });
  let secure: L4Stream;
  try {
    secure = await inTime(shakeHands, handshakeLimit(securing));
  } catch (thrown) {
    dropStream(stream);
    throw thrown;
  }
  // RFC 9113 §3.3: over TLS, HTTP/2 is what ALPN has agreed on, and nothing else.
  if (peer.protocol === 'http2' && alpnOf(secure) !== 'h2') {
    secure.abort();
    const chosen = alpnOf(secure) ?? 'nothing';
    throw tlsError('TLS_ALPN_MISMATCH', `the peer was to agree on h2, and agreed on ${chosen}`, { retry: 'never', context: placeOf(peer) });
  }
  return secure;
}

/** The shorter of two times, and which of them it was. */
function handshakeLimit({ peer, tls, leftMs, deadlines, signal }: Securing): TimeLimit {
  const { handshakeTimeoutMs } = tls.details;
  const isWhole = leftMs < handshakeTimeoutMs;
  const late = (): WireError =>
    isWhole
      ? totalTimeout(peer)
      : timeoutError('TLS_HANDSHAKE_TIMEOUT', `no TLS within ${handshakeTimeoutMs} ms`, { retry: 'always', context: placeOf(peer) });
  return { delayMs: isWhole ? leftMs : handshakeTimeoutMs, late, deadlines, signal };
}

function totalTimeout(peer: Peer): WireError {
  const message = `no connection with TLS within ${peer.totalTimeoutMs} ms in all`;
  return timeoutError('CONNECT_TOTAL_TIMEOUT', message, { retry: 'always', context: placeOf(peer) });
}

/** For messages: a peer's key would tell the reader a great deal, and nothing to the point. */
export function placeOf({ address }: Peer): string {
  return formatNetAddress(address);
}

/**
 * A stream that has ended before anything was sent carries no request: nothing is lost by asking elsewhere.
 *
 * @throws {WireError} `connect CONNECT_CLOSED`; the stream is gone then
 */
export function checkOpen(stream: L4Stream, peer: Peer): L4Stream {
  if (stream.state === 'open') return stream;
  stream.abort();
  throw closedAtOnce(placeOf(peer));
}

/** A connection was lost before it could carry a request. */
export function closedAtOnce(context: string): WireError {
  const message = 'the connection was closed before it could carry a request';
  return connectError('CONNECT_CLOSED', message, { retry: 'always', source: 'upstream', context });
}

/** What a function of the user gave; the one place where it is looked at before it is believed. @throws {TypeError} */
function checkStream(made: unknown): L4Stream {
  const isStream =
    typeof made === 'object' &&
    made !== null &&
    (['attach', 'write', 'abort'] as const).every((name) => name in made && typeof made[name as keyof typeof made] === 'function') &&
    'info' in made &&
    typeof made.info === 'object' &&
    made.info !== null;
  if (isStream) return made as L4Stream;
  dropStream(made);
  throw new TypeError('connecting gave something that is no stream');
}

/** Ends what is nobody's any more, whatever it is. */
export function dropStream(made: unknown, error?: WireError): void {
  callUser(() => (made as Partial<L4Stream> | null | undefined)?.abort?.(error));
}

/** A time of connecting, as far as the queue can keep it. */
export function withinReach(timeoutMs: number, { maxDelayMs }: DeadlineQueue): number {
  return Math.min(timeoutMs, Math.floor(maxDelayMs));
}

/** What TLS has agreed on; null if it has not, or there is none. */
export function alpnOf(stream: L4Stream): string | null {
  return stream.info.tls?.alpn ?? null;
}

interface TimeLimit {
  readonly delayMs: number;
  /** What it is to be told by. */
  readonly late: () => WireError;
  readonly deadlines: DeadlineQueue;
  readonly signal: AbortSignal | undefined;
}

/** Waits for `make` within its limit; a stream that comes later is aborted. */
function inTime(make: (signal: AbortSignal) => Promise<L4Stream>, { delayMs, late, deadlines, signal }: TimeLimit): Promise<L4Stream> {
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
    const deadline = deadlines.after(withinReach(delayMs, deadlines), () => giveUp(late()));
    if (signal?.aborted === true) return handleAbort();
    signal?.addEventListener('abort', handleAbort);
    // An async function turns a throw into a rejection.
    const made = async (): Promise<L4Stream> => checkStream(await make(inner.signal));
    made().then(
      (stream) => (settle() ? resolve(stream) : dropStream(stream)),
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
