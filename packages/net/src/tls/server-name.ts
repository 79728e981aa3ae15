/**
 * Names that certificates are chosen by, and the index that finds one for a name a client asks for (SNI, RFC 6066 §3).
 *
 * Rules (RFC 9525 §6.3): case doesn't matter, nor a dot at the end; a wildcard is the whole of the leftmost label, stands for exactly one label, and has at
 * least two labels behind it; an exact name goes before a wildcard, and what comes first in the list before what comes later.
 */
import { isIP } from 'node:net';
import { formatIpv6Groups, readIpv6 } from '@ferrata/bytes';

/** RFC 1035 §2.3.1 with the digits of RFC 1123 §2.1, and underscores, which names of services have. Lengths: 63 a label, 253 in all. */
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/**
 * A name as it is compared: lower case, no dot at the end, an IPv6 address in the form of RFC 5952. Text beyond ASCII is no name of the wire (RFC 6066 §3): write it as `xn--…`.
 *
 * @returns null if it is no host name, no IP address, and no wildcard
 */
export function matchableName(name: string): string | null {
  const plain = normaliseServerName(name);
  // An address of one link (`fe80::1%eth0`) is in no certificate.
  if (isIP(plain) !== 0) return plain.includes('%') ? null : plain;
  if (!plain.startsWith('*.')) return HOST_NAME.test(plain) ? plain : null;
  const parent = plain.slice(2);
  return HOST_NAME.test(parent) && parent.includes('.') ? plain : null;
}

const ipv6 = new Uint8Array(16);

/** Lower case, without a dot at the end; an IPv6 address in the form of RFC 5952, in which certificates' addresses are written here. */
export function normaliseServerName(name: string): string {
  const lower = name.toLowerCase();
  if (lower.includes(':') && readIpv6(lower, ipv6, 0)) return formatIpv6Groups(ipv6, 0);
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/** Finds the entry for a name. Built once, never changed: a reload makes a new one. */
export class ServerNameIndex<T> {
  readonly #exact = new Map<string, T>();
  /** By what follows the asterisk: `.example.test`. */
  readonly #wildcards = new Map<string, T>();
  readonly #fallback: T;

  /** @param entries in order of precedence; the first is also the one for names that no other has. At least one. */
  constructor(entries: readonly { readonly names: readonly string[]; readonly value: T }[]) {
    const [first] = entries;
    if (first === undefined) throw new TypeError('at least one certificate is needed');
    this.#fallback = first.value;
    for (const { names, value } of entries) {
      for (const name of names) {
        if (name.startsWith('*.')) addFirst(this.#wildcards, name.slice(1), value);
        else addFirst(this.#exact, name, value);
      }
    }
  }

  /** The entry with this very name, else that with a wildcard for it, else the first. */
  find(name: string | null): T {
    if (name === null) return this.#fallback;
    const wanted = normaliseServerName(name);
    const exact = this.#exact.get(wanted);
    if (exact !== undefined) return exact;
    // Not at 0: a wildcard stands for one label, and none is not one.
    const dot = wanted.indexOf('.');
    return (dot > 0 ? this.#wildcards.get(wanted.slice(dot)) : undefined) ?? this.#fallback;
  }
}

function addFirst<T>(map: Map<string, T>, key: string, value: T): void {
  if (!map.has(key)) map.set(key, value);
}
