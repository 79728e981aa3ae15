/** What a client's handshake settled. */
import type { TLSSocket } from 'node:tls';
import type { PeerCertificate } from '@ferrata/stream';
import { SocketTlsDigest } from './tls-info.ts';

/** A digest that knows the server's certificate of a resumed session, too: the server does not show it again, and Node gives none. */
export class ClientTlsDigest extends SocketTlsDigest {
  override readonly isPeerVerified: boolean;
  readonly #known: PeerCertificate | null;

  /** @param known of the full handshake that the session comes from */
  constructor(
    socket: TLSSocket,
    facts: { readonly serverName: string | null; readonly isVerified: boolean },
    known: PeerCertificate | null,
  ) {
    super(socket, facts);
    this.#known = this.isResumed ? known : null;
    this.isPeerVerified = facts.isVerified && this.peerCertificate !== null;
  }

  override get peerCertificate(): PeerCertificate | null {
    return super.peerCertificate ?? this.#known;
  }
}
