/**
 * IP addresses as numbers: a strict parser without regular expressions, for look-ups that happen once per connection.
 *
 * ```text
 *   IPv4   a.b.c.d                 words[3]                     four decimal numbers without leading zeros (RFC 6943 §3.1.1)
 *   IPv6   RFC 4291 §2.2           words[0] … words[3]          `::` once, the last 32 bits may be written as IPv4
 *   IPv4 in IPv6, ::ffff:a.b.c.d   is the IPv4 address          (RFC 4291 §2.5.5.2): a dual-stack socket shows IPv4 peers so
 * ```
 *
 * 010.0.0.1 and 127.1 are addresses for some programs and none for others, so they are none here: what two sides read differently must never
 * decide who may come in.
 */

/** The words of the address that was parsed last; a view that the next call overwrites. Of an IPv4 address only the last one counts. */
export const words = new Uint32Array(4);

/** What a text is; `none`: not an address. */
export type IpFamily = 4 | 6 | 'none';

const groups = new Uint16Array(8);

const zero = 0x30;
const dot = 0x2e;
const colon = 0x3a;

/**
 * Parses an address into `words`. A zone (`%eth0`, RFC 4007 §11) is not part of the address; cut it off first.
 *
 * @returns 4 for an IPv4 address and for IPv4 in IPv6
 */
export function parseIp(text: string): IpFamily {
  // The longest: eight groups of four, or six of them and an IPv4 address.
  if (text.length > 45 || text.length < 2) return 'none';
  const word = parseIpv4(text, 0);
  if (word >= 0) {
    words[3] = word;
    return 4;
  }
  return parseIpv6(text) ? ipv6Family() : 'none';
}

/** The 32 bits of four decimal numbers from `start` to the end of the text; −1 if that isn't what it is. */
function parseIpv4(text: string, start: number): number {
  let word = 0;
  let part = -1;
  let dots = 0;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === dot) {
      if (part < 0 || ++dots > 3) return -1;
      word = word * 256 + part;
      part = -1;
      continue;
    }
    const digit = code - zero;
    // A leading zero would be octal to some readers.
    if (digit < 0 || digit > 9 || part === 0) return -1;
    part = part < 0 ? digit : part * 10 + digit;
    if (part > 255) return -1;
  }
  return dots === 3 && part >= 0 ? word * 256 + part : -1;
}

/** Fills `groups`. */
function parseIpv6(text: string): boolean {
  let count = 0;
  let gap = -1;
  let at = 0;
  if (text.charCodeAt(0) === colon) {
    // Only `::` may begin with a colon.
    if (text.charCodeAt(1) !== colon) return false;
    gap = 0;
    at = 2;
  }
  while (at < text.length) {
    if (count === 8) return false;
    const end = endOfGroup(text, at);
    if (text.charCodeAt(end) === dot) {
      if (!placeIpv4(text, at, count)) return false;
      count += 2;
      break;
    }
    const group = parseGroup(text, at, end);
    if (group < 0) return false;
    groups[count++] = group;
    at = end + 1;
    if (end === text.length) break;
    // A colon at the end belongs to `::` or to nothing.
    if (at === text.length) return false;
    if (text.charCodeAt(at) !== colon) continue;
    if (gap >= 0) return false;
    gap = count;
    at++;
  }
  return gap < 0 ? count === 8 : spread(count, gap);
}

/** Where the group that begins at `at` is over: at a colon, a dot or the end. */
function endOfGroup(text: string, at: number): number {
  let end = at;
  while (end < text.length && text.charCodeAt(end) !== colon && text.charCodeAt(end) !== dot) end++;
  return end;
}

function parseGroup(text: string, start: number, end: number): number {
  if (end === start || end - start > 4) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = hexDigit(text.charCodeAt(at));
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

function hexDigit(code: number): number {
  if (code >= zero && code <= zero + 9) return code - zero;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}

/** The last 32 bits written as IPv4. */
function placeIpv4(text: string, at: number, count: number): boolean {
  const word = parseIpv4(text, at);
  if (word < 0 || count > 6) return false;
  groups[count] = word >>> 16;
  groups[count + 1] = word & 0xffff;
  return true;
}

/** Puts the zeros of `::` in; it stands for one group at least (RFC 4291 §2.2). */
function spread(count: number, gap: number): boolean {
  if (count > 7) return false;
  const moved = count - gap;
  for (let i = 0; i < moved; i++) groups[7 - i] = groups[count - 1 - i] as number;
  groups.fill(0, gap, 8 - moved);
  return true;
}

/** Moves `groups` to `words`, IPv4 in IPv6 as IPv4. */
function ipv6Family(): 4 | 6 {
  for (let i = 0; i < 4; i++) words[i] = ((groups[2 * i] as number) * 0x10000 + (groups[2 * i + 1] as number)) >>> 0;
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff ? 4 : 6;
}
