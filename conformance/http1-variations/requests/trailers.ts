/** Trailer sections: their lines, what may not stand in them, how they end. */
import { type Line, post, type RequestCase, RequestCases, visible } from '../request-case.ts';
import { DELIMITERS, isTokenText, ODD_BYTES } from './spellings.ts';

const traits = { method: 'POST', body: 'hello' };

function trailed(lines: readonly string[]): string {
  return post(['Transfer-Encoding: chunked'], `5\r\nhello\r\n0\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`);
}

/** Framing, routing, authentication, request modifiers, controls of content: RFC 9110 §6.5.1 forbids them in trailers. */
const FORBIDDEN: readonly Line[] = [
  ['Content-Length', '5'],
  ['Content-Length', '99'],
  ['Transfer-Encoding', 'chunked'],
  ['Transfer-Encoding', 'identity'],
  ['Host', 'evil'],
  ['Connection', 'close'],
  ['Connection', 'X-Sum'],
  ['Keep-Alive', 'timeout=1'],
  ['Proxy-Connection', 'close'],
  ['TE', 'trailers'],
  ['Trailer', 'X-Sum'],
  ['Upgrade', 'h2c'],
  ['HTTP2-Settings', 'AAA'],
  ['Expect', '100-continue'],
  ['Max-Forwards', '0'],
  ['Range', 'bytes=0-0'],
  ['If-Match', '*'],
  ['If-None-Match', '*'],
  ['If-Modified-Since', 'Thu, 01 Jan 1970 00:00:00 GMT'],
  ['If-Range', '"a"'],
  ['Cache-Control', 'no-store'],
  ['Pragma', 'no-cache'],
  ['Authorization', 'Basic AAAA'],
  ['Proxy-Authorization', 'Basic AAAA'],
  ['Cookie', 'a=b'],
  ['Set-Cookie', 'a=b'],
  ['Content-Type', 'text/html'],
  ['Content-Encoding', 'gzip'],
  ['Content-Range', 'bytes 0-0/1'],
  ['X-Forwarded-For', '127.0.0.1'],
  ['X-Forwarded-Host', 'evil'],
  ['X-Forwarded-Proto', 'https'],
  ['Forwarded', 'for=127.0.0.1'],
  ['Via', '1.1 evil'],
];

/** Trailer sections, right and wrong. @returns the cases, with `TOKEN_` still in them */
export function trailerCases(): readonly RequestCase[] {
  const list = new RequestCases(
    'trailer',
    'trailers are field lines, never merged; those that frame, route or authenticate are dropped (RFC 9110 §6.5.1; RFC 9112 §7.1.2)',
  );
  const accept = (name: string, lines: readonly string[], trailers: readonly Line[]): void =>
    list.accept(name, trailed(lines), { ...traits, trailers });
  accept('one', ['X-Sum: 1'], [['X-Sum', '1']]);
  accept(
    'two',
    ['X-Sum: 1', 'X-Other: 2'],
    [
      ['X-Sum', '1'],
      ['X-Other', '2'],
    ],
  );
  accept(
    'a repeated one',
    ['X-Sum: 1', 'X-Sum: 2'],
    [
      ['X-Sum', '1'],
      ['X-Sum', '2'],
    ],
  );
  accept('empty', ['X-Sum:'], [['X-Sum', '']]);
  accept('blanks', ['X-Sum: \t 1 \t '], [['X-Sum', '1']]);
  accept('obs-text', ['X-Sum: \xe9'], [['X-Sum', '\xe9']]);
  accept(
    '32 of them',
    Array.from({ length: 32 }, (_, index) => `X-${index}: ${index}`),
    Array.from({ length: 32 }, (_, index): Line => [`X-${index}`, String(index)]),
  );
  for (const [name, value] of FORBIDDEN) {
    for (const spelling of [name, name.toUpperCase()]) {
      const line = `${spelling}: ${value}`;
      accept(`forbidden ${visible(line)}`, [line], []);
      accept(
        `forbidden between ${visible(line)}`,
        ['X-A: 1', line, 'X-B: 2'],
        [
          ['X-A', '1'],
          ['X-B', '2'],
        ],
      );
    }
  }
  for (const byte of [...ODD_BYTES, ...DELIMITERS, ' ']) {
    const id = visible(byte);
    if (isTokenText(byte)) {
      for (const name of [`${byte}X`, `X${byte}`, `X${byte}Y`]) accept(`name ${name}`, [`${name}: 1`], [[name, '1']]);
    } else if (byte !== ':') {
      for (const name of [`${byte}X`, `X${byte}`, `X${byte}Y`]) list.refuse(`name ${visible(name)}`, trailed([`${name}: 1`]));
    }
    const isInValue = byte === '\t' || (byte >= ' ' && byte !== '\x7f');
    if (isInValue) accept(`value ${id}`, [`X-A: a${byte}b`], [['X-A', `a${byte}b`]]);
    else list.refuse(`value ${id}`, trailed([`X-A: a${byte}b`]));
  }
  for (const line of ['X-Sum', ': 1', ' X-Sum: 1', '\tX-Sum: 1', 'X Sum: 1', 'X-Sum : 1', 'GET /x HTTP/1.1', 'X-Sum 1', '=', '0']) {
    list.refuse(`line ${visible(line)}`, trailed([line]));
    list.refuse(`second line ${visible(line)}`, trailed(['X-A: 1', line]));
  }
  for (const fold of ['\r\n ', '\r\n\t', '\n ', '\r ']) list.refuse(`fold ${visible(fold)}`, trailed([`X-A: a${fold}b`]));
  return list.cases;
}
