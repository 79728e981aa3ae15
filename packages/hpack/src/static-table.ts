/** The static table (RFC 7541 §2.3.1, Appendix A): 61 fields that every HPACK endpoint knows, from index 1 on. */

/** Entries of the static table; the newest entry of the dynamic one has the index behind (RFC 7541 §2.3.3). */
export const STATIC_TABLE_LENGTH = 61;

/** What an entry counts beside its name and value (RFC 7541 §4.1). */
export const ENTRY_OVERHEAD = 32;

/** `STATIC_TABLE[index]` is `[name, value]`; index 0 is no field and stands for itself as two empty strings. */
export const STATIC_TABLE: readonly (readonly [name: string, value: string])[] = Object.freeze([
  ['', ''],
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language', ''],
  ['accept-ranges', ''],
  ['accept', ''],
  ['access-control-allow-origin', ''],
  ['age', ''],
  ['allow', ''],
  ['authorization', ''],
  ['cache-control', ''],
  ['content-disposition', ''],
  ['content-encoding', ''],
  ['content-language', ''],
  ['content-length', ''],
  ['content-location', ''],
  ['content-range', ''],
  ['content-type', ''],
  ['cookie', ''],
  ['date', ''],
  ['etag', ''],
  ['expect', ''],
  ['expires', ''],
  ['from', ''],
  ['host', ''],
  ['if-match', ''],
  ['if-modified-since', ''],
  ['if-none-match', ''],
  ['if-range', ''],
  ['if-unmodified-since', ''],
  ['last-modified', ''],
  ['link', ''],
  ['location', ''],
  ['max-forwards', ''],
  ['proxy-authenticate', ''],
  ['proxy-authorization', ''],
  ['range', ''],
  ['referer', ''],
  ['refresh', ''],
  ['retry-after', ''],
  ['server', ''],
  ['set-cookie', ''],
  ['strict-transport-security', ''],
  ['transfer-encoding', ''],
  ['user-agent', ''],
  ['vary', ''],
  ['via', ''],
  ['www-authenticate', ''],
] as const);

/** The names alone, by index: a flat array is quicker to read than one of pairs. */
export const STATIC_NAMES: readonly string[] = STATIC_TABLE.map(([name]) => name);

/** The values alone, by index. */
export const STATIC_VALUES: readonly string[] = STATIC_TABLE.map(([, value]) => value);

/** Sizes as RFC 7541 §4.1 counts them, by index. */
export const STATIC_SIZES: Int32Array = Int32Array.from(STATIC_TABLE, ([name, value]) => name.length + value.length + ENTRY_OVERHEAD);
