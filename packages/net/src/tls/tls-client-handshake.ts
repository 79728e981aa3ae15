/**
 * One handshake of a TLS client: from a stream to a verified TLS stream, or to an error.
 *
 * ```text
 *   handshaking ── secureConnect ──► checking ── handshakeComplete ──► ready ── next tick ──► told   (this object only answers Node, should it ask for
 *        │                              │                                │                          the name again)
 *        └── error, close, time-out, abort ──────────────────── abort ───┴──► failed   (everything below has been aborted)
 * ```
 *
 * Rules:
 * - Nobody reads from the TLS socket before it is handed over: no byte of a server that is not verified reaches anybody (CVE-2026-1642).
 * - Whatever is called back from OpenSSL is wrapped: a throw would end the process (CVE-2026-21637).
 * - A session is kept once its connection is ready, and not if that was refused.
 */
import { connect as connectSocket, type PeerCertificate as NodeCertificate, type SecureContext, type TLSSocket } from 'node:tls';
import type { Wakeup } from '@ferrata/clock';
import { connectError, textOf, timeoutError, tlsError, toWireError, type WireError } from '@ferrata/error';
import { callUser, isThenable, type L4Stream, type PeerCertificate, type StreamInfo } from '@ferrata/stream';
import { type DeadlineQueue, scheduleDeadline } from '@ferrata/timeout';
import type { PendingConnect } from '../connect/pending-connect.ts';
import { warn } from '../warn.ts';
import { createPeerCertificate } from './peer-certificate.ts';
import { ClientTlsDigest } from './tls-client-digest.ts';
import { handshakeCut, handshakeError } from './tls-client-errors.ts';
import { describeNames, isForHost } from './tls-client-identity.ts';
import type { TlsClientConfig } from './tls-client-options.ts';
import type { KeptSession, TlsClientSessions } from './tls-client-sessions.ts';
import { TlsInfo } from './tls-info.ts';
import { carrierOf, type TlsCarrier, tlsStream } from './tls-stream.ts';

/** Receives the outcome of `TlsClient.connect`: exactly one of the two, once, and never from inside `connect` itself. */
export interface TlsConnectSink {
  /** The stream is verified, and paused until something is attached to it. */
  onSecure(stream: L4Stream): void;
  /** Everything below is aborted within this turn of the event loop. @param info of the stream below */
  onHandshakeFailed(error: WireError, info: StreamInfo): void;
}

/** What one handshake is made of. */
export interface ClientHandshakeFacts {
  readonly config: TlsClientConfig;
  readonly context: SecureContext;
  readonly sessions: TlsClientSessions | null;
  /** Of all that a session of this connection may be used for. */
  readonly sessionKey: string;
  /** The name to send; null: none. */
  readonly serverName: string | null;
  /** The name or address that the certificate must be for; null: any. */
  readonly verifyName: string | null;
  /** Which of several servers of that name; null: unknown. */
  readonly place: string | null;
  readonly alpn: readonly string[] | null;
  readonly timeoutMs: number;
  readonly deadlines: DeadlineQueue | null;
  readonly signal: AbortSignal | null;
}

/** What the listener of sessions holds on to as long as the connection lives. */
interface Shown {
  certificate: PeerCertificate | null;
  /** The connection was not refused. */
  isReady: boolean;
  /** Came before that. */
  ticket: Buffer | null;
}

export class ClientHandshake implements PendingConnect {
  readonly #stream: L4Stream;
  readonly #below: StreamInfo;
  readonly #facts: ClientHandshakeFacts;
  /** Null once there was an outcome. */
  #sink: TlsConnectSink | null;
  #carrier: TlsCarrier | null = null;
  #socket: TLSSocket | null = null;
  #timer: Wakeup | null = null;
  #startedAt = 0;
  #resumed: KeptSession | null = null;
  /** What its sessions are kept with. */
  readonly #shown: Shown = { certificate: null, isReady: false, ticket: null };
  /** The server is verified: should Node ask once more, then for another handshake. */
  #isVerified = false;
  /** The stream that will be told of within this turn. */
  #ready: L4Stream | null = null;
  /** What our own check of the certificate has found. */
  #identityError: WireError | null = null;

  constructor(stream: L4Stream, sink: TlsConnectSink, facts: ClientHandshakeFacts) {
    this.#stream = stream;
    this.#below = stream.info;
    this.#facts = facts;
    this.#sink = sink;
  }

