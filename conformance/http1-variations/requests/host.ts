/** Host: which values it may have, and that there is exactly one. */
import { expectRequest, message, type RequestCase, RequestCases, TOKEN, visible } from '../request-case.ts';
import { ODD_BYTES, WIDE_BLANKS } from './spellings.ts';

const PATH = `/${TOKEN}/a`;

/** Values, counts and absence of Host. @returns the cases, with `TOKEN_` still in them */
export function hostCases(): readonly RequestCase[] {
  return [...hosts(), ...hostCounts()];
}

/** Values of Host and of an authority, by RFC 3986 §3.2.2 and §3.2.3. */
const GOOD_HOSTS = [
  'localhost',
  'LocalHost',
  'a',
  '1',
  'a.b',
  'a..b',
  '.',
  'a.',
  '.a',
  '127.0.0.1',
  '999.999.999.999',
  '0x7f.1',
  '2130706433',
  'a-b',
  '-a',
  'a_b',
  'xn--bcher-kva.example',
  'a~b',
  'a!b',
  'a$b',
  'a&b',
  "a'b",
  'a(b)',
  'a*b',
  '*',
  'a+b',
  'a,b',
  'a;b',
  'a=b',
  'a%41',
  '%00',
  '%2F',
  '[::1]',
  '[::]',
  '[2001:db8::1]',
  '[::ffff:127.0.0.1]',
  '[1:2:3:4:5:6:7:8]',
  'a'.repeat(255),
];
const BAD_HOSTS = [
  '',
  'a b',
  ' a\tb',
  'a@b',
  '@a',
  'a@',
  'user:pw@a',
  'a#b',
  'a/b',
  '/',
  'a?b',
  'a\\b',
  'a:b',
  'a:80:80',
  '::1',
  '[::1',
  '::1]',
  '[::1]]',
  '[[::1]]',
  '[::1]x',
  '[]',
  '[:]',
  '[v1.a]',
  '[::g]',
  '[1:2:3:4:5:6:7:8:9]',
  '[::1%25eth0]',
  '[::1 ]',
  'a%',
  'a%4',
  'a%zz',
  '%',
  'a<b',
  'a>b',
  'a"b',
  'a|b',
  'a^b',
  'a`b',
  '{a}',
  'a[b]',
  'a]',
  'http://a',
  'a, b',
  ':80',
  ':',
  '"a"',
  'a%4 1',
];
const GOOD_PORTS = ['', ':', ':80', ':0', ':1', ':65535', ':8080', ':080', ':000080'];
const BAD_PORTS = [
  ':65536',
  ':99999',
  ':100000',
  ':4294967376',
  ':18446744073709551696',
  ':-1',
  ':+80',
  ': 80',
  ':80 80',
  ':x',
  ':8x',
  ':80:',
  ':80:80',
  ':0x50',
  ':8e1',
  ':80.',
  ':80,80',
  ':80/',
  ':\xb9',
  ':80#',
  ':80@a',
];

function hosts(): readonly RequestCase[] {
  const list = new RequestCases('host', 'Host = uri-host [ ":" port ], not empty (RFC 9112 §3.2; RFC 3986 §3.2.2, §3.2.3)');
  const raw = (host: string): string => message(`GET ${PATH} HTTP/1.1`, [`Host: ${host}`]);
  for (const host of GOOD_HOSTS) list.accept(`good ${visible(host)}`, raw(host), { host });
  for (const name of ['localhost', '127.0.0.1', '[::1]']) {
    for (const port of GOOD_PORTS) list.accept(`good port ${visible(name + port)}`, raw(name + port), { host: name + port });
    for (const port of BAD_PORTS) list.refuse(`bad port ${visible(name + port)}`, raw(name + port));
  }
  for (const host of BAD_HOSTS) {
    list.refuse(`bad ${visible(host)}`, raw(host));
    list.refuse(`bad of HTTP/1.0 ${visible(host)}`, raw(host).replace('HTTP/1.1', 'HTTP/1.0'));
    // RFC 9112 §3.2: an invalid Host is refused also where the target names the host itself.
    list.refuse(`bad beside absolute-form ${visible(host)}`, raw(host).replace(PATH, `http://localhost${PATH}`));
  }
  for (const byte of [...ODD_BYTES.filter((one) => one !== '\t'), ...WIDE_BLANKS]) {
    for (const host of [`${byte}a`, `a${byte}`, `a${byte}b`]) list.refuse(`byte ${visible(host)}`, raw(host));
  }
  list.refuse('tab inside', raw('a\tb'));
  for (const [before, behind] of [
    ['\t', ''],
    ['', '\t'],
    ['  ', ' '],
    ['', ' \t '],
  ] as const)
    list.accept(`blanks ${visible(before)} ${visible(behind)}`, raw(`${before}localhost${behind}`), {});
  return list.cases;
}

function hostCounts(): readonly RequestCase[] {
  const list = new RequestCases('host-count', 'exactly one Host in HTTP/1.1, at most one in HTTP/1.0 (RFC 9112 §3.2)');
  for (const line of [`GET ${PATH} HTTP/1.1`, `GET http://localhost${PATH} HTTP/1.1`, 'OPTIONS * HTTP/1.1', `GET ${PATH} HTTP/1.2`]) {
    list.refuse(`none: ${visible(line)}`, message(line, ['X-A: 1']));
    list.refuse(`no field at all: ${visible(line)}`, `${line}\r\n\r\n`);
    for (const like of ['Hosts', 'Hos', 'X-Host', 'Host-', 'HOST_', 'H\xf3st'])
      list.refuse(`like ${visible(like)}: ${visible(line)}`, message(line, [`${like}: localhost`]));
  }
  for (const [first, second] of [
    ['localhost', 'localhost'],
    ['localhost', 'evil'],
    ['evil', 'localhost'],
    ['localhost', ''],
    ['', 'localhost'],
  ] as const) {
    for (const version of ['HTTP/1.1', 'HTTP/1.0']) {
      for (const between of [[], ['X-A: 1', 'X-B: 2']]) {
        for (const name of ['Host', 'host', 'HOST']) {
          list.refuse(
            `${name} ${first} and ${second} ${between.length} apart in ${visible(version)}`,
            message(`GET ${PATH} ${version}`, [`Host: ${first}`, ...between, `${name}: ${second}`]),
          );
        }
      }
    }
  }
  for (const name of ['host', 'HOST', 'hOsT']) list.accept(`case ${name}`, message(`GET ${PATH} HTTP/1.1`, [`${name}: localhost`]), {});
  list.accept('last', message(`GET ${PATH} HTTP/1.1`, ['X-A: 1', 'X-B: 2', 'Host: localhost']), {});
  for (const line of ['Host', 'Host localhost', 'Host : localhost', ' Host: localhost', 'Host\t: localhost', ':Host: localhost'])
    list.refuse(`line ${visible(line)}`, message(`GET ${PATH} HTTP/1.1`, [line]));
  list.refuse(
    'a second request without Host',
    message(`GET ${PATH} HTTP/1.1`, ['Host: localhost']) + message(`GET ${PATH} HTTP/1.1`, ['X-A: 1']),
    {
      after: [expectRequest()],
    },
  );
  return list.cases;
}
