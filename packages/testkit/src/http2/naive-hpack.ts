/** HPACK written in the most obvious way: every field line a literal with its name, never indexed, never Huffman-coded (RFC 7541 §6.2.2). */
import { concatBytes, latin1Encode } from '@ferrata/bytes';
import type { FieldLine } from '../arbitrary/http-fields.ts';

/** A field block that any decoder reads, whatever its table holds, and which changes no table. Text has one byte a character; nothing is checked. */
export function naiveHpackBlock(fields: readonly FieldLine[]): Uint8Array {
  return concatBytes(
    fields.flatMap((field) => [Uint8Array.of(0), ...field.flatMap((text) => [stringLength(text.length), latin1Encode(text)])]),
  );
}

/** An integer with a prefix of 7 bits (RFC 7541 §5.1), without the bit for Huffman. */
function stringLength(length: number): Uint8Array {
  if (length < 127) return Uint8Array.of(length);
  const bytes = [127];
  let rest = length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Uint8Array.from([...bytes, rest]);
}
