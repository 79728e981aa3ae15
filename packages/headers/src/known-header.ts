/**
 * The well-known field names, each with a small number.
 *
 * With the number, `HeaderMap` answers "is there a Content-Length?" by one bit, and sets of fields are two machine words. The numbers are an
 * agreement inside one process: never write them to a wire or a file. 1 to 62 are names, 0 means "any other name".
 *
 * Recognition is exact on any input: a perfect hash over (length, first character, last character) picks the only candidate, then every
 * character is compared, with the case of A to Z ignored and of nothing else. (`byte | 0x20` alone would take CR for a hyphen.)
 */

/** The number of each well-known field name, under its name in camel case. */
export const KnownHeader = {
  // Framing and routing.
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  // Hop-by-hop and negotiation between neighbours.
  keepAlive: 5,
  proxyConnection: 6,
  te: 7,
  trailer: 8,
  upgrade: 9,
  expect: 10,
  http2Settings: 11,
  proxyAuthenticate: 12,
  proxyAuthorization: 13,
  // Both ways.
  date: 14,
  server: 15,
  contentType: 16,
  contentEncoding: 17,
  contentDisposition: 18,
  contentRange: 19,
  cacheControl: 20,
  pragma: 21,
  via: 22,
  link: 23,
  priority: 24,
  // Requests.
  accept: 25,
  acceptEncoding: 26,
  acceptLanguage: 27,
  userAgent: 28,
  referer: 29,
  origin: 30,
  cookie: 31,
  authorization: 32,
  ifMatch: 33,
  ifNoneMatch: 34,
  ifModifiedSince: 35,
  ifUnmodifiedSince: 36,
  ifRange: 37,
  range: 38,
  maxForwards: 39,
  // What proxies say about requests.
  forwarded: 40,
  xForwardedFor: 41,
  xForwardedProto: 42,
  xForwardedHost: 43,
  xRealIp: 44,
  xRequestId: 45,
  traceparent: 46,
  // Responses.
  setCookie: 47,
  location: 48,
  etag: 49,
  lastModified: 50,
  expires: 51,
  age: 52,
  vary: 53,
  acceptRanges: 54,
  retryAfter: 55,
  allow: 56,
  wwwAuthenticate: 57,
  // The WebSocket handshake.
  secWebSocketKey: 58,
  secWebSocketAccept: 59,
  secWebSocketVersion: 60,
  secWebSocketProtocol: 61,
  secWebSocketExtensions: 62,
} as const;

/** The number of a well-known field name, 1 to 62. */
export type KnownHeader = (typeof KnownHeader)[keyof typeof KnownHeader];

/** Every name as it is usually written, by number; this list and `KnownHeader` have the same order. */
const canonicalNames: readonly string[] = [
  '',
  'Host',
  'Connection',
  'Content-Length',
  'Transfer-Encoding',
  'Keep-Alive',
  'Proxy-Connection',
  'TE',
  'Trailer',
  'Upgrade',
  'Expect',
  'HTTP2-Settings',
  'Proxy-Authenticate',
  'Proxy-Authorization',
  'Date',
  'Server',
  'Content-Type',
  'Content-Encoding',
  'Content-Disposition',
  'Content-Range',
  'Cache-Control',
  'Pragma',
  'Via',
  'Link',
  'Priority',
  'Accept',
  'Accept-Encoding',
  'Accept-Language',
  'User-Agent',
  'Referer',
  'Origin',
  'Cookie',
  'Authorization',
  'If-Match',
  'If-None-Match',
  'If-Modified-Since',
  'If-Unmodified-Since',
  'If-Range',
  'Range',
  'Max-Forwards',
  'Forwarded',
  'X-Forwarded-For',
  'X-Forwarded-Proto',
  'X-Forwarded-Host',
  'X-Real-IP',
  'X-Request-Id',
  'traceparent',
  'Set-Cookie',
  'Location',
  'ETag',
  'Last-Modified',
  'Expires',
  'Age',
  'Vary',
  'Accept-Ranges',
  'Retry-After',
  'Allow',
  'WWW-Authenticate',
  'Sec-WebSocket-Key',
  'Sec-WebSocket-Accept',
  'Sec-WebSocket-Version',
  'Sec-WebSocket-Protocol',
  'Sec-WebSocket-Extensions',
];
const lowerNames: readonly string[] = canonicalNames.map((name) => name.toLowerCase());

