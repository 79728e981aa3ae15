/**
 * Writes PROXY headers: lines of version 1 (specification §2.1), binary headers of version 2 (§2.2).
 *
 * Rules of this file:
 * - A header is checked whole before a byte of it is written: only a program can get it wrong, and it hears of it by `TypeError` or `RangeError`.
 * - A checksum is never copied: it is of the header that it came with, and computed anew for this one.
 */
import { type ByteWriter, formatIpv4, formatIpv6Groups, readIpv4, readIpv6, utf8Encode } from '@ferrata/bytes';
import { checksum, PROTOCOLS, TLV_HEADER_BYTES, UNIX_PATH_BYTES, uint32Bytes } from './internal/read-binary.ts';
import { FIXED_BYTES } from './options.ts';
import type { ProxyAddress, ProxyHeader, ProxyTlv } from './proxy-header.ts';
import { V2_SIGNATURE } from './signature.ts';
import { TlvType } from './tlv.ts';

/** Options of `writeProxyHeader`. */
export interface WriteProxyHeaderOptions {
  /**
   * Adds a CRC32C of the header to version 2, as the last TLV. Default false: TCP and UDP have sums of their own. If `tlvs` has one already, as
   * those of a header that is passed on may, it is computed anew in its place, whatever this says.
   */
  readonly checksum?: boolean;
}

/**
 * Appends a header.
 *
 * @throws {TypeError} when the fields don't fit together: addresses that are not of the family, a family without addresses or the other way
 * round, version 1 with TLVs, `local`, datagrams or Unix sockets (say `unspecified` there), `local` with TLVs, two checksums, a path that is no
 * well-formed text
 * @throws {RangeError} when a number or a length is out of range: a port, the type of a TLV, a path beyond 108 bytes, more than 65 535 bytes in all
 */
export function writeProxyHeader(writer: ByteWriter, header: ProxyHeader, options: WriteProxyHeaderOptions = {}): void {
  checkShape(header);
  if (header.version === 1) writer.writeLatin1(lineOf(header));
  else writer.writeBytes(binaryOf(header, options.checksum ?? false));
}

function checkShape({ version, command, family, transport, source, destination, tlvs }: ProxyHeader): void {
  if (version !== 1 && version !== 2) throw new TypeError(`the version of a PROXY header is 1 or 2, not ${String(version)}`);
  if (command !== 'proxy' && command !== 'local')
    throw new TypeError(`the command of a PROXY header is proxy or local, not ${String(command)}`);
  const isUnspecified = family === 'unspecified';
  if (isUnspecified !== (source === null) || isUnspecified !== (destination === null)) {
    throw new TypeError('a PROXY header has both addresses, or neither and an unspecified family');
  }
  if (protocolByte(family, transport) === -1) throw new TypeError(`${family} with ${transport} is no protocol of a PROXY header`);
  if (command === 'local' && !(isUnspecified && tlvs.length === 0)) {
    throw new TypeError('a PROXY header with the command local has neither addresses nor TLVs, as receivers discard them');
  }
  if (version === 2) return;
  if (command === 'local') throw new TypeError('version 1 has no command local');
  if (tlvs.length > 0) throw new TypeError('version 1 has no TLVs');
  if (family === 'unix' || transport === 'datagram')
    throw new TypeError('version 1 has neither Unix sockets nor datagrams; make the family unspecified');
}

function protocolByte(family: ProxyHeader['family'], transport: ProxyHeader['transport']): number {
  for (const [byte, row] of PROTOCOLS) if (row.family === family && row.transport === transport) return byte;
  return -1;
}

// ---- version 1 -------------------------------------------------------------------------------------------------------------------

function lineOf({ family, source, destination }: ProxyHeader): string {
  if (source === null || destination === null) return 'PROXY UNKNOWN\r\n';
  const protocol = family === 'inet' ? 'TCP4' : 'TCP6';
  const hostOf = (address: ProxyAddress): string => {
    const bytes = new Uint8Array(16);
    writeIp(address, family, bytes, 0);
    // The grammar of a line knows no dots in IPv6 (§2.1).
    return family === 'inet' ? formatIpv4(bytes, 0) : formatIpv6Groups(bytes, 0);
  };
  return `PROXY ${protocol} ${hostOf(source)} ${hostOf(destination)} ${portOf(source)} ${portOf(destination)}\r\n`;
}

// ---- version 2 -------------------------------------------------------------------------------------------------------------------

