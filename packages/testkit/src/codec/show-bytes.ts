/** How inputs look in the messages of laws and comparisons. */
import { toHex } from '@ferrata/bytes';

/** Bytes as people read them: text with escapes, and hex if that does not say it all. Long ones are cut. */
export function showBytes(bytes: Uint8Array, maxBytes = 1_000): string {
  const shown = bytes.subarray(0, maxBytes);
  let text = '';
  for (const byte of shown) text += escapeOf(byte);
  const rest = bytes.byteLength > maxBytes ? ` … (${bytes.byteLength} bytes)` : '';
  return text.includes('\\x') ? `"${text}" (${toHex(shown)})${rest}` : `"${text}"${rest}`;
}

function escapeOf(byte: number): string {
  switch (byte) {
    case 0x0d:
      return '\\r';
    case 0x0a:
      return '\\n';
    case 0x09:
      return '\\t';
    case 0x22:
      return '\\"';
    case 0x5c:
      return '\\\\';
    default:
      return byte < 0x20 || byte > 0x7e ? `\\x${byte.toString(16).padStart(2, '0')}` : String.fromCharCode(byte);
  }
}