/** The name of number `id` in lower case. @throws {RangeError} if `id` is not the number of a name */
export function knownName(id: KnownHeader): string {
  return nameIn(lowerNames, id);
}

/** The name of number `id` as it is usually written: `Content-Length`, `ETag`, `TE`. @throws {RangeError} if `id` is not the number of a name */
export function canonicalName(id: KnownHeader): string {
  return nameIn(canonicalNames, id);
}

function nameIn(names: readonly string[], id: number): string {
  const name = names[id];
  if (name === undefined || id === 0) throw new RangeError(`no well-known field name has the number ${id}`);
  return name;
}

/** The number of a name in any case, 0 if it is not well known. */
export function wellKnownId(name: string): KnownHeader | 0 {
  const id = candidate(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1));
  // Literals and names that a decoder interned are the same string, so this costs a comparison of pointers.
  if (id === 0 || name === canonicalNames[id] || name === lowerNames[id]) return id;
  return spellsIgnoringCase(name, 0, id) ? id : 0;
}

/** Like `wellKnownId`, for the part of `text` from `start` up to `end`, which is not cut out. */
export function wellKnownIdWithin(text: string, start: number, end: number): KnownHeader | 0 {
  const id = candidate(end - start, text.charCodeAt(start), text.charCodeAt(end - 1));
  return id !== 0 && spellsIgnoringCase(text, start, id) ? id : 0;
}

/** Like `wellKnownId`, for bytes from `start` up to `end`; for decoders that do not care how the name was written. */
export function wellKnownIdOfBytes(bytes: Uint8Array, start: number, end: number): KnownHeader | 0 {
  const length = end - start;
  if (length < MIN_LENGTH || length > MAX_LENGTH) return 0;
  const id = candidate(length, bytes[start] as number, bytes[end - 1] as number);
  return id !== 0 && bytesSpellIgnoringCase(bytes, start, id) ? id : 0;
}

/**
 * Recognises the name in the bytes of `view` from `start` up to `end` and how it is written, in one pass; for decoders.
 *
 * ```text
 *   7      6      5 … 0
 * ┌──────┬──────┬───────┐     0               not a well-known name
 * │ other│canon.│  id   │     id              written in lower case
 * └──────┴──────┴───────┘     id + 64         written as canonicalName(id)
 *                             id + 128        well known, in some other case
 * ```
 *
 * By a view, as a name lies anywhere: comparing words instead of bytes takes half the time.
 *
 * @returns a code for `idOfNameCode` and `nameOfNameCode`
 */
export function nameCodeIn(view: DataView, start: number, end: number): number {
  const length = end - start;
  if (length < MIN_LENGTH || length > MAX_LENGTH) return 0;
  const first = view.getUint8(start);
  const id = candidate(length, first, view.getUint8(end - 1));
  if (id === 0) return 0;
  // Only two spellings are common on the wire, and the case of the first letter tells which of them it can be.
  const code = (first & 0x20) !== 0 ? id : id + CANONICAL_SPELLING;
  if (spellsCode(view, start, end, code)) return code;
  return viewSpellsIgnoringCase(view, start, id) ? id + OTHER_SPELLING : 0;
}

/** The number of the name behind a code of `nameCodeIn`, 0 if it is not well known. */
export function idOfNameCode(code: number): KnownHeader | 0 {
  return (code & ID_MASK) as KnownHeader | 0;
}

/** The very name that was read, if it is a shared string; the empty string if the decoder must cut it from the wire itself. */
export function nameOfNameCode(code: number): string {
  return namesByCode[code] ?? '';
}

const CANONICAL_SPELLING = 64;
const OTHER_SPELLING = 128;
const ID_MASK = 63;

