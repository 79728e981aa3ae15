/**
 * What may pass of an Upgrade field: protocols by the strict grammar of RFC 9110 §7.8, and none that carries HTTP requests.
 *
 * ```text
 *   Upgrade          = #protocol
 *   protocol         = protocol-name ["/" protocol-version]     ; two tokens, so a comma always divides: the grammar knows no quotes
 * ```
 *
 * A tunnel is not looked into: what speaks HTTP in it passes every filter by. A list that one reader divides in another way than the next may
 * hide such a protocol from us (`"a, h2c`, `websocket;h2c`), so nothing of a list with a fault passes.
 *
 * @see RFC 9110 §7.8, §15.5.22 · RFC 9113 §3.1 · RFC 2817
 */
import type { WireError } from '@ferrata/error';
import { isToken } from '@ferrata/headers';
import type { Peer } from '@ferrata/upstream';

/** HTTP/2 in the clear, by its names and those of its drafts (RFC 9113 §3.1 has given that upgrade up). */
const HTTP2 = /^h2c?(?:-|$)/i;
/** HTTP of any version by its own name, and TLS, within which HTTP goes on (RFC 2817 §3). */
const HTTP_OR_TLS = /^(?:http|tls)$/i;

/** The protocols to ask the upstream to switch to: what the client asked for, but for those that carry requests. @returns null for none */
export function forwardedUpgrade(upgrade: string | null): string | null {
  if (upgrade === null || upgrade === 'websocket') return upgrade;
  return passed(upgrade, (name) => !HTTP2.test(name) && !HTTP_OR_TLS.test(name));
}

/** How long a peer that knows no HTTP/1 is not asked for it again. */
const REFUSED_MS = 60_000;

/**
 * The peers to ask for a switch of protocols. Where one might choose HTTP/2, which knows no such switch (RFC 9113 §8.6), it has to be asked for HTTP/1; if it knows
 * none, the request goes as if it had not asked: nobody has to switch, and a server is free to pass the field over (RFC 9110 §7.8).
 */
export class UpgradePeers {
  /** Until when each is taken to know no HTTP/1. */
  readonly #refusedUntil = new WeakMap<Peer, number>();

  /** The peer to ask, `peer` itself or its `forUpgrade`. @param upgrade what the client wants to switch to */
  peerFor(peer: Peer, upgrade: string | null, now: number): Peer {
    const { forUpgrade } = peer;
    if (upgrade === null || forUpgrade === null || forwardedUpgrade(upgrade) === null) return peer;
    return now < (this.#refusedUntil.get(peer) ?? 0) ? peer : forUpgrade;
  }

  /** Remembers it, if `asked`, the `forUpgrade` of `peer`, failed since the peer knows no HTTP/1. @returns true: ask the peer itself, without a switch */
  isRefusal(peer: Peer, asked: Peer, { reason }: WireError, now: number): boolean {
    if (asked === peer || reason !== 'TLS_ALPN_REFUSED') return false;
    this.#refusedUntil.set(peer, now + REFUSED_MS);
    return true;
  }
}

/** What to ask `peer` to switch to, on a connection that is its own or is shared. A peer that may choose HTTP/2 is asked for nothing: see `UpgradePeers`. */
export function upgradeFor(peer: Peer | null, isShared: boolean, upgrade: string | null): string | null {
  return isShared || (peer !== null && peer.forUpgrade !== null) ? null : forwardedUpgrade(upgrade);
}

/**
 * What a 426 says that the origin requires (RFC 9110 §15.5.22). Here other versions of HTTP stay, as the client may have other ways to them than
 * by this connection; but not what it could only ask for here, and in vain.
 *
 * @returns null for none
 */
export function requiredUpgrade(upgrade: string | undefined): string | null {
  return upgrade === undefined ? null : passed(upgrade, (name) => !HTTP2.test(name));
}

function passed(upgrade: string, mayPass: (name: string) => boolean): string | null {
  let list = '';
  for (const part of upgrade.split(',')) {
    const protocol = withoutBlanks(part);
    // RFC 9110 §5.6.1.2: empty elements are to be passed over.
    if (protocol === '') continue;
    const slash = protocol.indexOf('/');
    const name = slash < 0 ? protocol : protocol.slice(0, slash);
    if (!isToken(name) || (slash >= 0 && !isToken(protocol.slice(slash + 1)))) return null;
    if (mayPass(name)) list += list === '' ? protocol : `, ${protocol}`;
  }
  return list === '' ? null : list;
}

/** `trim` would take more than SP and HTAB for blanks, and so read another list than the next recipient. */
function withoutBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
