/** Status lines: versions, status codes, reasons, blanks and what precedes them. */
import { visible } from '../request-case.ts';
import { DELIMITERS, ODD_BYTES, WIDE_BLANKS } from '../requests/spellings.ts';
import { type ResponseCase, ResponseCases, response } from '../response-case.ts';

const LENGTH = ['Content-Length: 2'];
const traits = { body: 'ok' };

/** Versions, status codes and reasons, and what parts them. @returns the cases */
export function statusLineCases(): readonly ResponseCase[] {
  return [...versions(), ...statuses(), ...reasons(), ...blanks()];
}

function versions(): readonly ResponseCase[] {
  const list = new ResponseCases(
    'version',
    'HTTP-version = "HTTP/" DIGIT "." DIGIT, case-sensitive (RFC 9112 §2.3); a higher minor is read as 1.1 (RFC 9110 §2.5)',
  );
  for (let minor = 1; minor <= 9; minor++) list.accept(`1.${minor}`, response(LENGTH, 'ok', `HTTP/1.${minor} 200 OK`), traits);
  list.acceptLast('1.0', response(LENGTH, 'ok', 'HTTP/1.0 200 OK'), traits);
  list.acceptLast('1.0 up to the close', response([], 'ok', 'HTTP/1.0 200 OK'), traits);
  list.accept('1.0 kept', response(['Connection: keep-alive', ...LENGTH], 'ok', 'HTTP/1.0 200 OK'), traits);
  for (const version of [
    'HTTP/0.9',
    'HTTP/2.0',
    'HTTP/3.0',
    'HTTP/9.9',
    'HTTP/2',
    'HTTP/3',
    '',
    'HTTP',
    'HTTP/',
    'HTTP/1',
    'HTTP/1.',
    'HTTP/.1',
    'HTTP/11',
    'HTTP/1.10',
    'HTTP/01.1',
    'HTTP/11.1',
    'HTTP/1,1',
    'HTTP/1.1x',
    ' HTTP/1.1',
    'HTTP/ 1.1',
    'HTTP /1.1',
    'HTTP/-1.1',
    'HTTP/+1.1',
    'HTTP/1.\xb2',
    'http/1.1',
    'Http/1.1',
    'HTTPS/1.1',
    'HTP/1.1',
    'HHTTP/1.1',
    'ICY',
    'RTSP/1.0',
    'SIP/2.0',
    'SHOUTCAST/1.0',
    'HTTP/4294967297.1',
    'OK',
    'SSH-2.0-x',
    '220 smtp',
    '<html>',
  ]) {
    list.refuse(`form ${visible(version)}`, response(LENGTH, 'ok', `${version} 200 OK`));
  }
  for (let index = 0; index < 8; index++) {
    for (const byte of [...ODD_BYTES, ' ', ...DELIMITERS]) {
      const version = `HTTP/1.1`.slice(0, index) + byte + `HTTP/1.1`.slice(index + 1);
      if (version !== 'HTTP/1.1') list.refuse(`byte ${index} ${visible(byte)}`, response(LENGTH, 'ok', `${version} 200 OK`));
    }
  }
  return list.cases;
}

function statuses(): readonly ResponseCase[] {
  const list = new ResponseCases('status', 'status-code = 3DIGIT, from 100 on (RFC 9112 §4; RFC 9110 §15)');
  for (let status = 200; status < 600; status += status < 210 || (status > 300 && status < 310) ? 1 : 7) {
    if (status === 204 || status === 304) continue;
    list.accept(`${status}`, response(LENGTH, 'ok', `HTTP/1.1 ${status} Reason`), { ...traits, status });
  }
  for (const status of [600, 799, 999])
    list.accept(`${status}`, response(LENGTH, 'ok', `HTTP/1.1 ${status} Reason`), { ...traits, status }, { proxy: 'none' });
  for (const status of [
    '',
    '0',
    '2',
    '20',
    '2000',
    '20000',
    '000',
    '001',
    '020',
    '099',
    '0200',
    '00200',
    '-200',
    '+200',
    '2.0',
    '20x',
    'x00',
    'OK',
    '2 00',
    '20 0',
    '200OK',
    '200,',
    '200.',
    '200;',
    '0x0',
    '1e2',
    '2\xb20',
    '\xef\xbc\x92\xef\xbc\x90\xef\xbc\x90',
    '(200)',
    '"200"',
    '200 '.repeat(2).trim().replace(' ', ''),
    '4294967496',
  ]) {
    list.refuse(`form ${visible(status)}`, response(LENGTH, 'ok', `HTTP/1.1 ${status} OK`));
  }
  for (const byte of [...ODD_BYTES, ...DELIMITERS, ...WIDE_BLANKS, ' ']) {
    for (const status of [`${byte}00`, `2${byte}0`, `20${byte}`, `${byte}200`, `2${byte}00`])
      list.refuse(`byte ${visible(status)}`, response(LENGTH, 'ok', `HTTP/1.1 ${status} OK`));
    // A blank behind the code ends it, and begins the reason.
    if (byte !== ' ') list.refuse(`byte behind ${visible(byte)}`, response(LENGTH, 'ok', `HTTP/1.1 200${byte}OK`));
  }
  return list.cases;
}