/** The shared strings: by number in lower case, 64 further in the usual spelling; beyond, other spellings, the empty string. */
const namesByCode: readonly string[] = [...paddedTo64(lowerNames), ...paddedTo64(canonicalNames), ...paddedTo64([]), ...paddedTo64([])];

const MIN_LENGTH = 2;
const MAX_LENGTH = 24;
/** Bytes of a name in the tables, a power of two above `MAX_LENGTH`, so that a zero follows every name. */
const ROW = 32;
const lengths: Uint8Array = Uint8Array.from(lowerNames, (name) => name.length);
const lowerBytes: Uint8Array = bytesOf(lowerNames);
/** `namesByCode`, four bytes a word, little-endian: comparing words instead of bytes halves the time of recognition. */
const wordsByCode: Int32Array = wordsOf(bytesOf(namesByCode));
const idBySlot: Uint8Array = hashTable();

function paddedTo64(names: readonly string[]): string[] {
  return Array.from({ length: 64 }, (_, id) => names[id] ?? '');
}

function bytesOf(names: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(names.length * ROW);
  names.forEach((name, row) => {
    for (let i = 0; i < name.length; i++) bytes[row * ROW + i] = name.charCodeAt(i);
  });
  return bytes;
}

function wordsOf(bytes: Uint8Array): Int32Array {
  return Int32Array.from({ length: bytes.length / 4 }, (_, word) => wordAt(bytes, word * 4));
}

function hashTable(): Uint8Array {
  const table = new Uint8Array(256);
  lowerNames.forEach((name, id) => {
    if (id !== 0) table[slotOf(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1))] = id;
  });
  return table;
}

/** The multipliers were found by search: no two of the 62 names share a slot. A new name needs a new search (a test says so). */
function slotOf(length: number, first: number, last: number): number {
  return (length + (first | 0x20) * 12 + (last | 0x20) * 56) & 0xff;
}

/** The only well-known name of this length and these ends, if there is one; its characters remain to be compared. */
function candidate(length: number, first: number, last: number): KnownHeader | 0 {
  const id = idBySlot[slotOf(length, first, last)] as KnownHeader | 0;
  return lengths[id] === length ? id : 0;
}

/** Whether the bytes are exactly the name with this code, whose length they have. */
function spellsCode(view: DataView, start: number, end: number, code: number): boolean {
  let word = code * (ROW / 4);
  let at = start;
  for (; at + 4 <= end; at += 4, word++) if (view.getInt32(at, true) !== wordsByCode[word]) return false;
  const rest = end - at;
  return rest === 0 || lastWordAt(view, at, rest) === wordsByCode[word];
}

/** The first `count` bytes of a word, 1 to 3, and zeros. */
function lastWordAt(view: DataView, at: number, count: number): number {
  if (at + 4 <= view.byteLength) return view.getInt32(at, true) & ((1 << (count * 8)) - 1);
  let word = 0;
  for (let i = 0; i < count; i++) word |= view.getUint8(at + i) << (i * 8);
  return word;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
}

function viewSpellsIgnoringCase(view: DataView, start: number, id: number): boolean {
  const length = lengths[id] as number;
  for (let i = 0; i < length; i++) if (!isSameLetter(view.getUint8(start + i), lowerBytes[id * ROW + i] as number)) return false;
  return true;
}

function bytesSpellIgnoringCase(bytes: Uint8Array, start: number, id: number): boolean {
  const length = lengths[id] as number;
  for (let i = 0; i < length; i++) if (!isSameLetter(bytes[start + i] as number, lowerBytes[id * ROW + i] as number)) return false;
  return true;
}

function spellsIgnoringCase(text: string, start: number, id: number): boolean {
  const length = lengths[id] as number;
  for (let i = 0; i < length; i++) if (!isSameLetter(text.charCodeAt(start + i), lowerBytes[id * ROW + i] as number)) return false;
  return true;
}

/** `lower` comes from the table: a letter, a digit or a hyphen. Only a letter has an upper case 0x20 below it. */
function isSameLetter(code: number, lower: number): boolean {
  return code === lower || (code + 0x20 === lower && lower >= 0x61);
}
