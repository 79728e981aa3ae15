/** Field lines that frame nothing: names that only look like one that does, names that objects have already, order and repetition. */
import { get, type Line, message, post, type RequestCase, RequestCases, TOKEN, visible } from '../request-case.ts';
import { isTokenText } from './spellings.ts';

const TOKEN_CHARS: readonly string[] = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)).filter(isTokenText);

/** Fields that are like those that matter, and are not. @returns the cases, with `TOKEN_` still in them */
export function fieldCases(): readonly RequestCase[] {
  return [...lookAlikes(), ...plain()];
}

/** Every name that differs in one byte from one that matters: a table of known names must compare all of it. */
function lookAlikes(): readonly RequestCase[] {
  const list = new RequestCases('every-look-alike', 'a name is another name if one character differs, but for its case (RFC 9110 §5.1)');
  for (const [known, value] of [
    ['Content-Length', '9'],
    ['Transfer-Encoding', 'chunked'],
    ['Connection', 'close'],
    ['Host', 'evil'],
    ['Upgrade', 'websocket'],
  ] as const) {
    for (let at = 0; at < known.length; at++) {
      for (const byte of TOKEN_CHARS) {
        const name = known.slice(0, at) + byte + known.slice(at + 1);
        if (name.toLowerCase() === known.toLowerCase()) continue;
        // Such a name may be another known one only by chance; none of these is.
        list.accept(`${known} at ${at} ${visible(byte)}`, post([`${name}: ${value}`, 'Content-Length: 5'], 'hello'), {
          method: 'POST',
          body: 'hello',
          fields: [[name, value]],
        });
      }
    }
  }
  return list.cases;
}

function plain(): readonly RequestCase[] {
  const list = new RequestCases('field', 'field lines are kept as they came, in their order, each by itself (RFC 9110 §5.2, §5.3)');
  const accept = (id: string, fields: readonly Line[]): void =>
    list.accept(id, get(fields.map(([name, value]) => `${name}: ${value}`)), { fields });
  for (const name of [
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    'valueOf',
    '__defineGetter__',
    'length',
    'size',
    'get',
    'then',
    '0',
    '-1',
    'NaN',
    'null',
    'undefined',
    'true',
    '!',
    '~',
    '|',
    '`',
    "'",
    '*',
    '.',
    '..',
    '-',
    '--',
    '_',
    'a'.repeat(200),
  ]) {
    accept(`name ${visible(name)}`, [[name, 'value']]);
    accept(`name ${visible(name)} twice`, [
      [name, 'one'],
      ['X-Between', '1'],
      [name, 'two'],
    ]);
  }
  for (const value of [
    '',
    '0',
    'null',
    'a, b',
    'a;b=c',
    '"quoted, text"',
    '(comment)',
    ',',
    ',,',
    '=',
    ':',
    '::',
    'http://x/',
    '\xe9',
    '\xff\xfe',
    'a\tb',
    'a  b',
    '{"a":[1]}',
    '<script>',
    '\\',
    '%0d%0a',
    '\\r\\n',
    '${x}',
    '=?utf-8?Q?x?=',
    'x'.repeat(10_000),
  ]) {
    accept(`value ${visible(value)}`, [['X-Value', value]]);
  }
  for (const name of [
    'Set-Cookie',
    'Cookie',
    'X-Same',
    'Accept',
    'Content-Type',
    'Content-Encoding',
    'Range',
    'If-Match',
    'ETag',
    'Age',
    'Date',
    'Referer',
  ]) {
    accept(`repeated ${name}`, [
      [name, 'a'],
      [name, 'b'],
      [name, 'a'],
    ]);
  }
  list.accept('no field but Host', get(), {});
  list.accept('no blank behind the colon', message(`GET /${TOKEN}/a HTTP/1.1`, ['Host:localhost', 'X-A:1']), { fields: [['X-A', '1']] });
  return list.cases;
}
