/** Options of `compression`, parsed once. */
import { checkWholeNumber } from '@ferrata/error';
import { type CompressionDictionary, compressionDictionary } from './compression-dictionary.ts';
import {
  type CompressionCoding,
  canCompress,
  DECODABLE_CODINGS,
  type DecodableCoding,
  isZstdSupported,
  MAX_LEVELS,
  USUAL_CODINGS,
} from './content-coding.ts';
import { ContentTypes, USUAL_EXCEPT_TYPES, USUAL_TYPES } from './content-types.ts';
import { type InflateLimits, resolveInflateLimits } from './inflate-limits.ts';

/** How hard to compress, by coding: 1 (fast) to the number given (small), 0 is off. */
export interface CompressionLevels {
  /** To 9; default 4, half the time of zlib's own 6 for 4 % more bytes. */
  readonly gzip?: number;
  /** To 11; default 4. From 10 on it takes a second for a megabyte. */
  readonly br?: number;
  /** To 19; default 3. */
  readonly zstd?: number;
  /** To 19; default 3. */
  readonly dcz?: number;
}

/** What may be set anew for one exchange, by `CompressionModule.adjust`. */
export interface CompressionSettings {
  /** Those left out stay. */
  readonly levels?: CompressionLevels;
  /** Whether a coding that the client doesn't accept is taken off: true for all that can be, or a list. Default false. Each such body takes the window of its coding: up to 16 MiB for br, 8 for zstd. */
  readonly decompress?: boolean | readonly DecodableCoding[];
  /** Whether a strong ETag stays strong, for origins that compare by If-Match. Default false: the bytes are not the ones it was given for. */
  readonly preserveEtag?: boolean;
}

/** Options of `compression`. */
export interface CompressionOptions extends CompressionSettings, Partial<InflateLimits> {
  /** The codings to offer, the favourite first. Default: `dcz` if there are dictionaries, `zstd`, `br`, `gzip`, of which those that this runtime has. */
  readonly codings?: readonly CompressionCoding[];
  /**
   * Bodies that are known to be shorter are left; default 256, under which a code is hardly shorter than what it stands for (256 bytes of JSON: 115 to
   * 145, 100 bytes: 80 to 105). Pingora has 20.
   */
  readonly minBytes?: number;
  /** Media types to compress, `*` for any characters. Default `USUAL_TYPES`. gRPC is never compressed. */
  readonly types?: readonly string[];
  /** Media types among them to leave. Default `USUAL_EXCEPT_TYPES`. */
  readonly exceptTypes?: readonly string[];
  /**
   * When what is compressed goes out at once. `pieces` (default): behind what was sent in one tick of a body whose length isn't known, as that may be all for a while; it costs 1 % of
   * size where that is 16 KiB, 5 to 8 for 4 KiB, 20 to 60 for 1 KiB. `events`: only of `text/event-stream`.
   */
  readonly flush?: 'pieces' | 'events';
  /** Dictionaries that clients may have, 1 byte to 8 MiB each. Default none. */
  readonly dictionaries?: readonly Uint8Array[];
}

/** The settings of one exchange, complete. */
export interface ResolvedSettings {
  readonly levels: Readonly<Record<CompressionCoding, number>>;
  readonly decompress: readonly DecodableCoding[];
  readonly preserveEtag: boolean;
}

/** The options, complete. */
export interface ResolvedCompression {
  readonly settings: ResolvedSettings;
  readonly codings: readonly CompressionCoding[];
  readonly minBytes: number;
  readonly types: ContentTypes;
  readonly flush: 'pieces' | 'events';
  /** By the digest in base64. */
  readonly dictionaries: ReadonlyMap<string, CompressionDictionary>;
  readonly limits: InflateLimits;
}

