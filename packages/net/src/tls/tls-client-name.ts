/** The names of servers as a client gives them: what may be sent as SNI (RFC 6066 §3), and what a certificate is compared with. */
import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

/** RFC 1035 §2.3.4, without the dot at the end. */
const maxNameLength = 253;
/** Letters, digits, hyphens; underscores, too, as names inside of networks have them. RFC 1035 §2.3.1 and §2.3.4. */
const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** An address with the name of an interface, or its number. */
const scoped = /^([0-9a-f:.]+)%[\w.:@-]{1,64}$/i;

/**
 * A host as it is compared and sent: an IP address as it is, without brackets and scope; a name in lower case, in ASCII (RFC 5890), without the dot at its end.
 *
 * @param option whose value it is, for the message
 * @throws {TypeError} if it is neither an IP address nor a name
 */
export function checkServerName(option: string, host: string): string {
  const name = serverNameOf(host);
  if (name === null) throw new TypeError(`${option} must be a host name or an IP address, not ${JSON.stringify(host)}`);
  return name;
}

/** @returns null if the host is neither an IP address nor a name */
function serverNameOf(host: unknown): string | null {
  if (typeof host !== 'string') return null;
  const isBracketed = host.startsWith('[') && host.endsWith(']');
  const bare = isBracketed ? host.slice(1, -1) : host;
  // The scope of an address of IPv6 (RFC 4007 §11) means something to this machine only; nothing else has one.
  const address = scoped.exec(bare)?.[1] ?? bare;
  if (isIPv6(address)) return address.toLowerCase();
  // RFC 3986 §3.2.2: brackets are for addresses of IPv6.
  if (isBracketed) return null;
  if (isIP(bare) !== 0) return bare;
  const lower = bare.toLowerCase();
  const ascii = isAscii(lower) ? lower : toAscii(lower);
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii;
  if (name.length > maxNameLength || !name.split('.').every((one) => label.test(one))) return null;
  return name;
}

/** @returns an empty text if it is no name */
function toAscii(name: string): string {
  // `domainToASCII` reads a whole authority of a URL: of `ü.test/path` or `ü.test#x` it takes the beginning.
  for (const char of name) if (char <= '\u007f' && !/[a-z0-9._-]/.test(char)) return '';
  return domainToASCII(name);
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}
