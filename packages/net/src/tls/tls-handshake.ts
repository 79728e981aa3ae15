/**
 * One handshake of a TLS server, from the first byte to the stream that is handed over.
 *
 * ```
 *   hello ── ClientHello is whole ──► (waits for a place) ──► choosing ──► (waits) ──► tls ──► completing ──► (settled: the stream is handed over)
 *     │                                                   (certificateFor)          (OpenSSL) (handshakeComplete)
 *     └── time-out, cut for others, end or reset of the peer, OpenSSL's refusal, a callback that throws ──► (settled: told once, all below aborted)
 * ```
 * Rules: settled once; the sink hears of it from no call of the program's own; whatever a callback does, it is this handshake alone that ends. Until OpenSSL has the
 * connection it is read on, within the bounds of a hello: so a client that gives up while it waits is seen to.
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { addContext, isWireError, limitError, textOf, type WireError } from '@ferrata/error';
import { callUser, formatAddress, isThenable, type L4Sink, type L4Stream, type StreamInfo } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import { warn } from '../warn.ts';
import type { LoadedCertificate } from './certificate-load.ts';
import { ClientHelloReader } from './client-hello.ts';
import { SocketTlsDigest, TlsInfo } from './tls-info.ts';
import type { ClientCertificateCheck } from './tls-server-client-certificate.ts';
import { type HandshakeEvents, type ServerContexts, startHandshake } from './tls-server-contexts.ts';
import { clientCertificateFailure, handshakeFailure, handshakeTimeout, localFailure, refusal } from './tls-server-errors.ts';
import type { TlsServerConfig } from './tls-server-options.ts';
import type { HandshakePhase, HandshakePlaces, PlaceHolder, ShedCause } from './tls-server-places.ts';
import { carrierOf, type TlsCarrier, tlsStream } from './tls-stream.ts';

/** The server, as its handshakes see it. */
export interface HandshakeOwner {
  readonly config: TlsServerConfig;
  readonly contexts: ServerContexts;
  readonly places: HandshakePlaces;
  /** Null if clients are asked for no certificate. */
  readonly clientCheck: ClientCertificateCheck | null;
  /** The certificate for a name, at once or later; null: there is none. @throws whatever `certificateFor` throws */
  chooseCertificate(name: string | null, info: StreamInfo): LoadedCertificate | null | Promise<LoadedCertificate | null>;
  /** Called once, when there is an outcome. */
  handleSettled(handshake: TlsHandshake, outcome: HandshakeOutcome): void;
}

/** Receives the outcome of `TlsServer.accept`: exactly one of the two, once, and never from inside `accept` itself. */
export interface TlsAcceptSink {
  /** The handshake is complete; the stream is paused until something is attached to it. If this throws, the stream is aborted. */
  onSecure(stream: L4Stream): void;
  /** There is no stream; the one below has been aborted. @param info of the stream below, with the peer's address */
  onHandshakeFailed(error: WireError, info: StreamInfo): void;
}

/** How a handshake ended. */
export type HandshakeOutcome = 'completed' | 'resumed' | 'failed' | 'timedOut' | 'shed';

/** See the file's comment. */
export class TlsHandshake implements L4Sink, HandshakeEvents, PlaceHolder {
  staple: Uint8Array | null = null;
  // The places' own.
  phase: HandshakePhase | null = null;
  heldBytes = 0;
  since = 0;
  readonly #owner: HandshakeOwner;
  readonly #stream: L4Stream;
  readonly #sink: TlsAcceptSink;
  readonly #info: StreamInfo;
  readonly #startedAt: number;
  readonly #reader: ClientHelloReader;
  readonly #deadline: Deadline;
  #carrier: TlsCarrier | null = null;
  #isSettled = false;
  #isHelloRead = false;
  /** Chosen, and waiting for a place; undefined: not chosen yet. */
  #chosen: LoadedCertificate | null | undefined = undefined;

  constructor(owner: HandshakeOwner, stream: L4Stream, sink: TlsAcceptSink) {
    const { config } = owner;
    this.#owner = owner;
    this.#stream = stream;
    this.#sink = sink;
    this.#info = stream.info;
    this.#startedAt = config.clock.now();
    this.#reader = new ClientHelloReader(config.maxHelloBytes);
    this.#deadline = config.deadlines.after(config.handshakeTimeoutMs, () => this.#handleTimeout());
    // Looked up now: when the peer has gone, the kernel does not know any more who it was, and the log should.
    void this.#info.remoteAddress;
  }