const MAX_DICTIONARIES = 64;
const USUAL_SETTINGS: ResolvedSettings = Object.freeze({
  levels: Object.freeze({ gzip: 4, br: 4, zstd: 3, dcz: 3 }),
  decompress: Object.freeze([]),
  preserveEtag: false,
});

/** Parses the options. @throws {RangeError} when one makes no sense, or asks for what this runtime lacks */
export function resolveCompressionOptions(options: CompressionOptions = {}): ResolvedCompression {
  const dictionaries = (options.dictionaries ?? []).map(compressionDictionary);
  if (dictionaries.length > MAX_DICTIONARIES)
    throw new RangeError(`dictionaries must be at most ${MAX_DICTIONARIES}, not ${dictionaries.length}`);
  const flush = options.flush ?? 'pieces';
  if (flush !== 'pieces' && flush !== 'events') throw new RangeError(`flush must be pieces or events, not ${String(flush)}`);
  return Object.freeze({
    settings: resolveSettings(options, USUAL_SETTINGS),
    codings: Object.freeze(resolveCodings(options.codings, dictionaries.length > 0)),
    minBytes: checkWholeNumber('minBytes', options.minBytes ?? 256),
    types: new ContentTypes(options.types ?? USUAL_TYPES, options.exceptTypes ?? USUAL_EXCEPT_TYPES),
    flush,
    dictionaries: new Map(dictionaries.map((one) => [one.digest, one])),
    limits: Object.freeze(resolveInflateLimits(options)),
  });
}

/** Lays settings over others. @throws {RangeError} when one makes no sense */
export function resolveSettings(settings: CompressionSettings, base: ResolvedSettings): ResolvedSettings {
  const { levels = {}, decompress, preserveEtag = base.preserveEtag } = settings;
  for (const name of Object.keys(levels)) if (!Object.hasOwn(MAX_LEVELS, name)) throw new RangeError(`levels: there is no coding ${name}`);
  const levelOf = (coding: CompressionCoding): number =>
    checkWholeNumber(`levels.${coding}`, levels[coding] ?? base.levels[coding], { max: MAX_LEVELS[coding] });
  return Object.freeze({
    levels: Object.freeze({ gzip: levelOf('gzip'), br: levelOf('br'), zstd: levelOf('zstd'), dcz: levelOf('dcz') }),
    decompress: decompress === undefined ? base.decompress : Object.freeze(resolveDecodable('decompress', decompress)),
    preserveEtag,
  });
}

/** The codings that an option names, or all. @throws {RangeError} for one that is not known, or that this runtime lacks */
export function resolveDecodable(option: string, wanted: boolean | readonly DecodableCoding[]): DecodableCoding[] {
  if (wanted === false) return [];
  if (wanted === true) return DECODABLE_CODINGS.filter((coding) => coding !== 'zstd' || isZstdSupported());
  for (const coding of wanted) {
    if (!DECODABLE_CODINGS.includes(coding)) throw new RangeError(`${option}: there is no coding ${coding} to take off`);
    if (coding === 'zstd' && !isZstdSupported()) throw new RangeError(`${option}: this runtime has no zstd`);
  }
  return [...wanted];
}

function resolveCodings(wanted: readonly CompressionCoding[] | undefined, hasDictionaries: boolean): CompressionCoding[] {
  if (wanted === undefined) {
    const usual = hasDictionaries ? (['dcz', ...USUAL_CODINGS] as const) : USUAL_CODINGS;
    return usual.filter(canCompress);
  }
  for (const coding of wanted) {
    if (!Object.hasOwn(MAX_LEVELS, coding)) throw new RangeError(`codings: there is no coding ${coding}`);
    if (!canCompress(coding)) throw new RangeError(`codings: this runtime cannot compress by ${coding}`);
    if (coding === 'dcz' && !hasDictionaries) throw new RangeError('codings: dcz needs dictionaries');
  }
  if (new Set(wanted).size < wanted.length) throw new RangeError('codings: a coding is listed twice');
  return [...wanted];
}
