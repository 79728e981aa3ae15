/**
 * The chunked coding read in the plainest way: whole, with expressions, from the grammar of RFC 9112 §7.1. It shares nothing with the decoder
 * that it judges.
 */

/** What was read. `open`: more bytes are needed, or so it seems from what is there. */
export type NaiveBody =
  | { readonly outcome: 'complete'; readonly body: string; readonly trailers: readonly string[]; readonly length: number }
  | { readonly outcome: 'invalid' }
  | { readonly outcome: 'open'; readonly body: string };

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const QUOTED = '"(?:[\\t !#-\\[\\]-~\\x80-\\xff]|\\\\[\\t -~\\x80-\\xff])*"';
const EXTENSION = `[\\t ]*;[\\t ]*${TOKEN}(?:[\\t ]*=[\\t ]*(?:${TOKEN}|${QUOTED}))?`;
const CHUNK_LINE = new RegExp(`^([0-9A-Fa-f]{1,16})((?:${EXTENSION})*)$`);
const FIELD_LINE = new RegExp(`^(${TOKEN}):[\\t ]*([\\t -~\\x80-\\xff]*?)[\\t ]*$`);

/** Limits that the reader shares with the decoder. */
export interface NaiveLimits {
  readonly maxChunkLineBytes: number;
  readonly maxFieldNameBytes: number;
}

const INVALID: NaiveBody = { outcome: 'invalid' };

/** Reads a chunked body from the beginning of `text`. */
export function readNaively(text: string, { maxChunkLineBytes, maxFieldNameBytes }: NaiveLimits): NaiveBody {
  let body = '';
  let at = 0;
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return { outcome: 'open', body };
    const line = CHUNK_LINE.exec(text.slice(at, lineEnd));
    if (line === null) return INVALID;
    const [, digits = '', extensions = ''] = line;
    const size = BigInt(`0x${digits}`);
    if (size > BigInt(Number.MAX_SAFE_INTEGER) || (extensions !== '' && digits.length + extensions.length > maxChunkLineBytes))
      return INVALID;
    at = lineEnd + 2;
    if (size === 0n) break;
    const end = at + Number(size);
    body += text.slice(at, end);
    if (text.length < end + 2) return '\r\n'.startsWith(text.slice(end)) ? { outcome: 'open', body } : INVALID;
    if (!text.startsWith('\r\n', end)) return INVALID;
    at = end + 2;
  }
  const trailers: string[] = [];
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return { outcome: 'open', body };
    if (lineEnd === at) return { outcome: 'complete', body, trailers, length: at + 2 };
    const field = FIELD_LINE.exec(text.slice(at, lineEnd));
    const [, name = '', value = ''] = field ?? [];
    if (field === null || name.length > maxFieldNameBytes) return INVALID;
    trailers.push(`${name}: ${value}`);
    at = lineEnd + 2;
  }
}
