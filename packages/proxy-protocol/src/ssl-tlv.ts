/**
 * The SSL TLV: what a proxy that has ended the client's TLS says of it (specification §2.2.6).
 *
 * ```text
 *   | client (8) | verify (32) | type (8) length (16) value | …
 *     1: over TLS   0: the client's certificate was verified
 *     2: gave a certificate on this connection
 *     4: gave one in this TLS session
 * ```
 */
import { ByteWriter, utf8Decode, utf8Encode } from '@ferrata/bytes';
import { proxyHeaderError } from './errors.ts';
import type { ProxyTlv } from './proxy-header.ts';
import { findTlv, SslTlvType, TlvType } from './tlv.ts';

/** What the SSL TLV says. */
export interface SslTlv {
  /** The client came by TLS. */
  readonly isTls: boolean;
  /** It gave a certificate on this connection. */
  readonly hasCertificate: boolean;
  /** It gave one at least once in this TLS session, which may have been resumed. */
  readonly hasSessionCertificate: boolean;
  /** It gave a certificate, and the proxy has verified it. */
  readonly isVerified: boolean;
  /** As on the wire: 0 if verified; what other values mean is the sender's. */
  readonly verify: number;
  /** `TLSv1.3`; null if not said, as are the others. */
  readonly version: string | null;
  readonly commonName: string | null;
  readonly cipher: string | null;
  readonly signatureAlgorithm: string | null;
  readonly keyAlgorithm: string | null;
  /** All that stands behind `verify`, in order, as it came: types without a name here, names that come twice or are not UTF-8. Views of the value. */
  readonly tlvs: readonly ProxyTlv[];
}

/** What is to be said; what is left out is not. */
export type SslTlvFields = Partial<Omit<SslTlv, 'isVerified' | 'tlvs'>>;

const Client = { tls: 0x01, certificate: 0x02, sessionCertificate: 0x04 } as const;

/**
 * Reads the value of an SSL TLV (`findTlv(header, TlvType.ssl)`). Of a name that comes twice the first counts, and what is not UTF-8 in it becomes
 * U+FFFD; `tlvs` has all of them.
 *
 * @throws {WireError} `PROXY_SSL_TLV` when it is too short, or a name reaches beyond it
 */
export function decodeSslTlv(value: Uint8Array): SslTlv {
  if (value.length < 5) throw proxyHeaderError('PROXY_SSL_TLV', `${value.length} bytes`);
  const client = value[0] as number;
  const verify = new DataView(value.buffer, value.byteOffset).getUint32(1);
  const tlvs = readTlvs(value);
  const nameOf = (wanted: SslTlvType): string | null => {
    const bytes = findTlv({ tlvs }, wanted);
    return bytes === null ? null : utf8Decode(bytes);
  };
  const hasSessionCertificate = (client & Client.sessionCertificate) !== 0;
  const hasCertificate = (client & Client.certificate) !== 0;
  return {
    isTls: (client & Client.tls) !== 0,
    hasCertificate,
    hasSessionCertificate,
    // §2.2.6: verify is 0 also where no certificate was given; 0 alone proves nothing.
    isVerified: verify === 0 && (hasCertificate || hasSessionCertificate),
    verify,
    version: nameOf(SslTlvType.version),
    commonName: nameOf(SslTlvType.commonName),
    cipher: nameOf(SslTlvType.cipher),
    signatureAlgorithm: nameOf(SslTlvType.signatureAlgorithm),
    keyAlgorithm: nameOf(SslTlvType.keyAlgorithm),
    tlvs,
  };
}

function readTlvs(value: Uint8Array): ProxyTlv[] {
  const tlvs: ProxyTlv[] = [];
  for (let at = 5; at < value.length; ) {
    const start = at + 3;
    const end = start <= value.length ? start + (((value[at + 1] as number) << 8) | (value[at + 2] as number)) : value.length + 1;
    if (end > value.length) throw proxyHeaderError('PROXY_SSL_TLV', `a name at ${at}`);
    tlvs.push({ type: value[at] as number, value: value.subarray(start, end) });
    at = end;
  }
  return tlvs;
}

/**
 * Makes an SSL TLV for `writeProxyHeader`. `verify` is 1 by default, so that nothing looks verified that was not: say `verify: 0` of a certificate
 * that you have verified, and of no other.
 *
 * @throws {TypeError} when a name is no well-formed text (a lone half of a surrogate pair, which UTF-8 cannot carry)
 * @throws {RangeError} when `verify` is no unsigned 32-bit number, or a name has more than 65 535 bytes
 */
export function encodeSslTlv(fields: SslTlvFields): ProxyTlv {
  const { isTls = true, hasCertificate = false, hasSessionCertificate = hasCertificate } = fields;
  const client =
    (isTls ? Client.tls : 0) | (hasCertificate ? Client.certificate : 0) | (hasSessionCertificate ? Client.sessionCertificate : 0);
  const writer = new ByteWriter({ initialCapacity: 128 });
  writer.writeByte(client);
  writer.writeUint32(fields.verify ?? 1);
  writeName(writer, SslTlvType.version, fields.version);
  writeName(writer, SslTlvType.commonName, fields.commonName);
  writeName(writer, SslTlvType.cipher, fields.cipher);
  writeName(writer, SslTlvType.signatureAlgorithm, fields.signatureAlgorithm);
  writeName(writer, SslTlvType.keyAlgorithm, fields.keyAlgorithm);
  return { type: TlvType.ssl, value: writer.take() };
}

function writeName(writer: ByteWriter, type: SslTlvType, name: string | null | undefined): void {
  if (name === null || name === undefined) return;
  if (!name.isWellFormed()) throw new TypeError(`not well-formed text: ${JSON.stringify(name)}`);
  const bytes = utf8Encode(name);
  writer.writeByte(type);
  writer.writeUint16(bytes.length);
  writer.writeBytes(bytes);
}
