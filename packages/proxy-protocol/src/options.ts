/** Limits of the decoder of PROXY headers: together they bound what a peer can make it keep before anything is known of that peer. */
import { checkWholeNumber } from '@ferrata/error';

/** Options of a `ProxyHeaderDecoder`. */
export interface ProxyHeaderDecoderOptions {
  /**
   * Longest header of version 2, its first 16 bytes included. Default 536, which fits the smallest segment that TCP must carry (specification
   * §2.2) and holds all addresses with 300 bytes of TLVs; 107 to 65 551. Raising it lets whoever may connect have so many bytes kept; a front
   * that sends whole client certificates needs some thousand. Lines of version 1 have at most 107 bytes, whatever is set.
   */
  readonly maxHeaderBytes?: number;
  /** Most TLVs of a header of version 2. Default 32, 0 to 21 845. Raising it costs an object for each three bytes. */
  readonly maxTlvs?: number;
  /** Versions that are read. Default both. A front that is known to send one need not be trusted with the other. */
  readonly versions?: readonly (1 | 2)[];
}

/** `ProxyHeaderDecoderOptions` with every default filled in. */
export interface ResolvedProxyHeaderDecoderOptions {
  readonly isResolved: true;
  readonly maxHeaderBytes: number;
  readonly maxTlvs: number;
  readonly allowsVersion1: boolean;
  readonly allowsVersion2: boolean;
}

/** Longest line of version 1 with its CRLF (specification §2.1). */
export const MAX_LINE_BYTES = 107;
/** Bytes of a header of version 2 before its addresses (specification §2.2). */
export const FIXED_BYTES = 16;

/**
 * Fills in the defaults, once for all connections.
 *
 * @throws {RangeError} when a limit makes no sense; the message names the option
 * @throws {TypeError} when `versions` is not a list of 1 and 2 with at least one of them
 */
export function resolveProxyHeaderDecoderOptions(
  options: ProxyHeaderDecoderOptions | ResolvedProxyHeaderDecoderOptions = {},
): ResolvedProxyHeaderDecoderOptions {
  if ('isResolved' in options) return options;
  const { maxHeaderBytes = 536, maxTlvs = 32, versions = [1, 2] } = options;
  if (!Array.isArray(versions) || versions.length === 0 || versions.some((version) => version !== 1 && version !== 2)) {
    throw new TypeError(`versions must be a list of 1, 2 or both, not ${JSON.stringify(versions)}`);
  }
  return Object.freeze({
    isResolved: true,
    maxHeaderBytes: checkWholeNumber('maxHeaderBytes', maxHeaderBytes, { min: MAX_LINE_BYTES, max: FIXED_BYTES + 0xffff }),
    maxTlvs: checkWholeNumber('maxTlvs', maxTlvs, { max: 21_845 }),
    allowsVersion1: versions.includes(1),
    allowsVersion2: versions.includes(2),
  });
}