  start(): void {
    // Not if there was no room for it at all.
    if (!this.#isSettled) this.#stream.attach(this);
  }

  /** Ends it for a newer one, or because the server closes. */
  cut(error: WireError, outcome: HandshakeOutcome): void {
    this.#fail(error, outcome);
  }

  /** The peer's address, for messages. */
  get peer(): string {
    return formatAddress(this.#info.remoteAddress);
  }

  handleTurn(): void {
    if (this.#chosen === undefined) this.#choose();
    else this.#startTls(this.#chosen);
  }

  handleShed(cause: ShedCause): void {
    const { maxHandshakes, maxPending, maxPendingBytes } = this.#owner.config;
    const message =
      cause === 'slowPeer'
        ? `${maxHandshakes} handshakes are under way, which is the cap: the one that has waited longest for its client gives way`
        : `more than ${cause === 'tooMany' ? `${maxPending} connections` : `${maxPendingBytes} bytes`} wait for their handshakes: the oldest gives way`;
    const details = { source: 'downstream', wire: { status: 503 }, context: this.peer } as const;
    this.#fail(limitError('TLS_HANDSHAKE_SHED', message, details), 'shed');
  }

  // Until OpenSSL begins, this is the sink of the stream.

  onData(chunk: Uint8Array): void {
    if (this.#isSettled) return;
    const reader = this.#reader;
    const { places, config } = this.#owner;
    if (this.#isHelloRead) {
      reader.keep(chunk);
      if (reader.length >= config.maxHelloBytes) this.#stream.pause();
      return places.hold(this, reader.heldBytes);
    }
    const state = reader.feed(chunk);
    if (state === 'tooLong') {
      const message = `the ClientHello is longer than ${config.maxHelloBytes} bytes`;
      return this.#fail(limitError('TLS_HELLO_TOO_LONG', message, { source: 'downstream', context: this.peer }));
    }
    if (state === 'partial') return places.hold(this, reader.heldBytes);
    this.#isHelloRead = true;
    if (places.request(this)) this.#choose();
    else places.hold(this, reader.heldBytes);
  }

  onDrain(): void {}

  onEnd(): void {
    this.#fail(this.#cutShort());
  }

  onClose(error: WireError | null): void {
    if (this.#carrier === null) this.#fail(error === null ? this.#cutShort() : handshakeFailure(error, this.peer));
  }

  #choose(): void {
    try {
      const chosen = this.#owner.chooseCertificate(this.#reader.hello.serverName, this.#info);
      if (!(chosen instanceof Promise)) return this.#startTls(chosen);
      const { places } = this.#owner;
      places.beginCallback(this);
      places.hold(this, this.#reader.heldBytes);
      chosen.then(
        (certificate) => {
          if (this.#isSettled) return;
          this.#chosen = certificate;
          if (places.endCallback(this)) this.#startTls(certificate);
        },
        (error: unknown) => this.#failCallback('TLS_CERTIFICATE_CALLBACK_FAILED', 'certificateFor', error),
      );
    } catch (error) {
      this.#failCallback('TLS_CERTIFICATE_CALLBACK_FAILED', 'certificateFor', error);
    }
  }

  #startTls(certificate: LoadedCertificate | null): void {
    if (this.#isSettled) return;
    if (certificate === null)
      return this.#fail(localFailure('TLS_NO_CERTIFICATE', 'there is no certificate for this client', this.peer, undefined));
    const { contexts, config, places } = this.#owner;
    const { hello } = this.#reader;
    try {
      // Without a common protocol a client is served as one that knows no ALPN, unless it must not be: then OpenSSL refuses it, with the right alert.
      const isAlpnOptional = config.alpn.length > 0 && !config.requiresAlpn;
      const withAlpn = !isAlpnOptional || hello.alpn === null || hello.alpn.some((name) => config.alpn.includes(name));
      const server = contexts.serverFor({ certificate, withAlpn, ticketName: hello.ticketName });
      this.staple = hello.asksForStaple ? certificate.ocspResponse : null;
      this.#stream.pause();
      places.hold(this, 0);
      this.#carrier = carrierOf(this.#stream, [this.#reader.takeBytes()]);
      startHandshake(server, this.#carrier.host, this);
    } catch (error) {
      // Of ours, and made for this connection.
      this.#fail(isWireError(error) ? addContext(error, this.peer) : localFailure('TLS_HANDSHAKE_FAILED', textOf(error), this.peer, error));
    }
  }

  // What Node tells of the handshake.

  handleFailure(error: unknown, socket: TLSSocket): void {
    this.#fail(this.#failureOf(error, socket), 'failed', socket);
  }

  #failureOf(error: unknown, socket: TLSSocket): WireError {
    const { authorizationError } = socket as { authorizationError: unknown };
    if (typeof authorizationError === 'string') return clientCertificateFailure(authorizationError, this.peer);
    if (!this.#reader.isOtherProtocol) return handshakeFailure(error, this.peer);
    return refusal('TLS_NOT_TLS', 'the client speaks another protocol, perhaps HTTP without TLS', this.peer, error);
  }

  handleSecure(socket: TLSSocket): void {
    if (this.#isSettled) return void socket.destroy();
    socket.allowHalfOpen = true;
    this.#owner.places.markDone(this);
    // A renegotiation costs the server ten times what it costs the client (CVE-2011-1473). By this the connection ends with the first; by SSL_OP_NO_RENEGOTIATION
    // the client would be answered with a warning, and free to ask again.
    socket.disableRenegotiation();
    // Until the stream has it: what goes wrong now ends the handshake.
    socket.on('error', this.#onSocketError);
    socket.on('close', this.#onSocketClose);
    try {
      this.#checkName(socket);
      const { clientCheck, config } = this.#owner;
      this.#complete(socket, clientCheck === null ? null : clientCheck.check(socket, config.clock.wallNow(), this.peer));
    } catch (error) {
      this.#fail(isWireError(error) ? error : localFailure('TLS_HANDSHAKE_FAILED', textOf(error), this.peer, error));
    }
  }

  readonly #onSocketError = (error: Error): void => {
    this.#fail(handshakeFailure(error, this.peer));
  };

  readonly #onSocketClose = (): void => {
    this.#fail(this.#cutShort());
  };

  /**
   * What OpenSSL takes for the name must be what the certificate was chosen by: a second ClientHello, after a HelloRetryRequest, must not change it (RFC 8446 §4.1.2), nor must a session be
   * resumed under another one (RFC 6066 §3); and should we ever read a hello otherwise than OpenSSL, it ends here.
   *
   * @throws {WireError} if they differ
   */
  #checkName(socket: TLSSocket): void {
    const chosenBy = this.#reader.hello.serverName;
    const name = nameOf(socket);
    // A session of TLS 1.2 that is resumed leaves OpenSSL without a name.
    if (name === chosenBy || (name === null && socket.isSessionReused())) return;
    throw refusal('TLS_NAME_CHANGED', `the client has changed the name it asks for: it was ${chosenBy ?? 'none'}`, this.peer, undefined);
  }

  #complete(socket: TLSSocket, certificate: X509Certificate | null): void {
    const { config } = this.#owner;
    const { serverName } = this.#reader.hello;
    const digest = new SocketTlsDigest(socket, { serverName, isVerified: certificate !== null, certificate });
    const info = new TlsInfo(this.#info, digest, { startedAt: this.#startedAt, establishedAt: config.clock.now() });
    if (config.handshakeComplete === null) return this.#handOver(socket, digest, info);
    let extension: unknown;
    try {
      extension = config.handshakeComplete(digest, info);
      if (!isThenable(extension)) {
        digest.extension = extension;
        return this.#handOver(socket, digest, info);
      }
    } catch (error) {
      return this.#failRefused(error);
    }
    this.#owner.places.beginCallback(this);
    Promise.resolve(extension).then(
      (value) => {
        digest.extension = value;
        this.#handOver(socket, digest, info);
      },
      (error: unknown) => this.#failRefused(error),
    );
  }

  #handOver(socket: TLSSocket, digest: SocketTlsDigest, info: TlsInfo): void {
    if (this.#isSettled) return;
    socket.removeListener('error', this.#onSocketError);
    socket.removeListener('close', this.#onSocketClose);
    const stream = tlsStream(socket, this.#carrier as TlsCarrier, info, this.#owner.config.hardLimitBytes);
    this.#settle(digest.isResumed ? 'resumed' : 'completed');
    // The sink is called from Node's event, or from a promise: never from inside `accept`.
    callUser(
      () => this.#sink.onSecure(stream),
      (thrown) => stream.abort(localFailure('SINK_THREW', textOf(thrown), this.peer, thrown)),
    );
  }

  #handleTimeout(): void {
    this.#fail(handshakeTimeout(this.#owner.config.handshakeTimeoutMs, this.peer), 'timedOut');
  }

  #failRefused(error: unknown): void {
    if (isWireError(error)) return this.#fail(error);
    this.#fail(refusal('TLS_REFUSED', `handshakeComplete: ${textOf(error)}`, this.peer, error));
  }

  #failCallback(reason: string, callback: string, error: unknown): void {
    this.#fail(isWireError(error) ? error : localFailure(reason, `${callback}: ${textOf(error)}`, this.peer, error));
  }

  #cutShort(): WireError {
    return refusal('TLS_HANDSHAKE_CUT', 'the connection ended before the handshake was complete', this.peer, undefined);
  }

  /** @param refusing the socket that OpenSSL has refused the client on */
  #fail(error: WireError, outcome: HandshakeOutcome = 'failed', refusing: TLSSocket | null = null): void {
    if (this.#isSettled) return;
    this.#settle(outcome);
    // OpenSSL's alert is on its way, if it had one; a reset right behind it would destroy it there (RFC 9293 §3.10.7).
    if (refusing !== null && !refusing.destroyed) refusing.destroy();
    else if (this.#carrier !== null) this.#carrier.abort(error);
    else this.#stream.abort(this.#stream.state === 'peerEnded' ? undefined : error);
    process.nextTick(tellFailed, this.#sink, error, this.#info);
  }

  #settle(outcome: HandshakeOutcome): void {
    this.#isSettled = true;
    this.#deadline.cancel();
    this.#reader.takeBytes();
    this.#owner.places.leave(this);
    this.#owner.handleSettled(this, outcome);
  }
}

function tellFailed(sink: TlsAcceptSink, error: WireError, info: StreamInfo): void {
  callUser(() => sink.onHandshakeFailed(error, info), warn);
}

/** As OpenSSL has it, in lower case. */
function nameOf({ servername }: TLSSocket): string | null {
  return typeof servername === 'string' && servername !== '' ? servername.toLowerCase() : null;
}
