/** Which media types are worth compressing. */
import { isFieldValue } from '@ferrata/headers';

/**
 * What Pingora compresses: text, applications, fonts, and images that are lists of numbers.
 *
 * Patterns of `types` and `exceptTypes`: a media type in lower case, `*` stands for any characters.
 */
export const USUAL_TYPES: readonly string[] = [
  'text/*',
  'application/*',
  'font/*',
  'image/svg+xml',
  'image/x-icon',
  'image/vnd.microsoft.icon',
  'image/bmp',
  'binary/octet-stream',
];

/** What is compressed by nature. The first is Pingora's own exception, and covers gzip, bzip, x-zip-compressed and epub+zip. */
export const USUAL_EXCEPT_TYPES: readonly string[] = [
  '*zip*',
  'font/woff*',
  'application/font-woff*',
  'application/x-font-woff*',
  'application/*compressed*',
  'application/vnd.rar',
  'application/zstd',
  'application/x-xz',
  'application/java-archive',
  'application/vnd.android.package-archive',
  'application/vnd.openxmlformats-officedocument.*',
  'application/pdf',
];

/** gRPC compresses its messages itself, each apart, and its framing is not ours to hide. Not an option. */
const GRPC = 'application/grpc';
const EVENT_STREAM = 'text/event-stream';
/** No registered type is longer, and the patterns are looked for in no more than this. */
const MAX_TYPE_LENGTH = 255;
const MAX_WILDCARDS = 2;

/** The media type of a Content-Type field: lower case, without parameters. */
export function mediaTypeOf(contentType: string | undefined): string {
  if (contentType === undefined) return '';
  const end = contentType.indexOf(';');
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

/** Server-sent events: each must reach the client when it is sent. */
export function isEventStream(mediaType: string): boolean {
  return mediaType === EVENT_STREAM;
}

/** A set of media types. */
export class ContentTypes {
  readonly #included: RegExp;
  readonly #excluded: RegExp;

  /** @throws {RangeError} for a pattern that no media type can match */
  constructor(types: readonly string[], exceptTypes: readonly string[]) {
    this.#included = patternOf('types', types);
    this.#excluded = patternOf('exceptTypes', exceptTypes);
  }

  has(mediaType: string): boolean {
    if (mediaType.length > MAX_TYPE_LENGTH || mediaType.startsWith(GRPC)) return false;
    return this.#included.test(mediaType) && !this.#excluded.test(mediaType);
  }
}

function patternOf(option: string, patterns: readonly string[]): RegExp {
  const sources = patterns.map((pattern) => {
    const isPattern = typeof pattern === 'string' && pattern !== '' && isFieldValue(pattern) && !/[A-Z;\s]/.test(pattern);
    if (!isPattern || pattern.split('*').length > MAX_WILDCARDS + 1)
      throw new RangeError(`${option}: not a media type in lower case with at most ${MAX_WILDCARDS} wildcards: ${JSON.stringify(pattern)}`);
    return pattern.split('*').map(escaped).join('.*');
  });
  return new RegExp(`^(?:${sources.length === 0 ? '(?!)' : sources.join('|')})$`);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
