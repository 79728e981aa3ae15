/** Fields that belong to one connection and may not cross (RFC 9110 §7.6.1, RFC 9113 §8.2.2), and those that the proxy writes itself. */

/** In lower case. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'proxy-authenticate',
  'proxy-authorization',
]);

/** The one such field that HTTP/2 has (RFC 9113 §8.2.2). @param name in lower case */
export function mayBeOnHttp2(name: string, value: string): boolean {
  return name === 'te' && value === 'trailers';
}

/** What a proxy says of its own connection of HTTP/1, but for `Upgrade`. @param name in lower case */
export function mayBeOnHttp1(name: string, value: string): boolean {
  return (
    mayBeOnHttp2(name, value) ||
    (name === 'connection' && /^(?:close|keep-alive|TE|(?:close, )?TE|upgrade|upgrade, TE)$/i.test(value)) ||
    (name === 'transfer-encoding' && value === 'chunked')
  );
}
