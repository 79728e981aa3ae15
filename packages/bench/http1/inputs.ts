/** Fixed inputs. */
import { latin1Encode } from '@ferrata/bytes';

/** What a browser sends: 492 bytes, ten fields. */
export const BROWSER_HEAD: Uint8Array = latin1Encode(
  [
    'GET /docs/guide/index.html?q=1&lang=en HTTP/1.1',
    'Host: www.example.com',
    'Connection: keep-alive',
    'Upgrade-Insecure-Requests: 1',
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36',
    'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'Sec-Fetch-Site: none',
    'Sec-Fetch-Mode: navigate',
    'Accept-Encoding: gzip, deflate, br',
    'Accept-Language: en-US,en;q=0.9',
    'Cookie: session=abcdefghij; th=dark',
    '',
    '',
  ].join('\r\n'),
);

/** Forty fields, of which the well-known are four. */
export const LARGE_HEAD: Uint8Array = latin1Encode(
  `POST /api/v2/items/0123456789?expand=all HTTP/1.1\r\nHost: api.example.com\r\nAccept: */*\r\nContent-Type: application/json\r\nContent-Length: 0\r\n${Array.from(
    { length: 36 },
    (_, i) => `X-Custom-Header-${i}: value-of-header-number-${i}-${'0123456789'.repeat(i % 4)}\r\n`,
  ).join('')}\r\n`,
);

/** A small response with a body by length. */
export const RESPONSE: Uint8Array = latin1Encode(
  'HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: keep-alive\r\nETag: "34aa387-d-1568eb00"\r\nAccept-Ranges: bytes\r\n\r\nHello, world!',
);

/** A request whose body comes in `count` chunks of `size` bytes. */
export function chunkedRequest(size: number, count: number): Uint8Array {
  const chunk = `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`;
  return latin1Encode(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(count)}0\r\n\r\n`);
}

/** A head of about `byteLength` bytes, in lines of 64. */
export function headOf(byteLength: number): Uint8Array {
  const start = 'GET / HTTP/1.1\r\nHost: a\r\n';
  const line = `X-Filler: ${'x'.repeat(52)}\r\n`;
  return latin1Encode(`${start}${line.repeat(Math.floor((byteLength - start.length) / line.length))}\r\n`);
}

/** Cut into single bytes. */
export function everyByte(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}
