/** Chunked bodies: sizes, extensions, line ends, and what lies where nothing may. */
import { expectRequest, post, type RequestCase, RequestCases, visible } from '../request-case.ts';
import { DELIMITERS, isTokenText, ODD_BYTES, WIDE_BLANKS } from './spellings.ts';

const traits = { method: 'POST', body: 'hello' };

function chunked(body: string): string {
  return post(['Transfer-Encoding: chunked'], body);
}

/** A body of one chunk whose size is written as told. */
function sized(size: string, data = 'hello'): string {
  return chunked(`${size}\r\n${data}\r\n0\r\n\r\n`);
}

/** Chunk sizes, extensions, line ends and shapes of chunked bodies. @returns the cases, with `TOKEN_` still in them */
export function chunkCases(): readonly RequestCase[] {
  return [...sizes(), ...extensions(), ...lineEnds(), ...shapes()];
}

function sizes(): readonly RequestCase[] {
  const list = new RequestCases('chunk-size', 'chunk-size = 1*HEXDIG and nothing else (RFC 9112 §7.1); here at most 16 digits');
  for (let zeros = 0; zeros < 16; zeros++) list.accept(`${zeros} zeros`, sized(`${'0'.repeat(zeros)}5`), traits);
  for (let zeros = 16; zeros < 24; zeros++) list.refuse(`${zeros} zeros`, sized(`${'0'.repeat(zeros)}5`));
  for (let zeros = 1; zeros <= 16; zeros++)
    list.accept(`last of ${zeros} zeros`, chunked(`5\r\nhello\r\n${'0'.repeat(zeros)}\r\n\r\n`), traits);
  for (const zeros of [17, 18, 64]) list.refuse(`last of ${zeros} zeros`, chunked(`5\r\nhello\r\n${'0'.repeat(zeros)}\r\n\r\n`));
  for (let size = 1; size <= 40; size++) {
    const data = '.'.repeat(size);
    for (const digits of new Set([size.toString(16), size.toString(16).toUpperCase()]))
      list.accept(`digits ${digits}`, sized(digits, data), { ...traits, body: data });
  }
  for (const size of [255, 256, 4095, 4096, 0xabc, 0xfff]) {
    const data = '.'.repeat(size);
    for (const digits of new Set([size.toString(16), size.toString(16).toUpperCase()]))
      list.accept(`size ${digits}`, sized(digits, data), { ...traits, body: data });
  }
  for (const byte of [...ODD_BYTES, ...DELIMITERS, ...WIDE_BLANKS, ' ', 'g', 'h', 'x', 'G', 'z']) {
    const id = visible(byte);
    list.refuse(`before ${id}`, sized(`${byte}5`));
    list.refuse(`behind ${id}`, sized(`5${byte}`));
    list.refuse(`inside ${id}`, sized(`0${byte}5`));
    list.refuse(`before the last ${id}`, chunked(`5\r\nhello\r\n${byte}0\r\n\r\n`));
    list.refuse(`behind the last ${id}`, chunked(`5\r\nhello\r\n0${byte}\r\n\r\n`));
    list.refuse(`before the second ${id}`, chunked(`5\r\nhello\r\n${byte}1\r\n.\r\n0\r\n\r\n`));
  }
  for (const size of [
    '',
    '0x5',
    '0X5',
    '+5',
    '-5',
    '-0',
    '5h',
    '5.0',
    '5_0',
    '0_5',
    '5 5',
    '5,5',
    'five',
    'NaN',
    'x',
    '\\x35',
    '%35',
    '5:',
    '(5)',
    '#5',
    '05h',
    '"5"',
    "'5'",
  ]) {
    list.refuse(`form ${visible(size)}`, sized(size));
  }
  // What wraps to 5 in 32, 53 and 64 bits; the largest of each; and beyond.
  for (const size of [
    '20000000000000',
    '20000000000005',
    'FFFFFFFFFFFFFFFF',
    'ffffffffffffffff',
    '8000000000000005',
    '7FFFFFFFFFFFFFFF',
    '10000000000000005',
    '100000000000000000005',
    'F'.repeat(17),
    'f'.repeat(64),
    '1'.repeat(300),
  ]) {
    // The body would be too large, whatever the size is taken for (RFC 9112 §7.1).
    list.refuse(`beyond ${visible(size)}`, sized(size), { statuses: [413] });
  }
  for (const size of ['6', '100000005', '80000005', '10005', '1fffffffffffff', 'ffffffff'])
    list.truncate(`short of ${size}`, chunked(`${size}\r\nhello`));
  for (const size of ['1', '2', '3', '4']) list.refuse(`too small ${size}`, sized(size));
  for (const size of ['6', '7']) list.refuse(`too large ${size}`, sized(size));
  return list.cases;
}

