/** Subject alternative names (RFC 5280 §4.2.1.6): which kind a text is. */
import type { JsonGeneralName } from '@peculiar/x509';

/** RFC 1034 §3.5 with the digits of RFC 1123 §2.1, and underscores, which names of services have. */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;
const MAX_HOST_NAME = 253;
/** RFC 3986 §3.1. */
const SCHEME = /^[a-z][a-z0-9+.-]*:/i;
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;

/** What a name can be (RFC 5280 §4.2.1.6). */
export type NameKind = 'dns' | 'ip' | 'email' | 'url';

/**
 * The kind of a name, by its form: whether `CertificateAuthority.issue` would take it, and as what.
 *
 * @throws {TypeError} when it is no text @throws {RangeError} when it is no IP address, URI, e-mail address, host name or wildcard
 */
export function nameKind(name: string): NameKind {
  return alternativeName(name).type;
}

/**
 * A name with its kind, as it is written into a certificate.
 *
 * @throws {TypeError} when it is no text @throws {RangeError} when it is no IP address, URI, e-mail address, host name or wildcard
 */
export function alternativeName(name: string): JsonGeneralName & { readonly type: NameKind } {
  if (typeof name !== 'string') throw new TypeError(`a name must be a text, not ${name === null ? 'null' : typeof name}`);
  if (isIpAddress(name)) return { type: 'ip', value: name };
  // 300.1.1.1 would be a fine host name, but for RFC 1123 §2.1, and dead:::beef a fine URI; fe80::1%eth0 is an address of one link of one machine.
  if (/^(?:[0-9.]*|[0-9a-f]*:[0-9a-f.]*:[0-9a-f:.]*(?:%.*)?)$/i.test(name)) {
    throw refusal(name, 'it is no IP address, and a host name is not all of numbers');
  }
  if (SCHEME.test(name)) return { type: 'url', value: checkedUri(name) };
  return name.includes('@') ? { type: 'email', value: checkedMail(name) } : { type: 'dns', value: checkedHost(name) };
}

/** Four numbers without leading zeros (RFC 6943 §3.1.1), or what a URL takes between brackets: RFC 4291 §2.2, without a zone. */
function isIpAddress(name: string): boolean {
  if (name.includes(':')) return /^[0-9a-f:.]+$/i.test(name) && URL.canParse(`http://[${name}]/`);
  const parts = name.split('.');
  return parts.length === 4 && parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
}

function checkedUri(name: string): string {
  const rest = name.slice(name.indexOf(':') + 1);
  if (/^[0-9]*$/.test(rest)) throw refusal(name, 'a certificate is for a host, not for a port of it');
  if (!VISIBLE_ASCII.test(name)) throw refusal(name, 'a URI is made of visible ASCII characters');
  return name;
}

function checkedMail(name: string): string {
  const at = name.lastIndexOf('@');
  const local = name.slice(0, at);
  // RFC 5280 §4.2.1.6 takes a Mailbox of RFC 2821: without quotes it has no second @.
  if (!VISIBLE_ASCII.test(local) || local.length > 64 || local.includes('@') || !isHostName(name.slice(at + 1))) {
    throw refusal(name, 'an e-mail address is someone@host, in visible ASCII characters');
  }
  return name;
}

function checkedHost(name: string): string {
  if (isHostName(name.startsWith('*.') ? name.slice(2) : name)) return name;
  throw refusal(
    name,
    'a host name has labels of 1 to 63 letters, digits, hyphens and underscores, 253 characters in all, and at most its first label is *; xn--… for others',
  );
}

function isHostName(name: string): boolean {
  return name.length <= MAX_HOST_NAME && name.split('.').every((label) => LABEL.test(label));
}

function refusal(name: string, why: string): RangeError {
  return new RangeError(`${JSON.stringify(name)} can't be a name in a certificate: ${why}`);
}
