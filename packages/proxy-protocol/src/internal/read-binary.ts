/**
 * Reads headers of version 2 (specification §2.2): first what the fixed part says, then the rest when it is whole.
 *
 * ```text
 *   0         12            13                        14        16            16 + addresses        16 + Length
 *   | "\r\n…" | Ver  | Cmd  | Family   | Transport    | Length  | addresses   | type (8) length (16) value | …
 *              2      0 1    0 1 2 3    0 1 2           16 bit    0, 12, 36 or 216 bytes
 * ```
 */
import { equalBytes, formatIpv4, formatIpv6, utf8Decode, utf8Encode } from '@ferrata/bytes';
import { proxyHeaderError } from '../errors.ts';
import { FIXED_BYTES, type ResolvedProxyHeaderDecoderOptions } from '../options.ts';
import type { ProxyAddress, ProxyHeader, ProxyTlv } from '../proxy-header.ts';
import { TlvType } from '../tlv.ts';
import { crc32c } from './crc32c.ts';

/** What a byte of family and transport stands for, and how many bytes its addresses have. */
interface ProtocolRow {
  readonly family: ProxyHeader['family'];
  readonly transport: ProxyHeader['transport'];
  readonly addressBytes: number;
}

const unspecified: ProtocolRow = { family: 'unspecified', transport: 'unspecified', addressBytes: 0 };

/** The seven combinations that §2.2 defines; all others are reserved. */
export const PROTOCOLS: ReadonlyMap<number, ProtocolRow> = /* @__PURE__ */ new Map<number, ProtocolRow>([
  [0x00, unspecified],
  [0x11, { family: 'inet', transport: 'stream', addressBytes: 12 }],
  [0x12, { family: 'inet', transport: 'datagram', addressBytes: 12 }],
  [0x21, { family: 'inet6', transport: 'stream', addressBytes: 36 }],
  [0x22, { family: 'inet6', transport: 'datagram', addressBytes: 36 }],
  [0x31, { family: 'unix', transport: 'stream', addressBytes: 216 }],
  [0x32, { family: 'unix', transport: 'datagram', addressBytes: 216 }],
]);

/** Bytes of one path of a Unix socket, padding included. */
export const UNIX_PATH_BYTES = 108;
/** Bytes of the type and the length of a TLV. */
export const TLV_HEADER_BYTES = 3;

const commandLocal = 0x0;
const commandProxy = 0x1;

/**
 * Checks the first 16 bytes, of which the signature has been.
 *
 * @returns the length of the whole header
 * @throws {WireError} `PROXY_V2_VERSION`, `PROXY_V2_COMMAND`, `PROXY_V2_PROTOCOL`, `PROXY_V2_LENGTH` or `PROXY_V2_TOO_LONG`
 */
export function readFixedPart(bytes: Uint8Array, { maxHeaderBytes }: ResolvedProxyHeaderDecoderOptions): number {
  const versionAndCommand = bytes[12] as number;
  if (versionAndCommand >>> 4 !== 2) throw proxyHeaderError('PROXY_V2_VERSION');
  const command = versionAndCommand & 0xf;
  if (command !== commandLocal && command !== commandProxy) throw proxyHeaderError('PROXY_V2_COMMAND');
  const length = uint16At(bytes, 14);
  if (command === commandProxy) {
    const protocol = PROTOCOLS.get(bytes[13] as number);
    if (protocol === undefined) throw proxyHeaderError('PROXY_V2_PROTOCOL', `0x${(bytes[13] as number).toString(16).padStart(2, '0')}`);
    if (length < protocol.addressBytes) throw proxyHeaderError('PROXY_V2_LENGTH', `${length} of ${protocol.addressBytes} bytes`);
  }
  if (FIXED_BYTES + length > maxHeaderBytes) throw proxyHeaderError('PROXY_V2_TOO_LONG', `${FIXED_BYTES + length} bytes`);
  return FIXED_BYTES + length;
}

/**
 * Reads a whole header whose fixed part has been checked.
 *
 * @param bytes exactly the header, and the reader's own: values of TLVs are views of it
 * @throws {WireError} `PROXY_V2_UNIX_PATH`, `PROXY_V2_TLV`, `PROXY_V2_TLVS_TOO_MANY`, `PROXY_V2_CHECKSUM` or `PROXY_V2_UNIQUE_ID`
 */