function binaryOf(header: ProxyHeader, wantsChecksum: boolean): Uint8Array {
  const { command, family, transport, source, destination } = header;
  const protocol = protocolByte(family, transport);
  const tlvs = wantsChecksum && !header.tlvs.some(({ type }) => type === TlvType.crc32c) ? [...header.tlvs, emptyChecksum] : header.tlvs;
  const tlvsAt = FIXED_BYTES + (PROTOCOLS.get(protocol)?.addressBytes ?? 0);
  const length = tlvs.reduce((sum, tlv) => sum + TLV_HEADER_BYTES + lengthOfTlv(tlv), tlvsAt);
  if (length - FIXED_BYTES > 0xffff)
    throw new RangeError(`a PROXY header has at most 65535 bytes behind the first 16, not ${length - FIXED_BYTES}`);
  const bytes = new Uint8Array(length);
  bytes.set(V2_SIGNATURE);
  bytes[12] = command === 'local' ? 0x20 : 0x21;
  bytes[13] = protocol;
  setUint16(bytes, 14, length - FIXED_BYTES);
  if (source !== null && destination !== null) writeAddresses(bytes, family, source, destination);
  writeTlvs(bytes, tlvsAt, tlvs);
  return bytes;
}

const emptyChecksum: ProxyTlv = { type: TlvType.crc32c, value: new Uint8Array(4) };

function lengthOfTlv({ type, value }: ProxyTlv): number {
  if ((type & 0xff) !== type) throw new RangeError(`the type of a TLV is a byte, not ${String(type)}`);
  if (type === TlvType.crc32c) return 4;
  if (type === TlvType.uniqueId && value.length > 128) throw new RangeError(`a unique id has at most 128 bytes, not ${value.length}`);
  return value.length;
}

function writeAddresses(bytes: Uint8Array, family: ProxyHeader['family'], source: ProxyAddress, destination: ProxyAddress): void {
  if (family === 'unix') {
    writePath(source, bytes, FIXED_BYTES);
    writePath(destination, bytes, FIXED_BYTES + UNIX_PATH_BYTES);
    return;
  }
  const width = family === 'inet' ? 4 : 16;
  writeIp(source, family, bytes, FIXED_BYTES);
  writeIp(destination, family, bytes, FIXED_BYTES + width);
  setUint16(bytes, FIXED_BYTES + 2 * width, portOf(source));
  setUint16(bytes, FIXED_BYTES + 2 * width + 2, portOf(destination));
}

function writeTlvs(bytes: Uint8Array, start: number, tlvs: readonly ProxyTlv[]): void {
  let at = start;
  let checksumAt = -1;
  for (const { type, value } of tlvs) {
    const isChecksum = type === TlvType.crc32c;
    const length = isChecksum ? 4 : value.length;
    bytes[at] = type;
    setUint16(bytes, at + 1, length);
    if (!isChecksum) bytes.set(value, at + TLV_HEADER_BYTES);
    else if (checksumAt === -1) checksumAt = at + TLV_HEADER_BYTES;
    else throw new TypeError('a PROXY header has one checksum at most');
    at += TLV_HEADER_BYTES + length;
  }
  if (checksumAt !== -1) bytes.set(uint32Bytes(checksum(bytes, checksumAt)), checksumAt);
}

// ---- addresses -------------------------------------------------------------------------------------------------------------------

function writeIp(address: ProxyAddress, family: ProxyHeader['family'], target: Uint8Array, at: number): void {
  const isValid = address.kind === 'ip' && (family === 'inet' ? readIpv4(address.host, target, at) : readIpv6(address.host, target, at));
  if (!isValid) throw new TypeError(`not an address of ${family}: ${address.kind === 'ip' ? address.host : address.path}`);
}

function portOf(address: ProxyAddress): number {
  const port = address.kind === 'ip' ? address.port : -1;
  if ((port & 0xffff) !== port) throw new RangeError(`a port is a whole number from 0 to 65535, not ${String(port)}`);
  return port;
}

function writePath(address: ProxyAddress, target: Uint8Array, at: number): void {
  if (address.kind !== 'unix') throw new TypeError(`not an address of unix: ${address.host}`);
  // It would be written as U+FFFD, which is the path of another socket.
  if (!address.path.isWellFormed()) throw new TypeError(`not well-formed text: ${JSON.stringify(address.path)}`);
  const path = utf8Encode(address.path);
  if (path.length > UNIX_PATH_BYTES) throw new RangeError(`the path of a Unix socket has at most 108 bytes, not ${path.length}`);
  // An abstract name, which begins with NUL, may hold more of them.
  if (path[0] !== 0 && path.includes(0)) throw new TypeError('the path of a Unix socket has no NUL');
  target.set(path, at);
}

function setUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
