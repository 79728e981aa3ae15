/** Random messages, and random damage to them. */
import fc from 'fast-check';

const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}$/);
const fieldName = fc.oneof(
  token,
  fc.constantFrom('constructor', '__proto__', 'toString', 'Accept', 'cookie', 'X-A', 'user-agent', 'TE', 'ETag'),
);
const fieldValue = fc.stringMatching(/^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]{0,20}[\x21-\x7e\x80-\xff])?)?$/);

/** Fields that frame nothing and belong to no connection. */
export const plainFields = fc
  .array(fc.tuple(fieldName, fieldValue), { maxLength: 8 })
  .map((fields) => fields.filter(([name]) => !/^(?:te|host)$/i.test(name)));

export const latin1Text = (maxLength: number): fc.Arbitrary<string> =>
  fc.stringMatching(/^[\x00-\xff]*$/, { size: 'small' }).map((text) => text.slice(0, maxLength));

const blanks = fc.constantFrom('', ' ', '\t', ' \t ');

const extension = fc
  .array(
    fc
      .tuple(token, fc.option(fc.oneof(token, fc.constantFrom('"a;b"', '"\\""', '""', '"\xe9 "')), { nil: undefined }))
      .map(([name, value]) => (value === undefined ? name : `${name}=${value}`)),
    { minLength: 1, maxLength: 3 },
  )
  .map((items) => `;${items.join(';')}`);

const trailerSection = fc.array(fc.tuple(fc.oneof(fieldName, fc.constantFrom('Host', 'Content-Length', 'X-Sum')), fieldValue), {
  maxLength: 3,
});

const chunkedBody = fc
  .tuple(
    fc.array(
      fc.tuple(
        latin1Text(40).filter((data) => data !== ''),
        fc.option(extension, { nil: '' }),
        fc.boolean(),
      ),
      { maxLength: 4 },
    ),
    trailerSection,
  )
  .map(([chunks, trailers]) => {
    const text = chunks.map(([data, ext, isUpper]) => {
      const size = data.length.toString(16);
      return `${isUpper ? `0${size.toUpperCase()}` : size}${ext}\r\n${data}\r\n`;
    });
    return `${text.join('')}0\r\n${trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
  });

/** Name, blanks, value, blanks: as lines may look on the wire. */
const fieldLines = fc.array(fc.tuple(fieldName, blanks, fieldValue, blanks), { maxLength: 6 }).map((fields) =>
  fields
    .filter(([name]) => !/^(?:te)$/i.test(name))
    .map(([name, before, value, after]) => `${name}:${before}${value}${after}\r\n`)
    .join(''),
);

const framed = fc.oneof(
  fc.constant(['', ''] as const),
  latin1Text(60).map((body) => [`Content-Length: ${body.length}\r\n`, body] as const),
  chunkedBody.map((body) => ['transfer-encoding: Chunked\r\n', body] as const),
);

const startLine = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom('GET', 'POST', 'get', 'X-Y'), fc.stringMatching(/^\/[\x21-\x22\x24-\x7e]{0,20}$/)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(['OPTIONS', '*'] as const, ['GET', 'http://a.b/c?d'] as const, ['GET', 'HTTPS://[::1]:8'] as const),
  },
);

/** A request that every reader must take, as text of one character a byte. */
export const requestText: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom('', '\r\n'),
    startLine,
    fc.constantFrom('1.1', '1.1', '1.2', '1.0'),
    fieldLines,
    framed,
    fc.constantFrom('', '', 'Connection: close\r\n', 'Connection: keep-alive, Upgrade\r\nUpgrade: foo\r\n', 'Expect: 100-continue\r\n'),
  )
  .map(([empty, [method, target], version, lines, [framing, body], extra]) => {
    const isChunkedInOld = version === '1.0' && framing.startsWith('t');
    return `${empty}${method} ${target} HTTP/${isChunkedInOld ? '1.1' : version}\r\nHost: a.b:80\r\n${lines}${framing}${extra}\r\n${body}`;
  });

const statusLine = fc
  .tuple(fc.integer({ min: 200, max: 599 }), fc.constantFrom(' ', ' OK', ' Not Found', '', ' \xe9 x'))
  .map(([status, reason]) => `HTTP/1.1 ${status}${reason}\r\n`);

const interim = fc.constantFrom(
  '',
  '',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 103\r\nLink: </a>\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\n\r\n',
);

/** A response that every reader must take. */
export const responseText: fc.Arbitrary<string> = fc
  .tuple(interim, statusLine, fieldLines, framed)
  .map(([before, line, lines, [framing, body]]) => `${before}${line}${lines}${framing}\r\n${body}`);

const nasty = fc.oneof(
  fc.constantFrom(
    '\r',
    '\n',
    '\r\n',
    '\r\n\r\n',
    ' ',
    '\t',
    '\0',
    ':',
    ';',
    ',',
    '0',
    '1',
    '9',
    'f',
    '"',
    '\\',
    '\x7f',
    '\xff',
    '#',
    '/',
    'HTTP/1.1',
    'chunked',
  ),
  fc.constantFrom(
    'Content-Length: 1\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Host: b\r\n',
    'Connection: close\r\n',
    '0\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  ),
);

/** Text with a few places struck out, doubled or replaced. */
export function damaged(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const blow = fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.oneof(nasty, fc.constant('')));
  return fc.tuple(text, fc.array(blow, { maxLength: 3 })).map(([whole, blows]) => {
    let result = whole;
    for (const [where, removed, inserted] of blows) {
      const at = where % (result.length + 1);
      result = result.slice(0, at) + inserted + result.slice(at + removed);
    }
    return result;
  });
}

/** Several requests one behind the other, whole or damaged. */
export const pipeline: fc.Arbitrary<string> = damaged(
  fc.array(requestText, { minLength: 1, maxLength: 3 }).map((requests) => requests.join('')),
);

export const responses: fc.Arbitrary<string> = damaged(fc.array(responseText, { minLength: 1, maxLength: 3 }).map((all) => all.join('')));

export const cuts: fc.Arbitrary<number[]> = fc.array(fc.nat(), { maxLength: 8 });

export const methods: fc.Arbitrary<string[]> = fc.array(fc.constantFrom('GET', 'GET', 'HEAD', 'POST', 'CONNECT'), { maxLength: 4 });
