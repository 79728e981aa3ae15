/**
 * Limits of the frame decoder.
 *
 * Together they bound what a peer can make it keep: never more than twice `maxFrameBytes`, besides chunks that were fed and not read.
 */
import { checkWholeNumber } from '@ferrata/error';
import { MAX_MAX_FRAME_BYTES, MIN_MAX_FRAME_BYTES } from './frame-type.ts';

/** Options of a `FrameDecoder`. All limits are whole numbers; going over one is an error of type `limit`. */
export interface FrameDecoderOptions {
  /**
   * Longest payload of a frame: our SETTINGS_MAX_FRAME_SIZE. Default 16 384, which is the least that RFC 9113 §4.2 allows; at most 2^24 - 1.
   * Raising it lets a peer make each connection hold a frame of that size (DATA excepted, which is handed out as it comes), and saves little.
   */
  readonly maxFrameBytes?: number;
  /**
   * CONTINUATION frames behind one HEADERS or PUSH_PROMISE, empty ones included (class of CVE-2024-27316, CVE-2026-33871). Default 8, at least 0.
   * Raising it costs a peer 9 bytes, and us a turn, for each more.
   */
  readonly maxContinuations?: number;
  /**
   * Bytes of one field block: payloads of its frames, padding included, counted before anything is decoded. Default 32 768, at least 0; the
   * smallest size that honours an advertised `maxFrameBytes` is that. Raising it lets a peer have so much more decoded before a list limit holds.
   */
  readonly maxHeaderBlockBytes?: number;
  /** Settings in one frame. Default 32, at least 6 (those of RFC 9113). Raising it costs a turn for each six bytes (class of CVE-2020-11080). */
  readonly maxSettings?: number;
}

/** `FrameDecoderOptions` with every default filled in. */
export interface ResolvedFrameDecoderOptions extends Required<FrameDecoderOptions> {
  readonly isResolved: true;
}

/**
 * Fills in the defaults, once for all connections.
 *
 * @throws {RangeError} when a value makes no sense; the message names the option
 */
export function resolveFrameDecoderOptions(options: FrameDecoderOptions | ResolvedFrameDecoderOptions = {}): ResolvedFrameDecoderOptions {
  if ('isResolved' in options) return options;
  const { maxFrameBytes = MIN_MAX_FRAME_BYTES, maxContinuations = 8, maxHeaderBlockBytes = 32_768, maxSettings = 32 } = options;
  return Object.freeze({
    isResolved: true,
    maxFrameBytes: checkWholeNumber('maxFrameBytes', maxFrameBytes, { min: MIN_MAX_FRAME_BYTES, max: MAX_MAX_FRAME_BYTES }),
    maxContinuations: checkWholeNumber('maxContinuations', maxContinuations, { min: 0, max: MAX_COUNT }),
    maxHeaderBlockBytes: checkWholeNumber('maxHeaderBlockBytes', maxHeaderBlockBytes, { min: 0, max: MAX_COUNT }),
    maxSettings: checkWholeNumber('maxSettings', maxSettings, { min: 6, max: MAX_COUNT }),
  });
}

/** The largest limit: counts are kept in 32 bits. */
const MAX_COUNT = 0x3fff_ffff;
