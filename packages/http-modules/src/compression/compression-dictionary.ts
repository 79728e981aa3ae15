/**
 * Dictionaries of the `dcz` coding: bytes that a client has already, so that a response need only say how it differs from them.
 *
 * ```text
 *   5e 2a 4d 18 20 00 00 00 │ SHA-256 of the dictionary (32) │ zstd frame
 * ```
 *
 * The first eight bytes are a skippable frame of zstd with 32 bytes in it, so that a decoder that has the dictionary reads the whole as it stands.
 * Who hands out dictionaries, by `Use-As-Dictionary`, is the application's business: any response can be one.
 *
 * @see RFC 9842 §2.2 (Available-Dictionary), §5 (dcz)
 */
import { createHash } from 'node:crypto';
import { concatBytes } from '@ferrata/bytes';

/** Bytes that clients may have, ready for use. */
export interface CompressionDictionary {
  readonly bytes: Uint8Array;
  /** SHA-256 in base64, as Available-Dictionary has it between its colons. */
  readonly digest: string;
  /** What a body begins with that is compressed by it. */
  readonly header: Uint8Array;
  /** Of the window that reaches over the dictionary, too. */
  readonly windowLog: number;
}

/** The first bytes of a `dcz` body, in front of the hash. */
export const DCZ_MAGIC: Uint8Array = Uint8Array.of(0x5e, 0x2a, 0x4d, 0x18, 0x20, 0x00, 0x00, 0x00);

/** A dictionary of zstd's own format begins so; it would be read as tables, where clients read every dictionary as mere bytes. */
const ZSTD_DICTIONARY_MAGIC = Uint8Array.of(0x37, 0xa4, 0x30, 0xec);
const LEAST_WINDOW_LOG = 19;
const MAX_WINDOW_LOG = 23;
/** The window reaches no further, so the rest of a longer one would never be used. Every decoder of `dcz` takes such a window (RFC 9842 §5). */
const MAX_DICTIONARY_BYTES = 2 ** MAX_WINDOW_LOG;

/** Makes a dictionary ready. @throws {RangeError} if it is empty, above 8 MiB, or in zstd's own format of dictionaries */
export function compressionDictionary(bytes: Uint8Array): CompressionDictionary {
  if (bytes.length === 0 || bytes.length > MAX_DICTIONARY_BYTES)
    throw new RangeError(`a dictionary must have 1 to ${MAX_DICTIONARY_BYTES} bytes, not ${bytes.length}`);
  if (ZSTD_DICTIONARY_MAGIC.every((byte, at) => bytes[at] === byte))
    throw new RangeError('a dictionary must be plain bytes, not a trained dictionary of zstd');
  const hash = createHash('sha256').update(bytes).digest();
  return Object.freeze({
    bytes,
    digest: hash.toString('base64'),
    header: concatBytes([DCZ_MAGIC, hash]),
    windowLog: Math.min(MAX_WINDOW_LOG, Math.max(LEAST_WINDOW_LOG, Math.ceil(Math.log2(bytes.length * 1.25)))),
  });
}

/**
 * The hash in an Available-Dictionary field: a structured field whose item is a byte sequence.
 *
 * @returns 32 bytes in base64, or null for what is malformed, which counts as absent
 * @see RFC 9842 §2.2, RFC 9651 §3.3.5
 */
export function parseAvailableDictionary(value: string): string | null {
  return /^ *:([A-Za-z0-9+/]{43}=): *(?:;|$)/.exec(value)?.[1] ?? null;
}
