/**
 * TLS as a client (RFC 8446, RFC 5246), over any L4 stream.
 *
 * A `TlsClient` is made once of settings, and used for many connections; it keeps the sessions of servers it has verified. Each handshake is an object of
 * `tls-client-handshake.ts`.
 */
import { isIP } from 'node:net';
import type { SecureContext } from 'node:tls';
import { checkWholeNumber } from '@ferrata/error';
import type { L4Stream, StreamInfo } from '@ferrata/stream';
import type { DeadlineQueue } from '@ferrata/timeout';
import type { PendingConnect } from '../connect/pending-connect.ts';
import { delayRange } from '../delay-range.ts';
import { checkAlpn } from './alpn.ts';
import { createClientContext } from './tls-client-context.ts';
import { ClientHandshake, type TlsConnectSink } from './tls-client-handshake.ts';
import { checkServerName } from './tls-client-name.ts';
import { identityKey, resolveTlsClientOptions, type TlsClientConfig, type TlsClientOptions } from './tls-client-options.ts';
import { TlsClientSessions } from './tls-client-sessions.ts';

/** What is different for one connection. */
export interface TlsConnectOptions {
  /** The name or address that was connected to: what `serverName` is unless the client's settings, or those here, say otherwise. Default: the stream's remote IP address. */
  readonly host?: string;
  /** Which of several servers of that name this is, for messages; each has its own sessions. Default: they share them. */
  readonly place?: string;
  /** Overrides the client's. */
  readonly serverName?: string | null;
  /** Overrides the client's. */
  readonly alpn?: readonly string[];
  /** Overrides the client's. */
  readonly handshakeTimeoutMs?: number;
  /** Overrides the client's. */
  readonly deadlines?: DeadlineQueue | null;
  /** Gives the handshake up; has no effect on a stream handed over. */
  readonly signal?: AbortSignal | null;
}

/** Settings of TLS connections to servers, and their sessions. */
export class TlsClient {
  /** The identity of everything that makes two connections unequal: connections of two clients may be used for one another only if their keys are equal. */
  readonly key: string;
  /** What it offers by ALPN unless a connection says otherwise; null: nothing. */
  readonly alpn: readonly string[] | null;
  /** How long a handshake may take unless a connection says otherwise. */
  readonly handshakeTimeoutMs: number;
  readonly #config: TlsClientConfig;
  readonly #sessions: TlsClientSessions | null;
  /** Made when first needed: a client of a peer that nobody ever connects to costs nothing. */
  #context: SecureContext | null = null;

  /**
   * @throws {RangeError} for a number out of range, a version that is none, protocols that ALPN cannot carry
   * @throws {TypeError} for anything else that cannot work: names, certificates, keys, ciphers, curves
   */
  constructor(options: TlsClientOptions = {}) {
    const config = resolveTlsClientOptions(options);
    this.#config = config;
    this.#sessions = config.sessions ? new TlsClientSessions(config.maxSessions) : null;
    this.key = identityKey(config);
    this.alpn = config.alpn;
    this.handshakeTimeoutMs = config.handshakeTimeoutMs;
    const { ca, crl, certificate, ciphers, curves } = config;
    // What OpenSSL may refuse is shown to it now: who starts a program should see it, not the first request.
    if ((ca ?? crl ?? certificate ?? ciphers ?? curves) !== null) this.#context = createClientContext(config);
  }

  /** Servers of which a session is kept. */
  get sessionCount(): number {
    return this.#sessions?.size ?? 0;
  }

  /**
   * Makes TLS over a stream, which then belongs to the handshake.
   *
   * `onHandshakeFailed` gets a `WireError`: `TLS_CERT_UNTRUSTED`, `TLS_CERT_EXPIRED`, `TLS_HOSTNAME_MISMATCH`, `TLS_NOT_TLS`, `TLS_HANDSHAKE_TIMEOUT` and the others
   * of the README's table.
   *
   * @throws {TypeError} if a name is none, or there is nothing to compare the certificate with
   * @throws {RangeError} if an option is out of range
   */
  connect(stream: L4Stream, sink: TlsConnectSink, options: TlsConnectOptions = {}): PendingConnect {
    const config = this.#config;
    const { serverName, verifyName } = this.#namesFor(options, () => remoteHost(stream.info));
    const deadlines = options.deadlines ?? config.deadlines;
    const handshake = new ClientHandshake(stream, sink, {
      config,
      context: (this.#context ??= createClientContext(config)),
      sessions: this.#sessions,
      sessionKey: `${serverName ?? ''} ${verifyName ?? ''} ${options.place ?? ''}`,
      serverName,
      verifyName,
      place: options.place ?? null,
      alpn: options.alpn === undefined ? config.alpn : checkAlpn('alpn', options.alpn),
      timeoutMs: checkWholeNumber('handshakeTimeoutMs', options.handshakeTimeoutMs ?? config.handshakeTimeoutMs, delayRange(deadlines)),
      deadlines,
      signal: options.signal ?? null,
    });
    handshake.start();
    return handshake;
  }

  /** Checks before connecting that there will be a name to verify the server by. @throws {TypeError} if there is none @param host null: a Unix socket */
  checkHost(host: string | null): void {
    this.#namesFor({}, () => host);
  }

  #namesFor(options: TlsConnectOptions, usualHost: () => string | null): { serverName: string | null; verifyName: string | null } {
    const { verifyCert, verifyHostname, alternativeCn } = this.#config;
    const wanted = options.serverName === undefined ? this.#config.serverName : options.serverName;
    const given = typeof wanted === 'string' ? wanted : (options.host ?? usualHost());
    const name = given === null ? null : checkServerName('the name of a server', given);
    if (name === null && alternativeCn === null && verifyCert && verifyHostname)
      throw new TypeError('there is no name to verify the server by: give serverName or host, or set verifyHostname to false');
    // An address is never sent (RFC 6066 §3).
    const isSent = wanted !== null && name !== null && isIP(name) === 0;
    return { serverName: isSent ? name : null, verifyName: name };
  }
}

/**
 * Makes TLS over a stream, which then belongs to the TLS stream.
 *
 * @returns the verified stream, paused until something is attached to it
 * @throws {WireError} as `TlsClient.connect` tells its sink
 * @throws {TypeError} if a name is none, or there is nothing to compare the certificate with
 * @throws {RangeError} if an option is out of range
 */
export function connectTls(stream: L4Stream, client: TlsClient | TlsClientOptions, options: TlsConnectOptions = {}): Promise<L4Stream> {
  return new Promise((resolve, reject) => {
    toTlsClient(client).connect(stream, { onSecure: resolve, onHandshakeFailed: reject }, options);
  });
}

/** A client of settings, unless it is one. */
export function toTlsClient(client: TlsClient | TlsClientOptions): TlsClient {
  return client instanceof TlsClient ? client : new TlsClient(client);
}

function remoteHost(info: StreamInfo): string | null {
  const { remoteAddress } = info;
  return remoteAddress.kind === 'ip' ? remoteAddress.host : null;
}
