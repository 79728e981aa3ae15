/**
 * The leading bits of IPv6 addresses as text: `2001:db8:1:2/64`.
 *
 * An address can be written in many ways (RFC 4291 §2.2), its prefix here in one: all groups up to its end, each without zeros in front, and the number of bits.
 */

const COLON = 0x3a;

/** Writes prefixes of one length. It keeps the groups of the last address, so that an address costs nothing but the text. */
export class Ipv6Prefix {
  readonly #bits: number;
  readonly #groups: Uint16Array = new Uint16Array(8);

  /** @param bits 1 to 128 */
  constructor(bits: number) {
    this.#bits = bits;
  }

  /** @param host an address; its zone (`%eth0`) counts for nothing @returns its prefix; the text itself if it is no IPv6 address */
  of(host: string): string {
    const groups = this.#groups;
    if (!readGroups(host, groups)) return host;
    let text = '';
    for (let index = 0; index * 16 < this.#bits; index++) {
      const kept = Math.min(16, this.#bits - index * 16);
      const value = (groups[index] as number) & (0xffff << (16 - kept));
      text = index === 0 ? value.toString(16) : `${text}:${value.toString(16)}`;
    }
    return `${text}/${this.#bits}`;
  }
}

/** @returns false if it is no IPv6 address */
function readGroups(host: string, groups: Uint16Array): boolean {
  const zone = host.indexOf('%');
  const end = zone < 0 ? host.length : zone;
  groups.fill(0);
  const gap = host.indexOf('::');
  if (gap < 0 || gap >= end) return readFrom(host, { start: 0, end, groups, first: 0 }) === 8;
  const front = readFrom(host, { start: 0, end: gap, groups, first: 0 });
  if (front < 0) return false;
  // The groups behind the gap end at the last place: read once to count them, and again to put them there.
  const back = readFrom(host, { start: gap + 2, end, groups, first: front });
  if (back < 0 || front + back > 7) return false;
  groups.fill(0, front);
  readFrom(host, { start: gap + 2, end, groups, first: 8 - back });
  return true;
}

interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly groups: Uint16Array;
  /** Where the first group goes. What goes beyond the last place is dropped, and counted. */
  readonly first: number;
}

/** Reads groups between single colons. @returns how many there are; −1 if something else stands there, an IPv4 part too */
function readFrom(host: string, { start, end, groups, first }: Stretch): number {
  if (start === end) return 0;
  let count = 0;
  let value = 0;
  let digits = 0;
  for (let at = start; at <= end; at++) {
    const code = at === end ? COLON : host.charCodeAt(at);
    if (code === COLON) {
      if (digits === 0) return -1;
      if (first + count < 8) groups[first + count] = value;
      count++;
      value = 0;
      digits = 0;
      continue;
    }
    const digit = hexDigit(code);
    if (digit < 0 || ++digits > 4) return -1;
    value = value * 16 + digit;
  }
  return count > 8 ? -1 : count;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
