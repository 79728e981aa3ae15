/** Headers written by hand from the specification: bytes, and what they say. */
import { concatBytes, fromHex, latin1Encode } from '@ferrata/bytes';
import type { ProxyHeader } from '../src/index.ts';

export const signature = '0d0a0d0a000d0a515549540a';

/** The bytes of hexadecimal text with blanks. */
export function hex(text: string): Uint8Array {
  return fromHex(text.replaceAll(/\s/g, ''));
}

/** A header of version 2: version and command, family and transport, and what follows with its length in front. */
export function binary(versionAndCommand: string, protocol: string, rest: Uint8Array): Uint8Array {
  const length = rest.length.toString(16).padStart(4, '0');
  return concatBytes([hex(signature + versionAndCommand + protocol + length), rest]);
}

const unspecified = {
  command: 'proxy',
  family: 'unspecified',
  transport: 'unspecified',
  source: null,
  destination: null,
  tlvs: [],
} as const;

const v4 = {
  command: 'proxy',
  family: 'inet',
  transport: 'stream',
  source: { kind: 'ip', host: '192.168.0.1', port: 56_324 },
  destination: { kind: 'ip', host: '192.168.0.11', port: 443 },
  tlvs: [],
} as const;

const v6 = {
  command: 'proxy',
  family: 'inet6',
  transport: 'stream',
  source: { kind: 'ip', host: '2001:db8::1', port: 65_535 },
  destination: { kind: 'ip', host: '::', port: 0 },
  tlvs: [],
} as const;

const v4Bytes = hex('c0a80001 c0a8000b dc04 01bb');
const v6Bytes = hex('20010db8000000000000000000000001 00000000000000000000000000000000 ffff 0000');

function unixBytes(source: Uint8Array, destination: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(216);
  bytes.set(source);
  bytes.set(destination, 108);
  return bytes;
}

/** Each is read so; `isCanonical`: and written so. */
export const vectors: Readonly<
  Record<string, { readonly bytes: Uint8Array; readonly header: ProxyHeader; readonly isCanonical: boolean }>
> = {
  'TCP4 (§2.1)': {
    bytes: latin1Encode('PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n'),
    header: { version: 1, ...v4 },
    isCanonical: true,
  },
  'TCP4, the longest line': {
    bytes: latin1Encode('PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n'),
    header: {
      version: 1,
      ...v4,
      source: { kind: 'ip', host: '255.255.255.255', port: 65_535 },
      destination: { kind: 'ip', host: '255.255.255.255', port: 65_535 },
    },
    isCanonical: true,
  },
  'TCP6 (§2.1)': { bytes: latin1Encode('PROXY TCP6 2001:db8::1 :: 65535 0\r\n'), header: { version: 1, ...v6 }, isCanonical: true },
  'TCP6 in full, in capitals': {
    bytes: latin1Encode('PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:0001 0:0:0:0:0:0:0:0 65535 0\r\n'),
    header: { version: 1, ...v6 },
    isCanonical: false,
  },
  'TCP6 as inet_ntop writes a mapped address': {
    bytes: latin1Encode('PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2\r\n'),
    header: {
      version: 1,
      ...v6,
      source: { kind: 'ip', host: '::ffff:192.0.2.1', port: 1 },
      destination: { kind: 'ip', host: '::ffff:192.0.2.2', port: 2 },
    },
    isCanonical: false,
  },
  'UNKNOWN (§2.1)': { bytes: latin1Encode('PROXY UNKNOWN\r\n'), header: { version: 1, ...unspecified }, isCanonical: true },
  'UNKNOWN with the longest line (§2.1)': {
    bytes: latin1Encode('PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n'),
    header: { version: 1, ...unspecified },
    isCanonical: false,
  },
  'UNKNOWN with anything behind it': {
    bytes: latin1Encode('PROXY UNKNOWN \0\xff  x\r\n'),
    header: { version: 1, ...unspecified },
    isCanonical: false,
  },
  'TCP over IPv4 (§2.2)': { bytes: binary('21', '11', v4Bytes), header: { version: 2, ...v4 }, isCanonical: true },
  'UDP over IPv4': { bytes: binary('21', '12', v4Bytes), header: { version: 2, ...v4, transport: 'datagram' }, isCanonical: true },
  'TCP over IPv6': { bytes: binary('21', '21', v6Bytes), header: { version: 2, ...v6 }, isCanonical: true },
  'UDP over IPv6': { bytes: binary('21', '22', v6Bytes), header: { version: 2, ...v6, transport: 'datagram' }, isCanonical: true },
  'a Unix stream': {
    bytes: binary('21', '31', unixBytes(latin1Encode('/run/a.sock'), latin1Encode(`/${'b'.repeat(107)}`))),
    header: {
      version: 2,
      command: 'proxy',
      family: 'unix',
      transport: 'stream',
      source: { kind: 'unix', path: '/run/a.sock' },
      destination: { kind: 'unix', path: `/${'b'.repeat(107)}` },
      tlvs: [],
    },
    isCanonical: true,
  },
  'a Unix datagram, from a socket without a name to an abstract one': {
    bytes: binary('21', '32', unixBytes(new Uint8Array(0), latin1Encode('\0na\0me'))),
    header: {
      version: 2,
      command: 'proxy',
      family: 'unix',
      transport: 'datagram',
      source: { kind: 'unix', path: '' },
      destination: { kind: 'unix', path: '\0na\0me' },
      tlvs: [],
    },
    isCanonical: true,
  },
  'a path with rubbish behind its NUL': {
    bytes: binary('21', '31', unixBytes(latin1Encode('/a\0rubbish'), latin1Encode('/b'))),
    header: {
      version: 2,
      command: 'proxy',
      family: 'unix',
      transport: 'stream',
      source: { kind: 'unix', path: '/a' },
      destination: { kind: 'unix', path: '/b' },
      tlvs: [],
    },
    isCanonical: false,
  },
  'LOCAL (§2.2)': {
    bytes: binary('20', '00', new Uint8Array(0)),
    header: { version: 2, ...unspecified, command: 'local' },
    isCanonical: true,
  },
  'LOCAL, whose family and block are to be ignored': {
    bytes: binary('20', 'ff', hex('010203')),
    header: { version: 2, ...unspecified, command: 'local' },
    isCanonical: false,
  },
  'an unspecified family': { bytes: binary('21', '00', new Uint8Array(0)), header: { version: 2, ...unspecified }, isCanonical: true },
  'TLVs of all sorts': {
    bytes: binary(
      '21',
      '11',
      new Uint8Array([...v4Bytes, ...hex('01 0002 6832  02 0003 612e62  04 0000  05 0001 ff  ea 0002 0141  30 0001 78')]),
    ),
    header: {
      version: 2,
      ...v4,
      tlvs: [
        { type: 0x01, value: hex('6832') },
        { type: 0x02, value: hex('612e62') },
        { type: 0x04, value: new Uint8Array(0) },
        { type: 0x05, value: hex('ff') },
        { type: 0xea, value: hex('0141') },
        { type: 0x30, value: hex('78') },
      ],
    },
    isCanonical: true,
  },
};
