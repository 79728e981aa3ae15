/**
 * `uri-host [ ":" port ]`: the value of Host, the target of CONNECT, the authority of a URL without user information.
 *
 * Strict, as the host decides who gets a request: no user information (`user@host`), no blanks, no zone, no port above 65535, no empty host (RFC
 * 9110 §4.2.1 has recipients reject it for http), every percent sign followed by two hex digits.
 *
 * Sources: RFC 3986 §3.2.2, §3.2.3; RFC 9110 §7.2; RFC 9112 §3.2.
 */
import { hexValue, readIpv6 } from '@ferrata/bytes';

/** A host and, if one is written, a port. */
export interface Authority {
  /** A name or an IPv4 address as it was written, or an IPv6 address without its brackets. */
  readonly host: string;
  /** 0 to 65535; null if none is written. */
  readonly port: number | null;
}

/** 1 for each byte of a registered name, percent sign left out. @see RFC 3986 §3.2.2 */
const NAME_BYTES: Uint8Array = Uint8Array.from({ length: 128 }, (_, byte) =>
  /[A-Za-z0-9\-._~!$&'()*+,;=]/.test(String.fromCharCode(byte)) ? 1 : 0,
);

const COLON = 0x3a;
const PERCENT = 0x25;
const OPEN_BRACKET = 0x5b;

/** Whether a value may stand in Host. The empty value may not: see the head of this file. @see RFC 9110 §7.2 */
export function isValidHost(value: string): boolean {
  const hostEnd = endOfHost(value);
  return hostEnd > 0 && portFrom(value, hostEnd) !== INVALID_PORT;
}

/**
 * Takes an authority apart.
 *
 * @returns null if it is not valid; a colon with no digits after it is valid, and means no port
 */
export function parseAuthority(text: string): Authority | null {
  const hostEnd = endOfHost(text);
  if (hostEnd <= 0) return null;
  const port = portFrom(text, hostEnd);
  if (port === INVALID_PORT) return null;
  const host = text.charCodeAt(0) === OPEN_BRACKET ? text.slice(1, hostEnd - 1) : text.slice(0, hostEnd);
  return { host, port: port === NO_PORT ? null : port };
}

/** Puts an authority together: brackets around an IPv6 address, the port only if it is given. */
export function formatAuthority(authority: Authority): string {
  const host = authority.host.includes(':') ? `[${authority.host}]` : authority.host;
  return authority.port === null ? host : `${host}:${authority.port}`;
}

/** Only whether it is an address is asked. */
const ipv6Scratch = new Uint8Array(16);

const NO_PORT = -1;
const INVALID_PORT = -2;

/** Where the host ends: at a colon or at the end; 0 or less if it is empty or not valid. */
function endOfHost(text: string): number {
  if (text.charCodeAt(0) === OPEN_BRACKET) return endOfBrackets(text);
  let at = 0;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === COLON) return at;
    if (code < 0x80 && NAME_BYTES[code] === 1) continue;
    if (code !== PERCENT || hexValue(text.charCodeAt(at + 1)) < 0 || hexValue(text.charCodeAt(at + 2)) < 0) return -1;
    at += 2;
  }
  return at;
}

/** `[IPv6]`; RFC 3986's form for later versions (`[v1.x]`) has never been used, and is refused. */
function endOfBrackets(text: string): number {
  const close = text.indexOf(']');
  return close > 0 && readIpv6(text.slice(1, close), ipv6Scratch, 0) ? close + 1 : -1;
}

function portFrom(text: string, hostEnd: number): number {
  if (hostEnd === text.length) return NO_PORT;
  if (text.charCodeAt(hostEnd) !== COLON) return INVALID_PORT;
  if (hostEnd + 1 === text.length) return NO_PORT;
  let port = 0;
  for (let at = hostEnd + 1; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return INVALID_PORT;
    port = port * 10 + digit;
    if (port > 65_535) return INVALID_PORT;
  }
  return port;
}
