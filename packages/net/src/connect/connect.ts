/**
 * Connecting to TCP ports and Unix sockets.
 *
 * A name with several addresses is tried one address after the other, families alternating, each for a short while (RFC 8305 in spirit: Node
 * gives an attempt up when the next begins, and lets the last one run on). One deadline covers everything from the look-up on, and a second one the
 * TLS handshake, if there is to be one; a total time-out covers both.
 *
 * ```text
 *   connecting ── connect ──┬─ no TLS ─────────────────────────► connected   (the stream is handed over; this object is forgotten)
 *       │                   └─ TLS ──► securing ── verified ──► connected
 *       └── error, time-out, abort ──────┴──► failed
 * ```
 */
import { isIP, type NetConnectOpts } from 'node:net';
import type { Wakeup } from '@ferrata/clock';
import { addContext, connectError, fromNodeError, internalError, limitError, textOf, timeoutError, type WireError } from '@ferrata/error';
import { callUser, type L4Stream } from '@ferrata/stream';
import { scheduleDeadline } from '@ferrata/timeout';
import type { ConnectionCap } from '../accept/connection-cap.ts';
import { type AddressLike, formatNetAddress, type NetAddress, toNetAddress } from '../address.ts';
import { SocketStream } from '../socket/socket-stream.ts';
import type { ClosedStream, StreamOrigin } from '../socket/stream-origin.ts';
import type { TlsClient } from '../tls/tls-client.ts';
import type { TlsConnectSink } from '../tls/tls-client-handshake.ts';
import { warn } from '../warn.ts';
import { checkedLookup } from './connect-lookup.ts';
import { type ConnectConfig, type ConnectOptions, resolveConnectOptions } from './connect-options.ts';
import { ConnectorReads } from './connector-reads.ts';
import type { PendingConnect } from './pending-connect.ts';
import { ReadingSocket } from './reading-socket.ts';

export type { PendingConnect } from './pending-connect.ts';

/**
 * Receives the outcome of `connectWith`: exactly one of the two, once, and never from inside `connectWith` itself. One that throws or rejects ends its
 * stream (`SINK_THREW`), and not the process.
 */
export interface ConnectSink {
  /** The stream is paused until something is attached to it. */
  onConnected(stream: L4Stream): void;
  /** The socket has closed, and its place under `connectionCap` is free: who tries again at once finds it. */
  onConnectFailed(error: WireError): void;
}

/**
 * Connects.
 *
 * @returns the connected stream, paused until something is attached to it
 * @throws {WireError} `CONNECT_REFUSED`, `CONNECT_TIMEOUT`, `CONNECT_TOTAL_TIMEOUT`, `CONNECT_NO_ROUTE`, `CONNECT_ABORTED`, `CONNECTION_CAP_REACHED`,
 *   `DNS_NOT_FOUND`, `DNS_LOOKUP_FAILED` and the other reasons of `fromNodeError`; the message names the address. With `tls` also what `TlsClient.connect` tells of
 * @throws {TypeError} if the address is malformed, an option is unknown, or TLS has no name to verify the server by
 * @throws {RangeError} if an option is out of range
 */
export function connect(address: AddressLike, options: ConnectOptions = {}): Promise<L4Stream> {
  return new Promise((resolve, reject) => {
    connectWith(address, options, { onConnected: resolve, onConnectFailed: reject });
  });
}

/** Like `connect`, without a promise. @throws {TypeError} if the address is malformed @throws {RangeError} if an option is out of range */
export function connectWith(address: AddressLike, options: ConnectOptions, sink: ConnectSink): PendingConnect {
  const target = toNetAddress(address);
  if (target.kind === 'tcp' && target.port === 0) throw new TypeError(`cannot connect to port 0 of ${target.host}`);
  const config = resolveConnectOptions(options);
  config.tls?.checkHost(target.kind === 'tcp' ? target.host : null);
  const connecting = new Connecting(target, config, sink);
  connecting.start();
  return connecting;
}

/** What stays of connecting as long as the connection lives. */
class ConnectOrigin implements StreamOrigin {
  readonly kind: 'tcp' | 'unix';
  readonly unixPath: string | null;
  readonly isAccepted = false;
  readonly readsByCallback = true;
  readonly hardLimitBytes: number;
  readonly #cap: ConnectionCap | null;
  #connecting: Connecting | null;

  constructor(target: NetAddress, config: ConnectConfig, connecting: Connecting) {
    this.kind = target.kind;
    this.unixPath = target.kind === 'unix' ? target.path : null;
    this.hardLimitBytes = config.hardLimitBytes;
    this.#cap = config.connectionCap;
    this.#connecting = connecting;
  }

  forgetConnecting(): void {
    this.#connecting = null;
  }

  onStreamClosed(stream: ClosedStream): void {
    this.#cap?.release();
    this.#connecting?.handleClosed(stream.closeError);
  }
}

