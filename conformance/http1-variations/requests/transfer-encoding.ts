/** Transfer-Encoding alone, and with Content-Length: spellings, lists, repetitions, versions, places. */
import { BAD_REQUEST, post, type RequestCase, RequestCases, visible } from '../request-case.ts';
import { casesOf, DELIMITERS, isTokenText, namesLike, ODD_BYTES, WIDE_BLANKS } from './spellings.ts';

const BODY = 'hello';
const CHUNKED_BODY = '5\r\nhello\r\n0\r\n\r\n';
const traits = { method: 'POST', body: BODY };

/** Transfer-Encoding alone and beside Content-Length, in every spelling. @returns the cases, with `TOKEN_` still in them */
export function transferEncodingCases(): readonly RequestCase[] {
  return [...values(), ...names(), ...repeated(), ...http10(), ...withLength(), ...folded()];
}

function values(): readonly RequestCase[] {
  const list = new RequestCases(
    'te-value',
    'the one transfer coding is chunked, in any case, between optional blanks (RFC 9112 §6.1, §7; RFC 9110 §5.5)',
  );
  const accept = (value: string): void => list.accept(`ok ${visible(value)}`, post([`Transfer-Encoding:${value}`], CHUNKED_BODY), traits);
  for (const coding of casesOf('chunked')) accept(` ${coding}`);
  for (const before of ['', ' ', '\t', '   ', ' \t ']) for (const behind of ['', ' ', '\t', ' \t ']) accept(`${before}chunked${behind}`);
  const refuse = (value: string, statuses = BAD_REQUEST): void =>
    list.refuse(`bad ${visible(value)}`, post([`Transfer-Encoding: ${value}`], CHUNKED_BODY), { statuses });
  for (const byte of [...ODD_BYTES, ...DELIMITERS, ...WIDE_BLANKS, 'x', '0']) {
    if (byte !== '\t') refuse(`${byte}chunked`);
    if (byte !== '\t') refuse(`chunked${byte}`);
    refuse(`chun${byte}ked`);
    refuse(`chunked${byte}chunked`);
    refuse(`chunked ${byte}`.replace(/ \t$/, ' \tx'));
  }
  for (const value of [
    '',
    'identity',
    'gzip',
    'deflate',
    'compress',
    'x-gzip',
    'br',
    'trailers',
    'chunke',
    'hunked',
    'chunkedd',
    'cchunked',
    'chunk',
    'none',
    '0',
  ])
    refuse(value);
  for (const value of [
    'chunked, identity',
    'chunked, gzip',
    'chunked,chunked',
    'chunked, chunked',
    'chunked,',
    'chunked ,',
    ',chunked',
    ', chunked',
    ',',
    'chunked,,',
    ',,chunked',
  ])
    refuse(value);
  for (const value of [
    'gzip, chunked, identity',
    'chunked; q=1',
    'chunked;q=0',
    'chunked;a',
    'chunked;',
    'chunked="x"',
    'chunked chunked',
    'identity chunked',
    'chunked identity',
    "'chunked'",
    '"chunked"',
    '(chunked)',
    'chunked (x)',
  ])
    refuse(value);
  // Letters of other scripts in UTF-8 that case folding could turn into ours: the Kelvin sign, a fullwidth d, a Cyrillic c, a dotless i.
  for (const value of ['chun\xe2\x84\xaaed', 'chunke\xef\xbd\x84', '\xd1\x81hunked', 'CHUN\xe2\x84\xaaED', 'chunked\xc4\xb1'])
    refuse(value);
  // RFC 9112 §6.1: 501 for a coding that is not understood, where the message could be framed.
  for (const value of ['gzip, chunked', 'gzip,chunked', 'identity, chunked', 'deflate, gzip, chunked', 'x, CHUNKED', 'gzip\t,\tchunked'])
    refuse(value, [501]);
  refuse('chunked'.repeat(200));
  refuse(`${'x'.repeat(8000)}, chunked`, [501]);
  return list.cases;
}

function names(): readonly RequestCase[] {
  const list = new RequestCases(
    'te-name',
    'field-name = token, directly before the colon; another token is another field (RFC 9112 §5, §5.1)',
  );
  for (const name of casesOf('transfer-encoding')) list.accept(`case ${name}`, post([`${name}: chunked`], CHUNKED_BODY), traits);
  for (const byte of [...ODD_BYTES, ...DELIMITERS, ...WIDE_BLANKS, ' ', 'x', '0']) {
    for (const [place, name] of namesLike('Transfer-Encoding', byte)) {
      if (byte === ':') continue;
      const id = `${place} ${visible(byte)}`;
      if (name.toLowerCase() === 'transfer-encoding') {
        list.accept(id, post([`${name}: chunked`], CHUNKED_BODY), traits);
        continue;
      }
      if (isTokenText(byte)) {
        list.accept(id, post([`${name}: chunked`], ''), { method: 'POST', fields: [[name, 'chunked']] });
        // Beside a length the other field says nothing: the length holds.
        list.accept(`${id} beside a length`, post(['Content-Length: 5', `${name}: chunked`], BODY), traits);
      } else {
        list.refuse(id, post([`${name}: chunked`], CHUNKED_BODY));
        list.refuse(`${id} beside a length`, post(['Content-Length: 5', `${name}: chunked`], CHUNKED_BODY));
      }
    }
  }
  list.refuse('two colons', post(['Transfer-Encoding:: chunked'], CHUNKED_BODY));
  list.refuse('no colon', post(['Transfer-Encoding chunked'], CHUNKED_BODY));
  list.refuse('before the first field', post([], '').replace('\r\nHost', '\r\n Transfer-Encoding: chunked\r\nHost') + CHUNKED_BODY);
  return list.cases;
}