function reasons(): readonly ResponseCase[] {
  const list = new ResponseCases(
    'reason',
    'reason-phrase = *( HTAB / SP / VCHAR / obs-text ); its SP may be missing if it is empty (RFC 9112 §4)',
  );
  const accept = (end: string, reason: string): void =>
    list.accept(`ok ${visible(end)}`, response(LENGTH, 'ok', `HTTP/1.1 200${end}`), { ...traits, reason });
  accept('', '');
  accept(' ', '');
  for (const reason of [
    'OK',
    'O',
    'Not Really',
    'a  b',
    'tab\there',
    '\xe9t\xe9',
    '\xc3\xa9',
    ':',
    'HTTP/1.1 200 OK',
    'Content-Length: 5',
    '!"#$%&\'()*+,-./',
    '200',
    '<b>',
    '\\r\\n',
    '%0d%0a',
    '0',
    'x'.repeat(8000),
  ])
    accept(` ${reason}`, reason);
  for (const byte of ODD_BYTES) {
    for (const reason of [`${byte}OK`, `O${byte}K`, `OK${byte}`]) {
      const raw = response(LENGTH, 'ok', `HTTP/1.1 200 ${reason}`);
      if (byte === '\t' || byte >= '\x80') list.accept(`byte ${visible(reason)}`, raw, traits);
      else list.refuse(`byte ${visible(reason)}`, raw);
    }
  }
  for (const split of ['\rSet-Cookie: a=b', '\nSet-Cookie: a=b', '\n\nbody', '\r\rbody', '\r\n Set-Cookie: a=b', '\n\r\n', '\0'])
    list.refuse(`split ${visible(split)}`, response(LENGTH, 'ok', `HTTP/1.1 200 OK${split}`));
  return list.cases;
}

function blanks(): readonly ResponseCase[] {
  const list = new ResponseCases(
    'line-blank',
    'one SP between the parts of a status line, CRLF behind it, nothing before it (RFC 9112 §4, §2.2)',
  );
  for (const blank of ['  ', '\t', ' \t', '\t ', '\x0b', '\x0c', '\r', '\n', '\xa0', '\0', '', '%20']) {
    list.refuse(`before the status ${visible(blank)}`, response(LENGTH, 'ok', `HTTP/1.1${blank}200 OK`));
  }
  for (const before of [
    ' ',
    '\t',
    '\n',
    '\r',
    '\r\n',
    '\r\n\r\n',
    '\n\n',
    '\0',
    '\xef\xbb\xbf',
    'X',
    '0\r\n\r\n',
    'ok',
    '\r\n ',
    '\x15\x03\x01',
  ])
    list.refuse(`before ${visible(before)}`, before + response(LENGTH, 'ok'));
  for (const end of ['\n', '\r', '\r\r\n', '\n\r', '\r\n\n', '\0\r\n', '\x0b']) {
    list.refuse(`end of the status line ${visible(end)}`, `HTTP/1.1 200 OK${end}Content-Length: 2\r\n\r\nok`);
    list.refuse(`end of a field line ${visible(end)}`, `HTTP/1.1 200 OK\r\nContent-Length: 2${end}X: y\r\n\r\nok`);
    if (end !== '\r\n\n') list.refuse(`end of the head ${visible(end)}`, `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${end}ok`);
  }
  return list.cases;
}
