/**
 * The content codings that `node:zlib` speaks, and how each is asked for.
 *
 * Rules of this file:
 * - What is not there is found out, never assumed: Node has had zstd since 22.15 and 23.8, its dictionaries since 22.19 and 24.6, and other runtimes
 *   have their own `node:zlib`.
 * - Windows are bounded both ways. What we compress takes 512 KiB, so that a thousand responses under way cost a known amount; what others have
 *   compressed may take what their RFC allows and no more, as a frame of a few bytes may else ask for 128 MiB.
 *
 * Sources: RFC 9110 §8.4.1 (gzip, deflate), RFC 7932 (br), RFC 8878 and RFC 9659 (zstd), RFC 9842 (dcz).
 */
import type { Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { concatBytes } from '@ferrata/bytes';
import { unreachable } from '@ferrata/error';
import type { CompressionDictionary } from './compression-dictionary.ts';

/** A coding that responses can be compressed by; `dcz` is zstd with a dictionary that the client has. */
export type CompressionCoding = 'gzip' | 'br' | 'zstd' | 'dcz';

/** A coding that can be taken off a body. */
export type DecodableCoding = 'gzip' | 'deflate' | 'br' | 'zstd';

/** A stream of `node:zlib`. */
export interface ZlibStream extends Transform {
  /** Bytes of the input that the coder has taken. */
  readonly bytesWritten: number;
}

/** How one body is compressed. */
export interface Encoding {
  readonly coding: CompressionCoding;
  /** ≥ 1. */
  readonly level: number;
  /** Of `dcz` only. */
  readonly dictionary: CompressionDictionary | null;
}

/** The most that a level can be; the least is 1, as 0 stands for "off". */
export const MAX_LEVELS: Readonly<Record<CompressionCoding, number>> = { gzip: 9, br: 11, zstd: 19, dcz: 19 };

/** Codings in the usual order, as fast as good: zstd takes a third of the time of br for the same size (64 KiB of JSON: 165 µs, 467, gzip 382). */
export const USUAL_CODINGS: readonly CompressionCoding[] = ['zstd', 'br', 'gzip'];

/** Codings that can be taken off. */
export const DECODABLE_CODINGS: readonly DecodableCoding[] = ['gzip', 'br', 'zstd', 'deflate'];

/** 2^19 bytes, what Pingora takes for brotli: it finds what a page repeats, for an eighth of the memory of brotli's usual 2^22. */
const WINDOW_LOG = 19;
/** RFC 9659 §3: nobody need decode a `zstd` whose window is above 8 MiB. */
const MAX_ZSTD_WINDOW_LOG = 23;
const MAX_OUTPUT_CHUNK = 65_536;
/** No coder adds more to a body that cannot be compressed, up to 64 KiB. */
const OUTPUT_ROOM = 128;

const { constants } = zlib;

/** Whether this runtime has zstd. */
export function isZstdSupported(): boolean {
  return typeof zlib.createZstdCompress === 'function' && typeof zlib.createZstdDecompress === 'function';
}

/** Whether this runtime's zstd takes dictionaries; earlier ones pass over the option without a word, so one is tried. */
export function isZstdDictionarySupported(): boolean {
  if (!isZstdSupported()) return false;
  const sample = new Uint8Array(256).map((_, at) => (at * 167) & 0xff);
  return zlib.zstdCompressSync(sample, { dictionary: sample }).length < zlib.zstdCompressSync(sample).length;
}

/** Whether this runtime can compress by a coding. */
export function canCompress(coding: CompressionCoding): boolean {
  if (coding === 'zstd') return isZstdSupported();
  return coding === 'dcz' ? isZstdDictionarySupported() : true;
}

/** The coding of a name from a field, `x-gzip` for gzip as well (RFC 9110 §8.4.1.3), or null if it cannot be taken off. */
export function decodableCoding(name: string): DecodableCoding | null {
  const lower = name.toLowerCase();
  const coding = lower === 'x-gzip' ? 'gzip' : lower;
  for (const one of DECODABLE_CODINGS) if (one === coding) return one;
  return null;
}

/** A stream that compresses. @param flushes whether what each write gives comes out at once */
export function createEncoder(encoding: Encoding, flushes: boolean): ZlibStream {
  const { coding, level } = encoding;
  switch (coding) {
    case 'gzip':
      return zlib.createGzip({ level, ...(flushes ? { flush: constants.Z_SYNC_FLUSH } : {}) });
    case 'br':
      return zlib.createBrotliCompress({
        params: brotliParams(level, 0),
        ...(flushes ? { flush: constants.BROTLI_OPERATION_FLUSH } : {}),
      });
    case 'zstd':
    case 'dcz':
      return zlib.createZstdCompress({ ...zstdOptions(encoding), ...(flushes ? { flush: constants.ZSTD_e_flush } : {}) });
    default:
      return unreachable(coding);
  }
}

/** Compresses a whole body by one call, on this thread. */
export function encodeWhole(encoding: Encoding, body: Uint8Array): Uint8Array {
  const { coding, level, dictionary } = encoding;
  // One piece of output, and none of zlib's usual 16 KiB for a body of 300 bytes.
  const chunkSize = Math.min(MAX_OUTPUT_CHUNK, body.length + OUTPUT_ROOM);
  switch (coding) {
    case 'gzip':
      return zlib.gzipSync(body, { level, chunkSize });
    case 'br':
      return zlib.brotliCompressSync(body, { chunkSize, params: brotliParams(level, body.length) });
    case 'zstd':
    case 'dcz': {
      const frame = zlib.zstdCompressSync(body, { chunkSize, ...zstdOptions(encoding) });
      return dictionary === null ? frame : concatBytes([dictionary.header, frame]);
    }
    default:
      return unreachable(coding);
  }
}

/** A stream that takes a coding off. @param firstByte of the body: what calls itself deflate may lack zlib's wrapping (RFC 9110 §8.4.1.2, note) */
export function createDecoder(coding: DecodableCoding, firstByte: number): ZlibStream {
  switch (coding) {
    case 'gzip':
      return zlib.createGunzip();
    case 'deflate':
      // A zlib header has 8 in its low nibble (RFC 1950 §2.2); raw, that would be a stored block whose padding isn't zero.
      return (firstByte & 0x0f) === 0x08 ? zlib.createInflate() : zlib.createInflateRaw();
    case 'br':
      return zlib.createBrotliDecompress();
    case 'zstd':
      return zlib.createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: MAX_ZSTD_WINDOW_LOG } });
    default:
      return unreachable(coding);
  }
}

function brotliParams(level: number, length: number): Record<number, number> {
  return {
    [constants.BROTLI_PARAM_QUALITY]: level,
    [constants.BROTLI_PARAM_LGWIN]: WINDOW_LOG,
    // 0: not known.
    [constants.BROTLI_PARAM_SIZE_HINT]: length,
  };
}

function zstdOptions({ level, dictionary }: Encoding): zlib.ZstdOptions {
  const params = {
    [constants.ZSTD_c_compressionLevel]: level,
    [constants.ZSTD_c_windowLog]: dictionary === null ? WINDOW_LOG : dictionary.windowLog,
  };
  return dictionary === null ? { params } : { params, dictionary: dictionary.bytes };
}
