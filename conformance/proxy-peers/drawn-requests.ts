/**
 * Requests of every framing, and of shapes that are odd and legal, drawn from a seed: what a client sends, byte by byte, and what it means by RFC 9110 and 9112,
 * which is known because the request was made from it, not read from it.
 */
import type { Random } from '@ferrata/clock';
import type { FieldPair } from '../rig/recording-origin.ts';

/** A request by its meaning: names in lower case, fields of one connection left out, Host apart. */
export interface Meaning {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly fields: readonly FieldPair[];
  readonly body: string;
  readonly trailers: readonly FieldPair[];
}

/** What can be sent. */
export interface DrawnRequest {
  readonly token: string;
  readonly meaning: Meaning;
  /** HTTP/1.1, one character a byte. */
  readonly raw: string;
}

/** What an origin's own parser takes. */
export interface Tastes {
  readonly methods: readonly string[];
  readonly takesAsterisk: boolean;
}

const PATHS = [
  '/',
  '/a/b/c',
  '//two',
  '/a//b',
  '/?',
  '/a?b=c&d=%20+e',
  '/%7Euser/%C3%A9',
  '/a;p=1/b;q',
  "/!$&'()*+,;=:@-._~",
  '/a?/?:@!$',
  '/a/./b',
  `/${'long/'.repeat(600)}`,
  `/q?${'x=1&'.repeat(700)}`,
] as const;
const NAMES = [
  'X-Mixed-Case',
  'x-lower',
  'X-UPPER',
  'x_under',
  'X-1',
  'Accept',
  'Accept-Language',
  'User-Agent',
  'Referer',
  'X-Repeated',
] as const;
/** Two lines of these would not be legal. */
const ONCE: ReadonlySet<string> = new Set(['User-Agent', 'Referer']);
const VALUES = [
  '',
  'a',
  'a b',
  'a\tb',
  '"quoted, \\" text"',
  'one, two,, three',
  ';=,',
  'x'.repeat(3_000),
  '0',
  'chunked',
  'Content-Length: 5',
] as const;
/** obs-text (RFC 9110 §5.5). */
const OBSCURE_VALUES = ['\xe9t\xe9', '\x80\xff'] as const;
const BODY_SIZES = [0, 1, 2, 15, 16, 1_000, 16_384, 70_000] as const;
const HOSTS = ['a.test', 'A.test:8080', '127.0.0.1', '[::1]:80', 'localhost:65535'] as const;