  start(): void {
    const { config, signal, timeoutMs, deadlines } = this.#facts;
    if (signal?.aborted === true) return this.abort(signal.reason);
    // Bytes of a stream that has closed already would wait for a handshake that never begins.
    if (this.#stream.state !== 'open') return this.#fail(handshakeCut(this.#server()));
    this.#startedAt = config.clock.now();
    const onExpire = (): void => this.#fail(this.#timeoutError());
    this.#timer = deadlines === null ? scheduleDeadline(config.clock, timeoutMs, onExpire) : deadlines.after(timeoutMs, onExpire);
    signal?.addEventListener('abort', this, { once: true });
    try {
      this.#connect();
    } catch (thrown) {
      // OpenSSL refuses what it is given: nothing that the peer could have caused.
      this.#fail(toWireError(thrown, 'TLS_SETUP_FAILED'));
    }
  }

  abort(cause?: unknown): void {
    this.#fail(
      connectError('CONNECT_ABORTED', 'the TLS handshake was given up', { retry: 'never', fault: 'local', cause, context: this.#server() }),
    );
  }

  /** The listener of the abort signal. */
  handleEvent(): void {
    this.abort(this.#facts.signal?.reason);
  }

  #connect(): void {
    const { config, context, sessions, sessionKey, serverName, verifyName, alpn } = this.#facts;
    const { verifyCert, keyLog } = config;
    this.#resumed = sessions?.find(sessionKey, config.clock.wallNow()) ?? null;
    const session = this.#resumed?.ticket;
    const carrier = carrierOf(this.#stream, []);
    this.#carrier = carrier;
    const socket = connectSocket({
      socket: carrier.host,
      secureContext: context,
      // Always said, or an environment variable would decide.
      rejectUnauthorized: verifyCert,
      checkServerIdentity: (_host, certificate) => this.#checkIdentity(certificate),
      // Node ties sessions to this name, besides our own key.
      host: verifyName ?? 'localhost',
      ...(serverName === null ? {} : { servername: serverName }),
      ...(alpn === null || alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
      ...(session === undefined ? {} : { session }),
    });
    this.#socket = socket;
    socket.on('error', this.#handleError);
    socket.on('close', this.#handleClose);
    socket.once('secureConnect', () => this.#handleSecure(socket));
    // A server may send tickets as long as the connection lives: the listener holds on to nothing but what it needs.
    if (sessions !== null) {
      const shown = this.#shown;
      socket.on('session', (ticket: Buffer) => {
        if (shown.isReady) sessions.keep(sessionKey, { ticket, certificate: shown.certificate });
        else shown.ticket = ticket;
      });
    }
    if (keyLog !== null) socket.on('keylog', (line: Buffer) => callUser(() => keyLog(line.toString('latin1').trimEnd()), warn));
  }

  readonly #handleError = (error: Error): void => {
    this.#fail(this.#identityError ?? handshakeError(error, this.#server(), this.#socket?.authorizationError));
  };

  readonly #handleClose = (): void => {
    this.#fail(handshakeCut(this.#server()));
  };

  /** Called by Node from OpenSSL's callback, in a full handshake only, when the chain is good: a resumed session was verified when it was new. */
  #checkIdentity(certificate: NodeCertificate): Error | undefined {
    const { config, verifyName } = this.#facts;
    const { verifyCert, verifyHostname, alternativeCn } = config;
    if (this.#isVerified) {
      // A server of TLS 1.2 has asked for another handshake. OpenSSL has refused it (SSL_OP_NO_RENEGOTIATION), but Node believes that there was one.
      this.#identityError = tlsError('TLS_RENEGOTIATION', 'the server asked for another handshake', {
        retry: 'never',
        context: this.#server(),
      });
      return this.#identityError;
    }
    if (!verifyCert || !verifyHostname) return undefined;
    try {
      const peer = createPeerCertificate(certificate.raw);
      if (verifyName !== null && isForHost(peer, verifyName)) return undefined;
      if (alternativeCn !== null && isForHost(peer, alternativeCn)) return undefined;
      const message = `the certificate is for ${describeNames(peer)}`;
      this.#identityError = tlsError('TLS_HOSTNAME_MISMATCH', message, { retry: 'never', context: this.#server() });
    } catch (thrown) {
      this.#identityError = toWireError(thrown, 'TLS_CERTIFICATE_MALFORMED');
    }
    return this.#identityError;
  }

  #handleSecure(socket: TLSSocket): void {
    if (this.#sink === null) return;
    const { config, serverName, alpn } = this.#facts;
    // Node has destroyed it by now; what decides whom we talk to is looked at twice.
    if (config.verifyCert && !socket.authorized)
      return this.#fail(tlsError('TLS_CERT_UNTRUSTED', textOf(socket.authorizationError), { retry: 'never', context: this.#server() }));
    this.#isVerified = true;
    const digest = new ClientTlsDigest(socket, { serverName, isVerified: config.verifyCert }, this.#resumed?.certificate ?? null);
    this.#shown.certificate = digest.peerCertificate;
    if (digest.alpn !== null && alpn?.includes(digest.alpn) !== true) {
      // RFC 7301 §3.1: the server chooses among those offered.
      const message = `the server chose the protocol ${JSON.stringify(digest.alpn)}, which was not offered`;
      return this.#fail(tlsError('TLS_ALPN_NOT_OFFERED', message, { retry: 'never', context: this.#server() }));
    }
    const timing = { startedAt: this.#startedAt, establishedAt: config.clock.now() };
    this.#complete(digest, new TlsInfo(this.#below, digest, timing));
  }

  #complete(digest: ClientTlsDigest, info: TlsInfo): void {
    const { handshakeComplete } = this.#facts.config;
    if (handshakeComplete === null) return this.#handOver(info);
    let later: Promise<unknown> | null = null;
    try {
      const read = handshakeComplete(digest, info);
      if (isThenable(read)) later = Promise.resolve(read);
      else digest.extension = read;
    } catch (thrown) {
      return this.#fail(this.#refused(thrown));
    }
    if (later === null) return this.#handOver(info);
    // The time-out goes on: it also ends a callback that never settles.
    later.then(
      (extension) => {
        digest.extension = extension;
        this.#handOver(info);
      },
      (reason: unknown) => this.#fail(this.#refused(reason)),
    );
  }

  #handOver(info: TlsInfo): void {
    const socket = this.#socket;
    const carrier = this.#carrier;
    if (this.#sink === null || socket === null || carrier === null) return;
    this.#timer?.cancel();
    this.#ready = tlsStream(socket, carrier, info);
    socket.removeListener('error', this.#handleError);
    socket.removeListener('close', this.#handleClose);
    this.#keepSession();
    process.nextTick(() => this.#tell());
  }

  #keepSession(): void {
    const { sessions, sessionKey } = this.#facts;
    const shown = this.#shown;
    shown.isReady = true;
    if (shown.ticket !== null) sessions?.keep(sessionKey, { ticket: shown.ticket, certificate: shown.certificate });
    shown.ticket = null;
  }

  #tell(): void {
    const sink = this.#sink;
    const stream = this.#ready;
    if (sink === null || stream === null) return;
    this.#settle();
    callUser(
      () => sink.onSecure(stream),
      (thrown) => stream.abort(toWireError(thrown, 'SINK_THREW')),
    );
  }

  #fail(error: WireError): void {
    const sink = this.#sink;
    if (sink === null) return;
    this.#settle();
    // A ticket that the server chokes on is not offered again; that we gave up says nothing of it.
    if (error.reason !== 'CONNECT_ABORTED') this.#facts.sessions?.forget(this.#facts.sessionKey);
    const socket = this.#socket;
    // Given up between the handshake's end and its telling.
    if (this.#ready !== null) this.#ready.abort(error);
    else if (this.#carrier === null) this.#stream.abort(error);
    // Node has destroyed the socket if it was OpenSSL that failed; its alert may still be on the way, and a reset would take it back.
    else if (socket?.destroyed !== true) this.#carrier.abort(error, () => socket?.destroy());
    // The error listener stays: what Node still says of this socket must not end the process.
    process.nextTick(tellFailed, sink, error, this.#below);
  }

  /** From here on the connection holds on to nothing of this object but its listeners: not the timer, the signal, the sink. */
  #settle(): void {
    this.#sink = null;
    this.#timer?.cancel();
    this.#facts.signal?.removeEventListener('abort', this);
  }

  #timeoutError(): WireError {
    const message = `no verified connection within ${this.#facts.timeoutMs} ms`;
    return timeoutError('TLS_HANDSHAKE_TIMEOUT', message, { retry: 'always', context: this.#server() });
  }

  #refused(cause: unknown): WireError {
    return tlsError('TLS_REFUSED', textOf(cause), { retry: 'never', fault: 'local', cause, context: this.#server() });
  }

  /** The server, for messages. */
  #server(): string {
    const { serverName, verifyName, place } = this.#facts;
    const name = serverName ?? verifyName ?? 'unnamed server';
    return place === null ? name : `${name} at ${place}`;
  }
}

function tellFailed(sink: TlsConnectSink, error: WireError, info: StreamInfo): void {
  callUser(() => sink.onHandshakeFailed(error, info), warn);
}
