/** ASCII rules that protocols share: case, digits. Bytes and characters above 0x7F are never touched. */

/** Lower-cases A to Z and nothing else (`toLowerCase` would turn U+212A, the Kelvin sign, into `k`). */
export function asciiLowerCase(text: string): string {
  let hasUpper = false;
  let seen = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    seen |= unit;
    hasUpper ||= isUpper(unit);
  }
  if (!hasUpper) return text;
  return seen < 0x80 ? text.toLowerCase() : text.replace(/[A-Z]+/g, (run) => run.toLowerCase());
}

/** True if both texts are the same but for the case of A to Z. */
export function equalsAsciiIgnoreCase(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // 0x20 is the only bit in which the two cases of a letter differ.
    if ((x ^ y) !== 0x20 || !isUpper(x & ~0x20)) return false;
  }
  return true;
}

/**
 * Reads `1*DIGIT`: no sign, no blank, no other digits than 0 to 9; leading zeros are allowed.
 *
 * @returns the number, or -1 if `text` is anything else or above 2⁵³ − 1
 */
export function parseDecimal(text: string): number {
  if (text.length === 0) return -1;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    // Exact up to the check: the value before was safe, and ten times that is still far from where doubles lose order.
    value = value * 10 + digit;
    if (value > Number.MAX_SAFE_INTEGER) return -1;
  }
  return value;
}

function isUpper(unit: number): boolean {
  return unit >= 0x41 && unit <= 0x5a;
}