/** Draws a request of HTTP/1.1. @param isLast the client says that it sends no more */
export function drawHttp1(random: Random, token: string, { methods, takesAsterisk }: Tastes, isLast: boolean): DrawnRequest {
  const pick = <Kind>(all: readonly Kind[]): Kind => all[random.below(all.length)] as Kind;
  const often = (share: number): boolean => random.next() < share;
  const method = pick(methods);
  const host = pick(HOSTS);
  const path = pick(PATHS);
  const ofForm = formOf({ method, host, path, choice: random.next(), takesAsterisk });
  const connection = [
    ...(isLast ? ['close'] : often(0.2) ? ['keep-alive'] : []),
    ...(often(0.15) ? ['X-Of-Hop'] : []),
    ...(often(0.15) ? ['TE'] : []),
  ];
  const fields = drawFields(random, token, [...VALUES, ...OBSCURE_VALUES]);
  const body = drawBody(random);
  const kind = body === '' ? pick(['none', 'none', 'length', 'chunked'] as const) : pick(['length', 'chunked'] as const);
  const trailers: FieldPair[] =
    kind === 'chunked' && often(0.4)
      ? [
          ['X-Sum', 'abc'],
          ['x-sum', ''],
          ['X-Other', 'a\tb'],
        ]
      : [];
  const lines = fields.map(([name, value]) => `${name}:${pick(['', ' ', '\t', '  \t '])}${value}${pick(['', '', ' ', '\t'])}`);
  const own = [
    `${pick(['Host', 'host', 'HOST'])}: ${ofForm.sentHost}`,
    ...(connection.length > 0 ? [`Connection: ${connection.join(pick([',', ', ', ' , ']))}`] : []),
    ...(connection.includes('X-Of-Hop') ? ['X-Of-Hop: not for the origin'] : []),
    ...(connection.includes('TE') ? ['TE: trailers'] : []),
    ...(kind === 'length' ? [`Content-Length: ${body.length}`] : []),
    ...(kind === 'chunked' ? [`${pick(['Transfer-Encoding', 'transfer-encoding'])}: ${pick(['chunked', 'Chunked', 'CHUNKED'])}`] : []),
    ...(body !== '' && often(0.15) ? ['Expect: 100-continue'] : []),
  ];
  // Anywhere among the others, each.
  for (const line of own) lines.splice(random.below(lines.length + 1), 0, line);
  const empty = often(0.1) ? '\r\n' : '';
  const head = `${empty}${method} ${ofForm.sentTarget} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
  const sentBody = kind === 'chunked' ? chunks(random, body, trailers) : body;
  return {
    token,
    raw: head + sentBody,
    meaning: { method, target: ofForm.target, host: ofForm.host, fields: lowered(fields), body, trailers: lowered(trailers) },
  };
}

/** Draws what a client of HTTP/2 sends. */
export function drawHttp2(random: Random, token: string, { methods }: Tastes): DrawnRequest {
  const pick = <Kind>(all: readonly Kind[]): Kind => all[random.below(all.length)] as Kind;
  const body = drawBody(random);
  const fields = drawFields(random, token, VALUES);
  const trailers: FieldPair[] =
    body !== '' && random.next() < 0.3
      ? [
          ['x-sum', 'abc'],
          ['x-other', 'a b'],
        ]
      : [];
  return {
    token,
    raw: '',
    meaning: { method: pick(methods), target: pick(PATHS), host: pick(HOSTS), fields: lowered(fields), body, trailers },
  };
}

interface Form {
  readonly sentTarget: string;
  readonly sentHost: string;
  readonly target: string;
  readonly host: string;
}

/** RFC 9112 §3.2: the origin-form mostly, the absolute-form, whose authority is stronger than Host (§3.2.2), or the asterisk-form. */
function formOf(drawn: { method: string; host: string; path: string; choice: number; takesAsterisk: boolean }): Form {
  const { method, host, path, choice, takesAsterisk } = drawn;
  if (method === 'OPTIONS' && takesAsterisk && choice < 0.5) return { sentTarget: '*', sentHost: host, target: '*', host };
  if (choice > 0.15) return { sentTarget: path, sentHost: host, target: path, host };
  // RFC 9110 §4.2.3: an empty path is the same as `/`, but for OPTIONS (RFC 9112 §3.2.4), where it would be `*`.
  if (choice < 0.05 && method !== 'OPTIONS') return { sentTarget: `http://${host}`, sentHost: host, target: '/', host };
  return { sentTarget: `http://${host}${path}`, sentHost: choice < 0.1 ? 'another.test' : host, target: path, host };
}

function drawFields(random: Random, token: string, values: readonly string[]): readonly FieldPair[] {
  const drawn = Array.from(
    { length: random.below(8) },
    (): FieldPair => [NAMES[random.below(NAMES.length)] as string, values[random.below(values.length)] as string],
  );
  const fields = drawn.filter(([name], index) => !ONCE.has(name) || drawn.findIndex(([other]) => other === name) === index);
  fields.splice(random.below(fields.length + 1), 0, ['X-Token', token]);
  if (random.next() < 0.2) fields.push(['Cookie', 'a=b; c="d"']);
  return fields;
}

function drawBody(random: Random): string {
  const size = random.next() < 0.4 ? 0 : (BODY_SIZES[random.below(BODY_SIZES.length)] as number);
  // What looks like a message must be taken for a body all the same.
  return 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n0\r\n\r\n'.repeat(Math.ceil(size / 40)).slice(0, size);
}

function chunks(random: Random, body: string, trailers: readonly FieldPair[]): string {
  let text = '';
  let at = 0;
  while (at < body.length) {
    const size = Math.min(body.length - at, 1 + random.below(random.below(2) === 0 ? 9 : 40_000));
    const digits = size.toString(16);
    text += `${['', '0', '000'][random.below(3)]}${random.below(2) === 0 ? digits : digits.toUpperCase()}`;
    text += ['', '', ';a', ';a=b', ';a="q;\\"x"', ';a=b;c=d'][random.below(6)];
    text += `\r\n${body.slice(at, at + size)}\r\n`;
    at += size;
  }
  return `${text}${['0', '00'][random.below(2)]}\r\n${trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

function lowered(fields: readonly FieldPair[]): readonly FieldPair[] {
  return fields.map(([name, value]) => [name.toLowerCase(), value] as const);
}
