/** Protocol versions as numbers that compare: ten times the major version plus the minor one. */

/** The versions that a message head can have. */
export const HttpVersion = { http10: 10, http11: 11, http2: 20 } as const;

/** A protocol version; greater is newer. */
export type HttpVersion = (typeof HttpVersion)[keyof typeof HttpVersion];

/** The version as HTTP/1 messages, `Via` and logs spell it: `HTTP/1.1`. @see RFC 9110 §2.5 */
export function httpVersionName(version: HttpVersion): string {
  switch (version) {
    case HttpVersion.http10:
      return 'HTTP/1.0';
    case HttpVersion.http11:
      return 'HTTP/1.1';
    case HttpVersion.http2:
      return 'HTTP/2';
  }
}
