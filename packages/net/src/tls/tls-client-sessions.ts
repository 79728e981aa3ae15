/** The sessions of one client, kept for resumption (RFC 8446 §2.2): the least recently used one goes first. */
import type { PeerCertificate } from '@ferrata/stream';

/** A session, and what its full handshake has shown: Node does not tell of it again when the session is resumed. */
export interface KeptSession {
  readonly ticket: Buffer;
  readonly certificate: PeerCertificate | null;
}

/** Sessions by server. Only sessions of connections that were verified as they are to be again belong here: resuming one verifies nothing anew. */
export class TlsClientSessions {
  readonly #capacity: number;
  /** In the order of use, each with the time when its certificate expires, in milliseconds since 1970. */
  readonly #sessions = new Map<string, { readonly session: KeptSession; readonly validTo: number }>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** @param wallNow milliseconds since 1970: a session does not outlive the certificate that it was verified by */
  find(server: string, wallNow: number): KeptSession | null {
    const kept = this.#sessions.get(server);
    if (kept === undefined) return null;
    this.#sessions.delete(server);
    if (kept.validTo < wallNow) return null;
    this.#sessions.set(server, kept);
    return kept.session;
  }

  /** Keeps nothing if the certificate cannot be read, as `verifyCert: false` lets some through: nobody knows how long such a session may be used. */
  keep(server: string, session: KeptSession): void {
    this.#sessions.delete(server);
    const validTo = validToOf(session.certificate);
    if (validTo === null) return;
    this.#sessions.set(server, { session, validTo });
    if (this.#sessions.size <= this.#capacity) return;
    for (const oldest of this.#sessions.keys()) {
      this.#sessions.delete(oldest);
      break;
    }
  }

  forget(server: string): void {
    this.#sessions.delete(server);
  }
}

/** @returns null if the certificate breaks DER: reading it throws */
function validToOf(certificate: PeerCertificate | null): number | null {
  if (certificate === null) return Number.POSITIVE_INFINITY;
  try {
    return certificate.validTo;
  } catch {
    return null;
  }
}
