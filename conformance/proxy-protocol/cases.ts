/** What is said by headers, and headers that say nothing. */
import { ByteWriter, concatBytes, fromHex, latin1Encode } from '@ferrata/bytes';
import { createProxyHeader, type ProxyHeader, TlvType, writeProxyHeader } from '@ferrata/proxy-protocol';

function between(source: string, destination: string, version: 1 | 2): ProxyHeader {
  return createProxyHeader({
    source: { kind: 'ip', host: source, port: 56_324 },
    destination: { kind: 'ip', host: destination, port: 443 },
    version,
    tlvs: [{ type: TlvType.authority, value: latin1Encode('www.example.org') }],
  });
}

/** By name. */
export const HEADERS: ReadonlyMap<string, ProxyHeader> = new Map(
  ([1, 2] as const).flatMap((version): (readonly [string, ProxyHeader])[] => [
    [`v${version}-inet`, between('192.0.2.1', '198.51.100.7', version)],
    [`v${version}-inet-edges`, between('0.0.0.0', '255.255.255.255', version)],
    [`v${version}-inet6`, between('2001:db8::1', '2001:db8:0:1:1:1:1:1', version)],
    [`v${version}-inet6-mixed`, between('192.0.2.1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', version)],
    [`v${version}-inet6-zeros`, between('::', '::1', version)],
  ]),
);

/** The bytes of a header. */
export function bytesOf(header: ProxyHeader, checksum = false): Uint8Array {
  const writer = new ByteWriter();
  writeProxyHeader(writer, header, { checksum });
  return writer.take();
}

const signature = '0d0a0d0a000d0a515549540a';
const v4 = 'c0a80001c0a8000bdc0401bb';

/** Malformed, each complete in itself. */
export const MALFORMED: ReadonlyMap<string, Uint8Array> = new Map([
  ['no-header', latin1Encode('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['v1-lower-case', latin1Encode('proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n')],
  ['v1-udp', latin1Encode('PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n')],
  ['v1-lf', latin1Encode('PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n')],
  ['v1-field-missing', latin1Encode('PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n')],
  ['v1-field-too-many', latin1Encode('PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n')],
  ['v1-double-space', latin1Encode('PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n')],
  ['v1-number-256', latin1Encode('PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n')],
  ['v1-leading-zero', latin1Encode('PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n')],
  ['v1-port-65536', latin1Encode('PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n')],
  ['v1-port-leading-zero', latin1Encode('PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n')],
  ['v1-inet6-in-tcp4', latin1Encode('PROXY TCP4 ::1 ::1 1 2\r\n')],
  ['v1-inet6-two-gaps', latin1Encode('PROXY TCP6 1::2::3 ::1 1 2\r\n')],
  ['v1-too-long', latin1Encode(`PROXY UNKNOWN ${'x'.repeat(120)}\r\n`)],
  ['v2-version-3', fromHex(`${signature}3111000c${v4}`)],
  ['v2-command-2', fromHex(`${signature}2211000c${v4}`)],
  ['v2-short-inet', fromHex(`${signature}2111000b${v4.slice(2)}`)],
  ['v2-short-inet6', fromHex(`${signature}2121000c${v4}`)],
  ['v2-tlv-beyond', fromHex(`${signature}21110010${v4}040002ff`)],
  ['v2-tlv-cut', fromHex(`${signature}2111000e${v4}0400`)],
  ['v2-checksum', concatBytes([fromHex(`${signature}21110013${v4}`), fromHex('03000400000000')])],
]);
