/** The types of TLVs (specification §2.2), and how to find one. */
import type { ProxyHeader } from './proxy-header.ts';

/** Types that the specification defines; 0xe0 to 0xef are for applications, 0xf0 to 0xf7 for experiments, 0xf8 to 0xff for the future. */
export const TlvType = {
  /** The ALPN name that the connection speaks (RFC 7301), as bytes. */
  alpn: 0x01,
  /** The host that the client asked for, as SNI has it: UTF-8. */
  authority: 0x02,
  /** CRC32C of the whole header. The decoder has verified it, and `writeProxyHeader` computes it. */
  crc32c: 0x03,
  /** Padding; means nothing. */
  noop: 0x04,
  /** Up to 128 opaque bytes that name the connection. */
  uniqueId: 0x05,
  /** TLS between the client and the proxy: `decodeSslTlv`. */
  ssl: 0x20,
  /** Name of the network namespace: ASCII. */
  netns: 0x30,
  /** First of the types of applications: 0xea is AWS's, whose value begins with 1 for the id of a VPC endpoint. */
  minCustom: 0xe0,
  aws: 0xea,
  /** GCP: eight bytes, the id of a Private Service Connect. */
  gcp: 0xe0,
  /** Azure: its value begins with 1 for the number of a Private Link. */
  azure: 0xee,
} as const;
/** A number of `TlvType`. */
export type TlvType = (typeof TlvType)[keyof typeof TlvType];

/** TLVs inside of the SSL TLV (specification §2.2.6). */
export const SslTlvType = {
  /** `TLSv1.3`. */
  version: 0x21,
  /** Common name of the client's certificate: UTF-8. */
  commonName: 0x22,
  /** `ECDHE-RSA-AES128-GCM-SHA256`. */
  cipher: 0x23,
  /** `SHA256`. */
  signatureAlgorithm: 0x24,
  /** `RSA2048`. */
  keyAlgorithm: 0x25,
} as const;
/** A number of `SslTlvType`. */
export type SslTlvType = (typeof SslTlvType)[keyof typeof SslTlvType];

/** The value of the first TLV of a type; null if there is none. */
export function findTlv({ tlvs }: Pick<ProxyHeader, 'tlvs'>, type: number): Uint8Array | null {
  for (const tlv of tlvs) if (tlv.type === type) return tlv.value;
  return null;
}
