/** Content-Length alone: digits, what surrounds them, and more than one. */
import { expectRequest, get, post, type RequestCase, RequestCases, visible } from '../request-case.ts';
import { casesOf, DELIMITERS, isTokenText, namesLike, ODD_BYTES, WIDE_BLANKS } from './spellings.ts';

const BODY = 'hello';
const traits = { method: 'POST', body: BODY };

/** Content-Length alone: values, names, repetitions, sizes. @returns the cases, with `TOKEN_` still in them */
export function contentLengthCases(): readonly RequestCase[] {
  return [...values(), ...names(), ...repeated(), ...sizes()];
}

function values(): readonly RequestCase[] {
  const list = new RequestCases('cl-value', 'Content-Length = 1*DIGIT between optional blanks (RFC 9110 §8.6, §5.5; RFC 9112 §6.3)');
  const accept = (value: string): void => list.accept(`ok ${visible(value)}`, post([`Content-Length:${value}`], BODY), traits);
  for (const digits of ['5', '05', '005', `${'0'.repeat(15)}5`, `${'0'.repeat(19)}5`, `${'0'.repeat(64)}5`]) accept(` ${digits}`);
  for (const before of ['', ' ', '\t', '   ', ' \t ', '\t\t'])
    for (const behind of ['', ' ', '\t', '  ', '\t \t']) accept(`${before}5${behind}`);
  const refuse = (value: string): void => list.refuse(`bad ${visible(value)}`, post([`Content-Length: ${value}`], BODY));
  for (const byte of [...ODD_BYTES, ...DELIMITERS, ...WIDE_BLANKS, 'x', 'h', 'e', 'L', 'n']) {
    // A tab at either side is a blank.
    if (byte !== '\t') refuse(byte + 5);
    if (byte !== '\t') refuse(5 + byte);
    refuse(`0${byte}5`);
    refuse(`5${byte}0`);
  }
  for (const value of [
    '',
    ' ',
    '\t',
    '5 5',
    '5  ,',
    '0x5',
    '0X5',
    '0b101',
    '0o5',
    '5e0',
    '5.0',
    '5.',
    '.5',
    '1_0',
    '+5',
    '-5',
    '--5',
    '-0',
    '+0',
  ])
    refuse(value);
  for (const value of [
    'five',
    'NaN',
    'Infinity',
    'null',
    'undefined',
    'true',
    '(5)',
    '5;',
    '5;q=1',
    '5bytes',
    '5 bytes',
    '%35',
    '\\5',
    '&#53;',
    '5/5',
  ])
    refuse(value);
  // Digits of other scripts in UTF-8: fullwidth, Arabic, superscript; and Latin-1's superscripts.
  for (const value of ['\xef\xbc\x95', '\xd9\xa5', '\xe2\x81\xb5', '\xe1\xa5\x8b', '\xb9', '\xb3']) refuse(value);
  for (const value of [
    '5,5',
    '5, 5',
    '5 ,5',
    '5\t,\t5',
    '5,',
    ',5',
    ', 5',
    '5,,5',
    '5, 6',
    '5,+5',
    '5,05',
    '0,5',
    '5, x',
    '5,"5"',
    '5;5',
    '5|5',
  ])
    refuse(value);
  return list.cases;
}

