/**
 * One handshake of a TLS server, from the first byte to the stream that is handed over.
 *
 * ```
 *   hello ── ClientHello is whole ──► choosing ──► tls ──► completing ──► (settled: the stream is handed over)
 *     │                             (certificateFor) (OpenSSL) (handshakeComplete)
 *     └── time-out, cut for a newer one, end or reset of the peer, OpenSSL's refusal, a callback that throws ──► (settled: told once, all below aborted)
 * ```
 * Rules: settled once; the sink hears of it from no call of the program's own; whatever a callback does, it is this handshake alone that ends.
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { isWireError, limitError, type WireError } from '@ferrata/error';
import { formatAddress, type L4Sink, type L4Stream, type StreamInfo } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import type { LoadedCertificate } from './certificate-load.ts';
import { ClientHelloReader } from './client-hello.ts';
import { readHandshake } from './handshake-extension.ts';
import { SocketTlsDigest, TlsInfo } from './tls-info.ts';
import type { TlsAcceptSink } from './tls-server.ts';
import { type HandshakeEvents, type ServerContexts, startHandshake } from './tls-server-contexts.ts';
import { clientCertificateFailure, handshakeFailure, handshakeTimeout, localFailure, refusal, textOf } from './tls-server-errors.ts';
import type { TlsServerConfig } from './tls-server-options.ts';
import { carrierOf, type TlsCarrier, tlsStream } from './tls-stream.ts';

/** OpenSSL's own limit: what it lets through needs no counting. */
const maxOpenSslDepth = 100;

/** The server, as its handshakes see it. */
export interface HandshakeOwner {
  readonly config: TlsServerConfig;
  readonly contexts: ServerContexts;
  /** The certificate for a name, at once or later; null: there is none. @throws whatever `certificateFor` throws */
  chooseCertificate(name: string | null, info: StreamInfo): LoadedCertificate | null | Promise<LoadedCertificate | null>;
  /** Called once, when there is an outcome. */
  handleSettled(handshake: TlsHandshake, outcome: HandshakeOutcome): void;
}

/** How a handshake ended. */
export type HandshakeOutcome = 'completed' | 'resumed' | 'failed' | 'timedOut' | 'shed';