function extensions(): readonly RequestCase[] {
  const list = new RequestCases(
    'chunk-ext',
    'chunk-ext = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ) (RFC 9112 §7.1.1)',
  );
  const accept = (extension: string): void => {
    list.accept(`ok ${visible(extension)}`, sized(`5${extension}`), traits);
    list.accept(`ok last ${visible(extension)}`, chunked(`5\r\nhello\r\n0${extension}\r\n\r\n`), traits);
  };
  for (const extension of [
    ';a',
    ';a=1',
    ';a=b;c=d',
    ';a;b;c',
    ' ;a',
    '\t;a',
    '; a',
    ';\ta',
    ';a =1',
    ';a= 1',
    ';a = 1',
    ' ; a = 1 ; b',
    ';a;a;a',
    ";!#$%&'*+-.^_`|~=x",
    ';a=0',
    ';5',
    ';5=5',
  ])
    accept(extension);
  for (const value of [
    '""',
    '" "',
    '"x y"',
    '"x\ty"',
    '"a;b=c"',
    '"\\""',
    '"\\\\"',
    '"a\\b"',
    '"\xe9\xff"',
    '"=;,:"',
    '"0"',
    '"GET / HTTP/1.1"',
  ])
    accept(`;a=${value}`);
  for (const byte of "!#$%&'*+-.^_`|~09azAZ") accept(`;${byte}=${byte}`);
  const refuse = (extension: string): void => {
    list.refuse(`bad ${visible(extension)}`, sized(`5${extension}`));
    list.refuse(`bad last ${visible(extension)}`, chunked(`5\r\nhello\r\n0${extension}\r\n\r\n`));
  };
  for (const byte of [...ODD_BYTES, ...DELIMITERS, ...WIDE_BLANKS].filter((one) => !isTokenText(one))) {
    if (byte !== '\t') refuse(`;${byte}a`.replace(';;', ';,;'));
    refuse(`;a${byte}b`.replace(';a;b', ';a,b').replace(';a=b', ';a==b'));
    refuse(`;a=b${byte}c`.replace('b;c', 'b,;c'));
    refuse(`;a=b${byte}`);
    // Inside quotes a tab, a quote that ends them, and bytes from 0x80 on are grammar.
    if (byte < '\x20' && byte !== '\t') refuse(`;a="x${byte}y"`);
    if (byte < '\x20' && byte !== '\t') refuse(`;a="x\\${byte}y"`);
  }
  for (const extension of [
    ';',
    ';;',
    ';;a',
    ';a;',
    ';a;;b',
    ';a=',
    ';=b',
    ';a==b',
    ';a b',
    ';a=b c',
    ';a="b',
    ';a=b"',
    ';a="b"c',
    ';a="b""c"',
    ';"a"',
    ';a ',
    ';a\t',
    ';a=b ',
    ';a="b" ',
    ' ',
    '\t',
    ' a',
    ' ; ',
    ',a',
    ';a,b',
    ';a="\\"',
    ";a='b c'",
    ';a=b=c',
    '; ;a',
    ';a="b"=c',
    ';a:b',
    ';a/b',
    ';{}',
    ';a="x\x7f"',
  ])
    refuse(extension);
  // Line ends inside quotes: what comes behind would be data for one reader and the quoted string's rest for another.
  for (const end of ['\r\n', '\n', '\r', '\n\r', '\r\r\n']) {
    for (const quote of ['"', '"\\', '']) {
      list.refuse(
        `line end ${visible(end)} in ${visible(quote)}`,
        chunked(`5;a=${quote}${end}hello\r\n0\r\n\r\n`.replace('5;a=\r\n', '5;a=,\r\n')),
      );
      list.refuse(`line end ${visible(end)} in ${visible(quote)} of the last`, chunked(`5\r\nhello\r\n0;a=${quote}${end}\r\n\r\n`));
    }
  }
  return list.cases;
}

