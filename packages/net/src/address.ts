/**
 * Addresses that one can listen on or connect to, and the strict parser for the ways people write them.
 *
 * ```text
 *   tcp://127.0.0.1:8080    127.0.0.1:8080        IPv4
 *   tcp://[::1]:8080        [::1]:8080            IPv6, always in brackets (RFC 3986 §3.2.2)
 *   tcp://localhost:8080    localhost:8080        a name, looked up when connecting or listening
 *   unix:/run/app.sock      unix:///run/app.sock  a Unix socket
 *   /run/app.sock                                 the same: no host begins with a slash
 * ```
 *
 * The parser accepts exactly these. Whatever else is written (a path after the port, a user name, a missing port, an octal IPv4 part) is an
 * error that says what to write instead, because an address comes from a configuration, and a guess would listen in the wrong place.
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { StreamAddress } from '@ferrata/stream';

/** An address of a transport: a TCP host and port, or the path of a Unix socket. */
export type NetAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** Every form in which an address may be given; a `StreamAddress` too, so that one can connect to `listener.address`. */
export type AddressLike =
  | string
  | NetAddress
  | StreamAddress
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

/** Longest path of a Unix socket in bytes: `sun_path` has 108 on Linux with the final NUL (104 on macOS and the BSDs). */
const maxUnixPathBytes = process.platform === 'linux' ? 107 : 103;

const labels = /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?$/;
const dottedNumbers = /^[0-9.]+$|^0[xX][0-9A-Fa-f.]*$/;

/**
 * Parses an address.
 *
 * @throws {TypeError} if the text is not one of the accepted forms; the message names the text and says what is wrong with it
 * @see RFC 3986 §3.2 for host and port
 */
export function parseAddress(text: string): NetAddress {
  if (text === '') throw invalid(text, 'it is empty');
  if (/[\s\0]/.test(text)) throw invalid(text, 'it contains a blank or NUL character');
  if (/^unix:/i.test(text)) return parseUnix(text);
  // Two slashes would begin the host of a URL without its scheme.
  if (/^\/(?!\/)/.test(text)) return unixAddress(text, text);
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text);
  if (scheme === null) return parseHostPort(text, text);
  const name = scheme[1] as string;
  if (name.toLowerCase() !== 'tcp') throw invalid(text, `the scheme ${name} is not known; known are tcp:// and unix:`);
  return parseHostPort(text, text.slice(scheme[0].length));
}

/** Turns any accepted form of an address into a checked `NetAddress`. @throws {TypeError} if it is none */
export function toNetAddress(address: AddressLike): NetAddress {
  if (typeof address === 'string') return parseAddress(address);
  if ('path' in address) return unixAddress(address.path, address.path);
  if ('host' in address) return tcpAddress(`${address.host}:${address.port}`, address.host, address.port);
  throw new TypeError('invalid address: it has neither a host nor a path');
}

/** An address in the form that `parseAddress` reads: `tcp://127.0.0.1:80`, `tcp://[::1]:80`, `unix:/path`. */
export function formatNetAddress(address: NetAddress): string {
  // A path with two slashes in front would read as a host: the empty one comes before it.
  if (address.kind === 'unix') return `unix:${address.path.startsWith('//') ? '//' : ''}${address.path}`;
  return address.host.includes(':') ? `tcp://[${address.host}]:${address.port}` : `tcp://${address.host}:${address.port}`;
}

function parseUnix(text: string): NetAddress {
  const rest = text.slice('unix:'.length);
  if (!rest.startsWith('//')) return unixAddress(text, rest);
  // unix://host/path would name a host, which a Unix socket has not; unix:///path has an empty one (RFC 3986 §3.2).
  if (!rest.startsWith('///')) throw invalid(text, 'a Unix socket has no host; write unix:/path or unix:///path');
  return unixAddress(text, rest.slice(2));
}

function unixAddress(text: string, path: string): NetAddress {
  if (typeof path !== 'string' || path === '') throw invalid(text, 'the path of the Unix socket is missing; write unix:/path');
  if (path.includes('\0')) throw invalid(text, 'a path cannot contain a NUL character');
  const length = Buffer.byteLength(path);
  // The kernel would cut or refuse a longer path; Node reports that as a bare EINVAL.
  if (length > maxUnixPathBytes)
    throw invalid(text, `its path has ${length} bytes, and a Unix socket can have ${maxUnixPathBytes} at most`);
  return { kind: 'unix', path };
}

function parseHostPort(text: string, rest: string): NetAddress {
  if (/[/?#]/.test(rest)) throw invalid(text, 'an address has no path, query or fragment');
  if (rest.includes('@')) throw invalid(text, 'an address has no user name');
  if (rest.startsWith('[')) return parseBracketed(text, rest);
  const colon = rest.lastIndexOf(':');
  if (colon === -1 && /^\d+$/.test(rest))
    throw invalid(text, `the host is missing; write 127.0.0.1:${rest}, or [::]:${rest} for every interface`);
  if (colon === -1) throw invalid(text, `the port is missing; write ${rest === '' ? 'host' : rest}:port`);
  const host = rest.slice(0, colon);
  if (isIPv6(host) || isIPv6(rest)) throw invalid(text, 'an IPv6 address needs brackets; write [address]:port');
  return tcpAddress(text, host, parsePort(text, rest.slice(colon + 1)));
}

function parseBracketed(text: string, rest: string): NetAddress {
  const close = rest.indexOf(']');
  if (close === -1) throw invalid(text, 'the closing bracket is missing');
  const host = rest.slice(1, close);
  if (!isIPv6(host)) throw invalid(text, `${host} is not an IPv6 address`);
  if (rest[close + 1] !== ':') throw invalid(text, `the port is missing; write [${host}]:port`);
  return tcpAddress(text, host, parsePort(text, rest.slice(close + 2)));
}

function parsePort(text: string, digits: string): number {
  if (digits === '') throw invalid(text, 'the port is missing after the colon');
  if (!/^(?:0|[1-9][0-9]{0,4})$/.test(digits)) throw invalid(text, `${digits} is not a port number`);
  return Number(digits);
}

function tcpAddress(text: string, host: string, port: number): NetAddress {
  if (typeof host !== 'string' || host === '') throw invalid(text, 'the host is missing; write 0.0.0.0 or [::] for all addresses');
  if (!isIPv4(host) && !isIPv6(host)) checkName(text, host);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw invalid(text, 'a port is a whole number from 0 to 65535');
  return { kind: 'tcp', host, port };
}

function checkName(text: string, host: string): void {
  if (host === '*') throw invalid(text, '* is not a host; write 0.0.0.0 or [::] for all addresses');
  // 0177.1, 127.1 and 010.0.0.1 are IPv4 for some resolvers and names for others: never let both readings pass.
  if (dottedNumbers.test(host)) throw invalid(text, `${host} is not an IPv4 address of four decimal numbers`);
  if (host.length > 253 || !labels.test(host)) throw invalid(text, `${host} is not a host name`);
}

function invalid(text: string, why: string): TypeError {
  return new TypeError(`invalid address ${JSON.stringify(cut(text))}: ${cut(why)}`);
}

/** A text of the configuration may be anything, also a file pasted by mistake. */
function cut(text: string): string {
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
