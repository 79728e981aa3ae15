/**
 * Field lists of HTTP/2 messages, pseudo-header fields among them: well-formed ones, and such as are malformed for one reason that is told.
 *
 * @see RFC 9113 §8.1.1, §8.2, §8.3 · RFC 8441 §4
 */
import fc from 'fast-check';
import { type FieldLine, fieldNames, fieldValues } from '../arbitrary/http-fields.ts';

/** A field list that is malformed (RFC 9113 §8.1.1), and why. */
export interface MalformedFields {
  readonly fields: readonly FieldLine[];
  /** For people, and to count by; one of a handful of sentences. */
  readonly why: string;
}

/** A request: pseudo-header fields in any order, CONNECT among them, then other fields in lower case. No `content-length`, so any body fits. */
export function http2RequestFields(): fc.Arbitrary<readonly FieldLine[]> {
  return fc.tuple(requestPseudoFields(), otherFields()).map(([pseudo, others]) => [...pseudo, ...others]);
}

/** A final response. */
export function http2ResponseFields(): fc.Arbitrary<readonly FieldLine[]> {
  return fc
    .tuple(fc.constantFrom('200', '204', '304', '404', '503', '599'), otherFields())
    .map(([status, others]) => [[':status', status], ...others]);
}

/** A request that is malformed by one change. */
export function http2MalformedRequestFields(): fc.Arbitrary<MalformedFields> {
  return malformed(http2RequestFields(), requestFaults);
}

/** A response that is malformed by one change. */
export function http2MalformedResponseFields(): fc.Arbitrary<MalformedFields> {
  return malformed(http2ResponseFields(), responseFaults);
}

function requestPseudoFields(): fc.Arbitrary<readonly FieldLine[]> {
  const authority = fc.constantFrom('example.org', 'a:8443', '[::1]:80', 'xn--bcher-kva.example');
  const ordinary = fc.record({
    ':method': fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'QUERY'),
    ':scheme': fc.constantFrom('https', 'http'),
    ':authority': authority,
    ':path': fc.constantFrom('/', '/a?b=c', '/%7Euser/', `/${'x'.repeat(200)}`),
  });
  const options = authority.map((host) => ({ ':method': 'OPTIONS', ':scheme': 'https', ':authority': host, ':path': '*' }));
  // RFC 9113 §8.5: with neither a scheme nor a path.
  const connect = fc.constantFrom('example.org:443', '[::1]:22').map((host) => ({ ':method': 'CONNECT', ':authority': host }));
  return fc
    .oneof({ weight: 8, arbitrary: ordinary }, { weight: 1, arbitrary: options }, { weight: 1, arbitrary: connect })
    .chain((fields) => fc.shuffledSubarray(Object.entries(fields), { minLength: Object.keys(fields).length }));
}

function otherFields(): fc.Arbitrary<readonly FieldLine[]> {
  const drawn = fc.tuple(
    fieldNames().map((name) => name.toLowerCase()),
    fieldValues(),
  );
  const special = fc.constantFrom<FieldLine[]>(
    ['te', 'trailers'],
    ['cookie', 'a=b'],
    ['cookie', 'c=d; e=f'],
    ['priority', 'u=1, i'],
    ['x-empty', ''],
  );
  return fc.array(fc.oneof({ weight: 4, arbitrary: drawn }, { weight: 1, arbitrary: special }), { maxLength: 8 });
}

/** Puts a line somewhere, takes one away, or changes one. `place` is drawn, from 0 up. */
interface Fault {
  readonly why: string;
  apply(fields: readonly FieldLine[], place: number): readonly FieldLine[];
}

function malformed(valid: fc.Arbitrary<readonly FieldLine[]>, faults: readonly Fault[]): fc.Arbitrary<MalformedFields> {
  return fc
    .tuple(valid, fc.constantFrom(...faults), fc.nat(1000))
    .map(([fields, { why, apply }, place]) => ({ fields: apply(fields, place), why }));
}

/** Adds one of these among the other fields, behind the pseudo-header fields. */
function adding(why: string, ...lines: readonly FieldLine[]): Fault {
  return {
    why,
    apply(fields, place) {
      const first = fields.filter(([name]) => name.startsWith(':')).length;
      const at = first + (place % (fields.length - first + 1));
      return fields.toSpliced(at, 0, lines[place % lines.length] as FieldLine);
    },
  };
}

const sharedFaults: readonly Fault[] = [
  adding('a name with an upper-case letter', ['X-A', '1'], ['accepT', '*/*']),
  adding('a name that is no token', ['', 'x'], ['a b', 'x'], ['a:', 'x'], ['a\0', 'x'], ['a\r\nb', 'x'], ['\xe9', 'x'], ['a\x7f', 'x']),
  adding('CR, LF or NUL in a value', ['x-a', 'a\rb'], ['x-a', 'a\nb'], ['x-a', 'a\0b'], ['x-a', 'a\r\nhost: b']),
  adding('a blank around a value', ['x-a', ' a'], ['x-a', 'a\t'], ['x-a', ' ']),
  adding(
    'a field of the connection',
    ['connection', 'close'],
    ['keep-alive', 'timeout=5'],
    ['proxy-connection', 'keep-alive'],
    ['transfer-encoding', 'chunked'],
    ['upgrade', 'h2c'],
  ),
  adding('an unknown pseudo-header field', [':x', '1'], [':', '1'], [':status ', '200']),
  {
    why: 'a pseudo-header field behind another field',
    apply: (fields) => [...fields.slice(1), ['x-a', '1'], fields[0] as FieldLine],
  },
  {
    why: 'a pseudo-header field twice',
    apply: (fields) => [fields[0] as FieldLine, ...fields],
  },
];

const requestFaults: readonly Fault[] = [
  ...sharedFaults,
  adding('te other than trailers', ['te', 'gzip'], ['te', 'trailers, gzip']),
  { why: 'no :method', apply: (fields) => fields.filter(([name]) => name !== ':method') },
  { why: 'an empty :method or one that is no token', apply: (fields, place) => withValue(fields, ':method', place % 2 === 0 ? '' : 'G T') },
  {
    why: 'CONNECT with a path and no protocol, or another method without a path',
    apply: (fields) =>
      fields.some(([name]) => name === ':path') ? fields.filter(([name]) => name !== ':path') : [[':path', '/'], ...fields],
  },
  { why: 'a pseudo-header field of responses', apply: (fields) => [[':status', '200'], ...fields] },
];

const responseFaults: readonly Fault[] = [
  ...sharedFaults,
  { why: 'no :status', apply: (fields) => fields.filter(([name]) => name !== ':status') },
  {
    why: 'a :status that is not three digits',
    apply: (fields, place) => withValue(fields, ':status', ['', '20', '2000', 'abc', '+20', '2 0'][place % 6] as string),
  },
  { why: 'a pseudo-header field of requests', apply: (fields) => [[':path', '/'], ...fields] },
];

function withValue(fields: readonly FieldLine[], wanted: string, value: string): readonly FieldLine[] {
  return fields.map(([name, old]) => [name, name === wanted ? value : old]);
}
