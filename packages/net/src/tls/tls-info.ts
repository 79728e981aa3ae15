/** The facts about a stream over a TLS socket, of either role. */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { ProxyHeader } from '@ferrata/proxy-protocol';
import type { PeerCertificate, StreamAddress, StreamInfo, StreamTiming, TlsDigest } from '@ferrata/stream';
import { createPeerCertificate } from './peer-certificate.ts';

/** What a TLS socket does not say by itself. */
export interface TlsFacts {
  readonly serverName: string | null;
  readonly isVerified: boolean;
  readonly certificate?: X509Certificate | null;
}

/** What a handshake settled. All but the certificate's fields is read at once, since OpenSSL forgets it when the connection closes. */
export class SocketTlsDigest implements TlsDigest {
  readonly version: string;
  readonly cipher: string;
  readonly alpn: string | null;
  readonly serverName: string | null;
  readonly isResumed: boolean;
  readonly isPeerVerified: boolean;
  extension: unknown = undefined;
  readonly #certificate: X509Certificate | null;
  #peerCertificate: PeerCertificate | null = null;

  /**
   * @param socket whose handshake is complete
   * @param facts `serverName`: what the client has sent as SNI; `isVerified`: the peer's certificate was asked for, and found good; `certificate`: that of the peer, if
   *   the socket was asked for it before: a client's socket answers once only (seen with Node 24.19)
   */
  constructor(socket: TLSSocket, facts: TlsFacts) {
    this.version = socket.getProtocol() ?? 'unknown';
    // A socket that has closed in this very moment has no cipher any more.
    this.cipher = (socket.getCipher() as { standardName?: string } | null)?.standardName ?? 'unknown';
    this.alpn = typeof socket.alpnProtocol === 'string' && socket.alpnProtocol !== '' ? socket.alpnProtocol : null;
    this.serverName = facts.serverName;
    this.isResumed = socket.isSessionReused();
    this.#certificate = facts.certificate === undefined ? (socket.getPeerX509Certificate() ?? null) : facts.certificate;
    // Node calls a resumed TLS 1.3 session authorised though its client has never shown a certificate.
    this.isPeerVerified = facts.isVerified && this.#certificate !== null;
  }

  get peerCertificate(): PeerCertificate | null {
    if (this.#certificate === null) return null;
    return (this.#peerCertificate ??= createPeerCertificate(this.#certificate.raw));
  }
}

/** `StreamInfo` of a TLS layer: addresses and PROXY header are those of the stream below. */
export class TlsInfo implements StreamInfo {
  readonly kind = 'tls';
  readonly tls: TlsDigest;
  readonly timing: StreamTiming;
  readonly below: StreamInfo;
  extension: unknown = undefined;

  constructor(below: StreamInfo, tls: TlsDigest, timing: StreamTiming) {
    this.below = below;
    this.tls = tls;
    this.timing = timing;
  }

  get localAddress(): StreamAddress {
    return this.below.localAddress;
  }

  get remoteAddress(): StreamAddress {
    return this.below.remoteAddress;
  }

  get proxyHeader(): ProxyHeader | null {
    return this.below.proxyHeader ?? null;
  }
}