/** See the file's comment. */
export class TlsHandshake implements L4Sink, HandshakeEvents {
  staple: Uint8Array | null = null;
  readonly #owner: HandshakeOwner;
  readonly #stream: L4Stream;
  readonly #sink: TlsAcceptSink;
  readonly #info: StreamInfo;
  readonly #startedAt: number;
  readonly #reader: ClientHelloReader;
  readonly #deadline: Deadline;
  #carrier: TlsCarrier | null = null;
  #socket: TLSSocket | null = null;
  #isSettled = false;
  /** What the peer did while a callback of ours was waited for. */
  #hasPeerEnded = false;

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
    this.#stream.attach(this);
  }

  /** Ends it for a newer one, or because the server closes. */
  cut(error: WireError, outcome: HandshakeOutcome): void {
    this.#fail(error, outcome);
  }

  /** The peer's address, for messages. */
  get peer(): string {
    return formatAddress(this.#info.remoteAddress);
  }

  // While the hello comes in, this is the sink of the stream.

  onData(chunk: Uint8Array): void {
    if (this.#isSettled) return;
    const state = this.#reader.feed(chunk);
    if (state === 'partial') return;
    this.#stream.pause();
    if (state !== 'tooLong') return this.#choose();
    const message = `the ClientHello is longer than ${this.#owner.config.maxHelloBytes} bytes`;
    this.#fail(limitError('TLS_HELLO_TOO_LONG', message, { source: 'downstream', context: this.peer }));
  }

  onDrain(): void {}

  onEnd(): void {
    this.#hasPeerEnded = true;
    this.#fail(this.#cutShort());
  }

  onClose(error: WireError | null): void {
    if (this.#carrier === null) this.#fail(error === null ? this.#cutShort() : handshakeFailure(error, this.peer));
  }

  #choose(): void {
    try {
      const chosen = this.#owner.chooseCertificate(this.#reader.hello.serverName, this.#info);
      if (!(chosen instanceof Promise)) return this.#startTls(chosen);
      chosen.then(
        (certificate) => this.#startTls(certificate),
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
    const { contexts, config } = this.#owner;
    const { hello, chunks } = this.#reader;
    try {
      // Without a common protocol a client is served as one that knows no ALPN, unless it must not be: then OpenSSL refuses it, with the right alert.
      const isAlpnOptional = config.alpn.length > 0 && !config.requiresAlpn;
      const withAlpn = !isAlpnOptional || hello.alpn === null || hello.alpn.some((name) => config.alpn.includes(name));
      const server = contexts.serverFor({ certificate, withAlpn, ticketName: hello.ticketName });
      this.staple = hello.asksForStaple ? certificate.ocspResponse : null;
      this.#carrier = carrierOf(this.#stream, chunks);
      startHandshake(server, this.#carrier.host, this);
      // From here on OpenSSL has them.
      chunks.length = 0;
    } catch (error) {
      this.#fail(isWireError(error) ? error : localFailure('TLS_HANDSHAKE_FAILED', textOf(error), this.peer, error));
    }
  }

  // What Node tells of the handshake.

  handleFailure(error: unknown, socket: TLSSocket): void {
    this.#socket = socket;
    const { authorizationError } = socket as { authorizationError: unknown };
    if (typeof authorizationError === 'string') return this.#fail(clientCertificateFailure(authorizationError, this.peer));
    if (this.#reader.isOtherProtocol) {
      return this.#fail(refusal('TLS_NOT_TLS', 'the client speaks another protocol, perhaps HTTP without TLS', this.peer, error));
    }
    this.#fail(handshakeFailure(error, this.peer));
  }

  handleSecure(socket: TLSSocket): void {
    this.#socket = socket;
    if (this.#isSettled) return void socket.destroy();
    socket.allowHalfOpen = true;
    // A renegotiation costs the server ten times what it costs the client (CVE-2011-1473).
    socket.disableRenegotiation();
    // Until the stream has it: what goes wrong now ends the handshake.
    socket.on('error', this.#onSocketError);
    socket.on('close', this.#onSocketClose);
    try {
      this.#complete(socket, this.#checkClient(socket));
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

  /** @throws {WireError} if the client's certificate, or its lack, is not to be taken @returns the certificate */
  #checkClient(socket: TLSSocket): X509Certificate | null {
    const { clientCertificates } = this.#owner.config;
    if (clientCertificates === null) return null;
    // The chain first: once asked for the certificate alone, Node has forgotten the chain.
    const depth = clientCertificates.maxDepth < maxOpenSslDepth ? intermediateCount(socket) : 0;
    const certificate = socket.getPeerX509Certificate() ?? null;
    if (certificate === null) {
      if (clientCertificates.mode === 'optional') return null;
      throw refusal('TLS_CLIENT_CERT_MISSING', 'the client has shown no certificate', this.peer, undefined);
    }
    if (!socket.authorized) throw clientCertificateFailure(String(socket.authorizationError), this.peer);
    if (depth <= clientCertificates.maxDepth) return certificate;
    const message = `${depth} authorities between the client's certificate and the root, at most ${clientCertificates.maxDepth} are taken`;
    throw refusal('TLS_CLIENT_CERT_CHAIN_TOO_LONG', message, this.peer, undefined);
  }

  #complete(socket: TLSSocket, certificate: X509Certificate | null): void {
    const { config } = this.#owner;
    const serverName =
      typeof socket.servername === 'string' && socket.servername !== '' ? socket.servername : this.#reader.hello.serverName;
    const digest = new SocketTlsDigest(socket, { serverName, isVerified: certificate !== null, certificate });
    const info = new TlsInfo(this.#info, digest, { startedAt: this.#startedAt, establishedAt: config.clock.now() });
    if (config.handshakeComplete === null) return this.#handOver(socket, digest, info);
    let extension: unknown;
    try {
      extension = readHandshake(config.handshakeComplete, digest, info);
      if (!isThenable(extension)) {
        digest.extension = extension;
        return this.#handOver(socket, digest, info);
      }
    } catch (error) {
      return this.#failRefused(error);
    }
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
    callSink(() => this.#sink.onSecure(stream), stream);
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

  #fail(error: WireError, outcome: HandshakeOutcome = 'failed'): void {
    if (this.#isSettled) return;
    this.#settle(outcome);
    // OpenSSL's alert is on its way already, if it had one; a reset right behind it would destroy it on its way (RFC 9293 §3.10.7).
    const isLeftToNode = this.#socket !== null && outcome === 'failed' && !this.#socket.destroyed;
    if (isLeftToNode) this.#socket?.destroy();
    else if (this.#carrier !== null) this.#carrier.abort(error);
    else this.#stream.abort(this.#hasPeerEnded ? undefined : error);
    process.nextTick(tellFailed, this.#sink, error, this.#info);
  }

  #settle(outcome: HandshakeOutcome): void {
    this.#isSettled = true;
    this.#deadline.cancel();
    this.#reader.chunks.length = 0;
    this.#owner.handleSettled(this, outcome);
  }
}

/** Runs `call`; a sink that throws is a bug of the program, which ends the stream and not the process. */
function callSink(call: () => void, stream: L4Stream): void {
  try {
    call();
  } catch (thrown) {
    stream.abort(localFailure('SINK_THREW', textOf(thrown), formatAddress(stream.info.remoteAddress), thrown));
  }
}

function tellFailed(sink: TlsAcceptSink, error: WireError, info: StreamInfo): void {
  try {
    sink.onHandshakeFailed(error, info);
  } catch (thrown) {
    process.emitWarning(thrown instanceof Error ? thrown : String(thrown), 'SinkThrewOnHandshakeFailed');
  }
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** Authorities between the client's certificate and the root that ends the chain. A resumed session has only the certificate: its chain was counted before. */
function intermediateCount(socket: TLSSocket): number {
  let count = -1;
  let certificate = socket.getPeerCertificate(true);
  while (certificate.issuerCertificate !== undefined && certificate.issuerCertificate.fingerprint256 !== certificate.fingerprint256) {
    certificate = certificate.issuerCertificate;
    count++;
  }
  return Math.max(count, 0);
}