export function readBinary(bytes: Uint8Array, { maxTlvs }: ResolvedProxyHeaderDecoderOptions): ProxyHeader {
  // §2.2: with LOCAL the family is to be ignored and everything behind it discarded, whatever it holds.
  if (((bytes[12] as number) & 0xf) === commandLocal) {
    return { version: 2, command: 'local', family: 'unspecified', transport: 'unspecified', source: null, destination: null, tlvs: [] };
  }
  const { family, transport, addressBytes } = PROTOCOLS.get(bytes[13] as number) ?? unspecified;
  const tlvs = readTlvs(bytes, FIXED_BYTES + addressBytes, maxTlvs);
  return {
    version: 2,
    command: 'proxy',
    family,
    transport,
    source: addressAt(bytes, family, 'source'),
    destination: addressAt(bytes, family, 'destination'),
    tlvs,
  };
}

function addressAt(bytes: Uint8Array, family: ProxyHeader['family'], end: 'source' | 'destination'): ProxyAddress | null {
  const isSource = end === 'source';
  switch (family) {
    case 'inet':
      return { kind: 'ip', host: formatIpv4(bytes, isSource ? 16 : 20), port: uint16At(bytes, isSource ? 24 : 26) };
    case 'inet6':
      return { kind: 'ip', host: formatIpv6(bytes, isSource ? 16 : 32), port: uint16At(bytes, isSource ? 48 : 50) };
    case 'unix':
      return { kind: 'unix', path: unixPathAt(bytes, isSource ? 16 : 16 + UNIX_PATH_BYTES) };
    case 'unspecified':
      return null;
  }
}

/** A path ends at its first NUL, as C reads it; an abstract name begins with one, and ends where nothing but NULs follow. */
function unixPathAt(bytes: Uint8Array, at: number): string {
  let end = at + UNIX_PATH_BYTES;
  if (bytes[at] === 0) {
    while (end > at && bytes[end - 1] === 0) end--;
  } else {
    const nul = bytes.subarray(at, end).indexOf(0);
    if (nul !== -1) end = at + nul;
  }
  const path = utf8Decode(bytes.subarray(at, end));
  // A path is a string here. U+FFFD in the place of other bytes would name another socket, and be longer when it is written again.
  if (!equalBytes(utf8Encode(path), bytes.subarray(at, end))) throw proxyHeaderError('PROXY_V2_UNIX_PATH');
  return path;
}

function readTlvs(bytes: Uint8Array, start: number, maxTlvs: number): readonly ProxyTlv[] {
  const tlvs: ProxyTlv[] = [];
  let hasChecksum = false;
  for (let at = start; at < bytes.length; ) {
    if (tlvs.length === maxTlvs) throw proxyHeaderError('PROXY_V2_TLVS_TOO_MANY');
    const valueAt = at + TLV_HEADER_BYTES;
    const end = valueAt <= bytes.length ? valueAt + uint16At(bytes, at + 1) : bytes.length + 1;
    if (end > bytes.length) throw proxyHeaderError('PROXY_V2_TLV');
    const type = bytes[at] as number;
    const value = bytes.subarray(valueAt, end);
    if (type === TlvType.crc32c) {
      if (hasChecksum || !isChecksumOf(bytes, valueAt, value)) throw proxyHeaderError('PROXY_V2_CHECKSUM');
      hasChecksum = true;
    } else if (type === TlvType.uniqueId && value.length > 128) throw proxyHeaderError('PROXY_V2_UNIQUE_ID', `${value.length} bytes`);
    tlvs.push({ type, value });
    at = end;
  }
  return tlvs;
}

const fourZeros = new Uint8Array(4);

/** §2.2.4: the sum goes over the whole header with zeros in the place of the sum. */
function isChecksumOf(bytes: Uint8Array, at: number, value: Uint8Array): boolean {
  if (value.length !== 4) return false;
  return equalBytes(value, uint32Bytes(checksum(bytes, at)));
}

/** The CRC32C of a header whose four bytes at `at` count as zeros. */
export function checksum(bytes: Uint8Array, at: number): number {
  return crc32c(bytes.subarray(at + 4), crc32c(fourZeros, crc32c(bytes.subarray(0, at))));
}

/** Four bytes in network order. */
export function uint32Bytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

function uint16At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