/** Everything but CRLF that could be taken for a line end. */
const ENDS: readonly string[] = [
  '',
  '\n',
  '\r',
  '\n\n',
  '\r\r',
  '\n\r',
  '\r\r\n',
  '\r\n\n',
  ' \r\n',
  '\r \n',
  '\t\r\n',
  '\0\r\n',
  '\r\0\n',
  'X\r\n',
  '\rX\n',
  '\x85',
  '\x0b',
  '\x0c\r\n',
  '\xc2\x85',
  '\xe2\x80\xa8',
  '\\r\\n',
  '%0d%0a',
];

function lineEnds(): readonly RequestCase[] {
  const list = new RequestCases('chunk-end', 'lines of a chunked body, and its data, end with CRLF and nothing else (RFC 9112 §2.2, §7.1)');
  for (const end of ENDS) {
    const id = visible(end);
    list.refuse(`size ${id}`, chunked(`5${end}hello\r\n0\r\n\r\n`));
    list.refuse(`second size ${id}`, chunked(`5\r\nhello\r\n2${end}ab\r\n0\r\n\r\n`.replace('2ab', '2gb')));
    list.refuse(
      `extension ${id}`,
      chunked(`5;a${end === '' ? ' b' : end}hello\r\n0\r\n\r\n`.replace(';aX', ';a X').replace(';a\\r\\n', ';a[').replace(';a%', ';a[%')),
    );
    list.refuse(`data ${id}`, chunked(`5\r\nhello${end === '\r\n\n' ? '\n\r\n' : end}0\r\n\r\n`));
    list.refuse(`last size ${id}`, chunked(`5\r\nhello\r\n0${end}\r\n`.replace(/0\r\n$/, '0 \r\n')));
    if (end !== '\r\n\n') list.refuse(`last line ${id}`, chunked(`5\r\nhello\r\n0\r\n${end}`));
    list.refuse(
      `trailer ${id}`,
      chunked(`5\r\nhello\r\n0\r\nX-A: 1${end === '' || isValue(end) ? '\n' : end}\r\n`.replace(': 1\n\n', ': 1\n')),
    );
  }
  list.refuse('an empty line between chunks', chunked('5\r\nhello\r\n\r\n0\r\n\r\n'));
  list.refuse('an empty line before the first chunk', chunked('\r\n5\r\nhello\r\n0\r\n\r\n'));
  list.refuse('a byte too many', chunked('5\r\nhelloX\r\n0\r\n\r\n'));
  list.refuse('two bytes in place of CRLF', chunked('5\r\nhelloXX0\r\n\r\n'));
  list.refuse('a byte before the last line end', chunked('5\r\nhello\r\n0\r\nX\r\n'));
  list.accept('an empty line behind the last', chunked('5\r\nhello\r\n0\r\n\r\n\r\n'), traits);
  list.refuse('LF behind the last', chunked('5\r\nhello\r\n0\r\n\r\n\n'), { after: [expectRequest(traits)] });
  list.refuse('a second last chunk', chunked('5\r\nhello\r\n0\r\n\r\n0\r\n\r\n'), { after: [expectRequest(traits)] });
  return list.cases;
}

/** True of ends that a field value may hold, so that the line goes on. */
function isValue(end: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*(?:\r\n)?$/.test(end);
}

function shapes(): readonly RequestCase[] {
  const list = new RequestCases('chunk-shape', 'a chunked body is its chunks in order, up to one of size 0 (RFC 9112 §7.1)');
  list.accept('no chunk', chunked('0\r\n\r\n'), { method: 'POST' });
  for (let count = 1; count <= 20; count++) {
    const parts = Array.from({ length: count }, (_, index) => 'abcdefghijklmnopqrstuvwxyz'.slice(0, index + 1));
    const body = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('');
    list.accept(`${count} chunks`, chunked(`${body}0\r\n\r\n`), { method: 'POST', body: parts.join('') });
  }
  for (const data of [
    '0\r\n\r\n',
    '\r\n',
    '\r\n\r\n',
    '5\r\nhello\r\n',
    '\n',
    '\r',
    '\0\0\0',
    'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    '\xff\xfe\r\n0\r\n\r\n',
  ]) {
    list.accept(`data ${visible(data)}`, sized(data.length.toString(16), data), { method: 'POST', body: data });
  }
  const long = '0123456789abcdef'.repeat(256);
  list.accept(
    '4 KiB in chunks of one byte',
    chunked(
      `${long
        .split('')
        .map((byte) => `1\r\n${byte}\r\n`)
        .join('')}0\r\n\r\n`,
    ),
    {
      method: 'POST',
      body: long,
    },
  );
  return list.cases;
}