function repeated(): readonly RequestCase[] {
  const list = new RequestCases('te-repeated', 'more than one Transfer-Encoding line is refused (RFC 9112 §6.1, §6.3)');
  const spellings = ['chunked', 'Chunked', 'identity', 'gzip', '', 'xchunked', 'chunked, chunked', '"chunked"'];
  for (const first of spellings) {
    for (const second of spellings) {
      list.refuse(
        `${visible(first)} and ${visible(second)}`,
        post([`Transfer-Encoding: ${first}`, `Transfer-Encoding: ${second}`], CHUNKED_BODY),
      );
      list.refuse(
        `${visible(first)} apart from ${visible(second)}`,
        post([`transfer-encoding: ${first}`, 'X-Between: 1', `TRANSFER-ENCODING: ${second}`], CHUNKED_BODY),
      );
    }
  }
  return list.cases;
}

function http10(): readonly RequestCase[] {
  const list = new RequestCases('te-http10', 'Transfer-Encoding in HTTP/1.0 is refused, whatever it says (RFC 9112 §6.1)');
  for (const connection of ['', 'keep-alive', 'close']) {
    for (const value of ['chunked', 'CHUNKED', 'identity', 'gzip', '', 'xchunked', 'gzip, chunked']) {
      for (const length of ['', '5', '0', '15']) {
        const lines = [
          ...(connection === '' ? [] : [`Connection: ${connection}`]),
          ...(length === '' ? [] : [`Content-Length: ${length}`]),
          `Transfer-Encoding: ${value}`,
        ];
        list.refuse(`${value} length ${length} connection ${connection}`, post(lines, CHUNKED_BODY, 'HTTP/1.0'));
      }
    }
  }
  return list.cases;
}

function withLength(): readonly RequestCase[] {
  const list = new RequestCases('cl-te', 'Content-Length with Transfer-Encoding is refused, however either is spelt (RFC 9112 §6.1, §6.3)');
  const lengths = ['0', '5', '05', '15', '+5', '-1', '', '5,5', '4294967301', '\t5', 'x'];
  const codings = [
    'chunked',
    'CHUNKED',
    'chunked\t',
    'identity',
    'gzip',
    'gzip, chunked',
    '',
    'xchunked',
    '\x0bchunked',
    'chunked\0',
    '"chunked"',
    'chunked;q=1',
  ];
  for (const length of lengths) {
    for (const coding of codings) {
      const fields = [`Content-Length: ${length}`, `Transfer-Encoding: ${coding}`];
      const id = `${visible(length)} with ${visible(coding)}`;
      list.refuse(`${id}, length first`, post(fields, CHUNKED_BODY));
      list.refuse(`${id}, coding first`, post(fields.toReversed(), CHUNKED_BODY));
      list.refuse(`${id}, apart`, post([fields[1] as string, 'X-A: 1', 'X-B: 2', fields[0] as string], CHUNKED_BODY));
      list.refuse(
        `${id}, other case`,
        post(
          fields.map((line) => line.replace(/^[^:]+/, (name) => name.toUpperCase())),
          CHUNKED_BODY,
        ),
      );
    }
  }
  for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE', 'PUT']) {
    list.refuse(`of ${method}`, post(['Content-Length: 5', 'Transfer-Encoding: chunked'], CHUNKED_BODY).replace('POST', method));
  }
  return list.cases;
}

function folded(): readonly RequestCase[] {
  const list = new RequestCases('fold', 'a field line that begins with a blank is refused (RFC 9112 §5.2)');
  for (const end of ['\r\n', '\n', '\r']) {
    for (const blank of [' ', '\t', '  ', ' \t']) {
      const fold = end + blank;
      const id = visible(fold);
      list.refuse(`coding ${id}`, post([`Transfer-Encoding:${fold}chunked`], CHUNKED_BODY));
      list.refuse(`behind the coding ${id}`, post([`Transfer-Encoding: chunked${fold}`], CHUNKED_BODY));
      list.refuse(`inside the coding ${id}`, post([`Transfer-Encoding: chun${fold}ked`], CHUNKED_BODY));
      list.refuse(`second coding ${id}`, post([`Transfer-Encoding: chunked,${fold}identity`], CHUNKED_BODY));
      list.refuse(`length ${id}`, post([`Content-Length:${fold}5`], BODY));
      list.refuse(`behind the length ${id}`, post([`Content-Length: 5${fold}`], BODY));
      list.refuse(`inside the length ${id}`, post([`Content-Length: 1${fold}5`], BODY));
      list.refuse(`other field ${id}`, post([`X-A: a${fold}b`, 'Content-Length: 5'], BODY));
      list.refuse(`hides a coding ${id}`, post([`X-A: a${fold}Transfer-Encoding: chunked`, 'Content-Length: 5'], CHUNKED_BODY));
      list.refuse(`before the first field ${id}`, post([], '').replace('\r\nHost', `${fold}X: 1\r\nHost`));
      list.refuse(`before the empty line ${id}`, post([`X-A: a${fold}`], ''));
    }
  }
  return list.cases;
}
