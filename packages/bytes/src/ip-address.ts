/**
 * Addresses of IPv4 and IPv6 as text and as bytes in network order.
 *
 * Strict where readers differ, as what two sides read differently must never decide who may come in: numbers of IPv4 are four, decimal and without leading zeros, since some take `010` for 8
 * and `127.1` for `127.0.0.1` (RFC 6943 §3.1.1). What is written is the one text that RFC 5952 recommends, so that equal addresses are equal strings.
 */

/** Reads `127.0.0.1` into the four bytes from `at`. @returns false if it is anything else; `target` may have been written to all the same */
export function readIpv4(text: string, target: Uint8Array, at: number): boolean {
  let value = 0;
  let digits = 0;
  let part = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0x2e) {
      if (digits === 0 || part === 3) return false;
      target[at + part++] = value;
      value = 0;
      digits = 0;
      continue;
    }
    const digit = unit - 0x30;
    if (digit < 0 || digit > 9 || (digits > 0 && value === 0)) return false;
    value = value * 10 + digit;
    if (value > 255) return false;
    digits++;
  }
  if (part !== 3 || digits === 0) return false;
  target[at + 3] = value;
  return true;
}

/**
 * Reads `2001:db8::1` (RFC 4291 §2.2) into the 16 bytes from `at`, in either case; the last 32 bits may be written as IPv4, as in `::ffff:192.0.2.1`. No zone, no brackets.
 *
 * @returns false if it is anything else; `target` may have been written to all the same
 */
export function readIpv6(text: string, target: Uint8Array, at: number): boolean {
  const gap = text.indexOf('::');
  if (gap === -1) return readGroups(text, target, at, 16) === 16;
  const before = gap === 0 ? 0 : readGroups(text.slice(0, gap), target, at, 14, false);
  if (before === -1) return false;
  const tail = text.slice(gap + 2);
  const scratch = new Uint8Array(16);
  const after = tail === '' ? 0 : readGroups(tail, scratch, 0, 14 - before);
  if (after === -1) return false;
  target.fill(0, at + before, at + 16 - after);
  target.set(scratch.subarray(0, after), at + 16 - after);
  return true;
}

/** @returns the bytes written, -1 if the text is no run of groups or has more than `maxBytes` */
function readGroups(text: string, target: Uint8Array, at: number, maxBytes: number, mayEndInIpv4 = true): number {
  let written = 0;
  for (let start = 0; start <= text.length; ) {
    let end = text.indexOf(':', start);
    if (end === -1) end = text.length;
    const isLast = end === text.length;
    const room = maxBytes - written;
    if (isLast && mayEndInIpv4 && room >= 4 && readIpv4(text.slice(start, end), target, at + written)) return written + 4;
    const group = readGroup(text, start, end);
    if (group === -1 || room < 2) return -1;
    target[at + written] = group >>> 8;
    target[at + written + 1] = group & 0xff;
    written += 2;
    start = end + 1;
  }
  return written;
}

function readGroup(text: string, start: number, end: number): number {
  if (end === start || end - start > 4) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const unit = text.charCodeAt(i);
    const digit = unit <= 0x39 ? unit - 0x30 : (unit | 0x20) - 0x61 + 10;
    if (digit < 0 || digit > 15 || (unit > 0x39 && digit < 10)) return -1;
    value = (value << 4) | digit;
  }
  return value;
}

/** Writes four bytes as `127.0.0.1`. */
export function formatIpv4(bytes: Uint8Array, at: number): string {
  return `${bytes[at] as number}.${bytes[at + 1] as number}.${bytes[at + 2] as number}.${bytes[at + 3] as number}`;
}

/** Writes 16 bytes as RFC 5952 §4 and §5 have it: lower case, the longest run of zeros cut, IPv4-mapped addresses with their dots. */
export function formatIpv6(bytes: Uint8Array, at: number): string {
  return isIpv4Mapped(bytes, at) ? `::ffff:${formatIpv4(bytes, at + 12)}` : formatIpv6Groups(bytes, at);
}

/** The same in groups only, for those who know no dots in IPv6. */
export function formatIpv6Groups(bytes: Uint8Array, at: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[at + i] as number) << 8) | (bytes[at + i + 1] as number));
  const [start, length] = longestZeros(groups);
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  // RFC 5952 §4.2.2: one group of zeros alone is not cut.
  return length < 2 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/** Whether 16 bytes are of `::ffff:0:0/96` (RFC 4291 §2.5.5.2): an IPv4 address as a socket of both families shows it. */
export function isIpv4Mapped(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false;
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
}

/** @returns where the first of the longest runs of zeros begins, and how many groups it has */
function longestZeros(groups: readonly number[]): readonly [start: number, length: number] {
  let best = 0;
  let bestLength = 0;
  let length = 0;
  for (let i = 0; i < groups.length; i++) {
    length = groups[i] === 0 ? length + 1 : 0;
    if (length > bestLength) {
      bestLength = length;
      best = i - length + 1;
    }
  }
  return [best, bestLength];
}
