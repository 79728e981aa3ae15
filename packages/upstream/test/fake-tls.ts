/** TLS in name only: a handshake that settles what the test says, over streams in memory. */
import { tlsError } from '@ferrata/error';
import type { TlsConnectSink } from '@ferrata/net';
import { type L4Stream, type TlsDigest, tapped } from '@ferrata/stream';
import type { TlsConnectDetails, TlsConnector } from '@ferrata/upstream';

/** What a server does with a handshake: agrees on a protocol, or on none (null), fails, or is silent until it is given up. */
export type Choice = string | null | { readonly does: 'fail' | 'nothing' | 'throw' };

/** A `TlsConnector` that keeps what it was asked for. */
export class FakeTls implements TlsConnector {
  readonly key: string;
  readonly alpn: readonly string[] | null;
  /** One for each handshake. */
  readonly asked: TlsConnectDetails[] = [];
  choose: (offered: readonly string[], index: number) => Choice;

  constructor(choose: FakeTls['choose'], { key = 'fake', alpn = null }: { key?: string; alpn?: readonly string[] | null } = {}) {
    this.choose = choose;
    this.key = key;
    this.alpn = alpn;
  }

  connect(stream: L4Stream, sink: TlsConnectSink, details: TlsConnectDetails): void {
    const choice = this.choose(details.alpn, this.asked.push(details) - 1);
    if (typeof choice !== 'object' || choice === null) {
      setImmediate(() => sink.onSecure(secured(stream, choice)));
      return;
    }
    if (choice.does === 'throw') throw new Error('no name to verify');
    if (choice.does === 'nothing') return;
    setImmediate(() => {
      stream.abort();
      sink.onHandshakeFailed(tlsError('TLS_CERT_EXPIRED', 'expired', { retry: 'never' }), stream.info);
    });
  }
}

/** The server that takes the first that it knows of what is offered. */
export function speaks(...protocols: string[]): (offered: readonly string[]) => string | null {
  return (offered) => protocols.find((protocol) => offered.includes(protocol)) ?? null;
}

/** The stream below with a digest. */
function secured(below: L4Stream, alpn: string | null): L4Stream {
  const tls: TlsDigest = {
    version: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    alpn,
    serverName: null,
    isResumed: false,
    peerCertificate: null,
    isPeerVerified: true,
    extension: null,
  };
  return tapped(below, {}, { ...below.info, kind: 'tls', tls, below: below.info });
}
