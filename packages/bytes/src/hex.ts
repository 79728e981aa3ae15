/** Hexadecimal digits. */

const hexValues: Int8Array = makeHexValues();
const hexPairs: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** The value of an ASCII hex digit, either case: 0 to 15, or -1 for any other byte. */
export function hexValue(byte: number): number {
  return hexValues[byte] ?? -1;
}

/** Two lower-case digits a byte, nothing between. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i++) text += hexPairs[bytes[i] as number];
  return text;
}

/** The reverse of `toHex`, either case. @throws {RangeError} when `text` is not an even number of hex digits */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0) throw new RangeError(`an odd number of hex digits: ${text.length}`);
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    const high = hexValue(text.charCodeAt(2 * i));
    const low = hexValue(text.charCodeAt(2 * i + 1));
    if (high < 0 || low < 0) throw new RangeError(`not a hex digit at index ${high < 0 ? 2 * i : 2 * i + 1}`);
    bytes[i] = (high << 4) | low;
  }
  return bytes;
}

function makeHexValues(): Int8Array {
  const values = new Int8Array(256).fill(-1);
  for (let value = 0; value < 16; value++) {
    const digit = value.toString(16);
    values[digit.charCodeAt(0)] = value;
    values[digit.toUpperCase().charCodeAt(0)] = value;
  }
  return values;
}
