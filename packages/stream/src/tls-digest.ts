/** What is known of a stream's TLS layer: what the handshake settled, and who the peer has shown to be. Types only: a binding fills them. */

/** One attribute of a distinguished name (RFC 5280 §4.1.2.4), in the order of the certificate. */
export interface NameAttribute {
  /** The object identifier, in dots: `2.5.4.10`. */
  readonly oid: string;
  /** As text. What is no text by its ASN.1 type is given as `#` and its DER in hexadecimal (RFC 4514 §2.4). */
  readonly value: string;
}

/** A distinguished name. */
export interface DistinguishedName {
  readonly attributes: readonly NameAttribute[];
  /** The first `CN` (2.5.4.3); null if there is none. */
  readonly commonName: string | null;
  /** The first `O` (2.5.4.10); null if there is none. */
  readonly organisation: string | null;
  /** The first `OU` (2.5.4.11); null if there is none. */
  readonly organisationalUnit: string | null;
}

/**
 * One of the names a certificate is for (RFC 5280 §4.2.1.6), by its kind. Compare these, never text made of several of them: a name may hold commas and
 * quotes (CVE-2021-44532).
 */
export type SubjectAltName =
  | { readonly kind: 'dns'; readonly name: string }
  | { readonly kind: 'ip'; readonly address: string }
  | { readonly kind: 'uri'; readonly uri: string }
  | { readonly kind: 'email'; readonly address: string }
  | { readonly kind: 'directory'; readonly name: DistinguishedName }
  | { readonly kind: 'registeredId'; readonly oid: string }
  /** Any other: the number of its tag, and its DER. */
  | { readonly kind: 'other'; readonly tag: number; readonly der: Uint8Array };

/** The certificate a peer has shown. Each field is read from its DER when it is first asked for. */
export interface PeerCertificate {
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  /** Hexadecimal, lower case, without leading zeros of the DER. */
  readonly serialNumber: string;
  readonly subjectAltNames: readonly SubjectAltName[];
  /** The SHA-256 of its DER, hexadecimal, lower case. */
  readonly sha256: string;
  /** Milliseconds since 1970. */
  readonly validFrom: number;
  /** Milliseconds since 1970. */
  readonly validTo: number;
  /** The whole certificate. */
  readonly der: Uint8Array;
}

/** What a TLS handshake settled. */
export interface TlsDigest {
  /** `TLSv1.3`, `TLSv1.2`, … */
  readonly version: string;
  /** The name of the suite in the registry of IANA: `TLS_AES_128_GCM_SHA256`. */
  readonly cipher: string;
  /** The protocol agreed upon by ALPN (RFC 7301); null if none was. */
  readonly alpn: string | null;
  /** The name that the client asked for (SNI, RFC 6066 §3); null if it named none. */
  readonly serverName: string | null;
  /** No full handshake was made: the two knew each other (RFC 8446 §2.2, RFC 5077). */
  readonly isResumed: boolean;
  /** What the peer has shown, verified or not; null if it has shown none. */
  readonly peerCertificate: PeerCertificate | null;
  /** The peer's certificate was verified: it comes from an authority we trust, holds today, and is not revoked. */
  readonly isPeerVerified: boolean;
  /** What the `handshakeComplete` callback of whoever made the stream has returned. */
  readonly extension: unknown;
}
