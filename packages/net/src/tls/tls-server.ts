/**
 * TLS for accepted streams, on Node's OpenSSL: certificates by name, ALPN, tickets shared by threads, client certificates.
 *
 * A server is settings and a count of handshakes; it listens to nothing. It takes any `L4Stream`: a socket of ours gives up its handle, so that OpenSSL reads
 * from it directly; any other stream is read through a `Duplex`.
 */
import { addContext, isWireError, tlsError, type WireError } from '@ferrata/error';
import { callUser, formatAddress, isThenable, type L4Stream, type StreamInfo } from '@ferrata/stream';
import { warn } from '../warn.ts';
import { certificateConcern, type LoadedCertificate, loadCertificate } from './certificate-load.ts';
import type { CertificateSource } from './certificate-source.ts';
import { CertificateStore, type ReloadReport } from './certificate-store.ts';
import { revocationListEnd } from './revocation-list.ts';
import { type HandshakeOutcome, type HandshakeOwner, type TlsAcceptSink, TlsHandshake } from './tls-handshake.ts';
import { ClientCertificateCheck } from './tls-server-client-certificate.ts';
import { ServerContexts } from './tls-server-contexts.ts';
import { resolveTlsServerOptions, type TlsServerConfig, type TlsServerOptions } from './tls-server-options.ts';
import { HandshakePlaces } from './tls-server-places.ts';

/** Handshakes, counted since the server was made. */
export interface HandshakeCounts {
  readonly started: number;
  /** Those that made a stream, resumed ones among them. */
  readonly completed: number;
  readonly resumed: number;
  /** Those that made none, for whatever reason. */
  readonly failed: number;
  /** Of the failed: those that took too long. */
  readonly timedOut: number;
  /** Of the failed: those cut for others. */
  readonly shed: number;
  /** Those that found all places taken. They wait, and most of them are completed nevertheless. */
  readonly waited: number;
}

/** The server side of TLS. May serve any number of listeners; `close` it when the last one has closed. */
export class TlsServer implements AsyncDisposable {
  readonly #config: TlsServerConfig;
  readonly #contexts: ServerContexts;
  readonly #places: HandshakePlaces;
  readonly #store: CertificateStore | null;
  readonly #owner: HandshakeOwner;
  readonly #handshakes = new Set<TlsHandshake>();
  /** What `certificateFor` has given. */
  readonly #loaded = new WeakMap<CertificateSource, LoadedCertificate>();
  readonly #counts = { started: 0, completed: 0, resumed: 0, failed: 0, timedOut: 0, shed: 0 };
  #isClosed = false;

