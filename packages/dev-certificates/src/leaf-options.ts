/** What a certificate is to say. */
import type { KeyKind } from './key-kind.ts';

/** Which side of a TLS connection a certificate is for (RFC 5280 §4.2.1.12). */
export type CertificateUse = 'server' | 'client' | 'both';

/** Options of a leaf certificate. */
export interface LeafOptions {
  /**
   * Whom it names, as subject alternative names: `localhost`, `*.example.test`, `127.0.0.1`, `::1`, `spiffe://…` or another URI, `someone@example.test`. The
   * kind is told by the form; what has none of these forms is refused: no client would ever find it. ASCII only: `xn--…` for other letters (RFC 5280
   * §7.2). May be empty for a client.
   */
  readonly names: readonly string[];
  /** Default: the first name, if it is no longer than the 64 characters a common name may have. */
  readonly commonName?: string;
  /** The `O` of the subject. Default: none. */
  readonly organisation?: string;
  /** Default `server`. */
  readonly use?: CertificateUse;
  /** Default `ecdsa-p256`. */
  readonly key?: KeyKind;
  /** Hexadecimal. Default: 16 bytes of chance. */
  readonly serialNumber?: string;
  /** Default: an hour ago, for clocks that are not quite right. */
  readonly validFrom?: Date;
  /** Default: 397 days from now, the most that browsers take. Never beyond the end of the authority's own certificate. */
  readonly validTo?: Date;
}
