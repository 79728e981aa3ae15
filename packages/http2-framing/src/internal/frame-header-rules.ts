/**
 * What a frame header alone can do wrong: on which streams a type may come, and how long its payload may be.
 *
 * Decided before any byte of the payload is looked at or kept. Sequence and limits are the decoder's, as they need its state.
 *
 * @see RFC 9113 §4.2, §6.1–§6.10 · RFC 9218 §7.1
 */
import type { FramingReason } from '../errors.ts';
import { FrameFlag, FrameType } from '../frame-type.ts';
import { SETTING_BYTES } from './setting-rules.ts';

/** Bytes of the fields that stand before everything else in a payload. */
export const PRIORITY_FIELDS_BYTES = 5;
export const STREAM_ID_BYTES = 4;

/** Bits of `HEADER_RULES`; the bits above them are the one length that the type may have, 0 if it may have several. */
export const HeaderRule = { needsStream: 1, needsConnection: 2, isSpecial: 4, fixedLengthShift: 3 } as const;

const { needsStream, needsConnection, isSpecial, fixedLengthShift } = HeaderRule;

/**
 * The rules of each type, by its number; 0 for unknown ones. `isSpecial` types have to be looked at closer: `lengthRefusal`, field blocks.
 *
 * A table, since a `switch` over all types at each header costs as much as the rest of a small frame.
 */
export const HEADER_RULES: Uint8Array = rulesOf([
  [FrameType.data, needsStream],
  [FrameType.headers, needsStream | isSpecial],
  [FrameType.priority, needsStream],
  [FrameType.rstStream, needsStream | (4 << fixedLengthShift)],
  [FrameType.settings, needsConnection | isSpecial],
  [FrameType.pushPromise, needsStream | isSpecial],
  [FrameType.ping, needsConnection | (8 << fixedLengthShift)],
  [FrameType.goaway, needsConnection | isSpecial],
  [FrameType.windowUpdate, 4 << fixedLengthShift],
  [FrameType.continuation, needsStream | isSpecial],
  [FrameType.priorityUpdate, needsConnection | isSpecial],
]);

/** Which rule of its type a frame header breaks, of which one is broken. @param rule of `HEADER_RULES` */
export function headerRefusal(rule: number, streamId: number, length: number, maxFrameBytes: number): FramingReason {
  if (length > maxFrameBytes) return 'H2_FRAME_TOO_LARGE';
  if (streamId === 0 && (rule & needsStream) !== 0) return 'H2_STREAM_ID_MISSING';
  return streamId !== 0 && (rule & needsConnection) !== 0 ? 'H2_STREAM_ID_UNEXPECTED' : 'H2_FRAME_SIZE';
}

/**
 * The connection error of a frame that may have several lengths, but not this one; null if it may.
 *
 * A wrong length is a stream error for PRIORITY alone (RFC 9113 §6.3), which is not looked at here. For DATA without room for its padding it could
 * be one (§4.2); we take the stricter choice that §5.4.1 leaves, as no honest peer sends it.
 */
export function lengthRefusal(type: number, flags: number, length: number, maxSettings: number): FramingReason | null {
  if (type === FrameType.settings) {
    if ((flags & FrameFlag.ack) !== 0) return length === 0 ? null : 'H2_SETTINGS_ACK_NOT_EMPTY';
    if (length % SETTING_BYTES !== 0) return 'H2_FRAME_SIZE';
    return length > maxSettings * SETTING_BYTES ? 'H2_SETTINGS_TOO_MANY' : null;
  }
  const isPadded = (flags & FrameFlag.padded) !== 0 && (type <= FrameType.headers || type === FrameType.pushPromise);
  return length < fieldBytes(type, flags) + (isPadded ? 1 : 0) ? 'H2_FRAME_SIZE' : null;
}

/** Bytes of the fields that a payload cannot be without, padding apart. */
export function fieldBytes(type: number, flags: number): number {
  switch (type) {
    case FrameType.headers:
      return (flags & FrameFlag.priority) === 0 ? 0 : PRIORITY_FIELDS_BYTES;
    case FrameType.pushPromise:
    case FrameType.priorityUpdate:
      return STREAM_ID_BYTES;
    case FrameType.goaway:
      return 8;
    default:
      return 0;
  }
}

function rulesOf(rules: readonly (readonly [type: number, rule: number])[]): Uint8Array {
  const table = new Uint8Array(0x100);
  for (const [type, rule] of rules) table[type] = rule;
  return table;
}