class Connecting implements PendingConnect, TlsConnectSink {
  readonly #target: NetAddress;
  readonly #config: ConnectConfig;
  #sink: ConnectSink | null;
  #origin: ConnectOrigin | null = null;
  #stream: SocketStream | null = null;
  #timer: Wakeup | null = null;
  #handshake: PendingConnect | null = null;
  #startedAt = 0;
  /** Why there will be no connection. Told when the socket is closed: its place under the cap is free then, for whoever tries again at once. */
  #failure: WireError | null = null;
  #isClosed = false;
  /** The handshake has less time than it may take by itself. */
  #isTotalNearer = false;

  constructor(target: NetAddress, config: ConnectConfig, sink: ConnectSink) {
    this.#target = target;
    this.#config = config;
    this.#sink = sink;
  }

  start(): void {
    const { signal, clock, connectionCap } = this.#config;
    if (signal?.aborted === true) return this.#failLater(abortError(this.#target, signal.reason));
    if (connectionCap !== null && !connectionCap.tryTake()) return this.#failLater(capError(this.#target, connectionCap.max));
    this.#startedAt = clock.now();
    this.#timer = armTimer(this.#config, () => this.#handleTimeout());
    signal?.addEventListener('abort', this, { once: true });
    const options = nodeOptions(this.#target, this.#config);
    const origin = new ConnectOrigin(this.#target, this.#config, this);
    let socket: ReadingSocket | null = null;
    try {
      socket = new ReadingSocket(options);
      socket.connect(options);
    } catch (thrown) {
      // Node refuses what it is given (a path with a NUL in it). There is no stream yet whose end would give the place back.
      socket?.destroy();
      connectionCap?.release();
      return this.#failLater(refusedError(this.#target, thrown));
    }
    // Node would begin to read as soon as it is connected, and there is nobody yet to read for.
    socket.pause();
    this.#origin = origin;
    this.#stream = new SocketStream(socket, origin, this.#startedAt);
    socket.once('connect', () => this.#handleConnected());
    // Node looks names up from inside `connect`: the program's own look-up may have aborted the signal.
    if (this.#failure !== null) this.#stream.abort();
  }

  abort(cause?: unknown): void {
    if (this.#handshake !== null) this.#handshake.abort(cause);
    else this.#giveUp(abortError(this.#target, cause));
  }

  /** The listener of the abort signal. */
  handleEvent(): void {
    this.abort(this.#config.signal?.reason);
  }

  /** The socket has closed: by an error of its own, or as it was given up. */
  handleClosed(error: WireError | null): void {
    this.#isClosed = true;
    const sink = this.#sink;
    const failure = this.#failure;
    // A handshake tells by itself what has become of it.
    if (sink === null || (failure === null && this.#handshake !== null)) return;
    this.#settle();
    tellFailure(sink, failure ?? (error === null ? abortError(this.#target, undefined) : describe(error, this.#target)));
  }

  #handleConnected(): void {
    const sink = this.#sink;
    const stream = this.#stream;
    if (sink === null || stream === null || this.#failure !== null) return;
    stream.markEstablished(this.#config.clock.now());
    const { tls } = this.#config;
    if (tls !== null) return this.#secure(stream, tls);
    this.#settle();
    tellConnected(sink, stream);
  }

  #secure(stream: SocketStream, tls: TlsClient): void {
    const { totalTimeoutMs, clock, deadlines } = this.#config;
    const leftMs = Math.ceil(totalTimeoutMs - (clock.now() - this.#startedAt));
    if (leftMs <= 0) return this.#giveUp(totalTimeoutError(this.#target, totalTimeoutMs));
    this.#timer?.cancel();
    this.#isTotalNearer = leftMs < tls.handshakeTimeoutMs;
    this.#handshake = tls.connect(stream, this, {
      ...(this.#target.kind === 'tcp' ? { host: this.#target.host } : {}),
      place: formatNetAddress(this.#target),
      handshakeTimeoutMs: Math.min(leftMs, tls.handshakeTimeoutMs),
      deadlines,
    });
  }

  onSecure(stream: L4Stream): void {
    const sink = this.#sink as ConnectSink;
    this.#settle();
    tellConnected(sink, stream);
  }

  onHandshakeFailed(error: WireError): void {
    const isTotal = this.#isTotalNearer && error.reason === 'TLS_HANDSHAKE_TIMEOUT';
    this.#failure = isTotal ? totalTimeoutError(this.#target, this.#config.totalTimeoutMs) : error;
    if (this.#isClosed) this.handleClosed(null);
  }

  #handleTimeout(): void {
    const { connectTimeoutMs, totalTimeoutMs } = this.#config;
    if (totalTimeoutMs < connectTimeoutMs) return this.#giveUp(totalTimeoutError(this.#target, totalTimeoutMs));
    const place = formatNetAddress(this.#target);
    const message = `not connected within ${connectTimeoutMs} ms`;
    this.#giveUp(timeoutError('CONNECT_TIMEOUT', message, { retry: 'always', context: place }));
  }

  #giveUp(error: WireError): void {
    if (this.#sink === null || this.#failure !== null) return;
    this.#failure = error;
    this.#timer?.cancel();
    this.#stream?.abort();
  }

  /** Later, since `connectWith` and `abort` are called by the sink's owner, who should not be called back from inside them. */
  #failLater(error: WireError): void {
    const sink = this.#sink as ConnectSink;
    this.#settle();
    process.nextTick(tellFailure, sink, error);
  }

  /** From here on the connection holds on to nothing of this object: not the timer, the signal, the sink. */
  #settle(): void {
    this.#sink = null;
    this.#stream = null;
    this.#handshake = null;
    this.#origin?.forgetConnecting();
    this.#timer?.cancel();
    this.#config.signal?.removeEventListener('abort', this);
  }
}

/** One per thread; see `connector-reads.ts` for why it can be shared. */
const reads = new ConnectorReads(SocketStream.handleRead);

function tellConnected(sink: ConnectSink, stream: L4Stream): void {
  callUser(
    () => sink.onConnected(stream),
    (thrown) => stream.abort(internalError('SINK_THREW', textOf(thrown), { cause: thrown })),
  );
}

/** There is nothing left to end: a warning shows the bug without ending the process. */
function tellFailure(sink: ConnectSink, error: WireError): void {
  callUser(() => sink.onConnectFailed(error), warn);
}

function armTimer(config: ConnectConfig, onExpire: () => void): Wakeup {
  const { deadlines, clock, connectTimeoutMs, totalTimeoutMs } = config;
  const timeoutMs = Math.min(connectTimeoutMs, totalTimeoutMs);
  return deadlines === null ? scheduleDeadline(clock, timeoutMs, onExpire) : deadlines.after(timeoutMs, onExpire);
}

function nodeOptions(target: NetAddress, config: ConnectConfig): NetConnectOpts {
  const shared = { allowHalfOpen: true, highWaterMark: config.highWaterBytes, onread: reads.onread };
  if (target.kind === 'unix') return { ...shared, path: target.path };
  const { localAddress, localPort, lookup } = config;
  return {
    ...shared,
    host: target.host,
    port: target.port,
    noDelay: config.noDelay,
    keepAlive: config.keepAliveMs > 0,
    keepAliveInitialDelay: config.keepAliveMs,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: config.attemptTimeoutMs,
    ...(localAddress === null ? {} : { localAddress, family: isIP(localAddress) }),
    ...(localPort === null ? {} : { localPort }),
    ...(lookup === null ? {} : { lookup: checkedLookup(lookup) }),
  };
}

/**
 * The same error with the address, which Node's own leaves out for names. Whatever went wrong before there was a connection is a failure to
 * connect, after which trying again is safe: nothing was sent. (A peer may accept and reset before Node has told of the connection.)
 */
function describe(error: WireError, target: NetAddress): WireError {
  const context = formatNetAddress(target);
  // Said by `checkedLookup`: it has the words already.
  if (error.reason === 'DNS_LOOKUP_FAILED' || error.cause === undefined) return addContext(error, context);
  const { cause } = error;
  const message = causeText(cause);
  const described = fromNodeError(cause, { message, context });
  return described.type === 'io'
    ? connectError(described.reason === 'IO_FAILED' ? 'CONNECT_FAILED' : described.reason, message, { cause, context })
    : described;
}

function causeText(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(causeText).join('; ');
  return textOf(cause);
}

/** Node would not even begin. */
function refusedError(target: NetAddress, cause: unknown): WireError {
  const details = { retry: 'never', fault: 'local', cause, context: formatNetAddress(target) } as const;
  return connectError('CONNECT_FAILED', textOf(cause), details);
}

function abortError(target: NetAddress, cause: unknown): WireError {
  const place = formatNetAddress(target);
  return connectError('CONNECT_ABORTED', 'connecting was given up', { retry: 'never', fault: 'local', cause, context: place });
}

function totalTimeoutError(target: NetAddress, totalTimeoutMs: number): WireError {
  const message = `not connected within the total time-out of ${totalTimeoutMs} ms`;
  return timeoutError('CONNECT_TOTAL_TIMEOUT', message, { retry: 'always', context: formatNetAddress(target) });
}

function capError(target: NetAddress, max: number): WireError {
  const place = formatNetAddress(target);
  const message = `${max} connections are open, which is the cap`;
  return limitError('CONNECTION_CAP_REACHED', message, { retry: 'never', fault: 'local', wire: { status: 503 }, context: place });
}