function names(): readonly RequestCase[] {
  const list = new RequestCases(
    'cl-name',
    'field-name = token, directly before the colon; another token is another field (RFC 9112 §5, §5.1)',
  );
  for (const name of casesOf('content-length')) list.accept(`case ${name}`, post([`${name}: 5`], BODY), traits);
  for (const byte of [...ODD_BYTES, ...DELIMITERS, ...WIDE_BLANKS, ' ', 'x', '0']) {
    for (const [place, name] of namesLike('Content-Length', byte)) {
      // A colon ends the name: before and inside it make other fields of it, behind it makes a value that is no number.
      if (byte === ':') continue;
      const id = `${place} ${visible(byte)}`;
      if (name.toLowerCase() === 'content-length') list.accept(id, post([`${name}: 5`], BODY), traits);
      else if (isTokenText(byte)) list.accept(id, post([`${name}: 5`], ''), { method: 'POST', fields: [[name, '5']] });
      else list.refuse(id, post([`${name}: 5`], BODY));
    }
  }
  list.refuse('two colons', post(['Content-Length:: 5'], BODY));
  list.refuse('colon first', post([':Content-Length: 5'], BODY));
  list.refuse('no colon', post(['Content-Length 5'], BODY));
  list.refuse('no colon at all', post(['Content-Length'], BODY));
  list.refuse('equals', post(['Content-Length=5'], BODY));
  for (const name of [
    'Content-Lengt',
    'Content-Lengthh',
    'ContentLength',
    'Content--Length',
    'X-Content-Length',
    'Content-Length-X',
    'Content_Length',
  ]) {
    list.accept(`other ${name}`, get([`${name}: 5`]), { fields: [[name, '5']] });
  }
  return list.cases;
}

function repeated(): readonly RequestCase[] {
  const list = new RequestCases('cl-repeated', 'more than one Content-Length is refused, equal or not (RFC 9112 §6.3)');
  const spellings = ['5', '05', '0', '6', '', '+5', '5,5', 'x', '-1'];
  for (const first of spellings) {
    for (const second of spellings) {
      list.refuse(`${visible(first)} and ${visible(second)}`, post([`Content-Length: ${first}`, `Content-Length: ${second}`], BODY));
      list.refuse(
        `${visible(first)} apart from ${visible(second)}`,
        post([`content-length: ${first}`, 'X-Between: 1', `CONTENT-LENGTH: ${second}`], BODY),
      );
    }
  }
  for (const count of [3, 10, 50])
    list.refuse(
      `${count} times`,
      post(
        Array.from({ length: count }, () => 'Content-Length: 5'),
        BODY,
      ),
    );
  return list.cases;
}

function sizes(): readonly RequestCase[] {
  const list = new RequestCases(
    'cl-size',
    'lengths up to 2^53 - 1 are exact; what is beyond cannot be counted and is refused (RFC 9110 §8.6)',
  );
  for (const length of [0, 1, 2, 9, 10, 99, 100, 255, 256, 1023, 4096]) {
    const body = '.'.repeat(length);
    list.accept(`${length}`, post([`Content-Length: ${length}`], body), { method: 'POST', body });
  }
  const beyond = [
    '9007199254740992',
    '9007199254740993',
    '18446744073709551615',
    '18446744073709551616',
    '18446744073709551621',
    '9223372036854775808',
    '99999999999999999999',
    '1'.repeat(100),
    '9'.repeat(400),
  ];
  for (const length of beyond) list.refuse(`beyond ${visible(length)}`, post([`Content-Length: ${length}`], BODY), { statuses: [413] });
  for (const length of ['6', '4294967301', '2147483653', '65541', '999999999999999'])
    list.truncate(`short of ${length}`, post([`Content-Length: ${length}`], BODY));
  // More than the recording origin counts.
  list.truncateForDecoder('short of 9007199254740991', post(['Content-Length: 9007199254740991'], BODY));
  list.accept(
    'the body looks like a request',
    post(['Content-Length: 43'], 'GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n'.slice(0, 43)),
    {
      method: 'POST',
      body: 'GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n'.slice(0, 43),
    },
  );
  list.accept('the body ends with an empty line', post(['Content-Length: 9'], 'hello\r\n\r\n'), { method: 'POST', body: 'hello\r\n\r\n' });
  list.accept('an empty line behind the body', post(['Content-Length: 5'], 'hello\r\n'), traits);
  list.refuse('two bytes too many', post(['Content-Length: 5'], 'hello()'), { after: [expectRequest(traits)] });
  return list.cases;
}
