/** Request lines: methods, the forms of targets, versions, what separates and precedes them. */
import { expectRequest, message, type RequestCase, RequestCases, type RequestTraits, TOKEN, visible } from '../request-case.ts';
import { DELIMITERS, isTokenText, ODD_BYTES, WIDE_BLANKS } from './spellings.ts';

const PATH = `/${TOKEN}/a`;
const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'PROPFIND',
  'M-SEARCH',
  'QUERY',
  'get',
  'Get',
  'X',
  'connect',
  '!',
  '1',
  'A'.repeat(32),
];

function request(line: string, host = 'localhost'): string {
  return message(line, [`Host: ${host}`]);
}

/** Methods, targets, versions and blanks of request lines. @returns the cases, with `TOKEN_` still in them */
export function requestLineCases(): readonly RequestCase[] {
  return [...methods(), ...forms(), ...targets(), ...versions(), ...blanks()];
}

/** A client reads the answer to HEAD as one without a body only if it is the last. */
function accept(list: RequestCases, id: string, raw: string, traits: RequestTraits): void {
  if (traits.method === 'HEAD') list.acceptLast(id, raw.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'), traits);
  else list.accept(id, raw, traits);
}

function methods(): readonly RequestCase[] {
  const list = new RequestCases('method', 'method = token, any case, any name (RFC 9110 §9.1); at most 32 bytes here');
  for (const method of METHODS) accept(list, visible(method), request(`${method} ${PATH} HTTP/1.1`), { method });
  for (const byte of [...ODD_BYTES, ...DELIMITERS, ...WIDE_BLANKS]) {
    for (const [place, method] of [
      ['before', `${byte}GET`],
      ['inside', `G${byte}ET`],
      ['behind', `GET${byte}`],
    ] as const) {
      const raw = request(`${method} ${PATH} HTTP/1.1`);
      if (isTokenText(byte)) list.accept(`${place} ${visible(byte)}`, raw, { method });
      else list.refuse(`${place} ${visible(byte)}`, raw);
    }
  }
  for (const length of [33, 64, 1000, 20_000])
    list.refuse(`${length} bytes`, request(`${'A'.repeat(length)} ${PATH} HTTP/1.1`), { statuses: [501] });
  return list.cases;
}

function forms(): readonly RequestCase[] {
  const list = new RequestCases(
    'target-form',
    'origin-form and absolute-form for all methods but CONNECT, authority-form for CONNECT only, * for OPTIONS only (RFC 9112 §3.2)',
  );
  for (const method of METHODS) {
    const line = (target: string): string => request(`${method} ${target} HTTP/1.1`);
    const absolute = `http://other.example${PATH}`;
    accept(list, `${visible(method)} absolute`, line(absolute), { method, target: absolute, path: PATH, host: 'other.example' });
    for (const target of ['localhost:80', 'localhost', '[::1]:80', 'a.b:1']) list.refuse(`${visible(method)} ${target}`, line(target));
    if (method === 'OPTIONS') list.accept('OPTIONS of all', line('*'), { method, target: '*' });
    else list.refuse(`${visible(method)} *`, line('*'));
    for (const target of ['**', '*/', '*?']) list.refuse(`${visible(method)} ${target}`, line(target));
  }
  for (const target of [
    PATH,
    `http://localhost${PATH}`,
    '*',
    'localhost',
    'localhost:',
    'localhost:0',
    'localhost:65536',
    'localhost:x',
    'localhost:80/',
    'user@localhost:80',
    'http://localhost:80',
    ':80',
    '[::1]',
    '::1:80',
    'a b:80',
    'localhost:80?q',
    '/',
  ]) {
    list.refuse(`CONNECT ${visible(target)}`, request(`CONNECT ${target} HTTP/1.1`));
  }
  for (const target of ['localhost:80', 'localhost:443', 'a.b:1', '127.0.0.1:65535', '[::1]:80', 'localhost:080']) {
    list.tunnel(`CONNECT ${visible(target)}`, request(`CONNECT ${target} HTTP/1.1`), { method: 'CONNECT', target, host: target });
  }
  for (const lines of [['Content-Length: 5'], ['Transfer-Encoding: chunked']]) {
    list.refuse(
      `CONNECT with ${lines[0]}`,
      message('CONNECT localhost:80 HTTP/1.1', ['Host: localhost:80', ...lines], '5\r\nhello\r\n0\r\n\r\n'),
    );
  }
  return list.cases;
}

function targets(): readonly RequestCase[] {
  const list = new RequestCases(
    'target',
    'a target is visible ASCII without "#", and is forwarded as it came (RFC 9112 §3.2; RFC 3986 §2, §3.5)',
  );
  const origin = [
    '/',
    '//',
    '//evil.example/',
    '///',
    '/?',
    '/??',
    '/?a=b?c',
    '/a/../b',
    '/./',
    '/..',
    '/%',
    '/%2',
    '/%zz',
    '/%00',
    '/%0d%0a',
    '/%0d%0aHost:%20evil',
    '/%2e%2e/',
    '/a;b',
    '/a:b',
    '/a@b',
    '/http://evil/',
    '/\\',
    '/a\\..\\b',
    '/"',
    '/<>',
    '/{}',
    '/|',
    '/^',
    '/`',
    '/~',
    "/'",
    '/*',
    '/a,b',
    '/[x]',
    '/HTTP/1.1',
  ];
  for (const path of origin) list.accept(`origin ${visible(path)}`, request(`GET ${path} HTTP/1.1`), { target: path });
  const absolute: readonly (readonly [target: string, path: string, host: string])[] = [
    [`HTTP://localhost${PATH}`, PATH, 'localhost'],
    [`hTTp://localhost${PATH}`, PATH, 'localhost'],
    ['http://localhost', '/', 'localhost'],
    ['http://localhost/', '/', 'localhost'],
    ['http://localhost?q', '/?q', 'localhost'],
    ['http://localhost?', '/?', 'localhost'],
    ['http://localhost?a/b', '/?a/b', 'localhost'],
    ['http://localhost//x', '//x', 'localhost'],
    ['http://localhost/http://evil/', '/http://evil/', 'localhost'],
    [`http://localhost:80${PATH}`, PATH, 'localhost:80'],
    [`http://localhost:${PATH}`, PATH, 'localhost:'],
    [`http://localhost:65535${PATH}`, PATH, 'localhost:65535'],
    [`http://[::1]${PATH}`, PATH, '[::1]'],
    [`http://[2001:db8::1]:8080${PATH}`, PATH, '[2001:db8::1]:8080'],
    [`http://LOCALHOST${PATH}`, PATH, 'LOCALHOST'],
    [`http://127.0.0.1${PATH}`, PATH, '127.0.0.1'],
    [`http://a_b${PATH}`, PATH, 'a_b'],
    [`https://localhost${PATH}`, PATH, 'localhost'],
  ];
  for (const [target, path, host] of absolute) {
    for (const own of ['localhost', 'evil.example', host]) {
      list.accept(`absolute ${visible(target)} with Host ${visible(own)}`, request(`GET ${target} HTTP/1.1`, own), { target, path, host });
    }
  }
  for (const target of ['http://localhost', 'http://localhost:80']) {
    list.accept(`OPTIONS ${visible(target)}`, request(`OPTIONS ${target} HTTP/1.1`), {
      method: 'OPTIONS',
      target,
      path: '*',
      host: target.slice(7),
    });
  }
  const bad = [
    'http:/localhost/',
    'http:localhost/',
    'http:',
    'http:/',
    'http://',
    'http:///',
    'http:///x',
    'http://?q',
    'http://:80/',
    'http://user@localhost/',
    'http://user:pw@localhost/',
    'http://@localhost/',
    'http://localhost@evil/',
    'http://localhost:80:80/',
    'http://localhost:x/',
    'http://localhost:-1/',
    'http://localhost:65536/',
    'http://localhost:99999999999999999999/',
    'http://[::1/',
    'http://::1/',
    'http://[]/',
    'http://[::1]x/',
    'http://[v1.a]/',
    'http://a\\b/',
    'http://a%/',
    'http://a%zz/',
    'http://a<b/',
    'http://a|b/',
    'ftp://localhost/',
    'ws://localhost/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'gopher://localhost/',
    'httpx://localhost/',
    'h://localhost/',
    '://localhost/',
    'localhost/',
    'localhost',
    'www.example.org/x',
    '?',
    '?a=b',
    'a',
    '\\',
    '.',
    '..',
    '../',
    '%2f',
    '~',
    '@',
    '&',
    '=',
    'GET',
    'HTTP/1.1',
  ];
  for (const target of bad) list.refuse(`bad ${visible(target)}`, request(`GET ${target} HTTP/1.1`));
  for (const target of ['/#', '/a#b', '#', '/?a#b', 'http://localhost#', 'http://localhost/#x', '/%23#'])
    list.refuse(`fragment ${visible(target)}`, request(`GET ${target} HTTP/1.1`));
  for (const byte of [...ODD_BYTES, ...WIDE_BLANKS, ' ', '\r\n', '\xc3\xa9']) {
    for (const target of [`/${byte}`, `/a${byte}b`, `/?${byte}`, `http://localhost${byte}/`, `http://${byte}localhost/`])
      list.refuse(`byte ${visible(target)}`, request(`GET ${target} HTTP/1.1`));
  }
  return list.cases;
}

function versions(): readonly RequestCase[] {
  const list = new RequestCases(
    'version',
    'HTTP-version = "HTTP/" DIGIT "." DIGIT, case-sensitive (RFC 9112 §2.3); a higher minor is read as 1.1 (RFC 9110 §2.5)',
  );
  for (let minor = 1; minor <= 9; minor++) list.accept(`1.${minor}`, request(`GET ${PATH} HTTP/1.${minor}`), {});
  list.acceptLast('1.0', request(`GET ${PATH} HTTP/1.0`), {});
  list.acceptLast('1.0 without Host', message(`GET ${PATH} HTTP/1.0`, ['X-A: 1']), { host: '' });
  for (const version of ['0.0', '0.9', '2.0', '2.1', '3.0', '4.2', '9.9'])
    list.refuse(version, request(`GET ${PATH} HTTP/${version}`), { statuses: [505] });
  list.refuse('preface', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`, { statuses: [505] });
  for (const version of [
    '',
    'HTTP',
    'HTTP/',
    'HTTP/1',
    'HTTP/1.',
    'HTTP/.1',
    'HTTP/11',
    'HTTP/1.10',
    'HTTP/1.01',
    'HTTP/01.1',
    'HTTP/11.1',
    'HTTP/1.1.1',
    'HTTP/1,1',
    'HTTP/1:1',
    'HTTP/1.1x',
    'HTTP/1.1 ',
    'HTTP/1.1\t',
    ' HTTP/1.1',
    'HTTP/ 1.1',
    'HTTP /1.1',
    'HTTP/1 .1',
    'HTTP/1. 1',
    'HTTP/-1.1',
    'HTTP/+1.1',
    'HTTP/1.-1',
    'HTTP/1.+1',
    'HTTP/1.x',
    'HTTP/x.1',
    'HTTP/a.b',
    'HTTP/1.\xb2',
    'HTTP/\xb9.1',
    'HTTP//1.1',
    'HTTP\\1.1',
    'HTTP1.1',
    'HTTP-1.1',
    '/1.1',
    '1.1',
    'http/1.1',
    'Http/1.1',
    'hTTP/1.1',
    'HTTp/1.1',
    'HTTPS/1.1',
    'HTTP/1.1 HTTP/1.1',
    'HTP/1.1',
    'HHTTP/1.1',
    'TTP/1.1',
    'ICY/1.1',
    'RTSP/1.0',
    'SIP/2.0',
    'HTTP/1.1;',
    'HTTP/1.1,',
    'HTTP/1.1:',
    'HTTP/4294967297.1',
    'HTTP/1.4294967297',
    'HTTP/\xef\xbc\x91.1',
  ]) {
    list.refuse(`form ${visible(version)}`, request(`GET ${PATH} ${version}`));
  }
  list.refuse('none', request(`GET ${PATH}`));
  list.refuse('HTTP/0.9', `GET ${PATH}\r\n`);
  for (let index = 0; index < 8; index++) {
    for (const byte of [...ODD_BYTES, ' ', ...DELIMITERS]) {
      const version = `HTTP/1.1`.slice(0, index) + byte + `HTTP/1.1`.slice(index + 1);
      if (version !== 'HTTP/1.1') list.refuse(`byte ${index} ${visible(byte)}`, request(`GET ${PATH} ${version}`));
    }
  }
  return list.cases;
}

function blanks(): readonly RequestCase[] {
  const list = new RequestCases(
    'line-blank',
    'one SP between the parts of a request line, CRLF behind it; up to four empty lines before it (RFC 9112 §3, §2.2)',
  );
  for (const blank of [
    '  ',
    '   ',
    '\t',
    ' \t',
    '\t ',
    '\x0b',
    '\x0c',
    '\r',
    '\r ',
    '\n',
    '\xa0',
    '\xc2\xa0',
    '\0',
    '',
    '%20',
    '+',
    '\x1c',
    '\x1f',
  ]) {
    list.refuse(`before the target ${visible(blank)}`, request(`GET${blank}${PATH} HTTP/1.1`));
    list.refuse(`before the version ${visible(blank)}`, request(`GET ${PATH}${blank}HTTP/1.1`));
    if (blank !== '') list.refuse(`behind the version ${visible(blank)}`, request(`GET ${PATH} HTTP/1.1${blank}`));
  }
  for (const before of [
    ' ',
    '  ',
    '\t',
    '\n',
    '\r',
    '\0',
    '\x0b',
    '\xef\xbb\xbf',
    '\xa0',
    '\n\n',
    '\r\r\n',
    '\n\r\n',
    '\r\n ',
    '\r\n\t',
    '\r\n\n',
    '\r\n\r',
    ' \r\n',
    '\t\r\n',
    '\r\n\0',
    '\x16\x03\x01',
    'GET',
    '\0\0\0\0',
    '\x80',
  ]) {
    if (before !== 'GET') list.refuse(`before the method ${visible(before)}`, before + request(`GET ${PATH} HTTP/1.1`));
  }
  for (let count = 0; count <= 8; count++) {
    const raw = '\r\n'.repeat(count) + request(`GET ${PATH} HTTP/1.1`);
    if (count <= 4) list.accept(`${count} empty lines`, raw, {});
    else list.refuse(`${count} empty lines`, raw);
  }
  for (const count of [100, 5000]) list.refuse(`${count} empty lines`, '\r\n'.repeat(count) + request(`GET ${PATH} HTTP/1.1`));
  for (const end of ['\n', '\r', '\r\r\n', '\n\r', '\r\n\n', ' \r\n', '\r \n', '\0\r\n', '\x0b', '\x85', '\xe2\x80\xa8', '']) {
    list.refuse(`end of the request line ${visible(end)}`, `GET ${PATH} HTTP/1.1${end}Host: localhost\r\n\r\n`);
    const isValue = end === '\x85' || end === '\xe2\x80\xa8' || end === '';
    list.refuse(
      `end of a field line ${visible(end)}`,
      isValue
        ? `GET ${PATH} HTTP/1.1\r\nHost: localhost${end}:X: y\r\n\r\n`
        : `GET ${PATH} HTTP/1.1\r\nHost: localhost${end === ' \r\n' ? '\r\n \r\n' : end}X: y\r\n\r\n`,
    );
    const isBehind = end === '\r\n\n';
    list.refuse(`end of the head ${visible(end)}`, `GET ${PATH} HTTP/1.1\r\nHost: localhost\r\n${end}`, {
      after: isBehind ? [expectRequest()] : [],
    });
  }
  list.accept('empty lines between requests', `${request(`GET ${PATH} HTTP/1.1`)}\r\n\r\n`, {});
  return list.cases;
}
