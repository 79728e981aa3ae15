/** The text form of IPv6 addresses (RFC 3986 §3.2.2, RFC 4291 §2.2), without zone. */

/** Dotted decimals without leading zeros, which some readers take for octal. */
const ipv4Address = /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/** Whether `text` is an IPv6 address, without brackets; the last 32 bits may be written as an IPv4 address. */
export function isIpv6Address(text: string): boolean {
  // `::` stands for one or more groups of zeros, and occurs at most once.
  const gap = text.indexOf('::');
  if (gap < 0) return groupCount(text, true) === 8;
  if (text.includes('::', gap + 1)) return false;
  const before = gap === 0 ? 0 : groupCount(text.slice(0, gap), false);
  const after = gap + 2 === text.length ? 0 : groupCount(text.slice(gap + 2), true);
  return before >= 0 && after >= 0 && before + after <= 7;
}

/** The number of 16-bit groups that colon-separated text stands for; −1 if it is malformed. */
function groupCount(text: string, mayEndInIpv4: boolean): number {
  const groups = text.split(':', 9);
  let count = 0;
  for (const [i, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) count += 1;
    else if (mayEndInIpv4 && i === groups.length - 1 && ipv4Address.test(group)) count += 2;
    else return -1;
  }
  return count;
}