  /**
   * Loads the certificates, and tries each with the settings.
   *
   * @throws {TypeError} if an option is of a wrong type, or there is no certificate @throws {RangeError} if one is out of range
   * @throws {WireError} `TLS_…` as `loadCertificate`; `TLS_SETTINGS_REFUSED` if OpenSSL does not take the settings; `TLS_CRL_UNREADABLE`
   */
  constructor(options: TlsServerOptions) {
    this.#config = resolveTlsServerOptions(options);
    this.#tellOfOldLists();
    this.#contexts = new ServerContexts(this.#config);
    this.#places = new HandshakePlaces(this.#config);
    const { certificates, clientCertificates, onReload, watch, clock } = this.#config;
    this.#store =
      certificates.length === 0 ? null : new CertificateStore(certificates, { watch, clock, ...(onReload === null ? {} : { onReload }) });
    this.#owner = {
      config: this.#config,
      contexts: this.#contexts,
      places: this.#places,
      clientCheck: clientCertificates === null ? null : new ClientCertificateCheck(clientCertificates),
      chooseCertificate: (name, info) => this.#chooseCertificate(name, info),
      handleSettled: (handshake, outcome) => this.#handleSettled(handshake, outcome),
    };
    try {
      if (this.#store === null) this.#contexts.checkSettings();
      for (const certificate of this.#store?.certificates ?? [])
        this.#contexts.serverFor({ certificate, withAlpn: true, ticketName: null });
    } catch (error) {
      this.#store?.close();
      throw error;
    }
  }

  /** Handshakes so far. */
  get counts(): HandshakeCounts {
    return { ...this.#counts, waited: this.#places.waitedCount };
  }

  /** Handshakes under way. */
  get handshakeCount(): number {
    return this.#handshakes.size;
  }

  /** Of these: clients that wait for a place, their hello being whole. */
  get waitingCount(): number {
    return this.#places.waitingCount;
  }

  /** What is offered by ALPN. */
  get alpn(): readonly string[] {
    return this.#config.alpn;
  }

  /** Makes the handshake on a stream that nothing reads any more; what it was given back by `unread` comes first. */
  accept(stream: L4Stream, sink: TlsAcceptSink): void {
    this.#counts.started++;
    const handshake = new TlsHandshake(this.#owner, stream, sink);
    this.#handshakes.add(handshake);
    if (this.#isClosed) return handshake.cut(closedError(handshake), 'failed');
    this.#places.enter(handshake);
    handshake.start();
  }

  /** Reads the certificates again, now. */
  async reload(): Promise<ReloadReport> {
    return this.#store === null ? { outcomes: [], replacedCount: 0, failedCount: 0 } : this.#store.reload();
  }

  /** Makes a new ticket key, for all threads that share the keys. Does nothing if there are no tickets. */
  rotateTicketKeys(): void {
    this.#config.tickets?.rotate();
  }

  /** Ends the handshakes under way, and takes no more. Streams live on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#store?.close();
    for (const handshake of this.#handshakes) handshake.cut(closedError(handshake), 'failed');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Every client of such an authority will be refused. @throws {WireError} `TLS_CRL_UNREADABLE` */
  #tellOfOldLists(): void {
    const { clientCertificates, clock } = this.#config;
    for (const pem of clientCertificates?.crl ?? []) {
      const end = revocationListEnd(pem);
      if (end === null || end >= clock.wallNow()) continue;
      const message = `a list in clientCertificates.crl has run out at ${new Date(end).toISOString()}`;
      this.#tell(tlsError('TLS_CRL_EXPIRED', message, { fault: 'local' }));
    }
  }

  #tell(error: WireError): void {
    const { onError } = this.#config;
    if (onError !== null) process.nextTick(() => callUser(() => onError(error), warn));
  }

  #chooseCertificate(name: string | null, info: StreamInfo): LoadedCertificate | null | Promise<LoadedCertificate | null> {
    const { certificateFor } = this.#config;
    if (certificateFor === null) return this.#fromStore(name);
    const chosen: unknown = certificateFor(name, info);
    if (isThenable(chosen)) return Promise.resolve(chosen).then((source) => this.#load(source as CertificateSource | null, name, info));
    return this.#load(chosen as CertificateSource | null, name, info);
  }

  /** @throws {TypeError} @throws {WireError} as `loadCertificate`, for what a callback has given */
  #load(source: CertificateSource | null, name: string | null, info: StreamInfo): LoadedCertificate | null {
    if (source === null) return this.#fromStore(name);
    const found = typeof source === 'object' ? this.#loaded.get(source) : undefined;
    if (found !== undefined) return found;
    try {
      const certificate = loadCertificate(source);
      this.#loaded.set(source, certificate);
      const concern = certificateConcern(certificate, this.#config.clock.wallNow());
      if (concern !== null) this.#tell(concern);
      return certificate;
    } catch (error) {
      throw isWireError(error) ? addContext(error, formatAddress(info.remoteAddress)) : error;
    }
  }

  #fromStore(name: string | null): LoadedCertificate | null {
    return this.#store === null ? null : this.#store.find(name);
  }

  #handleSettled(handshake: TlsHandshake, outcome: HandshakeOutcome): void {
    this.#handshakes.delete(handshake);
    const counts = this.#counts;
    if (outcome === 'completed' || outcome === 'resumed') counts.completed++;
    else counts.failed++;
    if (outcome === 'resumed') counts.resumed++;
    else if (outcome === 'timedOut') counts.timedOut++;
    else if (outcome === 'shed') counts.shed++;
  }
}

/**
 * Makes the handshake of a server, as a promise.
 *
 * @throws {WireError} why it failed
 */
export function acceptTls(stream: L4Stream, server: TlsServer): Promise<L4Stream> {
  return new Promise((resolve, reject) => {
    server.accept(stream, { onSecure: resolve, onHandshakeFailed: reject });
  });
}

function closedError({ peer }: TlsHandshake): WireError {
  return tlsError('TLS_SERVER_CLOSED', 'the TLS server was closed', { fault: 'local', context: peer });
}
