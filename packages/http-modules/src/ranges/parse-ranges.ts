/** The Range field. @see RFC 9110 §14.1.1, §14.1.2, §14.2 */
import { parseDecimal } from '@ferrata/bytes';

/** Bytes of a representation, both ends included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/** One member: `0-499`, `500-` or `-500`. */
const MEMBER = /^[ \t]*(\d*)-(\d*)[ \t]*$/;

/**
 * What a Range field asks of a representation.
 *
 * Members that no byte can satisfy (`2-1`, `10-11` of 10 bytes, `-0`) are left out. A field that asks for the same byte twice, or for bytes out of order, is ignored as a
 * whole: whoever needs that is nobody, and whoever wants to cost us much asks just so (RFC 9110 §17.15).
 *
 * @param length of the representation, ≥ 0
 * @param maxParts the most members, those that cannot be satisfied included
 * @returns the ranges, ascending and apart; none: it cannot be satisfied (416); null: the field is ignored
 */
export function parseRanges(value: string, length: number, maxParts: number): readonly ByteRange[] | null {
  const equals = value.indexOf('=');
  if (equals < 0 || value.slice(0, equals).trim().toLowerCase() !== 'bytes') return null;
  const set = value.slice(equals + 1);
  if (set.trim() === '') return [];
  // One more is enough to know that there are too many.
  const members = set.split(',', maxParts + 1);
  if (members.length > maxParts) return null;
  const ranges: ByteRange[] = [];
  let end = -1;
  for (const member of members) {
    const match = MEMBER.exec(member);
    if (match === null) return null;
    const range = resolveMember(match[1] as string, match[2] as string, length);
    if (range === null) continue;
    if (range.first <= end) return null;
    end = range.last;
    ranges.push(range);
  }
  return ranges;
}

/** @returns null if no byte can satisfy it */
function resolveMember(first: string, last: string, length: number): ByteRange | null {
  const end = length - 1;
  if (first === '') {
    if (last === '') return null;
    const count = boundedDecimal(last, length);
    return count === 0 ? null : { first: length - count, last: end };
  }
  const start = boundedDecimal(first, length);
  const stop = last === '' ? end : boundedDecimal(last, end);
  return start > end || stop < start ? null : { first: start, last: stop };
}

/** The number, or the bound where it is more: also for digits beyond what a number can hold. */
function boundedDecimal(digits: string, bound: number): number {
  const value = parseDecimal(digits);
  return value < 0 || value > bound ? bound : value;
}
