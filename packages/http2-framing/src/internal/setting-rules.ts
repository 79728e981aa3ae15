/** The ranges of the values of settings. @see RFC 9113 §6.5.2 · RFC 8441 §3 · RFC 9218 §2.1 */
import type { FramingReason } from '../errors.ts';
import { MAX_MAX_FRAME_BYTES, MAX_STREAM_ID, MIN_MAX_FRAME_BYTES, SettingId } from '../frame-type.ts';

/** Bytes of one setting: its identifier, 16 bits, and its value, 32 bits. */
export const SETTING_BYTES = 6;

/** The connection error of a setting with this value, null if it may have it. Those that we don't know may have any. */
export function settingRefusal(id: number, value: number): FramingReason | null {
  switch (id) {
    case SettingId.enablePush:
    case SettingId.enableConnectProtocol:
    case SettingId.noRfc7540Priorities:
      return value <= 1 ? null : 'H2_SETTING_VALUE';
    case SettingId.initialWindowSize:
      return value <= MAX_STREAM_ID ? null : 'H2_SETTING_WINDOW';
    case SettingId.maxFrameSize:
      return value >= MIN_MAX_FRAME_BYTES && value <= MAX_MAX_FRAME_BYTES ? null : 'H2_SETTING_VALUE';
    default:
      return null;
  }
}
