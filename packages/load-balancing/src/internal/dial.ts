/**
 * From a target to a stream: a socket or the program's own, and TLS on top of it.
 *
 * Rules of this file:
 * - There is one way out, the signal: whoever dials keeps the time. It rejects at once then, and what comes later is dropped.
 * - A stream that a function of the program made is looked at before it is believed.
 */
import { applicationError, isWireError, tlsError, toWireError, type WireError, withSource } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { connect, connectTls, formatNetAddress, type NetAddress, type TlsClient } from '@ferrata/net';
import { callUser, type L4Stream } from '@ferrata/stream';

/** Where to dial. */
export interface DialTarget {
  readonly address: NetAddress;
  /** Makes the stream in place of a socket; `address` is its name then. Null and default: a socket. */
  readonly connect?: ((signal: AbortSignal) => Promise<L4Stream>) | null;
  /** Null and default: no TLS. */
  readonly tls?: TlsClient | null;
  /** The name that TLS asks for and verifies. Default: what `tls` says, else the host of the address. */
  readonly servername?: string | undefined;
}

/** What dialling needs beside. */
export interface Dialling {
  readonly environment: HttpEnvironment;
  /** Gives up when it is aborted. Its reason is what is rejected with, if that is a `WireError`. */
  readonly signal: AbortSignal;
  /** What TLS offers. Default: what `tls` says. */
  readonly alpn?: readonly string[];
  /** There is a connection; TLS follows. */
  readonly onConnected?: () => void;
}

/**
 * Makes a stream, paused until something is attached to it.
 *
 * @throws {WireError} rejects with what connecting or the handshake failed by, or why it was given up: the signal's reason, else `application HTTP_ABORTED`
 * @throws {TypeError} rejects when TLS has no name to verify by, or what `connect` gave is no stream
 */
export async function dial(target: DialTarget, dialling: Dialling): Promise<L4Stream> {
  const { signal, environment } = dialling;
  const transport = await orGivenUp((inner) => openTransport(target, environment, inner), signal);
  const { tls = null } = target;
  if (tls === null) return transport;
  dialling.onConnected?.();
  return orGivenUp((inner) => secure(transport, { target, tls, dialling, signal: inner }), signal);
}

/** A target in messages and for the sessions of TLS. */
export function placeOf({ address }: { readonly address: NetAddress }): string {
  return formatNetAddress(address);
}

/** Why it was given up. */
export function givenUp({ reason }: AbortSignal): WireError {
  if (isWireError(reason)) return reason;
  return applicationError('HTTP_ABORTED', 'nobody wants the answer any more', { retry: 'never', source: 'internal' });
}

function openTransport(target: DialTarget, environment: HttpEnvironment, signal: AbortSignal): Promise<L4Stream> {
  const { deadlines, clock } = environment;
  const { address, connect: open = null } = target;
  if (open !== null) return openOwn(open, target, signal);
  // The caller's time is the only one.
  return connect(address, { connectTimeoutMs: longest(environment), deadlines, clock, signal });
}

/** As good as never: the longest that both a queue of deadlines and an option of @ferrata/net can be told. */
function longest({ deadlines }: HttpEnvironment): number {
  return Math.min(Math.floor(deadlines.maxDelayMs), 2_147_483_647);
}

async function openOwn(open: NonNullable<DialTarget['connect']>, target: DialTarget, signal: AbortSignal): Promise<L4Stream> {
  let made: unknown;
  try {
    made = await open(signal);
  } catch (thrown) {
    throw withSource(toWireError(thrown, 'CONNECT_THREW'), 'upstream');
  }
  if (isStream(made)) return made;
  drop(made);
  throw new TypeError(`connecting to ${placeOf(target)} gave something that is no stream`);
}

interface Securing {
  readonly target: DialTarget;
  readonly tls: TlsClient;
  readonly dialling: Dialling;
  readonly signal: AbortSignal;
}

async function secure(transport: L4Stream, { target, tls, dialling, signal }: Securing): Promise<L4Stream> {
  const { address, servername } = target;
  const { deadlines } = dialling.environment;
  let stream: L4Stream;
  try {
    stream = await connectTls(transport, tls, {
      ...(address.kind === 'tcp' ? { host: address.host } : {}),
      place: placeOf(target),
      ...(servername === undefined ? {} : { serverName: servername }),
      ...(dialling.alpn === undefined ? {} : { alpn: dialling.alpn }),
      handshakeTimeoutMs: longest(dialling.environment),
      deadlines,
      signal,
    });
  } catch (thrown) {
    drop(transport);
    throw thrown;
  }
  // RFC 9113 §3.3: over TLS, HTTP/2 is what ALPN has agreed on, and nothing else.
  const chosen = stream.info.tls?.alpn ?? null;
  if (dialling.alpn?.length === 1 && dialling.alpn[0] === 'h2' && chosen !== 'h2') {
    stream.abort();
    const message = `the server was to agree on h2, and agreed on ${chosen ?? 'nothing'}`;
    throw tlsError('TLS_ALPN_MISMATCH', message, { retry: 'never', source: 'upstream', context: placeOf(target) });
  }
  return stream;
}

/** Settles as what `make` makes, or rejects when the signal is aborted; a stream that comes after that is dropped. */
function orGivenUp(make: (signal: AbortSignal) => Promise<L4Stream>, signal: AbortSignal): Promise<L4Stream> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    const finish = (): boolean => {
      if (isOver) return false;
      isOver = true;
      signal.removeEventListener('abort', handleAbort);
      return true;
    };
    const handleAbort = (): void => {
      if (finish()) reject(givenUp(signal));
    };
    if (signal.aborted) return handleAbort();
    signal.addEventListener('abort', handleAbort);
    const made = async (): Promise<L4Stream> => make(signal);
    made().then(
      (stream) => (finish() ? resolve(stream) : drop(stream)),
      (thrown: unknown) => {
        if (finish()) reject(thrown);
      },
    );
  });
}

function isStream(made: unknown): made is L4Stream {
  return (
    typeof made === 'object' &&
    made !== null &&
    (['attach', 'write', 'abort'] as const).every((name) => name in made && typeof made[name as keyof typeof made] === 'function') &&
    'info' in made &&
    typeof made.info === 'object' &&
    made.info !== null
  );
}

/** Ends what is nobody's any more, whatever it is. */
function drop(made: unknown): void {
  callUser(() => (made as Partial<L4Stream> | null | undefined)?.abort?.());
}
