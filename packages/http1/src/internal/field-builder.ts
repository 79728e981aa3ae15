/** Field lines that have been found and validated, made into a `HeaderMap`. */
import { type HeaderMap, idOfNameCode, nameCodeOfBytes, nameOfNameCode } from '@ferrata/headers';
import { OFFSETS_PER_FIELD } from './field-scanner.ts';
import type { SectionReader } from './section-reader.ts';

/**
 * Appends all field lines of a complete section.
 *
 * @param text the section, decoded once: cutting it is three times faster than decoding each field
 */
export function buildFields(reader: SectionReader, text: string, headers: HeaderMap): void {
  const { bytes, base, fields } = reader;
  const { offsets } = fields;
  const end = fields.count * OFFSETS_PER_FIELD;
  for (let i = 0; i < end; i += OFFSETS_PER_FIELD) {
    const nameStart = offsets[i] as number;
    const nameEnd = offsets[i + 1] as number;
    const value = text.substring(offsets[i + 2] as number, offsets[i + 3]);
    const code = nameCodeOfBytes(bytes, base + nameStart, base + nameEnd);
    // A usual name in a usual spelling is one shared string: no cutting, and later comparisons are by pointer.
    const shared = nameOfNameCode(code);
    headers.appendTrusted(shared === '' ? text.substring(nameStart, nameEnd) : shared, idOfNameCode(code), value);
  }
}
