/**
 * Whether a certificate is for the server that was meant (RFC 9525 §6), by its typed names.
 *
 * As Node's `checkServerIdentity` does it, but for: no text is taken apart; `*` stands for a whole label only (RFC 9525 §6.3); the common name is never looked
 * at (RFC 9525 §2). OpenSSL holds every alternative name to the name constraints of the authorities, the common name only at times: an authority
 * that may issue for `*.mine.test` could name anybody there. A name that breaks the rules of its kind equals nothing, and makes nothing else count.
 */
import { isIP } from 'node:net';
import type { PeerCertificate } from '@ferrata/stream';
import { normaliseServerName } from './server-name.ts';

/** As long as a name can be (RFC 1035 §2.3.4); what a certificate has under that name may be 90 KB. */
const MAX_SHOWN = 253;

/**
 * Whether a certificate is for `host`.
 *
 * @param host as `checkServerName` gives it
 */
export function isForHost(certificate: PeerCertificate, host: string): boolean {
  return isIP(host) === 0 ? isForName(certificate, host) || isForHyphenated(certificate, host) : isForAddress(certificate, host);
}

/** The names that a certificate is for, for a message; not more than a few, and of each not more than a name can have. */
export function describeNames(certificate: PeerCertificate): string {
  const names: string[] = [];
  for (const name of certificate.subjectAltNames) {
    if (name.kind === 'dns') names.push(JSON.stringify(name.name.slice(0, MAX_SHOWN)));
    else if (name.kind === 'ip') names.push(name.address);
  }
  if (names.length === 0) return 'no server by an alternative name, and its common name does not count';
  return names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
}

function isForAddress(certificate: PeerCertificate, host: string): boolean {
  const wanted = normaliseServerName(host);
  // Never by a name: neither a DNS name nor a common name that looks like an address is one (RFC 9525 §6.2).
  return certificate.subjectAltNames.some((name) => name.kind === 'ip' && name.address === wanted);
}

function isForName(certificate: PeerCertificate, host: string): boolean {
  return certificate.subjectAltNames.some((name) => name.kind === 'dns' && isMatch(name.name, host));
}

/** Names inside of networks have underscores, which certificates must not: Pingora tries hyphens in the first label instead. */
function isForHyphenated(certificate: PeerCertificate, host: string): boolean {
  const dot = host.indexOf('.');
  const first = dot === -1 ? host : host.slice(0, dot);
  return first.includes('_') && isForName(certificate, first.replaceAll('_', '-') + host.slice(first.length));
}

function isMatch(pattern: string, host: string): boolean {
  const name = pattern.toLowerCase();
  const bare = name.endsWith('.') ? name.slice(0, -1) : name;
  if (!bare.startsWith('*.')) return bare === host;
  const suffix = bare.slice(1);
  // `*.com` would be for everybody; a second `*`, or one within a label, is none of the names that a host has, and so never equal.
  if (!suffix.includes('.', 1)) return false;
  const dot = host.indexOf('.');
  return dot > 0 && host.slice(dot) === suffix;
}
