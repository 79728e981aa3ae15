/**
 * IP addresses as numbers, for look-ups that happen once per connection.
 *
 * ```text
 *   IPv4   a.b.c.d                 words[3]
 *   IPv6                           words[0] … words[3]
 *   IPv4 in IPv6, ::ffff:a.b.c.d   is the IPv4 address          (RFC 4291 §2.5.5.2): a dual-stack socket shows IPv4 peers so
 * ```
 */
import { isIpv4Mapped, readIpv4, readIpv6 } from '@ferrata/bytes';

/** The words of the address that was parsed last; a view that the next call overwrites. Of an IPv4 address only the last one counts. */
export const words = new Uint32Array(4);

/** What a text is; `none`: not an address. */
export type IpFamily = 4 | 6 | 'none';

const bytes = new Uint8Array(16);
const view = new DataView(bytes.buffer);

/**
 * Parses an address into `words`. A zone (`%eth0`, RFC 4007 §11) is not part of the address; cut it off first.
 *
 * @returns 4 for an IPv4 address and for IPv4 in IPv6
 */
export function parseIp(text: string): IpFamily {
  if (readIpv4(text, bytes, 12)) {
    words[3] = view.getUint32(12);
    return 4;
  }
  if (!readIpv6(text, bytes, 0)) return 'none';
  for (let i = 0; i < 4; i++) words[i] = view.getUint32(4 * i);
  return isIpv4Mapped(bytes, 0) ? 4 : 6;
}
