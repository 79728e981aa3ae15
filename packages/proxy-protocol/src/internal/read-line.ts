/**
 * Reads a whole line of version 1, without its signature and its CRLF (specification §2.1).
 *
 * ```text
 *   PROXY TCP4 192.0.2.1 198.51.100.7 56324 443<CR><LF>
 *   PROXY TCP6 2001:db8::1 2001:db8::2 56324 443<CR><LF>
 *   PROXY UNKNOWN[<SP>anything]<CR><LF>
 * ```
 */
import { formatIpv4, formatIpv6, parseDecimal, readIpv4, readIpv6 } from '@ferrata/bytes';
import { proxyHeaderError } from '../errors.ts';
import type { ProxyAddress, ProxyHeader } from '../proxy-header.ts';

/** @throws {WireError} `PROXY_V1_PROTOCOL`, `PROXY_V1_SYNTAX`, `PROXY_V1_ADDRESS` or `PROXY_V1_PORT` */
export function readLine(line: string): ProxyHeader {
  const space = line.indexOf(' ');
  const protocol = space === -1 ? line : line.slice(0, space);
  // §2.1: whatever stands behind UNKNOWN is to be ignored; real addresses are the connection's own.
  if (protocol === 'UNKNOWN') return unknown();
  if (protocol !== 'TCP4' && protocol !== 'TCP6') throw proxyHeaderError('PROXY_V1_PROTOCOL');
  const fields = line.split(' ');
  if (fields.length !== 5) throw proxyHeaderError('PROXY_V1_SYNTAX');
  const [, from, to, fromPort, toPort] = fields as [string, string, string, string, string];
  const family = protocol === 'TCP4' ? 'inet' : 'inet6';
  return {
    version: 1,
    command: 'proxy',
    family,
    transport: 'stream',
    source: address(family, from, fromPort),
    destination: address(family, to, toPort),
    tlvs: [],
  };
}

function unknown(): ProxyHeader {
  return { version: 1, command: 'proxy', family: 'unspecified', transport: 'unspecified', source: null, destination: null, tlvs: [] };
}

function address(family: 'inet' | 'inet6', text: string, portText: string): ProxyAddress {
  const bytes = new Uint8Array(16);
  const isValid = family === 'inet' ? readIpv4(text, bytes, 0) : readIpv6(text, bytes, 0);
  if (!isValid) throw proxyHeaderError('PROXY_V1_ADDRESS');
  const port = parseDecimal(portText);
  // §2.1: no leading zeros, so that nobody takes a port for octal.
  if (port === -1 || port > 65_535 || (portText.length > 1 && portText.charCodeAt(0) === 0x30)) throw proxyHeaderError('PROXY_V1_PORT');
  return { kind: 'ip', host: family === 'inet' ? formatIpv4(bytes, 0) : formatIpv6(bytes, 0), port };
}
